package wse

// Level is how important a line of the log is.
type Level int32

// The levels of the engine's log.
const (
	LevelTrace Level = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

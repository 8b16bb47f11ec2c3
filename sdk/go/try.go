//go:build !wasip1

package wse

// Outside of WebAssembly there is no engine: what a hook logs and counts is kept for Try.

// Answer is what Try got from a hook.
type Answer struct {
	Kind    string             // no, yes, data, error, as the vectors of a plugin say it
	Text    string             // with data and error; an error number N is "error N"
	Log     []string           // "info: text"
	Metrics map[string]float64 // what each counter went up by
}

// Try calls a hook without WebAssembly, for tests of a plugin with go test. Not from two goroutines at once.
func Try(hook Hook, doc string) Answer {
	said = Answer{}
	var s state
	s.buffer(int32(max(len(doc), 1)))
	copy(s.input, doc)
	r := s.call(int32(len(doc)), hook)
	a := said
	tag, isText, code := r.kind()
	a.Kind = [...]string{"no", "yes", "data", "error"}[tag]
	if isText {
		a.Text = string(s.out.buf[s.out.from:s.out.to])
	} else if tag == tagError {
		s.out.Begin()
		s.out.PutString("error ")
		s.out.PutInt(int64(code))
		a.Text = string(s.out.Written(0))
	}
	return a
}

// said is the guest state of the call that Try makes.
var said Answer

// Log writes a line to the engine's log, which adds the plugin's name and version and caps how much it takes.
func Log(level Level, text []byte) { LogString(level, string(text)) }

// LogString is Log for a string.
func LogString(level Level, text string) {
	said.Log = append(said.Log, [...]string{"trace", "debug", "info", "warn", "error"}[level]+": "+text)
}

// Metric adds value, at least 0, to the counter of that name, one of the plugin's own.
func Metric(name string, value float64) {
	if said.Metrics == nil {
		said.Metrics = make(map[string]float64)
	}
	said.Metrics[name] += value
}

// pack has no address to give: the Writer knows what it is of.
func pack(_ []byte, n int) Result { return 1<<32 | Result(n) }

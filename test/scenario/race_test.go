//go:build race

package scenario

// raceEnabled is true where the race detector is on.
const raceEnabled = true

//go:build race

package cluster

// raceEnabled is true where the race detector is on.
const raceEnabled = true

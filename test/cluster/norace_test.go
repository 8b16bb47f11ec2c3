//go:build !race

package cluster

// raceEnabled is false where the race detector is off.
const raceEnabled = false

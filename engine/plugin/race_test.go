//go:build race

package plugin_test

// raceDetector makes sync.Pool forget things at random.
const raceDetector = true

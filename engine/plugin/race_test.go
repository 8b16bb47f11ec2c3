//go:build race

package plugin

// RaceDetector makes sync.Pool forget things at random.
const RaceDetector = true

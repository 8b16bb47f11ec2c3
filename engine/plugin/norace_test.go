//go:build !race

package plugin

const RaceDetector = false

//go:build !race

package wse_test

const raceEnabled = false

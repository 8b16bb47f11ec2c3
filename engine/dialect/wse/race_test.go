//go:build race

package wse_test

const raceEnabled = true // pools then lose things on purpose

//go:build !linux

package plugin_test

import (
	"testing"
	"time"
)

// processTime is not known here.
func processTime(testing.TB) time.Duration { return 0 }

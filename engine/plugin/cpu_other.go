//go:build !linux

package plugin

import "time"

// threadTime stands in for the processor's time where that cannot be asked for: the clock, which counts waiting for a
// processor too.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }

package plugin

import (
	"syscall"
	"time"
)

// limitChild bounds this process's data (not its address space, of which the Go runtime reserves far more than it
// uses) and its CPU time, which ends it when its parent is gone.
func limitChild(mib int, limit time.Duration) error {
	data := uint64(mib) << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: data, Max: data}); err != nil {
		return err
	}
	seconds := uint64(limit/time.Second)*2 + 1 // compiling uses more than one core
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds + 1})
}

package plugin

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// limitChild bounds what this process maps from now on (its data, not its address space, of which the Go runtime reserves
// far more than it uses) and its CPU time, which ends it when its parent is gone. What a Go process has mapped before it does
// anything, tens of MiB that it never touches, is not the module's.
func limitChild(mib int, limit time.Duration) error {
	mapped, err := dataMapped()
	if err != nil {
		return err
	}
	data := mapped + uint64(mib)<<20
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: data, Max: data}); err != nil {
		return err
	}
	seconds := uint64(limit/time.Second)*2 + 1 // compiling uses more than one core
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds + 1})
}

// dataMapped returns the bytes that RLIMIT_DATA counts of this process: see proc_pid_statm(5).
func dataMapped() (uint64, error) {
	const statm = "/proc/self/statm"
	b, err := os.ReadFile(statm)
	if err != nil {
		return 0, err
	}
	var size, resident, shared, text, lib, data uint64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared, &text, &lib, &data); err != nil {
		return 0, fmt.Errorf("%s: %w", statm, err)
	}
	return data * uint64(os.Getpagesize()), nil
}

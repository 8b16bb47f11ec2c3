package plugin

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// allocate reserves a guest's whole memory outside the Go heap: growing never copies, the garbage collector's pace does
// not follow memory that guests hardly touch, and closing an instance gives it back at once.
func allocate(capacity, most uint64) experimental.LinearMemory {
	if most > 0 {
		const prot, flags = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_ANON | syscall.MAP_PRIVATE | syscall.MAP_NORESERVE
		if all, err := syscall.Mmap(-1, 0, int(most), prot, flags); err == nil {
			return &mapped{all: all}
		}
	}
	return &sliced{most: most, buf: make([]byte, 0, capacity)}
}

// mapped is a reservation of address space.
type mapped struct{ all []byte }

var _ experimental.LinearMemory = (*mapped)(nil)

// Reallocate implements experimental.LinearMemory.
func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		return nil
	}
	return m.all[:size]
}

// Free implements experimental.LinearMemory.
func (m *mapped) Free() {
	_ = syscall.Munmap(m.all)
	m.all = nil
}

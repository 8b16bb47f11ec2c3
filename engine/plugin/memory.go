package plugin

import "github.com/tetratelabs/wazero/experimental"

// sliced is a guest memory on the Go heap, for where address space cannot be reserved.
type sliced struct {
	most uint64
	buf  []byte
}

var _ experimental.LinearMemory = (*sliced)(nil)

// Reallocate implements experimental.LinearMemory.
func (s *sliced) Reallocate(size uint64) []byte {
	if size > s.most {
		return nil
	}
	if size > uint64(cap(s.buf)) {
		grown := make([]byte, size)
		copy(grown, s.buf)
		s.buf = grown
	}
	s.buf = s.buf[:size]
	return s.buf
}

// Free implements experimental.LinearMemory.
func (s *sliced) Free() { s.buf = nil }

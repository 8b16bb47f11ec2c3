//go:build !linux

package plugin

import "github.com/tetratelabs/wazero/experimental"

func allocate(capacity, most uint64) experimental.LinearMemory {
	return &sliced{most: most, buf: make([]byte, 0, capacity)}
}

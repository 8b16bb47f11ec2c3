//go:build wasip1

// Program gopanic is a plugin that panics, for the tests of traces.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import "unsafe"

var in [1 << 16]byte

func main() {}

// level recurses before it panics, so that the trace has something to tell.
func level(n int) int {
	if n == 0 {
		return int(in[len(in)+int(in[0])])
	}
	return level(n-1) + 1
}

//go:wasmexport wse_abi_v1
func abi() uint32 { return 0 }

//go:wasmexport wse_buffer
func buffer(n uint32) uint32 {
	if n > uint32(len(in)) {
		return 0
	}
	return uint32(uintptr(unsafe.Pointer(&in)))
}

//go:wasmexport wse_transform
func transform(n uint32) uint64 {
	if n == 1 {
		panic(string(in[:n]))
	}
	return uint64(level(3))
}

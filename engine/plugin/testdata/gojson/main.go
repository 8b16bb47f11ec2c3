//go:build wasip1

// Program gojson is a plugin that uses encoding/json, the costliest kind to load: BenchmarkLoadCachedGo.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import (
	"encoding/json"
	"unsafe"
)

var in [1 << 16]byte
var out []byte

func main() {}

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
	var v map[string]any
	if err := json.Unmarshal(in[:n], &v); err != nil {
		panic(err)
	}
	out, _ = json.Marshal(map[string]any{"t": "x", "topic": "public:x", "p": v})
	return uint64(uintptr(unsafe.Pointer(&out[0])))<<32 | uint64(len(out))
}

//go:build wasip1

package wse

import "unsafe"

// Log writes a line to the engine's log, which adds the plugin's name and version and caps how much it takes.
func Log(level Level, text []byte) {
	hostLog(level, unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text)))
}

// LogString is Log for a string.
func LogString(level Level, text string) {
	hostLog(level, unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

// Metric adds value, at least 0, to the counter of that name, one of the plugin's own.
func Metric(name string, value float64) {
	hostMetric(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), value)
}

//go:wasmimport wse log
//go:noescape
func hostLog(level Level, ptr unsafe.Pointer, n uint32)

//go:wasmimport wse metric
//go:noescape
func hostMetric(ptr unsafe.Pointer, n uint32, value float64)

// pack is DATA of the first n bytes of b, which is the Writer's buffer and so stays where it is.
func pack(b []byte, n int) Result {
	return Result(uintptr(unsafe.Pointer(unsafe.SliceData(b))))<<32 | Result(n)
}

// The value is a bit set of minor features, of which there are none.
//
//go:wasmexport wse_abi_v1
func wseABI() int32 { return 0 }

//go:wasmexport wse_buffer
func wseBuffer(n int32) uint32 {
	if !guest.buffer(n) {
		return 0
	}
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(guest.input))))
}

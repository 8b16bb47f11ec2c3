package plugin

import (
	"context"
	"encoding/binary"

	"github.com/wse-engine/wse/sdk/abi"
)

// Floor opens a module whose hook does nothing but answer as many bytes as it is told, so that what a call of it takes is the
// price of the border alone: the document copied in, the call, and where the answer lies. answer 0 is a NO.
func (w *Workbench) Floor(ctx context.Context, hook string, docBytes, answerBytes int) (*Workpiece, error) {
	room := abi.BufferBytes
	for room < docBytes || room < answerBytes {
		room *= 2
	}
	limits := DefaultLimits()
	limits.InKiB, limits.OutKiB = max(limits.InKiB, room>>10), max(limits.OutKiB, room>>10)
	limits.MemoryMiB = max(limits.MemoryMiB, room>>20+2)
	const page = 64 << 10
	result := int64(0)
	if answerBytes > 0 {
		result = page<<32 | int64(answerBytes)
	}
	return w.Open(ctx, Specimen{Name: "floor", Module: floorModule(room, floorHook{"wse_" + hook, result}), Limits: limits})
}

// floorHook is a hook that returns the same always.
type floorHook struct {
	export string
	result int64
}

// floorModule assembles the module: one page that is left alone, and the buffer behind it, which is the answer as well.
func floorModule(room int, hooks ...floorHook) []byte {
	const page = 64 << 10
	types := []byte{3, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7e} // () -> i32, (i32) -> i32, (i32) -> i64
	memory := binary.AppendUvarint([]byte{1, 0}, uint64(1+room/page))
	funcs, exports, code := []byte{byte(2 + len(hooks)), 0, 1}, []byte{byte(3 + len(hooks))}, []byte{byte(2 + len(hooks))}
	export := func(name string, kind, of byte) {
		exports = append(binary.AppendUvarint(exports, uint64(len(name))), name...)
		exports = append(exports, kind, of)
	}
	body := func(instructions []byte) {
		code = append(binary.AppendUvarint(code, uint64(len(instructions)+2)), 0)
		code = append(append(code, instructions...), 0x0b)
	}
	export(abi.ExportMemory, 2, 0)
	export(abi.ExportABI, 0, 0)
	export(abi.ExportBuffer, 0, 1)
	body([]byte{0x41, 0})
	body(signedLEB([]byte{0x41}, page))
	for i, h := range hooks {
		funcs = append(funcs, 2)
		export(h.export, 0, byte(2+i))
		body(signedLEB([]byte{0x42}, h.result))
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id      byte
		content []byte
	}{{1, types}, {3, funcs}, {5, memory}, {7, exports}, {10, code}} {
		out = append(binary.AppendUvarint(append(out, s.id), uint64(len(s.content))), s.content...)
	}
	return out
}

// signedLEB appends v as the binary format writes signed numbers.
func signedLEB(dst []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

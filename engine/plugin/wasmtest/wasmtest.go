// Package wasmtest assembles WebAssembly modules for tests: plugins that behave, and ones that do not. It checks nothing
// of what it is told, since most tests want a module that is wrong in one place.
//
// Ownership: plain values and pure functions.
package wasmtest

import "encoding/binary"

// Value types.
const (
	I32 byte = 0x7f
	I64 byte = 0x7e
	F64 byte = 0x7c
)

// Func is a function of a module. Locals are value types, one each. Code lacks the final end.
type Func struct {
	Export          string // "" is not exported
	Name            string // for the name section
	Params, Results []byte
	Locals          []byte
	Code            []byte
}

// Import is an imported function.
type Import struct {
	Module, Name    string
	Params, Results []byte
}

// Data is an active data segment.
type Data struct {
	At    int
	Bytes []byte
}

// Module is a module to assemble. Functions are numbered imports first.
type Module struct {
	Imports  []Import
	Funcs    []Func
	Table    int // elements; 0: no table. Every function is put into it, in order
	Pages    int // of memory, exported as "memory"; 0: none
	PagesMax int // 0: none
	Globals  int // mutable i64 globals
	Data     []Data
	Start    int // function to start with, plus one; 0: none
	Custom   []byte
}

// Section frames content as a section.
func Section(id byte, content ...byte) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

// Header is what every module begins with.
func Header() []byte { return []byte("\x00asm\x01\x00\x00\x00") }

// U appends n as an unsigned LEB128 number.
func U(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

// Text appends a length and s.
func Text(b []byte, s string) []byte { return append(U(b, len(s)), s...) }

// Cat joins pieces of code.
func Cat(pieces ...[]byte) []byte {
	var out []byte
	for _, p := range pieces {
		out = append(out, p...)
	}
	return out
}

// I32Const is i32.const n.
func I32Const(n int64) []byte { return signed([]byte{0x41}, n) }

// I64Const is i64.const n.
func I64Const(n int64) []byte { return signed([]byte{0x42}, n) }

// LocalGet is local.get i.
func LocalGet(i int) []byte { return U([]byte{0x20}, i) }

// LocalSet is local.set i.
func LocalSet(i int) []byte { return U([]byte{0x21}, i) }

// Call is call i.
func Call(i int) []byte { return U([]byte{0x10}, i) }

// Loop is loop body end, without a type.
func Loop(body ...[]byte) []byte { return Cat([]byte{0x03, 0x40}, Cat(body...), []byte{0x0b}) }

// Block is block body end, without a type.
func Block(body ...[]byte) []byte { return Cat([]byte{0x02, 0x40}, Cat(body...), []byte{0x0b}) }

// Br is br label.
func Br(label int) []byte { return U([]byte{0x0c}, label) }

// BrIf is br_if label.
func BrIf(label int) []byte { return U([]byte{0x0d}, label) }

func signed(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if (n == 0 && c&0x40 == 0) || (n == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Pack is the i64 of a Data result.
func Pack(ptr, size int) []byte { return I64Const(int64(ptr)<<32 | int64(size)) }

// Bytes assembles the module.
func (m Module) Bytes() []byte {
	types, imports, funcs := m.signatures()
	out := append(Header(), types...)
	out = append(append(out, imports...), funcs...)
	if m.Table > 0 {
		out = append(out, Section(4, U([]byte{1, 0x70, 0}, m.Table)...)...)
	}
	if m.Pages > 0 || m.PagesMax > 0 {
		out = append(out, m.memory()...)
	}
	if m.Globals > 0 {
		content := U(nil, m.Globals)
		for range m.Globals {
			content = append(content, I64, 1, 0x42, 0, 0x0b)
		}
		out = append(out, Section(6, content...)...)
	}
	out = append(out, m.exports()...)
	if m.Start > 0 {
		out = append(out, Section(8, U(nil, m.Start-1)...)...)
	}
	if m.Table > 0 {
		content := []byte{1, 0, 0x41, 0, 0x0b}
		content = U(content, len(m.Funcs))
		for i := range m.Funcs {
			content = U(content, len(m.Imports)+i)
		}
		out = append(out, Section(9, content...)...)
	}
	return append(append(append(out, m.code()...), m.data()...), append(m.names(), m.Custom...)...)
}

func signature(params, results []byte) []byte {
	out := append(U([]byte{0x60}, len(params)), params...)
	return append(U(out, len(results)), results...)
}

func (m Module) signatures() (types, imports, funcs []byte) {
	types = U(nil, len(m.Imports)+len(m.Funcs))
	imports, funcs = U(nil, len(m.Imports)), U(nil, len(m.Funcs))
	for i, imp := range m.Imports {
		types = append(types, signature(imp.Params, imp.Results)...)
		imports = U(append(Text(Text(imports, imp.Module), imp.Name), 0), i)
	}
	for i, f := range m.Funcs {
		types = append(types, signature(f.Params, f.Results)...)
		funcs = U(funcs, len(m.Imports)+i)
	}
	return Section(1, types...), Section(2, imports...), Section(3, funcs...)
}

func (m Module) memory() []byte {
	if m.PagesMax > 0 {
		return Section(5, U(U([]byte{1, 1}, m.Pages), m.PagesMax)...)
	}
	return Section(5, U([]byte{1, 0}, m.Pages)...)
}

func (m Module) exports() []byte {
	n, content := 0, []byte(nil)
	if m.Pages > 0 || m.PagesMax > 0 {
		n, content = 1, append(Text(nil, "memory"), 2, 0)
	}
	for i, f := range m.Funcs {
		if f.Export != "" {
			n++
			content = U(append(Text(content, f.Export), 0), len(m.Imports)+i)
		}
	}
	return Section(7, append(U(nil, n), content...)...)
}

func (m Module) code() []byte {
	content := U(nil, len(m.Funcs))
	for _, f := range m.Funcs {
		body := U(nil, len(f.Locals))
		for _, l := range f.Locals {
			body = append(body, 1, l)
		}
		body = append(append(body, f.Code...), 0x0b)
		content = append(U(content, len(body)), body...)
	}
	return Section(10, content...)
}

func (m Module) data() []byte {
	if len(m.Data) == 0 {
		return nil
	}
	content := U(nil, len(m.Data))
	for _, d := range m.Data {
		content = append(append(content, 0), I32Const(int64(d.At))...)
		content = append(U(append(content, 0x0b), len(d.Bytes)), d.Bytes...)
	}
	return Section(11, content...)
}

func (m Module) names() []byte {
	n, content := 0, []byte(nil)
	for i, f := range m.Funcs {
		if f.Name != "" {
			n++
			content = Text(U(content, len(m.Imports)+i), f.Name)
		}
	}
	if n == 0 {
		return nil
	}
	content = append(U(nil, n), content...)
	return Section(0, append(U(append(Text(nil, "name"), 1), len(content)), content...)...)
}

// Buffer is where the input buffer of [Plugin] lies.
const Buffer = 1 << 16

// Plugin completes m to a plugin: a memory of four pages where none is asked for, the ABI's version, and an input buffer
// of two pages at [Buffer]. Its functions stand behind those of m.
func Plugin(m Module) Module {
	if m.Pages == 0 {
		m.Pages = 4
	}
	m.Funcs = append(m.Funcs[:len(m.Funcs):len(m.Funcs)],
		Func{Export: "wse_abi_v1", Results: []byte{I32}, Code: I32Const(0)},
		Func{Export: "wse_buffer", Params: []byte{I32}, Results: []byte{I32}, Code: I32Const(Buffer)})
	return m
}

// Hook is an exported hook with the given body, which leaves an i64.
func Hook(export string, code ...[]byte) Func {
	return Func{Export: export, Name: export, Params: []byte{I32}, Results: []byte{I64}, Code: Cat(code...)}
}

package hostile

import (
	"bytes"
	"strings"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// attack is one module and what must become of it.
type attack struct {
	name   string
	module []byte
	// step at which it must be refused; empty: it is admitted, and fails when it is called.
	step string
	// kind of failure of its calls, as the reason of a dead letter names it; empty with an attack that answers well.
	kind string
	// says is part of the reason, whichever it is.
	says string
	// calls says what becomes of each event in turn: "dead_letter", "published" or "dropped". None stands for one dead letter.
	calls []string
	// event is the payload's padding in bytes, for attacks that need a large one.
	event int
}

// corpus is every attack.
func corpus() []attack {
	var all []attack
	for _, part := range [][]attack{malformed(), oversized(), nested(), contract(), starting(), endless(), trapping(), lying(), answers(), patient()} {
		all = append(all, part...)
	}
	return all
}

func refusedAt(step, name, says string, module []byte) attack {
	return attack{name: name, step: step, says: says, module: module}
}

func failsWith(kind, name, says string, module w.Module) attack {
	return attack{name: name, kind: kind, says: says, module: module.Bytes()}
}

func i32s(n int) []byte { return bytes.Repeat([]byte{w.I32}, n) }

func forever() []byte { return w.Loop(w.Br(0)) }

// transform is a plugin whose hook runs code.
func transform(code ...[]byte) w.Module {
	return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", code...)}})
}

// calling is a plugin that imports f as function 0.
func calling(f w.Import, code ...[]byte) w.Module {
	return w.Plugin(w.Module{Imports: []w.Import{f}, Funcs: []w.Func{w.Hook("wse_transform", code...)}})
}

// saying is a plugin that answers every event with text.
func saying(text string) w.Module {
	const at = 1 << 12
	m := transform(w.Pack(at, len(text)))
	m.Pages = 4 + len(text)>>16
	m.Data = []w.Data{{At: at, Bytes: []byte(text)}}
	if len(text) > w.Buffer-at {
		m.Pages, m.Data[0].At = 40, 3*w.Buffer
		m.Funcs[0] = w.Hook("wse_transform", w.Pack(3*w.Buffer, len(text)))
	}
	return m
}

// with is a plugin that passes every event on, and has another function besides.
func with(f w.Func) w.Module {
	return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), f}})
}

// good is a plugin that passes every event on.
func good() []byte { return transform(w.I64Const(1)).Bytes() }

// raw is a module of sections that are given as they are.
func raw(sections ...[]byte) []byte { return w.Cat(append([][]byte{w.Header()}, sections...)...) }

// count is n as an unsigned number with a value behind it that is not there: what a length bomb looks like.
func count(n int, rest ...byte) []byte { return append(w.U(nil, n), rest...) }

const most = 1<<32 - 1

// malformed modules are no modules at all.
func malformed() []attack {
	whole := good()
	attacks := []attack{
		refusedAt("-", "an empty file", "no candidate", nil),
		refusedAt("scan", "a text", "", []byte("hello, world, this is no module")),
		refusedAt("scan", "a picture", "", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")),
		refusedAt("scan", "a component", "component", []byte("\x00asm\x0d\x00\x01\x00")),
		refusedAt("scan", "another version of the format", "version", []byte("\x00asm\x02\x00\x00\x00")),
		refusedAt("scan", "a section longer than the file", "", raw([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f})),
		refusedAt("scan", "a section that is not known", "", raw(w.Section(14, 0))),
		refusedAt("scan", "sections in the wrong order", "", raw(w.Section(3, 0), w.Section(1, 0))),
		refusedAt("scan", "a section twice", "", raw(w.Section(1, 0), w.Section(1, 0))),
		refusedAt("scan", "a number that never ends", "", raw([]byte{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00})),
		refusedAt("scan", "bytes behind the module", "", append(bytes.Clone(whole), 0xff)),
		refusedAt("scan", "a name that is not UTF-8", "", raw(w.Section(7, w.Cat([]byte{1, 2}, []byte("\xff\xfe"), []byte{0, 0})...))),
		refusedAt("compile", "operands of the wrong type", "", with(w.Func{Code: w.Cat(w.I64Const(1), []byte{0x45, 0x1a})}).Bytes()),
		refusedAt("compile", "a stack that is empty", "", with(w.Func{Code: []byte{0x1a}}).Bytes()),
		refusedAt("", "a branch to nowhere", "", with(w.Func{Code: w.Br(4000)}).Bytes()),
		refusedAt("", "a local that is not there", "", with(w.Func{Code: w.Cat(w.LocalGet(77), []byte{0x1a})}).Bytes()),
		refusedAt("", "a function that is not there", "", with(w.Func{Code: w.Call(77)}).Bytes()),
	}
	for _, at := range []int{4, 8, 9, 20, len(whole) / 2, len(whole) - 20, len(whole) - 1} {
		attacks = append(attacks, refusedAt("", "a file cut off after "+itoa(at)+" bytes", "", whole[:at]))
	}
	for name, op := range map[string][]byte{
		"an exception": {0x08, 0}, "a tail call": {0x12, 0}, "an atomic operation": {0xfe, 0x03, 0},
		"a relaxed vector": {0xfd, 0x80, 0x02}, "a garbage-collected type": {0xfb, 0x00, 0}, "no instruction at all": {0x27},
	} {
		attacks = append(attacks, refusedAt("scan", name, "opcode", with(w.Func{Code: op}).Bytes()))
	}
	return attacks
}

// oversized modules declare more than they hold, or hold more than anybody needs.
func oversized() []attack {
	var attacks []attack
	for id, section := range []string{"", "type", "import", "function", "table", "", "global", "export", "", "element", "code", "data"} {
		if section != "" {
			attacks = append(attacks, refusedAt("scan", "four thousand million entries in the "+section+" section", "",
				raw(w.Section(byte(id), count(most)...))))
		}
	}
	names := bytes.Repeat(w.Cat([]byte{1, 'x', 0, 0}), 5_000)
	types := bytes.Repeat([]byte{0x60, 0, 0}, 100_000)
	segments := bytes.Repeat([]byte{0, 0x41, 0, 0x0b, 0}, 200_000)
	targets := w.Cat([]byte{0x41, 0, 0x0e}, count(200_000), make([]byte, 200_001))
	locals := w.Cat([]byte{1}, count(most), []byte{w.I32, 0x0b})
	large := transform(w.I64Const(1))
	large.Custom = w.Section(0, w.Cat(w.Text(nil, "ballast"), make([]byte, 16<<20))...)
	customs := transform(w.I64Const(1))
	customs.Custom = bytes.Repeat(w.Section(0, 1, 'x'), 1_000)
	return append(attacks,
		attack{name: "a file of more than 16 MiB", module: large.Bytes(), step: "-", says: "KiB"},
		refusedAt("scan", "a table of four thousand million elements, in 21 bytes", "table_elements_max", raw(w.Section(4, w.Cat([]byte{1, 0x70, 0}, count(most))...), w.Section(5, 1, 0, 1))),
		refusedAt("scan", "a table of ten million elements", "table_elements_max", raw(w.Section(4, w.Cat([]byte{1, 0x70, 0}, count(10_000_000))...))),
		refusedAt("scan", "a hundred tables", "tables_max", raw(w.Section(4, w.Cat(count(100), bytes.Repeat([]byte{0x70, 0, 1}, 100))...))),
		refusedAt("scan", "a memory of 4 GiB", "memory_mib", w.Plugin(w.Module{Pages: 65_536, Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}).Bytes()),
		refusedAt("scan", "two memories", "", raw(w.Section(5, 2, 0, 1, 0, 1))),
		refusedAt("scan", "a memory of 64-bit addresses", "", raw(w.Section(5, 1, 4, 1))),
		refusedAt("scan", "a shared memory", "", raw(w.Section(5, 1, 3, 1, 2))),
		refusedAt("scan", "a hundred thousand types", "types_max", raw(w.Section(1, w.Cat(count(100_000), types)...))),
		refusedAt("scan", "a type of a thousand parameters", "params_max", raw(w.Section(1, w.Cat([]byte{1, 0x60}, count(1000), i32s(1000), []byte{0})...))),
		refusedAt("scan", "a type of a thousand results", "results_max", raw(w.Section(1, w.Cat([]byte{1, 0x60, 0}, count(1000), i32s(1000))...))),
		refusedAt("scan", "fifty thousand functions and more", "functions_max", raw(w.Section(1, 1, 0x60, 0, 0), w.Section(3, w.Cat(count(60_000), make([]byte, 60_000))...))),
		refusedAt("scan", "four thousand million locals, in six bytes", "locals_max", raw(w.Section(1, 1, 0x60, 0, 0), w.Section(3, 1, 0),
			w.Section(10, w.Cat([]byte{1}, count(len(locals)), locals)...))),
		refusedAt("scan", "a body of two megabytes", "function_kib_max", with(w.Func{Code: bytes.Repeat([]byte{0x01}, 2<<20)}).Bytes()),
		refusedAt("scan", "a br_table of 200,000 targets", "branch_targets_max", with(w.Func{Code: targets}).Bytes()),
		refusedAt("scan", "five thousand exports", "exports_max", raw(w.Section(1, 1, 0x60, 0, 0), w.Section(3, 1, 0), w.Section(7, w.Cat(count(5_000), names)...))),
		refusedAt("scan", "five thousand globals", "globals_max", raw(w.Section(6, w.Cat(count(5_000), bytes.Repeat([]byte{w.I64, 1, 0x42, 0, 0x0b}, 5_000))...))),
		refusedAt("scan", "two hundred thousand data segments", "segments_max", raw(w.Section(5, 1, 0, 1), w.Section(11, w.Cat(count(200_000), segments)...))),
		refusedAt("scan", "a thousand custom sections", "custom_sections_max", customs.Bytes()),
		refusedAt("scan", "a name of a megabyte", "name_bytes_max", with(w.Func{Export: strings.Repeat("x", 1<<20)}).Bytes()),
		refusedAt("instantiate", "data outside the memory", "", w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))},
			Data: []w.Data{{At: 1 << 30, Bytes: []byte("x")}}}).Bytes()),
	)
}

// nested modules are small and keep a compiler busy.
func nested() []attack {
	wrap := func(n int, open ...byte) []byte {
		return w.Cat(bytes.Repeat(open, n), bytes.Repeat([]byte{0x0b}, n))
	}
	return []attack{
		refusedAt("scan", "a hundred thousand blocks inside each other", "nesting_max", with(w.Func{Code: wrap(100_000, 0x02, 0x40)}).Bytes()),
		refusedAt("scan", "300 KB of loops inside each other", "loop_nesting_max", with(w.Func{Code: wrap(100_000, 0x03, 0x40)}).Bytes()),
		refusedAt("scan", "fifty conditional loops inside each other", "loop_nesting_max", with(w.Func{Code: w.Cat(
			bytes.Repeat(w.Cat([]byte{0x03, 0x40}, w.I32Const(0), []byte{0x04, 0x40}), 50), wrap(0), bytes.Repeat([]byte{0x0b}, 100))}).Bytes()),
	}
}

// contract breaches are sound modules that are no plugins.
func contract() []attack {
	without := func(export string) []byte {
		m := transform(w.I64Const(1))
		for i := range m.Funcs {
			if m.Funcs[i].Export == export {
				m.Funcs[i].Export = ""
			}
		}
		return m.Bytes()
	}
	later := transform(w.I64Const(1))
	later.Funcs[1].Export = "wse_abi_v2"
	blind := transform(w.I64Const(1))
	blind.Pages = 0
	return []attack{
		refusedAt("exports", "no memory", "memory", blind.Bytes()),
		refusedAt("exports", "no ABI", "wse_abi_v1", without("wse_abi_v1")),
		refusedAt("exports", "the ABI of tomorrow", "version 2", later.Bytes()),
		refusedAt("exports", "no buffer", "wse_buffer", without("wse_buffer")),
		refusedAt("exports", "no hook", "wse_transform", without("wse_transform")),
		refusedAt("exports", "a hook that takes nothing and gives nothing", "wse_authorize has type", with(w.Func{Export: "wse_authorize"}).Bytes()),
		refusedAt("exports", "a hook that gives an i32", "wse_validate has type", with(w.Func{Export: "wse_validate", Params: i32s(1), Results: i32s(1), Code: w.I32Const(1)}).Bytes()),
		refusedAt("imports", "an import of a file", "path_open", calling(w.Import{Module: "wasi_snapshot_preview2", Name: "path_open", Params: i32s(9), Results: i32s(1)}, w.I64Const(1)).Bytes()),
		refusedAt("imports", "an import of system", "env.system", calling(w.Import{Module: "env", Name: "system", Params: i32s(1), Results: i32s(1)}, w.I64Const(1)).Bytes()),
		refusedAt("imports", "an import of the right name and the wrong type", "wse.log", calling(w.Import{Module: "wse", Name: "log"}, w.I64Const(1)).Bytes()),
		refusedAt("rewrite", "an export of the host's own name", "wse:", with(w.Func{Export: "wse:fuel"}).Bytes()),
	}
}

// starting modules attack while they are made ready.
func starting() []attack {
	start := with(w.Func{Code: forever()})
	start.Start = 2
	initialize := func(code ...[]byte) []byte { return with(w.Func{Export: "_initialize", Code: w.Cat(code...)}).Bytes() }
	buffer := func(code ...[]byte) []byte {
		m := transform(w.I64Const(1))
		m.Funcs[2].Code = w.Cat(code...)
		return m.Bytes()
	}
	return []attack{
		refusedAt("instantiate", "a start function without end", "", start.Bytes()),
		refusedAt("initialize", "an _initialize without end", "fuel_init", initialize(forever())),
		refusedAt("initialize", "an _initialize that traps", "unreachable", initialize([]byte{0x00})),
		refusedAt("buffer", "a buffer that is refused", "refused", buffer(w.I32Const(0))),
		refusedAt("buffer", "a buffer outside the memory", "inside the memory", buffer(w.I32Const(-16))),
		refusedAt("buffer", "a buffer that never comes", "fuel_init", buffer(forever(), w.I32Const(0))),
		refusedAt("configure", "a configuration that is answered no", "instead of yes", with(w.Hook("wse_configure", w.I64Const(0))).Bytes()),
		refusedAt("configure", "a configuration without end", "fuel_init", with(w.Hook("wse_configure", forever(), w.I64Const(1))).Bytes()),
	}
}

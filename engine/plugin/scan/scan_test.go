package scan_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/scan"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// module joins a header and sections.
func module(sections ...[]byte) []byte { return append(w.Header(), bytes.Join(sections, nil)...) }

func nested(open []byte, n int) w.Module {
	code := bytes.Repeat(open, n)
	return w.Module{Funcs: []w.Func{{Code: append(code, bytes.Repeat([]byte{0x0b}, n)...)}}}
}

// bomb is a module of 21 bytes that makes a trusting decoder ask for 16 GiB: 2^30 function types.
func bomb() []byte { return module(w.Section(1, 0xff, 0xff, 0xff, 0xff, 0x03, 0x60, 0, 0, 0x60, 0, 0)) }

func TestScan_refuses(t *testing.T) {
	_, component := 0, []byte("\x00asm\x0d\x00\x01\x00")
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	oneFunc := [][]byte{w.Section(1, 1, 0x60, 0, 0), w.Section(3, 1, 0)}
	body := func(code ...byte) []byte {
		return module(oneFunc[0], oneFunc[1], w.Section(10, append([]byte{1, byte(len(code))}, code...)...))
	}
	for _, c := range []struct {
		name string
		wasm []byte
		want string
	}{
		{"nothing", nil, "no WebAssembly module"},
		{"text", []byte("(module)"), "no WebAssembly module"},
		{"a component", component, "this is a component"},
		{"another version", []byte("\x00asm\x02\x00\x00\x00"), "binary version other than 1"},
		{"a large file", append(w.Header(), make([]byte, 17<<20)...), "module_kib_max"},
		{"a bomb of 21 bytes", bomb(), "types"},
		{"a memory of 4 GiB", w.Module{Pages: 65536}.Bytes(), "memory asks for 65536 at once"},
		{"a large table", w.Module{Table: 100_000, Funcs: []w.Func{{}}}.Bytes(), "table asks for 100000 at once"},
		{"a 64-bit memory", module(w.Section(5, 1, 4, 1)), "shared and 64-bit ones are not supported"},
		{"a shared memory", module(w.Section(5, 1, 3, 1, 1)), "shared and 64-bit ones are not supported"},
		{"two memories", module(w.Section(5, 2, 0, 1, 0, 1)), "2 memories"},
		{"garbage collection", module(w.Section(1, 1, 0x5f, 0, 0)), "only function types"},
		{"exceptions", module(w.Section(13, 0)), "section 13"},
		{"sections out of order", module(w.Section(3, 0), w.Section(1, 0)), "twice or out of order"},
		{"a section twice", module(w.Section(1, 0), w.Section(1, 0)), "twice or out of order"},
		{"a section longer than the file", append(w.Header(), 1, 100), "are left"},
		{"a section with a rest", module(w.Section(1, 0, 0)), "bytes too many"},
		{"a function without a body", module(oneFunc[0], oneFunc[1]), "1 functions are declared, 0 have a body"},
		{"locals without end", body(append([]byte{1}, append(huge, w.I32, 0x0b)...)...), "locals_max"},
		{"a nest of blocks", nested([]byte{0x02, 0x40}, 9000).Bytes(), "nesting_max"},
		{"a nest of loops", nested([]byte{0x03, 0x40}, 100).Bytes(), "loop_nesting_max"},
		{"a jump table without end", body(append(append([]byte{0, 0x0e}, huge...), 0x0b)...), "br_table targets"},
		{"an unknown instruction", body(0, 0x06, 0x0b), "opcode 0x06"},
		{"a tail call", body(0, 0x12, 0, 0x0b), "opcode 0x12"},
		{"relaxed vectors", body(0, 0xfd, 0x80, 0x02, 0x0b), "opcode 0xfd 256"},
		{"a branch too far", body(0, 0x0c, 1, 0x0b), "branch to label 1 of 1"},
		{"code behind the end", body(0, 0x0b, 0x0b), "after the end of the function"},
		{"no end", body(0, 0x01), "ends too early"},
		{"else without if", body(0, 0x02, 0x40, 0x05, 0x0b, 0x0b), "else without if"},
		{"a call into nothing", body(0, 0x10, 1, 0x0b), "function 1 of 1"},
		{"a number too long", body(0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x1a, 0x0b), "number longer than 32 bits"},
		{"names without end", module(w.Section(0, append(append(w.Text(nil, "name"), 1, 5), huge...)...)), "names"},
		{"a name that is not UTF-8", module(w.Section(0, 1, 0xff)), "is not UTF-8"},
		{"custom sections without end", module(bytes.Repeat(w.Section(0, 1, 'x'), 65)), "custom_sections_max"},
		{"an export twice", w.Module{Funcs: []w.Func{{Export: "a"}, {Export: "a"}}}.Bytes(), `export "a" twice`},
		{"a computed constant", module(w.Section(6, 1, w.I32, 0, 0x41, 1, 0x41, 2, 0x6a, 0x0b)), "more than one instruction"},
		{"many results", module(w.Section(1, append([]byte{1, 0x60, 0, 17}, bytes.Repeat([]byte{w.I32}, 17)...)...)), "17 results"},
		{"many globals", w.Module{Globals: 5000}.Bytes(), "5000 globals"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := scan.Scan(c.wasm, scan.Limits{})
			require.ErrorIs(t, err, scan.ErrModule)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestScan_refuses_every_truncation(t *testing.T) {
	wasm := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}, Table: 3, Globals: 1}).Bytes()
	_, err := scan.Scan(wasm, scan.Limits{})
	require.NoError(t, err)
	cut := 0
	for n := range wasm {
		if _, err := scan.Scan(wasm[:n], scan.Limits{}); err != nil {
			cut++
		}
	}
	// Only a cut between two sections can leave a module whole: before any function is declared, and behind the code.
	require.Greater(t, cut, len(wasm)-5)
}

func TestOutline_is_Scan_without_bodies(t *testing.T) {
	for _, m := range []w.Module{
		w.Plugin(w.Module{Imports: []w.Import{{Module: "wse", Name: "log", Params: []byte{w.I32}}}, Table: 3, Globals: 2,
			Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}, Data: []w.Data{{At: 9, Bytes: []byte("x")}}}),
		{},
	} {
		wasm := m.Bytes()
		whole, err := scan.Scan(wasm, scan.Limits{})
		require.NoError(t, err)
		outline, err := scan.Outline(wasm, scan.Limits{})
		require.NoError(t, err)
		whole.Bodies, whole.Instructions = nil, 0
		require.Equal(t, whole, outline)
	}
	_, err := scan.Outline(bomb(), scan.Limits{})
	require.ErrorIs(t, err, scan.ErrModule)
}

func TestScan_allocates_in_proportion_to_the_file(t *testing.T) {
	wasm := bomb() // asks for sixteen gigabytes in 21 bytes
	require.Less(t, testing.AllocsPerRun(10, func() { _, _ = scan.Scan(wasm, scan.Limits{}) }), 40.0)
}

func TestLimits_name_the_field_that_is_out_of_range(t *testing.T) {
	require.ErrorContains(t, scan.Limits{LocalsMax: -1}.Validate(), "locals_max: -1 must be between")
	require.NoError(t, scan.DefaultLimits().Validate())
	require.Equal(t, scan.DefaultLimits(), scan.Limits{}.WithDefaults())
}

func FuzzScan(f *testing.F) {
	f.Add(bomb())
	f.Add(nested([]byte{0x03, 0x40}, 20).Bytes())
	f.Add(w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}, Table: 3, Globals: 1}).Bytes())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := scan.Scan(wasm, scan.Limits{})
		if err != nil {
			require.ErrorIs(t, err, scan.ErrModule)
			return
		}
		for i := range m.Bodies {
			walker, last := scan.Walk(wasm, m, scan.Limits{}, i), m.Bodies[i].Code
			var in scan.Instr
			for walker.Next(&in) {
				require.Equal(t, last, in.Start)
				last = in.End
			}
			require.NoError(t, walker.Err())
			require.Equal(t, m.Bodies[i].End, last)
		}
	})
}

package meter_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// spent runs the exported function "run" of m and returns the fuel it used.
func spent(t *testing.T, m w.Module, args ...uint64) int64 {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	mod, err := rt.Instantiate(ctx, rewrite(t, m.Bytes()))
	require.NoError(t, err)
	fuel := mod.ExportedGlobal(meter.Export).(api.MutableGlobal)
	fuel.Set(uint64(plenty))
	_, err = mod.ExportedFunction("run").Call(ctx, args...)
	require.NoError(t, err)
	return plenty - int64(fuel.Get())
}

func TestRewrite_charges_exactly_what_the_price_list_says(t *testing.T) {
	const entry = 12 + 1                    // three locals
	nop := repeat(1, w.I32Const(1), drop()) // 2 units
	run := func(code ...[]byte) w.Module {
		return w.Module{Pages: 1, PagesMax: 4, Funcs: []w.Func{{Export: "run", Params: []byte{w.I32}, Locals: []byte{w.I32, w.I32}, Code: w.Cat(code...)}}}
	}
	turns := w.Loop(w.LocalGet(0), w.I32Const(1), []byte{0x6b, 0x22, 0}, w.BrIf(0))                                 // 5 units a turn, and 1 for the local that is set
	long := repeat(50, nop)                                                                                         // 100 units, more than rides along
	sets := w.Cat(w.I32Const(0), w.LocalSet(0), w.I32Const(0), w.LocalSet(1), w.I32Const(0), []byte{0x22, 1, 0x1a}) // two locals, 7 units
	arms := func(arm []byte) []byte { return w.Block(w.LocalGet(2), w.BrIf(0), arm) }
	iff := func(then, other []byte) []byte {
		return w.Cat(w.LocalGet(0), []byte{0x04, 0x40}, then, []byte{0x05}, other, []byte{0x0b})
	}
	for _, c := range []struct {
		name string
		m    w.Module
		arg  uint64
		want int64
	}{
		{"nothing", run(), 0, entry},
		{"straight line", run(repeat(10, nop)), 0, entry + 20},
		{"a block is free", run(w.Block(nop), w.Block(w.Block(nop))), 0, entry + 4},
		{"ten turns", run(turns), 10, entry + 10*6},
		{"what follows a loop", run(turns, nop), 10, entry + 10*6 + 2},
		{"a short arm rides along", run(iff(nop, nop)), 0, entry + 2 + 2 + 2},
		{"a long arm pays for itself, taken", run(iff(long, nop)), 1, entry + 2 + 2 + 100},
		{"a long arm pays for itself, not taken", run(iff(long, nop)), 0, entry + 2 + 2},
		{"behind a branch, not reached", run(w.Block(w.LocalGet(0), w.BrIf(0), long)), 1, entry + 2},
		{"behind a branch, reached", run(w.Block(w.LocalGet(0), w.BrIf(0), long)), 0, entry + 2 + 100},
		{"code nobody reaches", run(w.Block(w.Br(0), long)), 0, entry + 1},
		{"an arm that sets locals, not taken", run(w.LocalGet(1), []byte{0x04, 0x40}, sets, long, []byte{0x0b}), 0, entry + 2 + 2},
		{"a block that sets locals, left before", run(w.I32Const(1), w.LocalSet(2), arms(w.Cat(sets, long))), 0, entry + 2 + 2 + 2},
		{"an arm in an arm that sets the same", run(w.I32Const(1), w.LocalSet(2), arms(w.Cat(long, sets, arms(sets)))), 0, entry + 2 + 2 + 2},
		{"a block that nothing leaves", run(w.Block(sets)), 0, entry + 7},
		{"a loop that sets locals, once", run(w.Loop(sets, w.Block(w.LocalGet(2), w.BrIf(0)), w.I32Const(0), w.BrIf(0))), 0, entry + 7 + 2 + 2 + 2},
		{"a loop that nothing repeats", run(w.Loop(sets)), 0, entry + 7},
		{"a block with a value, left", run([]byte{0x02, w.I32}, w.I32Const(1), w.LocalGet(1), w.BrIf(0), []byte{0x0b}, drop()), 0, entry + 3 + 1 + 1},
		{"division", run(w.I32Const(6), w.I32Const(3), []byte{0x6d}, drop()), 0, entry + 3 + 16},
		{"fill by the byte", run(w.I32Const(0), w.I32Const(0), w.I32Const(800), []byte{0xfc, 0x0b, 0}), 0, entry + 3 + 24 + 100},
		{"growth by the page", run(w.I32Const(2), []byte{0x40, 0}, drop()), 0, entry + 2 + 100 + 2<<14},
		{"growth that fails is charged too", run(w.I32Const(100), []byte{0x40, 0}, drop()), 0, entry + 2 + 100 + 100<<14},
		{"a call", w.Module{Funcs: []w.Func{{Export: "run", Code: w.Call(1)}, {Code: nop}}}, 0, 12 + 2 + 12 + 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var args []uint64
			if len(c.m.Funcs[0].Params) > 0 {
				args = append(args, c.arg)
			}
			require.Equal(t, c.want, spent(t, c.m, args...))
			require.Equal(t, c.want, spent(t, c.m, args...), "the same again")
		})
	}
}

func TestRewrite_gives_the_same_bytes_each_time(t *testing.T) {
	wasm := stockModule(t, "mapping")
	require.Equal(t, rewrite(t, wasm), rewrite(t, wasm))
}

func TestRewrite_traps_below_zero(t *testing.T) {
	for name, m := range worstModules() {
		t.Run(name, func(t *testing.T) {
			fn, fuel := startWorst(t, m)
			fuel.Set(100_000)
			err := fn.CallWithStack(context.Background(), make([]uint64, 1))
			require.Error(t, err)
			require.Negative(t, int64(fuel.Get()))
		})
	}
}

func TestRewrite_bounds_the_start_function(t *testing.T) {
	m := w.Module{Funcs: []w.Func{{Code: w.Loop(w.Br(0))}}, Start: 1}
	ctx := t.Context()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	shape, err := scan.Scan(m.Bytes(), scan.Limits{})
	require.NoError(t, err)
	out, err := meter.Rewrite(m.Bytes(), shape, scan.Limits{}, meter.Options{Fuel: 1000})
	require.NoError(t, err)
	_, err = rt.Instantiate(ctx, out)
	require.ErrorContains(t, err, "unreachable")
}

func TestRewrite_clamps_what_may_grow(t *testing.T) {
	m := w.Module{Pages: 1, PagesMax: 65536, Table: 2, Funcs: []w.Func{{Export: "run"}}}
	shape, err := scan.Scan(rewrite(t, m.Bytes()), scan.Limits{})
	require.NoError(t, err)
	require.Equal(t, scan.Limit{Min: 1, Max: 256, HasMax: true}, shape.Memory)
	require.Equal(t, scan.Limit{Min: 2, Max: 1 << 16, HasMax: true}, shape.Tables[0].Limit)
}

func TestRewrite_keeps_indexes_and_names_and_drops_other_custom_sections(t *testing.T) {
	m := w.Module{
		Imports: []w.Import{{Module: "env", Name: "nothing"}}, Globals: 3,
		Funcs:  []w.Func{{Export: "run", Name: "first", Code: w.Call(0)}, {Name: "second"}},
		Custom: w.Section(0, append(w.Text(nil, ".debug_line"), 1, 2, 3)...),
	}
	in := m.Bytes()
	out := rewrite(t, in)
	before, err := scan.Scan(in, scan.Limits{})
	require.NoError(t, err)
	after, err := scan.Scan(out, scan.Limits{})
	require.NoError(t, err)
	require.Equal(t, before.Funcs, after.Funcs)
	require.Equal(t, append(before.Globals, scan.Global{Type: scan.I64, Mutable: true}), after.Globals)
	require.Equal(t, append(before.Exports, scan.Export{Name: meter.Export, Kind: scan.KindGlobal, Index: 3}), after.Exports)
	names, kept := customs(before, in), customs(after, out)
	require.Len(t, names, 2)
	require.Equal(t, names[:1], kept)
}

func customs(m *scan.Module, wasm []byte) (out [][]byte) {
	for _, s := range m.Sections {
		if s.ID == scan.SectionCustom {
			out = append(out, bytes.Clone(wasm[s.Content:s.End]))
		}
	}
	return out
}

func TestRewrite_lets_no_guest_reach_the_fuel(t *testing.T) {
	t.Run("by a name", func(t *testing.T) {
		m := w.Module{Funcs: []w.Func{{Export: "wse:fuel"}}}
		shape, err := scan.Scan(m.Bytes(), scan.Limits{})
		require.NoError(t, err)
		_, err = meter.Rewrite(m.Bytes(), shape, scan.Limits{}, meter.Options{})
		require.ErrorIs(t, err, meter.ErrExport)
	})
	t.Run("by the index it is going to have", func(t *testing.T) {
		m := w.Module{Globals: 1, Funcs: []w.Func{{Export: "run", Code: w.Cat(w.I64Const(1<<40), []byte{0x24, 1})}}}
		_, err := scan.Scan(m.Bytes(), scan.Limits{})
		require.ErrorContains(t, err, "global 1 of 1")
	})
	t.Run("by the scratch local's index", func(t *testing.T) {
		m := w.Module{Pages: 1, Funcs: []w.Func{{Export: "run", Code: w.Cat(w.I32Const(0), w.LocalSet(0), w.I32Const(0), w.I32Const(0), w.I32Const(0), []byte{0xfc, 0x0b, 0})}}}
		_, err := scan.Scan(m.Bytes(), scan.Limits{})
		require.ErrorContains(t, err, "local 0 of 0")
	})
}

// FuzzRewrite: what the scan admits and the compiler takes, the compiler takes metered as well.
func FuzzRewrite(f *testing.F) {
	f.Add(stockModule(f, "topicauth"))
	for _, m := range worstModules() {
		f.Add(m.Bytes())
	}
	ctx := context.Background()
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := scan.Scan(wasm, scan.Limits{ModuleKiBMax: 64})
		if err != nil {
			return
		}
		out, err := meter.Rewrite(wasm, m, scan.Limits{}, meter.Options{Fuel: 1, MemoryPagesMax: 256, TableElementsMax: 1 << 16})
		if err != nil {
			require.ErrorIs(t, err, meter.ErrExport)
			return
		}
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(256).WithDebugInfoEnabled(false))
		defer rt.Close(ctx)
		_, plain := rt.CompileModule(ctx, wasm)
		_, metered := rt.CompileModule(ctx, out)
		require.Equal(t, plain == nil, metered == nil, "plain: %v, metered: %v", plain, metered)
	})
}

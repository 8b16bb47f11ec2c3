package meter_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/meter"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// repeat joins n copies of code.
func repeat(n int, code ...[]byte) []byte {
	var out []byte
	for range n {
		out = append(out, w.Cat(code...)...)
	}
	return out
}

// drop is an instruction that throws a value away.
func drop() []byte { return []byte{0x1a} }

// worstModules are loops that never end, each the costliest use of one kind of instruction.
func worstModules() map[string]w.Module {
	const i64Div, i64Rem, f64Sqrt = 0x7f, 0x81, 0x9f
	loop := func(code ...[]byte) w.Module {
		return w.Module{Pages: 256, PagesMax: 256, Funcs: []w.Func{{
			Export: "run", Locals: []byte{w.I64, w.I64, w.F64, w.I32}, Code: w.Loop(w.Cat(code...), w.Br(0)),
		}}}
	}
	// x = x*6364136223846793005+1442695040888963407, the address its high bits: every load misses the cache.
	random := w.Cat(w.LocalGet(0), w.I64Const(6364136223846793005), []byte{0x7e}, w.I64Const(1442695040888963407), []byte{0x7c},
		[]byte{0x22, 0}, w.I64Const(40), []byte{0x88, 0xa7})
	bulk := func(op byte, size int64, args ...int64) w.Module {
		var code []byte
		for _, a := range args {
			code = append(code, w.I32Const(a)...)
		}
		imm := map[byte][]byte{0x0a: {0xfc, 0x0a, 0, 0}, 0x0b: {0xfc, 0x0b, 0}}[op]
		return loop(code, w.I32Const(size), imm)
	}
	wide := make([]byte, 1000)
	for i := range wide {
		wide[i] = w.I64
	}
	all := map[string]w.Module{
		"empty turn":      loop(),
		"divide":          loop(repeat(64, w.LocalGet(0), w.I64Const(-7), []byte{i64Div}, w.I64Const(1<<62+1), []byte{0x7c}, w.LocalSet(0))),
		"remainder":       loop(repeat(64, w.LocalGet(0), w.LocalGet(0), w.I64Const(3), []byte{0x84}, []byte{i64Rem}, w.I64Const(1<<62+12345), []byte{0x7c}, w.LocalSet(0))),
		"square root":     loop(repeat(64, w.LocalGet(2), []byte{f64Sqrt, 0x21, 2})),
		"add float":       loop(repeat(64, w.LocalGet(2), w.LocalGet(2), []byte{0xa0, 0x21, 2})),
		"multiply":        loop(repeat(64, w.LocalGet(0), w.LocalGet(0), []byte{0x7e}, w.LocalSet(0))),
		"random load":     loop(repeat(16, random, w.I32Const(0xfffff8), []byte{0x71, 0x29, 0, 0}, w.LocalGet(0), []byte{0x7c, 0x21, 0})),
		"random store":    loop(repeat(16, random, w.I32Const(0xfffff8), []byte{0x71}, w.LocalGet(0), []byte{0x37, 0, 0})),
		"copy nothing":    bulk(0x0a, 0, 0, 1024),
		"copy 64":         bulk(0x0a, 64, 0, 1024),
		"copy 4 KiB":      bulk(0x0a, 4096, 0, 1<<20),
		"copy 4 MiB":      bulk(0x0a, 4<<20, 1, 1<<23),
		"fill 64":         bulk(0x0b, 64, 0, 1),
		"fill 8 MiB":      bulk(0x0b, 8<<20, 0, 1),
		"grow by nothing": loop(w.I32Const(0), []byte{0x40, 0}, drop()),
		"memory size":     loop(repeat(64, []byte{0x3f, 0}, drop())),
		"call": {Funcs: []w.Func{
			{Export: "run", Code: w.Loop(repeat(64, w.Call(1)), w.Br(0))}, {Code: nil},
		}},
		"call wide": {Funcs: []w.Func{
			{Export: "run", Code: w.Loop(repeat(64, w.Call(1)), w.Br(0))}, {Locals: wide, Code: repeat(1000, w.LocalGet(5), w.LocalSet(7))},
		}},
		"recursion":      {Funcs: []w.Func{{Export: "run", Code: w.Cat(w.Call(0))}}},
		"wide recursion": {Funcs: []w.Func{{Export: "run", Locals: wide, Code: recursionWide()}}},
		"deep operands":  {Funcs: []w.Func{{Export: "run", Params: []byte{w.I64}, Results: []byte{w.I64}, Code: deepOperands()}}},
		"call indirect": {Table: 2, Funcs: []w.Func{
			{Export: "run", Code: w.Loop(repeat(64, w.I32Const(1), []byte{0x11, 0, 0}), w.Br(0))}, {Code: nil},
		}},
		"ref func":   {Table: 2, Funcs: []w.Func{{Export: "run", Code: w.Loop(repeat(64, []byte{0xd2, 0}, drop()), w.Br(0))}}},
		"table grow": {Table: 2, Funcs: []w.Func{{Export: "run", Code: w.Loop(repeat(8, []byte{0xd0, 0x70}, w.I32Const(1), []byte{0xfc, 0x0f, 0}, drop()), w.Br(0))}}},
		"table fill": {Table: 60000, Funcs: []w.Func{{Export: "run", Code: w.Loop(w.I32Const(0), []byte{0xd0, 0x70}, w.I32Const(60000), []byte{0xfc, 0x11, 0}, w.Br(0))}}},
		"host call": {
			Imports: []w.Import{{Module: "env", Name: "nothing"}},
			Funcs:   []w.Func{{Export: "run", Code: w.Loop(repeat(64, w.Call(0)), w.Br(0))}},
		},
	}
	maps.Copy(all, worstMeetings())
	return all
}

// worstMeetings have many locals and values to move where branches meet, and next to no instructions on the way there.
func worstMeetings() map[string]w.Module {
	i64s := func(n int) []byte { return bytes.Repeat([]byte{w.I64}, n) }
	all := map[string]w.Module{}
	for _, n := range []int{100, 1000, 8000} {
		var arm []byte
		for i := range n {
			arm = append(arm, w.Cat(w.LocalGet((i+1)%n), w.LocalGet(i), []byte{0x7c}, w.LocalSet(i))...)
		}
		arm = w.Cat(w.LocalGet(n), []byte{0xa7, 0x04, 0x40}, arm, []byte{0x0b}) // never taken
		all[fmt.Sprintf("jump over %d sets", n)] = w.Module{Funcs: []w.Func{{Export: "run", Locals: i64s(n + 1), Code: w.Loop(arm, w.Br(0))}}}
		all[fmt.Sprintf("jump over %d sets, call", n)] = w.Module{Funcs: []w.Func{{Export: "run", Locals: i64s(n + 1), Code: w.Loop(arm, w.Call(1), w.Br(0))}, {}}}
	}
	// A loop that takes 64 values; each turn shifts them by one.
	shift := w.Cat(repeat(64, w.I64Const(7)), []byte{0x03, 1}, w.LocalGet(0), w.Br(0), []byte{0x0b})
	all["shift 64 values"] = w.Module{Funcs: []w.Func{{Export: "run", Locals: i64s(1), Code: shift}, {Params: i64s(64)}}}
	// A br_table to each of a thousand block ends, between which there is a call, or an addition.
	const ends = 1000
	table := w.U(w.Cat(w.LocalGet(20), []byte{0xa7, 0x0e}), ends-1)
	for i := range ends {
		table = w.U(table, i)
	}
	for i := range ends {
		between := w.Call(1)
		if i%2 == 0 {
			between = w.Cat(w.LocalGet(i%20), w.LocalGet((i+1)%20), []byte{0x7c}, w.LocalSet(20))
		}
		table = w.Cat(w.Block(table), between)
	}
	all["fall through block ends"] = w.Module{Funcs: []w.Func{{Export: "run", Locals: i64s(21), Code: w.Loop(table, w.I64Const(0), w.LocalSet(20), w.Br(0))}, {}}}
	// A function that takes 16 values and gives them back in another order.
	var back []byte
	for i := range 16 {
		back = append(back, w.LocalGet(15-i)...)
	}
	all["sixteen results"] = w.Module{Funcs: []w.Func{
		{Export: "run", Code: w.Cat(repeat(16, w.I64Const(3)), []byte{0x03, 1}, repeat(20, w.Call(1)), w.Br(0), []byte{0x0b}, repeat(16, drop()))},
		{Params: i64s(16), Results: i64s(16), Code: back},
	}}
	return all
}

// recursionWide keeps a thousand locals alive across the call.
func recursionWide() []byte {
	var before, after []byte
	for i := range 1000 {
		before = append(before, w.Cat(w.LocalGet(i), w.I64Const(int64(i)), []byte{0x7c}, w.LocalSet(i))...)
		after = append(after, w.Cat(w.LocalGet(i), w.LocalGet((i+1)%1000), []byte{0x7c}, w.LocalSet(i))...)
	}
	return w.Cat(before, w.Call(0), after)
}

// deepOperands keeps a thousand operands alive across the call.
func deepOperands() []byte {
	return w.Cat(repeat(1000, w.LocalGet(0), w.LocalGet(0), []byte{0x7e}), w.LocalGet(0), w.Call(0), repeat(1000, []byte{0x7c}))
}

func startWorst(t testing.TB, m w.Module) (api.Function, api.MutableGlobal) {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithDebugInfoEnabled(false))
	t.Cleanup(func() { _ = rt.Close(ctx) })
	_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}), nil, nil).Export("nothing").Instantiate(ctx)
	require.NoError(t, err)
	mod, err := rt.Instantiate(ctx, rewrite(t, m.Bytes()))
	require.NoError(t, err)
	return mod.ExportedFunction("run"), mod.ExportedGlobal(meter.Export).(api.MutableGlobal)
}

const defaultFuel = 10_000_000

// BenchmarkWorst runs each worst module on the default budget until it traps. The time per call is what a hostile
// plugin costs the engine for one event; it must stay near 5 ms for all of them.
func BenchmarkWorst(b *testing.B) {
	for name, m := range worstModules() {
		b.Run(name, func(b *testing.B) {
			fn, fuel := startWorst(b, m)
			stack := make([]uint64, 1)
			for b.Loop() {
				fuel.Set(defaultFuel)
				if err := fn.CallWithStack(context.Background(), stack); err == nil {
					b.Fatal("ended by itself")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/defaultFuel, "ns/fuel")
		})
	}
}

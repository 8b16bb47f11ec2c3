package plugin_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// hostWork are transform plugins that never end, each with the costliest use of one thing that the host does for it.
func hostWork() map[string]w.Module {
	const text, size = 4096, 190_000
	drop, value := []byte{0x1a}, []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}
	vector := []byte{0, 16, 0, 0, 0x30, 0xe6, 2, 0} // size bytes at text
	of := func(f w.Import, data string, args ...int64) w.Module {
		var code []byte
		for _, a := range args {
			code = append(code, w.I32Const(a)...)
		}
		if f.Name == "metric" {
			code = append(code, value...)
		}
		code = append(code, w.Call(0)...)
		if len(f.Results) > 0 {
			code = append(code, drop...)
		}
		m := imported(f, w.Loop(code, w.Br(0)), w.I64Const(1))
		m.Data = append(m.Data, w.Data{At: 8, Bytes: vector}, w.Data{At: text, Bytes: bytes.Repeat([]byte(data), size/len(data))})
		return m
	}
	log := w.Import{Module: "wse", Name: "log", Params: i32s(3)}
	metric := w.Import{Module: "wse", Name: "metric", Params: []byte{w.I32, w.I32, w.F64}}
	return map[string]w.Module{
		"empty lines":   of(wasi("fd_write", 4), "\n", 1, 8, 1, 0),
		"short lines":   of(wasi("fd_write", 4), "x\n", 1, 8, 1, 0),
		"empty vectors": of(wasi("fd_write", 4), "\x00", 1, 20_000, 20_000, 0),
		"short message": of(log, "x", 2, text, 1),
		"long message":  of(log, "thread ", 2, text, size),
		"count":         of(metric, "x", text, 64),
		"subscriptions": of(wasi("poll_oneoff", 4), "\x00", text, 120_000, 2000, 0),
		"random bytes":  of(wasi("random_get", 2), "\x00", text, size),
		"random byte":   of(wasi("random_get", 2), "\x00", text, 1),
	}
}

// BenchmarkHostWork runs each on the default budget until it is used up; like what BenchmarkWorst of package meter runs,
// it must stay near 5 ms, of processor time where the machine has other things to do.
func BenchmarkHostWork(b *testing.B) {
	for name, m := range hostWork() {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			cfg := f.add(b, "p", m)
			cfg.Limits.BreakerTraps = 1 << 20
			h := f.open(b, cfg)
			used := processTime(b)
			for b.Loop() {
				_, _, err := transform(b, h, "E", "{}")
				var ce *plugin.CallError
				require.ErrorAs(b, err, &ce)
				require.Equal(b, plugin.OutOfFuel, ce.Kind, err)
			}
			b.ReportMetric(float64(processTime(b)-used)/1e6/float64(b.N), "cpu-ms/op")
		})
	}
}

package plugin_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// peakMiB runs do and returns by how much this process's resident memory grew at most.
func peakMiB(t *testing.T, do func()) int {
	t.Helper()
	high := func(field string) (kib int) {
		status, err := os.ReadFile("/proc/self/status")
		require.NoError(t, err)
		_, rest, _ := strings.Cut(string(status), field+":")
		_, err = fmt.Sscan(rest, &kib)
		require.NoError(t, err)
		return kib
	}
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // the peak begins anew
	before := high("VmRSS")
	do()
	return (high("VmHWM") - before) >> 10
}

// A module that compiles for minutes, and one that needs gigabytes, are refused by name, in time, and it is not the engine
// that pays.
func TestCompile_of_a_bomb_costs_the_engine_neither_time_nor_memory(t *testing.T) {
	const deep = 100_000
	mib := 96
	if plugin.RaceDetector { // whose notes of all memory are memory too
		mib = 384
	}
	nest := append(bytes.Repeat([]byte{0x03, 0x40}, deep), bytes.Repeat([]byte{0x0b}, deep)...)
	// Values that are all alive at the end, in many functions: a compiler holds a great deal for each.
	alive := append(bytes.Repeat(w.Cat(w.LocalGet(0), []byte{0xad}), 240_000), bytes.Repeat([]byte{0x7c}, 239_999)...)
	for _, c := range []struct {
		name   string
		code   []byte
		change func(*plugin.Limits)
		want   string
		within time.Duration
	}{
		{"time", append(nest, w.I64Const(1)...), func(l *plugin.Limits) {
			l.Scan.NestingMax, l.Scan.LoopNestingMax, l.CompileTimeout = deep, deep, 2*time.Second
		}, "took longer than 2s (compile_timeout)", 2 * time.Minute},
		{"memory", alive, func(l *plugin.Limits) { l.CompileMiB, l.CompileTimeout = mib, 10*time.Minute }, fmt.Sprintf("needs more than %d MiB (compile_mib)", mib), 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "bomb", w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", c.code)}}))
			cfg.Path = "bomb"
			good := f.add(t, "good", answering(envelope))
			good.Path = "good"
			c.change(&cfg.Limits)
			c.change(&good.Limits) // within the same limits
			good.Limits.CompileTimeout = 10 * time.Minute
			h := f.open(t, good)
			begin := time.Now()
			peak := peakMiB(t, func() {
				err := h.Reload(t.Context(), plugin.Configs{cfg})
				require.ErrorContains(t, err, "plugin/bomb: compile: ")
				require.ErrorContains(t, err, c.want)
			})
			require.Less(t, time.Since(begin), c.within)
			if !plugin.RaceDetector { // which keeps notes of all memory
				require.Less(t, peak, 100)
			}
			out, _, err := transform(t, h, "E", `{}`)
			require.NoError(t, err)
			require.Equal(t, envelope, out, "what served serves on")
		})
	}
}

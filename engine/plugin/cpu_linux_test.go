package plugin_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// spinning is a transform plugin that goes round a loop a thousand times for each byte of its document.
func spinning() w.Module {
	hook := w.Hook("wse_transform",
		w.LocalGet(0), w.I32Const(1000), []byte{0x6c}, w.LocalSet(1), // times 1000
		w.Block(w.Loop(w.LocalGet(1), []byte{0x45}, w.BrIf(1), w.LocalGet(1), w.I32Const(1), []byte{0x6b}, w.LocalSet(1), w.Br(0))),
		w.I64Const(1))
	hook.Locals = []byte{w.I32}
	return w.Plugin(w.Module{Funcs: []w.Func{hook}})
}

// What Stats tells of a guest agrees with what the kernel counted for the process that did little else: no less than half
// of it, and hardly more.
func TestStats_tell_what_a_guest_costs_the_processor(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "spin", spinning())
	cfg.Limits.Instances = 2
	h := f.open(t, cfg)
	before, begin := processTime(t), time.Now()
	start := h.Stats()[0].CPU
	short, long := []byte(strings.Repeat("x", 20)), []byte(strings.Repeat("x", 500))
	calls := 0
	for ; calls < 10_000 && processTime(t)-before < 2*time.Second; calls++ {
		doc := short
		if calls%50 == 0 {
			doc = long
		}
		_, err := h.Transform(context.Background(), "E", doc, &keeper{})
		require.NoError(t, err)
	}
	wall, used := time.Since(begin), processTime(t)-before
	told := h.Stats()[0].CPU - start
	t.Logf("%d calls: told %v, the kernel %v, the clock %v", calls, told, used, wall)
	require.Greater(t, told, used/2)
	require.Less(t, told, used+used/4)
	require.Equal(t, []plugin.Kind{plugin.Transform}, h.List()[0].Kinds)
}

// processTime is the processor time that the process has used.
func processTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

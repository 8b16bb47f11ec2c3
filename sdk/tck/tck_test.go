package tck_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
	"github.com/wse-engine/wse/sdk/tck"
)

func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	m.Run()
}

func TestEveryCaseHasANameOfItsOwnAndEveryHookHasCases(t *testing.T) {
	list, err := tck.Cases()
	require.NoError(t, err)
	names, hooks := map[string]bool{}, map[string]int{}
	for _, v := range list {
		require.False(t, names[v.Name], v.Name)
		names[v.Name] = true
		hooks[v.Hook]++
		require.Nil(t, v.Data, "%s: compared byte by byte", v.Name)
	}
	for _, hook := range []string{vector.Configure, vector.Transform, vector.TransformBatch, vector.Authorize, vector.Validate, vector.Strategy} {
		require.Greater(t, hooks[hook], 5, hook)
	}
}

// outcomes runs the kit and returns what failed, and how many cases and checks there were.
func outcomes(t *testing.T, m w.Module) (failed map[string]error, total int) {
	t.Helper()
	failed = map[string]error{}
	err := tck.Run(t.Context(), plugin.NewWorkbench(t.TempDir()), plugin.Specimen{Name: "guest", Module: m.Bytes()}, func(o tck.Outcome) {
		if total++; o.Err != nil {
			failed[o.Name] = o.Err
		}
	})
	require.NoError(t, err)
	return failed, total
}

func TestAGuestThatDoesNothingIsTold(t *testing.T) {
	failed, total := outcomes(t, w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}))
	require.Greater(t, total, 200)
	require.ErrorContains(t, failed["every hook is exported"], "wse_transform_batch is not exported")
	require.ErrorContains(t, failed["a buffer that the memory cannot hold is refused"], "although the memory cannot hold that")
	require.ErrorContains(t, failed["drop"], "want no\ngot  yes")
	require.NotContains(t, failed, "any other type is somebody else's")
	require.NotContains(t, failed, "calls leave the memory as large as it is")
}

func TestAGuestThatAllocatesInEveryCallIsTold(t *testing.T) {
	const check = "calls leave the memory as large as it is"
	grow := w.Cat(w.I32Const(1), []byte{0x40, 0, 0x1a}, w.I64Const(1))
	failed, _ := outcomes(t, w.Plugin(w.Module{Pages: 4, Funcs: []w.Func{w.Hook("wse_transform", grow)}}))
	require.ErrorContains(t, failed[check], "something is allocated in each call")

	rarely := w.Hook("wse_transform", // one page every 1024 calls
		w.I32Const(8), w.I32Const(8), []byte{0x28, 2, 0}, w.I32Const(1), []byte{0x6a, 0x36, 2, 0},
		w.I32Const(8), []byte{0x28, 2, 0}, w.I32Const(1023), []byte{0x71, 0x45, 0x04, 0x40}, w.I32Const(1), []byte{0x40, 0, 0x1a, 0x0b}, w.I64Const(1))
	failed, _ = outcomes(t, w.Plugin(w.Module{Pages: 4, Funcs: []w.Func{rarely}}))
	require.ErrorContains(t, failed[check], "something is allocated in each call")
}

func TestWhatIsNoPluginIsRefused(t *testing.T) {
	err := tck.Run(context.Background(), plugin.NewWorkbench(t.TempDir()), plugin.Specimen{Name: "x", Module: []byte("x")}, func(tck.Outcome) {})
	require.ErrorContains(t, err, "plugin/x: scan: ")
}

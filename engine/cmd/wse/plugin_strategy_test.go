package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

const buys = `{"consumed":1,"out":[{"kind":"order","at":0,"id":"a","side":"buy","quantity":1,"order_type":"market","reason":"r"}]}`

// buyer orders at every tick; ticks is what it answers to them otherwise.
func buyer(ticks []byte) w.Module {
	return w.Plugin(w.Module{Data: []w.Data{{At: 1024, Bytes: []byte(buys)}}, Funcs: []w.Func{
		w.Hook("wse_strategy_open", w.I64Const(1)), w.Hook("wse_strategy_ticks", ticks), w.Hook("wse_strategy_update", w.I64Const(0))}})
}

const steps = `[{"open":{"handle":1}},{"ticks":[[1,2],[2,3]]},{"update":{"handle":1,"events":[]}},{"ticks":[[2,3]]}]`

func TestRunTellsAStrategyStepAfterStep(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": buyer(w.Pack(1024, len(buys))), "trap.wasm": buyer([]byte{0})})
	got := outside(t, dir, steps, "plugin", "run", "plugin.wasm", "--hook", "strategy")
	require.Equal(t, exitOK, got.code, got.err)
	require.Regexp(t, `(?s)^step +open\nresult +yes\n.*step +2 ticks\nresult +data\n`+`\{"consumed":1,.*step +update\nresult +no\n.*step +1 ticks\n`, got.out)

	got = outside(t, dir, steps, "plugin", "run", "plugin.wasm", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var all struct{ Steps []stepped }
	require.NoError(t, json.Unmarshal([]byte(got.out), &all))
	require.Len(t, all.Steps, 4)
	require.Equal(t, "ticks", all.Steps[1].Step)
	require.Equal(t, 2, all.Steps[1].Ticks)
	require.JSONEq(t, buys, string(all.Steps[1].Data))

	got = outside(t, dir, steps, "plugin", "run", "trap.wasm")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "trap.wasm: step 2, ticks: trap: unreachable in wse_strategy_ticks")
	got = outside(t, dir, `{"handle":1}`, "plugin", "run", "plugin.wasm")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, "standard input: is no list of steps")
}

func TestBenchMeasuresAStrategyByTheTick(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": buyer(w.Pack(1024, len(buys))), "trap.wasm": buyer([]byte{0})})
	got := outside(t, dir, `{"handle":1}`, "plugin", "bench", "plugin.wasm", "--time", "20ms")
	require.Equal(t, exitOK, got.code, got.err)
	require.Regexp(t, `ticks/s .*\n.* \d{4,} .*standard input \(strategy, a tick\)\n$`, got.out)

	require.NoError(t, os.Mkdir(filepath.Join(dir, "vectors"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vectors", "v.json"), []byte(`[{"name":"v","hook":"strategy","steps":[{"open":{"handle":1},"want":"yes"}]}]`), 0o600))
	got = outside(t, dir, "", "plugin", "bench", ".", "--json", "--time", "20ms")
	require.Equal(t, exitOK, got.code, got.err)
	var all struct{ Results []traded }
	require.NoError(t, json.Unmarshal([]byte(got.out), &all))
	require.Len(t, all.Results, 1)
	require.Equal(t, all.Results[0].Ticks, all.Results[0].Orders)
	require.Positive(t, all.Results[0].UpdateNS)
	require.Positive(t, all.Results[0].FloorNS)

	got = outside(t, dir, `{"handle":1}`, "plugin", "bench", "trap.wasm", "--time", "20ms")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "trap.wasm: standard input: tick 0: trap: unreachable")
}

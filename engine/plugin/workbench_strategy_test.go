package plugin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// workpiece opens a module on a workbench.
func workpiece(t *testing.T, m w.Module) *plugin.Workpiece {
	t.Helper()
	p, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(), specimen(m))
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func vectorOf(t *testing.T, text string) *vector.Vector {
	t.Helper()
	list, err := vector.Parse("v", []byte("["+text+"]"))
	require.NoError(t, err)
	return &list[0]
}

func TestSteps_hold_a_strategy_to_what_it_should_say(t *testing.T) {
	p := workpiece(t, strategist(`{"consumed":1,"out":[{"kind":"indicator","at":0,"name":"a \u0022","value":1.50}]}`, `{"out":[{"kind":"state","state":"exited"}]}`))
	require.Equal(t, []string{"strategy"}, p.Hooks())
	v := vectorOf(t, `{"name":"v","hook":"strategy","steps":[{"open":{"handle":1},"want":"yes"},{"ticks":[[1,2],[3,4]],"want":"data","data_text":
		"{\"consumed\":2,\"out\":[{\"kind\":\"indicator\",\"at\":0,\"name\":\"a \\u0022\",\"value\":1.50},{\"kind\":\"indicator\",\"at\":1,\"name\":\"a \\u0022\",\"value\":1.50}]}"},
		{"update":{},"want":"data","data":{"out":[{"kind":"state","state":"exited"}]}}]}`)
	got, err := p.Check(v)
	require.NoError(t, err)
	require.Positive(t, got.Fuel)
	require.Equal(t, "data", got.Said)
	v.FuelMax = 1
	_, err = p.Check(v)
	require.ErrorContains(t, err, "ticks in batches of 1: used")
	_, err = p.Check(vectorOf(t, `{"name":"v","hook":"strategy","steps":[{"open":{"handle":1},"want":"yes"},{"ticks":[[1,2]],"want":"no"}]}`))
	require.ErrorContains(t, err, "ticks in batches of 1: step 2, ticks: want no\ngot  data {")
}

func TestSteps_find_a_strategy_that_depends_on_how_its_ticks_are_cut(t *testing.T) {
	p := workpiece(t, counting()) // says something every tenth call, so nothing to a single batch
	ticks := `[1,2],[2,2],[3,2],[4,2],[5,2],[6,2],[7,2],[8,2],[9,2],[10,2],[11,2]`
	_, err := p.Check(vectorOf(t, `{"name":"v","hook":"strategy","steps":[{"open":{"handle":1},"want":"yes"},{"ticks":[`+ticks+`],"want":"data",
		"data":{"consumed":11,"out":[{"kind":"indicator","at":9,"name":"tenth","value":1}]}}]}`))
	require.ErrorContains(t, err, "ticks in batches of 7: step 2, ticks: want data")
}

func TestSteps_end_where_the_strategy_orders_and_where_it_fails(t *testing.T) {
	order := workpiece(t, strategist(`{"consumed":1,"out":[{"kind":"cancel","at":0,"id":"x"}]}`, ""))
	_, err := order.Check(vectorOf(t, `{"name":"v","hook":"strategy","steps":[{"ticks":[[1,2],[3,4]],"want":"data","data":{"consumed":1,"out":[{"kind":"cancel","at":0,"id":"x"}]}}]}`))
	require.NoError(t, err)
	for _, c := range []struct {
		ticks []byte
		want  string
	}{
		{[]byte{0}, `"want":"trap","error":"unreachable in wse_strategy_ticks"`}, {w.Cat(forever(), w.I64Const(0)), `"want":"fuel"`},
		{w.I64Const(1), `"want":"violation","error":"the answer of wse_strategy_ticks: yes"`}, {w.I64Const(-1<<63 | 7), `"want":"error","error":"error 7"`},
	} {
		p := workpiece(t, strategyOf(c.ticks, c.ticks))
		_, err := p.Check(vectorOf(t, `{"name":"v","hook":"strategy","steps":[{"ticks":[[1,2],[3,4]],`+c.want+`}]}`))
		require.NoError(t, err)
	}
	p := workpiece(t, strategyOf(w.I64Const(0), w.I64Const(1)))
	got, err := p.Call("strategy_update", []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, "the answer of wse_strategy_update: yes, where only no, data and an error are answers", got.Error)
	_, err = workpiece(t, returning("wse_transform", 1)).Ticks(1, prices(1), 1)
	require.ErrorIs(t, err, plugin.ErrNoHook)
}

func TestTrade_fills_what_a_strategy_orders(t *testing.T) {
	p := workpiece(t, strategist(`{"consumed":1,"out":[{"kind":"order","at":0,"id":"a","side":"buy","notional":50,"order_type":"market","reason":"r"}]}`, ""))
	got, err := p.Trade([]byte(`{"handle":7}`), plugin.WalkTicks(20, 1), 4096)
	require.NoError(t, err)
	require.Equal(t, []int{20, 20, 20, 20}, []int{got.Ticks, got.Calls, got.Orders, got.Updates})
	require.Positive(t, got.Fuel)
	_, err = p.Trade([]byte(`{}`), plugin.WalkTicks(1, 1), 1)
	require.ErrorContains(t, err, "has no handle")
	_, err = workpiece(t, strategyOf([]byte{0}, []byte{0})).Trade([]byte(`{"handle":7}`), plugin.WalkTicks(3, 1), 1)
	require.ErrorContains(t, err, "tick 0: trap: unreachable")
	floor, err := plugin.NewWorkbench(t.TempDir()).FloorStrategy(t.Context())
	require.NoError(t, err)
	defer floor.Close()
	got, err = floor.Trade([]byte(`{"handle":7}`), plugin.WalkTicks(5000, 1), 4096)
	require.NoError(t, err)
	require.Equal(t, []int{5000, 3, 0}, []int{got.Ticks, got.Calls, got.Updates}, "2047 ticks fit into 64 KiB")
}

func TestVectors_hold_a_strategy_before_it_serves(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", state("one"))
	cfg.Vectors = "v.json"
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "v.json"), []byte(`[{"name":"says one","hook":"strategy","steps":[{"ticks":[[1,2]],"want":"data",
		"data":{"consumed":1,"out":[{"kind":"indicator","at":0,"name":"one","value":1}]}}]}]`), 0o600))
	h := f.open(t, cfg)
	_, err := h.Swap(t.Context(), "s", f.candidate(t, state("two")), plugin.Shadow{})
	require.ErrorContains(t, err, `plugin/s: vectors: "says one", case 1 of 1: ticks in batches of 1: step 1, ticks: out[0].name: want "one", got "two"`)
}

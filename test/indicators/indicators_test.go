package indicators

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/plugins"
)

// setUp installs the library, unless it is there.
func setUp(t *testing.T) {
	t.Helper()
	out, err := exec.Command("../../.ci/setup", "node").CombinedOutput()
	require.NoError(t, err, "%s", out)
	lock, err := os.Stat("package-lock.json")
	require.NoError(t, err)
	if installed, err := os.Stat("node_modules/.package-lock.json"); err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return
	}
	out, err = exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts").CombinedOutput()
	require.NoError(t, err, "npm ci: %s", out)
}

// oracle is what the library makes of ticks: by the name of an indicator a value for each tick, from the first that has one.
func oracle(t *testing.T, ticks []message.StrategyTick) (columns map[string][]*float64) {
	t.Helper()
	var in struct {
		Price  []float64 `json:"price"`
		Volume []float64 `json:"volume"`
	}
	for _, tick := range ticks {
		in.Price, in.Volume = append(in.Price, tick.Price), append(in.Volume, tick.Volume)
	}
	doc, err := json.Marshal(in)
	require.NoError(t, err)
	node := exec.Command("node", "oracle.mjs")
	var failure bytes.Buffer
	node.Stdin, node.Stderr = bytes.NewReader(doc), &failure
	out, err := node.Output()
	require.NoError(t, err, failure.String())
	require.NoError(t, json.Unmarshal(out, &columns))
	return columns
}

// walk is a random walk, one tick a second.
func walk(n int) []message.StrategyTick {
	r := rand.New(rand.NewPCG(5, 6))
	ticks, price := make([]message.StrategyTick, n), 100.0
	for i := range ticks {
		price *= 1 + 0.02*(r.Float64()-0.5)
		ticks[i] = message.StrategyTick{TimeMS: float64(i) * 1000, Price: price, Volume: r.Float64() * 10}
	}
	return ticks
}

// open is the document that opens a strategy which looks at some indicators, reports them with every tick, and never trades.
func open(ids []string) []byte {
	var conditions []string
	for _, id := range ids {
		conditions = append(conditions, fmt.Sprintf(`{"id":"x","indicatorId":%q,"operator":">","value":0}`, id))
	}
	never := `[{"id":"never","indicatorId":"PRICE","operator":"<","value":0}]`
	return fmt.Appendf(nil, `{"handle":1,"strategy_name":"s","symbol":"S","session_type":"backtest","equity":1,"position":0,"indicator_interval_ms":1000,`+
		`"strategy_config":{"strategy_name":"s","s1_signal":{"conditions":%[1]s},"z1_entry":{"conditions":%[1]s,"positionSize":{"type":"fixed","value":1}},`+
		`"ze1_close":{"conditions":[%[2]s]},"o1_cancel":{"timeoutSeconds":0,"conditions":[]},"emergency_exit":{"conditions":[],"cooldownMinutes":0,`+
		`"actions":{"cancelPending":true,"closePosition":true,"logEvent":true}}}}`, never, strings.Join(conditions, ","))
}

// reported is what the plugin says to ticks: by the name of an indicator the values by tick.
func reported(t *testing.T, ids []string, ticks []message.StrategyTick) map[string]map[int]float64 {
	t.Helper()
	dir := t.TempDir()
	h, err := plugin.New(plugin.Configs{{Name: "strategy", Path: "stock:strategy"}}, plugin.Deps{ConfigDir: dir, DataDir: dir, Stock: plugins.Stock})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	s, err := h.OpenStrategy(t.Context(), "s")
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Open(t.Context(), open(ids)))
	got := map[string]map[int]float64{}
	for done := 0; done < len(ticks); {
		n, actions, err := s.Ticks(t.Context(), 1, ticks[done:min(done+1000, len(ticks))])
		require.NoError(t, err)
		for _, a := range actions {
			if got[a.Name] == nil {
				got[a.Name] = map[int]float64{}
			}
			got[a.Name][done+a.At] = a.Value
		}
		done += n
	}
	return got
}

func TestIndicatorsAgreeWithALibrary(t *testing.T) {
	setUp(t)
	ticks := walk(5000)
	want := oracle(t, ticks)
	compared := 0
	for ids := range slices.Chunk(names(want), 19) {
		got := reported(t, ids, ticks)
		for _, id := range ids {
			compared += compare(t, id, want[id], got[id], ticks)
		}
	}
	require.Greater(t, compared, 150_000)
}

func names(columns map[string][]*float64) (list []string) {
	for name := range columns {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// compare holds a column to the library's, from the first value to the last: both begin with the same tick.
func compare(t *testing.T, id string, want []*float64, got map[int]float64, ticks []message.StrategyTick) (values int) {
	t.Helper()
	for i, w := range want {
		tick := len(ticks) - len(want) + i
		value, has := got[tick]
		require.Equal(t, w != nil, has, "%s at tick %d", id, tick)
		if !has {
			continue
		}
		values++
		within := 1e-9 * math.Max(math.Abs(*w), 1e-2)
		if strings.HasPrefix(id, "RSI") {
			within = 0.005 + 1e-9 // which the library rounds to two places
		}
		require.InDelta(t, *w, value, within, "%s at tick %d", id, tick)
	}
	require.Len(t, got, values, id)
	return values
}

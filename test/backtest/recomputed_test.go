package backtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// run is what a strategy is run on, for recompute.mjs.
type run struct {
	Prices   string `json:"prices"`
	Symbol   string `json:"symbol,omitempty"`
	Time     string `json:"time"`
	Price    string `json:"price"`
	Strategy string `json:"strategy"`
	Ticks    *int   `json:"ticks,omitempty"` // nil: all
}

// trend is the example's strategy on daily prices of an index, momentum the one on monthly prices of five stocks.
func trend() run {
	return run{Prices: example + "/data/sp500.csv", Symbol: "SP500", Time: "date", Price: "close", Strategy: example + "/strategies/trend.json"}
}

func momentum() run {
	return run{Prices: example + "/data/stocks.csv", Time: "date", Price: "price", Strategy: example + "/strategies/momentum.json"}
}

// example is the directory of the example.
const example = "../../examples/backtest"

// recomputed returns what the independent program computes.
func recomputed(t *testing.T, r run) map[string]any {
	t.Helper()
	spec, err := json.Marshal(r)
	require.NoError(t, err)
	var said bytes.Buffer
	node := exec.CommandContext(t.Context(), "node", "recompute.mjs", string(spec))
	node.Stderr = &said
	out, err := node.Output()
	require.NoError(t, err, "%s", said.String())
	return decoded(t, out).(map[string]any)
}

// decoded reads JSON with numbers as they are written.
func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&v), "%s", text)
	return v
}

// tolerance is how far ratios may lie apart, relatively: both sides compute them with float64, but in different orders.
const tolerance = 1e-9

// differences lists where the engine's answer is not what was recomputed. Both have the same members, but for ids. A string that
// was recomputed is a decimal number where the engine has a number, and then every digit counts; a number is a count,
// and equal, or a ratio, and equal but for the tolerance.
func differences(path string, engine, computed any) (list []string) {
	differ := func(format string, args ...any) []string {
		return append(list, path+": "+fmt.Sprintf(format, args...))
	}
	switch want := computed.(type) {
	case map[string]any:
		got, ok := engine.(map[string]any)
		if !ok {
			return differ("%v, which is no object", engine)
		}
		names := map[string]bool{}
		for name := range got {
			names[name] = name != "session_id" && name != "order_id"
		}
		for name := range want {
			names[name] = name != "number"
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			switch _, has := got[name]; {
			case !names[name]:
			case !has:
				list = append(list, path+"."+name+": the engine does not have it")
			default:
				list = append(list, differences(path+"."+name, got[name], want[name])...)
			}
		}
		return list
	case []any:
		got, ok := engine.([]any)
		if !ok || len(got) != len(want) {
			return differ("%d elements, computed %d", len(got), len(want))
		}
		for i := range want {
			list = append(list, differences(fmt.Sprintf("%s[%d]", path, i), got[i], want[i])...)
		}
		return list
	case string:
		if got, ok := engine.(json.Number); ok && got.String() == want || engine == want {
			return nil
		}
	case json.Number:
		if got, ok := engine.(json.Number); ok && near(got, want) {
			return nil
		}
	case nil:
		if engine == nil {
			return nil
		}
	}
	return differ("%v, computed %v", engine, computed)
}

// agree fails where there are differences, and lists the first of them.
func agree(t *testing.T, differences []string) {
	t.Helper()
	const shown = 20
	require.Empty(t, differences, "%d numbers differ:\n%s", len(differences), strings.Join(differences[:min(shown, len(differences))], "\n"))
}

func near(a, b json.Number) bool {
	x, errX := a.Float64()
	y, errY := b.Float64()
	if errX != nil || errY != nil || !strings.ContainsAny(string(a)+string(b), ".eE") {
		return a == b
	}
	return math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))
}

package trading

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/trading/execution"
)

func TestReportsOfIndicatorsAreSpeltAsTheProtocolHasThem(t *testing.T) {
	id := `exec_"1"`
	e := &execution.Event{Kind: execution.KindIndicators, TimeMS: 1_764_000_000_050, Strategy: "dip", Symbol: "BTC_USDT", Indicators: []execution.Indicator{
		{Name: "none", Value: math.NaN()}, {Name: `RSI "14"`, Value: 1e-9}, {Name: "endless", Value: math.Inf(1)}, {Name: "PRICE", Value: -43210.12}}}
	part := func(name, value string) string {
		return fmt.Sprintf(`{"name":%q,"value":%s,"symbol":"BTC_USDT","timestamp":1764000000050,"used_by_strategies":["dip"]}`, name, value)
	}
	for _, c := range []struct {
		id   *string
		want string
	}{{&id, `"exec_\"1\""`}, {nil, "null"}} {
		require.JSONEq(t, `{"session_id":`+c.want+`,"strategy":"dip","symbol":"BTC_USDT","timestamp":1764000000050,"indicators":[`+
			part(`RSI "14"`, "1e-9")+`,`+part("PRICE", "-43210.12")+`]}`, string(spellIndicators(c.id, e)))
	}
	e.Indicators = e.Indicators[:1]
	require.JSONEq(t, `{"session_id":null,"strategy":"dip","symbol":"BTC_USDT","timestamp":1764000000050,"indicators":[]}`, string(spellIndicators(nil, e)))
}

func BenchmarkIndicators(b *testing.B) {
	id := "exec_20251125100000_0123456789abcdef"
	e := &execution.Event{Kind: execution.KindIndicators, TimeMS: 1_764_000_000_050, Strategy: "dip", Symbol: "BTC_USDT", Indicators: []execution.Indicator{
		{Name: "RSI_14", Value: 54.2119}, {Name: "EMA_50", Value: 43209.870312}, {Name: "PRICE", Value: 43210.12}, {Name: "VOLUME_SURGE_RATIO_20", Value: 1.25}}}
	b.Run("appended", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = spellIndicators(&id, e)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		type value struct {
			Name      string   `json:"name"`
			Value     float64  `json:"value"`
			Symbol    string   `json:"symbol"`
			Timestamp int64    `json:"timestamp"`
			UsedBy    []string `json:"used_by_strategies"`
		}
		b.ReportAllocs()
		for b.Loop() {
			values := make([]value, 0, len(e.Indicators))
			for _, one := range e.Indicators {
				values = append(values, value{one.Name, one.Value, e.Symbol, e.TimeMS, []string{e.Strategy}})
			}
			if _, err := json.Marshal(struct {
				SessionID  *string `json:"session_id"`
				Strategy   string  `json:"strategy"`
				Symbol     string  `json:"symbol"`
				Timestamp  int64   `json:"timestamp"`
				Indicators []value `json:"indicators"`
			}{&id, e.Strategy, e.Symbol, e.TimeMS, values}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

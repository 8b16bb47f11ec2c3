package plugins_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
)

// typicalStrategy has four conditions on four indicators.
const typicalStrategy = `{"strategy_name":"typical",` +
	`"s1_signal":{"conditions":[{"id":"1","indicatorId":"RSI_14","operator":"<","value":30},{"id":"2","indicatorId":"VOLUME_SURGE_RATIO_20","operator":">","value":1.5}]},` +
	`"z1_entry":{"conditions":[{"id":"3","indicatorId":"PRICE","operator":">","value":0}],"positionSize":{"type":"fixed","value":100},` +
	`"stopLoss":{"enabled":true,"offsetPercent":1},"takeProfit":{"enabled":true,"offsetPercent":2}},` +
	`"ze1_close":{"conditions":[{"id":"4","indicatorId":"EMA_50","operator":"<","value":1}]},"o1_cancel":{"timeoutSeconds":60,"conditions":[]},` +
	`"emergency_exit":{"conditions":[],"cooldownMinutes":0,"actions":{"cancelPending":true,"closePosition":true,"logEvent":false}}}`

// openDocument is the document of wse_strategy_open.
func openDocument(handle uint32, config string, interval int) []byte {
	return fmt.Appendf(nil, `{"handle":%d,"strategy_name":"s","symbol":"BTC_USDT","session_type":"backtest","strategy_config":%s,`+
		`"equity":10000,"position":0,"indicator_interval_ms":%d}`, handle, config, interval)
}

func BenchmarkStrategy(b *testing.B) {
	for _, batch := range []int{1, 64, 4096} {
		b.Run(fmt.Sprintf("host batch %d", batch), func(b *testing.B) {
			h := host(b, "strategy", nil)
			s, err := h.OpenStrategy(b.Context(), "typical")
			require.NoError(b, err)
			require.NoError(b, s.Open(b.Context(), openDocument(1, typicalStrategy, 0)))
			ticks := plugin.WalkTicks(4096, 1)
			_, trader := 0, fills{}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				for i := range ticks {
					ticks[i].TimeMS += 4096_000
				}
				for done := 0; done < len(ticks); {
					k, actions, err := s.Ticks(b.Context(), 1, ticks[done:min(done+batch, len(ticks))])
					if err != nil {
						b.Fatal(err)
					}
					done += k
					if doc := trader.update(actions, ticks[done-1].Price); doc != nil {
						if _, err := s.Update(b.Context(), doc); err != nil {
							b.Fatal(err)
						}
					}
				}
				n += len(ticks)
			}
			b.ReportMetric(float64(trader.orders), "orders")
		})
	}
}

// fills fills what is ordered at once.
type fills struct {
	position float64
	orders   int
}

func (f *fills) update(actions []plugin.StrategyAction, price float64) []byte {
	var doc []byte
	for _, a := range actions {
		if a.Kind != plugin.ActionOrder {
			continue
		}
		f.orders++
		quantity := a.Quantity
		if quantity == 0 {
			quantity = a.Notional / price
		}
		if a.Side == "sell" {
			f.position -= quantity
		} else {
			f.position += quantity
		}
		doc = fmt.Appendf(nil, `{"handle":1,"events":[{"kind":"fill","id":%q,"quantity":%v,"price":%v,"fee":0}],"position":%v,"equity":10000}`, a.ID, quantity, price, f.position)
	}
	return doc
}

package plugins_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
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

// trading gives ticks to a strategy, batch at most a call, and fills what it orders at once.
func trading(b *testing.B, s *plugin.Strategy, f *fills, ticks []message.StrategyTick, batch int) {
	b.Helper()
	for done := 0; done < len(ticks); {
		n, actions, err := s.Ticks(b.Context(), 1, ticks[done:min(done+batch, len(ticks))])
		if err != nil {
			b.Fatal(err)
		}
		done += n
		if doc := f.update(actions, ticks[done-1].Price); doc != nil {
			if _, err := s.Update(b.Context(), doc); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// later is the same ticks at a later time.
func later(ticks []message.StrategyTick) []message.StrategyTick {
	span := ticks[len(ticks)-1].TimeMS - ticks[0].TimeMS + 1000
	for i := range ticks {
		ticks[i].TimeMS += span
	}
	return ticks
}

func opened(b *testing.B, config string, interval int) *plugin.Strategy {
	b.Helper()
	s, err := host(b, "strategy", nil).OpenStrategy(b.Context(), "typical")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	require.NoError(b, s.Open(b.Context(), openDocument(1, config, interval)))
	return s
}

// BenchmarkStrategy gives ticks to a strategy of four conditions through the engine's host, which meters the guest. A turn is a
// tick; orders are filled at once and are part of it.
func BenchmarkStrategy(b *testing.B) {
	for _, batch := range []int{1, 64, 4096} {
		b.Run(fmt.Sprintf("batch of %d", batch), func(b *testing.B) {
			s, f, ticks := opened(b, typicalStrategy, 0), fills{}, plugin.WalkTicks(4096, 1)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(ticks) {
				trading(b, s, &f, later(ticks)[:min(len(ticks), b.N-n)], batch)
			}
		})
	}
}

// BenchmarkStrategyBesideNative is the same in batches of 4096, in turns with the same logic in Go, and how many times as long it
// takes: once without a signal, and once with orders, whose documents the native one does without. Of both the fastest turn
// counts, for on a busy machine the others tell of the machine.
func BenchmarkStrategyBesideNative(b *testing.B) {
	b.Run("watching", func(b *testing.B) {
		twin := newNative()
		twin.s1[0].limit = -1
		beside(b, opened(b, strings.Replace(typicalStrategy, `"operator":"<","value":30`, `"operator":"<","value":-1`, 1), 0), twin)
	})
	b.Run("trading", func(b *testing.B) { beside(b, opened(b, typicalStrategy, 0), newNative()) })
}

func beside(b *testing.B, s *plugin.Strategy, twin *native) {
	b.Helper()
	f, ticks, orders := fills{}, plugin.WalkTicks(4096, 1), 0
	guest, plain := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for b.Loop() {
		later(ticks)
		begin := time.Now()
		trading(b, s, &f, ticks, len(ticks))
		between := time.Now()
		for i := range ticks {
			switch ordered := twin.tick(&ticks[i]); {
			case ordered > 0:
				orders++
				twin.filled(ordered/ticks[i].Price, ticks[i].Price)
			case ordered < 0:
				orders++
				twin.filled(0, ticks[i].Price)
			}
		}
		guest, plain = min(guest, between.Sub(begin)), min(plain, time.Since(between))
	}
	require.Equal(b, orders, f.orders, "they do not do the same")
	b.ReportMetric(float64(guest)/float64(len(ticks)), "plugin-ns/tick")
	b.ReportMetric(float64(plain)/float64(len(ticks)), "native-ns/tick")
	b.ReportMetric(float64(guest)/float64(plain), "plugin/native")
	b.ReportMetric(float64(f.orders)/float64(b.N*len(ticks)), "orders/tick")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStrategyReports has eighteen indicators reported with every tick.
func BenchmarkStrategyReports(b *testing.B) {
	ids := every()[:18]
	s, ticks := opened(b, watching(ids), 1), plugin.WalkTicks(4096, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(ticks) {
		trading(b, s, new(fills), later(ticks)[:min(len(ticks), b.N-n)], 4096)
	}
}

// fills fills what is ordered at once.
type fills struct {
	position float64
	orders   int
}

func (f *fills) update(actions []message.StrategyAction, price float64) []byte {
	var doc []byte
	for _, a := range actions {
		if a.Kind != message.ActionOrder {
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

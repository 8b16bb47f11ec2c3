//go:build !race

package guests

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
)

// breakout is examples/plugins/breakout in Go, to compare its answers and its speed with: the same rules, the same queues.
type breakout struct {
	channel         int
	notional, trail float64
	high, low       ends
	ticks           int
	phase           byte // w, b, h and s: watching, buying, holding, selling
	position, peak  float64
	top, bottom     float64 // of the channel when it bought last
	orders          int
}

// ends is a queue of prices that fall (or rise) from its front on, in a ring.
type ends struct {
	ring        []end
	front, back int
}

type end struct {
	price float64
	tick  int
}

func newBreakout(channel int, notional, trailPct float64) *breakout {
	size := 16
	for size < channel+1 {
		size *= 2
	}
	return &breakout{channel: channel, notional: notional, trail: 1 - trailPct/100, phase: 'w',
		high: ends{ring: make([]end, size)}, low: ends{ring: make([]end, size)}}
}

func (q *ends) first() *end { return &q.ring[q.front&(len(q.ring)-1)] }

func (q *ends) add(price float64, tick int) {
	q.ring[q.back&(len(q.ring)-1)] = end{price, tick}
	q.back++
}

func (b *breakout) add(price float64) {
	mask := len(b.high.ring) - 1
	for b.high.back != b.high.front && b.high.ring[(b.high.back-1)&mask].price <= price {
		b.high.back--
	}
	for b.low.back != b.low.front && b.low.ring[(b.low.back-1)&mask].price >= price {
		b.low.back--
	}
	b.high.add(price, b.ticks)
	b.low.add(price, b.ticks)
	b.ticks++
	for b.high.first().tick < b.ticks-b.channel {
		b.high.front++
	}
	for b.low.first().tick < b.ticks-b.channel {
		b.low.front++
	}
}

// run takes ticks until one is ordered at, and returns how many it took. Whether it ordered, its phase says.
func (b *breakout) run(ticks []message.StrategyTick) (consumed int) {
	for i := range ticks {
		price := ticks[i].Price
		ordered := false
		switch b.phase {
		case 'w':
			if b.ticks >= b.channel && price > b.high.first().price {
				b.phase, ordered = 'b', true
				b.top, b.bottom = b.high.first().price, b.low.first().price
			}
		case 'h':
			if b.peak = max(b.peak, price); price <= b.peak*b.trail {
				b.phase, ordered = 's', true
			}
		}
		b.add(price)
		if ordered {
			b.orders++
			return i + 1
		}
	}
	return len(ticks)
}

// said is what the guest says to the n ticks that run took, of which the last has that price.
func (b *breakout) said(n int, price float64) string {
	at := n - 1
	switch b.phase {
	case 'b':
		return fmt.Sprintf(`{"kind":"signal","at":%d,"type":"S1","indicators":{"price":%v,"channel_high":%v,"channel_low":%v}},`+
			`{"kind":"state","at":%d,"state":"entry_evaluation"},{"kind":"order","at":%d,"id":"b%d","side":"buy","notional":%v,"order_type":"market","reason":"breakout"}`,
			at, price, b.top, b.bottom, at, at, b.orders, b.notional)
	case 's':
		position, _ := json.Marshal(b.position)
		return fmt.Sprintf(`{"kind":"state","at":%d,"state":"close_order_evaluation"},{"kind":"order","at":%d,"id":"s%d","side":"sell","quantity":%s,"order_type":"market","reason":"trailing stop"}`,
			at, at, b.orders, position)
	}
	return ""
}

// fill tells it that what it ordered is filled, if it ordered, and returns how much.
func (b *breakout) fill(price float64) (quantity float64) {
	switch b.phase {
	case 'b':
		b.phase, b.position, b.peak = 'h', b.notional/price, price
		return b.position
	case 's':
		quantity, b.phase, b.position = b.position, 'w', 0
	}
	return quantity
}

// filled is fill, and the update that tells the guest.
func (b *breakout) filled(price float64) []byte {
	id := b.phase
	text, _ := json.Marshal([]float64{b.fill(price), price, b.position})
	var n []json.RawMessage
	_ = json.Unmarshal(text, &n)
	return fmt.Appendf(nil, `{"handle":1,"events":[{"kind":"fill","id":"%c%d","quantity":%s,"price":%s,"fee":0}],"position":%s,"equity":10000}`,
		id, b.orders, n[0], n[1], n[2])
}

const breakoutOpen = `{"handle":1,"strategy_config":{"channel":%d,"notional":250,"trail_pct":%v}}`

func TestBreakoutTradesAsTheSameRulesInGo(t *testing.T) {
	t.Parallel()
	p := open(t, "breakout", build(t, filepath.Join(root, "examples/plugins/breakout/c")))
	require.Equal(t, []string{vector.Validate, vector.Strategy}, p.Hooks())
	for seed, channel := range []int{2, 20, 333, 10_000} {
		ticks := plugin.WalkTicks(30_000, uint64(seed))
		var logs [][]byte
		for _, batch := range []int{1, 7, 4096} {
			require.NoError(t, p.Restart())
			logs = append(logs, compare(t, p, newBreakout(channel, 250, 0.25), fmt.Appendf(nil, breakoutOpen, channel, 0.25), ticks, batch))
		}
		require.NotEmpty(t, logs[0], "nothing was ever bought")
		require.True(t, bytes.Equal(logs[0], logs[1]) && bytes.Equal(logs[0], logs[2]))
	}
}

// compare gives both the same ticks, fills at the next one what is ordered, and returns all that the guest said.
func compare(t *testing.T, p *plugin.Workpiece, native *breakout, opening []byte, ticks []message.StrategyTick, batch int) (log []byte) {
	t.Helper()
	got, err := p.Call("strategy_open", opening)
	require.NoError(t, err)
	require.Equal(t, vector.Yes, got.Said, got.Error)
	for done := 0; done < len(ticks); {
		got, err := p.Ticks(1, ticks[done:], batch)
		require.NoError(t, err)
		n := native.run(ticks[done:])
		said := native.said(n, ticks[done+n-1].Price)
		if said == "" {
			require.Equal(t, vector.No, got.Said, got.Got)
			return log
		}
		require.Equal(t, fmt.Sprintf(`{"consumed":%d,"out":[%s]}`, n, said), string(got.Data), got.Error)
		log = append(log, got.Data...)
		if done += n; done == len(ticks) {
			return log
		}
		got, err = p.Call("strategy_update", native.filled(ticks[done].Price))
		require.NoError(t, err)
		require.Equal(t, vector.Data, got.Said, got.Error)
		log = append(log, got.Data...)
	}
	return log
}

// BenchmarkStrategy is what a tick takes: through the hook to a strategy in C that does nothing, to the breakout in C, and to
// the breakout in Go without a hook; what an update takes; and a batch of 4096 ticks cut as the engine's limits say.
func BenchmarkStrategy(b *testing.B) {
	quiet := build(b, filepath.Join("testdata", "quiet"))
	example := build(b, filepath.Join(root, "examples/plugins/breakout/c"))
	ticks := plugin.WalkTicks(4096, 1)
	perTick := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ticks)), "ns/tick")
		b.ReportMetric(float64(b.N*len(ticks))/b.Elapsed().Seconds(), "ticks/s")
	}
	for _, c := range []struct {
		name   string
		module []byte
	}{{"nothing", quiet}, {"breakout", example}} {
		for _, all := range []bool{false, true} {
			name := c.name + "/hook"
			limits := plugin.Limits{}
			if all { // one call for as many ticks as fit into the guest's buffer
				name, limits = c.name+"/hook, one call", plugin.Limits{FuelTicks: 1 << 40, SlowFuel: 1 << 40}
			}
			b.Run(name, func(b *testing.B) {
				s := hire(b, c.module, limits)
				b.ReportAllocs()
				for b.Loop() {
					trade(b, s, ticks)
				}
				perTick(b)
			})
		}
	}
	b.Run("breakout/native", func(b *testing.B) {
		native := newBreakout(1000, 250, 10)
		for b.Loop() {
			for done := 0; done < len(ticks); {
				done += native.run(ticks[done:])
				native.fill(ticks[done-1].Price)
			}
		}
		perTick(b)
	})
	b.Run("update", func(b *testing.B) {
		s := hire(b, example, plugin.Limits{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Update(context.Background(), []byte(`{"handle":1,"events":[],"position":0.5,"equity":10000.25}`)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// hire opens a strategy of a module in a host.
func hire(b *testing.B, module []byte, limits plugin.Limits) *plugin.Strategy {
	b.Helper()
	dir := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(dir, "s.wasm"), module, 0o600))
	limits.FuelInit, limits.CompileTimeout = 0, time.Minute
	h, err := plugin.New(plugin.Configs{{Name: "s", Path: "s.wasm", Limits: limits}}, plugin.Deps{ConfigDir: dir, DataDir: dir})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, h.Close()) })
	s, err := h.OpenStrategy(b.Context(), "s")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	require.NoError(b, s.Open(b.Context(), fmt.Appendf(nil, breakoutOpen, 1000, 10.0)))
	return s
}

// trade gives a strategy all ticks, and fills what it orders at once.
func trade(b *testing.B, s *plugin.Strategy, ticks []message.StrategyTick) {
	for done := 0; done < len(ticks); {
		n, actions, err := s.Ticks(context.Background(), 1, ticks[done:])
		if err != nil {
			b.Fatal(err)
		}
		done += n
		for i := range actions {
			x, position := &actions[i], 0.0
			if x.Kind != message.ActionOrder {
				continue
			}
			price := ticks[done-1].Price
			if x.Side == "buy" {
				position = x.Notional / price
			}
			doc := fmt.Appendf(nil, `{"handle":1,"events":[{"kind":"fill","id":%q,"quantity":1,"price":%v,"fee":0}],"position":%v,"equity":10000}`, x.ID, price, position)
			if _, err := s.Update(context.Background(), doc); err != nil {
				b.Fatal(err)
			}
			break
		}
	}
}

package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// scripted is a strategy that does what the test says at each tick it sees, one tick after the other.
type scripted struct {
	t       testing.TB
	onTick  func(handle uint32, n int, tick message.StrategyTick) []message.StrategyAction // n counts the handle's ticks from 0
	onEvent func(handle uint32, doc update) []message.StrategyAction
	seen    map[uint32]int
	opened  []string
	updates []string
	calls   int
	refuse  error
}

// update is the document of wse_strategy_update.
type update struct {
	Handle uint32 `json:"handle"`
	Events []struct {
		Kind     string  `json:"kind"`
		ID       string  `json:"id"`
		Quantity float64 `json:"quantity"`
		Price    float64 `json:"price"`
		Fee      float64 `json:"fee"`
		Reason   string  `json:"reason"`
	} `json:"events"`
	Position float64 `json:"position"`
	Equity   float64 `json:"equity"`
}

func (s *scripted) Open(_ context.Context, doc []byte) error {
	require.True(s.t, json.Valid(doc), "%s", doc)
	s.opened = append(s.opened, string(doc))
	return s.refuse
}

func (s *scripted) Ticks(ctx context.Context, handle uint32, ticks []message.StrategyTick) (int, []message.StrategyAction, error) {
	s.calls++
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if s.seen == nil {
		s.seen = map[uint32]int{}
	}
	var out []message.StrategyAction
	for i, tick := range ticks {
		n := s.seen[handle]
		s.seen[handle]++
		stop := false
		if s.onTick != nil {
			for _, a := range s.onTick(handle, n, tick) {
				if a.Kind == "fail" {
					return i, nil, fmt.Errorf("plugin/strategy@0123456789ab: trap: %s", a.Reason)
				}
				a.At = i
				stop = stop || a.Kind == message.ActionOrder || a.Kind == message.ActionCancel || a.Kind == "stop"
				if a.Kind != "stop" {
					out = append(out, a)
				}
			}
		}
		if stop {
			return i + 1, out, nil
		}
	}
	return len(ticks), out, nil
}

func (s *scripted) Update(_ context.Context, doc []byte) ([]message.StrategyAction, error) {
	s.updates = append(s.updates, string(doc))
	var u update
	require.NoError(s.t, json.Unmarshal(doc, &u), "%s", doc)
	if s.onEvent == nil {
		return nil, nil
	}
	return s.onEvent(u.Handle, u), nil
}

var _ Strategy = (*scripted)(nil)

// moody is a strategy whose every decision depends on everything that it was ever told, so that one word more or less, or at another
// tick, shows.
type moody struct {
	hash map[uint32]uint64
	out  []message.StrategyAction
}

func (m *moody) feel(handle uint32, v ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, m.hash[handle], v)
	m.hash[handle] = h.Sum64()
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

func (m *moody) Open(_ context.Context, doc []byte) error {
	if m.hash == nil {
		m.hash = map[uint32]uint64{}
	}
	var d struct{ Handle uint32 }
	if err := json.Unmarshal(doc, &d); err != nil {
		return err
	}
	m.feel(d.Handle, string(doc))
	return nil
}

func (m *moody) Ticks(_ context.Context, handle uint32, ticks []message.StrategyTick) (int, []message.StrategyAction, error) {
	m.out = m.out[:0]
	for i, t := range ticks {
		r := m.feel(handle, t)
		if r.IntN(8) == 0 {
			m.out = append(m.out, message.StrategyAction{Kind: message.ActionIndicator, At: i, Name: "RSI", Value: r.Float64()}, message.StrategyAction{Kind: message.ActionIndicator, At: i, Name: "SMA", Value: t.Price})
		}
		if r.IntN(20) == 0 {
			m.out = append(m.out, message.StrategyAction{Kind: message.ActionSignal, At: i, SignalType: "S1", Indicators: []byte(`{"RSI":1}`)}, message.StrategyAction{Kind: message.ActionState, At: i, State: "signal_detected"})
		}
		if a, stop := m.act(r, t.Price, i); stop {
			m.out = append(m.out, a...)
			return i + 1, m.out, nil
		}
	}
	return len(ticks), m.out, nil
}

func (m *moody) act(r *rand.Rand, price float64, at int) ([]message.StrategyAction, bool) {
	switch r.IntN(12) {
	case 0:
		return []message.StrategyAction{{Kind: message.ActionCancel, At: at, ID: fmt.Sprint(r.IntN(6))}}, true
	case 1, 2:
		a := message.StrategyAction{Kind: message.ActionOrder, At: at, ID: fmt.Sprint(r.IntN(6)), Side: []string{"buy", "sell"}[r.IntN(2)], OrderType: "market", Reason: "mood"}
		if r.IntN(2) == 0 {
			a.OrderType, a.Price = "limit", math.Round(price*(97+6*r.Float64()))/100
		}
		if r.IntN(2) == 0 {
			a.Notional = float64(r.IntN(3000)) + 0.5
		} else {
			a.Quantity = float64(r.IntN(3000)) / 100 / price * 100
		}
		return []message.StrategyAction{a}, true
	case 3:
		return nil, r.IntN(4) == 0 // stops for no reason
	}
	return nil, false
}

func (m *moody) Update(_ context.Context, doc []byte) ([]message.StrategyAction, error) {
	var u update
	if err := json.Unmarshal(doc, &u); err != nil {
		return nil, err
	}
	r := m.feel(u.Handle, string(doc))
	m.out = append(m.out[:0], message.StrategyAction{Kind: message.ActionState, State: "position_active"})
	if r.IntN(3) == 0 {
		a, _ := m.act(r, 100, 0)
		m.out = append(m.out, a...)
	}
	return m.out, nil
}

var _ Strategy = (*moody)(nil)

// diary is a sink that writes everything down.
type diary struct {
	wants  Kinds
	events []Event
	lines  []string
}

func (d *diary) Wants() Kinds { return d.wants }

func (d *diary) Emit(e *Event) {
	c := *e
	if e.Order != nil {
		o := *e.Order
		c.Order = &o
	}
	c.Indicators = append([]Indicator(nil), e.Indicators...)
	c.Snapshot = append([]byte(nil), e.Snapshot...)
	d.events = append(d.events, c)
	line, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	d.lines = append(d.lines, string(line))
}

func (d *diary) of(k Kind) (out []Event) {
	for _, e := range d.events {
		if e.Kind == k {
			out = append(out, e)
		}
	}
	return out
}

// statuses returns id and status of all order events, with the reason where there is one of the engine's.
func (d *diary) statuses() (out []string) {
	for _, e := range d.of(KindOrder) {
		out = append(out, e.Order.ID+" "+e.Order.Status.String())
	}
	return out
}

var _ Sink = (*diary)(nil)

// bench is a run with one scripted strategy on X, for tests that read like a day.
type bench struct {
	t     *testing.T
	run   *Run
	books *ledger.Ledger
	diary *diary
	fake  *scripted
	now   float64
}

func plain() Config {
	c := DefaultConfig()
	c.FeeBps, c.SlippageBps = 0, 0
	return c
}

func newBench(t *testing.T, c Config, onTick func(handle uint32, n int, tick message.StrategyTick) []message.StrategyAction) *bench {
	t.Helper()
	books, err := ledger.New(ledger.DefaultConfig())
	require.NoError(t, err)
	b := &bench{t: t, books: books, diary: &diary{wants: AllKinds}, fake: &scripted{t: t, onTick: onTick}}
	b.run, err = New(c, books, b.diary)
	require.NoError(t, err)
	require.NoError(t, b.run.Add("s", []byte(`{"a":1}`), b.fake, "strategy@0123456789ab"))
	require.NoError(t, b.run.Activate(t.Context(), "s", "X"))
	return b
}

// ticks feeds prices, a second apart, in one batch.
func (b *bench) ticks(prices ...float64) {
	b.t.Helper()
	require.NoError(b.t, b.feed("X", prices...))
}

func (b *bench) feed(symbol string, prices ...float64) error {
	var ticks []message.StrategyTick
	for _, p := range prices {
		b.now += 1000
		ticks = append(ticks, message.StrategyTick{TimeMS: b.now, Price: p, Volume: 1, QuoteVolume: p})
	}
	return b.run.Ticks(b.t.Context(), symbol, ticks)
}

func (b *bench) events() (out []string) {
	for _, u := range b.fake.updates {
		var doc update
		require.NoError(b.t, json.Unmarshal([]byte(u), &doc))
		for _, e := range doc.Events {
			out = append(out, e.Kind+" "+e.ID+" "+e.Reason)
		}
	}
	return out
}

func buy(id string, quantity float64) message.StrategyAction {
	return message.StrategyAction{Kind: message.ActionOrder, ID: id, Side: "buy", OrderType: "market", Quantity: quantity, Reason: "entry"}
}

func sell(id string, quantity float64) message.StrategyAction {
	a := buy(id, quantity)
	a.Side = "sell"
	return a
}

func limit(a message.StrategyAction, price float64) message.StrategyAction {
	a.OrderType, a.Price = "limit", price
	return a
}

func notional(a message.StrategyAction, amount float64) message.StrategyAction {
	a.Quantity, a.Notional = 0, amount
	return a
}

// at gives each action at its tick.
func at(actions map[int][]message.StrategyAction) func(uint32, int, message.StrategyTick) []message.StrategyAction {
	return func(_ uint32, n int, _ message.StrategyTick) []message.StrategyAction { return actions[n] }
}

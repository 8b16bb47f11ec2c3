package plugin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// strategist is a strategy that opens anything and says the same to all ticks and to all updates; "" is a NO.
func strategist(ticks, update string) w.Module {
	says := func(at int, text string) []byte {
		if text == "" {
			return w.I64Const(0)
		}
		return w.Pack(at, len(text))
	}
	return strategyOf(says(1024, ticks), says(16<<10, update), w.Data{At: 1024, Bytes: []byte(ticks)}, w.Data{At: 16 << 10, Bytes: []byte(update)})
}

func strategyOf(ticks, update []byte, data ...w.Data) w.Module {
	return w.Plugin(w.Module{Data: data, Funcs: []w.Func{
		w.Hook("wse_strategy_open", w.I64Const(1)), w.Hook("wse_strategy_ticks", ticks), w.Hook("wse_strategy_update", update),
	}})
}

// hired opens a strategy and one handle of it.
func hired(t testing.TB, h *plugin.Host) *plugin.Strategy {
	t.Helper()
	s, err := h.OpenStrategy(context.Background(), "any")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Open(context.Background(), []byte(`{"handle":1}`)))
	return s
}

func prices(n int) []message.StrategyTick {
	ticks := make([]message.StrategyTick, n)
	for i := range ticks {
		ticks[i] = message.StrategyTick{TimeMS: 1_700_000_000_000 + float64(i), Price: 100 + float64(i%7), Volume: 1, QuoteVolume: 100}
	}
	return ticks
}

func TestStrategy_with_nothing_to_say_consumes_all_ticks(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "s", strategist("", "")))
	s := hired(t, h)
	n, actions, err := s.Ticks(t.Context(), 1, prices(4096))
	require.NoError(t, err)
	require.Equal(t, 4096, n)
	require.Empty(t, actions)
	actions, err = s.Update(t.Context(), []byte(`{"handle":1,"events":[]}`))
	require.NoError(t, err)
	require.Empty(t, actions)
	stats := h.Stats()[0]
	require.Equal(t, uint64(4096), stats.Ticks)
	require.Equal(t, "strategy_ticks", stats.Hooks[1].Hook)
	require.Positive(t, stats.Hooks[1].Calls[plugin.OutcomeNo])
	require.Positive(t, stats.Hooks[1].Fuel.Sum)
	require.Equal(t, uint64(1), stats.Hooks[0].Calls[plugin.OutcomeYes])
	require.Equal(t, uint64(1), stats.Hooks[2].Calls[plugin.OutcomeNo])
	name, version := s.Plugin()
	require.Equal(t, "s", name)
	require.Equal(t, h.List()[0].Version, version)
	require.Equal(t, []plugin.Kind{plugin.KindStrategy}, h.List()[0].Kinds)
}

const everything = `{"out":[
	{"kind":"state","at":0,"state":"signal_detected"},
	{"kind":"indicator","at":1,"name":"sma \u00fc","value":-1.5e3},
	{"kind":"signal","at":1,"type":"S1","confidence":1,"indicators":{"a":1, "b":2.5}},
	{"kind":"signal","at":2,"type":"O1","indicators":{}},
	{"kind":"order","at":3,"id":"a-1.B_","side":"buy","quantity":0.25,"order_type":"market","reason":"because"},
	{"reason":"and \"so\"","order_type":"limit","price":99.5,"notional":1000,"side":"sell","id":"2","at":3,"kind":"order"},
	{"kind":"cancel","at":3,"id":"0"}],"consumed":4}`

func TestStrategy_actions_are_read_as_they_were_said(t *testing.T) {
	f := newFixture(t)
	atZero := strings.NewReplacer(`"at":1`, `"at":0`, `"at":2,`, ``, `"at":3`, `"at":0`, `,"consumed":4`, ``).Replace(everything)
	s := hired(t, f.open(t, f.add(t, "s", strategist(everything, atZero))))
	n, actions, err := s.Ticks(t.Context(), 1, prices(7))
	require.NoError(t, err)
	require.Equal(t, 4, n)
	want := []message.StrategyAction{
		{Kind: "state", At: 0, State: "signal_detected"},
		{Kind: "indicator", At: 1, Name: "sma ü", Value: -1500},
		{Kind: "signal", At: 1, SignalType: "S1", Confidence: 1, HasConfidence: true, Indicators: []byte(`{"a":1, "b":2.5}`)},
		{Kind: "signal", At: 2, SignalType: "O1", Indicators: []byte(`{}`)},
		{Kind: "order", At: 3, ID: "a-1.B_", Side: "buy", Quantity: 0.25, OrderType: "market", Reason: "because"},
		{Kind: "order", At: 3, ID: "2", Side: "sell", Notional: 1000, OrderType: "limit", Price: 99.5, Reason: `and "so"`},
		{Kind: "cancel", At: 3, ID: "0"},
	}
	require.Equal(t, want, actions)
	actions, err = s.Update(t.Context(), []byte(`{}`))
	require.NoError(t, err)
	for i := range want {
		want[i].At = 0
	}
	require.Equal(t, want, actions)
}

func TestStrategy_answers_that_are_none_cost_the_instance(t *testing.T) {
	item := func(item string) string { return `{"consumed":3,"out":[` + item + `]}` }
	order := func(more string) string { return item(`{"kind":"order","at":2,` + more + `}`) }
	for _, c := range []struct{ name, answer, want string }{
		{"no JSON", `consumed`, "an object is missing"},
		{"more consumed than given", `{"consumed":4,"out":[]}`, `"consumed": 4, of 3 ticks`},
		{"none consumed", `{"consumed":0,"out":[]}`, `"consumed": 0, of 3 ticks`},
		{"a negative number consumed", `{"consumed":-1,"out":[]}`, `"consumed": -1`},
		{"nothing about consumed", `{"out":[]}`, `"consumed" is missing`},
		{"no list", `{"consumed":3}`, `"out" is missing`},
		{"a member twice", `{"consumed":3,"consumed":2,"out":[]}`, `"consumed" is unknown or there twice`},
		{"a list twice", `{"consumed":3,"out":[],"out":[]}`, `"out" is unknown or there twice`},
		{"an unknown member", `{"consumed":3,"out":[],"ok":true}`, `"ok" is unknown`},
		{"no item", item(`5`), `"out"[0]: `},
		{"an unknown kind", item(`{"kind":"wish","at":0}`), `"wish" is none of`},
		{"no kind", item(`{"at":0}`), `"kind" is missing`},
		{"an unknown member of an item", item(`{"kind":"state","at":0,"state":"exited","x":1}`), `"x" is unknown`},
		{"a tick that was not given", item(`{"kind":"state","at":3,"state":"exited"}`), `"at": 3, of 3 ticks`},
		{"a tick that was not consumed", `{"consumed":1,"out":[{"kind":"state","at":1,"state":"exited"}]}`, `about tick 1, and 1 were consumed`},
		{"half a tick", item(`{"kind":"state","at":0.5,"state":"exited"}`), `"at": `},
		{"no tick", item(`{"kind":"state","state":"exited"}`), `"at" is missing`},
		{"items out of order", item(`{"kind":"cancel","at":2,"id":"a"},{"kind":"state","at":1,"state":"exited"}`), "tick 1 behind tick 2"},
		{"ticks after an order", item(`{"kind":"cancel","at":1,"id":"a"}`), "a strategy stops where it orders or cancels"},
		{"an unknown state", item(`{"kind":"state","at":0,"state":"asleep"}`), `"asleep" is none of`},
		{"a member of another kind", item(`{"kind":"state","at":0,"state":"exited","id":"a"}`), `"id" does not belong to kind state`},
		{"an indicator that is no number", item(`{"kind":"indicator","at":0,"name":"a","value":NaN}`), "a value is missing"},
		{"an endless indicator", item(`{"kind":"indicator","at":0,"name":"a","value":1e999}`), `"value": `},
		{"an indicator without a name", item(`{"kind":"indicator","at":0,"name":"","value":1}`), "has 0 bytes"},
		{"a name with an order to the terminal", item(`{"kind":"indicator","at":0,"name":"\u001b[2J","value":1}`), "control characters"},
		{"a long name", item(`{"kind":"indicator","at":0,"name":"` + strings.Repeat("x", 65) + `","value":1}`), "has 65 bytes"},
		{"a signal without indicators", item(`{"kind":"signal","at":0,"type":"S1"}`), `"indicators" is missing`},
		{"indicators that are none", item(`{"kind":"signal","at":0,"type":"S1","indicators":[1]}`), "must be an object"},
		{"an indicator that is a text", item(`{"kind":"signal","at":0,"type":"S1","indicators":{"a":"1"}}`), `"a": must be a number`},
		{"an indicator twice", item(`{"kind":"signal","at":0,"type":"S1","indicators":{"a":1,"b":1,"\u0061":2}}`), `"a" is there twice`},
		{"too much confidence", item(`{"kind":"signal","at":0,"type":"S1","indicators":{},"confidence":1.01}`), "not from 0 to 1"},
		{"both quantity and notional", order(`"id":"a","side":"buy","quantity":1,"notional":1,"order_type":"market","reason":"r"`), `needs one of "quantity" and "notional"`},
		{"neither", order(`"id":"a","side":"buy","order_type":"market","reason":"r"`), `needs one of "quantity" and "notional"`},
		{"a quantity of 0", order(`"id":"a","side":"buy","quantity":0,"order_type":"market","reason":"r"`), "not over 0"},
		{"a negative notional", order(`"id":"a","side":"buy","notional":-5,"order_type":"market","reason":"r"`), "not over 0"},
		{"a quantity that is a text", order(`"id":"a","side":"buy","quantity":"1","order_type":"market","reason":"r"`), `"quantity": `},
		{"a limit order without a price", order(`"id":"a","side":"buy","quantity":1,"order_type":"limit","reason":"r"`), `"price" is missing`},
		{"a market order with a price", order(`"id":"a","side":"buy","quantity":1,"order_type":"market","reason":"r","price":1`), `"price" does not belong to kind order market`},
		{"a side that is none", order(`"id":"a","side":"hold","quantity":1,"order_type":"market","reason":"r"`), `"hold" is none of`},
		{"an id with a path", order(`"id":"../a","side":"buy","quantity":1,"order_type":"market","reason":"r"`), "other characters than letters"},
		{"no id", order(`"id":"","side":"buy","quantity":1,"order_type":"market","reason":"r"`), "has 0 bytes"},
		{"a long reason", order(`"id":"a","side":"buy","quantity":1,"order_type":"market","reason":"` + strings.Repeat("x", 257) + `"`), "has 257 bytes"},
		{"too many items", item(strings.Repeat(`{"kind":"state","at":0,"state":"exited"},`, 4) + `{"kind":"state","at":0,"state":"exited"}`), "more than 4 items (actions_max)"},
		{"something behind the end", `{"consumed":3,"out":[]}}`, "unexpected byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "bad", strategist(c.answer, ""))
			cfg.Limits.ActionsMax = 4
			h := f.open(t, cfg)
			s := hired(t, h)
			n, actions, err := s.Ticks(t.Context(), 1, prices(3))
			ce := callError(t, err)
			require.Equal(t, plugin.Violation, ce.Kind)
			require.Contains(t, ce.Text, "the answer of wse_strategy_ticks: ")
			require.Contains(t, ce.Text, c.want)
			require.Zero(t, n)
			require.Empty(t, actions)
			_, again := s.Update(t.Context(), []byte(`{}`))
			require.Equal(t, err, again, "it is over")
			require.Equal(t, err, s.Open(t.Context(), []byte(`{}`)))
			require.Equal(t, uint64(1), h.Stats()[0].Hooks[1].Calls[plugin.OutcomeViolation])
		})
	}
}

func TestStrategy_that_has_nothing_to_say_allocates_nothing(t *testing.T) {
	f := newFixture(t)
	s := hired(t, f.open(t, f.add(t, "s", strategist("", ""))))
	ticks, update := prices(1000), []byte(`{"handle":1,"events":[],"position":0,"equity":1}`)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if n, _, err := s.Ticks(context.Background(), 1, ticks); n != len(ticks) || err != nil {
			panic(err)
		}
		if _, err := s.Update(context.Background(), update); err != nil {
			panic(err)
		}
	}))
}

func TestStrategy_that_reports_indicators_and_states_allocates_nothing_that_stays(t *testing.T) {
	answer := `{"consumed":3,"out":[{"kind":"indicator","at":0,"name":"sma","value":1.2345678901234567},{"kind":"state","at":1,"state":"monitoring"},` +
		`{"kind":"signal","at":2,"type":"S1","indicators":{"sma":1.5}}]}`
	f := newFixture(t)
	s := hired(t, f.open(t, f.add(t, "s", strategist(answer, ""))))
	ticks := prices(3)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, actions, err := s.Ticks(context.Background(), 1, ticks); len(actions) != 3 || err != nil {
			panic(err)
		}
	}))
}

package plugins_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
	"github.com/wse-engine/wse/sdk/abi"
)

// broker answers orders at random: at once or after some ticks, whole or in parts, or not at all.
type broker struct {
	r        *rand.Rand
	waiting  []message.StrategyAction
	position float64
	equity   float64
}

func (b *broker) take(actions []message.StrategyAction) (happened []event) {
	for _, a := range actions {
		switch a.Kind {
		case message.ActionOrder:
			b.waiting = append(b.waiting, a)
		case message.ActionCancel:
			for i, w := range b.waiting {
				if w.ID == a.ID && b.r.IntN(4) > 0 { // else it is too late
					b.waiting = append(b.waiting[:i:i], b.waiting[i+1:]...)
					happened = append(happened, event{kind: "cancelled", id: a.ID})
					break
				}
			}
		}
	}
	return happened
}

// act is what happens before the next tick.
func (b *broker) act(price float64) (happened []event) {
	var left []message.StrategyAction
	for _, a := range b.waiting {
		quantity := a.Quantity
		if quantity == 0 {
			quantity = a.Notional / price
		}
		quantity = math.Round(quantity*1e6) / 1e6
		switch fate := b.r.IntN(12); {
		case fate < 2:
			left = append(left, a)
			continue
		case fate < 4:
			happened = append(happened, event{kind: []string{"reject", "cancelled"}[b.r.IntN(2)], id: a.ID})
			continue
		case fate < 6: // a part now, the rest later
			rest := a
			rest.Notional, rest.Quantity = 0, quantity-math.Round(quantity*5e5)/1e6
			quantity = math.Round(quantity*5e5) / 1e6
			if rest.Quantity > 0 {
				left = append(left, rest)
			}
		}
		if quantity <= 0 {
			continue
		}
		if a.Side == "sell" {
			b.position -= quantity
		} else {
			b.position += quantity
		}
		b.position = math.Round(b.position*1e6) / 1e6
		happened = append(happened, event{"fill", a.ID, quantity, price})
	}
	b.waiting = left
	b.equity += math.Round(100*(b.r.Float64()-0.5)) / 10
	return happened
}

// updateDocument is the document of wse_strategy_update.
func updateDocument(events []event, position, equity float64) []byte {
	list := make([]map[string]any, len(events))
	for i, e := range events {
		list[i] = map[string]any{"kind": e.kind, "id": e.id}
		if e.kind == "fill" {
			list[i]["quantity"], list[i]["price"], list[i]["fee"] = e.quantity, e.price, 0.1
		} else {
			list[i]["reason"] = "a \"reason\""
		}
	}
	doc, err := json.Marshal(map[string]any{"handle": 1, "events": list, "position": position, "equity": equity})
	if err != nil {
		panic(err)
	}
	return doc
}

// randomConfig is a configuration that has much happen in few ticks.
func randomConfig(r *rand.Rand) *modelConfig {
	some := func(least, most int) (list section) {
		list.Conditions = []condition{}
		for range least + r.IntN(most-least+1) {
			ids := []string{"PRICE", "SMA_3", "PRICE_CHANGE_PCT_1", "PRICE_CHANGE_PCT_4", "VOLUME", "VOLUME_SURGE_RATIO_3", "HIGHEST_5", "LOWEST_4", "RSI_3", "VWAP"}
			c := condition{ID: "c", IndicatorID: ids[r.IntN(len(ids))], Operator: []string{">", "<", ">=", "<=", "!=", "=="}[r.IntN(10)%6]}
			switch c.IndicatorID {
			case "PRICE_CHANGE_PCT_1", "PRICE_CHANGE_PCT_4":
				c.Value = math.Round(40*(r.Float64()-0.5)) / 10
			case "VOLUME", "VOLUME_SURGE_RATIO_3":
				c.Value = float64(r.IntN(4))
			case "RSI_3":
				c.Value = float64(20 + r.IntN(60))
			default:
				c.Value = float64(95 + r.IntN(10))
			}
			list.Conditions = append(list.Conditions, c)
		}
		return list
	}
	c := &modelConfig{Name: "random", Direction: []string{"LONG", "SHORT"}[r.IntN(2)], S1: some(1, 2), ZE1: some(0, 2)}
	c.O1.section, c.O1.TimeoutSeconds = some(0, 2), float64(r.IntN(3)*r.IntN(20))
	c.Z1.section = some(1, 1)
	c.Z1.PositionSize.Type, c.Z1.PositionSize.Value = []string{"fixed", "percentage"}[r.IntN(2)], float64(r.IntN(120))
	c.Z1.Leverage = 1 + float64(r.IntN(19))/2
	if r.IntN(2) == 0 {
		c.Z1.StopLoss = &offset{r.IntN(4) > 0, float64(r.IntN(50)) / 10}
	}
	if r.IntN(2) == 0 {
		c.Z1.TakeProfit = &offset{r.IntN(4) > 0, float64(r.IntN(80)) / 10}
	}
	c.Emergency.section, c.Emergency.CooldownMinutes = some(0, 2), float64(r.IntN(3))/5
	c.Emergency.Actions.CancelPending, c.Emergency.Actions.ClosePosition = r.IntN(3) > 0, r.IntN(3) > 0
	c.Emergency.Actions.LogEvent = r.IntN(2) == 0
	if r.IntN(2) == 0 {
		doc := fmt.Sprintf(`{"base_position_pct":%v,"max_leverage":%v,"min_position_size_usdt":%d,"max_position_size_usdt":%d}`,
			float64(1+r.IntN(10))/100, 1+r.IntN(10), r.IntN(60), 60+r.IntN(2000))
		if err := json.Unmarshal([]byte(doc), &c.Limits); err != nil {
			panic(err)
		}
	}
	return c
}

func randomTicks(r *rand.Rand, n int) []message.StrategyTick {
	ticks, price, at := make([]message.StrategyTick, n), 100.0, 1.7e12
	for i := range ticks {
		price = math.Round(100*math.Min(110, math.Max(90, price*(1+0.03*(r.Float64()-0.5))))) / 100
		at += float64(r.IntN(3000))
		ticks[i] = message.StrategyTick{TimeMS: at, Price: price, Volume: float64(r.IntN(4))}
		switch r.IntN(60) {
		case 0:
			ticks[i].Price = []float64{0, -1, 1e16}[r.IntN(3)]
		case 1:
			ticks[i].Volume = []float64{-1, 1e19}[r.IntN(2)]
		}
	}
	return ticks
}

// requireSame compares what the plugin said with what the model said.
func requireSame(t *testing.T, want, got []message.StrategyAction, note string) {
	t.Helper()
	require.Len(t, got, len(want), "%s\nwant %+v\ngot  %+v", note, want, got)
	for i := range want {
		w, g := want[i], got[i]
		for _, f := range [][2]*float64{{&w.Value, &g.Value}, {&w.Confidence, &g.Confidence}, {&w.Quantity, &g.Quantity}, {&w.Notional, &g.Notional}} {
			require.InDelta(t, *f[0], *f[1], 1e-9*math.Max(1, math.Abs(*f[0])), "%s: %+v, %+v", note, want[i], got[i])
			*f[1] = *f[0]
		}
		var wanted, given map[string]float64
		if w.Kind == message.ActionSignal {
			require.NoError(t, json.Unmarshal(w.Indicators, &wanted))
			require.NoError(t, json.Unmarshal(g.Indicators, &given))
		}
		require.InDeltaMapValues(t, wanted, given, 1e-6, note)
		w.Indicators, g.Indicators = nil, nil
		require.Equal(t, w, g, note)
	}
}

// play runs a configuration on ticks with a broker, batch ticks at most a call, and checks each answer with the model.
func play(t *testing.T, h *plugin.Host, seed uint64, batch int, count map[string]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	cfg, ticks := randomConfig(r), randomTicks(r, 300)
	interval := []int{0, 1, 5000}[r.IntN(3)]
	b := &broker{r: r, equity: 10000}
	s, err := h.OpenStrategy(t.Context(), "random")
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Open(t.Context(), openDocument(1, cfg.json(), interval)))
	m := newModel(cfg, b.equity, 0, float64(interval))
	doc := cfg.json()
	tell := func(events []event, note string) {
		got, err := s.Update(t.Context(), updateDocument(events, b.position, b.equity))
		require.NoError(t, err)
		requireSame(t, m.update(events, b.position, b.equity), got, note)
	}
	for done := 0; done < len(ticks); {
		n, got, err := s.Ticks(t.Context(), 1, ticks[done:min(done+batch, len(ticks))])
		require.NoError(t, err)
		var want []message.StrategyAction
		for i := range n {
			want = append(want, m.tick(ticks[done+i], i)...)
		}
		note := fmt.Sprintf("seed %d, ticks %d to %d\n%s", seed, done, done+n-1, doc)
		requireSame(t, want, got, note)
		ordered := false
		for _, a := range got {
			count[a.Kind+a.State+a.Reason]++
			ordered = ordered || a.Kind == message.ActionOrder || a.Kind == message.ActionCancel
		}
		done += n
		if events := b.take(got); len(events) > 0 {
			tell(events, note)
		}
		for len(b.waiting) > 0 && (ordered || b.r.IntN(3) > 0) && done < len(ticks) {
			ordered = false
			if ticks[done-1].Price > 0 && ticks[done-1].Price < 1e15 {
				tell(b.act(ticks[done-1].Price), note)
			}
		}
	}
}

// TestTheMachineIsWhatItsPageSays compares the plugin with the model, on configurations, markets and brokers that are made up.
// What waits at the broker is answered between two calls, so each batch size is a game of its own.
func TestTheMachineIsWhatItsPageSays(t *testing.T) {
	h, count := host(t, "strategy", nil), map[string]int{}
	for seed := range uint64(60) {
		for _, batch := range []int{1, 7, 300} {
			play(t, h, seed, batch, count)
		}
	}
	for _, what := range []string{"indicator", "signal", "cancel", "statemonitoring", "statesignal_detected", "statesignal_cancelled", "stateentry_evaluation",
		"stateclose_order_evaluation", "stateemergency_exit", "orderz1_entry", "orderze1_close", "orderstop_loss", "ordertake_profit", "orderemergency_exit"} {
		require.Greater(t, count[what], 20, what)
	}
}

// TestWhatIsSaidDoesNotDependOnHowTicksAreCut fills orders at the next tick, as sessions do, and compares all that was said to the
// byte.
func TestWhatIsSaidDoesNotDependOnHowTicksAreCut(t *testing.T) {
	h := host(t, "strategy", nil)
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 8))
		cfg, ticks := randomConfig(r), randomTicks(r, 3000)
		var first string
		for _, batch := range []int{1, 7, 4096} {
			s, err := h.OpenStrategy(t.Context(), "random")
			require.NoError(t, err)
			require.NoError(t, s.Open(t.Context(), openDocument(1, cfg.json(), 4000)))
			var said strings.Builder
			b := &broker{r: rand.New(rand.NewPCG(seed, 9)), equity: 10000}
			for done := 0; done < len(ticks); {
				n, got, err := s.Ticks(t.Context(), 1, ticks[done:min(done+batch, len(ticks))])
				require.NoError(t, err)
				for _, a := range got {
					a.At += done
					fmt.Fprintf(&said, "%+v %s\n", a, a.Indicators)
				}
				done += n
				events := b.take(got)
				for len(b.waiting) > 0 {
					events = append(events, b.act(100)...)
				}
				if len(events) > 0 {
					got, err := s.Update(t.Context(), updateDocument(events, b.position, b.equity))
					require.NoError(t, err)
					fmt.Fprintf(&said, "%+v\n", got)
				}
			}
			require.NoError(t, s.Close())
			if first == "" {
				first = said.String()
			}
			require.Equal(t, first, said.String(), "seed %d, batches of %d", seed, batch)
		}
	}
}

func TestStrategyVectors(t *testing.T) {
	bench := plugin.NewWorkbench(t.TempDir())
	piece, err := bench.Open(t.Context(), plugin.Specimen{Name: "strategy", Module: module(t, "strategy")})
	require.NoError(t, err)
	defer piece.Close()
	for _, v := range vectors(t, "strategy") {
		require.Equal(t, vector.Strategy, v.Hook)
		t.Run(v.Name, func(t *testing.T) {
			_, err := piece.Check(&v)
			require.NoError(t, err)
		})
	}
}

func TestADocumentOfAStrategyThatIsCutOrChangedNeverTraps(t *testing.T) {
	open, update := openDocument(1, exampleStrategy, 1000), updateDocument([]event{{"fill", "entry-1", 1, 2}, {kind: "reject", id: "exit-2"}}, 1, 2)
	wasm, hostile := module(t, "strategy"), []byte("\x00\"\\{}]:,*0\xff")
	rt, compiled := compile(t, wasm)
	for hook, doc := range map[string][]byte{abi.ExportStrategyOpen: open, abi.ExportStrategyUpdate: update} {
		g, _ := start(t, rt, compiled, nil)
		if hook == abi.ExportStrategyUpdate {
			require.Equal(t, answer{kind: abi.Yes}, g.call(t, abi.ExportStrategyOpen, open))
		}
		for n := range doc {
			require.Equal(t, abi.ErrorText, g.call(t, hook, doc[:n]).kind, "%s", doc[:n])
		}
		for i, old := range doc {
			for _, c := range hostile {
				doc[i] = c
				if got := g.call(t, hook, doc); got.kind != abi.ErrorText {
					require.True(t, json.Valid(doc), "%s: %v", doc, got)
				}
			}
			doc[i] = old
		}
		g.close(t)
	}
}

// expensive is the largest configuration that is valid: with every tick it says as much as there is to say.
func expensive() *modelConfig {
	cfg := &modelConfig{Name: "large", Direction: "LONG"}
	var all []condition
	for i := range 20 {
		all = append(all, condition{"x", fmt.Sprintf("BOLLINGER_BANDS(%31d, 2.500000).upper", 100+i), "!=", -12345.678901234567})
	}
	cfg.S1.Conditions = append(all, all[:12]...) // up to as many conditions as a section may have
	cfg.Z1.Conditions, cfg.ZE1.Conditions = cfg.S1.Conditions, cfg.S1.Conditions
	never := append(cfg.S1.Conditions[:31:31], condition{"never", all[11].IndicatorID, "==", 1e300})
	cfg.O1.Conditions, cfg.Emergency.Conditions = never, never
	cfg.Z1.Leverage, cfg.Z1.PositionSize.Type, cfg.Z1.PositionSize.Value = 1, "percentage", 12.345678901234567
	return cfg
}

func TestNoTickUsesAllItsFuel(t *testing.T) {
	piece, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(), plugin.Specimen{Name: "strategy", Module: module(t, "strategy")})
	require.NoError(t, err)
	defer piece.Close()
	limit := plugin.DefaultLimits().FuelTick
	got, err := piece.Step(&vector.Step{Open: openDocument(1, expensive().json(), 1)}, 1)
	require.NoError(t, err)
	require.Equal(t, vector.Yes, got.Said, got.Error)
	f, most, orders := fills{}, int64(0), 0
	for i, tick := range market(3000) {
		step := vector.Step{Ticks: [][]float64{{float64(i + 1), tick.Price * math.Pi, tick.Volume}}}
		got, err := piece.Step(&step, 1)
		require.NoError(t, err)
		require.Contains(t, []string{vector.No, vector.Data}, got.Said, "tick %d: %s", i, got.Error)
		most = max(most, got.Fuel)
		var said struct{ Out []map[string]any }
		if got.Data != nil {
			require.NoError(t, json.Unmarshal(got.Data, &said))
		}
		for _, x := range said.Out {
			if x["kind"] != message.ActionOrder {
				continue
			}
			orders++
			notional, _ := x["notional"].(float64)
			quantity, _ := x["quantity"].(float64)
			doc := f.update([]message.StrategyAction{{Kind: message.ActionOrder, ID: x["id"].(string), Side: x["side"].(string), Notional: notional,
				Quantity: quantity}}, tick.Price)
			_, err := piece.Step(&vector.Step{Update: doc}, 1)
			require.NoError(t, err)
		}
	}
	require.Greater(t, orders, 100)
	require.Less(t, most, limit*9/10, "a tick that says everything")
}

func TestALongRunTakesNoMoreMemoryThanAShortOne(t *testing.T) {
	piece, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(), plugin.Specimen{Name: "strategy", Module: module(t, "strategy")})
	require.NoError(t, err)
	defer piece.Close()
	open, ticks := openDocument(1, exampleStrategy, 60_000), plugin.WalkTicks(1_000_000, 3)
	short, err := piece.Trade(open, ticks[:10_000], 4096)
	require.NoError(t, err)
	long, err := piece.Trade(open, ticks, 4096)
	require.NoError(t, err)
	require.Greater(t, long.Orders, 10*short.Orders)
	require.Equal(t, short.MemoryBytes, long.MemoryBytes)
}

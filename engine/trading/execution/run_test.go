package execution

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

func TestAMarketOrderIsFilledAtTheNextTickWithSlippageAndFee(t *testing.T) {
	b := newBench(t, DefaultConfig(), at(map[int][]message.StrategyAction{1: {buy("e1", 2)}, 3: {sell("x1", 2)}}))
	b.ticks(100, 101, 102, 103, 104)
	require.Equal(t, []string{
		`{"handle":1,"events":[{"kind":"fill","id":"e1","quantity":2,"price":102.051,"fee":0.204102}],"position":2,"equity":9999.693898}`,
		`{"handle":1,"events":[{"kind":"fill","id":"x1","quantity":2,"price":103.948,"fee":0.207896}],"position":0,"equity":10003.382002}`,
	}, b.fake.updates)
	require.Equal(t, []string{`{"handle":1,"strategy_name":"s","symbol":"X","session_type":"backtest","strategy_config":{"a":1},"equity":10000,"position":0,"indicator_interval_ms":1000}`}, b.fake.opened)
	require.Equal(t, []string{"session-1 placed", "session-1 filled", "session-2 placed", "session-2 filled"}, b.diary.statuses())
	filled := b.diary.of(KindOrder)[1]
	require.Equal(t, []any{int64(3000), "s", "X", "102.051", "0.204102"}, []any{filled.TimeMS, filled.Strategy, filled.Symbol, filled.Order.FillPrice.String(), filled.Order.Fee.String()})
	positions := b.diary.of(KindPosition)
	require.Len(t, positions, 2)
	require.Equal(t, "-0.102", positions[0].Position.Unrealized.String(), "2 that were bought for 102.051, at the fill's tick, 102")
	require.Equal(t, "9999.693898", b.diary.of(KindPortfolio)[0].Portfolio.Equity.String(), "as of the end of the tick")
	p := b.books.Performance()
	require.Equal(t, []uint64{2, 2, 5, 1}, []uint64{p.OrdersPlaced, p.OrdersFilled, p.TicksProcessed, p.Wins})
}

func TestALimitOrderIsFilledAtTheFirstLaterTickThatReachesIt(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {limit(buy("e1", 1), 95)}, 1: {}, 5: {limit(sell("x1", 1), 97)}}))
	b.ticks(94, 100, 96, 95.5, 93, 96, 96.5, 98, 200)
	require.Equal(t, []string{"fill e1 ", "fill x1 "}, b.events())
	fills := b.diary.of(KindOrder)
	require.Equal(t, []any{int64(5000), "93"}, []any{fills[1].TimeMS, fills[1].Order.FillPrice.String()}, "at the tick's price, which is better; never at the tick of the order")
	require.Equal(t, []any{int64(8000), "98"}, []any{fills[3].TimeMS, fills[3].Order.FillPrice.String()})
	require.Equal(t, "10005", b.books.Equity().String())
}

func TestAStrategyLearnsOfAFillBeforeItSeesTheTick(t *testing.T) {
	var log []string
	b := newBench(t, plain(), nil)
	b.fake.onTick = func(_ uint32, n int, tick message.StrategyTick) []message.StrategyAction {
		log = append(log, fmt.Sprint("tick ", tick.Price))
		if n == 0 {
			return []message.StrategyAction{limit(buy("e", 1), 95)}
		}
		return nil
	}
	b.fake.onEvent = func(_ uint32, u update) []message.StrategyAction {
		log = append(log, fmt.Sprint(u.Events[0].Kind, " at ", u.Events[0].Price, ", equity ", u.Equity))
		return nil
	}
	b.ticks(100, 99, 94, 96)
	require.Equal(t, []string{"tick 100", "tick 99", "fill at 94, equity 10000", "tick 94", "tick 96"}, log)
}

func TestWhatAStrategyOrdersOnAnUpdateIsFilledAtALaterTick(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {buy("e", 1)}}))
	b.fake.onEvent = func(_ uint32, u update) []message.StrategyAction {
		if u.Events[0].ID == "e" {
			return []message.StrategyAction{sell("stop", 1)}
		}
		return nil
	}
	b.ticks(100, 101, 90, 91)
	require.Equal(t, []string{"fill e ", "fill stop "}, b.events())
	require.Equal(t, "9989", b.books.Equity().String())
}

func TestACancelledOrderIsNotFilledAndItsStrategyIsTold(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {limit(buy("e", 1), 90)}, 2: {{Kind: message.ActionCancel, ID: "e"}, {Kind: message.ActionCancel, ID: "never was"}}}))
	b.ticks(100, 99, 98, 80)
	require.Equal(t, []string{"cancelled e cancelled_by_strategy"}, b.events())
	require.Equal(t, []string{"session-1 placed", "session-1 cancelled"}, b.diary.statuses())
	require.Equal(t, uint64(1), b.books.Performance().OrdersCanceled)
}

func TestOrdersThatCannotBeAreRefusedAndTold(t *testing.T) {
	c := plain()
	c.OrdersPendingMax = 2
	bad := []message.StrategyAction{
		limit(buy("dup", 1), 50), limit(buy("dup", 1), 50), limit(buy("b", 1), 50), limit(buy("c", 1), 50),
	}
	b := newBench(t, c, at(map[int][]message.StrategyAction{0: bad, 1: {
		buy("zero", 0), buy("nan", math.NaN()), buy("huge", 1e12), buy("negative", -1), notional(buy("inf", 0), math.Inf(1)), limit(buy("price", 1), math.NaN()),
		{Kind: message.ActionOrder, ID: "side", Side: "hold", OrderType: "market", Quantity: 1}, {Kind: message.ActionOrder, ID: "type", Side: "buy", OrderType: "stop", Quantity: 1},
		{Kind: message.ActionOrder, ID: "both", Side: "buy", OrderType: "market", Quantity: 1, Notional: 1}, buy("dust", 1e-12),
	}}))
	b.ticks(100, 100, 100)
	require.Equal(t, []string{"reject dup duplicate_order_id", "reject c too_many_orders", "reject zero invalid_order", "reject nan invalid_order",
		"reject huge invalid_order", "reject negative invalid_order", "reject inf invalid_order", "reject price invalid_order", "reject side invalid_order",
		"reject type invalid_order", "reject both invalid_order", "reject dust invalid_order"}, b.events())
	require.Equal(t, uint64(12), b.books.Performance().OrdersRejected)
}

func TestANotionalThatBuysNothingIsRefusedAtItsFill(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {notional(buy("e", 0), 0.00000001)}}))
	b.ticks(100, 100, 100)
	require.Equal(t, []string{"reject e order_too_small"}, b.events())
	require.Zero(t, b.run.Pending())
}

func TestANotionalBuysWhatTheFillsPriceGives(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {notional(buy("e", 0), 1000)}}))
	b.ticks(100, 300, 300)
	require.Equal(t, "3.33333333", b.books.Position(0).Quantity.String())
}

func TestAnOrderIsNotFilledInItsOwnBatchsTickNorLostBetweenBatches(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {buy("e", 1)}}))
	b.ticks(100)
	require.Equal(t, 1, b.run.Pending())
	b.ticks(105)
	require.Zero(t, b.run.Pending())
	require.Equal(t, "105", b.books.Position(0).AveragePrice.String())
}

func TestTicksThatAreNoneOrTooOldAreDroppedAndCounted(t *testing.T) {
	b := newBench(t, plain(), nil)
	var seen []float64
	b.fake.onTick = func(_ uint32, _ int, tick message.StrategyTick) []message.StrategyAction {
		seen = append(seen, tick.Price)
		return nil
	}
	require.NoError(t, b.run.Ticks(t.Context(), "X", []message.StrategyTick{
		{TimeMS: math.NaN(), Price: 1}, {TimeMS: 5000, Price: 10}, {TimeMS: 4000, Price: 11}, {TimeMS: 5000, Price: 12}, {TimeMS: 6000, Price: math.Inf(1)},
		{TimeMS: 6000, Price: -1}, {TimeMS: 6000, Price: 13, Volume: math.NaN()}, {TimeMS: -1, Price: 1}, {TimeMS: 1e300, Price: 1}, {TimeMS: 7000, Price: 14},
	}))
	require.NoError(t, b.run.Ticks(t.Context(), "X", []message.StrategyTick{{TimeMS: 6999, Price: 15}}))
	require.Equal(t, []float64{10, 12, 14}, seen)
	p := b.books.Performance()
	require.Equal(t, []uint64{3, 2, 6}, []uint64{p.TicksProcessed, p.TicksOutOfOrder, b.books.InvalidTicks()})
	require.ErrorIs(t, b.run.Ticks(t.Context(), "Y", nil), ErrUnknown)
}

func TestATickThatNobodyCouldPayForDoesNotEndTheRun(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {buy("e", 1)}, 1: {sell("x", 1)}}))
	b.ticks(100, 100, 1e18, 101)
	require.Equal(t, []string{"fill e ", "reject x amount_out_of_range"}, b.events())
	require.Equal(t, "10001", b.books.Equity().String())
}

func TestAStrategyThatFailsEndsTheRunAndLeavesTheLedger(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {buy("e", 1)}, 2: {{Kind: "fail", Reason: "unreachable"}}}))
	err := b.feed("X", 100, 101, 102, 103)
	var failure *Failure
	require.ErrorAs(t, err, &failure)
	require.EqualError(t, err, "execution: strategy s on X, run by strategy@0123456789ab: plugin/strategy@0123456789ab: trap: unreachable")
	require.Equal(t, err, b.run.Ticks(t.Context(), "X", []message.StrategyTick{{TimeMS: 1e9, Price: 1}}))
	require.Equal(t, err, b.run.Activate(t.Context(), "s", "Y"))
	require.Equal(t, AlertSessionError, b.diary.of(KindAlert)[0].Alert)
	require.Equal(t, "1", b.books.Position(0).Quantity.String())
	require.NoError(t, b.run.End("failed"))
	require.Equal(t, err, b.run.Err())
}

func TestAStrategyThatBreaksItsPromisesFails(t *testing.T) {
	for name, answer := range map[string]struct {
		consumed int
		actions  []message.StrategyAction
	}{
		"nothing consumed":    {0, nil},
		"too much consumed":   {4, nil},
		"beyond consumed":     {2, []message.StrategyAction{{Kind: message.ActionSignal, At: 2}}},
		"backwards":           {3, []message.StrategyAction{{Kind: message.ActionSignal, At: 1}, {Kind: message.ActionSignal, At: 0}}},
		"negative":            {3, []message.StrategyAction{{Kind: message.ActionSignal, At: -1}}},
		"order and go on":     {3, []message.StrategyAction{{Kind: message.ActionOrder, At: 1}}},
		"cancel, then go on":  {3, []message.StrategyAction{{Kind: message.ActionCancel, At: 0}}},
		"order before others": {3, []message.StrategyAction{{Kind: message.ActionOrder, At: 0}, {Kind: message.ActionSignal, At: 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			books, err := ledger.New(ledger.DefaultConfig())
			require.NoError(t, err)
			r, err := New(plain(), books, &diary{})
			require.NoError(t, err)
			require.NoError(t, r.Add("s", nil, answers(answer.consumed, answer.actions), "p"))
			require.NoError(t, r.Activate(t.Context(), "s", "X"))
			var failure *Failure
			require.ErrorAs(t, r.Ticks(t.Context(), "X", make3()), &failure)
		})
	}
}

func make3() []message.StrategyTick {
	return []message.StrategyTick{{TimeMS: 1, Price: 1}, {TimeMS: 2, Price: 1}, {TimeMS: 3, Price: 1}}
}

type answering struct {
	consumed int
	actions  []message.StrategyAction
}

func answers(consumed int, actions []message.StrategyAction) Strategy {
	return &answering{consumed, actions}
}

func (a *answering) Open(context.Context, []byte) error { return nil }
func (a *answering) Ticks(context.Context, uint32, []message.StrategyTick) (int, []message.StrategyAction, error) {
	return a.consumed, a.actions, nil
}
func (a *answering) Update(context.Context, []byte) ([]message.StrategyAction, error) {
	return nil, nil
}

func TestAnInterruptedRunIsNoFailureOfAStrategy(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {limit(buy("e", 1), 50)}}))
	b.ticks(100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.run.Ticks(ctx, "X", []message.StrategyTick{{TimeMS: 2000, Price: 100}})
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, errors.As(err, new(*Failure)))
	require.NoError(t, b.run.End(""))
	require.Equal(t, []string{"session-1 placed", "session-1 cancelled"}, b.diary.statuses())
}

func TestActivationIsPerSymbolAndMayBeTakenBack(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {buy("e", 1)}, 1: {limit(sell("x", 1), 200)}}))
	require.ErrorIs(t, b.run.Activate(t.Context(), "s", "X"), ErrActive)
	require.ErrorIs(t, b.run.Activate(t.Context(), "other", "X"), ErrUnknown)
	require.ErrorIs(t, b.run.Add("s", nil, b.fake, ""), ErrActive)
	b.fake.refuse = errors.New("no")
	require.EqualError(t, b.run.Activate(t.Context(), "s", "Y"), "no")
	b.fake.refuse = nil
	b.ticks(100, 101)
	require.NoError(t, b.run.Deactivate("s", "X"))
	require.ErrorIs(t, b.run.Deactivate("s", "X"), ErrUnknown)
	require.Equal(t, "session-2 cancelled", b.diary.statuses()[3])
	b.ticks(102, 103)
	require.Equal(t, 2, b.fake.seen[1])
	require.Equal(t, "10002", b.books.Equity().String(), "what it holds is valued all the same")
	require.Equal(t, "inactive", b.run.States()[0].State)
	require.NoError(t, b.run.Activate(t.Context(), "s", "X"))
	require.Contains(t, b.fake.opened[2], `"handle":3,`)
	require.Contains(t, b.fake.opened[2], `"equity":10002,"position":1,`)
	b.ticks(104)
	require.Equal(t, 1, b.fake.seen[3])
}

func TestTheEndCancelsOrdersAndClosesPositionsWhereAskedTo(t *testing.T) {
	for _, closes := range []bool{false, true} {
		c := DefaultConfig()
		c.CloseAtEnd = closes
		b := newBench(t, c, at(map[int][]message.StrategyAction{0: {buy("e", 1)}, 1: {limit(sell("x", 1), 200)}}))
		b.ticks(100, 100, 110)
		require.NoError(t, b.run.End(""))
		require.NoError(t, b.run.End(""))
		require.ErrorIs(t, b.run.Ticks(t.Context(), "X", nil), ErrEnded)
		p := b.books.Performance()
		require.Equal(t, uint64(1), p.OrdersCanceled)
		if closes {
			require.Empty(t, b.books.Results().Positions)
			require.Equal(t, "109.945", string(b.books.Results().Trades[0].ExitPrice))
			require.Equal(t, "session_ended", b.books.Results().Trades[0].Reason)
		} else {
			require.Len(t, b.books.Results().Positions, 1)
		}
		require.Equal(t, "inactive", b.run.States()[0].State)
	}
}

func TestSignalsIndicatorsStatesAndAlertsAreTold(t *testing.T) {
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{1: {
		{Kind: message.ActionIndicator, Name: "RSI", Value: 30}, {Kind: message.ActionIndicator, Name: "SMA", Value: 100},
		{Kind: message.ActionSignal, SignalType: "S1", Confidence: 0.5, HasConfidence: true, Indicators: []byte(`{"RSI":30}`)},
		{Kind: message.ActionState, State: "signal_detected"}, {Kind: message.ActionState, State: "emergency_exit"},
	}}))
	b.ticks(100, 101, 102)
	require.Equal(t, []Indicator{{"RSI", 30}, {"SMA", 100}}, b.diary.of(KindIndicators)[0].Indicators)
	s := b.diary.of(KindSignal)[0]
	require.Equal(t, []any{"S1", 0.5, `{"RSI":30}`, int64(2000), "s", "X"}, []any{s.SignalType, s.Confidence, string(s.Snapshot), s.TimeMS, s.Strategy, s.Symbol})
	require.Equal(t, AlertEmergencyExit, b.diary.of(KindAlert)[0].Alert)
	require.Equal(t, uint64(1), b.books.Performance().SignalsDetected)
	state := b.run.States()[0]
	require.Equal(t, []any{"emergency_exit", int64(2000), "strategy@0123456789ab"}, []any{state.State, state.Since, state.Plugin})
}

func TestWhoOnlyWatchesMayNotOrder(t *testing.T) {
	c := plain()
	c.Mode = Observe
	b := newBench(t, c, at(map[int][]message.StrategyAction{0: {buy("e", 1)}}))
	b.ticks(100, 101)
	require.Equal(t, []string{"reject e no session"}, b.events())
}

// play runs a tape of ticks of two symbols with three moody strategies in batches of at most size, and returns all that can be known of it.
func play(t *testing.T, seed uint64, c Config, size func() int) ([]string, any) {
	books, err := ledger.New(ledger.DefaultConfig())
	require.NoError(t, err)
	d := &diary{wants: AllKinds}
	r, err := New(c, books, d)
	require.NoError(t, err)
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, r.Add(name, nil, &moody{}, name+"@1"))
		require.NoError(t, r.Activate(t.Context(), name, "X"))
	}
	require.NoError(t, r.Activate(t.Context(), "b", "Y"))
	random := rand.New(rand.NewPCG(seed, 7))
	prices := map[string]float64{"X": 100, "Y": 20}
	now := 1_700_000_000_000.0
	for range 40 {
		symbol := []string{"X", "X", "Y"}[random.IntN(3)]
		ticks := make([]message.StrategyTick, 1+random.IntN(80))
		for i := range ticks {
			now += float64(random.IntN(8000)) - 10
			prices[symbol] = math.Round(prices[symbol]*(99+2*random.Float64())) / 100
			prices[symbol] = max(prices[symbol], 1)
			ticks[i] = message.StrategyTick{TimeMS: now, Price: prices[symbol], Volume: 1, QuoteVolume: prices[symbol]}
		}
		for len(ticks) > 0 {
			n := min(size(), len(ticks))
			require.NoError(t, r.Ticks(t.Context(), symbol, ticks[:n]))
			ticks = ticks[n:]
		}
	}
	require.NoError(t, r.End(""))
	return d.lines, []any{books.Results(), books.Equity(), r.States()}
}

func TestBatchesOfAnySizeComeToTheSame(t *testing.T) {
	for seed := range uint64(4) {
		c := DefaultConfig()
		if seed%2 == 1 {
			c.Budget = &Budget{GlobalCap: 6000 * ledger.One, Allocations: map[string]ledger.Amount{"a": 2000 * ledger.One, "b": 3000 * ledger.One}}
		}
		lines, state := play(t, seed, c, func() int { return 4096 })
		require.Greater(t, len(lines), 300)
		random := rand.New(rand.NewPCG(seed, 8))
		for name, size := range map[string]func() int{"1": func() int { return 1 }, "7": func() int { return 7 }, "random": func() int { return 1 + random.IntN(100) }} {
			otherLines, otherState := play(t, seed, c, size)
			for i := range min(len(lines), len(otherLines)) {
				require.Equal(t, lines[i], otherLines[i], "batches of %s, event %d", name, i)
			}
			require.Len(t, otherLines, len(lines))
			require.Equal(t, state, otherState)
		}
	}
}

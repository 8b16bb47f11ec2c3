package execution

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// live is a run whose orders go to a broker that the test plays.
type live struct {
	*bench
	intents []Intent
	fails   error
}

func newLive(t *testing.T, actions map[int][]message.StrategyAction) *live {
	l := &live{}
	c := plain()
	c.Mode, c.SessionType, c.OrdersKeptMax = External, "live", 2
	c.Intents = func(i Intent) error { l.intents = append(l.intents, i); return l.fails }
	l.bench = newBench(t, c, at(actions))
	return l
}

func (l *live) report(order, execution string, kind ReportKind, quantity, at, fee string) bool {
	l.t.Helper()
	fresh, err := l.run.Report(fill(l.t, order, execution, kind, quantity, at, fee))
	require.NoError(l.t, err)
	return fresh
}

func fill(t *testing.T, order, execution string, kind ReportKind, quantity, at, fee string) Report {
	r := Report{OrderID: order, ExecutionID: execution, Kind: kind, Reason: "because"}
	for _, f := range []struct {
		to   *ledger.Amount
		text string
	}{{&r.Quantity, quantity}, {&r.Fee, fee}} {
		if f.text != "" {
			var err error
			*f.to, err = ledger.ParseAmount(f.text)
			require.NoError(t, err)
		}
	}
	if at != "" {
		var err error
		r.Price, err = ledger.ParsePrice(at)
		require.NoError(t, err)
	}
	return r
}

func TestALiveOrderIsOnlyBookedFromReportsAndOnceForEachExecution(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {limit(buy("e", 3), 99)}})
	l.ticks(100, 90, 80)
	require.Len(t, l.intents, 1)
	i := l.intents[0]
	require.Equal(t, []any{"session-1", "s", "X", "99", "3", "entry", int64(1000)}, []any{i.Order.ID, i.Strategy, i.Symbol, i.Order.Limit.String(), i.Order.Quantity.String(), i.Order.Reason, i.TimeMS})
	require.Zero(t, l.books.Position(0).Quantity, "whatever the market does")
	require.True(t, l.report("session-1", "x1", ReportFill, "1", "98.5", "0.1"))
	require.False(t, l.report("session-1", "x1", ReportFill, "1", "98.5", "0.1"))
	require.Equal(t, "1", l.books.Position(0).Quantity.String())
	require.Equal(t, "partially_filled", l.diary.of(KindOrder)[1].Order.Status.String())
	l.ticks(81)
	require.Equal(t, []string{`{"handle":1,"events":[{"kind":"fill","id":"e","quantity":1,"price":98.5,"fee":0.1}],"position":1,"equity":9982.4}`}, l.fake.updates)
	require.True(t, l.report("session-1", "x2", ReportFill, "2", "98", "0"))
	require.Equal(t, "filled", l.diary.of(KindOrder)[2].Order.Status.String())
	require.Equal(t, uint64(1), l.books.Performance().OrdersFilled)
	require.Zero(t, l.run.Pending())
	require.False(t, l.report("session-1", "x2", ReportFill, "2", "98", "0"), "also when it is done")
	require.Equal(t, "3", l.books.Position(0).Quantity.String())
}

func TestALiveOrderMayBeRejectedOrCancelledByTheBroker(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 1), buy("b", 1)}, 1: {{Kind: message.ActionCancel, ID: "b"}, {Kind: message.ActionCancel, ID: "b"}}})
	l.ticks(100, 100)
	require.True(t, l.report("session-1", "1", ReportReject, "", "", ""))
	require.Len(t, l.intents, 3)
	require.True(t, l.intents[2].Cancel)
	require.Equal(t, "session-2", l.intents[2].Order.ID, "asked once")
	require.Equal(t, 1, l.run.Pending(), "it is for the broker to say")
	require.True(t, l.report("session-2", "1", ReportCancelled, "", "", ""))
	l.ticks(100)
	require.Equal(t, []string{"reject a because", "cancelled b because"}, l.events())
	p := l.books.Performance()
	require.Equal(t, []uint64{1, 1}, []uint64{p.OrdersRejected, p.OrdersCanceled})
	require.True(t, l.report("session-2", "2", ReportFill, "1", "100", "0"), "the broker was quicker than the cancel, and tells late")
	require.Equal(t, "1", l.books.Position(0).Quantity.String())
	require.True(t, l.report("session-2", "3", ReportCancelled, "", "", ""))
	require.Equal(t, uint64(1), l.books.Performance().OrdersCanceled)
}

func TestAnOrderThatCannotBeHandedOverIsRefused(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 1)}})
	l.fails = errors.New("no broker")
	l.ticks(100, 100)
	require.Equal(t, []string{"reject a no broker"}, l.events())
}

func TestReportsThatCannotBeBookedChangeNothing(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 1)}})
	l.ticks(100)
	for _, c := range []struct {
		report Report
		err    error
	}{
		{fill(t, "session-9", "x", ReportFill, "1", "1", "0"), ErrUnknown},
		{fill(t, "", "x", ReportFill, "1", "1", "0"), ErrUnknown},
		{fill(t, "session-1", "", ReportFill, "1", "1", "0"), ErrReport},
		{fill(t, "session-1", string(make([]byte, 129)), ReportFill, "1", "1", "0"), ErrReport},
		{fill(t, "session-1", "x", ReportFill, "0", "1", "0"), ErrReport},
		{fill(t, "session-1", "x", ReportFill, "-1", "1", "0"), ErrReport},
		{fill(t, "session-1", "x", ReportFill, "1", "", "0"), ErrReport},
		{fill(t, "session-1", "x", ReportFill, "90000000000", "90000000000", "0"), ErrReport},
		{fill(t, "session-1", "x", 7, "1", "1", "0"), ErrReport},
	} {
		_, err := l.run.Report(c.report)
		require.ErrorIs(t, err, c.err)
	}
	require.True(t, l.report("session-1", "x", ReportFill, "1", "100", "0"), "none of them used the execution id up")
	b := newBench(t, plain(), at(map[int][]message.StrategyAction{0: {limit(buy("a", 1), 1)}}))
	b.ticks(100)
	_, err := b.run.Report(fill(t, "session-1", "x", ReportFill, "1", "1", "0"))
	require.ErrorIs(t, err, ErrUnknown, "nobody reports on simulated orders")
}

func TestAnOrderByNotionalIsDoneAtNearlyAllOfIt(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {notional(buy("a", 0), 1000)}})
	l.ticks(100)
	require.True(t, l.report("session-1", "1", ReportFill, "5", "100", "0"))
	require.Equal(t, 1, l.run.Pending())
	require.True(t, l.report("session-1", "2", ReportFill, "4.95", "100", "0"))
	require.Zero(t, l.run.Pending())
}

func TestOrdersThatAreDoneAreForgottenInTheEnd(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 1), buy("b", 1), buy("c", 1)}})
	l.ticks(100)
	for _, id := range []string{"session-1", "session-2", "session-3"} {
		require.True(t, l.report(id, "1", ReportFill, "1", "100", "0"))
	}
	_, err := l.run.Report(fill(t, "session-1", "2", ReportFill, "1", "1", "0"))
	require.ErrorIs(t, err, ErrUnknown)
	require.False(t, l.report("session-2", "1", ReportFill, "1", "100", "0"))
}

func TestAPartlyFilledOrderCommitsTheRest(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 10)}})
	l.ticks(100)
	require.True(t, l.report("session-1", "1", ReportFill, "4", "50", "0"))
	total, ok := l.run.committed(l.run.strategies[0], nil)
	require.True(t, ok)
	require.Equal(t, "800", total.String(), "200 are held, and 6 at 100 are still to come")
}

func TestARestoredRunKnowsItsOrdersAndTakesReports(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 2), limit(buy("b", 1), 50)}, 1: {buy("c", 1)}})
	l.ticks(100, 100)
	require.True(t, l.report("session-1", "1", ReportFill, "1", "100", "0"))
	require.True(t, l.report("session-3", "1", ReportFill, "1", "100", "0"))
	money, err := l.books.Snapshot()
	require.NoError(t, err)
	document, err := l.run.Snapshot()
	require.NoError(t, err)

	books, err := ledger.Restore(money, ledger.DefaultConfig())
	require.NoError(t, err)
	d := &diary{wants: AllKinds}
	r, err := Restore(document, l.run.config, books, d)
	require.NoError(t, err)
	require.Equal(t, l.run.States(), r.States())
	again, err := r.Snapshot()
	require.NoError(t, err)
	require.Equal(t, string(document), string(again))
	require.ErrorIs(t, r.Ticks(t.Context(), "X", make3()), ErrEnded)
	require.ErrorIs(t, r.Activate(t.Context(), "s", "X"), ErrEnded)

	fresh, err := r.Report(fill(t, "session-1", "1", ReportFill, "1", "100", "0"))
	require.NoError(t, err)
	require.False(t, fresh, "it was booked before the restart")
	fresh, err = r.Report(fill(t, "session-1", "2", ReportFill, "1", "101", "0"))
	require.NoError(t, err)
	require.True(t, fresh)
	require.Equal(t, "3", books.Position(0).Quantity.String())
	require.Equal(t, 1, r.Pending())
	require.NoError(t, r.End("engine_restarted"))
	require.Zero(t, r.Pending())
	require.Equal(t, "inactive", r.States()[0].State)
	require.Equal(t, "session-2 cancelled", d.statuses()[1])
	fresh, err = r.Report(fill(t, "session-2", "9", ReportFill, "1", "50", "0"))
	require.NoError(t, err)
	require.True(t, fresh, "the broker has the last word")
	ended, err := r.Snapshot()
	require.NoError(t, err)
	r, err = Restore(ended, l.run.config, books, d)
	require.NoError(t, err)
	require.NoError(t, r.End(""), "it has ended already")
}

func TestARunsSnapshotThatContradictsItselfIsRefused(t *testing.T) {
	l := newLive(t, map[int][]message.StrategyAction{0: {buy("a", 2)}})
	l.ticks(100)
	document, err := l.run.Snapshot()
	require.NoError(t, err)
	for name, change := range map[string]func(map[string]any){
		"version":       func(d map[string]any) { d["version"] = 0 },
		"unknown field": func(d map[string]any) { d["x"] = 0 },
		"handle":        func(d map[string]any) { d["orders"].([]any)[0].(map[string]any)["handle"] = 3 },
		"status":        func(d map[string]any) { d["orders"].([]any)[0].(map[string]any)["status"] = 9 },
		"order twice":   func(d map[string]any) { d["orders"] = append(d["orders"].([]any), d["orders"].([]any)[0]) },
		"handle twice":  func(d map[string]any) { d["handles"] = append(d["handles"].([]any), d["handles"].([]any)[0]) },
		"symbol":        func(d map[string]any) { d["handles"].([]any)[0].(map[string]any)["symbol"] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			var d map[string]any
			require.NoError(t, json.Unmarshal(document, &d))
			change(d)
			text, err := json.Marshal(d)
			require.NoError(t, err)
			_, err = Restore(text, l.run.config, l.books, l.diary)
			require.ErrorIs(t, err, ErrSnapshot)
		})
	}
	_, err = Restore(append(document, "{}"...), l.run.config, l.books, l.diary)
	require.ErrorIs(t, err, ErrSnapshot)
}

func FuzzRestoreRefusesOrReports(f *testing.F) {
	f.Add([]byte(`{"version":1,"numbered":2,"ended":false,"handles":[{"strategy":"s","plugin":"p","symbol":"X","active":true,"state":"monitoring","since_ms":0}],` +
		`"orders":[{"handle":0,"id":"session-1","own":"a","number":1,"limit":0,"quantity":2,"notional":0,"placed_ms":1,"status":0,"filled":0,"spent":0,"fees":0}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		books, err := ledger.New(ledger.DefaultConfig())
		require.NoError(t, err)
		c := plain()
		c.Mode, c.Intents = External, func(Intent) error { return nil }
		r, err := Restore(document, c, books, &diary{wants: AllKinds})
		if err != nil {
			require.ErrorIs(t, err, ErrSnapshot)
			return
		}
		_, _ = r.Report(fill(t, "session-1", "x", ReportFill, "1", "100", "0"))
		r.States()
		require.NoError(t, r.End(""))
		require.Zero(t, r.Pending())
		_, err = r.Snapshot()
		require.NoError(t, err)
	})
}

func TestConfigurationsThatCannotBeAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no session":   func(c *Config) { c.SessionID = "" },
		"mode":         func(c *Config) { c.Mode = 9 },
		"fee":          func(c *Config) { c.FeeBps = -1 },
		"large fee":    func(c *Config) { c.FeeBps = allBps + 1 },
		"slippage":     func(c *Config) { c.SlippageBps = allBps },
		"leverage":     func(c *Config) { c.LeverageMax = 0 },
		"interval":     func(c *Config) { c.IndicatorIntervalMS = -1 },
		"pending":      func(c *Config) { c.OrdersPendingMax = 0 },
		"kept":         func(c *Config) { c.OrdersKeptMax = 0 },
		"live intents": func(c *Config) { c.Mode = External },
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			change(&c)
			_, err := New(c, nil, nil)
			require.ErrorIs(t, err, ErrConfig)
		})
	}
}

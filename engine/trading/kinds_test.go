package trading

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// record collects prices of a market and returns the collection's id.
func (w *world) record(t *testing.T, owner, symbol string, prices ...float64) string {
	t.Helper()
	who := user(owner, "trader")
	c := must[*message.CollectionStarted](t, w, who, &message.CollectionStart{Symbols: []string{symbol}}).Collection
	for i, p := range prices {
		w.tick(symbol, int64(1000*(i+1)), p)
	}
	stopped := must[*message.CollectionStopped](t, w, who, &message.CollectionStop{CollectionID: c.ID}).Collection
	require.EqualValues(t, len(prices), stopped.Records)
	return c.ID
}

func TestABacktestReplaysACollectionToTheSameResultsAsPaper(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	p := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	c := w.record(t, "u1", "A", 9, 10, 11, 14, 15, 20, 22, 28, 27)
	require.Eventually(t, func() bool {
		s := must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: p}).Session
		return s.Performance.TicksProcessed == 9
	}, waitMost, waitStep)
	lived := must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: p}).Session.Performance
	b := must[*message.SessionStarted](t, w, u1, start("backtest", `{"s":["A"]}`, `{"collection_id":"`+c+`"}`)).Session.ID
	require.Eventually(t, func() bool {
		s := must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: b}).Session
		return s.State == "stopped" && s.Reason == "finished" && s.Progress == 1
	}, waitMost, waitStep)
	replayed := must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: b}).Session.Performance
	require.Equal(t, lived, replayed)
	require.EqualValues(t, 4, replayed.OrdersFilled)
	require.Equal(t, []string{b, p}, listed(t, w, "u1"))
}

func listed(t *testing.T, w *world, user string) (ids []string) {
	t.Helper()
	list, err := w.List(t.Context(), user, 100)
	require.NoError(t, err)
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestABacktestNeedsACollectionOfItsOwner(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	c := w.record(t, "u1", "A", 1, 2, 3)
	code, text := refused(t, w, user("u2", "trader"), start("backtest", `{"s":["A"]}`, `{"collection_id":"`+c+`"}`))
	require.Equal(t, message.CodeSessionNotFound, code)
	require.Contains(t, text, "you have no collection")
	must[*message.SessionStarted](t, w, user("boss", "admin"), start("backtest", `{"s":["A"]}`, `{"collection_id":"`+c+`"}`))
	code, text = refused(t, w, user("u1", "trader"), start("backtest", `{"s":["A","B"],"t":["C"]}`, `{"collection_id":"`+c+`"}`))
	require.Equal(t, message.CodeInvalidArgument, code)
	require.Contains(t, text, "strategy_config.s holds B")
	require.Contains(t, text, "strategy_config.t holds C")
}

func TestASlowBacktestIsStoppedWhileItWaits(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	c := w.record(t, "u1", "A", 9, 10, 11)
	s := must[*message.SessionStarted](t, w, u1, start("backtest", `{"s":["A"]}`, `{"collection_id":"`+c+`","acceleration_factor":0.0001}`)).Session
	must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: s.ID, Change: message.SessionPause})
	require.Equal(t, "paused", must[*message.SessionStatus](t, w, u1, &message.SessionQuery{}).Session.State)
	again := must[*message.SessionStarted](t, w, u1, start("backtest", `{"s":["A"]}`, `{"collection_id":"`+c+`"}`))
	require.True(t, again.Reused, "the same start")
	require.Equal(t, "requested", must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: s.ID}).Session.Reason)
}

func TestALiveSessionIntendsOrdersAndBooksOnlyWhatComesBack(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	intents := make(chan *message.Event, 10)
	w.intent = func(ev *message.Event) error { intents <- ev; return nil }
	u1 := user("u1", "premium")
	id := must[*message.SessionStarted](t, w, u1, start("live", `{"s":["A"]}`, "")).Session.ID
	w.tick("A", 1000, 10)
	ev := <-intents
	require.Equal(t, message.TypeOrderIntent, ev.Type)
	require.EqualValues(t, "user:u1:order_events", ev.Topic)
	require.Contains(t, string(ev.Payload), `"order_id":"`+id+`-1"`)
	w.tick("A", 2000, 11)
	report := func(format string, args ...any) {
		w.markets.deliver(&message.Envelope{Type: message.TypeExecutionReport, Topic: "user:u1:order_events", Payload: fmt.Appendf(nil, format, args...)})
	}
	performance := func() message.Performance {
		return must[*message.SessionStatus](t, w, u1, &message.SessionQuery{}).Session.Performance
	}
	require.Eventually(t, func() bool { return performance().TicksProcessed == 2 }, waitMost, waitStep)
	require.Zero(t, performance().OrdersFilled, "nothing came back yet")
	report(`{"session_id":"exec_other","order_id":"x","kind":"fill"}`)
	report(`{"session_id":%q,"order_id":"unknown","execution_id":"e0","kind":"fill","quantity":1,"price":10}`, id)
	report(`{"session_id":%q,"order_id":"%s-1","execution_id":"e1","kind":"fill","quantity":"one","price":10}`, id, id)
	report(`{"session_id":%q,"order_id":"%s-1","execution_id":"e1","kind":"what"}`, id, id)
	report(`{"session_id":%q,"order_id":"%s-1","execution_id":"e1","kind":"fill","quantity":1,"price":10.5,"fee":0.25}`, id, id)
	report(`{"session_id":%q,"order_id":"%s-1","execution_id":"e1","kind":"fill","quantity":1,"price":10.5,"fee":0.25}`, id, id)
	require.Contains(t, w.waitFor(t, message.TypeOrderFilled), `"fill_price":10.5`)
	require.Eventually(t, func() bool { return w.Stats().ReportsBad == 3 }, waitMost, waitStep)
	p := performance()
	require.EqualValues(t, 1, p.OrdersFilled, "an execution counts once")
	require.EqualValues(t, "0.25", p.Fees)
	w.intent = func(*message.Event) error { return errors.New("the outside is gone") }
	w.tick("A", 3000, 14)
	require.Contains(t, w.waitFor(t, message.TypeOrderRejected), "the outside is gone")
}

func TestACollectionIsItsOwners(t *testing.T) {
	w, _ := open(t, t.TempDir(), func(c *Config) { c.Collections.UserMax = 2 })
	u1, u2 := user("u1", "trader"), user("u2", "trader")
	one := must[*message.CollectionStarted](t, w, u1, &message.CollectionStart{Symbols: []string{"A", "B"}, Duration: time.Hour}).Collection
	two := must[*message.CollectionStarted](t, w, u1, &message.CollectionStart{Symbols: []string{"A"}}).Collection
	require.Equal(t, 2, w.markets.listeners(), "a symbol is followed once")
	w.tick("A", 1000, 5)
	w.tick("B", 1000, 5)
	for _, body := range []message.Body{&message.CollectionQuery{CollectionID: one.ID}, &message.CollectionStop{CollectionID: one.ID}} {
		code, _ := refused(t, w, u2, body)
		require.Equal(t, message.CodeSessionNotFound, code)
	}
	require.Nil(t, must[*message.CollectionStatus](t, w, u2, &message.CollectionQuery{}).Collection)
	require.Equal(t, two.ID, must[*message.CollectionStatus](t, w, u1, &message.CollectionQuery{}).Collection.ID)
	code, _ := refused(t, w, u1, &message.CollectionStart{Symbols: []string{"C"}})
	require.Equal(t, message.CodeCollectionStartFailed, code)
	code, text := refused(t, w, u2, &message.CollectionStart{Symbols: []string{"A", "a"}})
	require.Equal(t, message.CodeInvalidArgument, code)
	require.Contains(t, text, "differ only in case")
	for id, rows := range map[string]uint64{one.ID: 2, two.ID: 1} {
		require.Equal(t, rows, must[*message.CollectionStopped](t, w, user("boss", "admin"), &message.CollectionStop{CollectionID: id}).Collection.Records)
	}
	must[*message.CollectionStopped](t, w, u1, &message.CollectionStop{CollectionID: one.ID}) // twice is nothing
	require.Eventually(t, func() bool { return w.markets.listeners() == 0 }, waitMost, waitStep)
}

func TestTheBudgetIsEnforcedDuringTheRun(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A","B"]}`, `{"budget":{"global_cap":25,"allocations":{"s":15}}}`))
	w.tick("A", 1000, 10) // takes 10 of 15
	w.tick("A", 2000, 11)
	w.waitFor(t, message.TypeOrderFilled)
	w.tick("B", 3000, 10)
	require.Contains(t, w.waitFor(t, message.TypeOrderRejected), `"reason":"budget_cap_exceeded"`)
	require.Contains(t, w.waitFor(t, message.TypeAlert), `"type":"budget_cap_exceeded"`)
	r := must[*message.ResultsAnswer](t, w, u1, &message.ResultsRequest{RequestType: "session_results"}).Results
	require.EqualValues(t, 1, r.Performance.OrdersRejected)
	require.True(t, slices.Contains(r.Rejections, message.Rejection{Reason: "budget_cap_exceeded", Count: 1}))
}

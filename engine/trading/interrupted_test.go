package trading

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

const u1Orders = message.Topic("user:u1:order_events")

// traded is a live session of u1 that has given an order.
type traded struct {
	*world
	id, order string
}

func trade(t *testing.T) *traded {
	t.Helper()
	w, _ := open(t, t.TempDir(), nil)
	intended := make(chan string, 10)
	w.intent = func(ev *message.Event) error {
		var p struct {
			Order struct {
				ID string `json:"order_id"`
			} `json:"order"`
		}
		err := json.Unmarshal(ev.Payload, &p)
		intended <- p.Order.ID
		return err
	}
	id := must[*message.SessionStarted](t, w, user("u1", "premium"), start("live", `{"s":["A"]}`, "")).Session.ID
	w.tick("A", 1000, 10)
	return &traded{w, id, <-intended}
}

// fill is a report of the n-th fill of the order, whose fee is the n-th power of two: the sum of fees tells which were booked.
func (w *traded) fill(n int, epoch message.Epoch) *message.Envelope {
	return &message.Envelope{
		Type: message.TypeExecutionReport, Topic: u1Orders, Seq: uint64(n), Epoch: epoch,
		Payload: fmt.Appendf(nil, `{"session_id":%q,"order_id":%q,"execution_id":"e%d","kind":"fill","quantity":0.1,"price":10,"fee":%d}`, w.id, w.order, n, 1<<n),
	}
}

func (w *traded) fees(t *testing.T) string {
	t.Helper()
	return string(must[*message.SessionStatus](t, w.world, user("u1", "premium"), &message.SessionQuery{SessionID: w.id}).Session.Performance.Fees)
}

// history has the past answer from now on, and returns what it was asked.
func (w *traded) history(h broker.History) (asked chan broker.Query) {
	asked = make(chan broker.Query, 10)
	w.markets.mu.Lock()
	defer w.markets.mu.Unlock()
	w.markets.history = func(topic message.Topic, q broker.Query) (broker.History, error) {
		if topic != u1Orders {
			return broker.History{}, fmt.Errorf("%s was asked for", topic)
		}
		asked <- q
		return h, nil
	}
	return asked
}

func TestALiveSessionReadsTheReportsThatItMissedBeforeThoseThatCameLater(t *testing.T) {
	w := trade(t)
	asked := w.history(broker.History{
		Position: broker.Position{Epoch: 1, Offset: 4}, Recovered: true,
		Publications: []*message.Envelope{w.fill(2, 1), {Type: message.TypeOrderPlaced, Topic: u1Orders, Seq: 3, Epoch: 1}, w.fill(4, 1)},
	})
	w.markets.deliver(w.fill(1, 1))
	w.markets.restart(u1Orders, broker.History{Position: broker.Position{Epoch: 1, Offset: 4}}) // nothing is retained
	w.markets.deliver(w.fill(4, 1))                                                             // is in the history by now
	w.markets.deliver(w.fill(5, 1))
	require.Equal(t, "54", w.fees(t), "2+4+16+32: each once, none left out")
	require.Equal(t, broker.Query{After: broker.Position{Epoch: 1, Offset: 1}, Recover: true, Limit: -1}, <-asked)
	st := w.Stats()
	require.EqualValues(t, 1, st.Rereads)
	require.Zero(t, st.ReportsBad)
	w.markets.restart(u1Orders, broker.History{Position: broker.Position{Epoch: 1, Offset: 9}})
	w.fees(t)
	require.EqualValues(t, 5, (<-asked).After.Offset)
	w.markets.restart(u1Orders, broker.History{})
	w.fees(t)
	require.EqualValues(t, 9, (<-asked).After.Offset, "up to there it has read")
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotContains(t, w.said, message.TypeAlert, "nothing is missing")
}

func TestWhereReportsMayBeMissingForGoodTheOwnerIsTold(t *testing.T) {
	w := trade(t)
	w.history(broker.History{Position: broker.Position{Epoch: 2, Offset: 3}, Publications: []*message.Envelope{
		w.fill(3, 2), {Type: message.TypeExecutionReport, Topic: u1Orders, Payload: fmt.Appendf(nil, `{"session_id":%q,"order_id":"long gone","execution_id":"e","kind":"reject"}`, w.id)},
	}})
	w.markets.deliver(w.fill(1, 1))
	w.markets.restart(u1Orders, broker.History{})
	require.Equal(t, "10", w.fees(t))
	told := w.waitFor(t, message.TypeAlert)
	require.Contains(t, told, `"type":"reports_interrupted"`)
	require.Contains(t, told, w.id)
	require.Contains(t, told, "compare the session's orders and positions with the broker's")
	require.Zero(t, w.Stats().ReportsBad, "what was done long ago is nothing to tell of")
}

func TestAsLongAsMissedReportsCannotBeReadNothingThatCameLaterIsBooked(t *testing.T) {
	w := trade(t)
	w.markets.deliver(w.fill(1, 1))
	w.markets.restart(u1Orders, broker.History{}) // the broker cannot be reached
	w.markets.deliver(w.fill(3, 1))
	require.Equal(t, "2", w.fees(t))
	w.tick("A", 2000, 11)
	require.Equal(t, "2", w.fees(t), "but the session goes on")
	w.history(broker.History{Recovered: true, Publications: []*message.Envelope{w.fill(2, 1)}})
	require.Eventually(t, func() bool { return w.fees(t) == "14" }, waitMost, 10*time.Millisecond)
}

func TestASessionThatEndsWithReportsUnreadTellsItsOwner(t *testing.T) {
	w := trade(t)
	w.markets.restart(u1Orders, broker.History{})
	must[*message.SessionChanged](t, w.world, user("u1", "premium"), &message.SessionChange{SessionID: w.id})
	require.Contains(t, w.waitFor(t, message.TypeAlert), `"type":"reports_interrupted"`)
}

// priced is a publication of a tick.
func priced(symbol string, seq uint64, epoch message.Epoch, atMS int64, price float64) *message.Envelope {
	return &message.Envelope{
		Type: message.TypeMarketData, Topic: message.Topic("stream:market_data:" + symbol), Seq: seq, Epoch: epoch,
		Payload: market.AppendTick(nil, &message.Tick{Symbol: symbol, TimeMS: atMS, Price: price, Volume: 1}),
	}
}

func TestAMarketThatIsInterruptedGivesWhatThereIsOnceAndIsToldOf(t *testing.T) {
	const topic = message.Topic("stream:market_data:A")
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, w, u1, paperOn("s", "A")).Session.ID
	collected := must[*message.CollectionStarted](t, w, u1, &message.CollectionStart{Symbols: []string{"A"}}).Collection.ID
	must[*message.StrategyActivated](t, w, user("u2", "trader"), &message.StrategyActivation{Strategy: "s", Symbol: "A"})
	ticks := func() uint64 {
		return must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: id}).Session.Performance.TicksProcessed
	}
	history := func(epoch message.Epoch, offset uint64, envs ...*message.Envelope) broker.History {
		return broker.History{Position: broker.Position{Epoch: epoch, Offset: offset}, Publications: envs}
	}
	w.markets.restart(topic, history(1, 3, priced("A", 3, 1, 500, 1)))
	require.Zero(t, ticks(), "nothing had been heard that it could go on from")
	w.markets.deliver(priced("A", 4, 1, 1000, 1))
	w.markets.restart(topic, history(1, 7, priced("A", 4, 1, 1000, 1), priced("A", 6, 1, 1000, 2), &message.Envelope{Type: "other", Seq: 7}))
	require.EqualValues(t, 2, ticks(), "by the numbers")
	w.markets.restart(topic, history(2, 9, priced("A", 7, 2, 1000, 2), priced("A", 8, 2, 1500, 3), &message.Envelope{Type: message.TypeMarketData, Seq: 9}))
	require.EqualValues(t, 3, ticks(), "by the times, where the epoch is another")
	w.markets.deliver(priced("A", 10, 2, 2000, 3))
	require.EqualValues(t, 4, ticks())
	require.EqualValues(t, 3, w.Stats().Interruptions)
	owners := map[string]bool{}
	for len(owners) < 2 {
		told := w.waitFor(t, message.TypeAlert)
		require.Contains(t, told, `"type":"market_data_interrupted","symbol":"A"`)
		owners[strings.SplitN(told, ",", 2)[0]] = true
	}
	require.Contains(t, owners, `{"session_id":null`, "an activation's owner is told too")
	status := must[*message.CollectionStopped](t, w, u1, &message.CollectionStop{CollectionID: collected}).Collection
	require.EqualValues(t, 3, status.Interruptions)
	require.EqualValues(t, 4, status.Records)
}

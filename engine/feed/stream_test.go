package feed

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// inSession is who has a running session.
type inSession map[string][]string

func (m inSession) Current(_ context.Context, user string) (string, []string) {
	if symbols, ok := m[user]; ok {
		return "exec_" + user, symbols
	}
	return "", nil
}

// admin opens a client that may read every stream.
func (w *world) admin(level string) (*router.Client, *connection) {
	c, s := &connection{}, &router.Client{}
	permissions, _ := auth.LevelPermissions(level)
	w.router.Open(s, c, w.hub.Member(c), &auth.Identity{UserID: "u1", Permissions: permissions})
	return s, c
}

func (w *world) stream(t *testing.T, s *router.Client, r message.StreamRequest) error {
	t.Helper()
	return w.feed.stream(t.Context(), s, &message.Request{CID: `"1"`, Body: &r})
}

// sown returns the seeds that c was sent, each as symbol and number, 0 for one without a publication.
func (c *connection) sown() (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.answers {
		if seed, ok := a.Body.(*message.Seed); ok {
			n := uint64(0)
			if seed.Last != nil {
				n = seed.Last.Seq
			}
			list = append(list, fmt.Sprintf("%s/%d", seed.Symbol, n))
		}
	}
	c.answers = nil
	return list
}

func TestAStreamAnswersThenSendsFiveSeedsThenGoesLive(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	for range 3 {
		w.publish(t, "stream:market_data:A", message.TypeMarketData)
	}
	w.publish(t, "stream:market_data:A", "something_else")
	for _, c := range []struct {
		symbols []string
		want    []string
	}{
		{[]string{"A"}, []string{"A/1", "A/2", "A/3", "A/0", "A/0"}},
		{[]string{"A", "B"}, []string{"A/1", "A/2", "A/3", "B/0", "B/0"}},
		{[]string{"B", "A", "C"}, []string{"A/2", "A/3", "B/0", "B/0", "C/0"}},
		{[]string{"A", "B", "C", "D", "E", "F", "G"}, []string{"A/3", "B/0", "C/0", "D/0", "E/0"}},
		{[]string{"A", "B", "A", "A"}, []string{"A/1", "A/2", "A/3", "B/0", "B/0"}},
		{nil, []string{"/0", "/0", "/0", "/0", "/0"}},
	} {
		s, conn := w.admin("basic")
		require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: c.symbols}))
		require.Equal(t, []string{"StreamAnswer", "Seed", "Seed", "Seed", "Seed", "Seed"}, conn.take())
		require.Equal(t, c.want, conn.sown(), "%v", c.symbols)
		require.NoError(t, w.feed.closed(t.Context(), s, nil))
	}
	s, conn := w.admin("basic")
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: []string{"A"}}))
	conn.take()
	w.publish(t, "stream:market_data:A", message.TypeMarketData)
	w.publish(t, "stream:market_data:A", "something_else")
	require.Equal(t, []string{"market_data_update/5"}, conn.take(), "only what belongs to the stream")
}

func TestStreamsOfOneTopicShareASubscriptionAndLeaveItTogether(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.feed.SetSessions(inSession{"u1": {"A", "B"}})
	s, conn := w.admin("premium")
	for _, name := range []string{message.StreamSignals, message.StreamIndicators, message.StreamSignals} {
		require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: name}))
		require.Equal(t, "exec_u1", conn.answers[0].Body.(*message.StreamAnswer).SessionID)
		require.Len(t, conn.sown(), 5)
	}
	conn.take()
	own := message.Topic("user:u1:automation_events")
	require.Equal(t, 1, s.Member.Len())
	all := []string{message.TypeSignal, message.TypeIndicators, message.TypeAlert, message.TypeExecutionStatus}
	for _, step := range []struct {
		leave string
		want  []string
	}{
		{"", []string{message.TypeSignal, message.TypeIndicators, message.TypeAlert}},
		{message.StreamSignals, []string{message.TypeIndicators, message.TypeAlert}},
		{message.StreamIndicators, nil},
	} {
		if step.leave != "" {
			require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: step.leave, Leave: true}))
		}
		conn.take()
		for _, kind := range all {
			w.publish(t, own, kind)
		}
		got := conn.take()
		require.Len(t, got, len(step.want), "%v", got)
		for i, kind := range step.want {
			require.Contains(t, got[i], kind)
		}
	}
	require.Zero(t, s.Member.Len())
	err := w.stream(t, s, message.StreamRequest{Stream: message.StreamSignals, Leave: true})
	require.Equal(t, message.CodeUnsubscriptionFailed, message.AsError(err).Code)
}

func TestSeedsOfAnOwnStreamAreTheLastOnesWhateverTheSymbols(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.feed.SetSessions(inSession{"u1": {"A", "B", "C"}})
	s, conn := w.admin("premium")
	for range 3 {
		w.publish(t, "user:u1:order_events", message.TypeOrderPlaced)
	}
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamOrders}))
	require.Equal(t, []string{"/1", "/2", "/3", "A/0", "B/0"}, conn.sown())
}

func TestAnotherStreamOfTheSameTopicIsHeardFromItsAnswerOn(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	s, conn := w.admin("premium")
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamIndicators}))
	var wanted []string
	conn.onSend = func(*message.Reply) { wanted = s.Member.Find("user:u1:automation_events").Types() }
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamSignals}))
	require.Equal(t, []string{message.TypeIndicators, message.TypeAlert, message.TypeSignal}, wanted)
}

func TestAStreamThatIsNotAllowedIsRefusedAsSuchWhateverItsSymbols(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerRequest = 1
	w := newWorld(t, cfg)
	s, _ := w.admin("")
	err := w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: []string{"A", "B"}})
	require.Equal(t, message.CodeForbidden, message.AsError(err).Code)
}

func TestAStreamNeedsItsPermission(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	allowed := func(level string) (names []string) {
		for _, name := range []string{"market_data", "indicators", "signals", "orders", "positions", "portfolio", "execution_status", "system_health"} {
			s, _ := w.admin(level)
			err := w.stream(t, s, message.StreamRequest{Stream: name})
			if err == nil {
				names = append(names, name)
			} else {
				require.Equal(t, message.CodeForbidden, message.AsError(err).Code)
			}
			require.NoError(t, w.feed.closed(t.Context(), s, nil))
		}
		return names
	}
	require.Empty(t, allowed(""))
	basic := allowed("basic")
	require.Equal(t, []string{"market_data", "orders", "positions", "portfolio", "execution_status", "system_health"}, basic)
	require.Equal(t, slices.Insert(slices.Clone(basic), 1, "indicators"), allowed("trader"))
	require.Equal(t, slices.Insert(slices.Clone(basic), 1, "indicators", "signals"), allowed("premium"))
}

func TestAStreamIsSubscribedWholeOrNotAtAll(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerConnection = 3
	w := newWorld(t, cfg)
	w.allowed = func(a Access) (bool, string, error) { return a.Topic != "stream:market_data:C", "secret", nil }
	s, conn := w.admin("basic")
	for symbols, code := range map[string]message.Code{"ABC": message.CodeSubscriptionFailed, "DEFG": message.CodeSubscriptionLimit} {
		r := message.StreamRequest{Stream: message.StreamMarketData}
		for _, c := range symbols {
			r.Symbols = append(r.Symbols, string(c))
		}
		err := w.stream(t, s, r)
		require.Equal(t, code, message.AsError(err).Code)
		require.Zero(t, s.Member.Len())
		require.Empty(t, conn.take())
		require.Zero(t, w.hub.Subscribers("stream:market_data:D"))
	}
}

func TestLeavingAStreamWithoutSymbolsLeavesAllOfThem(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	s, conn := w.admin("basic")
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: []string{"A", "B", "C"}}))
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: []string{"B"}, Leave: true}))
	require.Equal(t, []message.Topic{"stream:market_data:A", "stream:market_data:C"}, s.Member.Topics())
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Leave: true}))
	require.Zero(t, s.Member.Len())
	conn.take()
	w.publish(t, "stream:market_data:A", message.TypeMarketData)
	require.Empty(t, conn.take())
}

// heard is a listener that notes what it is given.
type heard struct{ got []string }

func (h *heard) Deliver(env *message.Envelope) {
	h.got = append(h.got, fmt.Sprintf("%s/%d", env.Type, env.Seq))
}

func (h *heard) Restart(topic message.Topic, _ broker.History) {
	h.got = append(h.got, "restart of "+string(topic))
}

func TestAListenerHearsATopicBesideItsSubscribersAndAfterThem(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	first, second := &heard{}, &heard{}
	const topic = message.Topic("stream:market_data:A")
	w.publish(t, topic, "before")
	stopFirst, err := w.feed.Listen(t.Context(), topic, first)
	require.NoError(t, err)
	w.publish(t, topic, "a")
	s, conn := w.admin("basic")
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: []string{"A"}}))
	stopSecond, err := w.feed.Listen(t.Context(), topic, second)
	require.NoError(t, err)
	conn.take()
	w.publish(t, topic, message.TypeMarketData)
	require.NoError(t, w.feed.closed(t.Context(), s, nil))
	w.publish(t, topic, "c")
	require.NoError(t, stopFirst(t.Context()))
	w.publish(t, topic, "d")
	require.NoError(t, stopSecond(t.Context()))
	require.NoError(t, stopSecond(context.Background()), "stopping twice is nothing")
	w.publish(t, topic, "e")
	require.Equal(t, []string{"a/2", "market_data_update/3", "c/4"}, first.got)
	require.Equal(t, []string{"market_data_update/3", "c/4", "d/5"}, second.got)
	require.Equal(t, []string{"market_data_update/3"}, conn.take())
}

func TestDeliveringWithoutListenersCostsNothing(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	env := &message.Envelope{Topic: "stream:market_data:A"}
	require.Zero(t, testing.AllocsPerRun(100, func() { w.feed.listeners.Deliver(env) }))
}

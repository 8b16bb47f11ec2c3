package redis

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestConnectionsThatAreKilledUnderTrafficCostNothing(t *testing.T) {
	server := redistest.Single(t)
	a, b := startNode(t, server.Config(), nil), startNode(t, server.Config(), nil)
	byName, byPattern := namedTopics("n", 6), namedTopics("p", 6)
	b.follow(byName...)
	for _, topic := range byPattern {
		b.follow(message.Topic(strings.TrimSuffix(string(topic), "events") + "*"))
	}
	tr := steady(a, slices.Concat(byName, byPattern))
	for range 8 {
		tr.more(t, 40)
		require.Eventually(t, func() bool { return server.KillClients("pubsub") > 0 }, patience, time.Millisecond)
	}
	tr.more(t, 40)
	for topic, ids := range tr.finish() {
		b.received(t, topic, ids)
		require.Zero(t, b.restarts(topic))
	}
	s := b.FollowStats()
	require.NotZero(t, s.Reconnects)
	require.NotZero(t, s.Filled)
}

func TestARedisThatStartsAnewIsOneRestartPerTopic(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	topics := append(namedTopics("u", 20), "public:news", "public:quiet")
	n.follow(topics...)
	n.follow("stream:market_data:*")
	for _, topic := range topics[:21] {
		n.tell(topic, "1", "2")
	}
	n.tell("stream:market_data:AAPL", "1")
	topics = append(topics, "stream:market_data:AAPL")
	n.received(t, "public:news", []string{"1", "2"})
	n.received(t, "stream:market_data:AAPL", []string{"1"})
	server.Kill()
	server.Start()
	n.until(t, "a restart of each topic", func(accounts map[message.Topic]*account) bool {
		return !slices.ContainsFunc(topics, func(topic message.Topic) bool {
			return accounts[topic] == nil || len(accounts[topic].restarts) == 0
		})
	})
	for _, topic := range topics {
		n.tell(topic, "3", "4")
	}
	n.until(t, "what was published afterwards", func(accounts map[message.Topic]*account) bool {
		return !slices.ContainsFunc(topics, func(topic message.Topic) bool { return accounts[topic].last != 2 })
	})
	for _, topic := range topics {
		require.Equal(t, 1, n.restarts(topic), topic)
		require.Zero(t, n.topics[topic].restarts[0].Position.Offset)
	}
	n.awaitReady(true, patience)
}

func TestATopicWhoseKeysWereRemovedIsReportedOnce(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), func(c *Config) { c.CheckInterval = 100 * time.Millisecond })
	n.follow("user:u1:busy", "user:u1:idle", "public:busy")
	for _, topic := range []message.Topic{"user:u1:busy", "user:u1:idle", "public:busy"} {
		n.tell(topic, "1", "2", "3")
	}
	n.received(t, "public:busy", []string{"1", "2", "3"})
	server.FlushAll()
	n.tell("user:u1:busy", "4", "5")
	n.tell("public:busy", "4", "5")
	n.until(t, "a restart of each", func(topics map[message.Topic]*account) bool {
		return len(topics["user:u1:busy"].restarts) > 0 && len(topics["user:u1:idle"].restarts) > 0 && len(topics["public:busy"].restarts) > 0
	})
	n.tell("user:u1:busy", "6")
	n.tell("public:busy", "6")
	n.until(t, "what followed", func(topics map[message.Topic]*account) bool {
		return topics["user:u1:busy"].last == 3 && topics["public:busy"].last == 3
	})
	require.Equal(t, 1, n.restarts("user:u1:busy"))
	require.Equal(t, 1, n.restarts("user:u1:idle"))
	require.Equal(t, 1, n.restarts("public:busy"))
}

func TestWhileRedisIsPausedTheNodeIsNotReadyAndAfterwardsNothingIsMissing(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	a, b := startNode(t, server.Config(), nil), startNode(t, server.Config(), nil)
	topics := namedTopics("u", 4)
	b.follow(topics...)
	a.awaitReady(true, patience)
	b.awaitReady(true, patience)
	tr := steady(a, topics)
	tr.more(t, 100)
	server.Pause()
	b.awaitReady(false, patience)
	server.Resume()
	b.awaitReady(true, patience)
	tr.more(t, 100)
	for topic, ids := range tr.finish() {
		b.until(t, string(topic), func(topics map[message.Topic]*account) bool {
			return slices.Contains(topics[topic].got, ids[len(ids)-1])
		})
		b.mu.Lock()
		for _, id := range ids { // one of which the publisher does not know whether it was accepted may be there too
			require.Equal(t, 1, b.topics[topic].has[id], "%s of %s", id, topic)
		}
		b.mu.Unlock()
		require.Zero(t, b.restarts(topic))
	}
}

// gate passes connections on to a server. Shut it refuses new ones and ends those there are; silent it takes everything from
// those there are and passes on nothing.
type gate struct {
	t    *testing.T
	addr string
	to   string
	wg   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // guarded by mu; nil: it is shut
	passages []*passage   // guarded by mu
}

type passage struct {
	near, far net.Conn
	silent    atomic.Bool
}

func newGate(t *testing.T, to string) *gate {
	g := &gate{t: t, addr: redistest.FreeAddr(t), to: to}
	g.open()
	t.Cleanup(func() {
		g.shut()
		g.wg.Wait()
	})
	return g
}

func (g *gate) open() {
	l, err := net.Listen("tcp", g.addr)
	require.NoError(g.t, err)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener = l
	g.wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			g.admit(l, near)
		}
	})
}

// admit passes a connection on that came by l. One that came just before the gate was shut does not slip through.
func (g *gate) admit(l net.Listener, near net.Conn) {
	far, err := net.Dial("tcp", g.to)
	if err != nil {
		_ = near.Close()
		return
	}
	p := &passage{near: near, far: far}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != l {
		_, _ = near.Close(), far.Close()
		return
	}
	g.passages = append(g.passages, p)
	g.wg.Go(func() { p.pass(near, far) })
	g.wg.Go(func() { p.pass(far, near) })
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close()
		g.listener = nil
	}
	for _, p := range g.passages {
		_, _ = p.near.Close(), p.far.Close()
	}
	g.passages = nil
}

func (g *gate) silence() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.passages {
		p.silent.Store(true)
	}
}

func (p *passage) pass(to io.WriteCloser, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		silent := p.silent.Load()
		switch {
		case err != nil && silent:
			return
		case err == nil && silent:
			continue
		case err == nil:
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func TestConnectionsThatGoSilentAreMadeAgain(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	way := server.Config()
	gate := newGate(t, server.Addr())
	way.Addrs = []string{gate.addr}
	a, b := startNode(t, server.Config(), nil), startNode(t, way, func(c *Config) { c.CommandTimeout = 2 * time.Second })
	topics := append(namedTopics("u", 4), "public:news")
	b.follow(topics...)
	b.awaitReady(true, patience)
	a.tell("public:news", "1")
	b.received(t, "public:news", []string{"1"})
	gate.silence()
	ids := []string{"1", "2", "3"}
	for _, topic := range topics[:4] {
		a.tell(topic, ids...)
	}
	a.tell("public:news", "2") // which has no history
	for _, topic := range topics[:4] {
		b.received(t, topic, ids)
		require.Zero(t, b.restarts(topic))
	}
	b.until(t, "the gap of a topic without history", func(topics map[message.Topic]*account) bool {
		return len(topics["public:news"].restarts) == 1
	})
	a.tell("public:news", "3")
	b.received(t, "public:news", []string{"1", "3"})
	b.awaitReady(true, patience)
}

func TestGarbageOnAChannelChangesNothing(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	n.follow("user:u1:events", "public:news")
	n.follow("stream:market_data:*")
	client := server.Client()
	for _, channel := range []string{"wse:user:u1:events", "wse:public:news", "wse:stream:market_data:AAPL", "wse:stream:market_data:no such", n.follower.probe.channel} {
		for _, body := range []string{
			"", "x", "{}", `{"t":"x","p":{}}`, `{"v":2}`, head, head + "}", head + `1}`, head + `-1,"epoch":"00000001"}`,
			head + `1,"epoch":"00000001"`, head + `1,"epoch":"00000001","t":"x","p":{}`, head + `1,"epoch":"0000000000000001"}`,
			head + strings.Repeat("9", 5000), noticeHead, strings.Repeat("\x00", 1000), strings.Repeat("[", 100_000),
			n.follower.probe.key + " x y z", n.follower.probe.key + " 18446744073709551615 a -1",
		} {
			require.NoError(t, client.Publish(t.Context(), channel, body).Err())
		}
	}
	n.tell("user:u1:events", "1", "2")
	n.tell("public:news", "1", "2")
	n.received(t, "user:u1:events", []string{"1", "2"})
	n.received(t, "public:news", []string{"1", "2"})
	require.Zero(t, n.restarts("user:u1:events"))
	require.Zero(t, n.restarts("public:news"))
	n.awaitReady(true, patience)
}

func TestForgedNumbersAreDroppedOrToldOf(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), func(c *Config) { c.SubscriberConnections = 1 })
	topic, after := message.Topic("user:u1:events"), message.Topic("user:u2:events")
	n.follow(topic, after)
	n.tell(topic, "1", "2")
	n.received(t, topic, []string{"1", "2"})
	h, err := n.History(t.Context(), topic, broker.Query{})
	require.NoError(t, err)
	forge := func(seq uint64, epoch message.Epoch, id string) {
		text := fmt.Sprintf(`%s%d,"epoch":"%08x","t":"x","p":{},"id":"%s"}`, head, seq, epoch, id)
		require.NoError(t, server.Client().Publish(t.Context(), "wse:"+string(topic), text).Err())
	}
	for _, seq := range []uint64{1, 2, 4, 5, 1000, 1 << 53} {
		forge(seq, h.Position.Epoch, "f")
		forge(seq, h.Position.Epoch+1, "f")
	}
	n.tell(after, "all forgeries were heard")
	n.received(t, after, []string{"all forgeries were heard"})
	at := n.follower.lookup(topic)
	require.Eventually(t, func() bool { // before the topic reaches a number that was forged
		at.mu.Lock()
		defer at.mu.Unlock()
		return len(at.course.held) == 0
	}, patience, time.Millisecond)
	for i := 3; i < 20; i++ {
		n.tell(topic, fmt.Sprint(i))
	}
	var want []string
	for i := 1; i < 20; i++ {
		want = append(want, fmt.Sprint(i))
	}
	n.received(t, topic, want)
	require.Zero(t, n.restarts(topic))

	forge(20, h.Position.Epoch, "forged") // cannot be told from the next publication, until that comes
	n.received(t, topic, append(want, "forged"))
	n.tell(topic, "20")
	n.until(t, "that something delivered was no publication", func(topics map[message.Topic]*account) bool {
		return len(topics[topic].restarts) == 1
	})
	n.tell(topic, "21")
	n.until(t, "what follows", func(topics map[message.Topic]*account) bool { return topics[topic].last == 21 })
	require.NotZero(t, n.FollowStats().Conflicts)
}

func TestWhatIsLargerThanAPublicationCanBeIsNotTaken(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), func(c *Config) { c.PublicationKiBMax = 16 })
	topic := message.Topic("user:u1:events")
	n.follow(topic)
	h, err := n.History(t.Context(), topic, broker.Query{})
	require.NoError(t, err)
	text := fmt.Sprintf(`%s1,"epoch":"%08x","t":"x","p":{"a":"%s"},"id":"f"}`, head, h.Position.Epoch, strings.Repeat("x", 1<<20))
	for range 5 {
		require.NoError(t, server.Client().Publish(t.Context(), "wse:"+string(topic), text).Err())
	}
	n.tell(topic, "1")
	n.received(t, topic, []string{"1"})
	require.Zero(t, n.FollowStats().HeldBytes)
}

func TestWhatIsAsLargeAsAPublicationCanBeIsTakenFromTheChannel(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	n := startNode(t, server.Config(), func(c *Config) { c.PublicationKiBMax = 16 })
	topic := message.Topic("public:news")
	n.follow(topic)
	env := news(topic, "1")
	env.Payload = []byte(`{"a":1` + strings.Repeat(" ", 16<<10-len(appendPublication(nil, env))) + `}`)
	_, err := n.Publish(t.Context(), env)
	require.NoError(t, err)
	n.received(t, topic, []string{"1"})
	env.ID, env.Payload = "2", append(env.Payload, ' ')
	_, err = n.Publish(t.Context(), env)
	require.Error(t, err, "with one byte more it is too large")
	s := n.FollowStats()
	require.Zero(t, s.Malformed)
	require.Zero(t, s.Restarts)
}

func TestTopicsThatAPatternHasNeverSeenAreMadeUpForAfterAnInterruption(t *testing.T) {
	server := redistest.Single(t)
	gate := newGate(t, server.Addr())
	way := server.Config()
	way.Addrs = []string{gate.addr}
	a, b := startNode(t, server.Config(), nil), startNode(t, way, nil)
	a.tell("stream:market_data:OLD", "before")
	a.tell("stream:market_data:BOTH", "before")
	a.tell("public:x:none", "before")
	for i := range historyOfTests + 10 {
		a.tell("stream:market_data:LONG", fmt.Sprint(i))
	}
	b.follow("stream:market_data:*")
	b.follow("public:x:*")
	a.tell("stream:market_data:KNOWN", "1")
	b.received(t, "stream:market_data:KNOWN", []string{"1"})
	gate.shut()
	a.tell("stream:market_data:KNOWN", "2")
	a.tell("stream:market_data:NEW", "1", "2")
	a.tell("stream:market_data:BOTH", "during")
	a.tell("public:x:none", "during")
	for i := range historyOfTests + 10 {
		a.tell("stream:market_data:LONG", fmt.Sprintf("during %d", i))
	}
	gate.open()
	b.received(t, "stream:market_data:KNOWN", []string{"1", "2"})
	b.received(t, "stream:market_data:NEW", []string{"1", "2"})
	b.received(t, "stream:market_data:BOTH", []string{"during"})
	b.until(t, "restarts where the history does not reach", func(topics map[message.Topic]*account) bool {
		return topics["stream:market_data:LONG"] != nil && topics["public:x:none"] != nil
	})
	require.Equal(t, 1, b.restarts("stream:market_data:LONG"))
	require.Equal(t, 1, b.restarts("public:x:none"))
	a.tell("stream:market_data:OLD", "after")
	a.tell("stream:market_data:NEW", "3")
	b.received(t, "stream:market_data:OLD", []string{"after"})
	b.received(t, "stream:market_data:NEW", []string{"1", "2", "3"})
	b.awaitReady(true, patience)
}

func TestTopicsOfAPatternThatWereForgottenAreReported(t *testing.T) {
	server := redistest.Single(t)
	gate := newGate(t, server.Addr())
	way := server.Config()
	way.Addrs = []string{gate.addr}
	a := startNode(t, server.Config(), nil)
	b := startNode(t, way, func(c *Config) { c.PatternTopicsMax = 10 })
	b.follow("stream:market_data:*")
	name := func(i int) message.Topic { return message.Topic(fmt.Sprintf("stream:market_data:S%d", i)) }
	for i := range 40 {
		a.tell(name(i), "1")
	}
	b.until(t, "all of them", func(topics map[message.Topic]*account) bool { return len(topics) == 40 })
	require.LessOrEqual(t, b.FollowStats().Topics, 10)
	gate.shut()
	for i := range 40 {
		a.tell(name(i), "2")
	}
	gate.open()
	b.until(t, "the second of each, or a restart", func(topics map[message.Topic]*account) bool {
		for _, a := range topics {
			if a.last != 2 {
				return false
			}
		}
		return true
	})
}

func TestManyTopicsAreFollowedAgainByFewCommands(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	n := startNode(t, server.Config(), func(c *Config) { c.CheckInterval = time.Hour })
	topics := namedTopics("u", 10_000)
	n.follow(topics...)
	n.awaitReady(true, patience)
	subscribes, evals := calls(t, server, "subscribe"), calls(t, server, "evalsha")
	require.Equal(t, connections, server.KillClients("pubsub"))
	require.Eventually(t, func() bool { return calls(t, server, "evalsha")-evals >= len(topics) }, patience, 10*time.Millisecond)
	n.tell(topics[0], "1")
	n.received(t, topics[0], []string{"1"})
	again := int(n.FollowStats().Reconnects)
	require.LessOrEqual(t, calls(t, server, "subscribe")-subscribes, again*(len(topics)/connections/namesMax+3))
	require.LessOrEqual(t, calls(t, server, "evalsha")-evals, again*len(topics)/connections+1000, "one look at each topic")
	require.Zero(t, n.FollowStats().Fills)
	require.Zero(t, n.FollowStats().Restarts)
}

func TestReadinessIsARoundTrip(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	gate := newGate(t, server.Addr())
	way := server.Config()
	way.Addrs = []string{gate.addr}
	n := startNode(t, way, nil)
	n.awaitReady(true, patience)
	require.Positive(t, n.FollowStats().Lag)
	for range 5 { // what is over at once does not show
		n.awaitReady(true, patience)
		at := time.Now()
		server.KillClients("pubsub")
		require.NoError(t, n.follower.ready(at))
	}
	gate.shut()
	n.awaitFault("come back")
	gate.open()
	n.awaitReady(true, patience)
}

func TestANodeIsNotReadyWhileItsServerTakesNoPublications(t *testing.T) {
	for name, c := range map[string]struct {
		harm, mend func(s *redistest.Server)
		want       string
	}{
		"read only":               {(*redistest.Server).Demote, (*redistest.Server).Promote, "READONLY"},
		"without memory":          {func(s *redistest.Server) { s.LimitMemory(true) }, func(s *redistest.Server) { s.LimitMemory(false) }, "OOM"},
		"without enough replicas": {func(s *redistest.Server) { s.RequireReplicas(1) }, func(s *redistest.Server) { s.RequireReplicas(0) }, "NOREPLICAS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Single(t)
			n := startNode(t, server.Config(), nil)
			n.awaitReady(true, patience)
			c.harm(server)
			n.awaitFault(c.want) // how soon, TestANodeIsReadyWhileNewConnectionsMayStillBringTheirFirstProbes says
			c.mend(server)
			n.awaitReady(true, patience)
		})
	}
}

func TestANodeThatEndsLeavesNoTopicBehind(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	n.follow("user:u1:events", "user:u1:*")
	n.end()
	require.ErrorIs(t, n.SetInterest(context.Background(), "user:u1:events", true), broker.ErrClosed)
	require.Error(t, n.Ready())
	channels, err := server.Client().PubSubChannels(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Empty(t, channels)
}

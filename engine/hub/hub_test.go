package hub_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// wire is a dialect that writes no more than type and number, so that a test reads deliveries at a glance.
type wire struct{ prefix string }

func (wire) Decode([]byte, bool) (*message.Request, error)   { panic("not used") }
func (wire) AppendReply(dst []byte, _ *message.Reply) []byte { return dst }
func (w wire) AppendPublication(dst []byte, e *message.Envelope) []byte {
	switch n := e.Notice.(type) {
	case *message.Restarted:
		if n.Withheld {
			return fmt.Appendf(dst, "%swithheld %d/%d", w.prefix, n.Epoch, n.Offset)
		}
		return fmt.Appendf(dst, "%srestart %d/%d", w.prefix, n.Epoch, n.Offset)
	case *message.SnapshotComplete:
		return fmt.Appendf(dst, "%sdone %d+%d", w.prefix, n.SnapshotsSent, n.HistorySent)
	}
	return fmt.Appendf(dst, "%s%s/%d", w.prefix, e.Type, e.Seq)
}

// loop is a lane whose work runs when the test says so.
type loop struct {
	mu    sync.Mutex
	work  hub.Work
	busy  bool
	wakes int
}

func (l *loop) TryRun(w hub.Work) bool {
	if l.busy || !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	w.Run(false)
	return true
}

func (l *loop) Wake(bool) {
	l.mu.Lock()
	l.wakes++
	if !l.busy {
		l.work.Run(false)
	}
	l.mu.Unlock()
}

func (l *loop) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// client records what it is sent, frame by frame.
type client struct {
	lane, encoding int
	got            []string
	queued         int
	left           func(message.Topic) bool // what was to be forgotten last
}

func (c *client) Lane() int     { return c.lane }
func (c *client) Encoding() int { return c.encoding }
func (c *client) Enqueue(out *message.Outgoing) {
	c.queued++
	for b := out.Frames; len(b) > 0; {
		n := int(b[1])
		c.got = append(c.got, string(b[2:2+n]))
		b = b[2+n:]
	}
}

func (c *client) Forget(left func(message.Topic) bool) { c.left = left }

func newHub(lanes int) (*hub.Hub, []*loop) {
	loops := make([]*loop, lanes)
	seams := make([]hub.Lane, lanes)
	for i := range loops {
		loops[i] = &loop{}
		seams[i] = loops[i]
	}
	h := hub.New(seams, []dialect.Encoding{{Name: "a", Dialect: wire{}}, {Name: "b", Dialect: wire{prefix: "b:"}}})
	for i, w := range h.Works() {
		loops[i].work = w
	}
	return h, loops
}

func join(h *hub.Hub, m *hub.Member, topic message.Topic, types ...string) *hub.Subscription {
	sub, _ := h.Join(m, topic, types)
	h.GoLive(m, []hub.Live{{Sub: sub}}, nil)
	return sub
}

func envelope(topic message.Topic, kind string, seq uint64) *message.Envelope {
	return &message.Envelope{Topic: topic, Type: kind, Seq: seq, Epoch: 1, Level: message.Normal}
}

func TestAPublicationReachesEverySubscriberOfItsTopicInItsEncoding(t *testing.T) {
	h, _ := newHub(2)
	a, b, other := &client{}, &client{lane: 1, encoding: 1}, &client{}
	ma, mb, mo := h.Member(a), h.Member(b), h.Member(other)
	join(h, &ma, "user:u1:events")
	join(h, &mb, "user:u1:events")
	join(h, &mo, "user:u2:events")

	h.Deliver(envelope("user:u1:events", "x", 1))

	require.Equal(t, []string{"x/1"}, a.got)
	require.Equal(t, []string{"b:x/1"}, b.got)
	require.Empty(t, other.got)
	require.Equal(t, uint64(2), h.Delivered())
}

func TestWhoLeavesATopicIsNotSentWhatWaitsOfItUnlessAPatternWantsIt(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	events, orders, all := join(h, &m, "user:u1:events"), join(h, &m, "user:u1:orders"), join(h, &m, "user:u1:*")
	h.Leave(orders)
	require.False(t, c.left("user:u1:orders"), "the pattern goes on")
	h.Leave(all)
	require.True(t, c.left("user:u1:orders"))
	require.False(t, c.left("user:u1:events"), "is subscribed to by itself")
	h.Leave(events)
	require.True(t, c.left("user:u1:events"))
	require.False(t, c.left("user:u2:events"))
}

func TestAPatternCoversItsTopicsAndAMoreSpecificSubscriptionTakesThemOver(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "user:u1:*")
	exact := join(h, &m, "user:u1:events")

	h.Deliver(envelope("user:u1:events", "x", 1))
	h.Deliver(envelope("user:u1:order_events", "y", 1))
	h.Deliver(envelope("user:u10:order_events", "z", 1))
	require.Equal(t, []string{"x/1", "y/1"}, c.got, "each once, and none of another user")

	require.True(t, h.Leave(exact))
	h.Deliver(envelope("user:u1:events", "x", 2))
	require.Equal(t, []string{"x/1", "y/1", "x/2"}, c.got, "the pattern is back in charge")
}

func TestWhatIsPublishedWhileHistoryIsReadFollowsItOnceAndInOrder(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, first := h.Join(&m, "public:a", nil)
	require.True(t, first)
	for seq := uint64(1); seq <= 5; seq++ {
		h.Deliver(envelope("public:a", "x", seq))
	}
	require.Empty(t, c.got, "nothing comes before the history")

	overflowed := h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: 3}}, func() {
		m.Enqueue(h.Batch([]*message.Envelope{envelope("public:a", "x", 2), envelope("public:a", "x", 3)}, 0, message.Critical))
	})
	require.Nil(t, overflowed)
	h.Deliver(envelope("public:a", "x", 6))
	require.Equal(t, []string{"x/2", "x/3", "x/4", "x/5", "x/6"}, c.got)
}

func TestMoreThanCanBeHeldMakesTheHistoryBeReadAgain(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, "public:a", nil)
	for seq := range uint64(hub.JoinHeldMax + 1) {
		h.Deliver(envelope("public:a", "x", seq+1))
	}
	called := false
	overflowed := h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1}}, func() { called = true })
	require.Equal(t, []*hub.Subscription{sub}, overflowed)
	require.False(t, called, "nothing may be sent before all is known")

	h.Deliver(envelope("public:a", "x", hub.JoinHeldMax+2))
	require.Nil(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: hub.JoinHeldMax + 1}}, nil))
	require.Equal(t, []string{"x/" + strconv.Itoa(hub.JoinHeldMax+2)}, c.got)
}

func TestEventTypesFilterPublications(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub := join(h, &m, "public:a", "x", "z")
	for i, kind := range []string{"x", "y", "z"} {
		h.Deliver(envelope("public:a", kind, uint64(i+1)))
	}
	require.Equal(t, []string{"x/1", "z/3"}, c.got)
	require.Len(t, sub.Filter([]*message.Envelope{envelope("public:a", "y", 1), envelope("public:a", "z", 2)}), 1)
}

func TestABurstOfOneTopicIsOneQueueOperation(t *testing.T) {
	h, loops := newHub(1)
	c, filtered := &client{}, &client{}
	m, mf := h.Member(c), h.Member(filtered)
	join(h, &m, "public:a")
	join(h, &mf, "public:a", "y")
	join(h, &m, "public:b")
	loops[0].busy = true
	h.Deliver(envelope("public:a", "x", 1))
	h.Deliver(envelope("public:b", "q", 1))
	h.Deliver(envelope("public:a", "y", 2))
	h.Deliver(envelope("public:a", "z", 3))
	require.Equal(t, 1, loops[0].wakes, "one wake for the whole burst")
	loops[0].busy = false
	loops[0].Wake(false)

	require.Equal(t, []string{"x/1", "y/2", "z/3", "q/1"}, c.got)
	require.Equal(t, 2, c.queued)
	require.Equal(t, []string{"y/2"}, filtered.got)
}

func TestCriticalPublicationsDoNotWaitForABroadcast(t *testing.T) {
	h, loops := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "public:bulk")
	join(h, &m, "user:u1:order_events")
	loops[0].busy = true
	h.Deliver(envelope("public:bulk", "x", 1))
	urgent := envelope("user:u1:order_events", "order", 1)
	urgent.Level = message.Critical
	h.Deliver(urgent)
	loops[0].Do(func() { loops[0].work.Run(true) })
	require.Equal(t, []string{"order/1"}, c.got)
	loops[0].Do(func() { loops[0].work.Run(false) })
	require.Equal(t, []string{"order/1", "x/1"}, c.got)
}

func TestLeavingForgetsTheTopic(t *testing.T) {
	h, _ := newHub(2)
	a, b := &client{}, &client{lane: 1}
	ma, mb := h.Member(a), h.Member(b)
	sa, sb := join(h, &ma, "public:a"), join(h, &mb, "public:a")
	require.Equal(t, 2, h.Subscribers("public:a"))
	require.False(t, h.Leave(sa))
	require.True(t, h.Leave(sb))
	require.Zero(t, h.Subscribers("public:a"))
	h.Deliver(envelope("public:a", "x", 1))
	require.Empty(t, a.got)
	h.Topics(func(topic message.Topic, _ int) bool { t.Fatalf("%s is still known", topic); return false })
	_, first := h.Join(&ma, "public:a", nil)
	require.True(t, first)
}

// TestOrderHoldsUnderConcurrentJoinsAndPublishers joins and leaves while eight publishers publish to eight topics, and
// checks that no connection ever sees a topic's numbers out of order or twice.
func TestOrderHoldsUnderConcurrentJoinsAndPublishers(t *testing.T) {
	h, _ := newHub(3)
	var publishers, joiners sync.WaitGroup
	for p := range 8 {
		topic := message.Topic("public:" + strconv.Itoa(p))
		publishers.Go(func() {
			for seq := uint64(1); seq <= 3000; seq++ {
				h.Deliver(envelope(topic, "t"+strconv.Itoa(p), seq))
			}
		})
	}
	clients := make([]*client, 24)
	for i := range clients {
		clients[i] = &client{lane: i % 3, encoding: i % 2}
		joiners.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			m := h.Member(clients[i])
			for range 200 {
				topic := message.Topic("public:" + strconv.Itoa(rng.IntN(8)))
				if sub := m.Find(topic); sub != nil {
					h.Leave(sub)
				} else {
					join(h, &m, topic)
				}
			}
		})
	}
	joiners.Wait()
	publishers.Wait()
	total := 0
	for _, c := range clients {
		last := map[string]int{}
		for _, got := range c.got {
			kind, number := got[:len(got)-len(got[indexByte(got, '/'):])], got[indexByte(got, '/')+1:]
			seq, err := strconv.Atoi(number)
			require.NoError(t, err)
			require.Greater(t, seq, last[kind])
			last[kind] = seq
			total++
		}
	}
	require.NotZero(t, total)
}

func indexByte(s string, b byte) int {
	for i := range len(s) {
		if s[i] == b {
			return i
		}
	}
	return -1
}

// sinkhole counts and drops, so that a benchmark sees the hub alone.
type sinkhole struct{ n int }

func (s *sinkhole) Lane() int                       { return 0 }
func (s *sinkhole) Encoding() int                   { return 0 }
func (s *sinkhole) Enqueue(out *message.Outgoing)   { s.n += out.Count }
func (s *sinkhole) Forget(func(message.Topic) bool) {}

func fanOut(subscribers int) (*hub.Hub, *sinkhole) {
	h, _ := newHub(1)
	sink := &sinkhole{}
	for range subscribers {
		m := h.Member(sink)
		sub, _ := h.Join(&m, "public:a", nil)
		h.GoLive(&m, []hub.Live{{Sub: sub}}, nil)
	}
	return h, sink
}

func TestADeliveryAllocatesNothing(t *testing.T) {
	few, _ := fanOut(10)
	many, sink := fanOut(1000)
	env := envelope("public:a", "x", 1)
	perFew := testing.AllocsPerRun(100, func() { few.Deliver(env) })
	perMany := testing.AllocsPerRun(100, func() { many.Deliver(env) })
	require.NotZero(t, sink.n)
	require.LessOrEqual(t, perMany-perFew, 1.0, "990 more subscribers must not cost an allocation")
}

func BenchmarkDeliver1000(b *testing.B) {
	h, sink := fanOut(1000)
	env := envelope("public:a", "x", 1)
	b.ReportAllocs()
	for b.Loop() {
		h.Deliver(env)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sink.n), "ns/delivery")
}

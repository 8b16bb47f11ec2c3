package hub_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// TestWhatWaitedInALaneWhenAConnectionWentLiveIsNotSentAgain: the broker keeps a publication before it delivers it, so the history that
// a connection is sent can hold one that its lane has not come to yet.
func TestWhatWaitedInALaneWhenAConnectionWentLiveIsNotSentAgain(t *testing.T) {
	h, loops := newHub(1)
	other, c := &client{}, &client{}
	mo, m := h.Member(other), h.Member(c)
	join(h, &mo, "public:a")
	loops[0].busy = true
	for seq := uint64(1); seq <= 3; seq++ {
		h.Deliver(envelope("public:a", "x", seq))
	}
	sub, _ := h.Join(&m, "public:a", nil)
	require.Nil(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: 2}}, func() {
		m.Enqueue(h.Batch([]*message.Envelope{envelope("public:a", "x", 1), envelope("public:a", "x", 2)}, 0, message.Critical))
	}))
	loops[0].busy = false
	loops[0].Wake(false)
	h.Deliver(envelope("public:a", "x", 4))
	require.Equal(t, []string{"x/1", "x/2", "x/3", "x/4"}, c.got)
	require.Equal(t, c.got, other.got)
}

func TestANewEpochIsNotTakenForWhatWasSent(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, "public:a", nil)
	h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 7, Offset: 100}}, nil)
	h.Deliver(envelope("public:a", "x", 1))
	require.Equal(t, []string{"x/1"}, c.got)
}

// TestAPatternGoesOnWhileATopicOfItIsJoinedAndLeft: a connection that follows a pattern must not lose what waits in its lane, nor get it twice, when it
// joins or leaves one of the pattern's topics.
func TestAPatternGoesOnWhileATopicOfItIsJoinedAndLeft(t *testing.T) {
	h, loops := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "user:u1:*")
	held := func(f func()) {
		loops[0].busy = true
		f()
		loops[0].busy = false
		loops[0].Wake(false)
	}
	var exact *hub.Subscription
	held(func() {
		h.Deliver(envelope("user:u1:events", "x", 1))
		exact, _ = h.Join(&m, "user:u1:events", nil) // its history ends with 1, of which it gets nothing
		h.GoLive(&m, []hub.Live{{Sub: exact, Epoch: 1, Offset: 1}}, nil)
	})
	require.Equal(t, []string{"x/1"}, c.got, "published to the pattern before the topic was joined")
	held(func() {
		h.Deliver(envelope("user:u1:events", "x", 2))
		h.Leave(exact)
		h.Deliver(envelope("user:u1:events", "x", 3))
	})
	require.Equal(t, []string{"x/1", "x/2", "x/3"}, c.got)

	exact, _ = h.Join(&m, "user:u1:events", nil)
	h.Deliver(envelope("user:u1:events", "x", 4))
	require.Equal(t, []string{"x/1", "x/2", "x/3", "x/4"}, c.got, "the pattern does not wait for the topic's history")
	h.GoLive(&m, []hub.Live{{Sub: exact, Epoch: 1, Offset: 3}}, nil)
	h.Deliver(envelope("user:u1:events", "x", 5))
	require.Equal(t, []string{"x/1", "x/2", "x/3", "x/4", "x/5"}, c.got)
}

// TestATopicAndAPatternOverItJoinedTogetherGetNothingTwice: what the topic's history brought, or its answer said that the connection
// is beyond, must not come once more by the pattern, wherever it waited.
func TestATopicAndAPatternOverItJoinedTogetherGetNothingTwice(t *testing.T) {
	const topic, pattern = "user:u1:events", "user:u1:*"
	for _, sent := range []bool{true, false} {
		for _, order := range [][]message.Topic{{topic, pattern}, {pattern, topic}} {
			h, loops := newHub(1)
			c, other := &client{}, &client{}
			m, mo := h.Member(c), h.Member(other)
			join(h, &mo, topic)
			publish := func(seqs ...uint64) {
				for _, seq := range seqs {
					h.Deliver(envelope(topic, "x", seq))
				}
			}
			first, _ := h.Join(&m, order[0], nil)
			publish(1, 2) // held for the first
			loops[0].busy = true
			publish(3) // waits while the second is joined
			second, _ := h.Join(&m, order[1], nil)
			publish(4, 5)
			lives := []hub.Live{{Sub: first}, {Sub: second}}
			for i := range lives {
				if lives[i].Sub.Topic() == topic {
					lives[i] = hub.Live{Sub: lives[i].Sub, Epoch: 1, Offset: 4, Sent: sent}
				}
			}
			require.Nil(t, h.GoLive(&m, lives, nil))
			loops[0].busy = false
			loops[0].Wake(false)
			publish(6, 7)
			require.Equal(t, []string{"x/5", "x/6", "x/7"}, c.got, "sent %v, joined %v", sent, order)
			require.Len(t, other.got, 7)
		}
	}
}

// TestWhatAPatternsTopicWasReplayedIsNotSentAgainByThePattern: where the topic is joined later than its pattern, what waits in the lane
// is in the replay.
func TestWhatAPatternsTopicWasReplayedIsNotSentAgainByThePattern(t *testing.T) {
	h, loops := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "user:u1:*")
	h.Deliver(envelope("user:u1:events", "x", 1))
	loops[0].busy = true
	h.Deliver(envelope("user:u1:events", "x", 2)) // for the pattern: nobody has the topic
	exact, _ := h.Join(&m, "user:u1:events", nil)
	h.Deliver(envelope("user:u1:events", "x", 3))
	h.GoLive(&m, []hub.Live{{Sub: exact, Epoch: 1, Offset: 3, Sent: true}}, func() {
		m.Enqueue(h.Batch([]*message.Envelope{envelope("user:u1:events", "x", 2), envelope("user:u1:events", "x", 3)}, 0, message.Critical))
	})
	loops[0].busy = false
	loops[0].Wake(false)
	h.Deliver(envelope("user:u1:events", "x", 4))
	require.Equal(t, []string{"x/1", "x/2", "x/3", "x/4"}, c.got)
}

// TestOverlappingSubscriptionsGetEverythingOnceAndInOrder publishes while connections that follow a pattern join and leave its
// topics, at any moment.
func TestOverlappingSubscriptionsGetEverythingOnceAndInOrder(t *testing.T) {
	const topics, each = 4, 4000
	h, _ := newHub(2)
	clients := make([]*client, 6)
	members := make([]hub.Member, len(clients))
	for i := range clients {
		clients[i] = &client{lane: i % 2}
		members[i] = h.Member(clients[i])
		join(h, &members[i], "public:*")
	}
	var published [topics]struct {
		sync.Mutex
		seq uint64
	}
	var publishers, joiners sync.WaitGroup
	done := make(chan struct{})
	for p := range topics {
		topic := message.Topic("public:" + strconv.Itoa(p))
		publishers.Go(func() {
			at := &published[p]
			for seq := uint64(1); seq <= each; seq++ {
				at.Lock() // as the broker does: what its history has was delivered, though maybe not queued
				at.seq = seq
				h.Deliver(envelope(topic, string(topic), seq))
				at.Unlock()
			}
		})
	}
	for i := range clients {
		joiners.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			m := &members[i]
			for {
				select {
				case <-done:
					return
				default:
				}
				p := rng.IntN(topics)
				topic := message.Topic("public:" + strconv.Itoa(p))
				if sub := m.Find(topic); sub != nil {
					h.Leave(sub)
					continue
				}
				sub, _ := h.Join(m, topic, nil)
				published[p].Lock()
				offset := published[p].seq
				published[p].Unlock()
				h.GoLive(m, []hub.Live{{Sub: sub, Epoch: 1, Offset: offset}}, nil)
			}
		})
	}
	publishers.Wait()
	close(done)
	joiners.Wait()
	for _, c := range clients {
		next := map[string]int{}
		for _, got := range c.got {
			topic, number, _ := strings.Cut(got, "/")
			next[topic]++
			require.Equal(t, strconv.Itoa(next[topic]), number, topic)
		}
		require.Len(t, c.got, topics*each)
	}
}

func TestWhatWasDeliveredIsQueuedBeforeWhatComesLast(t *testing.T) {
	h, loops := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "public:a")
	loops[0].busy = true
	h.Deliver(envelope("public:a", "x", 1))
	require.Empty(t, c.got)
	m.DoLast(func() {
		m.Enqueue(h.Batch([]*message.Envelope{envelope("public:a", "snapshot", 2)}, 0, message.Critical))
	})
	loops[0].busy = false
	loops[0].Wake(false)
	require.Equal(t, []string{"x/1", "snapshot/2"}, c.got)
}

package hub_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

const topic = message.Topic("user:u1:events")

// pub is a publication of an epoch.
func pub(epoch message.Epoch, seq uint64) *message.Envelope {
	return &message.Envelope{Topic: topic, Type: fmt.Sprintf("e%d", epoch), Seq: seq, Epoch: epoch, Level: message.Normal}
}

// restarted is a topic at a position, with a snapshot and what followed it.
func restarted(epoch message.Epoch, offset uint64) *message.Restarted {
	r := &message.Restarted{Topic: topic, Epoch: epoch, Offset: offset}
	if offset > 1 {
		r.Snapshots = []*message.Envelope{pub(epoch, offset-1)}
		r.Snapshots[0].Type = "snapshot"
		r.Publications = []*message.Envelope{pub(epoch, offset)}
	}
	return r
}

func TestARestartReachesASubscriberBetweenWhatWasBeforeItAndWhatCameAfter(t *testing.T) {
	for _, subscribed := range []message.Topic{topic, "user:u1:*"} {
		h, loops := newHub(1)
		c := &client{}
		m := h.Member(c)
		join(h, &m, subscribed)
		loops[0].busy = true // all of it is taken out of the inbox at once
		h.Deliver(pub(1, 1))
		h.Deliver(pub(1, 2))
		h.Restart(restarted(2, 9), message.Normal)
		h.Restart(restarted(3, 0), message.Normal)
		h.Deliver(pub(3, 1))
		h.Deliver(pub(3, 2))
		loops[0].busy = false
		loops[0].Wake(false)
		require.Equal(t, []string{"e1/1", "e1/2", "restart 2/9", "snapshot/8", "e2/9", "done 1+1", "restart 3/0", "done 0+0", "e3/1", "e3/2"}, c.got)
	}
}

func TestARestartReachesAConnectionOnceHoweverManyOfItsSubscriptionsCoverTheTopic(t *testing.T) {
	h, _ := newHub(2)
	a, b := &client{}, &client{lane: 1, encoding: 1}
	ma, mb := h.Member(a), h.Member(b)
	join(h, &ma, "user:*")
	join(h, &ma, topic)
	join(h, &ma, "user:u1:*")
	join(h, &mb, "user:u1:*")
	h.Restart(restarted(2, 0), message.Normal)
	require.Equal(t, []string{"restart 2/0", "done 0+0"}, a.got)
	require.Equal(t, []string{"b:restart 2/0", "b:done 0+0"}, b.got)
}

func TestARestartBringsASubscriptionTheTypesThatItWants(t *testing.T) {
	h, _ := newHub(1)
	for _, tt := range []struct {
		types []string // nil: all
		want  string
	}{
		{nil, "restart 2/9 snapshot/8 e2/9 done 1+1"},
		{[]string{"snapshot"}, "restart 2/9 snapshot/8 done 1+0"},
		{[]string{"e2"}, "restart 2/9 e2/9 done 0+1"},
		{[]string{"nothing"}, "restart 2/9 done 0+0"},
		{[]string{"snapshot", "e2"}, "restart 2/9 snapshot/8 e2/9 done 1+1"},
	} {
		c := &client{}
		m := h.Member(c)
		join(h, &m, topic, tt.types...)
		defer func() { require.Equal(t, tt.want, strings.Join(c.got, " ")) }()
	}
	h.Restart(restarted(2, 9), message.Normal)
}

// seen is a connection that keeps what it is given as it is.
type seen struct {
	client
	outs []*message.Outgoing
}

func (s *seen) Enqueue(out *message.Outgoing) { s.outs = append(s.outs, out) }

func TestTheFramesOfARestartAreSharedAndStandForByANoticeThatWithholdsWhatItWouldBring(t *testing.T) {
	h, _ := newHub(1)
	conns := make([]seen, 100)
	for i := range conns {
		m := h.Member(&conns[i])
		if i%2 == 0 {
			join(h, &m, topic)
		} else {
			join(h, &m, topic, "e2")
		}
	}
	h.Restart(restarted(2, 9), message.Low)
	for i := range conns {
		require.Len(t, conns[i].outs, 1)
		require.Same(t, conns[i%2].outs[0], conns[i].outs[0])
	}
	out := conns[0].outs[0]
	require.Equal(t, message.Low, out.Level, "in order with the topic's publications")
	require.Equal(t, topic, out.Topic)
	require.True(t, out.Exempt)
	require.True(t, out.Replay)
	require.Equal(t, 4, out.Count)
	require.Contains(t, string(out.Instead.Frames), "withheld 2/9")
	require.False(t, out.Instead.Replay, "what is said instead counts")
	h.Restart(restarted(3, 0), message.Low)
	require.Nil(t, conns[0].outs[1].Instead, "there is nothing to withhold")
}

func TestWhereMessagesHaveNoNumbersARestartIsToldAndNothingMore(t *testing.T) {
	l := &loop{}
	h := hub.New([]hub.Lane{l}, []dialect.Encoding{{Dialect: wire{}, Unnumbered: true}})
	l.work = h.Works()[0]
	c := &client{}
	m := h.Member(c)
	join(h, &m, topic, "e2")
	h.Restart(restarted(2, 9), message.Normal)
	require.Equal(t, []string{"restart 2/9"}, c.got)
}

func TestWhoIsJoiningWhenATopicRestartsReadsItsHistoryAgainAndGetsNothingFromBefore(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, topic, nil)
	h.Deliver(pub(1, 5))
	h.Restart(restarted(2, 0), message.Normal)
	h.Deliver(pub(2, 1))
	require.Equal(t, []*hub.Subscription{sub}, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: 4}}, nil))
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 1}}, nil))
	h.Deliver(pub(2, 2))
	require.Equal(t, []string{"e2/2"}, c.got)
}

func TestWhoWentLiveBeyondARestartThatIsStillOnItsWayIsNotTakenBack(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, topic, nil)
	for seq := range uint64(5) {
		h.Deliver(pub(1, 1+seq)) // held
	}
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 3, Sent: true}}, nil))
	h.Deliver(pub(1, 6))
	h.Restart(restarted(2, 2), message.Normal)
	h.Deliver(pub(2, 3))
	h.Deliver(pub(2, 4))
	require.Equal(t, []string{"e2/4"}, c.got, "all else is older than what was sent, or is in it")
	h.Restart(restarted(2, 8), message.Normal)
	require.Equal(t, "restart 2/8", c.got[1])
}

func TestATopicWithoutHistoryThatBeginsAnewIsNotTakenForWhatWasSentBefore(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, topic, nil)
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Offset: 1000}}, nil))
	h.Restart(restarted(0, 0), message.Normal)
	h.Deliver(pub(0, 1))
	require.Equal(t, []string{"restart 0/0", "done 0+0", "e0/1"}, c.got)
}

func TestTheFirstPublicationOfATopicCountsWhateverEpochItTurnsOutToHave(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, topic, nil)
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 7}}, nil))
	h.Deliver(pub(8, 1))
	h.Deliver(pub(8, 2))
	require.Equal(t, []string{"e8/1", "e8/2"}, c.got)
}

func TestAPatternThatIsJoiningIsToldOfARestartInItsPlace(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, "user:u1:*", nil)
	h.Deliver(pub(1, 5))
	h.Restart(restarted(2, 0), message.Normal)
	h.Deliver(pub(2, 1))
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub}}, nil))
	require.Equal(t, []string{"e1/5", "restart 2/0", "done 0+0", "e2/1"}, c.got)
}

func TestAPatternTellsOfARestartWhileTheTopicItselfIsJoining(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "user:u1:*")
	sub, _ := h.Join(&m, topic, nil)
	h.Deliver(pub(1, 5))
	h.Restart(restarted(2, 0), message.Normal)
	h.Deliver(pub(2, 1))
	require.Equal(t, []string{"e1/5", "restart 2/0", "done 0+0", "e2/1"}, c.got)
	require.Len(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: 5, Sent: true}}, nil), 1)
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 1, Sent: true}}, nil))
	h.Deliver(pub(2, 2))
	require.Equal(t, "e2/2", c.got[4])
}

func TestWhatATopicWasSentBeforeItIsRecoveredAgainIsNotTakenBackByAPattern(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	join(h, &m, "user:u1:*")
	sub, _ := h.Join(&m, topic, nil)
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 8, Sent: true}}, nil))
	h.Hold(sub)
	h.Restart(restarted(2, 6), message.Normal)
	h.Deliver(pub(2, 7))
	h.Deliver(pub(2, 8))
	require.Empty(t, c.got, "the client has all of it")
	require.Len(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 8, Sent: true}}, nil), 1)
	h.Deliver(pub(2, 9))
	require.Equal(t, []string{"e2/9"}, c.got)
	h.Restart(restarted(3, 0), message.Normal)
	h.Deliver(pub(3, 1))
	require.Equal(t, []string{"e2/9", "restart 3/0", "done 0+0", "e3/1"}, c.got)
	require.Len(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 9, Sent: true}}, nil), 1)
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 3, Offset: 1, Sent: true}}, nil))
	h.Deliver(pub(3, 2))
	require.Equal(t, "e3/2", c.got[4])
}

func TestWhatATopicWasSentBeforeItIsRecoveredAgainHidesNothingOfTheEpochThatARestartBegan(t *testing.T) {
	h, _ := newHub(1)
	c := &client{}
	m := h.Member(c)
	sub, _ := h.Join(&m, topic, nil)
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: 8, Sent: true}}, nil))
	h.Hold(sub)
	h.Restart(restarted(2, 3), message.Normal)
	require.Len(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 1, Offset: 8, Sent: true}}, nil), 1)
	h.Deliver(pub(2, 4))
	h.Deliver(pub(2, 5))
	require.Empty(t, h.GoLive(&m, []hub.Live{{Sub: sub, Epoch: 2, Offset: 4, Sent: true}}, nil))
	require.Equal(t, []string{"e2/5"}, c.got)
}

// shared is a topic as a store that nodes share has it: numbered elsewhere too, and at times anew.
type shared struct {
	mu     sync.Mutex
	epoch  message.Epoch
	offset uint64

	lives atomic.Int64 // how often a client went live
}

func (s *shared) position() (message.Epoch, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, s.offset
}

// next numbers a publication.
func (s *shared) next() *message.Envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset++
	return pub(s.epoch, s.offset)
}

// interrupt has publications that this node never hears of, and with anew another epoch.
func (s *shared) interrupt(lost uint64, anew, rewind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if anew {
		s.epoch++
	}
	if rewind {
		s.offset = 0
	}
	s.offset += lost
}

// follower is a client that keeps its position and notes what should not be.
type follower struct {
	client
	known  bool
	both   bool // it follows the topic by a pattern too
	stale  bool // until the next restart, what comes is of an epoch that is over
	epoch  message.Epoch
	offset uint64
	bad    []string
	told   int
}

func (f *follower) Enqueue(out *message.Outgoing) {
	f.got = f.got[:0]
	f.client.Enqueue(out)
	inside := false
	for _, text := range f.got {
		var epoch message.Epoch
		var offset uint64
		switch {
		case strings.HasPrefix(text, "restart"):
			_, _ = fmt.Sscanf(text, "restart %d/%d", &epoch, &offset)
			f.told++
			f.known, f.epoch, f.offset, f.stale, inside = true, epoch, offset, false, true
		case strings.HasPrefix(text, "done"):
			inside = false
		case inside: // what the restart brings
		default:
			_, _ = fmt.Sscanf(text, "e%d/%d", &epoch, &offset)
			if f.known && epoch < f.epoch && (f.stale || offset == 1 || f.offset == 0) {
				f.stale = true // the beginning of an epoch that is over: the restart is on its way
				continue
			}
			if f.both && epoch == f.epoch && offset <= f.offset {
				continue // what an answer brought may come by the pattern too, if the topic is recovered again at once
			}
			if f.known && (epoch != f.epoch || offset != f.offset+1) {
				f.bad = append(f.bad, fmt.Sprintf("%s after %d/%d", text, f.epoch, f.offset))
			}
			f.known, f.epoch, f.offset = true, epoch, offset
		}
	}
}

// answered is what an answer to a subscription tells: the position from which it goes on. A pattern may have brought more.
func (f *follower) answered(epoch message.Epoch, offset uint64) {
	if f.known && epoch == f.epoch && offset <= f.offset {
		return
	}
	f.known, f.epoch, f.offset = true, epoch, offset
}

// live has a member read the topic's position, a while before it goes live with it, until that works.
func (f *follower) live(h *hub.Hub, m *hub.Member, sub *hub.Subscription, s *shared, rng *rand.Rand) {
	for {
		epoch, offset := s.position()
		for range rng.IntN(3) { // a few more are published meanwhile, unless it is over
			_, before := s.position()
			for range 1000 {
				if _, now := s.position(); now != before {
					break
				}
				runtime.Gosched()
			}
		}
		if h.GoLive(m, []hub.Live{{Sub: sub, Epoch: epoch, Offset: offset, Sent: true}}, func() { f.answered(epoch, offset) }) == nil {
			s.lives.Add(1)
			return
		}
	}
}

// TestEveryClientEndsWhereATopicIsThatRestartsAtRandom has clients join, come back and recover by name and by pattern while a topic
// loses publications and begins anew: nobody is sent a publication that does not follow what he was sent or told before, and
// in the end everybody is where the topic is.
func TestEveryClientEndsWhereATopicIsThatRestartsAtRandom(t *testing.T) {
	for seed := range uint64(6) {
		h, _ := newHub(3)
		s := &shared{epoch: 1}
		stop := make(chan struct{})
		var clients sync.WaitGroup
		followers := make([]*follower, 12)
		for i := range followers {
			f := &follower{client: client{lane: i / 3 % 3}, both: i%3 == 2}
			followers[i] = f
			clients.Go(func() { f.come(h, s, i, rand.New(rand.NewPCG(seed, uint64(i))), stop) })
		}
		publish(h, s, rand.New(rand.NewPCG(seed, 1000)))
		close(stop)
		clients.Wait()
		h.Deliver(s.next())
		epoch, offset := s.position()
		for i, f := range followers {
			require.Empty(t, f.bad, "seed %d, client %d", seed, i)
			require.False(t, f.stale)
			require.Equal(t, fmt.Sprint(epoch, offset), fmt.Sprint(f.epoch, f.offset), "seed %d, client %d, told of %d restarts", seed, i, f.told)
		}
	}
}

// come subscribes and resubscribes until stop, in one of three ways, and stays.
func (f *follower) come(h *hub.Hub, s *shared, i int, rng *rand.Rand, stop <-chan struct{}) {
	m := h.Member(f)
	var sub *hub.Subscription
	if i%3 > 0 { // by a pattern, from wherever it is
		join(h, &m, "user:u1:*")
	}
	for i%3 != 1 {
		switch {
		case sub == nil:
			sub, _ = h.Join(&m, topic, nil)
		case i%3 == 0 && rng.IntN(2) == 0:
			h.Leave(sub)
			sub, _ = h.Join(&m, topic, nil)
		default:
			h.Hold(sub)
		}
		f.live(h, &m, sub, s, rng)
		select {
		case <-stop:
			return
		default:
		}
	}
	<-stop
}

// publish is the broker: it delivers in order, and restarts the topic where it cannot.
func publish(h *hub.Hub, s *shared, rng *rand.Rand) {
	for n := 0; n < 500 || s.lives.Load() < 2000; n++ {
		runtime.Gosched()
		if rng.IntN(6) > 0 {
			h.Deliver(s.next())
			continue
		}
		anew := rng.IntN(2) == 0
		s.interrupt(uint64(rng.IntN(4)), anew, anew && rng.IntN(2) == 0)
		epoch, offset := s.position()
		var since []*message.Envelope
		for range rng.IntN(3) { // published elsewhere before this node has told
			since = append(since, s.next())
		}
		h.Restart(restarted(epoch, offset), message.Normal)
		for _, env := range since {
			h.Deliver(env)
		}
	}
}

// BenchmarkRestart100000 tells 100,000 subscriptions that their topic does not go on: that of one topic, and those of a topic each.
// Beside it stands what a publication costs them.
func BenchmarkRestart100000(b *testing.B) {
	const subscriptions = 100_000
	for name, topics := range map[string]int{"of one topic": 1, "of a topic each": subscriptions} {
		h, _ := newHub(1)
		sink := &sinkhole{}
		names := make([]message.Topic, topics)
		for i := range names {
			names[i] = message.Topic(fmt.Sprintf("user:u%d:events", i))
		}
		for i := range subscriptions {
			m := h.Member(sink)
			join(h, &m, names[i%topics])
		}
		snapshot := &message.Envelope{Type: "snapshot", Payload: make([]byte, 4<<10), Seq: 9, Epoch: 1, Level: message.Normal}
		b.Run(name+"/publication", func(b *testing.B) {
			for b.Loop() {
				for _, topic := range names {
					h.Deliver(&message.Envelope{Topic: topic, Type: "x", Seq: 10, Epoch: 1, Level: message.Normal})
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscriptions), "ns/subscription")
		})
		b.Run(name+"/restart", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, topic := range names {
					env := *snapshot
					env.Topic = topic
					h.Restart(&message.Restarted{Topic: topic, Epoch: 1, Offset: 9, Snapshots: []*message.Envelope{&env}}, message.Normal)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscriptions), "ns/subscription")
		})
	}
}

package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// TestInterestThatComesAndGoesUnderFaultsLeavesNothingBehind has many goroutines follow and leave topics and patterns while
// connections are killed and others publish.
func TestInterestThatComesAndGoesUnderFaultsLeavesNothingBehind(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	a := startNode(t, server.Config(), nil)
	b := startNode(t, server.Config(), func(c *Config) { c.Linger, c.PatternTopicsMax = 5*time.Millisecond, 20 })
	b.gaps = true
	var names []message.Topic
	for user := range 4 {
		names = append(names, message.Topic(fmt.Sprintf("user:u%d:*", user)))
		for kind := range 6 {
			names = append(names, message.Topic(fmt.Sprintf("user:u%d:k%d", user, kind)))
		}
	}
	var topics []message.Topic
	for _, name := range names {
		if !name.IsPattern() {
			topics = append(topics, name)
		}
	}
	flow := steady(a, topics[:4])
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for range 25 {
				if err := b.SetInterest(context.Background(), name, true); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				flow.pass(rng.Int64N(20))
				if err := b.SetInterest(context.Background(), name, false); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				flow.pass(rng.Int64N(30))
			}
		})
	}
	for range 10 {
		server.KillClients("pubsub")
		flow.more(t, 20)
	}
	wg.Wait()
	flow.finish()
	require.Eventually(t, func() bool {
		s := b.FollowStats()
		return s.Topics == 0 && s.Patterns == 0
	}, patience, 10*time.Millisecond)
	f := b.follower
	f.mu.Lock()
	require.Zero(t, f.seen)
	require.Empty(t, f.leaving)
	f.mu.Unlock()
	require.Zero(t, f.tally.heldBytes.Load())
	require.Eventually(t, func() bool {
		channels, err := server.Client().PubSubChannels(t.Context(), "wse:user:*").Result()
		require.NoError(t, err)
		patterns, err := server.Client().PubSubNumPat(t.Context()).Result()
		require.NoError(t, err)
		return len(channels) == 0 && patterns == 0
	}, patience, 10*time.Millisecond)
}

func TestATopicThatIsWantedAgainAtOnceIsConfirmedAgain(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	n.follow("user:u1:events", "user:u2:*")
	f := n.follower
	for range 20 {
		for _, name := range []message.Topic{"user:u1:events", "user:u2:*"} {
			require.NoError(t, n.SetInterest(t.Context(), name, false))
			f.leave(time.Now().Add(time.Hour)) // as if linger was over
			n.follow(name)
		}
	}
	n.tell("user:u1:events", "1")
	n.tell("user:u2:x", "1")
	n.received(t, "user:u1:events", []string{"1"})
	n.received(t, "user:u2:x", []string{"1"})
}

func TestATopicWithoutHistoryLosesNothingWhenItsPatternIsLeft(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	a, b := startNode(t, server.Config(), nil), startNode(t, server.Config(), nil)
	b.follow("public:a:*")
	b.follow("public:a:b", "public:a:c")
	flow := steady(a, []message.Topic{"public:a:b"})
	flow.more(t, 20)
	require.NoError(t, b.SetInterest(t.Context(), "public:a:*", false))
	require.Eventually(t, func() bool { return b.FollowStats().Patterns == 0 }, patience, time.Millisecond)
	flow.more(t, 20)
	b.received(t, "public:a:b", flow.finish()["public:a:b"])
	a.tell("public:a:c", "1")
	b.received(t, "public:a:c", []string{"1"})
	require.Zero(t, b.restarts("public:a:b"))
	require.Zero(t, b.restarts("public:a:c"))
}

// With two connections for one topic, the one that began first may bring what the other, which began later, brings no more.
func TestATopicWithoutHistoryIsToldOfNoGapWhileWhatIsMissingIsOnItsWay(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	f := n.follower
	topic := message.Topic("public:a:0")
	for i := 1; f.subscriberOf(topic) == f.plain[0]; i++ { // which brings the patterns
		topic = message.Topic(fmt.Sprint("public:a:", i))
	}
	n.follow("public:a:*", "public:x:*")
	n.follow(topic)
	n.tell(topic, "1")
	n.received(t, topic, []string{"1"})
	slow := message.Topic("public:x:1")
	n.tell(slow, "1")
	n.received(t, slow, []string{"1"})
	way := f.lookup(slow)
	way.mu.Lock() // the connection that brings the patterns comes to a halt here
	n.tell(slow, "2")
	n.tell(topic, "2", "3")
	require.NoError(t, n.SetInterest(t.Context(), "public:a:*", false))
	f.leave(time.Now().Add(time.Hour)) // as if linger was over: the topic is subscribed to by its name
	at := f.lookup(topic)
	require.Eventually(t, func() bool {
		at.mu.Lock()
		defer at.mu.Unlock()
		return at.course.awaited > 0 || n.restarts(topic) > 0
	}, patience, time.Millisecond)
	n.tell(topic, "4", "5")
	require.Eventually(t, func() bool { return f.tally.held.Load() == 2 || n.restarts(topic) > 0 }, patience, time.Millisecond)
	way.mu.Unlock()
	n.received(t, topic, []string{"1", "2", "3", "4", "5"})
	require.Zero(t, n.restarts(topic))
}

func TestWhatIsHeardTwiceAllocatesNothing(t *testing.T) {
	f := &follower{}
	f.tally.heldBytesMax = heldBytesMax
	topic := &followed{f: f, done: true}
	topic.course = course{out: topic, tally: &f.tally, known: true, last: place{7, 9}}
	body := head + `9,"epoch":"00000007","t":"x","p":{"a":"` + strings.Repeat("x", 500) + `"}`
	require.Zero(t, testing.AllocsPerRun(100, func() {
		at, ok := readPlace(body)
		if !ok {
			t.Fatal("not read")
		}
		topic.hear(at, body)
	}))
}

func TestWhatIsTooLargeToBeHeldKeepsNothingSmallerOut(t *testing.T) {
	tally := &tally{heldBytesMax: 1 << 10}
	greedy, modest := &course{tally: tally}, &course{tally: tally}
	much, all := publication{raw: strings.Repeat("x", 1<<10+1), stamp: 1}, publication{raw: strings.Repeat("x", 1<<10), stamp: 1}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 200_000 {
			greedy.hold(much)
		}
	})
	for i := 0; i < 200_000 && modest.lost == 0; i++ {
		modest.hold(all)
		modest.release()
	}
	wg.Wait()
	require.Zero(t, modest.lost, "there was room for it all the time")
	require.Zero(t, tally.heldBytes.Load())
}

// still returns a node that does not run, so that nothing is confirmed but by the test, with the ledger of what it delivers.
func still(t *testing.T) (b *Broker, l *ledger, run func()) {
	l = newLedger()
	b, run = opened(t, redistest.Single(t).Config(), func(c *Config) { c.Linger = 0 }, testClasses(t), l)
	return b, l, run
}

// joining has b follow a name until the returned context ends, and waits until it does not but for the confirmation.
func joining(t *testing.T, b *Broker, name message.Topic) (give func(), joined <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	errs := make(chan error, 1)
	go func() { errs <- b.SetInterest(ctx, name, true) }()
	require.Eventually(t, func() bool {
		b.follower.mu.Lock()
		defer b.follower.mu.Unlock()
		return b.follower.topics[name] != nil || b.follower.patterns[name] != nil
	}, patience, time.Millisecond)
	return cancel, errs
}

func TestATopicWhoseJoiningByNameWasGivenUpIsWhatItsPatternBrings(t *testing.T) {
	b, l, _ := still(t)
	f := b.follower
	give, joined := joining(t, b, "user:u1:events")
	_, pattern := joining(t, b, "user:u1:*")
	f.patternConfirmed(f.patterns["user:u1:*"])
	body := func(n int) string {
		return fmt.Sprintf(`%s%d,"epoch":"00000007","at":1,"t":"x","p":{},"id":"%d","ms":1}`, head, n, n)
	}
	bring := func(n int) {
		f.message(f.plain[0], &goredis.Message{Channel: "wse:user:u1:events", Pattern: "wse:user:u1:*", Payload: body(n)})
	}
	bring(5) // heard while the topic was being joined by name
	give()
	require.ErrorIs(t, <-joined, broker.ErrUnavailable)
	f.leave(time.Now().Add(time.Hour)) // as if linger was over
	bring(6)
	l.received(t, "user:u1:events", []string{"5", "6"})
	require.NoError(t, <-pattern)
	require.Zero(t, f.tally.held.Load())
}

func TestATopicIsJoinedThoughThePatternThatWasToCarryItIsGivenUp(t *testing.T) {
	b, _, run := still(t)
	give, pattern := joining(t, b, "user:u1:*")
	_, joined := joining(t, b, "user:u1:events")
	give()
	require.ErrorIs(t, <-pattern, broker.ErrUnavailable)
	for range 2 { // it goes on for a moment, while what it carried is subscribed to by name
		b.follower.leave(time.Now().Add(time.Hour))
	}
	run()
	require.NoError(t, <-joined)
}

func TestAPatternIsNotLeftBeforeWhatItBringsIsBroughtByItsName(t *testing.T) {
	b, _, run := still(t)
	f := b.follower
	_, pattern := joining(t, b, "user:u1:*")
	f.patternConfirmed(f.patterns["user:u1:*"])
	_, joined := joining(t, b, "user:u1:events")
	require.NoError(t, b.SetInterest(t.Context(), "user:u1:*", false))
	for range 3 { // however long that takes
		f.leave(time.Now().Add(time.Hour))
		require.Equal(t, 1, b.FollowStats().Patterns)
	}
	run()
	require.NoError(t, <-pattern)
	require.NoError(t, <-joined)
	require.Eventually(t, func() bool { return b.FollowStats().Patterns == 0 }, patience, time.Millisecond)
}

func TestWhatNoServerIsKnownToHaveIsNotKeptWhenItIsLeft(t *testing.T) {
	cfg := redis.DefaultConfig()
	cfg.Addrs, cfg.Cluster = []string{"127.0.0.1:1"}, true
	b, _ := opened(t, cfg, func(c *Config) { c.Sharded, c.Linger = true, 0 }, testClasses(t), newLedger())
	for _, topic := range namedTopics("n", 10) {
		give, joined := joining(t, b, topic)
		give()
		require.ErrorIs(t, <-joined, broker.ErrUnavailable)
	}
	b.follower.leave(time.Now().Add(time.Hour))
	require.Empty(t, b.follower.topics)
	require.Empty(t, b.follower.shards.nowhere.channels)
	require.Empty(t, b.follower.shards.nowhere.dirty)
}

// Which of two patterns carries a topic is chosen at random where neither is settled; what counts is which one brought it.
func TestWhatAJoinedPatternBringsIsTakenThoughAnotherIsJustBeingJoined(t *testing.T) {
	classes, err := broker.CompileClasses(broker.DefaultClasses())
	require.NoError(t, err)
	for range 64 {
		f := newFollower(&Broker{cfg: DefaultConfig(), classes: classes})
		for _, p := range []*pattern{{name: "user:u1:*", joined: true, confirmed: true}, {name: "user:*"}} {
			f.patterns[p.name] = p
		}
		require.NotNil(t, f.see("user:u1:events", "wse:user:u1:*"))
		require.Nil(t, f.see("user:u2:events", "wse:user:*"), "it came for one that was there before")
	}
}

// Two patterns bring the topic. What the older one missed while it was interrupted is not before the topic's beginning, though the
// other one has just been joined, or brings the topic before it is known what was missed.
func TestWhatAnInterruptedPatternMissedIsMadeUpForThoughAnotherOneBringsTheTopic(t *testing.T) {
	const topic = message.Topic("public:a:b:c")
	for _, brings := range []string{"wse:public:a:b:*", "wse:public:a:*"} {
		server := redistest.Single(t)
		a, l := startNode(t, server.Config(), nil), newLedger()
		b, run := opened(t, server.Config(), func(c *Config) { c.Linger = 0 }, testClasses(t), l)
		f := b.follower
		join := func(name message.Topic) {
			_, joined := joining(t, b, name)
			f.patternConfirmed(f.patterns[name])
			require.NoError(t, <-joined)
		}
		join("public:a:b:*")
		a.tell(topic, "1", "2") // the connection brings neither
		raw := server.Client().Subscribe(t.Context(), "wse:"+string(topic))
		defer raw.Close()
		_, err := raw.Receive(t.Context())
		require.NoError(t, err)
		f.unsettle()
		f.patternConfirmed(f.patterns["public:a:b:*"])
		bring := func() {
			a.tell(topic, "3")
			m, err := raw.ReceiveMessage(t.Context())
			require.NoError(t, err)
			f.message(f.plain[0], &goredis.Message{Channel: "wse:" + string(topic), Pattern: brings, Payload: m.Payload})
		}
		if brings == "wse:public:a:b:*" {
			bring()
			join("public:a:*")
		} else {
			join("public:a:*")
			bring()
		}
		run()
		l.until(t, "that there was something before the third", func(topics map[message.Topic]*account) bool {
			return topics[topic] != nil && len(topics[topic].restarts) == 1
		})
	}
}

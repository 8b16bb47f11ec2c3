package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// ledger is a sink that keeps what it is told of each topic, and what breaks the promises of a Sink.
type ledger struct {
	mu      sync.Mutex
	topics  map[message.Topic]*account // guarded by mu
	broken  []string                   // guarded by mu
	changed chan struct{}              // guarded by mu; closed at the next call
	gaps    bool                       // guarded by mu; interest comes and goes, so that numbers may be left out
}

// account is what a ledger knows of a topic.
type account struct {
	busy     atomic.Bool
	begun    bool
	last     uint64
	epoch    message.Epoch
	got      []string // ids of publications, in order; a restart adds what its history has and was not delivered, with a +
	has      map[string]int
	restarts []broker.History
}

var _ broker.Restarter = (*ledger)(nil)

func newLedger() *ledger {
	return &ledger{topics: map[message.Topic]*account{}, changed: make(chan struct{})}
}

func (l *ledger) call(topic message.Topic, f func(a *account) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.topics[topic]
	if a == nil {
		a = &account{has: map[string]int{}}
		l.topics[topic] = a
	}
	if !a.busy.CompareAndSwap(false, true) {
		l.broken = append(l.broken, "two calls for "+string(topic)+" at a time")
	}
	l.mu.Unlock() // another call for the topic would be seen now
	l.mu.Lock()
	defer a.busy.Store(false)
	if fault := f(a); fault != "" {
		l.broken = append(l.broken, string(topic)+": "+fault)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Deliver implements broker.Sink.
func (l *ledger) Deliver(env *message.Envelope) {
	l.call(env.Topic, func(a *account) (fault string) {
		if a.begun && (env.Seq != a.last+1 || env.Epoch != a.epoch) && (!l.gaps || env.Seq <= a.last) {
			fault = fmt.Sprintf("%d of epoch %v delivered after %d of epoch %v", env.Seq, env.Epoch, a.last, a.epoch)
		}
		a.begun, a.last, a.epoch = true, env.Seq, env.Epoch
		a.got = append(a.got, env.ID)
		if a.has[env.ID]++; a.has[env.ID] > 1 {
			fault += " twice: " + env.ID
		}
		return fault
	})
}

// Restart implements broker.Restarter.
func (l *ledger) Restart(topic message.Topic, h broker.History) {
	l.call(topic, func(a *account) string {
		a.begun, a.last, a.epoch = true, h.Position.Offset, h.Position.Epoch
		a.restarts = append(a.restarts, h)
		return ""
	})
}

// until waits until f, which is called with the accounts as they are, returns true.
func (l *ledger) until(t testing.TB, what string, f func(topics map[message.Topic]*account) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		done, changed := f(l.topics), l.changed
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			l.mu.Lock()
			defer l.mu.Unlock()
			for name, a := range l.topics {
				t.Logf("%s: %d publications up to %d of epoch %v, %d restarts", name, len(a.got), a.last, a.epoch, len(a.restarts))
			}
			require.Fail(t, "did not come: "+what)
		}
	}
}

// received waits until the publications with these ids were delivered, in this order and nothing else after skip others.
func (l *ledger) received(t testing.TB, topic message.Topic, ids []string) {
	t.Helper()
	l.until(t, fmt.Sprintf("%d publications of %s", len(ids), topic), func(topics map[message.Topic]*account) bool {
		a := topics[topic]
		return a != nil && len(a.got) >= len(ids)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, ids, l.topics[topic].got, topic)
}

func (l *ledger) restarts(topic message.Topic) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.topics[topic]; a != nil {
		return len(a.restarts)
	}
	return 0
}

func (l *ledger) intact(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.broken)
}

// node is a broker that runs, with the sink it delivers to.
type node struct {
	*Broker
	*ledger
	t   testing.TB
	end func()
}

// historyOfTests is how many publications of stream: topics the classes of tests keep. They keep none of public: topics, and of the
// others more than come together while connections are made again.
const historyOfTests = 60

func testClasses(t testing.TB) *broker.Classes {
	keeps := func(pattern string, n int) broker.Class {
		c := broker.DefaultClass(pattern)
		c.HistorySize, c.HistoryKiBMax, c.Snapshots = n, 16<<10, true
		return c
	}
	classes, err := broker.CompileClasses([]broker.Class{keeps("user:*", 20_000), keeps("stream:*", historyOfTests), keeps("system:*", 20_000), broker.DefaultClass("public:*")})
	require.NoError(t, err)
	return classes
}

// startNode runs a broker on the Redis that way leads to; change may be nil.
func startNode(t testing.TB, way redis.Config, change func(*Config), options ...Option) *node {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Config = way
	cfg.Linger = 0
	unhurried(&cfg)
	if change != nil {
		change(&cfg)
	}
	client, err := redis.Open(cfg.Config, "")
	require.NoError(t, err)
	n := &node{ledger: newLedger(), t: t}
	n.Broker, err = New(cfg, client, testClasses(t), n.ledger, options...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	var once sync.Once
	n.end = func() { once.Do(func() { n.stop(cancel, ended, client) }) }
	t.Cleanup(n.end)
	return n
}

func (n *node) stop(cancel func(), ended <-chan error, client *redis.Client) {
	cancel()
	require.NoError(n.t, <-ended)
	require.NoError(n.t, n.Close())
	require.NoError(n.t, client.Close())
	n.intact(n.t)
}

func (n *node) follow(topics ...message.Topic) {
	n.t.Helper()
	errs := make([]error, len(topics))
	var wg sync.WaitGroup
	for i, topic := range topics {
		wg.Go(func() { errs[i] = n.SetInterest(context.Background(), topic, true) })
	}
	wg.Wait()
	require.NoError(n.t, errors.Join(errs...))
}

func news(topic message.Topic, id string) *message.Envelope {
	return &message.Envelope{Topic: topic, Type: "news", ID: id, Payload: []byte(`{"a":1}`), TimeMS: 1_763_800_000_000, LatencyMS: -1}
}

// tell publishes with an id and requires that it is accepted.
func (n *node) tell(topic message.Topic, ids ...string) {
	n.t.Helper()
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := n.Publish(ctx, news(topic, id))
		cancel()
		require.NoError(n.t, err)
	}
}

// awaitReady waits until the node is ready, or is not.
func (n *node) awaitReady(ready bool, within time.Duration) {
	n.t.Helper()
	require.Eventually(n.t, func() bool { return (n.Ready() == nil) == ready }, within, 10*time.Millisecond, "ready: %v", n.Ready())
}

// awaitFault waits until the node says that it is not ready for a reason.
func (n *node) awaitFault(part string) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		err := n.Ready()
		return err != nil && strings.Contains(err.Error(), part)
	}, patience, 10*time.Millisecond, "%q: %v", part, n.Ready())
}

// stream is publishing to topics that goes on until it is stopped.
type stream struct {
	stop     chan struct{}
	wg       sync.WaitGroup
	mu       sync.Mutex
	moved    sync.Cond
	accepted map[message.Topic][]string // guarded by mu; ids in order
	n        atomic.Int64
}

// steady publishes to topics through n, in turn, as fast as it goes; what is not accepted is not part of what has to come.
func steady(n *node, topics []message.Topic) *stream {
	tr := &stream{stop: make(chan struct{}), accepted: map[message.Topic][]string{}}
	tr.moved.L = &tr.mu
	for i, topic := range topics {
		tr.wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-tr.stop:
					return
				default:
				}
				id := fmt.Sprintf("t%d-%d", i, k)
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				_, err := n.Publish(ctx, news(topic, id))
				cancel()
				if err == nil {
					tr.mu.Lock()
					tr.accepted[topic] = append(tr.accepted[topic], id)
					tr.n.Add(1)
					tr.moved.Broadcast()
					tr.mu.Unlock()
				}
			}
		})
	}
	return tr
}

// more waits until that many publications were accepted from now on.
func (tr *stream) more(t testing.TB, n int64) {
	t.Helper()
	from := tr.n.Load()
	require.Eventually(t, func() bool { return tr.n.Load() >= from+n }, patience, time.Millisecond)
}

// pass lets the time pass in which that many publications are accepted. Any goroutine may call it before finish is.
func (tr *stream) pass(n int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for from := tr.n.Load(); tr.n.Load() < from+n; {
		tr.moved.Wait()
	}
}

func (tr *stream) finish() map[message.Topic][]string {
	close(tr.stop)
	tr.wg.Wait()
	return tr.accepted
}

func namedTopics(prefix string, n int) []message.Topic {
	topics := make([]message.Topic, n)
	for i := range topics {
		topics[i] = message.Topic(fmt.Sprintf("user:%s%d:events", prefix, i))
	}
	return topics
}

func TestWhatOneNodePublishesAnotherDelivers(t *testing.T) {
	server := redistest.Single(t)
	a, b := startNode(t, server.Config(), nil), startNode(t, server.Config(), nil)
	b.follow("user:u1:events", "public:news")
	a.tell("user:u1:events", "1", "2")
	a.tell("public:news", "3")
	a.tell("user:u2:events", "4")
	b.received(t, "user:u1:events", []string{"1", "2"})
	b.received(t, "public:news", []string{"3"})
	require.Zero(t, b.FollowStats().Fills)
	require.NotContains(t, b.topics, message.Topic("user:u2:events"))
}

func TestATopicThatIsFollowedByNameAndByPatternsIsDeliveredOnce(t *testing.T) {
	server := redistest.Single(t)
	a, b := startNode(t, server.Config(), nil), startNode(t, server.Config(), nil)
	b.follow("user:u1:a")
	b.follow("user:u1:*")
	b.follow("user:u1:b")
	a.tell("user:u1:a", "1")
	a.tell("user:u1:b", "2")
	a.tell("user:u1:c", "3")
	b.received(t, "user:u1:a", []string{"1"})
	b.received(t, "user:u1:b", []string{"2"})
	b.received(t, "user:u1:c", []string{"3"})
	require.NoError(t, b.SetInterest(t.Context(), "user:u1:*", false))
	require.Eventually(t, func() bool { return b.FollowStats().Topics == 2 }, patience, time.Millisecond, "what only the pattern brought is forgotten")
	a.tell("user:u1:a", "4")
	a.tell("user:u1:b", "5")
	b.received(t, "user:u1:a", []string{"1", "4"})
	b.received(t, "user:u1:b", []string{"2", "5"})
	require.Zero(t, b.FollowStats().Restarts)
}

func TestATopicIsFollowedForAWhileAfterItsLastSubscriberLeft(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Config(), func(c *Config) { c.Linger = time.Hour })
	n.awaitReady(true, patience)
	count := func() int64 {
		subs, err := server.Client().PubSubNumSub(t.Context(), "wse:user:u1:events").Result()
		require.NoError(t, err)
		return subs["wse:user:u1:events"]
	}
	n.follow("user:u1:events")
	require.NoError(t, n.SetInterest(t.Context(), "user:u1:events", false))
	n.follow("user:u1:events")
	require.NoError(t, n.SetInterest(t.Context(), "user:u1:events", false))
	n.follower.leave(time.Now().Add(time.Hour - patience))
	require.Equal(t, 1, n.FollowStats().Topics)
	require.EqualValues(t, 1, count())
	n.follower.leave(time.Now().Add(time.Hour))
	require.Eventually(t, func() bool { return count() == 0 }, patience, 10*time.Millisecond)
	require.Equal(t, 1, calls(t, server, "subscribe")-connections, "it was subscribed to once")
}

// connections is how many a node has to receive by.
const connections = 2

// calls returns how often a command was called on a server.
func calls(t testing.TB, server *redistest.Server, command string) (n int) {
	t.Helper()
	info, err := server.Client().Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			_, err := fmt.Sscanf(rest, "%d", &n)
			require.NoError(t, err)
		}
	}
	return n
}

func TestTopicsThatAreJoinedTogetherAreSubscribedToTogether(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	n.awaitReady(true, patience)
	began := time.Now()
	n.follow(namedTopics("u", 1000)...)
	most := connections * (int(time.Since(began)/flushEvery) + 2) // on a busy machine they come one by one
	require.Less(t, calls(t, server, "subscribe"), max(200, most), "1000 topics")
}

func TestPatternsAreRefusedWhereTheyCannotBeFollowed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Addrs, cfg.Cluster, cfg.Sharded = []string{"127.0.0.1:1"}, true, true
	client, err := redis.Open(cfg.Config, "")
	require.NoError(t, err)
	defer client.Close()
	b, err := New(cfg, client, testClasses(t), newLedger())
	require.NoError(t, err)
	require.ErrorIs(t, b.SetInterest(t.Context(), "public:*", true), broker.ErrPattern)
}

func TestWithoutRedisATopicIsNotFollowedAndThatIsSaid(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	n := startNode(t, server.Config(), nil)
	n.awaitReady(true, patience)
	server.Kill()
	for _, topic := range []message.Topic{"user:u1:events", "user:u1:*"} {
		give, joined := joining(t, n.Broker, topic)
		give()
		require.ErrorIs(t, <-joined, broker.ErrUnavailable)
	}
	require.Eventually(t, func() bool { s := n.FollowStats(); return s.Topics == 0 && s.Patterns == 0 }, patience, 10*time.Millisecond)
	n.awaitReady(false, patience)
	server.Start()
	n.follow("user:u1:events")
	n.awaitReady(true, patience)
}

func TestATopicWhoseKeysHoldSomethingElseFailsAlone(t *testing.T) {
	server := redistest.Single(t)
	require.NoError(t, server.Client().Set(t.Context(), "{wse:user:u1:events}:m", "mine", 0).Err())
	n := startNode(t, server.Config(), nil)
	err := n.SetInterest(t.Context(), "user:u1:events", true)
	require.ErrorContains(t, err, "{wse:user:u1:events}:m")
	n.follow("user:u2:events")
	n.tell("user:u2:events", "1")
	n.received(t, "user:u2:events", []string{"1"})
	n.awaitReady(true, patience)
}

func TestNoticesComeOnceInOrderWithPublications(t *testing.T) {
	server := redistest.Single(t)
	type heard struct {
		topic message.Topic
		body  string
	}
	notices := make(chan heard, 100)
	interrupted := make(chan message.Topic, 100)
	n := startNode(t, server.Config(), nil, WithNotices(
		func(topic message.Topic, body []byte) { notices <- heard{topic, string(body)} },
		func(topic message.Topic) { interrupted <- topic }))
	n.awaitReady(true, patience)
	n.follow("user:u1:a")
	n.follow("user:u1:*")
	const body = `{"v":2,"notice":"presence","x":1}`
	for _, none := range []string{"wse:user:u1:no such", "wse:user:u1:", "wse:user:u1:*"} {
		require.NoError(t, server.Client().Publish(t.Context(), none, body).Err())
	}
	for _, topic := range []message.Topic{"user:u1:a", "user:u1:b"} {
		require.NoError(t, server.Client().Publish(t.Context(), "wse:"+string(topic), body).Err())
		require.Equal(t, heard{topic, body}, <-notices)
	}
	require.Equal(t, 2, server.KillClients("pubsub"))
	require.Equal(t, message.Topic("user:u1:a"), <-interrupted)
	require.Empty(t, notices)
}

func TestWhoHasCaughtUpHasAllThatWasPublishedBefore(t *testing.T) {
	server := redistest.Single(t)
	a, b := startNode(t, server.Config(), nil), startNode(t, server.Config(), nil)
	topics := []message.Topic{"user:u1:events", "user:u2:events", "public:news"}
	b.follow("user:u1:events", "user:u2:events", "public:*")
	for n := 1; n <= 50; n++ {
		for _, topic := range topics {
			a.tell(topic, fmt.Sprint(n))
		}
		require.NoError(t, b.CatchUp(t.Context()))
		b.mu.Lock()
		for _, topic := range topics {
			require.Len(t, b.topics[topic].got, n, topic)
		}
		b.mu.Unlock()
	}
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, b.CatchUp(ctx), context.DeadlineExceeded)
}

package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/brokertest"
	"github.com/wse-engine/wse/engine/message"
)

func TestEveryPromiseOfABroker(t *testing.T) {
	open := func(t *testing.T, classes *broker.Classes, sink broker.Sink) broker.Broker {
		b, err := New(DefaultConfig(), classes, sink)
		require.NoError(t, err)
		running(t, b)
		return b
	}
	t.Run("virtual time", func(t *testing.T) { brokertest.RunInBubble(t, open) })
	t.Run("real time", func(t *testing.T) { brokertest.Run(t, open) })
}

// running runs b until the test ends.
func running(t *testing.T, b *Broker) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

type discard struct{}

func (discard) Deliver(*message.Envelope) {}

func newBroker(t testing.TB, cfg Config, list ...broker.Class) *Broker {
	classes, err := broker.CompileClasses(list)
	require.NoError(t, err)
	b, err := New(cfg, classes, discard{})
	require.NoError(t, err)
	return b
}

// class is a default class for user:* that keeps size publications and retains snapshots.
func class(size int) broker.Class {
	c := broker.DefaultClass("user:*")
	c.HistorySize, c.Snapshots = size, true
	return c
}

func userTopic(i int) message.Topic { return message.Topic(fmt.Sprintf("user:u%d:events", i)) }

func publish(t testing.TB, b *Broker, topic message.Topic, kind string, bytes int) broker.Published {
	env := &message.Envelope{Topic: topic, Type: kind, Payload: []byte(`"` + strings.Repeat("x", bytes) + `"`)}
	p, err := b.Publish(context.Background(), env)
	require.NoError(t, err)
	return p
}

func keptOf(t testing.TB, b *Broker, topic message.Topic) (publications, snapshots int) {
	for _, info := range b.Topics(string(topic), 1) {
		return info.Publications, info.Snapshots
	}
	return 0, 0
}

// checkBytes compares what the broker has counted with what there is.
func checkBytes(t *testing.T, b *Broker) {
	t.Helper()
	var sum int64
	for _, info := range b.Topics("", 1<<20) {
		sum += info.Bytes
	}
	require.Equal(t, sum, b.Stats().BytesKept)
}

func TestTheBudgetEvictsTheColdestTopicFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.HistoryMiBTotal = 1
		b := newBroker(t, cfg, class(1000))
		for i := range 4 {
			for range 4 {
				publish(t, b, userTopic(i), "u", 50<<10)
			}
			time.Sleep(2 * time.Second)
		}
		publish(t, b, userTopic(0), "u", 1) // warms up the oldest
		time.Sleep(2 * time.Second)
		for range 4 { // 16 × 50 KiB are kept: the fifth KiB goes over
			publish(t, b, userTopic(4), "u", 60<<10)
		}
		for i, want := range []int{5, 0, 4, 4, 4} {
			got, _ := keptOf(t, b, userTopic(i))
			if i == 1 {
				require.Less(t, got, 4, "topic %d", i)
				continue
			}
			require.Equal(t, want, got, "topic %d", i)
		}
		require.LessOrEqual(t, b.Stats().BytesKept, int64(1<<20))
		checkBytes(t, b)
	})
}

func TestAnEvictedPublicationIsNotRecoveredAndTheRestIs(t *testing.T) {
	cfg := DefaultConfig()
	cfg.HistoryMiBTotal = 1
	b := newBroker(t, cfg, class(1000))
	epoch := publish(t, b, userTopic(0), "u", 100<<10).Epoch
	for range 20 {
		publish(t, b, userTopic(0), "u", 100<<10)
	}
	n, _ := keptOf(t, b, userTopic(0))
	require.Less(t, n, 11)
	for missing, want := range map[int]bool{n: true, n + 1: false} {
		h, err := b.History(t.Context(), userTopic(0), broker.Query{
			After: broker.Position{Epoch: epoch, Offset: uint64(21 - missing)}, Recover: true, Limit: -1,
		})
		require.NoError(t, err)
		require.Equal(t, want, h.Recovered)
	}
}

func TestTheBudgetEvictsSnapshotsOnlyWhenNoHistoryIsLeft(t *testing.T) {
	cfg := DefaultConfig()
	cfg.HistoryMiBTotal = 1
	keeps, retains := class(100), class(0)
	keeps.Pattern = "stream:*"
	b := newBroker(t, cfg, keeps, retains)
	for i := range 8 {
		publish(t, b, userTopic(i), "a_snapshot", 100<<10)
	}
	for range 10 {
		publish(t, b, "stream:market_data:AAPL", "u", 100<<10)
	}
	require.EqualValues(t, 8, countSnapshots(b), "history made room for itself")
	for i := 8; i < 30; i++ {
		publish(t, b, userTopic(i), "a_snapshot", 100<<10)
	}
	history, _ := keptOf(t, b, "stream:market_data:AAPL")
	require.Zero(t, history)
	_, newest := keptOf(t, b, userTopic(29))
	require.Equal(t, 1, newest)
	require.LessOrEqual(t, b.Stats().BytesKept, int64(1<<20))
	checkBytes(t, b)
}

func countSnapshots(b *Broker) (n int) {
	for _, info := range b.Topics("", 1<<20) {
		n += info.Snapshots
	}
	return n
}

func TestOnlySoManySnapshotTypesAreRetained(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SnapshotTypesMax = 3
	b := newBroker(t, cfg, class(0))
	for _, kind := range []string{"a", "b", "c", "a", "d"} { // the oldest of a, b and c is b
		publish(t, b, userTopic(1), kind+"_snapshot", 10)
	}
	h, err := b.History(t.Context(), userTopic(1), broker.Query{Snapshots: true})
	require.NoError(t, err)
	var kinds []string
	for _, env := range h.Snapshots {
		kinds = append(kinds, env.Type)
	}
	require.Equal(t, []string{"c_snapshot", "a_snapshot", "d_snapshot"}, kinds)
	checkBytes(t, b)
}

func TestAnIdleTopicIsForgottenAndBeginsANewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, DefaultConfig(), class(10))
		running(t, b)
		first := publish(t, b, userTopic(1), "u", 10)
		time.Sleep(2*time.Hour + time.Minute) // history_ttl and topic_idle_ttl are both an hour
		require.Zero(t, b.Stats().Topics)
		require.Zero(t, b.Stats().BytesKept)
		h, err := b.History(t.Context(), userTopic(1), broker.Query{After: first.Position, Recover: true, Limit: -1})
		require.NoError(t, err)
		require.False(t, h.Recovered)
		again := publish(t, b, userTopic(1), "u", 10)
		require.EqualValues(t, 1, again.Offset)
		require.NotEqual(t, first.Epoch, again.Epoch)
		require.Equal(t, again.Epoch, h.Position.Epoch)
	})
}

func TestATopicInUseIsNotForgotten(t *testing.T) {
	for _, c := range []struct {
		name string
		use  func(t *testing.T, b *Broker)
	}{
		{"it has a subscriber", func(t *testing.T, b *Broker) {
			require.NoError(t, b.SetInterest(t.Context(), userTopic(1), true))
		}},
		{"a pattern that covers it has a subscriber", func(t *testing.T, b *Broker) {
			require.NoError(t, b.SetInterest(t.Context(), "user:u1:*", true))
		}},
		{"it has a retained snapshot", func(t *testing.T, b *Broker) { publish(t, b, userTopic(1), "a_snapshot", 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, DefaultConfig(), class(10))
				running(t, b)
				c.use(t, b)
				last := publish(t, b, userTopic(1), "u", 10)
				time.Sleep(24 * time.Hour)
				again := publish(t, b, userTopic(1), "u", 10)
				require.Equal(t, broker.Position{Epoch: last.Epoch, Offset: last.Offset + 1}, again.Position)
			})
		})
	}
}

func TestATopicThatIsReadIsNotForgottenBeforeItsReaderCanJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, DefaultConfig(), class(0))
		running(t, b)
		publish(t, b, userTopic(1), "u", 10)
		time.Sleep(59 * time.Minute)
		_, err := b.History(t.Context(), userTopic(1), broker.Query{})
		require.NoError(t, err)
		time.Sleep(50 * time.Minute)
		require.EqualValues(t, 2, publish(t, b, userTopic(1), "u", 10).Offset)
	})
}

// A publisher may find a topic in its shard and get its lock only after the sweep has dropped it.
func TestAPublisherWhoFindsADroppedTopicLooksAgain(t *testing.T) {
	b := newBroker(t, DefaultConfig(), class(10))
	publish(t, b, userTopic(1), "u", 10)
	sh := b.shard(userTopic(1))
	sh.mu.RLock()
	dropped := sh.topics[userTopic(1)]
	sh.mu.RUnlock()
	dropped.mu.Lock()
	dropped.dead = true // as in drop, which takes it out of the shard next
	dropped.mu.Unlock()
	published := make(chan broker.Published, 1)
	go func() {
		p, _ := b.Publish(context.Background(), &message.Envelope{Topic: userTopic(1), Type: "u"})
		published <- p
	}()
	for range 1000 {
		runtime.Gosched()
	}
	sh.mu.Lock()
	delete(sh.topics, userTopic(1))
	sh.drops++
	sh.mu.Unlock()
	p := <-published
	require.EqualValues(t, 1, p.Offset)
	require.NotEqual(t, dropped.epoch, p.Epoch)
}

func TestATopicIsForgottenSomeTimeAfterItsLastSubscriberLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, DefaultConfig(), class(10))
		running(t, b)
		for _, topic := range []message.Topic{userTopic(1), "user:u1:*"} {
			require.NoError(t, b.SetInterest(t.Context(), topic, true))
		}
		publish(t, b, userTopic(1), "u", 10)
		time.Sleep(24 * time.Hour)
		for _, topic := range []message.Topic{userTopic(1), "user:u1:*"} {
			require.NoError(t, b.SetInterest(t.Context(), topic, false))
		}
		time.Sleep(50 * time.Minute)
		require.Equal(t, 1, b.Stats().Topics)
		time.Sleep(11 * time.Minute)
		require.Zero(t, b.Stats().Topics)
	})
}

func TestAtTopicsMaxAnIdleTopicMakesRoomAndABusyOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.TopicsMax = 2
		b := newBroker(t, cfg, class(10)) // nobody sweeps
		publish(t, b, userTopic(1), "u", 10)
		publish(t, b, userTopic(2), "u", 10)
		_, err := b.Publish(t.Context(), &message.Envelope{Topic: userTopic(3), Type: "u"})
		require.ErrorIs(t, err, broker.ErrFull)
		require.EqualValues(t, 1, b.Stats().Refused)

		time.Sleep(2 * time.Hour)
		b.sweep(b.shard(userTopic(1)), nil)
		publish(t, b, userTopic(3), "u", 10)
		publish(t, b, userTopic(3), "a_snapshot", 10)
		require.LessOrEqual(t, b.Stats().Topics, 2)
		checkBytes(t, b)
	})
}

func TestTheLastRoomForATopicIsForAllWhoPublishToIt(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsMax = 1
	for range 2000 {
		b := newBroker(t, cfg, class(10))
		var wg sync.WaitGroup
		errs := make([]error, 4)
		begin := make(chan struct{})
		for i := range errs {
			wg.Go(func() {
				<-begin
				_, errs[i] = b.Publish(context.Background(), &message.Envelope{Topic: userTopicOne, Type: "u"})
			})
		}
		close(begin)
		wg.Wait()
		require.NoError(t, errors.Join(errs...), "the topic is there, or is made")
	}
}

func TestATopicThatThereIsNoRoomForNeverCounts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsMax = 1
	b := newBroker(t, cfg, class(10))
	publish(t, b, userTopic(0), "u", 1)
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
					_, _ = b.Publish(context.Background(), &message.Envelope{Topic: userTopic(1), Type: "u"})
				}
			}
		})
	}
	require.Eventually(t, func() bool { return b.Stats().Refused > 0 }, time.Minute, time.Millisecond)
	most := 0
	for range 200_000 {
		most = max(most, b.Stats().Topics)
	}
	close(enough)
	wg.Wait()
	require.Equal(t, 1, most)
}

func TestExpiryGivesTheMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, DefaultConfig(), class(1000))
		running(t, b)
		for i := range 500 {
			env := &message.Envelope{Topic: userTopic(i % 7), Type: "u", Payload: []byte(`{}`), ID: fmt.Sprint(i)}
			_, err := b.Publish(t.Context(), env)
			require.NoError(t, err)
		}
		require.NotZero(t, b.Stats().BytesKept)
		checkBytes(t, b)
		time.Sleep(time.Hour + 20*time.Second)
		require.Zero(t, b.Stats().BytesKept)
		require.EqualValues(t, 500, b.Stats().Expired)
	})
}

func TestTopicsAreListedByPrefixInOrder(t *testing.T) {
	b := newBroker(t, DefaultConfig(), class(10))
	for _, i := range rand.Perm(50) {
		publish(t, b, message.Topic(fmt.Sprintf("user:u%02d:events", i)), "u", 1)
	}
	publish(t, b, "system:announcements", "u", 1)
	got := b.Topics("user:u1", 3)
	require.Len(t, got, 3)
	for i, want := range []message.Topic{"user:u10:events", "user:u11:events", "user:u12:events"} {
		require.Equal(t, want, got[i].Topic)
		require.Equal(t, "user:*", got[i].Class)
		require.Equal(t, 1, got[i].Publications)
		require.EqualValues(t, 1, got[i].Seq)
		require.NotZero(t, got[i].Epoch)
	}
	require.Len(t, b.Topics("", 100), 51)
	require.Empty(t, b.Topics("", 0))
	require.Zero(t, b.Topics("system:", 1)[0].Epoch)
}

// TestHammer lets everything happen at once on few topics with a tiny budget, short lives and a low topics_max, and
// then checks that what was counted is what there is. Order and gaplessness are checked by a sink of its own.
func TestHammer(t *testing.T) {
	cfg := DefaultConfig()
	cfg.HistoryMiBTotal, cfg.TopicsMax, cfg.SweepInterval = 1, 40, 10*time.Millisecond
	c := class(50)
	c.HistoryTTL, c.IdempotencyTTL = 5*time.Millisecond, 3*time.Millisecond
	classes, err := broker.CompileClasses([]broker.Class{c})
	require.NoError(t, err)
	sink := &orderSink{last: make(map[message.Topic]broker.Position)}
	b, err := New(cfg, classes, sink)
	require.NoError(t, err)
	b.cfg.TopicIdleTTL = 200 * time.Microsecond // shorter than a configuration may ask for
	running(t, b)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() { hammer(t, b, rand.New(rand.NewPCG(1, uint64(w)))) })
	}
	wg.Wait()
	require.Empty(t, sink.broken)
	checkBytes(t, b)
	require.LessOrEqual(t, b.Stats().BytesKept, b.bytesMax)
	// Which of the two gets to a publication first depends on how busy the machine is.
	require.NotZero(t, b.Stats().Evicted+b.Stats().Expired)
	require.NotZero(t, b.Stats().TopicsDropped)
}

func hammer(t *testing.T, b *Broker, rng *rand.Rand) {
	ctx := context.Background()
	// A topic that everybody is busy with is dropped no sooner than it is left alone, which is a matter of luck where all of it is quick.
	for n, end := 0, time.Now().Add(time.Minute); n < 3000 || b.Stats().TopicsDropped == 0 && time.Now().Before(end); n++ {
		topic := userTopic(rng.IntN(60))
		switch n := rng.IntN(20); {
		case n < 14:
			env := &message.Envelope{Topic: topic, Type: "u", Payload: make([]byte, rng.IntN(20<<10))}
			if n < 3 {
				env.Type = "a_snapshot"
			}
			if n < 8 {
				env.ID = fmt.Sprint(rng.IntN(500))
			}
			b.Publish(ctx, env)
		case n < 18:
			h, err := b.History(ctx, topic, broker.Query{Limit: -1, Snapshots: n == 17})
			if err != nil {
				t.Error(err)
			}
			for i := 1; i < len(h.Publications); i++ {
				if h.Snapshots == nil && h.Publications[i].Seq != h.Publications[i-1].Seq+1 {
					t.Errorf("%s: %d follows %d in the history", topic, h.Publications[i].Seq, h.Publications[i-1].Seq)
				}
			}
		case n == 18:
			b.SetInterest(ctx, topic, rng.IntN(2) == 0)
		default:
			b.Topics("user:", 5)
		}
	}
}

// orderSink checks that the numbers of each topic's life have no hole.
type orderSink struct {
	mu     sync.Mutex
	last   map[message.Topic]broker.Position
	broken []string
}

func (s *orderSink) Deliver(env *message.Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, last := broker.Position{Epoch: env.Epoch, Offset: env.Seq}, s.last[env.Topic]
	if want := last.Offset + 1; at.Epoch == last.Epoch && at.Offset != want || at.Epoch != last.Epoch && at.Offset != 1 {
		s.broken = append(s.broken, fmt.Sprintf("%s: %v after %v", env.Topic, at, last))
	}
	s.last[env.Topic] = at
}

func TestConfigFaultsNameTheirFields(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{}.Validate()
	for _, field := range []string{"history_mib_total", "topics_max", "topic_idle_ttl", "snapshot_types_max", "sweep_interval"} {
		require.ErrorContains(t, err, field+": ")
	}
	_, err = New(DefaultConfig(), nil, discard{})
	require.Error(t, err)
}

func TestPublishAllocatesOnlyWhatIsKept(t *testing.T) {
	none := broker.DefaultClass("user:*")
	for _, c := range []struct {
		name  string
		class broker.Class
	}{{"nothing is kept", none}, {"a full history", class(100)}} {
		t.Run(c.name, func(t *testing.T) {
			b := newBroker(t, DefaultConfig(), c.class)
			envs := make([]message.Envelope, 2000)
			for i := range envs {
				envs[i] = message.Envelope{Topic: userTopic(1), Type: "order_update", Payload: []byte(`{}`), ID: fmt.Sprint(i)}
			}
			next := 0
			one := func() {
				if _, err := b.Publish(context.Background(), &envs[next]); err != nil {
					t.Fatal(err)
				}
				next++
			}
			for range 1500 { // fills the history and the window of ids
				one()
			}
			require.Zero(t, testing.AllocsPerRun(400, one))
		})
	}
}

func BenchmarkPublish(bench *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"nothing kept", 0}, {"history 1000", 1000}} {
		bench.Run(c.name, func(bench *testing.B) {
			b := newBroker(bench, DefaultConfig(), class(c.size))
			ids := make([]string, 1024) // more than the window remembers
			for i := range ids {
				ids[i] = fmt.Sprint("evt_", i)
			}
			payload := []byte(`{"order_id":"ord_1","status":"filled","symbol":"AAPL"}`)
			envs := make([]message.Envelope, 1<<14)
			bench.ReportAllocs()
			i := 0
			for bench.Loop() {
				env := &envs[i&(len(envs)-1)]
				*env = message.Envelope{Topic: userTopicOne, Type: "order_update", Payload: payload, ID: ids[i&1023]}
				b.Publish(context.Background(), env)
				i++
			}
		})
	}
}

// BenchmarkPublishParallel publishes to a thousand topics from all cores.
func BenchmarkPublishParallel(bench *testing.B) {
	b := newBroker(bench, DefaultConfig(), class(100))
	topics := make([]message.Topic, 1000)
	for i := range topics {
		topics[i] = userTopic(i)
	}
	payload := []byte(`{"order_id":"ord_1","status":"filled","symbol":"AAPL"}`)
	bench.ReportAllocs()
	bench.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(1000); pb.Next(); i++ {
			b.Publish(context.Background(), &message.Envelope{Topic: topics[i%1000], Type: "order_update", Payload: payload})
		}
	})
}

// BenchmarkTopicMemory reports what a topic costs with one publication kept, and what interest in one costs.
func BenchmarkTopicMemory(bench *testing.B) {
	const n = 20_000
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	names := make([]message.Topic, n)
	for i := range names {
		names[i] = userTopic(i)
	}
	payload := []byte(`{}`)
	for bench.Loop() {
		b := newBroker(bench, DefaultConfig(), class(1000))
		empty := heap()
		for _, name := range names {
			b.SetInterest(context.Background(), name, true)
		}
		wanted := heap()
		for _, name := range names {
			b.Publish(context.Background(), &message.Envelope{Topic: name, Type: "u", Payload: payload})
		}
		bench.ReportMetric((wanted-empty)/n, "B/interest")
		bench.ReportMetric((heap()-wanted)/n, "B/topic")
		runtime.KeepAlive(b)
	}
}

const userTopicOne message.Topic = "user:u1:order_events"

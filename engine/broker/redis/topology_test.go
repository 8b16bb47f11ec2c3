package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// patient makes a broker that outlasts a failover.
func patient(c *Config) {
	c.PublishWait = 2 * patience
	c.DialTimeout, c.CommandTimeout, c.ReplicaWait = time.Second, time.Second, 500*time.Millisecond
}

// traffic publishes to n topics until it is stopped and checks that each publisher's publications are numbered upwards, but where a
// topic began a new epoch.
type traffic struct {
	t    *testing.T
	b    *Broker
	done atomic.Int64
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]broker.Position // guarded by mu; by topic and payload
}

func startTraffic(t *testing.T, b *Broker, topics []message.Topic) *traffic {
	ctx, stop := context.WithCancel(context.Background())
	tr := &traffic{t: t, b: b, stop: stop, accepted: make(map[string]broker.Position)}
	for i, topic := range topics {
		tr.wg.Go(func() {
			var last broker.Position
			for n := 0; ctx.Err() == nil; n++ {
				env := update(topic)
				env.Payload = []byte(`{"n":"` + strconv.Itoa(i) + "-" + strconv.Itoa(n) + `"}`)
				payload := string(env.Payload)
				p, err := b.Publish(context.Background(), env)
				if !assert.NoError(t, err) {
					return
				}
				assert.True(t, p.Epoch != last.Epoch || p.Offset == last.Offset+1, "%v after %v", p.Position, last)
				last = p.Position
				tr.mu.Lock()
				tr.accepted[string(topic)+payload] = p.Position
				tr.mu.Unlock()
				tr.done.Add(1)
			}
		})
	}
	return tr
}

// goesOn waits until n more publications were accepted.
func (tr *traffic) goesOn(n int64) {
	tr.t.Helper()
	at := tr.done.Load()
	require.Eventually(tr.t, func() bool { return tr.done.Load() >= at+n }, 2*patience, time.Millisecond, "publishing came to an end")
}

// end stops the traffic and checks that what was accepted is there, once.
func (tr *traffic) end(topics []message.Topic) {
	tr.t.Helper()
	tr.stop()
	tr.wg.Wait()
	found := placed(tr.t, tr.b, topics)
	for key, at := range tr.accepted {
		require.Equal(tr.t, at.Offset, found[key], "%s was accepted and is not where it was", key)
	}
}

// placed returns the number of each publication in the histories of topics, by topic and payload, and requires that each is there
// once.
func placed(t testing.TB, b *Broker, topics []message.Topic) map[string]uint64 {
	t.Helper()
	found := make(map[string]uint64)
	for _, topic := range topics {
		for _, env := range history(t, b, topic, all()).Publications {
			key := string(topic) + string(env.Payload)
			require.Zero(t, found[key], "%s was published twice", key)
			found[key] = env.Seq
		}
	}
	return found
}

func someTopics(n int) (out []message.Topic) {
	for i := range n {
		out = append(out, message.Topic(fmt.Sprintf("user:t%d:events", i)))
	}
	return out
}

func TestPublishingSurvivesAFailoverOfSentinel(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := redistest.Sentinel(t, redistest.Options{})
	b := running(t, w.Config(), patient, class(1_000_000))
	topics := someTopics(6)
	tr := startTraffic(t, b, topics)
	tr.goesOn(200)
	before := history(t, b, topics[0], broker.Query{}).Position
	old := w.AwaitPrimary(nil)
	old.Kill()
	w.AwaitPrimary(old)
	tr.goesOn(200)
	require.NotEqual(t, before.Epoch, history(t, b, topics[0], broker.Query{}).Position.Epoch)
	tr.end(topics)
}

func TestAPrimaryThatWasStoppedAndComesBackAcceptsNothingOnItsOwn(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := redistest.Sentinel(t, redistest.Options{})
	b := running(t, w.Config(), patient, class(1_000_000))
	topics := someTopics(6)
	tr := startTraffic(t, b, topics)
	tr.goesOn(200)
	old := w.AwaitPrimary(nil)
	old.Pause()
	w.AwaitPrimary(old)
	old.Resume() // it takes itself for the primary until a Sentinel tells it otherwise
	tr.goesOn(200)
	w.AwaitReady()
	tr.goesOn(200)
	tr.end(topics)
}

func TestPublishingSurvivesWhatHappensToACluster(t *testing.T) {
	t.Parallel() // most of it is waiting
	c := redistest.Cluster(t, redistest.Options{Replicas: true})
	b := running(t, c.Config(), patient, class(1_000_000))
	topics := someTopics(12)
	tr := startTraffic(t, b, topics)
	tr.goesOn(500)
	c.SetPatience(calm) // a slot is given by a primary that stays one
	slot := int(slotOf(topics[0]))
	require.Equal(t, c.Slot("wse:"+string(topics[0])), slot)
	require.Equal(t, c.Slot("{wse:"+string(topics[0])+"}:m"), slot)
	to := c.Nodes[0]
	if c.AwaitOwner(slot, nil) == to {
		to = c.Nodes[1]
	}
	c.Move(slot, to)
	c.SetPatience(0)
	tr.goesOn(500)
	c.Failover(slot)
	tr.goesOn(500)
	owner := c.AwaitOwner(int(slotOf(topics[1])), nil)
	owner.Kill()
	c.AwaitOwner(int(slotOf(topics[1])), owner)
	tr.goesOn(500)
	tr.end(topics)
	p, err := b.positions(t.Context(), topics)
	require.NoError(t, err)
	for i := range p {
		require.NoError(t, p[i].err)
	}
}

func TestShardedAndSecuredServersTakePublications(t *testing.T) {
	t.Parallel() // most of it is waiting
	c := redistest.Cluster(t, redistest.Options{TLS: true, Username: "engine"})
	c.SetPatience(calm)
	for name, change := range map[string]func(*Config){
		"sharded": func(c *Config) { c.Sharded = true },
		"both":    func(c *Config) { c.Sharded, c.PlainCopy = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			b := running(t, c.Config(), change, class(10))
			for _, topic := range someTopics(6) {
				env := update(topic)
				env.Type, env.ID = "order_snapshot", name
				publish(t, b, env)
				require.Len(t, history(t, b, topic, broker.Query{Snapshots: true}).Snapshots, 1)
			}
		})
	}
}

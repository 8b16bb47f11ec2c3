package redis

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// complete waits until the sink is where the topic is, and requires that of what was accepted nothing came twice, and nothing is
// missing where there was no restart, and that no two restarts are of one epoch. It returns how many there were: one for each primary
// that took over, which servers that find others down may do more often than a test has one killed.
func (n *node) complete(topic message.Topic, accepted []string) (restarts int) {
	n.t.Helper()
	var h broker.History
	var err error
	require.Eventually(n.t, func() bool { // asked again each time: another primary may take over meanwhile
		h, err = n.History(context.Background(), topic, broker.Query{})
		n.mu.Lock()
		defer n.mu.Unlock()
		a := n.topics[topic]
		return err == nil && a != nil && a.epoch == h.Position.Epoch && a.last == h.Position.Offset
	}, 2*patience, 10*time.Millisecond, "the last publication of %s", topic)
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.topics[topic]
	for _, id := range accepted {
		require.True(n.t, a.has[id] == 1 || a.has[id] == 0 && len(a.restarts) > 0, "%s of %s came %d times", id, topic, a.has[id])
	}
	epochs := map[message.Epoch]bool{}
	for _, h := range a.restarts {
		require.False(n.t, epochs[h.Position.Epoch], "%s began anew twice in one epoch", topic)
		epochs[h.Position.Epoch] = true
	}
	return len(a.restarts)
}

func TestFollowingSurvivesAFailoverOfSentinel(t *testing.T) {
	t.Parallel() // most of it is waiting
	servers := redistest.Sentinel(t, redistest.Options{})
	change := func(c *Config) { c.PublishWait = patience }
	a, b := startNode(t, servers.Config(), change), startNode(t, servers.Config(), change)
	topics := namedTopics("u", 3)
	b.follow(topics...)
	b.follow("stream:market_data:*")
	a.tell("stream:market_data:AAPL", "1")
	b.received(t, "stream:market_data:AAPL", []string{"1"})
	b.awaitReady(true, patience)
	flow := steady(a, topics)
	flow.more(t, 50)
	servers.AwaitPrimary(nil).Kill()
	flow.more(t, 50)
	b.awaitReady(true, patience)
	a.tell("stream:market_data:AAPL", "2")
	for topic, ids := range flow.finish() {
		require.NotZero(t, b.complete(topic, ids), "another primary is another epoch")
	}
	require.NotZero(t, b.complete("stream:market_data:AAPL", []string{"2"}))
}

func TestANodeIsNotReadyWhileNoReplicaTakesPublications(t *testing.T) {
	t.Parallel() // most of it is waiting
	servers := redistest.Sentinel(t, redistest.Options{})
	servers.SetPatience(calm)
	n := startNode(t, servers.Config(), nil)
	n.awaitReady(true, patience)
	primary := servers.AwaitPrimary(nil)
	for _, s := range servers.Servers {
		if s != primary {
			s.Pause()
		}
	}
	n.awaitFault("too few replicas have it") // nothing would be published, though it comes back
	for _, s := range servers.Servers {
		if s != primary {
			s.Resume()
		}
	}
	n.awaitReady(true, patience)
}

func TestFollowingSurvivesWhatHappensToACluster(t *testing.T) {
	t.Parallel() // most of it is waiting
	for name, change := range map[string]func(*Config){
		"plain":                     func(*Config) {},
		"sharded":                   func(c *Config) { c.Sharded = true },
		"sharded with plain copies": func(c *Config) { c.Sharded, c.PlainCopy = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			cluster := redistest.Cluster(t, redistest.Options{Replicas: true})
			with := func(c *Config) {
				c.PublishWait = patience
				change(c)
			}
			a, b := startNode(t, cluster.Config(), with), startNode(t, cluster.Config(), with)
			topics := namedTopics("u", 6)
			b.follow(topics...)
			b.awaitReady(true, patience)
			flow := steady(a, topics)
			flow.more(t, 50)

			cluster.SetPatience(calm) // a slot is given by a primary that stays one
			slot := int(slotOf(topics[0]))
			from := cluster.AwaitOwner(slot, nil)
			for _, other := range topics[1:] {
				if to := cluster.AwaitOwner(int(slotOf(other)), nil); to != from {
					cluster.Move(slot, to)
					break
				}
			}
			flow.more(t, 50)

			cluster.SetPatience(0)
			slot = int(slotOf(topics[1]))
			lost := cluster.AwaitOwner(slot, nil)
			lost.Kill()
			cluster.AwaitOwner(slot, lost)
			flow.more(t, 50)
			b.awaitReady(true, patience)
			for topic, ids := range flow.finish() {
				b.complete(topic, ids)
			}
		})
	}
}

func TestShardedTopicsAreFollowedAtTheOwnersOfTheirSlots(t *testing.T) {
	t.Parallel() // most of it is waiting
	cluster := redistest.Cluster(t, redistest.Options{})
	cluster.SetPatience(calm)
	a := startNode(t, cluster.Config(), func(c *Config) { c.Sharded = true })
	b := startNode(t, cluster.Config(), func(c *Config) { c.Sharded = true })
	topics := append(namedTopics("u", 30), "public:news")
	b.follow(topics...)
	for _, topic := range topics {
		a.tell(topic, "1", "2")
	}
	for _, topic := range topics {
		b.received(t, topic, []string{"1", "2"})
		require.NoError(t, b.SetInterest(t.Context(), topic, false))
	}
	b.awaitReady(true, patience)
	require.Len(t, b.follower.subscribers(), 3)
	require.Zero(t, b.FollowStats().Reconnects, "each connected to the right server at once")
	require.Zero(t, b.FollowStats().Fills)
	require.Eventually(t, func() bool { return b.FollowStats().Topics == 0 }, patience, time.Millisecond)
}

func TestAConnectionIsNotLeftForAnotherServersAbsence(t *testing.T) {
	t.Parallel() // most of it is waiting
	cluster := redistest.Cluster(t, redistest.Options{})
	n := startNode(t, cluster.Config(), func(c *Config) { c.SubscriberConnections = 1 })
	n.awaitReady(true, patience)
	for _, s := range cluster.Nodes {
		subscribed, err := s.Client().PubSubNumSub(t.Context(), n.follower.probe.channel).Result()
		require.NoError(t, err)
		if subscribed[n.follower.probe.channel] > 0 {
			continue
		}
		s.Kill()
		n.awaitReady(false, patience)
		s.Start()
		n.awaitReady(true, patience)
	}
	require.Zero(t, n.FollowStats().Reconnects, "it brings what the other servers publish")
}

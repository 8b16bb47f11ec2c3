package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// discard is a sink for tests of the publishing side.
type discard struct{}

func (discard) Deliver(*message.Envelope) {}

// unhurried makes a broker that gives nothing up for as long as a test waits.
func unhurried(c *Config) {
	c.PublishWait, c.DialTimeout, c.CommandTimeout = patience, 10*time.Second, 10*time.Second
}

// opened returns a broker on the servers of at, as change, which may be nil, makes its configuration. It runs from when run is
// called until the test ends.
func opened(t testing.TB, at redis.Config, change func(c *Config), classes *broker.Classes, sink broker.Sink) (b *Broker, run func()) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Config = at
	unhurried(&cfg)
	if change != nil {
		change(&cfg)
	}
	client, err := redis.Open(cfg.Config, "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	b, err = New(cfg, client, classes, sink)
	require.NoError(t, err)
	return b, func() {
		ended := make(chan error, 1)
		go func() { ended <- b.Run(context.Background()) }()
		t.Cleanup(func() {
			require.NoError(t, b.Close())
			require.NoError(t, <-ended)
		})
	}
}

// running returns a broker that runs already, for tests of the publishing side.
func running(t testing.TB, at redis.Config, change func(c *Config), classes ...broker.Class) *Broker {
	t.Helper()
	compiled, err := broker.CompileClasses(classes)
	require.NoError(t, err)
	b, run := opened(t, at, change, compiled, discard{})
	run()
	return b
}

func class(history int) broker.Class {
	c := broker.DefaultClass("user:*")
	c.HistorySize, c.Snapshots = history, true
	return c
}

const topicOne message.Topic = "user:u1:order_events"

func update(topic message.Topic) *message.Envelope {
	return &message.Envelope{Topic: topic, Type: "order_update", Payload: []byte(`{"a":1}`), TimeMS: 1_763_800_000_000, LatencyMS: -1}
}

func publish(t testing.TB, b *Broker, env *message.Envelope) broker.Published {
	t.Helper()
	p, err := b.Publish(context.Background(), env)
	require.NoError(t, err)
	return p
}

func TestAPublicationIsNumberedAndKept(t *testing.T) {
	b := running(t, redistest.Single(t).Config(), nil, class(100))
	for n := uint64(1); n <= 3; n++ {
		require.Equal(t, n, publish(t, b, update(topicOne)).Offset)
	}
	h, err := b.History(t.Context(), topicOne, broker.Query{Limit: -1})
	require.NoError(t, err)
	require.Len(t, h.Publications, 3)
	require.NotZero(t, h.Position.Epoch)
	p, err := b.positions(t.Context(), []message.Topic{topicOne, "user:u2:events"})
	require.NoError(t, err)
	require.Equal(t, h.Position.Epoch, p[0].epoch)
	require.EqualValues(t, 3, p[0].offset)
	require.False(t, p[0].at.IsZero())
	require.NoError(t, errors.Join(p[0].err, p[1].err))
	require.Zero(t, p[1].offset)
}

func TestTopicsAreListedByPrefixInOrder(t *testing.T) {
	s := redistest.Single(t)
	none := broker.DefaultClass("system:*")
	b := running(t, s.Config(), nil, class(10), none)
	for i := 49; i >= 0; i-- {
		publish(t, b, update(message.Topic(fmt.Sprintf("user:u%02d:events", i))))
	}
	env := update("user:u11:events")
	env.Type = "order_snapshot"
	last := publish(t, b, env)
	publish(t, b, update("system:announcements"))
	require.NoError(t, s.Client().Set(t.Context(), "{wse:user:u1x:events}:m", "somebody else's", 0).Err())
	got, err := b.Topics(t.Context(), "user:u1", 3)
	require.NoError(t, err)
	require.Len(t, got, 3)
	for i, want := range []message.Topic{"user:u10:events", "user:u11:events", "user:u12:events"} {
		require.Equal(t, want, got[i].Topic)
		require.Equal(t, "user:*", got[i].Class)
	}
	require.Equal(t, last.Position, broker.Position{Epoch: got[1].Epoch, Offset: got[1].Seq})
	require.Equal(t, 2, got[1].Publications)
	require.Equal(t, 1, got[1].Snapshots)
	require.NotZero(t, got[1].Bytes)
	require.Less(t, got[1].Idle, time.Minute)
	for prefix, want := range map[string]int{"": 51, "user:u1": 10, "user:[u]": 0, "*": 0} {
		got, err = b.Topics(t.Context(), prefix, 1000)
		require.NoError(t, err)
		require.Len(t, got, want, prefix)
	}
	got, err = b.Topics(t.Context(), "system:", 1)
	require.NoError(t, err)
	require.Zero(t, got[0].Epoch)
}

func TestKeysExpireAndLiveOnWithTheirTopic(t *testing.T) {
	s := redistest.Single(t)
	c := class(10)
	b := running(t, s.Config(), nil, c)
	raw := s.Client()
	env := update(topicOne)
	env.Type, env.ID = "order_snapshot", "evt_1"
	publish(t, b, env)
	for key, least := range map[string]time.Duration{
		"m": b.cfg.SnapshotTTL, "s": b.cfg.SnapshotTTL, "h": c.HistoryTTL, "i": c.IdempotencyTTL,
	} {
		left, err := raw.PTTL(t.Context(), "{wse:user:u1:order_events}:"+key).Result()
		require.NoError(t, err)
		require.Greater(t, left, least-time.Minute, key)
		require.Less(t, left, 2*least, key)
	}
	keys, err := raw.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		left, err := raw.PTTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.Positive(t, left, "%s is there for ever", key)
	}
}

func TestATopicThatIsPublishedToNowAndThenKeepsItsNumbering(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	c := class(10)
	// What is looked at or published next must come before any of it has passed, and all of it has to pass.
	c.HistoryTTL, c.IdempotencyTTL, c.Snapshots = 3*time.Second, 3*time.Second, false
	b := running(t, s.Config(), func(c *Config) { c.TopicIdleTTL = 4 * time.Second }, c)
	first := publish(t, b, update(topicOne)).Position
	for began, n := time.Now(), uint64(2); time.Since(began) < 9*time.Second; n++ {
		<-time.After(20 * time.Millisecond)
		env := update(topicOne)
		env.ID = fmt.Sprint(n)
		p := publish(t, b, env)
		require.Equal(t, broker.Position{Epoch: first.Epoch, Offset: n}, p.Position)
		again := publish(t, b, &message.Envelope{Topic: topicOne, Type: "order_update", ID: fmt.Sprint(n)})
		require.True(t, again.Duplicate)
		require.Equal(t, p.Position, again.Position)
		kept := history(t, b, topicOne, all()).Publications
		require.NotEmpty(t, kept)
		require.Equal(t, n, kept[len(kept)-1].Seq)
	}
}

func TestConfigFaultsNameTheirFields(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for want, change := range map[string]func(*Config){
		"publish_connections: ":    func(c *Config) { c.PublishConnections = 0 },
		"read_connections: ":       func(c *Config) { c.ReadConnections = 65 },
		"pipeline_max: ":           func(c *Config) { c.PipelineMax = 0 },
		"pending_max: ":            func(c *Config) { c.PendingMax = 0 },
		"publish_wait: ":           func(c *Config) { c.PublishWait = 0 },
		"publication_kib_max: ":    func(c *Config) { c.PublicationKiBMax = 0 },
		"replicas_min: ":           func(c *Config) { c.ReplicasMin = -2 },
		"replica_wait: ":           func(c *Config) { c.ReplicaWait = 0 },
		"topic_idle_ttl: ":         func(c *Config) { c.TopicIdleTTL = 0 },
		"snapshot_ttl: ":           func(c *Config) { c.SnapshotTTL = 0 },
		"snapshot_types_max: ":     func(c *Config) { c.SnapshotTypesMax = 0 },
		"sharded: ":                func(c *Config) { c.Sharded = true },
		"plain_copy: ":             func(c *Config) { c.PlainCopy = true },
		"subscriber_connections: ": func(c *Config) { c.SubscriberConnections = 0 },
		"linger: ":                 func(c *Config) { c.Linger = -1 },
		"check_interval: ":         func(c *Config) { c.CheckInterval = 0 },
		"pattern_topics_max: ":     func(c *Config) { c.PatternTopicsMax = 0 },
		"dial_timeout: ":           func(c *Config) { c.DialTimeout = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestPublishingAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector a sync.Pool forgets at random")
	}
	b := running(t, redistest.Single(t).Config(), nil, class(10))
	for name, id := range map[string]string{"without an id": "", "with an id": "evt_1"} {
		t.Run(name, func(t *testing.T) {
			envs := make([]message.Envelope, 600)
			next := 0
			one := func() {
				env := &envs[next%len(envs)]
				*env = message.Envelope{Topic: topicOne, Type: "order_update", ID: id}
				publish(t, b, env)
				next++
			}
			one()
			// The id and the answer; the rest is what the lanes' looking at the server each second comes to.
			require.LessOrEqual(t, testing.AllocsPerRun(400, one), 4.0)
		})
	}
}

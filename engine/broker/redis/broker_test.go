package redis

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// discard is a sink for tests of the publishing side.
type discard struct{}

func (discard) Deliver(*message.Envelope) {}

// running returns a broker on the servers of at, as change makes its configuration, that runs until the test ends.
func running(t testing.TB, at redis.Config, change func(c *Config), classes ...broker.Class) *Broker {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Config = at
	if change != nil {
		change(&cfg)
	}
	compiled, err := broker.CompileClasses(classes)
	require.NoError(t, err)
	client, err := redis.Open(cfg.Config, "")
	require.NoError(t, err)
	b, err := New(cfg, client, compiled, discard{})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(context.Background()) }()
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		require.NoError(t, <-ended)
		require.NoError(t, client.Close())
	})
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

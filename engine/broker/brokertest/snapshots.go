package brokertest

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// snapshots: one retained per topic and type, and what follows it.
func snapshots() []promise {
	retains := func(c *broker.Class) { c.Snapshots = true }
	sync := broker.Query{Snapshots: true, Limit: -1}
	return []promise{
		{"the last snapshot of each type is retained, with the publications after the oldest", func(t *testing.T, open Open) {
			f := start(t, open, retains)
			topic := f.topic()
			for _, kind := range []string{"order_snapshot", "u", "position_snapshot", "u", "order_snapshot", "u"} {
				f.publish(snapshot(topic, kind))
			}
			h := f.history(topic, sync)
			require.Equal(t, []uint64{3, 5}, numbers(h.Snapshots))
			require.Equal(t, []uint64{4, 6}, numbers(h.Publications), "none of the snapshots is there twice")
			require.Equal(t, uint64(6), h.Position.Offset)
		}},
		{"Limit with snapshots returns the newest", func(t *testing.T, open Open) {
			f := start(t, open, retains)
			topic := f.topic()
			for _, kind := range []string{"a_snapshot", "u", "u", "b_snapshot", "u"} {
				f.publish(snapshot(topic, kind))
			}
			h := f.history(topic, broker.Query{Snapshots: true, Limit: 2})
			require.Equal(t, []uint64{1, 4}, numbers(h.Snapshots))
			require.Equal(t, []uint64{3, 5}, numbers(h.Publications))
			require.Empty(t, f.history(topic, broker.Query{Snapshots: true}).Publications)
		}},
		{"where nothing is retained there are no publications either", func(t *testing.T, open Open) {
			f := start(t, open, retains)
			topic := f.topic()
			at := f.fill(topic, 3)
			h := f.history(topic, sync)
			require.Empty(t, h.Snapshots)
			require.Empty(t, h.Publications)
			require.Equal(t, at, h.Position)
		}},
		{"a class that does not retain keeps a snapshot as any publication", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			f.publish(snapshot(topic, "order_snapshot"))
			require.Empty(t, f.history(topic, sync).Snapshots)
			require.Len(t, f.history(topic, broker.Query{Limit: -1}).Publications, 1)
		}},
		{"a snapshot outlives the history it stood in", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.Snapshots, c.HistorySize = true, 2 })
			topic := f.topic()
			f.publish(snapshot(topic, "order_snapshot"))
			f.fill(topic, 5)
			h := f.history(topic, sync)
			require.Equal(t, []uint64{1}, numbers(h.Snapshots))
			require.Equal(t, upTo(5, 6), numbers(h.Publications))
		}},
		{"a class may retain snapshots without keeping history", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.Snapshots, c.HistorySize = true, 0 })
			topic := f.topic()
			f.publish(snapshot(topic, "order_snapshot"))
			f.fill(topic, 2)
			h := f.history(topic, sync)
			require.Equal(t, []uint64{1}, numbers(h.Snapshots))
			require.Empty(t, h.Publications)
			require.Equal(t, broker.Position{Offset: 3}, h.Position)
		}},
	}
}

func with(topic message.Topic, id string) *message.Envelope {
	env := update(topic)
	env.ID = id
	return env
}

// idempotency: an id counts once per topic.
func idempotency() []promise {
	return []promise{
		{"publishing an id again answers the first position and changes nothing", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			first := f.publish(with(topic, "evt_1"))
			require.False(t, first.Duplicate)
			f.fill(topic, 2)
			first.Duplicate = true
			require.Equal(t, first, f.publish(with(topic, "evt_1")))
			require.Equal(t, uint64(4), f.publish(with(topic, "evt_2")).Offset)
			require.Equal(t, upTo(1, 4), numbers(f.deliveries(topic, 4)))
			require.Len(t, f.history(topic, broker.Query{Limit: -1}).Publications, 4)
		}},
		{"an id counts once per topic", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			f.publish(with(f.topic(), "evt_1"))
			require.False(t, f.publish(with(f.topic(), "evt_1")).Duplicate)
		}},
		{"a class without history remembers ids too", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 0 })
			topic := f.topic()
			f.publish(with(topic, "evt_1"))
			again := f.publish(with(topic, "evt_1"))
			require.True(t, again.Duplicate)
			require.Equal(t, broker.Position{Offset: 1}, again.Position)
		}},
		{"of concurrent publishes of one id one is published", concurrentDuplicates},
	}
}

// idempotencyWindow: for how long and how many.
func idempotencyWindow() []promise {
	return []promise{
		{"an id is new again when its time is over", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.IdempotencyTTL = lifetime })
			topic := f.topic()
			f.publish(with(topic, "evt_1"))
			time.Sleep(lifetime + lifetime/4)
			again := f.publish(with(topic, "evt_1"))
			require.False(t, again.Duplicate)
			require.Equal(t, uint64(2), again.Offset)
		}},
		{"only the newest ids are remembered, as many as the class says", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.IdempotencyMax = 3 })
			topic := f.topic()
			for i := range 20 {
				require.False(t, f.publish(with(topic, fmt.Sprint(i))).Duplicate)
			}
			for i := 17; i < 20; i++ {
				require.True(t, f.publish(with(topic, fmt.Sprint(i))).Duplicate, "id %d", i)
			}
			require.False(t, f.publish(with(topic, "16")).Duplicate)
		}},
		{"a window of no time remembers nothing", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.IdempotencyTTL = 0 })
			topic := f.topic()
			f.publish(with(topic, "evt_1"))
			require.False(t, f.publish(with(topic, "evt_1")).Duplicate)
		}},
	}
}

func concurrentDuplicates(t *testing.T, open Open) {
	const publishers, ids = 8, 50
	f := start(t, open, nil)
	topic := f.topic()
	var fresh atomic.Int64
	together(t, publishers, func(int) error {
		for i := range ids {
			p, err := f.broker.Publish(t.Context(), with(topic, fmt.Sprint(i)))
			if err != nil {
				return err
			}
			if !p.Duplicate {
				fresh.Add(1)
			}
		}
		return nil
	})
	require.EqualValues(t, ids, fresh.Load())
	require.Len(t, f.deliveries(topic, ids), ids)
}

// faults: what is refused, and that a refusal changes nothing.
func faults() []promise {
	return []promise{
		{"what is no topic is refused", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			for _, topic := range []message.Topic{"", "nonsense", "user:u1", "user:u1:*", "user::events", "user:u1:a b"} {
				_, err := f.broker.Publish(t.Context(), update(topic))
				require.ErrorIs(t, err, message.ErrTopic, "publish to %q", topic)
				_, err = f.broker.History(t.Context(), topic, broker.Query{})
				require.ErrorIs(t, err, message.ErrTopic, "history of %q", topic)
			}
			require.ErrorIs(t, f.broker.SetInterest(t.Context(), "nonsense", true), message.ErrTopic)
		}},
		{"a context that is over publishes nothing", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			over, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := f.broker.Publish(over, update(topic))
			require.ErrorIs(t, err, context.Canceled)
			_, err = f.broker.History(over, topic, broker.Query{})
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, uint64(1), f.publish(update(topic)).Offset)
		}},
		{"interest in topics and patterns comes and goes", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			pattern := "user:" + message.Topic(topic.Owner()) + ":*"
			require.NoError(t, f.broker.SetInterest(t.Context(), pattern, true))
			require.NoError(t, f.broker.SetInterest(t.Context(), topic, false))
			f.fill(topic, 1)
			f.deliveries(topic, 1)
			require.NoError(t, f.broker.SetInterest(t.Context(), pattern, false))
			require.NoError(t, f.broker.SetInterest(t.Context(), topic, true))
			f.fill(topic, 1)
			f.deliveries(topic, 2)
		}},
		{"a closed broker refuses everything", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			closer, ok := f.broker.(io.Closer)
			require.True(t, ok, "a broker can be closed")
			topic := f.topic()
			require.NoError(t, closer.Close())
			_, err := f.broker.Publish(context.Background(), update(topic))
			require.ErrorIs(t, err, broker.ErrClosed)
			_, err = f.broker.History(context.Background(), topic, broker.Query{})
			require.ErrorIs(t, err, broker.ErrClosed)
			require.ErrorIs(t, f.broker.SetInterest(context.Background(), topic, true), broker.ErrClosed)
		}},
	}
}

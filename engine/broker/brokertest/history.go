package brokertest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// keeping: what is kept and for how long.
func keeping() []promise {
	return []promise{
		{"the newest publications are kept, as many as the class says", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 10 })
			topic := f.topic()
			for n := uint64(1); n <= 35; n++ {
				f.fill(topic, 1)
				oldest := uint64(1)
				if n > 10 {
					oldest = n - 9
				}
				require.Equal(t, upTo(oldest, n), numbers(f.history(topic, broker.Query{Limit: -1}).Publications))
			}
		}},
		{"the oldest publications go when the class's bytes are used up", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistoryKiBMax = 16 })
			topic := f.topic()
			env := func() *message.Envelope {
				env := update(topic)
				env.Payload = []byte(`{"x":"` + strings.Repeat("x", 3000) + `"}`)
				return env
			}
			for range 20 {
				f.publish(env())
			}
			got := numbers(f.history(topic, broker.Query{Limit: -1}).Publications)
			require.NotEmpty(t, got)
			require.LessOrEqual(t, len(got), 5, "16 KiB hold at most five publications of 3 KB")
			require.Equal(t, upTo(20-uint64(len(got))+1, 20), got)
		}},
		{"a publication larger than the class's bytes is delivered and not kept", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistoryKiBMax = 1 })
			topic := f.topic()
			f.fill(topic, 1)
			env := update(topic)
			env.Payload = []byte(`{"x":"` + strings.Repeat("x", 3000) + `"}`)
			at := f.publish(env).Position
			f.deliveries(topic, 2)
			h := f.history(topic, broker.Query{Limit: -1})
			require.Empty(t, h.Publications)
			require.Equal(t, at, h.Position)
			f.fill(topic, 1)
			require.Equal(t, []uint64{3}, numbers(f.history(topic, broker.Query{Limit: -1}).Publications))
		}},
		{"publications older than the class keeps them are gone", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistoryTTL = lifetime })
			var topic message.Topic
			var at broker.Position
			for early := false; !early; { // what is looked at too late may be gone already
				began := time.Now()
				topic = f.topic()
				at = f.fill(topic, 3)
				kept := f.history(topic, broker.Query{Limit: -1}).Publications
				if early = time.Since(began) < lifetime/2; early { // a server counts whole milliseconds
					require.Len(t, kept, 3)
				}
			}
			time.Sleep(lifetime + lifetime/4)
			h := f.history(topic, broker.Query{Limit: -1})
			require.Empty(t, h.Publications)
			require.Equal(t, at, h.Position)
			require.Equal(t, uint64(4), f.publish(update(topic)).Offset, "numbers go on")
		}},
	}
}

// reading: the parts of a history that a Query asks for, without Recover.
func reading() []promise {
	return []promise{
		{"Limit returns the newest", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			at := f.fill(topic, 9)
			for _, c := range []struct {
				limit int
				want  []uint64
			}{{0, upTo(1, 0)}, {1, upTo(9, 9)}, {4, upTo(6, 9)}, {9, upTo(1, 9)}, {50, upTo(1, 9)}, {-1, upTo(1, 9)}} {
				h := f.history(topic, broker.Query{Limit: c.limit})
				require.Equal(t, c.want, numbers(h.Publications), "limit %d", c.limit)
				require.Equal(t, at, h.Position)
			}
		}},
		{"After leaves out what its asker has", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 6 })
			topic := f.topic()
			at := f.fill(topic, 9)
			for _, c := range []struct {
				name  string
				after broker.Position
				want  []uint64
			}{
				{"the same epoch", broker.Position{Epoch: at.Epoch, Offset: 7}, upTo(8, 9)},
				{"any epoch", broker.Position{Offset: 5}, upTo(6, 9)},
				{"older than what is kept", broker.Position{Epoch: at.Epoch, Offset: 1}, upTo(4, 9)},
				{"the last", at, upTo(1, 0)},
				{"not reached yet", broker.Position{Epoch: at.Epoch, Offset: 1 << 40}, upTo(1, 0)},
				{"another epoch", broker.Position{Epoch: at.Epoch + 1, Offset: 7}, upTo(4, 9)},
			} {
				require.Equal(t, c.want, numbers(f.history(topic, broker.Query{After: c.after, Limit: -1}).Publications), c.name)
			}
		}},
		{"a kept publication is as it was delivered", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			env := update(topic)
			env.CID, env.TraceID, env.Priority = "c", "t", 9
			f.publish(env)
			require.Equal(t, f.deliveries(topic, 1), f.history(topic, broker.Query{Limit: -1}).Publications)
		}},
		{"a topic that nobody published to has an empty history", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			h := f.history(f.topic(), broker.Query{Limit: -1, Snapshots: true})
			require.Zero(t, h.Position.Offset)
			require.Empty(t, h.Publications)
			require.Empty(t, h.Snapshots)
			require.False(t, h.Recovered)
		}},
	}
}

func recovers(f *fixture, topic message.Topic, after broker.Position, limit int) broker.History {
	return f.history(topic, broker.Query{After: after, Recover: true, Limit: limit})
}

// recovery: Query.Recover inside a history and outside it.
func recovery() []promise {
	return []promise{
		{"everything after a position in the history is recovered", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 5 })
			topic := f.topic()
			at := f.fill(topic, 9)
			for offset := uint64(4); offset <= 9; offset++ { // 5 to 9 are kept
				h := recovers(f, topic, broker.Position{Epoch: at.Epoch, Offset: offset}, -1)
				require.True(t, h.Recovered, "after %d", offset)
				require.Equal(t, upTo(offset+1, 9), numbers(h.Publications))
				require.Equal(t, at, h.Position)
			}
		}},
		{"a position that cannot be recovered from says so", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 5 })
			topic := f.topic()
			at := f.fill(topic, 9)
			for _, c := range []struct {
				name  string
				after broker.Position
				limit int
			}{
				{"one is missing", broker.Position{Epoch: at.Epoch, Offset: 3}, -1},
				{"from the beginning", broker.Position{Epoch: at.Epoch}, -1},
				{"not reached yet", broker.Position{Epoch: at.Epoch, Offset: 10}, -1},
				{"far away", broker.Position{Epoch: at.Epoch, Offset: 1<<64 - 1}, -1},
				{"another epoch", broker.Position{Epoch: at.Epoch + 1, Offset: 9}, -1},
				{"no epoch", broker.Position{Offset: 9}, -1},
				{"more than the limit", broker.Position{Epoch: at.Epoch, Offset: 5}, 3},
			} {
				h := recovers(f, topic, c.after, c.limit)
				require.False(t, h.Recovered, c.name)
				require.Equal(t, at, h.Position, c.name)
			}
			require.True(t, recovers(f, topic, broker.Position{Epoch: at.Epoch, Offset: 6}, 3).Recovered, "just the limit")
			require.True(t, recovers(f, topic, at, 0).Recovered, "nothing is missing")
		}},
		{"what has expired is not recovered, and the last position is", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistoryTTL = lifetime })
			topic := f.topic()
			at := f.fill(topic, 3)
			time.Sleep(lifetime + lifetime/4)
			require.False(t, recovers(f, topic, broker.Position{Epoch: at.Epoch, Offset: 2}, -1).Recovered)
			require.True(t, recovers(f, topic, at, -1).Recovered)
		}},
	}
}

// recoveryAtTheEdges: topics without history, without publications, and with snapshots.
func recoveryAtTheEdges() []promise {
	return []promise{
		{"a class without history recovers nothing", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 0 })
			topic := f.topic()
			at := f.fill(topic, 2)
			require.False(t, recovers(f, topic, at, -1).Recovered)
			require.False(t, recovers(f, topic, broker.Position{Epoch: 1, Offset: 2}, -1).Recovered)
		}},
		{"a subscriber from before the first publication recovers it", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			before := f.history(topic, broker.Query{}).Position
			require.NotZero(t, before.Epoch)
			require.True(t, recovers(f, topic, before, -1).Recovered)
			at := f.fill(topic, 2)
			require.Equal(t, before.Epoch, at.Epoch)
			h := recovers(f, topic, before, -1)
			require.True(t, h.Recovered)
			require.Equal(t, upTo(1, 2), numbers(h.Publications))
		}},
		{"a recovered answer holds no snapshots, one that is not has them", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.Snapshots = true })
			topic := f.topic()
			at := f.publish(snapshot(topic, "order_snapshot")).Position
			f.fill(topic, 2)
			q := broker.Query{After: at, Recover: true, Limit: -1, Snapshots: true}
			h := f.history(topic, q)
			require.True(t, h.Recovered)
			require.Empty(t, h.Snapshots)
			require.Equal(t, upTo(2, 3), numbers(h.Publications))
			q.After.Epoch++
			h = f.history(topic, q)
			require.False(t, h.Recovered)
			require.Equal(t, []uint64{1}, numbers(h.Snapshots))
			require.Equal(t, upTo(2, 3), numbers(h.Publications))
		}},
	}
}

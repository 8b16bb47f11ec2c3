package brokertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// filling: what the broker sets of an envelope and what it leaves alone.
func filling() []promise {
	return []promise{
		{"a publication leaves from the level of its class, whatever its priority", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.Priority, c.Overflow = 3, "drop_oldest" })
			topic := f.topic()
			env := update(topic)
			env.Priority = 10
			f.publish(env)
			got := f.deliveries(topic, 1)[0]
			require.Equal(t, message.Low, got.Level)
			require.Equal(t, message.DropOldest, got.Overflow)
			require.Equal(t, message.Priority(10), got.Priority)
		}},
		{"a publication without a priority has the one of its class", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.Priority = 8 })
			topic := f.topic()
			f.publish(update(topic))
			require.Equal(t, message.Priority(8), f.deliveries(topic, 1)[0].Priority)
		}},
		{"the category follows from the type", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			f.publish(snapshot(topic, "order_snapshot"))
			env := update(topic)
			env.Category = message.System // not the publisher's to choose
			f.publish(env)
			got := f.deliveries(topic, 2)
			require.Equal(t, message.Snapshot, got[0].Category)
			require.Equal(t, message.Update, got[1].Category)
		}},
		{"what the publisher gave arrives unchanged", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			sent := message.Envelope{
				Type: "order_update", Topic: topic, Payload: []byte(`{"order_id":"ord_1","n":[1,2.5e3,null]}`), ID: "evt_1",
				TimeMS: 1_763_800_000_123, Priority: 7, CID: "c1", TraceID: "tr1", EventVersion: 3, LatencyMS: 12,
				Encrypted: true,
			}
			env := sent
			f.publish(&env)
			got := *f.deliveries(topic, 1)[0]
			require.JSONEq(t, string(sent.Payload), string(got.Payload))
			sent.Payload, got.Payload = nil, nil
			sent.Seq, sent.Epoch, sent.Level = got.Seq, got.Epoch, got.Level
			require.Equal(t, sent, got)
		}},
		{"a publication without an id gets one of its own", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			one, other := f.publish(update(topic)), f.publish(update(topic))
			require.NotEmpty(t, one.ID)
			require.NotEqual(t, one.ID, other.ID)
			got := f.deliveries(topic, 2)
			require.Equal(t, []string{one.ID, other.ID}, []string{got[0].ID, got[1].ID})
		}},
		{"publications conflate by type and payload field", conflation},
	}
}

func conflation(t *testing.T, open Open) {
	f := start(t, open, func(c *broker.Class) { c.Overflow, c.ConflateBy = "conflate", "symbol" })
	topic := f.topic()
	key := func(kind, payload string) (string, message.Overflow) {
		env := update(topic)
		env.Type, env.Payload = kind, []byte(payload)
		n := f.publish(env).Offset
		got := f.deliveries(topic, int(n))[n-1]
		return got.ConflateKey, got.Overflow
	}
	aapl, overflow := key("quote", `{"price":1,"symbol":"AAPL"}`)
	require.NotEmpty(t, aapl)
	require.Equal(t, message.Conflate, overflow)
	again, _ := key("quote", `{"symbol":"AAPL","price":2}`)
	require.Equal(t, aapl, again)
	msft, _ := key("quote", `{"symbol":"MSFT"}`)
	require.NotEqual(t, aapl, msft)
	trade, _ := key("trade", `{"symbol":"AAPL"}`)
	require.NotEqual(t, aapl, trade)
	for _, payload := range []string{`{}`, `{"symbol":null}`, `{"symbol":{"a":1}}`, `{"inner":{"symbol":"AAPL"}}`} {
		none, overflow := key("quote", payload)
		require.Empty(t, none, payload)
		require.Equal(t, message.DropOldest, overflow, payload)
	}
}

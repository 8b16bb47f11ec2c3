package wse_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
)

func benchEnvelope() *message.Envelope {
	payload := `{"order_id":"ord_1","symbol":"AAPL","status":"filled","filled_qty":100,"avg_price":150.25,"note":"`
	payload += strings.Repeat("x", 126-len(payload)) + `"}`
	return &message.Envelope{Type: "order_update", Topic: "user:u1:order_events", Payload: []byte(payload),
		ID: "evt_9f3c2a5b7d1e4c60_1", TimeMS: at, Seq: 1234, Epoch: 0x6543beef, Priority: 10}
}

// wire is what encoding/json is given to write the same bytes.
type wire struct {
	T        string          `json:"t"`
	P        json.RawMessage `json:"p"`
	ID       string          `json:"id"`
	TS       string          `json:"ts"`
	Seq      uint64          `json:"seq"`
	Category string          `json:"_msg_cat"`
	Topic    string          `json:"tp"`
	Epoch    string          `json:"e"`
	Offset   uint64          `json:"o"`
	Priority int             `json:"pri"`
	V        int             `json:"v"`
}

func standard(env *message.Envelope) []byte {
	b, err := json.Marshal(wire{env.Type, env.Payload, env.ID, time.UnixMilli(env.TimeMS).UTC().Format("2006-01-02T15:04:05.000Z"),
		env.Seq, env.Category.String(), string(env.Topic), "6543beef", env.Seq, int(env.Priority), 2})
	if err != nil {
		panic(err)
	}
	return b
}

func TestPublicationsAreTheBytesThatEncodingJSONWrites(t *testing.T) {
	env := benchEnvelope()
	require.Len(t, env.Payload, 128)
	require.Equal(t, string(standard(env)), string(wse.Dialect{}.AppendPublication(nil, env)))
}

func TestEncodingAllocatesNothingWhereThereIsRoom(t *testing.T) {
	env, buf := benchEnvelope(), make([]byte, 0, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = wse.Dialect{}.AppendPublication(buf[:0], env) }), "publication")
	for name, r := range replies() {
		n := testing.AllocsPerRun(100, func() { buf = wse.Dialect{}.AppendReply(buf[:0], r) })
		require.Zero(t, n, name)
	}
}

func BenchmarkAppendPublication(b *testing.B) {
	env, buf := benchEnvelope(), make([]byte, 0, 1024)
	b.Run("hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = wse.Dialect{}.AppendPublication(buf[:0], env)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = standard(env)
		}
	})
}

const subscribe = `{"t":"subscription_update","p":{"action":"subscribe","topics":["user:u1:order_events","user:u1:events",` +
	`"system:announcements"]},"id":"req_17","ts":"2025-11-25T10:00:00.000Z","v":2}`

func BenchmarkDecodeSubscribe(b *testing.B) {
	data := []byte(subscribe)
	b.Run("hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (wse.Dialect{}).Decode(data, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var req struct {
				T  string `json:"t"`
				ID string `json:"id"`
				P  struct {
					Action string   `json:"action"`
					Topics []string `json:"topics"`
				} `json:"p"`
			}
			if err := json.Unmarshal(data, &req); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestReadingASubscriptionAllocatesOnlyWhatTheRequestKeeps(t *testing.T) {
	data := []byte(subscribe)
	// The request, its id, its body, the list of topics and each of three topics.
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = wse.Dialect{}.Decode(data, false) }), 7.0)
}

package ingest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestAForeignEnvelopeIsReadWithEveryNameOfTheProtocol(t *testing.T) {
	in, _ := open(t, nil)
	want := &message.Envelope{
		Type: "order_update", Topic: "user:u1:order_events", Payload: []byte(`{"n":1}`), ID: "e1", TimeMS: 1736764200000, Priority: 8,
		CID: "c1", TraceID: "t1", EventVersion: 3, Encrypted: true, LatencyMS: -1,
	}
	for _, raw := range []string{
		`{"v":2,"t":"order_update","p":{"n":1},"id":"e1","ts":"2025-01-13T10:30:00Z","pri":8,"cid":"c1","trace_id":"t1","event_version":3,"enc":true}`,
		`{"version":2,"event_type":"order_update","payload":{"n":1},"id":"e1","timestamp":"2025-01-13T10:30:00Z","priority":8,"correlation_id":"c1",` +
			`"trace_id":"t1","event_version":3,"encrypted":true,"topic":"user:u1:order_events"}`,
		`{"type":"order_update","p":{"n":1},"id":"e1","ts":1736764200000,"pri":8,"cid":"c1","trace_id":"t1","event_version":3,"enc":true,` +
			`"seq":99,"sequence":98,"epoch":"00c0ffee","latency_ms":5,"_msg_cat":"U","c":"S","cmp":false}`,
	} {
		env, ev, err := in.ParseForeign("user:u1:order_events", []byte(raw))
		require.NoError(t, err)
		require.Nil(t, ev)
		require.Equal(t, want, env, "what only the engine decides is nobody's to say")
	}
}

func TestAForeignEventIsItsChannelsTopics(t *testing.T) {
	in, _ := open(t, nil)
	env, ev, err := in.ParseForeign("user:u1:order_events", []byte(`{"type":"OrderFilled","payload":{"v":1}}`))
	require.NoError(t, err)
	require.Nil(t, env)
	require.Equal(t, &message.Event{Type: "OrderFilled", Payload: []byte(`{"v":1}`), UserID: "u1", Topic: "user:u1:order_events"}, ev)
	_, ev, err = in.ParseForeign("system:news", []byte(`{"type":"News","payload":{},"user_id":"u2","topic":"system:news"}`))
	require.NoError(t, err)
	require.Equal(t, []any{"u2", message.Topic("system:news")}, []any{ev.UserID, ev.Topic})
}

func TestWhatAForeignProgramGetsWrongIsNamed(t *testing.T) {
	in, _ := open(t, nil)
	for raw, want := range map[string]string{
		`hello`:                       "not a JSON object",
		`[]`:                          "not a JSON object",
		`{"t":"x"`:                    "not a JSON object",
		`{}`:                          "type: is missing",
		`{"t":"x"}`:                   "p: is missing",
		`{"p":{}}`:                    "t: is missing",
		`{"t":"x","p":[]}`:            "p: must be a JSON object",
		`{"t":"x","type":"y","p":{}}`: "t: is given twice",
		`{"t":"x","p":{},"v":3}`:      "v: must be a whole number from 2 to 2",
		`{"t":"x","p":{},"cmp":true}`: "cmp: a payload is taken as it is",
		`{"t":"x","p":{},"pry":1}`:    "pry: is no field here",
		`{"t":"x","p":{},"topic":"user:u2:events"}`:           `topic: is "user:u2:events", but it was published on the channel of "user:u1:events"`,
		`{"type":"X","payload":{},"topic":"user:u2:events"}`:  "published on the channel of",
		`{"type":"X","payload":{},"q":1}`:                     "q: is no field here",
		`{"t":"` + strings.Repeat("x", 256<<10) + `","p":{}}`: "see limits.event_kib_max",
	} {
		env, ev, err := in.ParseForeign("user:u1:events", []byte(raw))
		require.ErrorContains(t, err, want)
		require.Nil(t, env)
		require.Nil(t, ev)
	}
}

func FuzzParseForeign(f *testing.F) {
	for _, s := range []string{
		`{"v":2,"t":"x","p":{"n":1},"seq":9}`, `{"type":"X","payload":{}}`, `{"type":"X","p":{},"topic":"user:u1:events"}`, `{"v":2}`, `{`, `null`, "",
	} {
		f.Add([]byte(s))
	}
	in, _ := open(f, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		env, ev, err := in.ParseForeign("user:u1:events", raw)
		require.Equal(t, err == nil, (env != nil) != (ev != nil), "either of the two, or an error")
		if env != nil {
			require.Equal(t, message.Topic("user:u1:events"), env.Topic)
			require.NotEmpty(t, env.Type)
			require.Zero(t, env.Seq)
		}
	})
}

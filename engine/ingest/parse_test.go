package ingest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestAnEventIsReadWhole(t *testing.T) {
	in, _ := open(t, nil)
	ev, err := in.ParseEvent([]byte(` {"event_version": 3, "trace_id": "t1", "cid": "c1", "pri": 10, "ts": 1736764200123,
		"id": "e1", "topic": "user:u1:events", "user_id": "u1", "payload": {"a": [1, "x"]}, "type": "OrderFilled"} `))
	require.NoError(t, err)
	require.Equal(t, &message.Event{
		Type: "OrderFilled", Payload: []byte(`{"a": [1, "x"]}`), UserID: "u1", Topic: "user:u1:events", ID: "e1",
		TimeMS: 1736764200123, Priority: 10, CID: "c1", TraceID: "t1", EventVersion: 3,
	}, ev)
	ev, err = in.ParseEvent([]byte(`{"type":"A","payload":{},"user_id":null,"topic":null,"id":null,"ts":null,"pri":null}`))
	require.NoError(t, err)
	require.Equal(t, &message.Event{Type: "A", Payload: []byte(`{}`)}, ev)
}

func TestTheTimeOfAnEventMayBeWrittenInManyWays(t *testing.T) {
	in, _ := open(t, nil)
	for written, want := range map[string]int64{
		`"2025-01-13T10:30:00.000Z"`: 1736764200000, `"2025-01-13T10:30:00Z"`: 1736764200000,
		`"2025-01-13T10:30:00.123456+02:00"`: 1736757000123, `"2025-01-13T10:30:00"`: 1736764200000,
		`"2025-01-13T10:30:00.5"`: 1736764200500, `1736764200`: 1736764200000, `1736764200.25`: 1736764200250,
		`1736764200000`: 1736764200000,
	} {
		ev, err := in.ParseEvent([]byte(`{"type":"A","payload":{},"ts":` + written + `}`))
		require.NoError(t, err, written)
		require.Equal(t, want, ev.TimeMS, written)
	}
	for _, written := range []string{`"yesterday"`, `""`, `0`, `-1`, `1e300`, `true`, `"0001-01-01T00:00:00Z"`, `{}`, `253402300800000`} {
		_, err := in.ParseEvent([]byte(`{"type":"A","payload":{},"ts":` + written + `}`))
		refused(t, err, message.CodeInvalidArgument, "ts: must be a time")
	}
}

func TestEveryFaultOfAnEventNamesItsField(t *testing.T) {
	in, _ := open(t, nil)
	for _, c := range []struct {
		raw  string
		code message.Code
		want string
	}{
		{``, message.CodeInvalidMessage, "the event is not a JSON object"},
		{`[]`, message.CodeInvalidMessage, "the event is not a JSON object"},
		{`{"type":"A","payload":{}`, message.CodeInvalidMessage, "the event is not a JSON object"},
		{`{"type":"A","payload":{}} {}`, message.CodeInvalidMessage, "the event is not a JSON object"},
		{`{"type":"A","payload":{"a":01}}`, message.CodeInvalidMessage, "the event is not a JSON object"},
		{`{"payload":{}}`, message.CodeInvalidArgument, "type: is missing"},
		{`{"type":null,"payload":{}}`, message.CodeInvalidArgument, "type: is missing"},
		{`{"type":"A"}`, message.CodeInvalidArgument, "payload: is missing"},
		{`{"type":"","payload":{}}`, message.CodeInvalidArgument, "type: must be a text of 1 to 128 bytes"},
		{`{"type":"` + strings.Repeat("x", 129) + `","payload":{}}`, message.CodeInvalidArgument, "type: must be a text of 1 to 128 bytes, has 129"},
		{`{"type":"A","payload":[1]}`, message.CodeInvalidArgument, "payload: must be a JSON object"},
		{`{"type":"A","payload":"x"}`, message.CodeInvalidArgument, "payload: must be a JSON object"},
		{`{"type":"A","payload":{},"payload":{}}`, message.CodeInvalidArgument, "payload: is given twice"},
		{`{"type":"A","payload":{},"user_id":7}`, message.CodeInvalidArgument, "user_id: must be a text"},
		{`{"type":"A","payload":{},"user_id":"a:b"}`, message.CodeInvalidArgument, "user_id: cannot be a segment"},
		{`{"type":"A","payload":{},"topic":"nonsense"}`, message.CodeInvalidArgument, "topic: invalid topic"},
		{`{"type":"A","payload":{},"topic":"user:u1:*"}`, message.CodeInvalidArgument, "topic: invalid topic"},
		{`{"type":"A","payload":{},"pri":11}`, message.CodeInvalidArgument, "pri: must be a whole number from 1 to 10"},
		{`{"type":"A","payload":{},"pri":"high"}`, message.CodeInvalidArgument, "pri: "},
		{`{"type":"A","payload":{},"event_version":1.5}`, message.CodeInvalidArgument, "event_version: "},
		{`{"type":"A","payload":{},"id":"a\u0000b"}`, message.CodeInvalidArgument, "id: holds a control character"},
		{`{"type":"A","payload":{},"usr_id":"u1"}`, message.CodeInvalidArgument, "usr_id: is no field here"},
		{`{"type":"A","payload":{"x":"` + strings.Repeat("x", 256<<10) + `"}}`, message.CodeMessageTooLarge, "event_kib_max"},
	} {
		_, err := in.ParseEvent([]byte(c.raw))
		refused(t, err, c.code, c.want)
	}
}

func TestEveryFaultOfAnEnvelopeNamesItsField(t *testing.T) {
	in, _ := open(t, nil)
	for _, c := range []struct {
		raw  string
		code message.Code
		want string
	}{
		{`nonsense`, message.CodeInvalidMessage, "the envelope is not a JSON object"},
		{`{"t":"x","p":{}}`, message.CodeInvalidArgument, "topic: is missing"},
		{`{"topic":"user:u1:events","p":{}}`, message.CodeInvalidArgument, "t: is missing"},
		{`{"topic":"user:u1:events","t":"x"}`, message.CodeInvalidArgument, "p: is missing"},
		{`{"topic":"user:u1:events","t":"x","type":"x","p":{}}`, message.CodeInvalidArgument, "t: is given twice"},
		{`{"topic":"user:u1:events","t":"x","p":{},"payload":{}}`, message.CodeInvalidArgument, "p: is given twice"},
		{`{"topic":"user:u1:*","t":"x","p":{}}`, message.CodeInvalidArgument, "topic: invalid topic"},
		{`{"topic":"user:u1:events","t":"x","p":null}`, message.CodeInvalidArgument, "p: is missing"},
		{`{"topic":"user:u1:events","t":"x","p":{},"priority":3}`, message.CodeInvalidArgument, "priority: is no field here"},
		{`{"topic":"user:u1:events","t":"x","p":{},"pri":0}`, message.CodeInvalidArgument, "pri: "},
		{`{"topic":"user:u1:events","t":"x","p":{},"ts":"?"}`, message.CodeInvalidArgument, "ts: "},
		{`{"topic":"user:u1:events","t":"x","p":{},"enc":1}`, message.CodeInvalidArgument, "enc: must be true or false"},
	} {
		_, err := in.ParsePublish([]byte(c.raw))
		refused(t, err, c.code, c.want)
		if c.code == message.CodeInvalidArgument {
			require.Contains(t, string(message.AsError(err).Details), `"field"`)
		}
	}
}

func TestAParsedEnvelopeSharesNothingWithItsSource(t *testing.T) {
	in, _ := open(t, nil)
	raw := []byte(`{"topic":"user:u1:events","t":"kind","p":{"a":1},"id":"e1","cid":"c1"}`)
	env, err := in.ParsePublish(raw)
	require.NoError(t, err)
	copy(raw, bytes.Repeat([]byte("#"), len(raw)))
	require.Equal(t, []string{"user:u1:events", "kind", `{"a":1}`, "e1", "c1"},
		[]string{string(env.Topic), env.Type, string(env.Payload), env.ID, env.CID})
}

func TestProgrammersFaultsAreRefusedToo(t *testing.T) {
	in, _ := open(t, nil)
	_, err := in.Publish(t.Context(), &message.Envelope{Topic: "user:u1:events", Payload: []byte(`{}`)})
	refused(t, err, message.CodeInvalidArgument, "t: ")
	_, err = in.Publish(t.Context(), &message.Envelope{Topic: "user:u1:events", Type: "x"})
	refused(t, err, message.CodeInvalidArgument, "p: ")
	_, err = in.PublishEvent(t.Context(), &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{}`), Priority: 11})
	refused(t, err, message.CodeInvalidArgument, "pri: ")
	_, err = in.Publish(t.Context(), &message.Envelope{Topic: "nonsense", Type: "x", Payload: []byte(`{}`)})
	refused(t, err, message.CodeInvalidArgument, "topic: ")
}

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		`{"type":"BrokerAccountLinked","payload":{"a":1},"user_id":"u1"}`, `{"type":"A","payload":{},"ts":"2025-01-13T10:30:00Z","pri":8}`,
		`{"type":"A","payload":{"original_event_type":"B","\u0061":"\ud83d\ude00"},"topic":"public:x","ts":1.5e9}`, `{"type":"A","type":"B"}`,
		`[]`, `{"payload":{"a":{"a":{"a":[[[]]]}}}}`, `{"type":"\u0000","payload":{}}`,
	} {
		f.Add([]byte(seed))
	}
	in, _ := open(f, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		ev, err := in.ParseEvent(raw)
		if err != nil {
			require.Contains(t, []message.Code{message.CodeInvalidArgument, message.CodeInvalidMessage, message.CodeMessageTooLarge},
				message.AsError(err).Code)
			return
		}
		require.True(t, json.Valid(raw), "what is accepted is JSON")
		doc := appendEvent(nil, ev)
		require.True(t, json.Valid(doc), "the plugin's document: %s", doc)
		again, err := in.ParseEvent(doc)
		require.NoError(t, err, "the plugin's document is an event: %s", doc)
		require.Equal(t, ev, again)
		if env, err := defaultEnvelope(ev); err == nil {
			require.True(t, json.Valid(env.Payload), "the default payload: %s", env.Payload)
		}
	})
}

func FuzzParsePublish(f *testing.F) {
	for _, seed := range []string{
		`{"topic":"user:u1:events","t":"x","p":{}}`, `{"topic":"system:a","type":"x","payload":{"a":[1]},"pri":1,"id":"\"","ts":1}`,
		`{"topic":"user:u1:events","t":"x","p":{},"unknown":1}`, `{"topic":"user:u1:events"`, `{"topic":{},"t":[],"p":1}`,
	} {
		f.Add([]byte(seed))
	}
	in, _ := open(f, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		env, err := in.ParsePublish(raw)
		if err != nil {
			return
		}
		require.True(t, json.Valid(raw), "what is accepted is JSON")
		require.True(t, json.Valid(env.Payload))
		_, err = in.Publish(t.Context(), env)
		require.NoError(t, err, "what parses can be published")
	})
}

func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"t":"x","topic":"user:u1:events","p":{}}`, `[{"t":"x","topic":"user:u1:events","p":{},"id":"a"},{"t":"x","topic":"user:u1:events","p":{},"id":"a"}]`,
		`[]`, `[[]]`, `{"t":"x","topic":"user:u1:events","p":{},"pri":10,"cid":"\u00e9","event_version":1}`, ` {"t":`, said, "[" + said + "," + said + "]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		in, sink := open(t, answering(string(out)))
		results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{}`)})
		require.NoError(t, err)
		require.NotEmpty(t, results)
		require.True(t, json.Valid(out) || len(sink.got) == 0, "nothing comes of what is no JSON")
		for _, env := range sink.got {
			require.True(t, json.Valid(env.Payload))
			_, err := message.ParseTopic(string(env.Topic))
			require.NoError(t, err)
		}
	})
}

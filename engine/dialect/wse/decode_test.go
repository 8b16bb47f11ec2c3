package wse_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
)

func TestEveryRequestIsRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       message.Body
	}{
		{"hello", `{"t":"client_hello","p":{"client_version":"1.2","protocol_version":2,"features":{"compression":true},"encryption_public_key":"BL=="}}`,
			&message.Hello{ClientVersion: "1.2", ProtocolVersion: 2, Features: []byte(`{"compression":true}`), PublicKey: "BL=="}},
		{"hello with the version as a number", `{"t":"client_hello","p":{"version":1}}`, &message.Hello{ProtocolVersion: 1}},
		{"hello with the version as a string", `{"t":"client_hello","p":{"version":"3.1"}}`, &message.Hello{ClientVersion: "3.1"}},
		{"hello without a payload", `{"t":"client_hello"}`, &message.Hello{}},
		{"ping", `{"t":"ping","p":{"timestamp":1700000000000}}`, &message.Ping{ClientTimestamp: 1700000000000}},
		{"PING", `{"t":"PING","p":{"timestamp":1700000000000}}`, &message.Ping{ClientTimestamp: 1700000000000}},
		{"ping by a clock with fractions", `{"t":"ping","p":{"timestamp":1700000000000.75}}`, &message.Ping{ClientTimestamp: 1700000000000}},
		{"ping with an exponent", `{"t":"ping","p":{"timestamp":17e11}}`, &message.Ping{ClientTimestamp: 1700000000000}},
		{"ping without a timestamp", `{"t":"ping","p":{}}`, &message.Ping{}},
		{"ping without a payload", `{"t":"ping","p":null}`, &message.Ping{}},
		{"bare PING", `PING`, &message.Ping{}},
		{"bare PING with a timestamp", "PING:1700000000000\r\n", &message.Ping{ClientTimestamp: 1700000000000}},
		{"bare PONG", `PONG:1700000000000`, &message.Heartbeat{}},
		{"PONG of an old client", `WSE{"t":"PONG","p":{"client_timestamp":1},"v":1}`, &message.Heartbeat{}},
		{"heartbeat", `{"t":"heartbeat","p":"anything"}`, &message.Heartbeat{}},
		{"subscribe", `{"t":"subscription_update","p":{"action":"subscribe","topics":["order_events","user:u1:events"]}}`,
			&message.Subscribe{Action: "subscribe", Topics: []string{"order_events", "user:u1:events"}}},
		{"subscribe by the short type", `{"t":"subscription","p":{"action":"unsubscribe","topics":["a\n\u0041"]}}`,
			&message.Subscribe{Action: "unsubscribe", Topics: []string{"a\nA"}}},
		{"subscribe with everything", `{"t":"subscription_update","p":{"action":"subscribe","topics":["a"],"event_types":{"a":["x","y"],"b":[],"c":null},` +
			`"recover":true,"recovery":{"a":{"epoch":"0000BEef","offset":42},"b":{"offset":0,"epoch":"00000000","x":1}}}}`,
			&message.Subscribe{Action: "subscribe", Topics: []string{"a"}, EventTypes: map[string][]string{"a": {"x", "y"}, "b": {}},
				Recover: true, Recovery: map[string]message.RecoverPosition{"a": {Epoch: 0xbeef, Offset: 42}, "b": {}}}},
		{"subscribe with nulls", `{"t":"subscription_update","p":{"action":null,"topics":null,"event_types":null,"recover":null,"recovery":null}}`,
			&message.Subscribe{}},
		{"subscribe with a foreign action", `{"t":"subscription_update","p":{"action":"sing","topics":[]}}`,
			&message.Subscribe{Action: "sing", Topics: []string{}}},
		{"sync", `{"t":"sync_request","p":{"topics":["a"],"include_snapshots":false,"include_history":true,"last_sequence":7}}`,
			&message.Sync{Topics: []string{"a"}, IncludeHistory: true, LastSequence: 7}},
		{"sync without a payload", `{"t":"sync_request"}`, &message.Sync{IncludeSnapshots: true}},
		{"sync with nulls", `{"t":"sync_request","p":{"topics":null,"include_snapshots":null,"include_history":null,"last_sequence":null}}`,
			&message.Sync{IncludeSnapshots: true}},
		{"auth", `{"t":"auth","p":{"token":"a.b.c"}}`, &message.Authenticate{Token: "a.b.c"}},
		{"auth without a token", `{"t":"auth","p":{}}`, &message.Authenticate{}},
		{"state", `{"t":"connection_state_request"}`, &message.StateRequest{}},
		{"health", `{"t":"health_check","p":{}}`, &message.HealthCheck{}},
		{"metrics", `{"t":"metrics_request","p":null}`, &message.MetricsRequest{}},
		{"presence", `{"t":"presence_request","p":{"topic":"public:room"}}`, &message.PresenceRequest{Topic: "public:room"}},
		{"presence update", `{"t":"presence_update","p":{"data":{"mood": 1.50},"topic":"public:room","user_id":"another"}}`,
			&message.PresenceUpdate{Topic: "public:room", Data: []byte(`{"mood": 1.50}`)}},
		{"presence update as deep as it may be", `{"t":"presence_update","p":{"topic":"a","data":` + nested(32) + `}}`,
			&message.PresenceUpdate{Topic: "a", Data: []byte(nested(32))}},
		{"batch", `{"t":"batch_message","p":{"messages":[{"t":"ping"}, {"t":"x"} ]}}`,
			&message.Batch{Messages: []message.Batched{
				{Request: &message.Request{Type: "ping", Category: message.System, Body: &message.Ping{}}},
				{Request: &message.Request{Type: "x", Body: &message.Publish{Payload: []byte(`{}`)}}},
			}}},
		{"empty batch", `{"t":"batch_message","p":{"messages":[]}}`, &message.Batch{}},
		{"a client's own message", `{"t":"chat","p":{"text":"hi"},"trace_id":"t1","event_version":3}`,
			&message.Publish{Payload: []byte(`{"text":"hi"}`), TraceID: "t1", EventVersion: 3}},
		{"a client's own message without a payload", `{"t":"chat"}`, &message.Publish{Payload: []byte(`{}`)}},
		{"white space", " \r\n\t{ \"t\" : \"heartbeat\" } \n", &message.Heartbeat{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, binary := range []bool{false, true} {
				req, err := wse.Dialect{}.Decode([]byte(c.text), binary)
				require.NoError(t, err)
				require.Equal(t, c.want, req.Body)
			}
		})
	}
}

func TestEveryAliasIsReadAndTheShortNameWins(t *testing.T) {
	own := &message.Publish{Payload: []byte(`{"a":1}`)}
	for _, c := range []struct {
		name, text string
		want       message.Request
	}{
		{"type", `{"type":"x","p":{"a":1}}`, message.Request{Type: "x", Body: own}},
		{"event_type", `{"event_type":"x","p":{"a":1}}`, message.Request{Type: "x", Body: own}},
		{"t before type", `{"t":"x","type":"y","event_type":"z","p":{"a":1}}`, message.Request{Type: "x", Body: own}},
		{"t behind type", `{"event_type":"z","type":"y","t":"x","p":{"a":1}}`, message.Request{Type: "x", Body: own}},
		{"type behind event_type", `{"event_type":"z","type":"y","p":{"a":1}}`, message.Request{Type: "y", Body: own}},
		{"type before event_type", `{"type":"y","event_type":"z","p":{"a":1}}`, message.Request{Type: "y", Body: own}},
		{"a null t leaves type", `{"t":null,"type":"y","p":{"a":1}}`, message.Request{Type: "y", Body: own}},
		{"payload", `{"t":"x","payload":{"a":1}}`, message.Request{Type: "x", Body: own}},
		{"p wins", `{"payload":{"b":2},"p":{"a":1},"t":"x"}`, message.Request{Type: "x", Body: own}},
		{"timestamp", `{"t":"x","p":{"a":1},"timestamp":"2025-11-25T10:00:00.000Z"}`, message.Request{Type: "x", Body: own}},
		{"ts as a number", `{"t":"x","p":{"a":1},"ts":1700000000000}`, message.Request{Type: "x", Body: own}},
		{"sequence", `{"t":"x","p":{"a":1},"sequence":12}`, message.Request{Type: "x", Body: own}},
		{"seq", `{"t":"x","p":{"a":1},"seq":12,"latency_ms":5}`, message.Request{Type: "x", Body: own}},
		{"correlation_id", `{"t":"x","p":{"a":1},"correlation_id":"k"}`, message.Request{Type: "x", CID: "k", Body: own}},
		{"cid wins", `{"t":"x","p":{"a":1},"cid":"k","correlation_id":"l"}`, message.Request{Type: "x", CID: "k", Body: own}},
		{"id and cid", `{"t":"x","p":{"a":1},"id":"i","cid":"k"}`, message.Request{Type: "x", ID: "i", CID: "k", Body: own}},
		{"priority", `{"t":"x","p":{"a":1},"priority":3}`, message.Request{Type: "x", Priority: 3, Body: own}},
		{"pri wins", `{"t":"x","p":{"a":1},"priority":3,"pri":9}`, message.Request{Type: "x", Priority: 9, Body: own}},
		{"compressed", `{"t":"x","p":{"a":1},"compressed":false}`, message.Request{Type: "x", Body: own}},
		{"cmp wins", `{"t":"x","p":{"a":1},"cmp":false,"compressed":true}`, message.Request{Type: "x", Body: own}},
		{"encrypted", `{"t":"x","p":{"a":1},"encrypted":false}`, message.Request{Type: "x", Body: own}},
		{"enc", `{"t":"x","p":{"a":1},"encrypted":true}`, message.Request{Type: "x", Body: &message.Publish{Payload: []byte(`{"a":1}`), Encrypted: true}}},
		{"enc wins", `{"t":"x","p":{"a":1},"enc":false,"encrypted":true}`, message.Request{Type: "x", Body: own}},
		{"version 1", `{"t":"x","p":{"a":1},"version":1}`, message.Request{Type: "x", Body: own}},
		{"v 99", `{"t":"x","p":{"a":1},"v":99}`, message.Request{Type: "x", Body: own}},
		{"v of another kind", `{"t":"x","p":{"a":1},"v":"two"}`, message.Request{Type: "x", Body: own}},
		{"unknown fields", `{"t":"x","p":{"a":1},"foo":[1,{"bar":null}],"":0}`, message.Request{Type: "x", Body: own}},
		{"a key with escapes", `{"\u0074":"x","p":{"a":1}}`, message.Request{Type: "x", Body: own}},
		{"the last of two", `{"t":"y","t":"x","p":{"a":1}}`, message.Request{Type: "x", Body: own}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := wse.Dialect{}.Decode([]byte(c.text), false)
			require.NoError(t, err)
			require.Equal(t, &c.want, req)
		})
	}
}

func TestACategoryIsReadInEverySpelling(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       message.Category
	}{
		{"derived", `{"t":"x"}`, message.Update},
		{"derived snapshot", `{"t":"x_SNAPSHOT"}`, message.Snapshot},
		{"derived system", `{"t":"heartbeat"}`, message.System},
		{"_msg_cat", `{"t":"x","_msg_cat":"S"}`, message.Snapshot},
		{"_msg_cat U over the type", `{"t":"heartbeat","_msg_cat":"U"}`, message.Update},
		{"c", `{"t":"x","c":"WSE"}`, message.System},
		{"_msg_cat wins over c", `{"t":"x","c":"WSE","_msg_cat":"S"}`, message.Snapshot},
		{"prefix U", `U{"t":"heartbeat"}`, message.Update},
		{"prefix S", `S{"t":"x"}`, message.Snapshot},
		{"prefix WSE", `WSE{"t":"x"}`, message.System},
		{"the prefix wins", `S{"t":"x","_msg_cat":"U","c":"U"}`, message.Snapshot},
		{"a category nobody knows", `{"t":"x","_msg_cat":"Q"}`, message.Update},
		{"null", `{"t":"x","_msg_cat":null,"c":null}`, message.Update},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := wse.Dialect{}.Decode([]byte(c.text), false)
			require.NoError(t, err)
			require.Equal(t, c.want, req.Category)
		})
	}
}

type fault struct{ name, text, want string }

func TestAFaultOfTheEnvelopeIsNamedWithItsFieldAndWhatWasExpected(t *testing.T) {
	deep := `{"t":"x","p":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`
	refused(t, []fault{
		{"nothing", ``, "a message must be one JSON object: an object is missing at byte 0"},
		{"an array", `[1]`, "a message must be one JSON object: an object is missing at byte 0"},
		{"a string", `"ping"`, "a message must be one JSON object: an object is missing at byte 0"},
		{"a word", `PINGPONG`, "a message must be one JSON object: an object is missing at byte 0"},
		{"lower case ping", `ping`, "a message must be one JSON object: an object is missing at byte 0"},
		{"a prefix nobody knows", `X{"t":"x"}`, "a message must be one JSON object: an object is missing at byte 0"},
		{"two objects", `{"t":"x"}{}`, "a message must be one JSON object: unexpected byte after the value at byte 9"},
		{"half an object", `{"t":"x"`, "a message must be one JSON object: unexpected end inside an object or array at byte 8"},
		{"NaN", `{"t":"x","pri":NaN}`, "a message must be one JSON object: unexpected byte, a value is missing at byte 15"},
		{"nested too deep", deep, "a message must be one JSON object: nested too deep at byte 76"},
		{"no UTF-8", "{\"t\":\"\xff\"}", "a message must be one JSON object: invalid UTF-8 inside a string at byte 6"},
		{"a bare PING with words", `PING:now`, "the text PING is PING or PING: and Unix milliseconds"},
		{"a bare PING below zero", `PING:-5`, "the text PING is PING or PING: and Unix milliseconds"},
		{"a bare PING beyond all clocks", `PING:99999999999999999999`, "the text PING is PING or PING: and Unix milliseconds"},
		{"a compressed frame", "C:\x78\x9c", "what follows C: is not valid zlib data"},
		{"an encrypted frame", "E:abc", "no key was agreed on for encrypted (E:) frames: connect with encryption=true and send client_hello with encryption_public_key"},
		{"a packed frame", "M:abc", "a message in MessagePack must be one map: unexpected byte after the value at byte 1"},
		{"no t", `{"p":{}}`, "t must be a string, the type of the message"},
		{"null t", `{"t":null}`, "t must be a string, the type of the message"},
		{"empty t", `{"t":""}`, "t must be a string, the type of the message"},
		{"t as a number", `{"t":5}`, "t must be a string, not a number"},
		{"t too long", `{"t":"` + strings.Repeat("x", 129) + `"}`, "t must have at most 128 bytes, not 129"},
		{"id as a number", `{"t":"x","id":5}`, "id must be a string, not a number"},
		{"id too long", `{"t":"x","id":"` + strings.Repeat("x", 257) + `"}`, "id must have at most 256 bytes, not 257"},
		{"cid as an array", `{"t":"x","correlation_id":[]}`, "cid must be a string, not an array"},
		{"p as a string", `{"t":"x","p":"{}"}`, "p must be an object, not a string"},
		{"p as an array", `{"t":"ping","payload":[]}`, "p must be an object, not an array"},
		{"p as a boolean", `{"t":"health_check","p":true}`, "p must be an object, not true or false"},
		{"pri 0", `{"t":"x","pri":0}`, "pri must be an integer from 1 to 10, not 0"},
		{"pri 11", `{"t":"x","priority":11}`, "pri must be an integer from 1 to 10, not 11"},
		{"pri with a fraction", `{"t":"x","pri":5.5}`, "pri must be an integer from 1 to 10, not 5.5"},
		{"pri as a string", `{"t":"x","pri":"5"}`, "pri must be an integer from 1 to 10, not a string"},
		{"pri huge", `{"t":"x","pri":1` + strings.Repeat("0", 400) + `}`, "pri must be an integer from 1 to 10, not 100000000000000000000000…"},
		{"category as a number", `{"t":"x","_msg_cat":1}`, "_msg_cat must be a string, not a number"},
		{"cmp", `{"t":"x","cmp":true}`, "p must be base64 of zlib data where cmp is true, not absent"},
		{"cmp as a number", `{"t":"x","cmp":1}`, "cmp must be true or false, not a number"},
		{"enc", `{"t":"sync_request","encrypted":true}`, "enc must be false in a request: the server has no key for its payload"},
		{"trace_id", `{"t":"x","trace_id":1}`, "trace_id must be a string, not a number"},
		{"event_version", `{"t":"x","event_version":-1}`, "event_version must be an integer from 0 to 2147483647, not -1"},
	})
}

func TestAFaultOfThePayloadIsNamedWithItsFieldAndWhatWasExpected(t *testing.T) {
	refused(t, []fault{
		{"ping before all clocks", `{"t":"ping","p":{"timestamp":-1}}`, "p.timestamp must be a number, Unix milliseconds, not -1"},
		{"ping beyond all clocks", `{"t":"ping","p":{"timestamp":1e300}}`, "p.timestamp must be a number, Unix milliseconds, not 1e300"},
		{"ping beyond all numbers", `{"t":"ping","p":{"timestamp":1e999}}`, "p.timestamp must be a number, Unix milliseconds, not 1e999"},
		{"ping as a string", `{"t":"ping","p":{"timestamp":"now"}}`, "p.timestamp must be a number, Unix milliseconds, not a string"},
		{"hello version", `{"t":"client_hello","p":{"version":[]}}`, "p.version must be an integer from 0 to 2147483647, not an array"},
		{"hello client version", `{"t":"client_hello","p":{"client_version":1}}`, "p.client_version must be a string, not a number"},
		{"hello key", `{"t":"client_hello","p":{"encryption_public_key":{}}}`, "p.encryption_public_key must be a string, not an object"},
		{"action", `{"t":"subscription","p":{"action":1}}`, "p.action must be a string, not a number"},
		{"topics as a string", `{"t":"subscription","p":{"topics":"a"}}`, "p.topics must be an array of strings, not a string"},
		{"a topic as a number", `{"t":"subscription","p":{"topics":["a","b","c",4]}}`, "p.topics[3] must be a string, not a number"},
		{"a topic as null", `{"t":"subscription","p":{"topics":[null]}}`, "p.topics[0] must be a string, not null"},
		{"event_types", `{"t":"subscription","p":{"event_types":[]}}`, "p.event_types must be an object, not an array"},
		{"event_types of a topic", `{"t":"subscription","p":{"event_types":{"a":"x"}}}`, `p.event_types["a"] must be an array of strings, not a string`},
		{"an event type", `{"t":"subscription","p":{"event_types":{"a":["x",1]}}}`, `p.event_types["a"][1] must be a string, not a number`},
		{"recover", `{"t":"subscription","p":{"recover":"yes"}}`, "p.recover must be true or false, not a string"},
		{"recovery", `{"t":"subscription","p":{"recovery":5}}`, "p.recovery must be an object, not a number"},
		{"a position", `{"t":"subscription","p":{"recovery":{"a":5}}}`, `p.recovery["a"] must be an object with epoch and offset, not a number`},
		{"a short epoch", `{"t":"subscription","p":{"recovery":{"a":{"epoch":"beef","offset":1}}}}`,
			`p.recovery["a"].epoch must be a string of eight hexadecimal digits, as in the e of a publication`},
		{"an epoch that is no number", `{"t":"subscription","p":{"recovery":{"a":{"epoch":"0000xeef","offset":1}}}}`,
			`p.recovery["a"].epoch must be a string of eight hexadecimal digits, as in the e of a publication`},
		{"an epoch as a number", `{"t":"subscription","p":{"recovery":{"a":{"epoch":12345678,"offset":1}}}}`,
			`p.recovery["a"].epoch must be a string of eight hexadecimal digits, as in the e of a publication`},
		{"no epoch", `{"t":"subscription","p":{"recovery":{"a":{"offset":1}}}}`,
			`p.recovery["a"].epoch must be a string of eight hexadecimal digits, as in the e of a publication`},
		{"no offset", `{"t":"subscription","p":{"recovery":{"a":{"epoch":"0000beef"}}}}`,
			`p.recovery["a"].offset must be an integer of at least 0, as in the o of a publication`},
		{"an offset below zero", `{"t":"subscription","p":{"recovery":{"a":{"epoch":"0000beef","offset":-1}}}}`,
			`p.recovery["a"].offset must be an integer of at least 0, as in the o of a publication`},
		{"an offset with a fraction", `{"t":"subscription","p":{"recovery":{"a":{"epoch":"0000beef","offset":1.5}}}}`,
			`p.recovery["a"].offset must be an integer of at least 0, as in the o of a publication`},
		{"an offset beyond 64 bits", `{"t":"subscription","p":{"recovery":{"a":{"epoch":"0000beef","offset":18446744073709551616}}}}`,
			`p.recovery["a"].offset must be an integer of at least 0, as in the o of a publication`},
		{"last_sequence", `{"t":"sync_request","p":{"last_sequence":-3}}`, "p.last_sequence must be an integer from 0 to 9223372036854775807, not -3"},
		{"include_history", `{"t":"sync_request","p":{"include_history":1}}`, "p.include_history must be true or false, not a number"},
		{"include_snapshots", `{"t":"sync_request","p":{"include_snapshots":"no"}}`, "p.include_snapshots must be true or false, not a string"},
		{"token", `{"t":"auth","p":{"token":{}}}`, "p.token must be a string, not an object"},
		{"presence without a topic", `{"t":"presence_request"}`, "p.topic must be a string, the name of a topic"},
		{"presence of a number", `{"t":"presence_request","p":{"topic":1}}`, "p.topic must be a string, not a number"},
		{"presence update without a topic", `{"t":"presence_update","p":{"data":{}}}`, "p.topic must be a string, the name of a topic"},
		{"presence update without data", `{"t":"presence_update","p":{"topic":"a"}}`, "p.data must be an object, not absent"},
		{"presence update of nothing", `{"t":"presence_update","p":{"topic":"a","data":null}}`, "p.data must be an object, not null"},
		{"presence update of a list", `{"t":"presence_update","p":{"topic":"a","data":[{}]}}`, "p.data must be an object, not an array"},
		{"presence update of a text", `{"t":"presence_update","p":{"topic":"a","data":"{}"}}`, "p.data must be an object, not a string"},
		{"presence update that is too deep", `{"t":"presence_update","p":{"topic":"a","data":` + nested(33) + `}}`,
			"p.data must be nested at most 32 deep"},
		{"batch without messages", `{"t":"batch_message","p":{}}`, "p.messages must be an array of messages, not absent"},
		{"batch of an object", `{"t":"batch_message","p":{"messages":{}}}`, "p.messages must be an array of messages, not an object"},
		{"batch with a string", `{"t":"batch_message","p":{"messages":[{},"x"]}}`, "p.messages[1] must be an object, not a string"},
	})
}

func refused(t *testing.T, faults []fault) {
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			req, err := wse.Dialect{}.Decode([]byte(c.text), false)
			var e *message.Error
			require.True(t, errors.As(err, &e))
			require.Equal(t, message.CodeInvalidMessage, e.Code)
			require.Equal(t, c.want, e.Message)
			var details struct{ Field, Reason string }
			require.NoError(t, json.Unmarshal(e.Details, &details))
			require.Equal(t, c.want, details.Reason)
			require.True(t, strings.HasPrefix(c.want, details.Field))
			require.NotNil(t, req)
			require.Nil(t, req.Body)
		})
	}
}

func TestTheIDIsKnownWhereverItCanBeRead(t *testing.T) {
	for _, c := range []struct{ name, text, id, cid string }{
		{"a fault in the payload", `{"t":"ping","p":[],"id":"i","cid":"k"}`, "i", "k"},
		{"no type", `{"id":"i"}`, "i", ""},
		{"an end too early", `{"id":"i","correlation_id":"k","t":"ping","p":{`, "i", "k"},
		{"an id of another kind", `{"id":7,"cid":"k"}`, "", "k"},
		{"no object", `"id"`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := wse.Dialect{}.Decode([]byte(c.text), false)
			require.Error(t, err)
			require.Equal(t, c.id, req.ID)
			require.Equal(t, c.cid, req.CID)
		})
	}
}

func TestARequestKeepsNothingOfTheCallersBytes(t *testing.T) {
	for _, text := range []string{
		`{"t":"chat","p":{"text":"hi"},"id":"i","cid":"k","trace_id":"t"}`,
		`{"t":"subscription","p":{"action":"x","topics":["a"],"event_types":{"a":["b"]},"recovery":{"a":{"epoch":"00000001","offset":1}}},"id":"i"}`,
		`{"t":"batch_message","p":{"messages":[{"t":"x"}]}}`,
		`{"t":"client_hello","p":{"features":{"a":1},"client_version":"1"}}`,
		`{"t":"sync_request","p":{"topics":["a"]}}`,
	} {
		data := []byte(text)
		req, err := wse.Dialect{}.Decode(data, false)
		require.NoError(t, err)
		want, err := wse.Dialect{}.Decode([]byte(text), false)
		require.NoError(t, err)
		for i := range data {
			data[i] = '#'
		}
		require.Equal(t, want, req)
	}
}

// nested returns n objects in one another.
func nested(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }

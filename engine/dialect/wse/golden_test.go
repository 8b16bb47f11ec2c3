package wse_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
)

// The golden files are what stands on the wire, byte for byte. "go test ./engine/dialect/wse -update" rewrites them; the
// difference is then read by a person.
var update = flag.Bool("update", false, "rewrite the golden files")

const at = 1764064800000 // 2025-11-25T10:00:00.000Z

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	require.True(t, json.Valid(got), "not JSON: %s", got)
	path := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got)+"\n")
}

func replies() map[string]*message.Reply {
	features := message.Features{Compression: true, PriorityQueue: true, Recovery: true, Batching: true}
	refused := message.Errorf(message.CodeSubscriptionFailed, "not your topic")
	bodies := map[string]message.ReplyBody{
		"server_ready": &message.Ready{ConnectionID: "conn_1", UserID: "u1", ServerTimeMS: at, Features: features,
			HeartbeatMS: 15000, IdleTimeoutMS: 60000, ReconnectJitterMS: 5000},
		"server_hello": &message.HelloAnswer{ServerVersion: "1.0.0", ConnectionID: "conn_1", ServerTimeMS: at,
			Features: features, Limits: message.ConnectionLimits{MessageBytesMax: 65536, TopicsMax: 100, RequestsPerSec: 50, RequestsBurst: 200, BytesPerSec: 1 << 20}},
		"server_hello_with_key":         &message.HelloAnswer{ServerVersion: "1.0.0", PublicKey: "BLx="},
		"pong":                          &message.Pong{ClientTimestamp: 1700000000000, ServerTimestamp: 1700000000050, ConnectionID: "conn_1"},
		"pong_without_client_timestamp": &message.Pong{ServerTimestamp: 1700000000050, ConnectionID: "conn_1"},
		"pong_client_clock_ahead": &message.Pong{ClientTimestamp: 1700000000051, ServerTimestamp: 1700000000050,
			ConnectionID: "conn_1"},
		"heartbeat": &message.HeartbeatNotice{ServerTimeMS: at},
		"subscription_update": &message.Subscribed{Action: "subscribe", Success: true, Message: "subscribed to 1 topic",
			Topics:        []message.Topic{"user:u1:order_events", "system:announcements"},
			SuccessTopics: []message.Topic{"user:u1:order_events"}, AlreadySubscribed: []message.Topic{"system:announcements"},
			MaxTopics: 100},
		"subscription_update_failed": &message.Subscribed{Action: "subscribe", Message: "2 topics were refused", MaxTopics: 100,
			FailedTopics: []message.FailedTopic{{Topic: `bad"topic\` + "\n\x01\xffż", Err: refused},
				{Topic: "user:u2:events", Err: message.Errorf(message.CodePluginUnavailable, "the authorizer is not ready")}}},
		"subscription_update_recovery": &message.Subscribed{Action: "subscribe", Success: true, Message: "subscribed to 2 topics",
			Topics:        []message.Topic{"user:u1:order_events", "user:u1:events"},
			SuccessTopics: []message.Topic{"user:u1:order_events", "user:u1:events"}, MaxTopics: 100,
			Recovery: []message.Recovered{
				{Topic: "user:u1:order_events", Epoch: 0xbeef, Offset: 42, Recovered: true, Count: 2},
				{Topic: "user:u1:events", Epoch: 0xfeedface, Offset: 7}}},
		"subscription_update_restarted": &message.Restarted{Topic: "user:u1:order_events", Epoch: 0xfeedface, Offset: 7,
			Snapshots: []*message.Envelope{{}}, Publications: []*message.Envelope{{}, {}}},
		"subscription_update_withheld": &message.Restarted{Topic: "public:x", Offset: 7, Withheld: true},
		"snapshot_complete": &message.SnapshotComplete{SnapshotsSent: 2, HistorySent: 3,
			Topics: []message.Topic{"user:u1:order_events"}},
		"connection_state_change": &message.StateChange{OldState: "connected", NewState: "degraded",
			Reason: "the send queue is over its soft limit", Dropped: 17},
		"connection_state_change_restart": &message.StateChange{OldState: "connected", NewState: "reconnecting",
			Reason: "the server restarts", RetryAfterMS: 5000},
		"error_without_details": &message.Failure{Err: message.Errorf(message.CodeInvalidMessage, "t is missing")},
		"auth_response":         &message.Authenticated{UserID: "u1", ExpiresMS: at + 3600000},
		"connection_state_response": &message.State{ConnectionID: "conn_1", UserID: "u1", State: "connected",
			ConnectedMS: at, Topics: []message.Topic{"user:u1:events"}, ExpiresMS: at + 3600000},
		"health_check_response": &message.Health{Status: "healthy", ServerTimeMS: at, UptimeMS: 1234, Connections: 5},
		"metrics_response": &message.Metrics{Counters: message.ConnectionCounters{MessagesSent: 1, MessagesReceived: 2,
			BytesSent: 3, BytesReceived: 4, Dropped: 5, QueuedBytes: 6}},
		"batch_message_result": &message.BatchResult{Results: []message.BatchItem{{ID: "a"},
			{ID: "b", Err: message.Errorf(message.CodeUnknownType, "nobody handles type %q", "x")}, {}}},
		"batch_message_result_empty": &message.BatchResult{},
		"presence_response": &message.Members{Topic: "public:room", Version: 7, Members: []message.Member{
			{UserID: "u1", Data: []byte(`{"mood": [1.50]}`), Connections: 2, SinceMS: at}, {UserID: "u2", SinceMS: at}}},
		"presence_response_empty":  &message.Members{Topic: "public:room", Version: 7},
		"presence_update_response": &message.PresenceAccepted{Topic: "public:room"},
	}
	out := make(map[string]*message.Reply, len(bodies))
	for name, body := range bodies {
		out[name] = &message.Reply{ID: "msg_1", TimeMS: at, CID: "req_1", Body: body}
	}
	return out
}

func TestEveryReplyIsSpelledAsItsGoldenFile(t *testing.T) {
	for name, r := range replies() {
		t.Run(name, func(t *testing.T) {
			golden(t, "reply_"+name, wse.Dialect{}.AppendReply(nil, r))
		})
	}
}

func TestANoticeHasNoCorrelationID(t *testing.T) {
	got := wse.Dialect{}.AppendReply(nil, &message.Reply{ID: "msg_1", TimeMS: at, Body: &message.HeartbeatNotice{ServerTimeMS: at}})
	require.NotContains(t, string(got), `"cid"`)
}

func TestAReplyBodyOfAnotherProtocolBecomesAnError(t *testing.T) {
	got := wse.Dialect{}.AppendReply(nil, &message.Reply{ID: "msg_1", TimeMS: at})
	golden(t, "reply_unknown_body", got)
}

func TestAPublicationCarriesOptionalFieldsOnlyWherePresent(t *testing.T) {
	base := message.Envelope{Type: "order_update", Topic: "public:news", Payload: []byte(`{"a":1}`), ID: "evt_1",
		TimeMS: at, Seq: 7}
	for _, c := range []struct {
		name   string
		change func(*message.Envelope)
	}{
		{"bare", func(*message.Envelope) {}},
		{"no_payload", func(e *message.Envelope) { e.Payload = nil }},
		{"history", func(e *message.Envelope) { e.Epoch = 0x0a }},
		{"cid", func(e *message.Envelope) { e.CID = "req \"1\"" }},
		{"pri", func(e *message.Envelope) { e.Priority = 9 }},
		{"event_version", func(e *message.Envelope) { e.EventVersion = 3 }},
		{"trace_id", func(e *message.Envelope) { e.TraceID = "tr-1" }},
		{"latency_ms", func(e *message.Envelope) { e.LatencyMS = 12 }},
		{"latency_unknown", func(e *message.Envelope) { e.LatencyMS = -1 }},
		{"system_category", func(e *message.Envelope) { e.Type, e.Category = "server_hello", message.System }},
		{"snapshot_category", func(e *message.Envelope) { e.Type, e.Category = "order_snapshot", message.Snapshot }},
		{"everything", func(e *message.Envelope) {
			*e = message.Envelope{Type: "broker_account_update", Topic: "user:u1:broker_account_events",
				Payload: []byte(`{"original_event_type":"BrokerAccountLinked","broker_account_id":"acc_123","status":"linked"}`),
				ID:      "evt_2", TimeMS: at + 500, Seq: 1, Epoch: 0x6543beef, CID: "c", Priority: 8, TraceID: "t",
				EventVersion: 1, LatencyMS: 5}
		}},
		{"enc", func(e *message.Envelope) { e.Encrypted = true }},
		{"hostile_strings", func(e *message.Envelope) { e.Type, e.ID = "a\"b\\\x00\u2028", "\xff</script>" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := base
			c.change(&env)
			golden(t, "publication_"+c.name, wse.Dialect{}.AppendPublication(nil, &env))
		})
	}
}

func TestANoticeToManyIsWrittenAsAReplyWithoutANumber(t *testing.T) {
	member := message.Member{UserID: "u1", Data: []byte(`{"mood":"good"}`), Connections: 2, SinceMS: at}
	for kind := range message.PresenceKinds {
		env := &message.Envelope{Type: kind.String(), Topic: "public:room", ID: "prs_1", TimeMS: at,
			Notice: &message.PresenceNotice{Kind: kind, Topic: "public:room", Version: 8, Member: member}}
		golden(t, "notice_"+kind.String(), wse.Dialect{}.AppendPublication(nil, env))
	}
}

func TestTheTypeLiesWithinTheFirst25Bytes(t *testing.T) {
	pong := wse.Dialect{}.AppendReply(nil, &message.Reply{Body: &message.Pong{}})
	require.Contains(t, string(pong[:25]), `"t":"PONG"`)
	ping := wse.Dialect{}.AppendPublication(nil, &message.Envelope{Type: "ping"})
	require.Contains(t, string(ping[:25]), `"t":"ping"`)
}

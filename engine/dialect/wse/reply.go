package wse

import (
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// AppendReply writes one of the engine's own messages. They have no sequence number and no topic; an error carries
// priority 10 (PROTOCOL §2.7).
func (d Dialect) AppendReply(dst []byte, r *message.Reply) []byte {
	t := replyType(r.Body)
	dst = append(dst, `{"t":"`...)
	dst = append(dst, t...)
	dst = append(dst, `","p":{`...)
	from, compressed := len(dst)-1, false
	w := writer{dst: dst}
	writeBody(&w, r.Body)
	dst = append(w.dst, '}')
	if d.compress {
		dst, compressed = d.tools.compressPayload(dst, from)
	}
	dst = append(dst, `,"id":`...)
	dst = jsonscan.AppendQuoted(dst, r.ID)
	dst = append(dst, `,"ts":"`...)
	dst = dialect.AppendTime(dst, r.TimeMS)
	dst = append(dst, `","_msg_cat":"`...)
	dst = append(dst, message.CategoryOf(t).String()...)
	dst = append(dst, '"')
	if r.CID != "" {
		dst = append(dst, `,"cid":`...)
		dst = jsonscan.AppendQuoted(dst, r.CID)
	}
	if t == typeError {
		dst = append(dst, `,"pri":10`...)
	}
	if compressed {
		dst = append(dst, compressedMark...)
	}
	return append(dst, `,"v":2}`...)
}

const typeError = "error"

// replyType returns the t of a reply.
func replyType(body message.ReplyBody) string {
	switch b := body.(type) {
	case *message.Ready:
		return "server_ready"
	case *message.HelloAnswer:
		return "server_hello"
	case *message.Pong:
		return "PONG"
	case *message.HeartbeatNotice:
		return "heartbeat"
	case *message.Subscribed:
		return "subscription_update"
	case *message.SnapshotComplete:
		return "snapshot_complete"
	case *message.StateChange:
		return "connection_state_change"
	case *message.Authenticated:
		return "auth_response"
	case *message.State:
		return "connection_state_response"
	case *message.Health:
		return "health_check_response"
	case *message.Metrics:
		return "metrics_response"
	case *message.BatchResult:
		return "batch_message_result"
	case *message.Members:
		return "presence_response"
	case *message.PresenceAccepted:
		return "presence_update_response"
	case *message.PresenceNotice:
		return b.Kind.String()
	}
	return typeError
}

// writeBody writes the members of p. A body that this protocol has no message for becomes an internal error, which the
// golden files would show.
func writeBody(w *writer, body message.ReplyBody) {
	switch b := body.(type) {
	case *message.Ready:
		writeReady(w, b)
	case *message.HelloAnswer:
		writeHello(w, b)
	case *message.Pong:
		writePong(w, b)
	case *message.HeartbeatNotice:
		w.time("server_time", b.ServerTimeMS)
	case *message.Subscribed:
		writeSubscribed(w, b)
	case *message.SnapshotComplete:
		writeSnapshotComplete(w, b)
	case *message.StateChange:
		writeStateChange(w, b)
	case *message.Authenticated:
		writeAuthenticated(w, b)
	case *message.State:
		writeState(w, b)
	case *message.Health:
		writeHealth(w, b)
	case *message.Metrics:
		writeMetrics(w, &b.Counters)
	case *message.BatchResult:
		writeBatchResult(w, b)
	case *message.Members:
		writeMembers(w, b)
	case *message.PresenceAccepted:
		w.string("topic", string(b.Topic))
		w.bool("success", true)
	case *message.PresenceNotice:
		writePresenceNotice(w, b)
	case *message.Failure:
		writeFailure(w, b)
	default:
		writeError(w, message.Errorf(message.CodeInternal, "wse: protocol v2 has no message for %T", body))
	}
}

func writeReady(w *writer, b *message.Ready) {
	w.string("message", "Connected to WSE")
	w.begin("details", '{')
	w.int("version", Version)
	w.string("connection_id", b.ConnectionID)
	w.time("server_time", b.ServerTimeMS)
	w.string("user_id", b.UserID)
	writeFeatures(w, "features", b.Features)
	w.begin("endpoints", '{')
	w.int("heartbeat_interval", b.HeartbeatMS)
	w.int("idle_timeout", b.IdleTimeoutMS)
	w.int("reconnect_jitter", b.ReconnectJitterMS)
	w.end('}')
	w.end('}')
}

// writeHello writes the features twice: PROTOCOL §2.2 calls them supported_features, and published clients read features.
func writeHello(w *writer, b *message.HelloAnswer) {
	w.string("server_version", b.ServerVersion)
	w.int("protocol_version", Version)
	writeFeatures(w, "supported_features", b.Features)
	writeFeatures(w, "features", b.Features)
	w.string("connection_id", b.ConnectionID)
	w.time("server_time", b.ServerTimeMS)
	w.begin("limits", '{')
	w.int("max_message_bytes", int64(b.Limits.MessageBytesMax))
	w.int("max_topics", int64(b.Limits.TopicsMax))
	w.int("requests_per_second", int64(b.Limits.RequestsPerSec))
	w.int("requests_burst", int64(b.Limits.RequestsBurst))
	w.int("bytes_per_second", int64(b.Limits.BytesPerSec))
	if b.Limits.EncryptedMessagesMax > 0 {
		w.int("encrypted_messages_max", int64(b.Limits.EncryptedMessagesMax))
	}
	w.end('}')
	if b.PublicKey != "" {
		w.string("encryption_public_key", b.PublicKey)
	}
}

func writeFeatures(w *writer, key string, f message.Features) {
	w.begin(key, '{')
	w.bool("compression", f.Compression)
	w.bool("encryption", f.Encryption)
	w.bool("priority_queue", f.PriorityQueue)
	w.bool("recovery", f.Recovery)
	w.bool("presence", f.Presence)
	w.bool("batching", f.Batching)
	w.bool("msgpack", f.MessagePack)
	w.end('}')
}

// writePong answers a ping. A client whose clock is ahead gets a latency of 0 rather than a negative one.
func writePong(w *writer, b *message.Pong) {
	if b.ClientTimestamp != 0 {
		w.int("client_timestamp", b.ClientTimestamp)
	}
	w.int("server_timestamp", b.ServerTimestamp)
	if b.ClientTimestamp != 0 {
		w.int("latency_ms", max(0, b.ServerTimestamp-b.ClientTimestamp))
	}
	w.string("connection_id", b.ConnectionID)
}

func writeSubscribed(w *writer, b *message.Subscribed) {
	w.string("action", b.Action)
	w.bool("success", b.Success)
	w.string("message", b.Message)
	w.topics("topics", b.Topics)
	w.topics("success_topics", b.SuccessTopics)
	w.begin("failed_topics", '[')
	for i := range b.FailedTopics {
		f := &b.FailedTopics[i]
		w.open('{')
		w.string("topic", f.Topic)
		w.string("error", dialect.SpellingOf(f.Err.Code).WSE)
		w.string("reason", f.Err.Message)
		w.end('}')
	}
	w.end(']')
	w.topics("already_subscribed", b.AlreadySubscribed)
	w.topics("active_subscriptions", b.Topics)
	w.begin("subscription_limits", '{')
	w.int("max_topics", int64(b.MaxTopics))
	w.int("current_topics", int64(len(b.Topics)))
	w.end('}')
	if len(b.Recovery) != 0 {
		writeRecovery(w, b.Recovery)
	}
}

func writeRecovery(w *writer, recovery []message.Recovered) {
	w.begin("recovery", '{')
	for i := range recovery {
		r := &recovery[i]
		w.begin(string(r.Topic), '{')
		w.key("epoch")
		w.dst = append(appendEpoch(append(w.dst, '"'), r.Epoch), '"')
		w.uint("offset", r.Offset)
		w.bool("recovered", r.Recovered)
		w.int("count", int64(r.Count))
		w.end('}')
	}
	w.end('}')
}

func writeSnapshotComplete(w *writer, b *message.SnapshotComplete) {
	w.int("snapshots_sent", int64(b.SnapshotsSent))
	w.begin("details", '{')
	w.topics("topics", b.Topics)
	w.int("history_sent", int64(b.HistorySent))
	w.end('}')
}

func writeStateChange(w *writer, b *message.StateChange) {
	w.string("old_state", b.OldState)
	w.string("new_state", b.NewState)
	if b.Reason != "" {
		w.string("reason", b.Reason)
	}
	w.uint("dropped", b.Dropped)
	if b.RetryAfterMS != 0 {
		w.int("retry_after_ms", b.RetryAfterMS)
	}
}

func writeAuthenticated(w *writer, b *message.Authenticated) {
	w.bool("success", true)
	w.string("user_id", b.UserID)
	if b.ExpiresMS != 0 {
		w.time("expires_at", b.ExpiresMS)
	}
}

func writeState(w *writer, b *message.State) {
	w.string("connection_id", b.ConnectionID)
	w.string("user_id", b.UserID)
	w.string("state", b.State)
	w.time("connected_at", b.ConnectedMS)
	w.topics("topics", b.Topics)
	if b.ExpiresMS != 0 {
		w.time("expires_at", b.ExpiresMS)
	}
}

func writeHealth(w *writer, b *message.Health) {
	w.string("status", b.Status)
	w.time("server_time", b.ServerTimeMS)
	w.int("uptime_ms", b.UptimeMS)
	w.int("connections", int64(b.Connections))
}

func writeMetrics(w *writer, c *message.ConnectionCounters) {
	w.uint("messages_sent", c.MessagesSent)
	w.uint("messages_received", c.MessagesReceived)
	w.uint("bytes_sent", c.BytesSent)
	w.uint("bytes_received", c.BytesReceived)
	w.uint("dropped", c.Dropped)
	w.uint("queued_bytes", c.QueuedBytes)
}

func writeBatchResult(w *writer, b *message.BatchResult) {
	failed := 0
	for i := range b.Results {
		if b.Results[i].Err != nil {
			failed++
		}
	}
	w.int("total", int64(len(b.Results)))
	w.int("successful", int64(len(b.Results)-failed))
	w.int("failed", int64(failed))
	w.begin("results", '[')
	for i := range b.Results {
		item := &b.Results[i]
		w.open('{')
		if item.ID != "" {
			w.string("id", item.ID)
		}
		w.bool("success", item.Err == nil)
		if item.Err != nil {
			w.begin("error", '{')
			writeError(w, item.Err)
			w.end('}')
		}
		w.end('}')
	}
	w.end(']')
}

// writeError writes the members of an error. Details that nobody gave are an empty object, because clients read into them.
func writeError(w *writer, err *message.Error) { writeFailure(w, &message.Failure{Err: err}) }

// writeFailure is writeError for what may be a warning only.
func writeFailure(w *writer, b *message.Failure) {
	s := dialect.SpellingOf(b.Err.Code)
	if b.Warning {
		s.Severity = "warning"
	}
	w.string("code", s.WSE)
	w.string("message", b.Err.Message)
	w.key("details")
	w.dst = appendObject(w.dst, b.Err.Details)
	w.bool("recoverable", s.Recoverable)
	w.string("severity", s.Severity)
}

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
	w := dialect.Writer{Dst: dst}
	writeBody(&w, r.Body)
	dst = append(w.Dst, '}')
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
	case *message.Subscribed, *message.Restarted:
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
func writeBody(w *dialect.Writer, body message.ReplyBody) {
	switch b := body.(type) {
	case *message.Ready:
		writeReady(w, b)
	case *message.HelloAnswer:
		writeHello(w, b)
	case *message.Pong:
		writePong(w, b)
	case *message.HeartbeatNotice:
		w.Time("server_time", b.ServerTimeMS)
	case *message.Subscribed:
		writeSubscribed(w, b)
	case *message.Restarted:
		writeRestarted(w, b)
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
		w.String("topic", string(b.Topic))
		w.Bool("success", true)
	case *message.PresenceNotice:
		writePresenceNotice(w, b)
	case *message.Failure:
		writeFailure(w, b)
	default:
		writeError(w, message.Errorf(message.CodeInternal, "wse: protocol v2 has no message for %T", body))
	}
}

func writeReady(w *dialect.Writer, b *message.Ready) {
	w.String("message", "Connected to WSE")
	w.Begin("details", '{')
	w.Int("version", Version)
	w.String("connection_id", b.ConnectionID)
	w.Time("server_time", b.ServerTimeMS)
	w.String("user_id", b.UserID)
	writeFeatures(w, "features", b.Features)
	w.Begin("endpoints", '{')
	w.Int("heartbeat_interval", b.HeartbeatMS)
	w.Int("idle_timeout", b.IdleTimeoutMS)
	w.Int("reconnect_jitter", b.ReconnectJitterMS)
	w.End('}')
	w.End('}')
}

// writeHello writes the features twice: PROTOCOL §2.2 calls them supported_features, and published clients read features.
func writeHello(w *dialect.Writer, b *message.HelloAnswer) {
	w.String("server_version", b.ServerVersion)
	w.Int("protocol_version", Version)
	writeFeatures(w, "supported_features", b.Features)
	writeFeatures(w, "features", b.Features)
	w.String("connection_id", b.ConnectionID)
	w.Time("server_time", b.ServerTimeMS)
	w.Begin("limits", '{')
	w.Int("max_message_bytes", int64(b.Limits.MessageBytesMax))
	w.Int("max_topics", int64(b.Limits.TopicsMax))
	w.Int("requests_per_second", int64(b.Limits.RequestsPerSec))
	w.Int("requests_burst", int64(b.Limits.RequestsBurst))
	w.Int("bytes_per_second", int64(b.Limits.BytesPerSec))
	if b.Limits.EncryptedMessagesMax > 0 {
		w.Int("encrypted_messages_max", int64(b.Limits.EncryptedMessagesMax))
	}
	w.End('}')
	if b.PublicKey != "" {
		w.String("encryption_public_key", b.PublicKey)
	}
}

func writeFeatures(w *dialect.Writer, key string, f message.Features) {
	w.Begin(key, '{')
	w.Bool("compression", f.Compression)
	w.Bool("encryption", f.Encryption)
	w.Bool("priority_queue", f.PriorityQueue)
	w.Bool("recovery", f.Recovery)
	w.Bool("presence", f.Presence)
	w.Bool("batching", f.Batching)
	w.Bool("msgpack", f.MessagePack)
	w.End('}')
}

// writePong answers a ping. A client whose clock is ahead gets a latency of 0 rather than a negative one.
func writePong(w *dialect.Writer, b *message.Pong) {
	if b.ClientTimestamp != 0 {
		w.Int("client_timestamp", b.ClientTimestamp)
	}
	w.Int("server_timestamp", b.ServerTimestamp)
	if b.ClientTimestamp != 0 {
		w.Int("latency_ms", max(0, b.ServerTimestamp-b.ClientTimestamp))
	}
	w.String("connection_id", b.ConnectionID)
}

func writeSubscribed(w *dialect.Writer, b *message.Subscribed) {
	w.String("action", b.Action)
	w.Bool("success", b.Success)
	w.String("message", b.Message)
	dialect.WriteTexts(w, "topics", b.Topics)
	dialect.WriteTexts(w, "success_topics", b.SuccessTopics)
	w.Begin("failed_topics", '[')
	for i := range b.FailedTopics {
		f := &b.FailedTopics[i]
		w.Open('{')
		w.String("topic", f.Topic)
		w.String("error", dialect.SpellingOf(f.Err.Code).WSE)
		w.String("reason", f.Err.Message)
		w.End('}')
	}
	w.End(']')
	dialect.WriteTexts(w, "already_subscribed", b.AlreadySubscribed)
	dialect.WriteTexts(w, "active_subscriptions", b.Topics)
	w.Begin("subscription_limits", '{')
	w.Int("max_topics", int64(b.MaxTopics))
	w.Int("current_topics", int64(len(b.Topics)))
	w.End('}')
	if len(b.Recovery) != 0 {
		writeRecovery(w, b.Recovery)
	}
}

// writeRestarted has the members that an answer has, but for those that say what else the connection is subscribed to: these
// bytes are shared by all who get them.
func writeRestarted(w *dialect.Writer, b *message.Restarted) {
	w.String("action", "recover")
	w.Bool("success", !b.Withheld)
	topics, text := []message.Topic{b.Topic}, "publications may be missing; a retained snapshot follows where there is one, sync_request brings the history"
	if b.Withheld {
		topics, text = nil, "publications may be missing; subscribe again with recover for what there is"
	}
	w.String("message", text)
	dialect.WriteTexts(w, "success_topics", topics)
	w.Begin("failed_topics", '[')
	if b.Withheld {
		w.Open('{')
		w.String("topic", string(b.Topic))
		w.String("error", dialect.SpellingOf(message.CodeSyncFailed).WSE)
		w.String("reason", "too much waits to be read")
		w.End('}')
	}
	w.End(']')
	writeRecovery(w, []message.Recovered{{Topic: b.Topic, Epoch: b.Epoch, Offset: b.Offset}})
}

func writeRecovery(w *dialect.Writer, recovery []message.Recovered) {
	w.Begin("recovery", '{')
	for i := range recovery {
		r := &recovery[i]
		w.Begin(string(r.Topic), '{')
		w.Key("epoch")
		w.Dst = append(appendEpoch(append(w.Dst, '"'), r.Epoch), '"')
		w.Uint("offset", r.Offset)
		w.Bool("recovered", r.Recovered)
		w.Int("count", int64(r.Count))
		w.End('}')
	}
	w.End('}')
}

func writeSnapshotComplete(w *dialect.Writer, b *message.SnapshotComplete) {
	w.Int("snapshots_sent", int64(b.SnapshotsSent))
	w.Begin("details", '{')
	dialect.WriteTexts(w, "topics", b.Topics)
	w.Int("history_sent", int64(b.HistorySent))
	w.End('}')
}

func writeStateChange(w *dialect.Writer, b *message.StateChange) {
	w.String("old_state", b.OldState)
	w.String("new_state", b.NewState)
	if b.Reason != "" {
		w.String("reason", b.Reason)
	}
	w.Uint("dropped", b.Dropped)
	if b.RetryAfterMS != 0 {
		w.Int("retry_after_ms", b.RetryAfterMS)
	}
}

func writeAuthenticated(w *dialect.Writer, b *message.Authenticated) {
	w.Bool("success", true)
	w.String("user_id", b.UserID)
	if b.ExpiresMS != 0 {
		w.Time("expires_at", b.ExpiresMS)
	}
}

func writeState(w *dialect.Writer, b *message.State) {
	w.String("connection_id", b.ConnectionID)
	w.String("user_id", b.UserID)
	w.String("state", b.State)
	w.Time("connected_at", b.ConnectedMS)
	dialect.WriteTexts(w, "topics", b.Topics)
	if b.ExpiresMS != 0 {
		w.Time("expires_at", b.ExpiresMS)
	}
}

func writeHealth(w *dialect.Writer, b *message.Health) {
	w.String("status", b.Status)
	w.Time("server_time", b.ServerTimeMS)
	w.Int("uptime_ms", b.UptimeMS)
	w.Int("connections", int64(b.Connections))
}

func writeMetrics(w *dialect.Writer, c *message.ConnectionCounters) {
	w.Uint("messages_sent", c.MessagesSent)
	w.Uint("messages_received", c.MessagesReceived)
	w.Uint("bytes_sent", c.BytesSent)
	w.Uint("bytes_received", c.BytesReceived)
	w.Uint("dropped", c.Dropped)
	w.Uint("queued_bytes", c.QueuedBytes)
}

func writeBatchResult(w *dialect.Writer, b *message.BatchResult) {
	failed := 0
	for i := range b.Results {
		if b.Results[i].Err != nil {
			failed++
		}
	}
	w.Int("total", int64(len(b.Results)))
	w.Int("successful", int64(len(b.Results)-failed))
	w.Int("failed", int64(failed))
	w.Begin("results", '[')
	for i := range b.Results {
		item := &b.Results[i]
		w.Open('{')
		if item.ID != "" {
			w.String("id", item.ID)
		}
		w.Bool("success", item.Err == nil)
		if item.Err != nil {
			w.Begin("error", '{')
			writeError(w, item.Err)
			w.End('}')
		}
		w.End('}')
	}
	w.End(']')
}

// writeError writes the members of an error. Details that nobody gave are an empty object, because clients read into them.
func writeError(w *dialect.Writer, err *message.Error) { writeFailure(w, &message.Failure{Err: err}) }

// writeFailure is writeError for what may be a warning only.
func writeFailure(w *dialect.Writer, b *message.Failure) {
	s := dialect.SpellingOf(b.Err.Code)
	if b.Warning {
		s.Severity = "warning"
	}
	w.String("code", s.WSE)
	w.String("message", b.Err.Message)
	w.Key("details")
	w.Dst = appendObject(w.Dst, b.Err.Details)
	w.Bool("recoverable", s.Recoverable)
	w.String("severity", s.Severity)
}

package wsapi

import (
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// AppendReply writes one of the engine's own messages (PROTOCOL §3.1): type, version, timestamp, the id of the request it
// answers, the status, and what the status brings with it.
func (d Dialect) AppendReply(dst []byte, r *message.Reply) []byte {
	switch b := r.Body.(type) {
	case *message.Failure:
		return appendFailure(dst, r, b)
	case *message.Seed:
		return appendSeed(dst, r.TimeMS, b)
	}
	kind, status := spelling(r.Body)
	w := dialect.Writer{Dst: appendHead(dst, kind, r.TimeMS, r.CID)}
	if status != "" {
		w.String("status", status)
	}
	if !writeStatus(&w, r.Body) && !writeSession(&w, r.Body) && !writeStrategy(&w, r.Body) && !writeCollection(&w, r.Body) {
		return appendFailure(dst, r, &message.Failure{Err: message.Errorf(message.CodeInternal, "wsapi: protocol v1 has no message for %T", r.Body)})
	}
	w.End('}')
	return w.Dst
}

// appendHead begins a message with what every message has; id is JSON, or empty.
func appendHead(dst []byte, kind string, timeMS int64, id string) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","version":"`+Version+`","timestamp":"`...)
	dst = append(dialect.AppendTime(dst, timeMS), '"')
	if id != "" {
		dst = append(dst, `,"id":`...)
		dst = append(dst, id...)
	}
	return dst
}

// The types of messages (PROTOCOL §3.1).
const (
	typeResponse = "response"
	typeStatus   = "status"
	typeError    = "error"
	typeAck      = "handshake_ack"
)

// spelling returns the type of a reply and its status.
func spelling(body message.ReplyBody) (kind, status string) {
	switch b := body.(type) {
	case *message.Ready:
		return typeStatus, "connected"
	case *message.Pong:
		return typeStatus, "pong"
	case *message.HeartbeatNotice:
		return typeStatus, "heartbeat"
	case *message.StateChange:
		return typeStatus, "connection_state_change"
	case *message.Subscribed:
		return typeStatus, "subscription_update"
	case *message.SnapshotComplete:
		return typeStatus, "snapshot_complete"
	case *message.Restarted:
		return typeStatus, "stream_interrupted"
	case *message.HandshakeAck:
		return typeAck, "accepted"
	case *message.Authenticated:
		return typeResponse, "authenticated"
	case *message.TokenRefreshed:
		return typeResponse, "token_refreshed"
	case *message.StreamAnswer:
		return typeResponse, either(b.Left, "unsubscribed", "subscribed")
	case *message.SessionStarted:
		return typeResponse, "session_started"
	case *message.SessionChanged:
		return typeResponse, [...]string{"session_stopped", "session_paused", "session_resumed"}[b.Change]
	case *message.SessionStatus:
		return typeResponse, either(b.Session == nil, "no_active_session", "session_status")
	case *message.SessionList:
		return typeResponse, "sessions_list"
	case *message.ResultsAnswer:
		return typeResponse, "results"
	case *message.StrategiesList:
		return typeResponse, "strategies_list"
	case *message.StrategyActivated:
		return typeResponse, either(b.Deactivated, "strategy_deactivated", "strategy_activated")
	case *message.StrategyStates:
		return typeResponse, either(b.Strategy == "", "all_strategies_status", "strategy_status")
	case *message.StrategyValidation:
		return typeResponse, "strategy_validation"
	case *message.StrategyUpserted:
		return typeResponse, "strategy_upserted"
	case *message.CollectionStarted:
		return typeResponse, "collection_started"
	case *message.CollectionStopped:
		return typeResponse, "collection_stopped"
	case *message.CollectionStatus:
		return typeResponse, either(b.Collection == nil, "no_active_collection", "collection_status")
	}
	return typeStatus, ""
}

func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

// appendFailure writes an error, or the warning of one. Details stand beside it at the top level.
func appendFailure(dst []byte, r *message.Reply, b *message.Failure) []byte {
	kind := typeError
	if b.Warning {
		kind = typeStatus
	}
	w := dialect.Writer{Dst: appendHead(dst, kind, r.TimeMS, r.CID)}
	if b.Warning {
		w.String("status", "warning")
	}
	s := dialect.SpellingOf(b.Err.Code)
	w.String("error_code", s.API)
	w.String("error_message", b.Err.Message)
	w.Bool("recoverable", s.Recoverable)
	for it := jsonscan.Members(b.Err.Details); len(b.Err.Details) > 0 && it.Next(); {
		switch name := string(it.Key()); name {
		case "type", "version", "timestamp", "id", "status", "error_code", "error_message", "recoverable":
		default:
			w.Raw(name, it.Value())
		}
	}
	w.End('}')
	return w.Dst
}

// writeStatus writes the messages about the connection and its streams.
func writeStatus(w *dialect.Writer, body message.ReplyBody) bool {
	switch b := body.(type) {
	case *message.Ready:
		writeReady(w, b)
	case *message.Pong:
		if b.ClientTimestamp != 0 {
			w.Int("client_timestamp", b.ClientTimestamp)
		}
		w.Int("server_timestamp", b.ServerTimestamp)
		w.String("client_id", b.ConnectionID)
	case *message.HeartbeatNotice:
		w.Time("server_time", b.ServerTimeMS)
	case *message.StateChange:
		w.String("old_state", b.OldState)
		w.String("new_state", b.NewState)
		w.String("reason", b.Reason)
		w.Uint("dropped", b.Dropped)
		if b.RetryAfterMS != 0 {
			w.Int("retry_after_ms", b.RetryAfterMS)
		}
	case *message.Subscribed:
		writeSubscribed(w, b)
	case *message.SnapshotComplete:
		dialect.WriteTexts(w, "topics", b.Topics)
	case *message.Restarted:
		writeRestarted(w, b)
	case *message.HandshakeAck:
		w.String("client_id", b.ConnectionID)
		w.Time("server_time", b.ServerTimeMS)
		w.String("protocol_version", Version)
		writeFeatures(w, "capabilities")
	case *message.Authenticated:
		w.String("user_id", b.UserID)
		dialect.WriteTexts(w, "permissions", b.Permissions)
		if b.ExpiresMS != 0 {
			w.Time("session_expires", b.ExpiresMS)
		}
	case *message.TokenRefreshed:
		w.String("access_token", b.AccessToken)
		w.String("refresh_token", b.RefreshToken)
		w.String("token_type", "Bearer")
		w.Int("expires_in", int64(b.ExpiresIn.Seconds()))
	case *message.StreamAnswer:
		w.String("stream", b.Stream)
		w.Key("params")
		w.Dst = append(w.Dst, orEmpty(b.Params)...)
		writeID(w, "session_id", b.SessionID)
	default:
		return false
	}
	return true
}

func writeReady(w *dialect.Writer, b *message.Ready) {
	w.String("client_id", b.ConnectionID)
	w.Time("server_time", b.ServerTimeMS)
	writeFeatures(w, "features")
	w.Bool("authenticated", b.UserID != "")
	if b.UserID != "" {
		w.String("user_id", b.UserID)
	}
	w.Int("heartbeat_interval", b.HeartbeatMS)
	w.Int("idle_timeout", b.IdleTimeoutMS)
}

func writeFeatures(w *dialect.Writer, key string) {
	dialect.WriteTexts(w, key, []string{
		"streams", "sessions", "strategies", "strategy_validation", "results", "data_collection", "token_refresh",
	})
}

// writeSubscribed tells of topics that the connection got by its token, or lost since they are allowed no more.
func writeSubscribed(w *dialect.Writer, b *message.Subscribed) {
	w.String("action", b.Action)
	w.String("message", b.Message)
	dialect.WriteTexts(w, "success_topics", b.SuccessTopics)
	w.Begin("failed_topics", '[')
	for i := range b.FailedTopics {
		f := &b.FailedTopics[i]
		w.Open('{')
		w.String("topic", f.Topic)
		w.String("error_code", dialect.SpellingOf(f.Err.Code).API)
		w.String("error_message", f.Err.Message)
		w.End('}')
	}
	w.End(']')
	dialect.WriteTexts(w, "topics", b.Topics)
}

// writeRestarted tells that a topic's publications do not go on where they stopped: which streams it brings, and which symbol
// or name it is of where they are shared.
func writeRestarted(w *dialect.Writer, b *message.Restarted) {
	streams, name := streamsOn(b.Topic)
	dialect.WriteTexts(w, "streams", streams)
	writeID(w, "symbol", name)
	w.String("message", "messages may be missing; subscribe again for the last values")
}

// writeID writes an id, and null where there is none.
func writeID(w *dialect.Writer, key, id string) {
	if id == "" {
		w.Raw(key, nil)
		return
	}
	w.String(key, id)
}

func orEmpty(object []byte) []byte {
	if len(object) == 0 {
		return []byte("{}")
	}
	return object
}

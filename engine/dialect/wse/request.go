package wse

import (
	"bytes"
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// intern returns the types of the protocol without copying them.
func intern(t []byte) string {
	switch string(t) {
	case "client_hello":
		return "client_hello"
	case "ping":
		return "ping"
	case "PING":
		return "PING"
	case "PONG":
		return "PONG"
	case "heartbeat":
		return "heartbeat"
	case "subscription_update":
		return "subscription_update"
	case "subscription":
		return "subscription"
	case "sync_request":
		return "sync_request"
	case "health_check":
		return "health_check"
	}
	return string(t)
}

// decodeBody reads what a request of type t asks (PROTOCOL §2.3).
func decodeBody(r *reader, t string, f *fields) message.Body {
	switch t {
	case "heartbeat", "PONG", "pong":
		return &message.Heartbeat{} // whatever it carries
	}
	p := r.object("p", f.p.raw)
	switch t {
	case "client_hello":
		return decodeHello(r, p)
	case "ping", "PING":
		return decodePing(r, p)
	case "subscription_update", "subscription":
		return decodeSubscribe(r, p)
	case "sync_request":
		return decodeSync(r, p)
	case "auth":
		return decodeAuth(r, p)
	case "connection_state_request":
		return &message.StateRequest{}
	case "health_check":
		return &message.HealthCheck{}
	case "metrics_request":
		return &message.MetricsRequest{}
	case "presence_request":
		return decodePresence(r, p)
	case "presence_update":
		return decodePresenceUpdate(r, p)
	}
	return &message.Publish{
		Payload:      bytes.Clone(p),
		TraceID:      r.name("trace_id", f.trace.raw, idBytesMax),
		EventVersion: int(r.integer("event_version", f.version.raw, 0, 1<<31-1)),
	}
}

func decodeHello(r *reader, p []byte) message.Body {
	b := &message.Hello{}
	for it := jsonscan.Members(p); it.Next(); {
		raw := it.Value()
		switch string(it.Key()) {
		case "version":
			// Some clients mean their own version by it, some the protocol's.
			if jsonscan.KindOf(raw) == jsonscan.KindString {
				b.ClientVersion = r.text("p.version", raw)
			} else {
				b.ProtocolVersion = int(r.integer("p.version", raw, 0, 1<<31-1))
			}
		case "client_version":
			b.ClientVersion = r.text("p.client_version", raw)
		case "protocol_version":
			b.ProtocolVersion = int(r.integer("p.protocol_version", raw, 0, 1<<31-1))
		case "features":
			b.Features = bytes.Clone(raw)
		case "encryption_public_key":
			b.PublicKey = r.text("p.encryption_public_key", raw)
		}
	}
	return b
}

func decodePing(r *reader, p []byte) message.Body {
	b := &message.Ping{}
	for it := jsonscan.Members(p); it.Next(); {
		if string(it.Key()) == "timestamp" {
			b.ClientTimestamp = r.timestamp("p.timestamp", it.Value())
		}
	}
	return b
}

func decodeSubscribe(r *reader, p []byte) message.Body {
	b := &message.Subscribe{}
	for it := jsonscan.Members(p); it.Next(); {
		raw := it.Value()
		switch string(it.Key()) {
		case "action":
			b.Action = internAction(r.textBytes("p.action", raw))
		case "topics":
			b.Topics = r.texts("p.topics", raw)
		case "event_types":
			b.EventTypes = decodeEventTypes(r, raw)
		case "recover":
			b.Recover = r.bool("p.recover", raw, false)
		case "recovery":
			b.Recovery = decodeRecovery(r, raw)
		}
	}
	return b
}

func internAction(action []byte) string {
	switch string(action) {
	case "subscribe":
		return "subscribe"
	case "unsubscribe":
		return "unsubscribe"
	}
	return string(action)
}

func decodeEventTypes(r *reader, raw []byte) map[string][]string {
	if jsonscan.IsNull(raw) {
		return nil
	}
	types := make(map[string][]string)
	for it := jsonscan.Members(r.object("p.event_types", raw)); it.Next(); {
		topic := string(it.Key())
		if wanted := r.texts(fmt.Sprintf("p.event_types[%q]", topic), it.Value()); wanted != nil {
			types[topic] = wanted
		}
	}
	return types
}

func decodeRecovery(r *reader, raw []byte) map[string]message.RecoverPosition {
	if jsonscan.IsNull(raw) {
		return nil
	}
	positions := make(map[string]message.RecoverPosition)
	for it := jsonscan.Members(r.object("p.recovery", raw)); it.Next(); {
		topic := string(it.Key())
		position, field, reason := decodePosition(it.Value())
		if reason != "" {
			r.fail(fmt.Sprintf("p.recovery[%q]%s", topic, field), reason)
			return nil
		}
		positions[topic] = position
	}
	return positions
}

// decodePosition reads {"epoch":"0000beef","offset":42}. If reason is not empty it says what is wrong with the field.
func decodePosition(raw []byte) (p message.RecoverPosition, field, reason string) {
	if jsonscan.KindOf(raw) != jsonscan.KindObject {
		return p, "", "must be an object with epoch and offset, not " + jsonscan.KindOf(raw).String()
	}
	var epoch, offset []byte
	for it := jsonscan.Members(raw); it.Next(); {
		switch string(it.Key()) {
		case "epoch":
			epoch = it.Value()
		case "offset":
			offset = it.Value()
		}
	}
	text, err := jsonscan.Text(epoch)
	ok := err == nil
	if p.Epoch, ok = parseEpoch(text, ok); !ok {
		return p, ".epoch", "must be a string of eight hexadecimal digits, as in the e of a publication"
	}
	if p.Offset, err = jsonscan.Uint(offset); err != nil {
		return p, ".offset", "must be an integer of at least 0, as in the o of a publication"
	}
	return p, "", ""
}

func parseEpoch(text []byte, ok bool) (message.Epoch, bool) {
	if !ok || len(text) != 8 {
		return 0, false
	}
	var e message.Epoch
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		e = e<<4 | message.Epoch(c)
	}
	return e, true
}

// decodeSync reads a sync_request. Without include_snapshots the snapshots are meant: it is what the request is for.
func decodeSync(r *reader, p []byte) message.Body {
	b := &message.Sync{IncludeSnapshots: true}
	for it := jsonscan.Members(p); it.Next(); {
		raw := it.Value()
		switch string(it.Key()) {
		case "topics":
			b.Topics = r.texts("p.topics", raw)
		case "include_snapshots":
			b.IncludeSnapshots = r.bool("p.include_snapshots", raw, true)
		case "include_history":
			b.IncludeHistory = r.bool("p.include_history", raw, false)
		case "last_sequence":
			b.LastSequence = uint64(r.integer("p.last_sequence", raw, 0, 1<<63-1))
		}
	}
	return b
}

func decodeAuth(r *reader, p []byte) message.Body {
	b := &message.Authenticate{}
	for it := jsonscan.Members(p); it.Next(); {
		if string(it.Key()) == "token" {
			b.Token = r.text("p.token", it.Value())
		}
	}
	return b
}

package ingest

import (
	"bytes"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// ParseForeign reads what a program that is no node published on topic's channel: an envelope as protocol v2 writes it, if it
// has a member t, p, event_type or v, else a domain event, as [Ingest.ParseEvent] reads it. One of the two results is nil.
//
// Both are topic's, and may not name another. Of an envelope all names of protocol v2 are known. What only the engine decides
// (seq, epoch, latency_ms, _msg_cat) is read by nobody; a payload that is compressed is refused. An event that names no user is
// the topic's owner's. The event's payload is a part of raw. The error is a [*message.Error] that names the field.
func (in *Ingest) ParseForeign(topic message.Topic, raw []byte) (*message.Envelope, *message.Event, error) {
	if err := in.checkSize(raw); err != nil {
		return nil, nil, err
	}
	if isEnvelope(raw) {
		env, err := in.parseForeignEnvelope(topic, raw)
		return env, nil, err
	}
	ev, err := in.ParseEvent(raw)
	if err != nil {
		return nil, nil, err
	}
	if ev.Topic != "" && ev.Topic != topic {
		return nil, nil, invalid("topic: is %q, but it was published on the channel of %q", ev.Topic, topic)
	}
	ev.Topic = topic
	if ev.UserID == "" {
		ev.UserID = topic.Owner()
	}
	return nil, ev, nil
}

// isEnvelope reports whether an object is an envelope and no domain event.
func isEnvelope(raw []byte) bool {
	it := jsonscan.Members(raw)
	for it.Next() {
		switch string(it.Key()) {
		case "t", "p", "event_type", "v":
			return true
		}
	}
	return false
}

func (in *Ingest) parseForeignEnvelope(topic message.Topic, raw []byte) (*message.Envelope, error) {
	var f fields
	var kind, payload, id, cid, trace []byte
	env := &message.Envelope{LatencyMS: -1, Topic: topic}
	it := jsonscan.Members(raw)
	for it.Next() {
		value := it.Value()
		switch key := it.Key(); string(key) {
		case "t", "type", "event_type":
			kind = f.text(fieldT, value, in.cfg.TypeBytesMax)
		case "p", "payload":
			payload = f.object(fieldP, value)
		case "topic":
			f.same(fieldTopic, value, topic)
		case "id":
			id = f.text(fieldID, value, in.cfg.IDBytesMax)
		case "cid", "correlation_id":
			cid = f.text(fieldCID, value, in.cfg.IDBytesMax)
		case "trace_id":
			trace = f.text(fieldTraceID, value, in.cfg.IDBytesMax)
		case "ts", "timestamp":
			env.TimeMS = f.time(fieldTime, value)
		case "pri", "priority":
			env.Priority = f.priority(fieldPriority, value)
		case "event_version":
			env.EventVersion = f.version(fieldVersion, value)
		case "enc", "encrypted":
			env.Encrypted = f.bool(fieldEncrypted, value)
		case "v", "version":
			f.integer(fieldProtocol, value, 2, 2)
		case "cmp", "compressed":
			if f.bool(fieldCompressed, value) {
				f.fail(fieldCompressed, "a payload is taken as it is, not compressed")
			}
		case "seq", "sequence", "epoch", "latency_ms", "_msg_cat", "c":
		default:
			f.unknown(key)
		}
	}
	f.require(fieldT, kind)
	f.require(fieldP, payload)
	env.Type, env.ID, env.CID, env.TraceID = string(kind), string(id), string(cid), string(trace)
	env.Payload = bytes.Clone(payload)
	if err := verdict("envelope", &it, &f); err != nil {
		return nil, err
	}
	return env, nil
}

// same requires that a document which names a topic names this one.
func (f *fields) same(name field, value []byte, topic message.Topic) {
	if got := f.text(name, value, message.TopicBytesMax); got != nil && string(got) != string(topic) {
		f.failf(name, "is %q, but it was published on the channel of %q", got, topic)
	}
}

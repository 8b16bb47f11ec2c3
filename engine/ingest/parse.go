package ingest

import (
	"context"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// PublishEventJSON parses one event and publishes it. See [Ingest.ParseEvent] and [Ingest.PublishEvent].
func (in *Ingest) PublishEventJSON(ctx context.Context, raw []byte) ([]Result, error) {
	ev, err := in.ParseEvent(raw)
	if err != nil {
		in.counters.refused.Add(1)
		return nil, err
	}
	return in.PublishEvent(ctx, ev)
}

// PublishJSON parses one envelope and publishes it. See [Ingest.ParsePublish] and [Ingest.Publish].
func (in *Ingest) PublishJSON(ctx context.Context, raw []byte) ([]Result, error) {
	env, err := in.ParsePublish(raw)
	if err != nil {
		in.counters.refused.Add(1)
		return nil, err
	}
	r, err := in.Publish(ctx, env)
	if err != nil {
		return nil, err
	}
	return []Result{r}, nil
}

// ParseEvent reads a domain event (PROTOCOL §2.8): {"type","payload","user_id"?,"topic"?,"id"?,"ts"?,"pri"?,"cid"?,
// "trace_id"?,"event_version"?}. A field that is null counts as absent; an unknown one is refused, because a misspelt
// field would be lost without a word. The payload is a part of raw. The error is a [*message.Error] that names the field.
func (in *Ingest) ParseEvent(raw []byte) (*message.Event, error) {
	if err := in.checkSize(raw); err != nil {
		return nil, err
	}
	var f fields
	var kind, userID, topic, id, cid, trace []byte
	ev := new(message.Event)
	it := jsonscan.Members(raw)
	for it.Next() {
		value := it.Value()
		switch key := it.Key(); string(key) {
		case "type":
			kind = f.text(fieldType, value, in.cfg.TypeBytesMax)
		case "payload":
			ev.Payload = f.object(fieldPayload, value)
		case "user_id":
			userID = f.text(fieldUserID, value, message.TopicSegmentBytesMax)
		case "topic":
			topic = f.text(fieldTopic, value, message.TopicBytesMax)
		case "id":
			id = f.text(fieldID, value, in.cfg.IDBytesMax)
		case "ts":
			ev.TimeMS = f.time(fieldTime, value)
		case "pri":
			ev.Priority = f.priority(fieldPriority, value)
		case "cid":
			cid = f.text(fieldCID, value, in.cfg.IDBytesMax)
		case "trace_id":
			trace = f.text(fieldTraceID, value, in.cfg.IDBytesMax)
		case "event_version":
			ev.EventVersion = f.version(fieldVersion, value)
		default:
			f.unknown(key)
		}
	}
	f.require(fieldType, kind)
	f.require(fieldPayload, ev.Payload)
	ev.Type, ev.UserID, ev.ID, ev.CID, ev.TraceID = string(kind), string(userID), string(id), string(cid), string(trace)
	ev.Topic = f.topic(topic)
	if _, err := message.UserTopic(ev.UserID, "events"); ev.UserID != "" && err != nil {
		f.fail(fieldUserID, "cannot be a segment of a topic: it has 1 to 128 of A-Z a-z 0-9 _ . @ -")
	}
	if err := verdict("event", &it, &f); err != nil {
		return nil, err
	}
	return ev, nil
}

// ParsePublish reads an envelope to publish: {"topic","t"|"type","p"|"payload","pri"?,"id"?,"cid"?,"ts"?,"trace_id"?,
// "event_version"?, "enc"?}. Unknown fields are refused as in [Ingest.ParseEvent]. Nothing of the envelope is a part of raw. The
// error is a [*message.Error] that names the field.
func (in *Ingest) ParsePublish(raw []byte) (*message.Envelope, error) {
	if err := in.checkSize(raw); err != nil {
		return nil, err
	}
	var f fields
	var kind, topic, payload, id, cid, trace []byte
	env := &message.Envelope{LatencyMS: -1}
	it := jsonscan.Members(raw)
	for it.Next() {
		value := it.Value()
		switch key := it.Key(); string(key) {
		case "topic":
			topic = f.text(fieldTopic, value, message.TopicBytesMax)
		case "t", "type":
			kind = f.text(fieldT, value, in.cfg.TypeBytesMax)
		case "p", "payload":
			payload = f.object(fieldP, value)
		case "pri":
			env.Priority = f.priority(fieldPriority, value)
		case "id":
			id = f.text(fieldID, value, in.cfg.IDBytesMax)
		case "cid":
			cid = f.text(fieldCID, value, in.cfg.IDBytesMax)
		case "ts":
			env.TimeMS = f.time(fieldTime, value)
		case "trace_id":
			trace = f.text(fieldTraceID, value, in.cfg.IDBytesMax)
		case "event_version":
			env.EventVersion = f.version(fieldVersion, value)
		case "enc":
			env.Encrypted = f.bool(fieldEncrypted, value)
		default:
			f.unknown(key)
		}
	}
	f.require(fieldTopic, topic)
	f.require(fieldT, kind)
	f.require(fieldP, payload)
	env.Type, env.ID, env.CID, env.TraceID = string(kind), string(id), string(cid), string(trace)
	env.Topic, env.Payload = f.topic(topic), append([]byte(nil), payload...)
	if err := verdict("envelope", &it, &f); err != nil {
		return nil, err
	}
	return env, nil
}

func (in *Ingest) checkSize(raw []byte) error {
	if most := in.EventBytesMax(); len(raw) > most {
		return message.Errorf(message.CodeMessageTooLarge, "has %d bytes, at most %d are taken; see limits.event_kib_max", len(raw), most)
	}
	return nil
}

// topic reads a topic's name, where there is one.
func (f *fields) topic(name []byte) message.Topic {
	if len(name) == 0 {
		return ""
	}
	topic, err := message.ParseTopic(string(name))
	if err != nil {
		f.fail(fieldTopic, err.Error())
	}
	return topic
}

// verdict turns what is wrong with a publisher's document into the error for it. Broken JSON comes first: what was read
// before it means nothing.
func verdict(what string, it *jsonscan.Iterator, f *fields) error {
	if err := it.Err(); err != nil {
		return &message.Error{Code: message.CodeInvalidMessage, Message: "the " + what + " is not a JSON object: " + err.Error()}
	}
	if f.err != nil {
		return message.Errorf(message.CodeInvalidArgument, "%s", f.err).WithDetails(map[string]string{"field": f.err.field})
	}
	return nil
}

// EventBytesMax returns how many bytes one event or envelope may have, as JSON.
func (in *Ingest) EventBytesMax() int { return in.cfg.EventKiBMax << 10 }

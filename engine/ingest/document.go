package ingest

import (
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// originalType is the member of a payload that tells the event's own name (WSE v2 §8).
const originalType = "original_event_type"

// appendEvent appends the document of ev that a transform plugin reads. It allocates nothing but room in dst.
func appendEvent(dst []byte, ev *message.Event) []byte {
	dst = jsonscan.AppendQuoted(append(dst, `{"type":`...), ev.Type)
	dst = append(append(dst, `,"payload":`...), ev.Payload...)
	dst = appendText(dst, `,"user_id":`, ev.UserID)
	dst = appendText(dst, `,"topic":`, string(ev.Topic))
	dst = appendText(dst, `,"id":`, ev.ID)
	if ev.TimeMS != 0 {
		dst = append(dst, `,"ts":"`...)
		dst = time.UnixMilli(ev.TimeMS).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		dst = append(dst, '"')
	}
	dst = appendNumber(dst, `,"pri":`, int64(ev.Priority))
	dst = appendText(dst, `,"cid":`, ev.CID)
	dst = appendText(dst, `,"trace_id":`, ev.TraceID)
	dst = appendNumber(dst, `,"event_version":`, int64(ev.EventVersion))
	return append(dst, '}')
}

func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return jsonscan.AppendQuoted(append(dst, name...), s)
}

func appendNumber(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, name...), n, 10)
}

// defaultEnvelope makes the envelope of an event that no plugin wants.
func defaultEnvelope(ev *message.Event) (*message.Envelope, error) {
	topic := ev.Topic
	if topic == "" {
		if ev.UserID == "" {
			return nil, invalid("user_id: is missing; an event that no plugin takes needs it, or a topic")
		}
		var err error
		if topic, err = message.UserTopic(ev.UserID, "events"); err != nil {
			return nil, invalid("user_id: %v", err)
		}
	}
	kind := snakeCase(ev.Type)
	if kind == "" {
		return nil, invalid("type: %q has no letter or digit to make a name of", ev.Type)
	}
	payload, err := withOriginalType(ev)
	if err != nil {
		return nil, invalid("payload: is not a JSON object: %v", err)
	}
	now := time.Now().UnixMilli()
	env := &message.Envelope{
		Type: kind, Topic: topic, Payload: payload, ID: ev.ID, TimeMS: now, LatencyMS: -1, TraceID: ev.TraceID,
	}
	inherit(env, ev, now)
	return env, nil
}

// withOriginalType returns ev's payload with the event's own name as its first member. One that the publisher gave is
// left out, so that the payload has no member twice.
func withOriginalType(ev *message.Event) ([]byte, error) {
	out := make([]byte, 0, len(ev.Payload)+len(originalType)+len(ev.Type)+8)
	out = jsonscan.AppendQuoted(append(out, `{"`+originalType+`":`...), ev.Type)
	it := jsonscan.Members(ev.Payload)
	for it.Next() {
		if key := it.Key(); string(key) != originalType {
			out = append(out, ',')
			out = append(jsonscan.AppendQuoted(out, string(key)), ':')
			out = append(out, it.Value()...)
		}
	}
	return append(out, '}'), it.Err()
}

// snakeCase writes an event's name as types on the wire are written: OrderFilledEvent → order_filled_event, HTTPServerDown
// → http_server_down. A word begins at a capital after a small letter or digit, and at the last capital of a run that a
// small letter follows; ASCII characters that are no letters or digits separate words. The stock mapping plugin does the
// same.
func snakeCase(name string) string {
	const (
		nothing = iota // the beginning, or a separator
		small          // a small letter, a digit, or a byte beyond ASCII
		capital
	)
	out := make([]byte, 0, len(name)+8)
	before := nothing
	for i := range len(name) {
		c, kind := name[i], nothing
		switch {
		case c >= 'A' && c <= 'Z':
			kind = capital
		case isSmall(c), c >= '0' && c <= '9', c >= 0x80:
			kind = small
		}
		if kind != nothing {
			last := i+1 < len(name) && isSmall(name[i+1])
			if len(out) > 0 && (before == nothing || kind == capital && (before == small || last)) {
				out = append(out, '_')
			}
			if kind == capital {
				c |= 0x20
			}
			out = append(out, c)
		}
		before = kind
	}
	return string(out)
}

func isSmall(c byte) bool { return c >= 'a' && c <= 'z' }

// Package native does in plain Go what the stock plugins do for the documents of the benchmark: it is the floor their
// figures stand beside. It reads and writes the same JSON with the engine's own scanner.
//
// Ownership: functions work on their arguments only; a [Mapping] is immutable; a [Strategy] belongs to one goroutine at a time.
package native

import (
	"bytes"
	"errors"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// ErrDocument marks a document that the floor does not handle.
var ErrDocument = errors.New("native: not a document of the benchmark")

// Rule is a row of a mapping: what an event becomes.
type Rule struct {
	Type      string
	TopicType string // of user:{user_id}:
	Priority  string // as written, 1 to 10
}

// Mapping finds the rule of an event type.
type Mapping map[string]Rule

// event is what is read of a domain event: raw JSON values.
type event struct{ kind, user, payload, id, cid, version []byte }

// Append appends the envelope that doc, a domain event, becomes.
func (m Mapping) Append(dst, doc []byte) ([]byte, error) {
	e, err := read(doc)
	if err != nil {
		return dst, err
	}
	if len(e.kind) < 2 || len(e.user) < 2 || len(e.payload) < 2 {
		return dst, ErrDocument
	}
	rule, ok := m[string(e.kind[1:len(e.kind)-1])]
	if !ok {
		return dst, ErrDocument
	}
	dst = append(append(dst, `{"t":"`...), rule.Type...)
	dst = append(append(dst, `","topic":"user:`...), e.user[1:len(e.user)-1]...)
	dst = append(append(dst, ':'), rule.TopicType...)
	dst = append(append(dst, `","p":{"original_event_type":`...), e.kind...)
	if inner := bytes.TrimSpace(e.payload[1 : len(e.payload)-1]); len(inner) > 0 {
		dst = append(append(dst, ','), inner...)
	}
	dst = append(append(dst, `},"pri":`...), rule.Priority...)
	dst = member(dst, `,"cid":`, e.cid)
	dst = member(dst, `,"id":`, e.id)
	dst = member(dst, `,"event_version":`, e.version)
	return append(dst, '}'), nil
}

func member(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	return append(append(dst, name...), value...)
}

func read(doc []byte) (event, error) {
	var e event
	it := jsonscan.Members(doc)
	for it.Next() {
		switch string(it.Key()) {
		case "type":
			e.kind = it.Value()
		case "user_id":
			e.user = it.Value()
		case "payload":
			e.payload = it.Value()
		case "id":
			e.id = it.Value()
		case "cid":
			e.cid = it.Value()
		case "event_version":
			e.version = it.Value()
		}
	}
	return e, it.Err()
}

// Authorize answers an authorize document: own topics are allowed, and those that the permission opens, where opens is
// a prefix of topics.
func Authorize(doc []byte, permission, opens string) (bool, error) {
	var action, topic, identity []byte
	it := jsonscan.Members(doc)
	for it.Next() {
		switch string(it.Key()) {
		case "action":
			action = it.Value()
		case "topic":
			topic = it.Value()
		case "identity":
			identity = it.Value()
		}
	}
	if err := it.Err(); err != nil {
		return false, err
	}
	if string(action) != `"subscribe"` || len(topic) < 2 {
		return false, ErrDocument
	}
	return allowed(topic[1:len(topic)-1], identity, permission, opens)
}

func allowed(topic, identity []byte, permission, opens string) (bool, error) {
	var user, permissions []byte
	it := jsonscan.Members(identity)
	for it.Next() {
		switch string(it.Key()) {
		case "user_id":
			user = it.Value()
		case "permissions":
			permissions = it.Value()
		}
	}
	if err := it.Err(); err != nil {
		return false, err
	}
	if rest, ok := bytes.CutPrefix(topic, []byte("user:")); ok && len(user) > 2 {
		rest, ok = bytes.CutPrefix(rest, user[1:len(user)-1])
		return ok && bytes.HasPrefix(rest, []byte(":")), nil
	}
	if !bytes.HasPrefix(topic, []byte(opens)) {
		return false, nil
	}
	held := jsonscan.Elements(permissions)
	for held.Next() {
		if v := held.Value(); len(v) == len(permission)+2 && string(v[1:len(v)-1]) == permission {
			return true, nil
		}
	}
	return false, held.Err()
}

package ingest

import (
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// answer is one envelope as a plugin describes it: {"t","topic","p","pri"?,"id"?,"cid"?,"event_version"?} (sdk/ABI.md). Its
// slices are parts of the plugin's document.
type answer struct {
	kind, topic, id, cid []byte // without quotes and escapes
	payload              []byte // a JSON object
	priority             message.Priority
	version              int
}

// readAnswers appends the envelopes of a plugin's document, an object or an array of objects, to dst. It is strict: a
// field that the contract does not have, a field twice and a value out of range are errors that name the field.
func (in *Ingest) readAnswers(dst []answer, doc []byte) ([]answer, error) {
	switch jsonscan.KindOf(trim(doc)) {
	case jsonscan.KindObject:
		a, err := in.readAnswer(doc)
		return append(dst, a), err
	case jsonscan.KindArray:
	default:
		return dst, errors.New("is neither an object nor an array")
	}
	it := jsonscan.Elements(doc)
	for it.Next() {
		if len(dst) == in.cfg.EnvelopesPerEventMax {
			return dst, fmt.Errorf("holds more than %d envelopes, the limit envelopes_per_event_max", len(dst))
		}
		a, err := in.readAnswer(it.Value())
		if err != nil {
			return dst, fmt.Errorf("[%d]: %w", len(dst), err)
		}
		dst = append(dst, a)
	}
	if err := it.Err(); err != nil {
		return dst, err
	}
	if len(dst) == 0 {
		return dst, errors.New("holds no envelope; to drop an event, answer NO")
	}
	return dst, nil
}

func (in *Ingest) readAnswer(doc []byte) (a answer, err error) {
	var f fields
	it := jsonscan.Members(doc)
	for it.Next() {
		value := it.Value()
		switch key := it.Key(); string(key) {
		case "t":
			a.kind = f.text("t", value, in.cfg.TypeBytesMax)
		case "topic":
			a.topic = f.text("topic", value, message.TopicBytesMax)
		case "p":
			a.payload = f.object("p", value)
		case "pri":
			a.priority = f.priority("pri", value)
		case "id":
			a.id = f.text("id", value, in.cfg.IDBytesMax)
		case "cid":
			a.cid = f.text("cid", value, in.cfg.IDBytesMax)
		case "event_version":
			a.version = f.version("event_version", value)
		default:
			f.unknown(key)
		}
	}
	if err := it.Err(); err != nil {
		return a, err
	}
	f.require("t", a.kind)
	f.require("topic", a.topic)
	f.require("p", a.payload)
	if f.err == nil {
		if _, err := message.ParseTopic(string(a.topic)); err != nil {
			f.fail("topic", err.Error())
		}
	}
	return a, f.fault()
}

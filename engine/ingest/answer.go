package ingest

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Answer reads what a plugin answers to one event, and keeps the envelopes that it describes. It may be used again and
// again, by one goroutine at a time. Use [NewAnswer].
type Answer struct {
	cfg    *Config
	doc    []byte  // a copy
	drafts []draft // parts of doc
}

// NewAnswer returns an Answer that holds plugins to the limits of cfg.
func NewAnswer(cfg Config) *Answer { return &Answer{cfg: &cfg} }

// draft is one envelope as a plugin describes it: {"t","topic","p","pri"?,"id"?,"cid"?,"event_version"?} (sdk/ABI.md). Its
// slices are parts of the plugin's document.
type draft struct {
	kind, topic, id, cid []byte // without quotes and escapes
	payload              []byte // a JSON object
	priority             message.Priority
	version              int
}

// Read reads a plugin's document, an object or an array of objects; it copies it first, so that the document may change as
// soon as Read returns. It is strict: a field that the contract does not have, a field twice and a value out of range are
// errors that name the field, and leave no envelope.
func (a *Answer) Read(doc []byte) error {
	a.reset()
	a.doc = append(a.doc[:0], doc...)
	err := a.read()
	if err != nil {
		a.reset()
	}
	return err
}

// reset forgets what was read, texts that had escapes included.
func (a *Answer) reset() {
	clear(a.drafts)
	a.drafts = a.drafts[:0]
}

func (a *Answer) read() error {
	switch jsonscan.KindOf(trim(a.doc)) {
	case jsonscan.KindObject:
		return a.add(a.doc)
	case jsonscan.KindArray:
	default:
		return errors.New("neither an object nor an array")
	}
	it := jsonscan.Elements(a.doc)
	for it.Next() {
		if len(a.drafts) == a.cfg.EnvelopesPerEventMax {
			return fmt.Errorf("more than %d envelopes, the limit envelopes_per_event_max", len(a.drafts))
		}
		if err := a.add(it.Value()); err != nil {
			return fmt.Errorf("[%d]: %w", len(a.drafts), err)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	if len(a.drafts) == 0 {
		return errors.New("an array without an envelope; to drop an event, answer NO")
	}
	return nil
}

// add reads one envelope.
func (a *Answer) add(doc []byte) error {
	var d draft
	var f fields
	it := jsonscan.Members(doc)
	for it.Next() {
		value := it.Value()
		switch key := it.Key(); string(key) {
		case "t":
			d.kind = f.text(fieldT, value, a.cfg.TypeBytesMax)
		case "topic":
			d.topic = f.text(fieldTopic, value, message.TopicBytesMax)
		case "p":
			d.payload = f.object(fieldP, value)
		case "pri":
			d.priority = f.priority(fieldPriority, value)
		case "id":
			d.id = f.text(fieldID, value, a.cfg.IDBytesMax)
		case "cid":
			d.cid = f.text(fieldCID, value, a.cfg.IDBytesMax)
		case "event_version":
			d.version = f.version(fieldVersion, value)
		default:
			f.unknown(key)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	f.require(fieldT, d.kind)
	f.require(fieldTopic, d.topic)
	f.require(fieldP, d.payload)
	f.topicName(d.topic)
	if err := f.fault(); err != nil {
		return err
	}
	a.drafts = append(a.drafts, d)
	return nil
}

// topicName requires that name is a topic. It looks at the bytes as a string, which nobody keeps: a copy would be an
// allocation for each event (BenchmarkAnswer).
func (f *fields) topicName(name []byte) {
	if f.err != nil {
		return
	}
	if _, err := message.ParseTopic(unsafe.String(unsafe.SliceData(name), len(name))); err != nil {
		f.fail(fieldTopic, err.Error())
	}
}

package wse

import (
	"bytes"
	"fmt"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// presenceDepthMax is how deep a member's data may be nested, so that messages that carry it stay within the depth that
// all sides read.
const presenceDepthMax = 32

func decodePresence(r *reader, p []byte) message.Body {
	b := &message.PresenceRequest{}
	for it := jsonscan.Members(p); it.Next(); {
		if string(it.Key()) == "topic" {
			b.Topic = r.text("p.topic", it.Value())
		}
	}
	requireTopic(r, b.Topic)
	return b
}

func requireTopic(r *reader, topic string) {
	if topic == "" {
		r.fail("p.topic", "must be a string, the name of a topic")
	}
}

// decodePresenceUpdate reads a member's data. Whose it is follows from the connection: a user_id counts for nothing.
func decodePresenceUpdate(r *reader, p []byte) message.Body {
	b := &message.PresenceUpdate{}
	var data []byte
	for it := jsonscan.Members(p); it.Next(); {
		switch string(it.Key()) {
		case "topic":
			b.Topic = r.text("p.topic", it.Value())
		case "data":
			data = it.Value()
		}
	}
	requireTopic(r, b.Topic)
	switch {
	case jsonscan.KindOf(data) != jsonscan.KindObject:
		r.fail("p.data", "must be an object, not "+jsonscan.KindOf(data).String())
	case jsonscan.Valid(data, presenceDepthMax) != nil: // it was read before, so the depth is all that there is
		r.fail("p.data", fmt.Sprintf("must be nested at most %d deep", presenceDepthMax))
	}
	b.Data = bytes.Clone(data)
	return b
}

func writeMembers(w *dialect.Writer, b *message.Members) {
	w.String("topic", string(b.Topic))
	w.Uint("version", b.Version)
	w.Int("count", int64(len(b.Members)))
	w.Begin("members", '[')
	for i := range b.Members {
		m := &b.Members[i]
		w.Open('{')
		writeMember(w, m)
		w.Int("connections", int64(m.Connections))
		w.Time("since", m.SinceMS)
		w.End('}')
	}
	w.End(']')
}

// writeMember writes who a member is and what he says of himself; data that was never set is an empty object.
func writeMember(w *dialect.Writer, m *message.Member) {
	w.String("user_id", m.UserID)
	w.Key("data")
	w.Dst = appendObject(w.Dst, m.Data)
}

func writePresenceNotice(w *dialect.Writer, b *message.PresenceNotice) {
	w.String("topic", string(b.Topic))
	w.Uint("version", b.Version)
	if b.Kind == message.PresenceLeave {
		w.String("user_id", b.Member.UserID)
		return
	}
	writeMember(w, &b.Member)
	w.Time("since", b.Member.SinceMS)
}

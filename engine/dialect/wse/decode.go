package wse

import (
	"bytes"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Decode reads one message in any of the spellings of PROTOCOL §2.1: a JSON object, one with its category in front, or
// the bare text PING. Text and binary frames are read alike. The request is never nil; with an error it holds the id and
// the correlation id where they could be read.
func (Dialect) Decode(data []byte, _ bool) (*message.Request, error) {
	if req, err, ok := decodeBare(data); ok {
		return req, err
	}
	object, prefix := cutCategory(data)
	if header := transportHeader(object); header != "" {
		return &message.Request{}, invalid("", header+" frames are not read here: send one JSON object")
	}
	var f fields
	walk := f.collect(object)
	req := &message.Request{}
	r := reader{}
	req.ID = r.name("id", f.id.raw, idBytesMax)
	req.CID = r.name("cid", f.cid.raw, idBytesMax)
	if walk != nil {
		return req, notAnObject(walk)
	}
	req.Type = intern(r.required("t", f.t.raw, typeBytesMax))
	req.Category = f.category(&r, prefix, req.Type)
	req.Priority = message.Priority(r.integer("pri", f.pri.raw, 1, 10))
	f.refuseCodings(&r)
	if r.err == nil {
		req.Body = decodeBody(&r, req.Type, &f)
	}
	if r.err != nil {
		req.Body = nil
		return req, r.err
	}
	return req, nil
}

// decodeBare reads the messages that are no JSON: PING, PING:ms, and the PONG that old clients send.
func decodeBare(data []byte) (_ *message.Request, _ error, ok bool) {
	if len(data) < 4 || data[0] != 'P' {
		return nil, nil, false
	}
	word, rest := string(data[:4]), bytes.TrimRight(data[4:], "\r\n\t ")
	req := &message.Request{Type: word, Category: message.System}
	switch {
	case word != "PING" && word != "PONG", len(rest) > 0 && rest[0] != ':':
		return nil, nil, false
	case word == "PONG":
		req.Body = &message.Heartbeat{}
		return req, nil, true
	case len(rest) == 0:
		req.Body = &message.Ping{}
		return req, nil, true
	}
	ms, err := jsonscan.Uint(rest[1:])
	if err != nil || ms > timestampMax {
		return req, invalid("", "the text PING is PING or PING: and Unix milliseconds"), true
	}
	req.Body = &message.Ping{ClientTimestamp: int64(ms)}
	return req, nil, true
}

// cutCategory takes the category off the front of an object: U{…}, S{…} and WSE{…}.
func cutCategory(data []byte) (object []byte, prefix string) {
	for _, c := range [...]message.Category{message.Update, message.Snapshot, message.System} {
		prefix := c.String()
		if n := len(prefix); len(data) > n && data[n] == '{' && string(data[:n]) == prefix {
			return data[n:], prefix
		}
	}
	return data, ""
}

// transportHeader names a frame that is compressed, packed or encrypted as a whole.
func transportHeader(data []byte) string {
	if len(data) < 2 || data[1] != ':' {
		return ""
	}
	switch data[0] {
	case 'C':
		return "compressed (C:)"
	case 'E':
		return "encrypted (E:)"
	case 'M':
		return "MessagePack (M:)"
	}
	return ""
}

// field is the raw value of an envelope's field, under the best of the names it came by.
type field struct {
	raw  []byte
	rank int8
}

// set takes raw unless a better name has been seen. A null is an absent field, and the last of several wins.
func (f *field) set(rank int8, raw []byte) {
	if rank >= f.rank && !jsonscan.IsNull(raw) {
		f.raw, f.rank = raw, rank
	}
}

// Ranks of a field's names: the short one wins over its aliases (PROTOCOL §2.1).
const (
	lesser int8 = iota + 1
	long
	short
)

// fields are the fields of an envelope that a request is made from. ts, seq, v, latency_ms and whatever else there may be
// say nothing to a server: they are passed over, whatever they hold.
type fields struct {
	t, p, id, cid, pri, cmp, enc, cat, trace, version field
}

// collect walks the object. What came before a fault in it is kept.
func (f *fields) collect(object []byte) error {
	it := jsonscan.Members(object)
	for it.Next() {
		raw := it.Value()
		switch string(it.Key()) {
		case "t":
			f.t.set(short, raw)
		case "type":
			f.t.set(long, raw)
		case "event_type":
			f.t.set(lesser, raw)
		case "p":
			f.p.set(short, raw)
		case "payload":
			f.p.set(long, raw)
		case "id":
			f.id.set(short, raw)
		case "cid":
			f.cid.set(short, raw)
		case "correlation_id":
			f.cid.set(long, raw)
		case "pri":
			f.pri.set(short, raw)
		case "priority":
			f.pri.set(long, raw)
		case "_msg_cat":
			f.cat.set(short, raw)
		case "c":
			f.cat.set(long, raw)
		case "cmp":
			f.cmp.set(short, raw)
		case "compressed":
			f.cmp.set(long, raw)
		case "enc":
			f.enc.set(short, raw)
		case "encrypted":
			f.enc.set(long, raw)
		case "event_version":
			f.version.set(short, raw)
		case "trace_id":
			f.trace.set(short, raw)
		}
	}
	return it.Err()
}

// category returns what the client wrote, in front of the object or in it; a category of its own invention counts for
// nothing.
func (f *fields) category(r *reader, prefix, t string) message.Category {
	written := prefix
	if own := r.text("_msg_cat", f.cat.raw); prefix == "" {
		written = own
	}
	switch written {
	case "U":
		return message.Update
	case "S":
		return message.Snapshot
	case "WSE":
		return message.System
	}
	return message.CategoryOf(t)
}

// refuseCodings refuses a payload that is compressed or encrypted by itself.
func (f *fields) refuseCodings(r *reader) {
	if r.bool("cmp", f.cmp.raw, false) {
		r.fail("cmp", "must be false: a compressed payload is not read here")
	}
	if r.bool("enc", f.enc.raw, false) {
		r.fail("enc", "must be false: an encrypted payload is not read here")
	}
}

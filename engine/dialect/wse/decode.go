package wse

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/msgpack"
)

// Decode reads one message in any of the spellings of PROTOCOL §2.1 and the forms of §2.6: a JSON object, one with its
// category in front, the bare text PING, an object in MessagePack, either of the two compressed whole. Text and binary
// frames are read alike: the first bytes tell the forms apart. The request is never nil; with an error it holds the id and
// the correlation id where they could be read.
func (d Dialect) Decode(data []byte, _ bool) (*message.Request, error) {
	if len(data) >= 2 && data[1] == ':' {
		switch data[0] {
		case 'C':
			return d.decodeZlib(data[2:])
		case 'E':
			return &message.Request{}, invalid("", "no key was agreed on for encrypted (E:) frames: connect with encryption=true and send client_hello with encryption_public_key")
		case 'M':
			return d.decodePacked(data[2:], len(data))
		}
	}
	return d.decodeText(data, len(data))
}

// decodeZlib reads a message that is compressed whole.
func (d Dialect) decodeZlib(data []byte) (*message.Request, error) {
	tools := d.bounds()
	s, reason := tools.inflate(data, len(data))
	defer tools.finish(s)
	more := max(0, len(s.out)-len(data))
	if reason != "" {
		return &message.Request{Inflated: more}, invalid("", "what follows C: "+reason)
	}
	req, err := d.decodeText(s.out, len(data))
	req.Inflated += more
	return req, err
}

// decodePacked reads a message in MessagePack.
func (d Dialect) decodePacked(data []byte, came int) (*message.Request, error) {
	tools := d.bounds()
	text := tools.buffer()
	defer tools.release(text)
	var err error
	if text.b, err = msgpack.AppendJSON(text.b, data, tools.cfg.InflatedBytesMax); err != nil {
		reason := "a message in MessagePack must be one map"
		var fault *msgpack.Error
		if errors.As(err, &fault) {
			reason = fmt.Sprintf("%s: %s at byte %d", reason, fault.Reason, fault.Offset)
		}
		return &message.Request{}, invalid("", reason)
	}
	return d.decodeObject(text.b, "", origin{bytes: came})
}

// decodeText reads a message that is not compressed, or not any more: it came as so many bytes.
func (d Dialect) decodeText(data []byte, came int) (*message.Request, error) {
	if msgpack.IsMap(data) {
		return d.decodePacked(data, came)
	}
	if req, err, ok := decodeBare(data); ok {
		return req, err
	}
	object, prefix := cutCategory(data)
	return d.decodeObject(object, prefix, origin{bytes: came})
}

// origin is what a message came in.
type origin struct {
	bytes int  // how many it came as, compressed where it was
	batch bool // it is one of a batch
}

// decodeObject reads a message that is a JSON object.
func (d Dialect) decodeObject(object []byte, prefix string, from origin) (*message.Request, error) {
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
	encrypted := r.bool("enc", f.enc.raw, false)
	if r.bool("cmp", f.cmp.raw, false) {
		tools := d.bounds()
		compressed := len(f.p.raw)
		s := f.inflatePayload(&r, tools, from.bytes)
		defer tools.finish(s)
		req.Inflated = max(0, len(s.out)-compressed)
	}
	switch {
	case r.err != nil:
	case req.Type != "batch_message":
		req.Body = decodeBody(&r, req.Type, &f)
	case from.batch:
		r.err = invalid("", "a batch_message may not hold another")
	default:
		var inflated int
		req.Body, inflated = d.decodeBatch(&r, r.object("p", f.p.raw), from.bytes)
		req.Inflated += inflated
	}
	switch own, ok := req.Body.(*message.Publish); {
	case ok:
		own.Encrypted = encrypted
	case encrypted:
		r.fail("enc", "must be false in a request: the server has no key for its payload")
	}
	if r.err != nil {
		req.Body = nil
		return req, r.err
	}
	return req, nil
}

// inflatePayload replaces a compressed payload by the object that it holds. What it returns has the object's bytes.
func (f *fields) inflatePayload(r *reader, tools *tools, came int) *inflating {
	const want = "must be base64 of zlib data where cmp is true"
	raw := tools.buffer()
	defer tools.release(raw)
	if jsonscan.KindOf(f.p.raw) != jsonscan.KindString {
		r.fail("p", want+", not "+jsonscan.KindOf(f.p.raw).String())
	}
	if r.err != nil {
		return &inflating{}
	}
	text := r.textBytes("p", f.p.raw)
	var err error
	if raw.b, err = base64.StdEncoding.AppendDecode(raw.b, text); err != nil {
		r.fail("p", want+": it is no base64")
		return &inflating{}
	}
	s, reason := tools.inflate(raw.b, came)
	if reason != "" {
		r.fail("p", want+": it "+reason)
		return s
	}
	f.p.raw = bytes.TrimSpace(s.out)
	if err := jsonscan.Valid(f.p.raw, jsonscan.DepthMax-1); err != nil || jsonscan.KindOf(f.p.raw) != jsonscan.KindObject {
		r.fail("p", "must hold an object, compressed where cmp is true")
	}
	return s
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

// desk decides who may read a trading desk's topics (examples/plugins/README.md says exactly who).
package main

import (
	"bytes"

	wse "github.com/wse-engine/wse/sdk/go"
)

func main() {} // is never called: the engine calls the exports

// ttl is the guest state that the configuration sets: how many seconds a verdict may be kept.
var ttl int64 = 30

// scratch is guest state that every request uses anew, so that none allocates.
var scratch request

// topicBytesMax bounds a topic as it is written. The engine has none that is so long.
const topicBytesMax = 1024

func configure(in *wse.Reader, out *wse.Writer) wse.Result {
	wrong := false
	in.Object()
	for in.Member() {
		switch {
		case in.KeyIs("ttl_s"):
			in.Skip()
			v, ok := in.Integer()
			wrong = !ok || v < 0 || v > 86400
			ttl = v
		case out.Mark() == 0: // the first that is unknown
			out.PutString(`config: unknown field "`)
			out.Put(in.Key())
			out.PutByte('"')
			in.Skip()
		default:
			in.Skip()
		}
	}
	switch {
	case !in.Close():
		return out.Error("config: not an object")
	case out.Mark() > 0:
		return out.Failure()
	case wrong:
		return out.Error("config: ttl_s must be an integer from 0 to 86400")
	}
	return wse.Yes
}

// request is what is needed of one. Texts are copied, so that they stay when the next is read; one that is absent, or no
// string, is empty.
type request struct {
	topic, user, desk []byte
	topicBytes        int  // as it is written
	asked             bool // there is a topic
	publish           bool
}

func authorize(in *wse.Reader, out *wse.Writer) wse.Result {
	r := &scratch
	r.asked, r.publish, r.user, r.desk = false, false, r.user[:0], r.desk[:0]
	if !r.read(in) || !r.asked {
		return out.Error("not a request")
	}
	if r.publish || r.topicBytes > topicBytesMax {
		return wse.No
	}
	if bytes.HasPrefix(r.topic, []byte("public:")) {
		return wse.Yes
	}
	if id, ok := bytes.CutPrefix(r.topic, []byte("user:")); ok {
		id, _, _ = bytes.Cut(id, []byte(":"))
		if len(id) > 0 && bytes.Equal(id, r.user) {
			return wse.Yes
		}
		return wse.No
	}
	if name, ok := bytes.CutPrefix(r.topic, []byte("stream:market_data:")); ok && len(name) > 0 {
		return r.deskVerdict(name, out)
	}
	return wse.No
}

func (r *request) deskVerdict(name []byte, out *wse.Writer) wse.Result {
	if !bytes.Equal(name, r.desk) {
		out.PutString(`{"allow":false,"reason":"desk `)
		out.PutText(name)
		out.PutString(` is not yours"}`)
		return out.Result()
	}
	out.PutString(`{"allow":true`)
	if ttl > 0 {
		out.PutString(`,"ttl_s":`)
		out.PutInt(ttl)
	}
	out.PutByte('}')
	return out.Result()
}

func (r *request) read(in *wse.Reader) bool {
	in.Object()
	for in.Member() {
		switch string(in.Key()) {
		case "action":
			r.publish = text(in) && string(in.Text()) == "publish"
		case "topic":
			if r.asked = text(in); r.asked {
				r.topicBytes = len(in.Raw())
				r.topic = in.AppendText(r.topic[:0])
			}
		case "identity":
			r.identity(in)
		default:
			in.Skip()
		}
	}
	return in.Close()
}

// identity reads an identity, and forgets one that came before it.
func (r *request) identity(in *wse.Reader) {
	r.user, r.desk = r.user[:0], r.desk[:0]
	if in.Peek() != wse.Object {
		in.Skip()
		return
	}
	in.Object()
	for in.Member() {
		switch string(in.Key()) {
		case "user_id":
			if r.user = r.user[:0]; text(in) {
				r.user = in.AppendText(r.user)
			}
		case "claims":
			r.claims(in)
		default:
			in.Skip()
		}
	}
}

func (r *request) claims(in *wse.Reader) {
	r.desk = r.desk[:0]
	if in.Peek() != wse.Object {
		in.Skip()
		return
	}
	in.Object()
	for in.Member() {
		if !in.KeyIs("desk") {
			in.Skip()
		} else if r.desk = r.desk[:0]; text(in) {
			r.desk = in.AppendText(r.desk)
		}
	}
}

// text reads a value, and reports whether it is a string.
func text(in *wse.Reader) bool {
	if in.Peek() != wse.String {
		in.Skip()
		return false
	}
	return in.String()
}

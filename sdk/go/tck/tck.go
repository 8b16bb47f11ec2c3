// The guest that certifies this SDK; ../../tck/README.md says what it must do.
package main

import (
	"math"

	wse "github.com/wse-engine/wse/sdk/go"
)

func main() {}

// greeting is the guest state that the configuration sets.
var greeting = "hello"

const errorMissing = 4

// field is a value that has been read. One that is not there is Bad.
type field struct {
	kind wse.Kind
	raw  []byte // as it is written, quotes and all
}

// read reads the next value, whatever it is.
func read(in *wse.Reader) field {
	f := field{kind: in.Peek()}
	in.Skip()
	f.raw = in.Raw()
	return f
}

// text makes the Reader stand behind the string that f is, so that its text can be asked for.
func (f field) text(in *wse.Reader) bool {
	if f.kind != wse.String {
		return false
	}
	in.Open(f.raw)
	return in.String()
}

func (f field) integer(in *wse.Reader) (int64, bool) {
	if f.kind != wse.Number {
		return 0, false
	}
	in.Open(f.raw)
	in.Skip()
	return in.Integer()
}

// find reads the object that f is for the member of that name; the last of several counts.
func (f field) find(in *wse.Reader, name string) field {
	var found field
	if f.kind != wse.Object {
		return found
	}
	in.Open(f.raw)
	in.Object()
	for in.Member() {
		if in.KeyIs(name) {
			found = read(in)
		} else {
			in.Skip()
		}
	}
	return found
}

func (f field) findInteger(in *wse.Reader, name string, least, most int64) (int64, bool) {
	v, ok := f.find(in, name).integer(in)
	return v, ok && v >= least && v <= most
}

func begin(out *wse.Writer) { out.PutString(`{"t":"tck","topic":"public:tck","p":`) }

func end(out *wse.Writer) wse.Result {
	out.PutByte('}')
	return out.Result()
}

func transform(in *wse.Reader, out *wse.Writer) wse.Result {
	var kind, payload field
	in.Object()
	for in.Member() {
		switch {
		case in.KeyIs("type"):
			kind = read(in)
		case in.KeyIs("payload"):
			payload = read(in)
		default:
			in.Skip()
		}
	}
	if !in.Close() || !kind.text(in) {
		return out.Error("not an event")
	}
	result, ok := answer(in, out, string(in.Text()), payload)
	if !ok {
		return wse.ErrorCode(errorMissing)
	}
	return result
}

// answer is what a type asks for; false where a member of the payload is missing.
func answer(in *wse.Reader, out *wse.Writer, kind string, payload field) (wse.Result, bool) {
	switch kind {
	case "drop":
		return wse.No, true
	case "echo":
		begin(out)
		out.Put(payload.raw)
		return end(out), payload.kind != wse.Bad
	case "error":
		return fail(in, out, payload)
	case "many":
		return many(in, out, payload)
	case "text":
		return text(in, out, payload)
	case "integer":
		n, ok := payload.find(in, "n").integer(in)
		begin(out)
		out.PutString(`{"n":`)
		out.PutInt(n)
		out.PutByte('}')
		return end(out), ok
	case "kinds":
		return kinds(in, out, payload)
	case "walk":
		return walk(in, out, payload)
	case "log":
		return say(in, payload)
	case "metric":
		return count(in, payload)
	case "config":
		begin(out)
		out.PutString(`{"greeting":"`)
		out.PutText([]byte(greeting))
		out.PutString(`"}`)
		return end(out), true
	case "repeat":
		return repeat(in, out, payload)
	case "trap":
		sink()
	case "spin":
		for {
			spin()
		}
	}
	return wse.Yes, true
}

func fail(in *wse.Reader, out *wse.Writer, payload field) (wse.Result, bool) {
	if code, ok := payload.findInteger(in, "code", 0, math.MaxUint32); ok {
		return wse.ErrorCode(uint32(code)), true
	}
	ok := payload.find(in, "text").text(in)
	if ok {
		out.Put(in.Text())
	}
	return out.Failure(), ok
}

func many(in *wse.Reader, out *wse.Writer, payload field) (wse.Result, bool) {
	n, ok := payload.findInteger(in, "n", 1, 64)
	if !ok {
		return wse.No, false
	}
	out.PutByte('[')
	for i := range n {
		if i > 0 {
			out.PutByte(',')
		}
		begin(out)
		out.PutString(`{"i":`)
		out.PutInt(i)
		out.PutString(`}}`)
	}
	out.PutByte(']')
	return out.Result(), true
}

func text(in *wse.Reader, out *wse.Writer, payload field) (wse.Result, bool) {
	if !payload.find(in, "text").text(in) {
		return wse.No, false
	}
	begin(out)
	out.PutString(`{"text":"`)
	out.PutText(in.Text())
	out.PutString(`","bytes":`)
	out.PutInt(int64(len(in.Text())))
	out.PutByte('}')
	return end(out), true
}

func kinds(in *wse.Reader, out *wse.Writer, payload field) (wse.Result, bool) {
	if payload.kind != wse.Object {
		return wse.No, false
	}
	begin(out)
	out.PutByte('{')
	in.Open(payload.raw)
	in.Object()
	for first := true; in.Member(); first = false {
		if !first {
			out.PutByte(',')
		}
		out.PutByte('"')
		out.PutText(in.Key())
		out.PutString(`":"`)
		out.PutString(name(in.Peek()))
		out.PutByte('"')
		in.Skip()
	}
	out.PutByte('}')
	return end(out), true
}

func name(k wse.Kind) string {
	switch k {
	case wse.Object:
		return "object"
	case wse.Array:
		return "array"
	case wse.String:
		return "string"
	case wse.Number:
		return "number"
	case wse.True:
		return "true"
	case wse.False:
		return "false"
	}
	return "null"
}

func walk(in *wse.Reader, out *wse.Writer, payload field) (wse.Result, bool) {
	if payload.kind == wse.Bad {
		return wse.No, false
	}
	in.Open(payload.raw)
	values, sum := inside(in)
	begin(out)
	out.PutString(`{"values":`)
	out.PutInt(values)
	out.PutString(`,"sum":`)
	out.PutInt(sum)
	out.PutByte('}')
	return end(out), true
}

// inside counts the values inside the one that comes next; the Reader's bound on depth bounds the recursion.
func inside(in *wse.Reader) (values, sum int64) {
	next := in.Element
	switch in.Peek() {
	case wse.Object:
		in.Object()
		next = in.Member
	case wse.Array:
		in.Array()
	default:
		in.Skip()
		n, _ := in.Integer()
		return 0, n
	}
	for next() {
		v, s := inside(in)
		values, sum = values+1+v, sum+s
	}
	return values, sum
}

func say(in *wse.Reader, payload field) (wse.Result, bool) {
	level, ok := payload.findInteger(in, "level", int64(wse.LevelTrace), int64(wse.LevelError))
	if !ok || !payload.find(in, "text").text(in) {
		return wse.No, false
	}
	wse.Log(wse.Level(level), in.Text())
	return wse.Yes, true
}

func count(in *wse.Reader, payload field) (wse.Result, bool) {
	value, ok := payload.findInteger(in, "value", 0, math.MaxInt64)
	if !ok || !payload.find(in, "name").text(in) {
		return wse.No, false
	}
	wse.Metric(string(in.Text()), float64(value))
	return wse.Yes, true
}

func repeat(in *wse.Reader, out *wse.Writer, payload field) (wse.Result, bool) {
	n, ok := payload.findInteger(in, "n", 0, 1000000)
	if !ok {
		return wse.No, false
	}
	begin(out)
	out.PutString(`{"x":"`)
	const many = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" // a call costs more than what it writes
	for ; n > int64(len(many)); n -= int64(len(many)) {
		out.PutString(many)
	}
	out.PutString(many[:n])
	out.PutString(`"}`)
	return end(out), true
}

//go:noinline
func sink() { panic("the sink was asked for") }

//go:noinline
func spin() {}

func authorize(in *wse.Reader, out *wse.Writer) wse.Result {
	var topic, identity field
	in.Object()
	for in.Member() {
		switch {
		case in.KeyIs("topic"):
			topic = read(in)
		case in.KeyIs("identity"):
			identity = read(in)
		default:
			in.Skip()
		}
	}
	if !in.Close() || !topic.text(in) {
		return out.Error("not a request")
	}
	switch string(in.Text()) {
	case "tck:yes":
		return wse.Yes
	case "tck:ask":
		return ask(in, out, identity)
	}
	return wse.No
}

func ask(in *wse.Reader, out *wse.Writer, identity field) wse.Result {
	if permissions := identity.find(in, "permissions"); permissions.kind == wse.Array {
		in.Open(permissions.raw)
		in.Array()
		for in.Element() {
			if in.Peek() != wse.String {
				in.Skip()
			} else if in.String() && string(in.Text()) == "tck" {
				out.PutString(`{"allow":true,"ttl_s":60}`)
				return out.Result()
			}
		}
	}
	out.PutString(`{"allow":false,"reason":"`)
	if identity.find(in, "user_id").text(in) {
		out.PutText(in.Text())
	}
	out.PutString(` lacks tck"}`)
	return out.Result()
}

func validate(in *wse.Reader, out *wse.Writer) wse.Result {
	var config field
	in.Object()
	for in.Member() {
		if in.KeyIs("strategy_config") {
			config = read(in)
		} else {
			in.Skip()
		}
	}
	if !in.Close() || config.kind != wse.Object {
		return out.Error("not a request")
	}
	result, errors := wse.No, 0
	out.PutString(`{"valid":false,"errors":[`)
	in.Open(config.raw)
	in.Object()
	for in.Member() {
		in.Skip()
		if _, ok := in.Integer(); ok {
			result = wse.Yes
			continue
		}
		if errors++; errors > 1 {
			out.PutByte(',')
		}
		out.PutString(`{"path":"`)
		out.PutText(in.Key())
		out.PutString(`","message":"must be an integer"}`)
	}
	if errors == 0 {
		return result
	}
	out.PutString(`],"warnings":[]}`)
	return out.Result()
}

func configure(in *wse.Reader, out *wse.Writer) wse.Result {
	wrong, text := false, greeting
	in.Object()
	for in.Member() {
		switch {
		case in.KeyIs("greeting"):
			if wrong = in.Peek() != wse.String; wrong {
				in.Skip()
			} else if in.String() {
				text = string(in.Text())
			}
		case out.Mark() == 0:
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
		return out.Error("config: greeting must be a string")
	}
	greeting = text
	return wse.Yes
}

// fills makes envelopes of a trading desk's events (examples/plugins/README.md says exactly what of what).
package main

import wse "github.com/wse-engine/wse/sdk/go"

func main() {} // is never called: the engine calls the exports

// large is the guest state that the configuration sets: the quantity from which a fill is a large one.
var large int64 = 1000

func configure(in *wse.Reader, out *wse.Writer) wse.Result {
	wrong := false
	in.Object()
	for in.Member() {
		switch {
		case in.KeyIs("large"):
			v, ok := integer(in)
			wrong = !ok || v < 1
			large = v
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
		return out.Error("config: large must be an integer of 1 or more")
	}
	return wse.Yes
}

// kind is what becomes of an event.
type kind uint8

const (
	untyped kind = iota
	filled
	rejected
	heartbeat
	other
)

// event is what is needed of one. The texts are as they were written; one that is absent is empty.
type event struct {
	kind                        kind
	user, order, symbol, reason []byte
	quantity                    int64 // 0 where there is none
}

func transform(in *wse.Reader, out *wse.Writer) wse.Result {
	var e event
	if !e.read(in) || e.kind == untyped {
		return out.Error("not an event")
	}
	switch e.kind {
	case heartbeat:
		return wse.No
	case filled:
		return e.fill(out)
	case rejected:
		return e.reject(out)
	}
	return wse.Yes
}

func (e *event) read(in *wse.Reader) bool {
	in.Object()
	for in.Member() {
		switch string(in.Key()) {
		case "type":
			e.kind = readKind(in)
		case "user_id":
			e.user = raw(in)
		case "payload":
			e.payload(in)
		default:
			in.Skip()
		}
	}
	return in.Close()
}

// payload reads a payload, and forgets one that came before it.
func (e *event) payload(in *wse.Reader) {
	e.order, e.symbol, e.reason, e.quantity = nil, nil, nil, 0
	if in.Peek() != wse.Object {
		in.Skip()
		return
	}
	in.Object()
	for in.Member() {
		switch string(in.Key()) {
		case "order_id":
			e.order = raw(in)
		case "symbol":
			e.symbol = raw(in)
		case "reason":
			e.reason = raw(in)
		case "quantity":
			e.quantity, _ = integer(in)
		default:
			in.Skip()
		}
	}
}

func (e *event) fill(out *wse.Writer) wse.Result {
	switch {
	case len(e.user) == 0:
		return out.Error("OrderFilled: user_id is missing")
	case len(e.order) == 0:
		return out.Error("OrderFilled: payload.order_id is missing")
	case len(e.symbol) == 0:
		return out.Error("OrderFilled: payload.symbol is missing")
	case e.quantity < 1:
		return out.Error("OrderFilled: payload.quantity is missing")
	}
	wse.Metric("fills_total", 1)
	if e.quantity >= large {
		out.PutString("large fill: ")
		out.Put(e.order)
		wse.Log(wse.LevelInfo, out.Written(0))
		out.Reset(0)
	}
	out.PutByte('[')
	e.update(out)
	out.PutString(`","symbol":"`)
	out.Put(e.symbol)
	out.PutString(`","status":"filled","quantity":`)
	out.PutInt(e.quantity)
	out.PutString(`},"pri":10},{"t":"trade","topic":"public:trades:`)
	out.Put(e.symbol)
	out.PutString(`","p":{"symbol":"`)
	out.Put(e.symbol)
	out.PutString(`","quantity":`)
	out.PutInt(e.quantity)
	if e.quantity >= large {
		out.PutString(`,"large":true`)
	}
	out.PutString("}}]")
	return out.Result()
}

func (e *event) reject(out *wse.Writer) wse.Result {
	switch {
	case len(e.user) == 0:
		return out.Error("OrderRejected: user_id is missing")
	case len(e.order) == 0:
		return out.Error("OrderRejected: payload.order_id is missing")
	}
	e.update(out)
	out.PutString(`","status":"rejected","reason":"`)
	out.Put(e.reason)
	out.PutString(`"},"pri":10}`)
	return out.Result()
}

// update is how both envelopes to the user begin.
func (e *event) update(out *wse.Writer) {
	out.PutString(`{"t":"order_update","topic":"user:`)
	out.Put(e.user)
	out.PutString(`:order_events","p":{"order_id":"`)
	out.Put(e.order)
}

func readKind(in *wse.Reader) kind {
	if in.Peek() != wse.String {
		in.Skip()
		return untyped
	}
	in.String()
	switch string(in.Text()) {
	case "OrderFilled":
		return filled
	case "OrderRejected":
		return rejected
	case "Heartbeat":
		return heartbeat
	}
	return other
}

// raw reads a value and gives a string as it is written, nothing for any other.
func raw(in *wse.Reader) []byte {
	if in.Peek() != wse.String {
		in.Skip()
		return nil
	}
	in.String()
	return in.Raw()
}

// integer reads a value and gives a whole number, false for any other.
func integer(in *wse.Reader) (int64, bool) {
	in.Skip()
	return in.Integer()
}

package wse

import "math"

// Opening is the document of wse_strategy_open. Its texts are as they are written, Config is the object of
// strategy_config, for Reader.Open; both hold until the hook returns.
type Opening struct {
	Handle                    uint32
	Name, Symbol, SessionType []byte
	Config                    []byte
	Equity, Position          float64
	IndicatorIntervalMS       float64
}

// Opening reads the document as an opening; false where it is none.
func (r *Reader) Opening() (o Opening, ok bool) {
	handle, good := false, true
	r.Object()
	for r.Member() {
		switch {
		case r.KeyIs("handle"):
			handle = r.handle(&o.Handle)
			good = good && handle
		case r.KeyIs("strategy_name"):
			o.Name = r.content()
		case r.KeyIs("symbol"):
			o.Symbol = r.content()
		case r.KeyIs("session_type"):
			o.SessionType = r.content()
		case r.KeyIs("equity"):
			r.number(&o.Equity)
		case r.KeyIs("position"):
			r.number(&o.Position)
		case r.KeyIs("indicator_interval_ms"):
			r.number(&o.IndicatorIntervalMS)
		case r.KeyIs("strategy_config"):
			good = good && r.Peek() == Object
			r.Skip()
			o.Config = r.Raw()
		default:
			r.Skip()
		}
	}
	return o, r.Close() && good && handle
}

func (r *Reader) handle(h *uint32) bool {
	if !r.Skip() {
		return false
	}
	v, ok := r.Integer()
	*h = uint32(v)
	return ok && v >= 0 && v <= math.MaxUint32
}

// content is the next value, which must be a string, as it is written between its quotes.
func (r *Reader) content() []byte {
	r.String()
	return r.Raw()
}

// Number reads the next value, which must be a number; false is a fault.
func (r *Reader) Number(v *float64) bool { return r.number(v) }

// Update is the document of wse_strategy_update. Its events are read by Event.
type Update struct {
	Handle           uint32
	Position, Equity float64
	events           []byte
}

// Event is what became of an order. ID and Reason are as they are written.
type Event struct {
	Kind                 EventKind
	ID, Reason           []byte
	Quantity, Price, Fee float64
}

// EventKind is what became of an order.
type EventKind uint8

// The kinds of event.
const (
	Unknown EventKind = iota
	Fill
	Reject
	Cancelled
)

// Update reads the document as an update; false where it is none. Its events come from Event, which must be called until
// there is none, before anything else is read.
func (r *Reader) Update() (u Update, ok bool) {
	handle, good := false, true
	r.Object()
	for r.Member() {
		switch {
		case r.KeyIs("handle"):
			handle = r.handle(&u.Handle)
			good = good && handle
		case r.KeyIs("position"):
			r.number(&u.Position)
		case r.KeyIs("equity"):
			r.number(&u.Equity)
		case r.KeyIs("events"):
			good = good && r.Peek() == Array
			r.Skip()
			u.events = r.Raw()
		default:
			r.Skip()
		}
	}
	if !r.Close() || !good || !handle {
		return Update{}, false
	}
	if u.events != nil {
		r.Open(u.events)
		r.Array()
	}
	return u, true
}

// Event reads the next event of the update that was read last; false where there is none, or the next is none.
func (r *Reader) Event(u *Update, e *Event) bool {
	*e = Event{}
	if u.events == nil || !r.Element() || !r.Object() {
		return false
	}
	for r.Member() {
		switch {
		case r.KeyIs("kind"):
			e.Kind = r.eventKind()
		case r.KeyIs("id"):
			e.ID = r.content()
		case r.KeyIs("reason"):
			e.Reason = r.content()
		case r.KeyIs("quantity"):
			r.number(&e.Quantity)
		case r.KeyIs("price"):
			r.number(&e.Price)
		case r.KeyIs("fee"):
			r.number(&e.Fee)
		default:
			r.Skip()
		}
	}
	return r.Sound()
}

func (r *Reader) eventKind() EventKind {
	if !r.String() {
		return Unknown
	}
	switch string(r.Text()) {
	case "fill":
		return Fill
	case "reject":
		return Reject
	case "cancelled":
		return Cancelled
	}
	return Unknown
}

// What an answer may hold is bounded by the engine; a strategy stops a little earlier, so that one tick's items always fit.
const (
	itemsMost = 3500
	saidMost  = 768 << 10
)

// item begins an item about the tick of that index in the batch.
func (w *Writer) item(kind string, at int) {
	if w.Mark() == 0 {
		w.items = 0
		w.PutString(`{"out":[`)
	}
	if w.items++; w.items > 1 {
		w.PutByte(',')
	}
	w.PutString(`{"kind":"`)
	w.PutString(kind)
	w.PutString(`","at":`)
	w.PutInt(int64(at))
}

func (w *Writer) member(before, text string) {
	w.PutString(before)
	w.putText(text)
	w.PutByte('"')
}

// putText is PutText for strings.
func (w *Writer) putText(text string) {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			w.PutByte('\\')
			w.PutByte(c)
		case c < ' ':
			w.PutString("\\u00")
			w.PutByte('0' + c>>4)
			w.PutByte("0123456789abcdef"[c&15])
		default:
			w.PutByte(c)
		}
	}
}

// Indicator reports a value under a name. One that is not ready (NaN) or infinite is left out. In all that a strategy says, at is
// the tick's index in the batch; in an update it is 0.
func (w *Writer) Indicator(at int, name string, value float64) {
	if !isNumber(value) {
		return
	}
	w.item("indicator", at)
	w.member(`,"name":"`, name)
	w.PutString(`,"value":`)
	w.PutFloat(value)
	w.PutByte('}')
}

func isNumber(v float64) bool { return v-v == 0 }

// Named is a value with its name.
type Named struct {
	Name  string
	Value float64
}

// Signal reports a signal with the values that it was made of; those that are no number are left out. A confidence below 0
// is none.
func (w *Writer) Signal(at int, kind string, confidence float64, indicators ...Named) {
	w.item("signal", at)
	w.member(`,"type":"`, kind)
	if confidence >= 0 {
		w.PutString(`,"confidence":`)
		w.PutFloat(confidence)
	}
	w.PutString(`,"indicators":{`)
	before := `"`
	for _, n := range indicators {
		if isNumber(n.Value) {
			w.member(before, n.Name)
			w.PutByte(':')
			w.PutFloat(n.Value)
			before = `,"`
		}
	}
	w.PutString("}}")
}

// Order is an order: a quantity in base currency or, where that is 0, a notional in quote currency. A price of 0 makes it a
// market order. Numbers are sent as PutFloat writes them; round them before where the market does.
type Order struct {
	ID                        []byte // the strategy's own, used once in the handle: letters, digits, _ . -
	Sell                      bool
	Quantity, Notional, Price float64
	Reason                    string
}

// Order orders. The strategy must stop at this tick: return Said(at+1, n).
func (w *Writer) Order(at int, o *Order) {
	w.item("order", at)
	w.PutString(`,"id":"`)
	w.PutText(o.ID)
	if o.Sell {
		w.PutString(`","side":"sell"`)
	} else {
		w.PutString(`","side":"buy"`)
	}
	if o.Quantity > 0 {
		w.PutString(`,"quantity":`)
		w.PutFloat(o.Quantity)
	} else {
		w.PutString(`,"notional":`)
		w.PutFloat(o.Notional)
	}
	if o.Price > 0 {
		w.PutString(`,"order_type":"limit","price":`)
		w.PutFloat(o.Price)
	} else {
		w.PutString(`,"order_type":"market"`)
	}
	w.member(`,"reason":"`, o.Reason)
	w.PutByte('}')
}

// Cancel asks for an order to be cancelled. The strategy must stop at this tick.
func (w *Writer) Cancel(at int, id []byte) {
	w.item("cancel", at)
	w.PutString(`,"id":"`)
	w.PutText(id)
	w.PutString(`"}`)
}

// State tells the state that the handle is in from here on, as "monitoring"; sdk/ABI.md lists them.
func (w *Writer) State(at int, state string) {
	w.item("state", at)
	w.member(`,"state":"`, state)
	w.PutByte('}')
}

// MustStop reports whether so much has been said that the next tick belongs into another call.
func (w *Writer) MustStop() bool {
	return w.Mark() > 0 && (w.items >= itemsMost || w.Mark() >= saidMost)
}

// Said is what the hook returns: the first consumed of n ticks are done with. In an update both are 0.
func (w *Writer) Said(consumed, n int) Result {
	if w.Mark() == 0 {
		if consumed == n {
			return No
		}
		w.PutString(`{"out":[`)
	}
	w.PutString(`],"consumed":`)
	w.PutInt(int64(consumed))
	w.PutByte('}')
	return w.Result()
}

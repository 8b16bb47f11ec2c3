package main

import wse "github.com/wse-engine/wse/sdk/go"

// mode is what a handle does at ticks.
type mode uint8

const (
	none mode = iota
	quiet
	echo
	trade
	trap
	endless
)

// book is a handle.
type book struct {
	handle                                       uint32
	mode                                         mode
	above, quantity, notional, limit, confidence float64
	ticks, orders                                int
	sum, position                                float64
	out, cancelled                               bool // an order is out, and its cancel too
	id                                           [12]byte
}

// books is the guest state of the strategy: the handles that are open.
var books []*book

func bookOf(handle uint32) *book {
	for _, b := range books {
		if b.handle == handle {
			return b
		}
	}
	return nil
}

func modeOf(name []byte) mode {
	switch string(name) {
	case "quiet":
		return quiet
	case "echo":
		return echo
	case "trade":
		return trade
	case "trap":
		return trap
	case "spin":
		return endless
	}
	return none
}

func open(in *wse.Reader, out *wse.Writer) wse.Result {
	o, ok := in.Opening()
	if !ok || o.Config == nil {
		return out.Error("not an opening")
	}
	b := book{handle: o.Handle, position: o.Position}
	in.Open(o.Config)
	in.Object()
	for in.Member() {
		switch {
		case in.KeyIs("mode") && in.Peek() == wse.String:
			in.String()
			b.mode = modeOf(in.Text())
		case in.KeyIs("above"):
			in.Number(&b.above)
		case in.KeyIs("quantity"):
			in.Number(&b.quantity)
		case in.KeyIs("notional"):
			in.Number(&b.notional)
		case in.KeyIs("limit"):
			in.Number(&b.limit)
		case in.KeyIs("confidence"):
			in.Number(&b.confidence)
		default:
			in.Skip()
		}
	}
	if !in.Close() || b.mode == none {
		return out.Error("no such mode")
	}
	if to := bookOf(o.Handle); to != nil {
		*to = b
	} else {
		books = append(books, &b)
	}
	return wse.Yes
}

func ticks(in *wse.Reader, out *wse.Writer) wse.Result {
	all, ok := in.Ticks()
	if !ok {
		return out.Error("not a batch of ticks")
	}
	b := bookOf(all.Handle())
	if b == nil {
		return out.Error("not open")
	}
	i, n := 0, all.Len()
	for stop := false; i < n && !stop && !out.MustStop(); i++ {
		price := all.Price(i)
		b.ticks++
		b.sum += price
		switch b.mode {
		case echo:
			out.Indicator(i, "price", price)
			out.Indicator(i, "sum", b.sum)
			out.Indicator(i, "mean", b.sum/float64(b.ticks))
		case trade:
			stop = b.trade(out, i, price)
		case trap:
			sink()
		case endless:
			for {
				spin()
			}
		}
	}
	return out.Said(i, n)
}

// trade reports whether it ordered or cancelled.
func (b *book) trade(out *wse.Writer, at int, price float64) bool {
	if b.out && !b.cancelled && price <= b.above {
		b.cancelled = true
		out.Cancel(at, b.orderID())
		return true
	}
	if b.out || price <= b.above {
		return false
	}
	confidence := b.confidence
	if confidence == 0 {
		confidence = -1
	}
	out.Signal(at, "S1", confidence, wse.Named{Name: "price", Value: price}, wse.Named{Name: "above", Value: b.above})
	out.State(at, "entry_evaluation")
	b.out = true
	b.orders++
	out.Order(at, &wse.Order{ID: b.orderID(), Sell: b.position > 0, Quantity: b.quantity, Notional: b.notional, Price: b.limit, Reason: `price is "above"`})
	return true
}

// orderID is o and the order's number.
func (b *book) orderID() []byte {
	at := len(b.id)
	for rest := b.orders; rest > 0; rest /= 10 {
		at--
		b.id[at] = byte('0' + rest%10)
	}
	at--
	b.id[at] = 'o'
	return b.id[at:]
}

func update(in *wse.Reader, out *wse.Writer) wse.Result {
	u, ok := in.Update()
	if !ok {
		return out.Error("not an update")
	}
	b := bookOf(u.Handle)
	if b == nil {
		return out.Error("not open")
	}
	b.position = u.Position
	var e wse.Event
	for in.Event(&u, &e) {
		switch b.mode {
		case echo:
			out.Indicator(0, "quantity", e.Quantity)
			out.Indicator(0, "price", e.Price)
			out.Indicator(0, "fee", e.Fee)
		case trade:
			b.out, b.cancelled = false, false
			out.State(0, becomes(e.Kind))
		}
	}
	if b.mode == echo {
		out.Indicator(0, "position", u.Position)
		out.Indicator(0, "equity", u.Equity)
	}
	return out.Said(0, 0)
}

func becomes(k wse.EventKind) string {
	switch k {
	case wse.Fill:
		return "position_active"
	case wse.Reject:
		return "signal_cancelled"
	}
	return "exited"
}

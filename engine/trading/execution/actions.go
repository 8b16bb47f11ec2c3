package execution

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// update tells a strategy what happened to it, and does at once what it says to that: for orders, as if said to the tick
// that it will see next.
func (r *Run) update(ctx context.Context, h *handle) error {
	d := append(r.document[:0], `{"handle":`...)
	d = strconv.AppendUint(d, uint64(h.number), 10)
	d = append(append(append(d, `,"events":[`...), h.events...), ']')
	d = appendAmount(d, `,"position":`, r.books.Position(h.book).Quantity)
	d = append(appendAmount(d, `,"equity":`, r.books.Equity()), '}')
	r.document = d
	h.events, h.told = h.events[:0], r.fills
	actions, err := h.strategy.instance.Update(ctx, d)
	if err != nil {
		return h.fail(ctx, err)
	}
	r.obeyAll(h, actions)
	return nil
}

// openDocument is that of wse_strategy_open.
func (r *Run) openDocument(h *handle, number uint32) []byte {
	d := append([]byte(nil), `{"handle":`...)
	d = strconv.AppendUint(d, uint64(number), 10)
	d = append(appendString(append(d, `,"strategy_name":`...), h.strategy.name), `,"symbol":`...)
	d = append(appendString(d, h.symbol.name), `,"session_type":`...)
	d = append(appendString(d, r.config.SessionType), `,"strategy_config":`...)
	if len(h.strategy.config) == 0 {
		d = append(d, "{}"...)
	} else {
		d = append(d, h.strategy.config...)
	}
	d = appendAmount(d, `,"equity":`, r.books.Equity())
	d = appendAmount(d, `,"position":`, r.books.Position(h.book).Quantity)
	d = strconv.AppendInt(append(d, `,"indicator_interval_ms":`...), r.config.IndicatorIntervalMS, 10)
	return append(d, '}')
}

func appendAmount(d []byte, name string, a ledger.Amount) []byte {
	return a.Append(append(d, name...))
}

func appendString(d []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // no string does that
		panic(err)
	}
	return append(d, quoted...)
}

// tell adds an event to what a handle is told before its next tick.
func (h *handle) tell(kind string, o *order, quantity ledger.Amount, price ledger.Price, fee ledger.Amount, reason string) {
	if !h.active {
		return
	}
	d := h.events
	if len(d) > 0 {
		d = append(d, ',')
	}
	d = append(append(append(d, `{"kind":"`...), kind...), `","id":`...)
	d = appendString(d, o.own)
	if quantity != 0 {
		d = appendAmount(d, `,"quantity":`, quantity)
		d = price.Append(append(d, `,"price":`...))
		d = appendAmount(d, `,"fee":`, fee)
	}
	if reason != "" {
		d = appendString(append(d, `,"reason":`...), reason)
	}
	h.events = append(d, '}')
}

// obey does what a strategy said to tick t.
func (r *Run) obey(h *handle, t int) {
	n := 0
	for n < len(h.queue) && h.base+h.queue[n].At == t {
		n++
	}
	if n > 0 {
		r.obeyAll(h, h.queue[:n])
		h.queue = h.queue[n:]
	}
}

// obeyAll does what a strategy said, in its order; indicators are told together.
func (r *Run) obeyAll(h *handle, actions []message.StrategyAction) {
	r.indicators = r.indicators[:0]
	for i := range actions {
		a := &actions[i]
		switch a.Kind {
		case message.ActionIndicator:
			if r.wants.Has(KindIndicators) {
				r.indicators = append(r.indicators, Indicator{a.Name, a.Value})
			}
		case message.ActionSignal:
			r.books.Signal(h.book)
			if e := r.begin(h, KindSignal); e != nil {
				e.SignalType, e.Confidence, e.HasConfidence, e.Snapshot = a.SignalType, a.Confidence, a.HasConfidence, a.Indicators
				r.sink.Emit(e)
			}
		case message.ActionState:
			h.enter(a.State, a.Reason)
			if a.State == StateEmergencyExit {
				r.alert(h, AlertEmergencyExit, "emergency exit of "+h.strategy.name+" on "+h.symbol.name)
			}
		case message.ActionOrder:
			r.place(h, a)
		case message.ActionCancel:
			r.withdraw(h, a.ID)
		}
	}
	if len(r.indicators) > 0 {
		e := r.begin(h, KindIndicators)
		e.Indicators = r.indicators
		r.sink.Emit(e)
	}
}

// enter takes note of a state and tells of it.
func (h *handle) enter(state, reason string) {
	h.state, h.reason, h.sinceMS = state, reason, h.run.nowMS
	if e := h.run.begin(h, KindState); e != nil {
		e.State, e.Reason = state, reason
		h.run.sink.Emit(e)
	}
}

// begin returns an event about a handle to be filled in, or nil when nobody wants to hear of that.
func (r *Run) begin(h *handle, k Kind) *Event {
	if !r.wants.Has(k) {
		return nil
	}
	r.event = Event{Kind: k, TimeMS: r.nowMS}
	if h != nil {
		r.event.Strategy, r.event.Symbol = h.strategy.name, h.symbol.name
	}
	return &r.event
}

func (r *Run) alert(h *handle, kind, text string) {
	if e := r.begin(h, KindAlert); e != nil {
		e.Alert, e.Reason = kind, text
		r.sink.Emit(e)
	}
}

func (r *Run) emitPortfolio() {
	if e := r.begin(nil, KindPortfolio); e != nil {
		e.Portfolio = Portfolio{r.books.Equity(), r.books.Balance(), r.books.Realized(), r.books.Unrealized(), r.books.Fees()}
		r.sink.Emit(e)
	}
}

func (r *Run) emitPosition(h *handle) {
	if e := r.begin(h, KindPosition); e != nil {
		e.Position = r.books.Position(h.book)
		r.sink.Emit(e)
	}
}

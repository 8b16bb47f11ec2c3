package execution

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// order is one that a strategy gave.
type order struct {
	id       string
	own      string // the strategy's id for it
	number   uint64
	h        *handle
	sell     bool
	limit    ledger.Price // not Known: market
	limitAt  float64      // limit as it was given
	quantity ledger.Amount
	notional ledger.Amount
	reason   string
	placedMS int64
	status   Status
	commits  ledger.Amount // what it would add to what its strategy has committed
	closes   ledger.Amount // the part of its quantity that closes a position

	filled     ledger.Amount // quantity so far
	spent      ledger.Amount // what that came to
	fees       ledger.Amount
	withdrawn  bool     // in External mode: the broker was asked to cancel it
	executions []string // ids of reports that were booked
}

// place checks an order of a strategy's and accepts or refuses it.
func (r *Run) place(h *handle, a *message.StrategyAction) {
	r.numbered++
	o := &order{id: r.orderID(r.numbered), own: a.ID, number: r.numbered, h: h, sell: a.Side == "sell",
		reason: a.Reason, placedMS: r.nowMS}
	if reason := r.examine(o, a); reason != "" {
		r.refuse(o, reason)
		return
	}
	if r.config.Mode == External {
		if err := r.config.Intents(r.intent(o, false)); err != nil {
			r.refuse(o, err.Error())
			return
		}
	}
	h.orders = append(h.orders, o)
	h.symbol.pending++
	r.orders[o.id] = o
	r.books.Placed(h.book)
	r.emitOrder(o, "", 0, ledger.Price{}, 0)
}

func (r *Run) orderID(number uint64) string {
	return r.config.SessionID + "-" + strconv.FormatUint(number, 10)
}

// examine fills in the numbers of an order and returns why it is refused, or nothing.
func (r *Run) examine(o *order, a *message.StrategyAction) string {
	if r.config.Mode == Observe {
		return ReasonNoSession
	}
	if reason := o.read(a); reason != "" {
		return reason
	}
	if len(o.h.orders) >= r.config.OrdersPendingMax {
		return ReasonTooMany
	}
	if slices.ContainsFunc(o.h.orders, func(other *order) bool { return other.own == o.own }) {
		return ReasonDuplicateID
	}
	return r.weigh(o, nil, r.reference(o))
}

// read takes the numbers of an order.
func (o *order) read(a *message.StrategyAction) string {
	var err error
	limited := a.OrderType == "limit"
	if limited {
		o.limitAt = a.Price
		if o.limit, err = ledger.PriceFromFloat(a.Price); err != nil {
			return ReasonInvalid
		}
	}
	if a.Notional != 0 {
		o.notional, err = ledger.AmountFromFloat(a.Notional)
	} else {
		o.quantity, err = ledger.AmountFromFloat(a.Quantity)
	}
	known := a.Side == "buy" || a.Side == "sell"
	if err != nil || !known || !limited && a.OrderType != "market" || o.notional+o.quantity <= 0 || a.Notional != 0 && a.Quantity != 0 {
		return ReasonInvalid
	}
	return ""
}

// reference is the price that an order is weighed at: its limit, or its symbol's last price.
func (r *Run) reference(o *order) ledger.Price {
	if o.limit.Known() {
		return o.limit
	}
	_, last := r.books.LastTick(o.h.symbol.id)
	p, err := ledger.PriceFromFloat(last)
	if err != nil {
		return ledger.Price{}
	}
	return p
}

// weigh works out what an order would commit at a price, and returns why that cannot be had, or nothing. except is not counted: the
// order itself, when it is weighed again.
func (r *Run) weigh(o, except *order, at ledger.Price) string {
	if !at.Known() {
		return ReasonNoPrice
	}
	quantity := o.quantity
	if o.notional > 0 {
		var err error
		if quantity, err = at.Quantity(o.notional); err != nil {
			return ReasonOverflow
		}
	}
	opens := o.h.exposure(o.sell, quantity, except)
	commits, err := at.Of(opens)
	if err != nil {
		return ReasonOverflow
	}
	if opens == quantity && o.notional > 0 {
		commits = o.notional // not what rounding left of it
	}
	if held := r.books.Position(o.h.book); opens < quantity && commits > 0 { // it turns a position round, whose cost it sets free
		released, err := held.Cost.MulDiv(quantity-opens, held.Quantity.Abs())
		if err != nil {
			return ReasonOverflow
		}
		commits = max(0, commits-released)
	}
	if reason := r.afford(o.h.strategy, commits, except); reason != "" {
		return reason
	}
	o.commits, o.closes = commits, quantity-opens
	return ""
}

// refuse counts an order that was not accepted, or that was and cannot be filled.
func (r *Run) refuse(o *order, reason string) {
	o.status = Rejected
	r.books.Rejected(o.h.book, reason)
	o.h.tell("reject", o, 0, ledger.Price{}, 0, reason)
	r.emitOrder(o, reason, 0, ledger.Price{}, 0)
	if reason == ReasonBudget {
		r.alert(o.h, AlertBudget, "an order of "+o.h.strategy.name+" on "+o.h.symbol.name+" was refused: it would pass the budget")
	}
}

// withdraw cancels the strategy's own order of that id. In External mode the broker is asked to, and Report says what came of
// it. An id of nothing pending is passed over: the order may have been filled in the same moment.
func (r *Run) withdraw(h *handle, own string) {
	for _, o := range h.orders {
		if o.own != own {
			continue
		}
		if r.config.Mode == External {
			r.askToCancel(o)
		} else {
			r.cancel(o, ReasonAsked)
		}
		return
	}
}

// askToCancel hands a cancel to the broker, once for each order; it is asked again where that could not be handed over.
func (r *Run) askToCancel(o *order) {
	if !o.withdrawn {
		o.withdrawn = r.config.Intents(r.intent(o, true)) == nil
	}
}

// cancel ends a pending order.
func (r *Run) cancel(o *order, reason string) {
	o.status = Cancelled
	r.remove(o)
	r.books.Cancelled(o.h.book)
	o.h.tell("cancelled", o, 0, ledger.Price{}, 0, reason)
	r.emitOrder(o, reason, 0, ledger.Price{}, 0)
}

func (r *Run) cancelAll(h *handle, reason string) {
	for len(h.orders) > 0 {
		o := h.orders[0]
		if r.config.Mode == External {
			r.askToCancel(o)
		}
		r.cancel(o, reason)
	}
}

// remove takes an order out of those that are pending. In External mode it is kept for reports that come late.
func (r *Run) remove(o *order) {
	o.commits, o.closes = 0, 0
	at := slices.Index(o.h.orders, o)
	if at < 0 {
		return
	}
	o.h.orders = slices.Delete(o.h.orders, at, at+1)
	o.h.symbol.pending--
	if r.config.Mode != External {
		delete(r.orders, o.id)
		return
	}
	r.done = append(r.done, o)
	if len(r.done) > r.config.OrdersKeptMax {
		delete(r.orders, r.done[0].id)
		r.done = slices.Delete(r.done, 0, 1)
	}
}

// fillAt fills the pending orders of y that a tick fills, oldest first.
func (r *Run) fillAt(y *symbol, tick *message.StrategyTick) {
	due := r.scratch[:0]
	for _, h := range y.handles {
		for _, o := range h.orders {
			if !o.limit.Known() || o.sell && tick.Price >= o.limitAt || !o.sell && tick.Price <= o.limitAt {
				due = append(due, o)
			}
		}
	}
	r.scratch = due
	slices.SortFunc(due, func(a, b *order) int { return cmp.Compare(a.number, b.number) })
	for _, o := range due {
		r.simulate(o, tick.Price)
	}
	clear(due)
}

// simulate fills an order whole at a tick's price, or refuses it where that cannot be.
func (r *Run) simulate(o *order, at float64) {
	price, err := ledger.PriceFromFloat(at)
	if err == nil && !o.limit.Known() {
		slippage := r.config.SlippageBps
		if o.sell {
			slippage = -slippage
		}
		price, err = price.Slipped(slippage)
	}
	quantity := o.quantity
	if err == nil && o.notional > 0 {
		quantity, err = price.Quantity(o.notional)
	}
	reason := ""
	switch {
	case err != nil:
		reason = ReasonOverflow
	case quantity == 0:
		reason = ReasonTooSmall
	case o.closes > 0 && quantity-o.h.exposure(o.sell, quantity, o) < min(o.closes, quantity):
		reason = r.weigh(o, o, price) // it closes less than when it was accepted
	}
	var fee ledger.Amount
	if reason == "" {
		if fee, err = r.fee(quantity, price); err == nil {
			err = r.book(o, quantity, price, fee, r.nowMS)
		}
		if err == nil {
			return
		}
		reason = ReasonOverflow
	}
	r.remove(o)
	r.refuse(o, reason)
}

func (r *Run) fee(quantity ledger.Amount, price ledger.Price) (ledger.Amount, error) {
	notional, err := price.Of(quantity)
	if err != nil {
		return 0, err
	}
	return notional.MulDiv(r.config.FeeBps, allBps)
}

// book books a fill and tells of it. An order that is filled whole with it is done.
func (r *Run) book(o *order, quantity ledger.Amount, price ledger.Price, fee ledger.Amount, timeMS int64) error {
	booked, err := r.books.Fill(o.h.book, ledger.Fill{Sell: o.sell, Quantity: quantity, Price: price, Fee: fee, TimeMS: timeMS, Reason: o.reason})
	if err != nil {
		return err
	}
	r.fills++
	o.add(quantity, booked.Notional, fee)
	switch {
	case o.status == Cancelled: // the broker was quicker
	case o.complete():
		o.status = Filled
		r.remove(o)
		r.books.Filled(o.h.book)
	default:
		o.status = PartlyFilled
		o.fillsUp()
	}
	o.h.tell("fill", o, quantity, price, fee, "")
	r.emitOrder(o, "", quantity, price, fee)
	if o.h.moved = r.filling; !r.filling {
		r.emitPosition(o.h)
	}
	return nil
}

// add adds a fill to what the order came to. These sums are for showing, so one that does not fit stays as it is.
func (o *order) add(quantity, notional, fee ledger.Amount) {
	for _, s := range []struct {
		to *ledger.Amount
		by ledger.Amount
	}{{&o.filled, quantity}, {&o.spent, notional}, {&o.fees, fee}} {
		if total, err := s.to.Add(s.by); err == nil {
			*s.to = total
		}
	}
}

// complete reports whether an order is filled. One by notional is at 99 % of it, since a broker's lots seldom come to the
// cent; what a simulated fill leaves is less than a unit of the last decimal.
func (o *order) complete() bool {
	if o.notional == 0 {
		return o.filled >= o.quantity
	}
	return o.h.run.config.Mode != External || o.spent >= o.notional-o.notional/100
}

// fillsUp takes from what a partly filled order commits what is a position now.
func (o *order) fillsUp() {
	whole, part := o.quantity, o.filled
	if o.notional > 0 {
		whole, part = o.notional, o.spent
	}
	for _, a := range []*ledger.Amount{&o.commits, &o.closes} {
		if left, err := a.MulDiv(max(0, whole-part), whole); err == nil {
			*a = left
		}
	}
}

// emitOrder tells how an order is now. The numbers are of a fill.
func (r *Run) emitOrder(o *order, reason string, quantity ledger.Amount, price ledger.Price, fee ledger.Amount) {
	e := r.begin(o.h, KindOrder)
	if e == nil {
		return
	}
	r.orderEvent = o.view(reason)
	r.orderEvent.FillQuantity, r.orderEvent.FillPrice, r.orderEvent.Fee = quantity, price, fee
	e.Order = &r.orderEvent
	r.sink.Emit(e)
}

// view returns the order; reason overrides the one for which it was given.
func (o *order) view(reason string) OrderEvent {
	if reason == "" {
		reason = o.reason
	}
	return OrderEvent{ID: o.id, Sell: o.sell, Limit: o.limit, Quantity: o.quantity, Notional: o.notional, Status: o.status, Reason: reason,
		PlacedMS: o.placedMS, FilledQuantity: o.filled, FilledNotional: o.spent, Fees: o.fees}
}

func (r *Run) intent(o *order, cancel bool) Intent {
	return Intent{Cancel: cancel, Strategy: o.h.strategy.name, Symbol: o.h.symbol.name, TimeMS: r.nowMS, Order: o.view("")}
}

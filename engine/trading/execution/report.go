package execution

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wse-engine/wse/engine/trading/ledger"
)

// ErrReport is wrapped by what is wrong with a Report.
var ErrReport = errors.New("execution: report")

// ReportKind is what a broker tells of an order.
type ReportKind uint8

// The kinds of reports.
const (
	ReportFill ReportKind = iota // Quantity, Price and Fee; an order may have several
	ReportReject
	ReportCancelled
)

// Report is what an outside broker tells of an order that went to it.
type Report struct {
	OrderID     string
	ExecutionID string // 1 to 128 bytes; one that the order has seen before is passed over
	Kind        ReportKind
	Quantity    ledger.Amount
	Price       ledger.Price
	Fee         ledger.Amount // below 0: a rebate
	Reason      string
	TimeMS      int64 // Unix milliseconds; 0: that of the last tick
}

// executionsMax bounds the reports on one order.
const executionsMax = 10_000

// Report books what the broker did, in External mode. It reports whether that is new: a second report with an order's execution id changes
// nothing. An order that this run did not give, or that was done longer ago than OrdersKeptMax others, is an [ErrUnknown]; numbers that cannot be booked
// are an [ErrReport] and book nothing. Fills are booked also after the run has ended, or the order was cancelled, since the broker has the last word.
// The strategy is told before its next tick. An order by notional is done when fills come to 99 % of it.
func (r *Run) Report(report Report) (fresh bool, err error) {
	o := r.orders[report.OrderID]
	if o == nil || r.config.Mode != External {
		return false, fmt.Errorf("%w: order %.128q", ErrUnknown, report.OrderID)
	}
	if id := report.ExecutionID; id == "" || len(id) > 128 {
		return false, fmt.Errorf("%w: order %s: the execution id has %d bytes, not 1 to 128", ErrReport, o.id, len(id))
	}
	if slices.Contains(o.executions, report.ExecutionID) {
		return false, nil
	}
	if len(o.executions) >= executionsMax {
		return false, fmt.Errorf("%w: order %s: more than %d reports", ErrReport, o.id, executionsMax)
	}
	r.begins()
	if report.TimeMS == 0 {
		report.TimeMS = r.nowMS
	}
	pending := o.status == Placed || o.status == PartlyFilled
	switch report.Kind {
	case ReportFill:
		if err := r.book(o, report.Quantity, report.Price, report.Fee, report.TimeMS); err != nil {
			return false, fmt.Errorf("%w: order %s: %w", ErrReport, o.id, err)
		}
		r.emitPortfolio()
	case ReportReject:
		if pending {
			r.remove(o)
			r.refuse(o, report.Reason)
		}
	case ReportCancelled:
		if pending {
			r.cancel(o, report.Reason)
		}
	default:
		return false, fmt.Errorf("%w: order %s: no kind %d", ErrReport, o.id, report.Kind)
	}
	o.executions = append(o.executions, report.ExecutionID)
	return true, nil
}

// End ends the run: what is pending is cancelled with a reason, [ReasonEnded] where that is empty, and with CloseAtEnd what is held is
// sold or bought back at the last price, as by a market order. Strategies are not called any more. It returns what kept a position
// from being closed; a second call does nothing.
func (r *Run) End(reason string) error {
	if r.ended {
		return nil
	}
	if reason == "" {
		reason = ReasonEnded
	}
	r.begins()
	before := r.fills
	var faults []error
	for _, s := range r.strategies {
		for _, h := range s.handles {
			r.cancelAll(h, reason)
			if r.config.CloseAtEnd && r.config.Mode == Simulate {
				faults = append(faults, r.close(h, reason))
			}
			if h.active {
				h.active = false
				h.enter(StateInactive, reason)
			}
		}
	}
	for _, y := range r.symbols {
		y.handles = nil
	}
	if r.fills != before {
		r.emitPortfolio()
	}
	r.books.Settle()
	r.ended = true
	return errors.Join(faults...)
}

// close closes what h holds by an order that the run gives itself.
func (r *Run) close(h *handle, reason string) error {
	held := r.books.Position(h.book).Quantity
	if held == 0 {
		return nil
	}
	r.numbered++
	o := &order{id: r.orderID(r.numbered), number: r.numbered, h: h, sell: held > 0, quantity: held.Abs(), reason: reason, placedMS: r.nowMS}
	h.orders = append(h.orders, o)
	h.symbol.pending++
	r.books.Placed(h.book)
	r.emitOrder(o, "", 0, ledger.Price{}, 0)
	_, last := r.books.LastTick(h.symbol.id)
	r.simulate(o, last)
	if o.status != Filled {
		return fmt.Errorf("execution: %v %s of %s could not be closed at %v", held, h.symbol.name, h.strategy.name, last)
	}
	return nil
}

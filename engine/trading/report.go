package trading

import (
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// readReport reads what an outside broker says of an order (PROTOCOL §3.4):
// {session_id, order_id, execution_id, kind: fill|reject|cancelled, quantity, price, fee?, reason?}. mine is false for
// another session's.
func readReport(payload []byte, session string) (r execution.Report, mine bool, err error) {
	fields := map[string][]byte{}
	for it := jsonscan.Members(payload); it.Next(); {
		fields[string(it.Key())] = it.Value()
	}
	text := func(name string) string {
		s, readErr := jsonscan.String(fields[name])
		if fields[name] != nil && readErr != nil && err == nil {
			err = fmt.Errorf("%s must be a string", name)
		}
		return s
	}
	if text("session_id") != session {
		return r, false, nil
	}
	r.OrderID, r.ExecutionID, r.Reason = text("order_id"), text("execution_id"), text("reason")
	switch kind := text("kind"); kind {
	case "fill":
		r.Kind = execution.ReportFill
	case "reject":
		r.Kind = execution.ReportReject
	case "cancelled":
		r.Kind = execution.ReportCancelled
	default:
		return r, true, fmt.Errorf("kind must be fill, reject or cancelled, not %q", cut(kind))
	}
	if err != nil || r.Kind != execution.ReportFill {
		return r, true, err
	}
	if r.Quantity, err = ledger.ParseAmount(string(fields["quantity"])); err != nil {
		return r, true, fmt.Errorf("quantity: %w", err)
	}
	if r.Price, err = ledger.ParsePrice(string(fields["price"])); err != nil {
		return r, true, fmt.Errorf("price: %w", err)
	}
	if raw := fields["fee"]; raw != nil {
		if r.Fee, err = ledger.ParseAmount(string(raw)); err != nil {
			return r, true, fmt.Errorf("fee: %w", err)
		}
	}
	return r, true, nil
}

package trading

import (
	"errors"

	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// silence hears nothing: who is told of a session that ended with the engine's process asks for it later.
type silence struct{}

var _ execution.Sink = silence{}

// Wants implements [execution.Sink].
func (silence) Wants() execution.Kinds { return 0 }

// Emit implements [execution.Sink].
func (silence) Emit(*execution.Event) {}

// stopCrashed makes of the document of a session that ran when the engine ended that of one that is stopped, as of its last
// checkpoint. What a stop does to its orders and positions is done now, but for a live session: its orders are at a broker, who was not
// asked to cancel them, so that they stay counted as placed. Where the error says that this cannot be done, the session is stopped all
// the same.
func (t *Trading) stopCrashed(d *document) error {
	d.State, d.Reason, d.EndedMS = stopped, reasonRestarted, d.KeptMS
	for i := range d.Strategies {
		d.Strategies[i].State, d.Strategies[i].Reason = stateInactive, execution.ReasonEnded
	}
	orders := d.Run
	d.Run = nil
	if d.Type == live {
		return nil
	}
	books, err := ledger.Restore(d.Ledger, t.ledgerConfig())
	if err != nil {
		return err
	}
	o := t.defaults(d.Type)
	var bad faults // there are none: the session was started with it
	_ = o.read(d.Config, &plan{kind: d.Type}, &bad)
	run, err := execution.Restore(orders, o.execution(d.ID, d.Type), books, silence{})
	if err != nil {
		return err
	}
	err = run.End(execution.ReasonEnded)
	ended, failed := books.Snapshot()
	if failed == nil {
		d.Ledger = ended
	}
	return errors.Join(err, failed)
}

package execution

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/wse-engine/wse/engine/trading/ledger"
)

// ErrSnapshot is wrapped by what Restore returns for a document that cannot be a run's snapshot.
var ErrSnapshot = errors.New("execution: snapshot")

const snapshotVersion = 1

// The document of a snapshot. Money, positions and last prices are in the ledger's.
type (
	snapshot struct {
		Version  int              `json:"version"`
		Numbered uint64           `json:"numbered"` // orders so far
		Ended    bool             `json:"ended"`
		Handles  []handleSnapshot `json:"handles"`
		Orders   []orderSnapshot  `json:"orders"` // pending, and in External mode those that are done, oldest first
	}
	handleSnapshot struct {
		Strategy string `json:"strategy"`
		Plugin   string `json:"plugin"`
		Symbol   string `json:"symbol"`
		Active   bool   `json:"active"`
		State    string `json:"state"`
		SinceMS  int64  `json:"since_ms"`
		Reason   string `json:"reason,omitempty"`
	}
	orderSnapshot struct {
		Handle     int           `json:"handle"` // index in handles
		ID         string        `json:"id"`
		Own        string        `json:"own"`
		Number     uint64        `json:"number"`
		Sell       bool          `json:"sell,omitempty"`
		Limit      ledger.Price  `json:"limit"`
		Quantity   ledger.Amount `json:"quantity"`
		Notional   ledger.Amount `json:"notional"`
		Reason     string        `json:"reason,omitempty"`
		PlacedMS   int64         `json:"placed_ms"`
		Status     Status        `json:"status"`
		Filled     ledger.Amount `json:"filled"`
		Spent      ledger.Amount `json:"spent"`
		Fees       ledger.Amount `json:"fees"`
		Withdrawn  bool          `json:"withdrawn,omitempty"`
		Executions []string      `json:"executions,omitempty"`
	}
)

// Snapshot returns what the run knows and the ledger does not, as a JSON document with a version: its orders and how its strategies are
// doing. What the strategies themselves know is not in it.
func (r *Run) Snapshot() ([]byte, error) {
	doc := snapshot{Version: snapshotVersion, Numbered: r.numbered, Ended: r.ended}
	at := make(map[*handle]int)
	var orders []*order
	for _, s := range r.strategies {
		for _, h := range s.handles {
			at[h] = len(doc.Handles)
			doc.Handles = append(doc.Handles, handleSnapshot{s.name, s.plugin, h.symbol.name, h.active, h.state, h.sinceMS, h.reason})
			orders = append(orders, h.orders...)
		}
	}
	for _, o := range append(orders, r.done...) {
		doc.Orders = append(doc.Orders, orderSnapshot{at[o.h], o.id, o.own, o.number, o.sell, o.limit, o.quantity, o.notional, o.reason, o.placedMS,
			o.status, o.filled, o.spent, o.fees, o.withdrawn, o.executions})
	}
	return json.Marshal(&doc)
}

// Restore returns a run of which a snapshot was taken, for a session that comes back stopped: it has no strategies and takes no ticks. States
// and orders are those of the snapshot; Report books what comes late, and End cancels what is pending. books is the ledger as of the same
// moment. A document that is no snapshot is an [ErrSnapshot].
func Restore(document []byte, c Config, books *ledger.Ledger, sink Sink) (*Run, error) {
	r, err := New(c, books, sink)
	if err != nil {
		return nil, err
	}
	var doc snapshot
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the document", ErrSnapshot)
	}
	if doc.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d; this engine reads version %d", ErrSnapshot, doc.Version, snapshotVersion)
	}
	handles, err := r.restoreHandles(doc.Handles)
	if err == nil {
		err = r.restoreOrders(doc.Orders, handles)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	r.numbered, r.ended, r.err = doc.Numbered, doc.Ended, ErrEnded
	return r, nil
}

func (r *Run) restoreHandles(list []handleSnapshot) ([]*handle, error) {
	var handles []*handle
	for i, from := range list {
		s := r.named[from.Strategy]
		if s == nil {
			s = &strategy{name: from.Strategy, plugin: from.Plugin}
			r.add(s)
		}
		n := len(s.handles)
		h, err := r.handleOf(s, from.Symbol)
		if err != nil {
			return nil, fmt.Errorf("handles[%d]: %w", i, err)
		}
		if len(s.handles) == n {
			return nil, fmt.Errorf("handles[%d]: twice", i)
		}
		h.active, h.state, h.sinceMS, h.reason = from.Active, from.State, from.SinceMS, from.Reason
		handles = append(handles, h)
	}
	return handles, nil
}

func (r *Run) restoreOrders(list []orderSnapshot, handles []*handle) error {
	for i, from := range list {
		if from.Handle < 0 || from.Handle >= len(handles) || from.Status > Cancelled || from.ID == "" || r.orders[from.ID] != nil {
			return fmt.Errorf("orders[%d]: without a handle or a status, or twice", i)
		}
		h := handles[from.Handle]
		o := &order{id: from.ID, own: from.Own, number: from.Number, h: h, sell: from.Sell, limit: from.Limit, limitAt: from.Limit.Float64(),
			quantity: from.Quantity, notional: from.Notional, reason: from.Reason, placedMS: from.PlacedMS, status: from.Status,
			filled: from.Filled, spent: from.Spent, fees: from.Fees, withdrawn: from.Withdrawn, executions: from.Executions}
		r.orders[o.id] = o
		if o.status == Placed || o.status == PartlyFilled {
			h.orders = append(h.orders, o)
			h.symbol.pending++
		} else {
			r.done = append(r.done, o)
		}
	}
	return nil
}

package collection

import (
	"maps"
	"slices"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// State is what a collection does.
type State string

// The states.
const (
	Running   State = "running"
	Stopped   State = "stopped"   // by who may, by a limit, or by the engine's end
	Completed State = "completed" // its time was over
	Failed    State = "error"     // the disk failed
)

// Reasons of the end of a collection.
const (
	ReasonRequested = "requested"
	ReasonDuration  = "duration"
	ReasonSize      = "size_limit"
	ReasonRestarted = "engine_restarted"
	ReasonImported  = "imported" // it was put there by the operator
	ReasonDisk      = "disk_error"
)

// Status is what is known of a collection, and its manifest. Rows and bytes are those that are on disk, synced.
type Status struct {
	ID         string                `json:"collection_id"`
	Owner      string                `json:"owner"` // empty: the operator
	State      State                 `json:"state"`
	Reason     string                `json:"reason,omitempty"` // why it ended
	Symbols    []string              `json:"symbols"`          // sorted
	Started    time.Time             `json:"started"`
	Ended      time.Time             `json:"ended,omitzero"`
	DurationMS int64                 `json:"duration_ms"` // after which it ends by itself; 0: it was imported
	Rows       uint64                `json:"rows"`
	Bytes      int64                 `json:"bytes"`
	BySymbol   map[string]FileStatus `json:"by_symbol"`
	Invalid    uint64                `json:"rejected_invalid"`      // ticks with numbers that no tick can have
	OutOfOrder uint64                `json:"rejected_out_of_order"` // ticks older than the symbol's last
	Dropped    uint64                `json:"dropped"`               // good ticks for which there was no room: in the queue, on the disk, or under the size limit
	// Interruptions is how often ticks of a symbol may have been published that could not be heard.
	Interruptions uint64    `json:"interruptions,omitempty"`
	Cut           uint64    `json:"cut"`                    // half-written rows that a crash left, cut off
	LastError     string    `json:"last_error,omitempty"`   // of the disk
	LastErrorAt   time.Time `json:"last_error_at,omitzero"` //
	Failing       bool      `json:"disk_failing,omitempty"` // the disk is full now; rows wait
}

// FileStatus is what is on disk of one symbol.
type FileStatus struct {
	Rows  uint64 `json:"rows"`
	Bytes int64  `json:"bytes"` // the header's included
}

// clone returns a copy that shares nothing with s.
func (s *Status) clone() Status {
	c := *s
	c.Symbols, c.BySymbol = slices.Clone(s.Symbols), maps.Clone(s.BySymbol)
	return c
}

// add counts what was written of a symbol, or what there is of it.
func (s *Status) add(symbol string, more FileStatus) {
	f := s.BySymbol[symbol]
	f.Rows += more.Rows
	f.Bytes += more.Bytes
	s.BySymbol[symbol] = f
	s.Rows += more.Rows
	s.Bytes += more.Bytes
}

// Message returns the status as clients are told of it: what the system says of its disks is not their business, that
// their rows are not written is.
func (s *Status) Message() *message.Collection {
	c := &message.Collection{
		ID: s.ID, Owner: s.Owner, State: string(s.State), Reason: s.Reason, Symbols: slices.Clone(s.Symbols),
		Duration: time.Duration(s.DurationMS) * time.Millisecond, StartedMS: s.Started.UnixMilli(),
		Records: s.Rows, Rejected: s.Invalid + s.OutOfOrder, Dropped: s.Dropped, Interruptions: s.Interruptions, Bytes: s.Bytes, BySymbol: map[string]uint64{},
	}
	if !s.Ended.IsZero() {
		c.EndedMS = s.Ended.UnixMilli()
	}
	for symbol, f := range s.BySymbol {
		c.BySymbol[symbol] = f.Rows
	}
	if s.Failing {
		c.Reason = "the disk is full: rows wait, and are dropped where there is no room for them"
	}
	return c
}

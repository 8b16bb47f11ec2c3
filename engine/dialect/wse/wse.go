// Package wse is the dialect of protocol v2 (engine/dialect/PROTOCOL.md §2): envelopes with short names, one JSON object
// per message.
//
// Ownership: a Dialect has no state; all of its methods may be called by any number of goroutines.
package wse

import "github.com/wse-engine/wse/engine/dialect"

// Version is the protocol version that every message carries.
const Version = 2

// Limits of what a message may hold, part of the protocol (PROTOCOL §2.1).
const (
	typeBytesMax = 128
	idBytesMax   = 256 // of id, cid and trace_id
)

// Dialect reads and writes protocol v2. The zero value is ready to use.
type Dialect struct{}

var _ dialect.Dialect = Dialect{}

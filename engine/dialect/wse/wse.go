// Package wse is the dialect of protocol v2 (engine/dialect/PROTOCOL.md §2): envelopes with short names, one JSON object
// per message.
//
// Ownership: a Dialect has no state; all of its methods may be called by any number of goroutines.
package wse

// Version is the protocol version that every message carries.
const Version = 2

// Dialect reads and writes protocol v2. The zero value is ready to use.
type Dialect struct{}

// Package wsapi is the dialect of protocol v1, the WebSocket API (engine/dialect/PROTOCOL.md §3): requests with a type and an
// id, answers with the same id, and data of streams without one.
//
// Ownership: a Dialect has no state; all of its methods may be called by any number of goroutines.
package wsapi

import (
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
)

// Version is the protocol version that every message carries.
const Version = "1.0"

// Limits of what a message may hold, part of the protocol (PROTOCOL §3.1).
const (
	typeBytesMax  = 128
	idBytesMax    = 256
	depthMax      = 64
	faultsMax     = 100  // told at once
	symbolsMax    = 1000 // in one request
	symbolBytes   = message.TopicSegmentBytesMax
	nameBytesMax  = 100
	tokenBytesMax = 64 << 10
)

// Dialect reads and writes protocol v1. The zero value is ready to use.
type Dialect struct{}

var _ dialect.Dialect = Dialect{}

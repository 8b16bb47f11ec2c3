// Package dialect is the seam between the engine's nouns and what is spelled on the wire. Each protocol is one
// implementation in a package below this one, and nowhere else does the engine know a protocol's field name, error code
// or message type.
//
// Ownership: a Dialect is a value without mutable state; all of its methods may be called by any number of goroutines.
package dialect

import "github.com/wse-engine/wse/engine/message"

// Dialect reads and writes one wire protocol. A connection gets its dialect at the handshake and keeps it.
//
// Nothing here blocks. The bytes passed to Decode belong to the caller and change after the call: what the request keeps
// is copied. The Append methods add one complete message to dst, without a frame, and return the extended slice; they
// allocate only when dst is too small.
type Dialect interface {
	// Decode reads one complete data message. Its error is always a *message.Error fit to be sent back, and then the
	// request, where not nil, holds what could be read of it (its id, so that the error can be correlated).
	Decode(data []byte, binary bool) (*message.Request, error)
	// AppendReply writes one of the engine's own messages.
	AppendReply(dst []byte, r *message.Reply) []byte
	// AppendPublication writes a numbered envelope. Every subscriber of one encoding gets these same bytes.
	AppendPublication(dst []byte, env *message.Envelope) []byte
}

// Wrapper turns a message as a dialect wrote it into what its frame carries: compressed, or in another notation. Its method
// may be called by any number of goroutines.
type Wrapper interface {
	// Wrap replaces the message dst[from:] and returns the extended slice; binary says that it goes into a binary frame. A
	// message that gains nothing stays as it is.
	Wrap(dst []byte, from int) (out []byte, binary bool)
}

// Encoding is one way publications are put on the wire: a dialect, what its messages are wrapped in and whether frames are
// deflated. The hub makes the bytes of a publication at most once per encoding. A connection refers to its encoding by its
// index in the engine's list, which is fixed at start-up.
type Encoding struct {
	Name    string // for metrics: "wse", "wse+deflate"
	Dialect Dialect
	Wrapper Wrapper // nil: messages are text as the dialect writes them
	Deflate bool    // permessage-deflate was negotiated (RFC 7692)
	// DeflateBytesMin is the size from which a message is worth deflating.
	DeflateBytesMin int
	// Unnumbered says that its messages have no numbers, so that no client can tell one that comes twice: where a topic's
	// publications do not go on, clients are told so and not sent what there is.
	Unnumbered bool
	// KeepBytesMin is the size from which a payload makes a frame so costly that it is kept for replays; 0: none does.
	KeepBytesMin int
}

// Wrap replaces the message dst[from:] by what its frame carries; binary says that it goes into a binary frame.
func (e *Encoding) Wrap(dst []byte, from int) (out []byte, binary bool) {
	if e.Wrapper == nil {
		return dst, false
	}
	return e.Wrapper.Wrap(dst, from)
}

// Package frame turns bytes into WebSocket messages and messages into frames: RFC 6455 and the permessage-deflate
// extension of RFC 7692, without any I/O.
//
// Reading is a [Parser], which is fed whatever a read returned and calls a [Sink] for each complete message and control
// frame. A frame that lies whole in the bytes it was fed is unmasked and delivered where it lies; bytes are kept only
// while something is incomplete, counted against a [Budget] shared by the process, and never more than twice what was
// received, whatever length was announced. Writing is [AppendFrame]: one call makes the bytes that every subscriber of a
// publication is sent. A message is deflated by a [Deflater] once and shared as well, which is why neither side may use
// context takeover: [NegotiateDeflate] sees to that.
//
// # Ownership
//
// A Parser belongs to the goroutine that feeds it; the Sink is called on that goroutine, inside Feed. The data given to
// Feed is changed in place, and a payload given to a Sink is valid only during the call. Limits are read-only once shared.
// Budget, Inflater and Deflater may be used by any number of goroutines. The Append functions keep nothing.
package frame

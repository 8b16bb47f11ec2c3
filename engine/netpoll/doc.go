// Package netpoll accepts connections and says when they can be read and written, without a word about what is in them.
// There are two implementations behind one API. On Linux, for plain TCP, a few loops each wait on an epoll descriptor: an
// idle connection costs a slot of a few dozen bytes and no goroutine. For TLS, and on other systems, each connection has
// a goroutine that reads and, while there is something to write, one that writes.
//
// The loops wait for their epoll descriptor through the runtime's own poller, so that an idle loop holds no thread. They
// are level-triggered and do one read per event into one buffer per loop. System calls are raw, since none can block.
//
// # Ownership
//
// Each connection belongs to one loop. With epoll its Handler's methods are called on that loop's goroutine only. With a
// goroutine per connection Data and Closed are called on the reader's goroutine and Writable on the writer's. In either
// case Data is never concurrent with itself or with Closed, Closed is called exactly once and Data never after it; a
// Writable may still come. Worker methods are called on the loop's goroutine.
//
// Socket.Write and Socket.Pause of one socket must not be called concurrently, nor after Closed has returned: the
// descriptor may be another connection's by then. A lock of the caller's that its Closed takes as well does both. Close
// may be called at any time from anywhere.
package netpoll

// Package conn is a connection from its first byte to its last: the HTTP head, the upgrade, messages in, the outgoing
// queue, heartbeats, the close handshake.
//
// A [Server] accepts connections and gives each to a [Lane], of which there is one per loop of package netpoll. All that
// a lane's connections send is guarded by the lane's one lock, so that a publication for a thousand subscribers takes one
// lock and not a thousand. What is queued is written by whoever queued it if the lane has nothing else to do, otherwise by
// the lane's loop, which sweeps over the connections that have something to send: one write for each, of everything it
// has. A critical message is written ahead of the rest of the sweep.
//
// A connection that can be written to at once has no queue, only a pointer to what it sends next. One that cannot gets a
// backlog: five rings of shared frames, from which the most urgent leaves first, and from which its class's policy removes
// what the client will never have time to read. TCP_NOTSENT_LOWAT keeps the kernel from swallowing what should be there.
//
// # Ownership
//
// A connection's input (its handshake and parser) belongs to its reading goroutine: its lane's loop, or, where connections
// have goroutines of their own, its reader; from the end of the head until the upgrade is through, to the worker that asks
// the [Gate]. Handlers are called there, without a lock. Its output belongs to whoever holds the lane's lock.
//
// The lane's lock is the innermost but for those of package netpoll: neither Gate nor Handler nor the http.Handler is
// called with it held. A lane's Work is, and so are the functions given to [Lane.Do]; they may use the methods that say
// "the lane's lock is held", and no others.
package conn

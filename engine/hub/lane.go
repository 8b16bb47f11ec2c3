package hub

import "github.com/wse-engine/wse/engine/message"

// Lane is one delivery loop and the connections it owns. All that a connection sends goes through its lane's lock, so a
// delivery takes one lock for a thousand subscribers and a connection needs none of its own.
//
// TryRun calls w.Run on the caller's goroutine with the lane's lock held and then flushes what it queued, but only if
// the lock is free and nothing is being sent; otherwise it does nothing and reports false. Wake makes the lane's own
// goroutine call w.Run soon; with urgent, a sweep under way stops to do so within a few dozen writes. Do waits for the
// lock, calls f with it held, and flushes; f must not block. None of them may be called with the lane's lock held.
type Lane interface {
	TryRun(w Work) bool
	Wake(urgent bool)
	Do(f func())
}

// Work is what a lane does for the hub: take publications from the inbox and queue them on connections. Run is called
// with the lane's lock held. With urgent it takes only what must not wait.
// It is an alias, so that a lane's package can spell the same type without importing this one.
type Work = interface{ Run(urgent bool) }

// Subscriber is a connection as the hub sees it. The methods are called with its lane's lock held.
//
// Lane and Encoding are fixed at the handshake: the index of its lane and of its encoding.
type Subscriber interface {
	Queue
	Lane() int
	Encoding() int
}

// Queue is what waits to be sent on a connection.
//
// Enqueue queues out, sharing its bytes; it never blocks and never writes to the socket itself. What does not fit is
// shed or closes the connection as out's overflow policy says: the hub does not learn of it. Forget drops publications
// queued before whose topic was left: replies may overtake them, so they would come after the client knows that it has
// left, and again when it comes back and recovers.
type Queue interface {
	Enqueue(out *message.Outgoing)
	Forget(left func(topic message.Topic) bool)
}

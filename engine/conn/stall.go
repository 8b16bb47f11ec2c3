package conn

import (
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// Reasons for a connection to be degraded, as bits.
const (
	degradedQueue uint8 = 1 << iota // its queue passed the soft limit
	degradedRTT                     // three pings in a row took too long
)

// Close codes this package gives (RFC 6455 §7.4.1, PROTOCOL §2.2).
const (
	codeInternal   = 1011
	codeRestart    = 1012
	codeTryAgain   = 1013
	codeSilent     = 4408
	codeOverloaded = 4503
)

// stall notes that c's socket is full: from now on its backlog is bounded, and its Writable is awaited.
func (l *Lane) stall(c *Conn) {
	c.blocked = true
	c.backlog.place = len(l.stalled)
	c.backlog.progress = l.now.Load()
	l.stalled = append(l.stalled, c)
	c.backlog.split()
	l.rearm(c)
	l.bound(c)
}

func (l *Lane) unstall(c *Conn) {
	c.blocked = false
	i, end := c.backlog.place, len(l.stalled)-1
	l.stalled[i] = l.stalled[end]
	l.stalled[i].backlog.place = i
	l.stalled[end] = nil
	l.stalled = l.stalled[:end]
	l.srv.queueBudget.Release(c.backlog.charged)
	c.backlog.charged = 0
}

// pushStalled queues out on a connection whose socket is full.
func (l *Lane) pushStalled(c *Conn, out *message.Outgoing) {
	if out.Parts == nil {
		l.pushBounded(c, out)
		return
	}
	for _, part := range out.Parts {
		if c.out == outOpen && c.backlog != nil {
			l.pushBounded(c, part)
		}
	}
}

func (l *Lane) pushBounded(c *Conn, out *message.Outgoing) {
	if c.degraded&degradedQueue != 0 && conflatable(out) && c.backlog.replace(out) {
		l.shed(c, 1, &l.totals.Dropped.Conflated)
	}
	c.backlog.push(out)
	l.bound(c)
}

// bound brings c's backlog back within the limits: over the soft one the client is told, and then loses what its topics'
// classes can spare; over the hard one the connection is closed. A connection that echoes is bounded by not being read.
func (l *Lane) bound(c *Conn) {
	b := c.backlog
	if c.echo {
		l.pauseEcho(c)
		l.charge(c)
		return
	}
	limits := &l.srv.limits
	if b.unasked() > limits.queueSoft/2 {
		c.goodSince = 0
	}
	if b.unasked() > limits.queueSoft {
		if c.degraded&degradedQueue == 0 {
			l.shed(c, b.conflate(l.seen), &l.totals.Dropped.Conflated)
			l.degrade(c, degradedQueue, "the client reads too slowly")
		}
		for b.unasked() > limits.queueSoft && b.dropOldest(message.Normal) {
			l.shed(c, 1, &l.totals.Dropped.Oldest)
		}
	}
	if b.unasked() > limits.queueMax {
		l.overload(c, &l.totals.Overloaded.Own, "too much is queued for this client")
		return
	}
	l.charge(c)
}

// shed counts publications that the client will not get, and why.
func (l *Lane) shed(c *Conn, n int, why *uint64) {
	c.dropped += uint64(n)
	*why += uint64(n)
}

// overload closes a connection with 4503. Its queue is given up, so that the close frame follows the frame that was begun.
func (l *Lane) overload(c *Conn, why *uint64, reason string) {
	if c.out != outOpen {
		return
	}
	*why++
	dropped := 0
	for level := range c.backlog.rings {
		r := &c.backlog.rings[level]
		for i := range r.n {
			if out := r.at(i); out != nil {
				dropped += out.Count
			}
		}
	}
	l.shed(c, dropped, &l.totals.Dropped.Closed)
	c.backlog.discard()
	before := c.state()
	l.setOut(c, outEnding, codeOverloaded)
	l.charge(c) // gives back what that freed
	l.tellState(c, before, "closing", reason)
	closing := frame.AppendClose(nil, codeOverloaded, reason)
	c.backlog.push(&message.Outgoing{Frames: closing, Level: message.Background, Exempt: true})
}

// degrade notes a reason for the connection to be degraded, and tells the client if it is the first.
func (l *Lane) degrade(c *Conn, reason uint8, text string) {
	first := c.degraded == 0
	c.degraded |= reason
	c.goodSince = 0
	if first {
		l.totals.Degraded++
		l.tellState(c, "connected", "degraded", text)
	}
	l.rearm(c)
}

// recover ends a degradation.
func (l *Lane) recover(c *Conn) {
	c.degraded, c.goodSince, c.slow = 0, 0, 0
	l.tellState(c, "degraded", "connected", "the client keeps up again")
}

// tellState queues a connection_state_change, past the limits: it is small and sent once per change.
func (l *Lane) tellState(c *Conn, before, after, reason string) {
	if c.echo {
		return
	}
	frames := l.encodeReply(c, &message.Reply{Body: &message.StateChange{
		OldState: before, NewState: after, Reason: reason, Dropped: c.dropped,
	}})
	if len(frames) == 0 {
		return
	}
	out := &message.Outgoing{Frames: cloneBytes(frames), Count: 1, Level: message.Critical, Exempt: true}
	if c.blocked {
		c.backlog.push(out)
		return
	}
	c.push(out)
}

// pauseEcho stops reading from a connection that echoes more than its client reads.
func (l *Lane) pauseEcho(c *Conn) {
	if !c.paused && c.backlog.bytes > l.srv.limits.queueSoft {
		c.paused = true
		c.sock.Pause(true)
	}
}

// writable is called when a full socket has room again.
func (l *Lane) writable(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.blocked || c.out == outDone {
		return
	}
	l.drain(c, stalledGatherBytes)
	if c.out == outEnding && c.idle() {
		l.shut(c)
	}
}

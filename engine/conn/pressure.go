package conn

import "github.com/wse-engine/wse/engine/message"

// fitting returns what is to be queued for out, which something shorter can stand for: that, where what waits on c would be more
// than a connection's limit with it. What waits may only not have been written yet. Where nothing waits there is room, since
// every client is sent as much when it subscribes.
func (l *Lane) fitting(c *Conn, out *message.Outgoing) *message.Outgoing {
	fits := func() bool {
		waits := c.queued()
		return waits == 0 || waits+len(out.Frames) <= l.srv.limits.queueMax
	}
	if fits() {
		return out
	}
	l.flush(c)
	if fits() {
		return out
	}
	return out.Instead
}

// charge brings what c takes of the server's budget up to date. If there is not enough, its own queue is shortened, and then
// room is made.
func (l *Lane) charge(c *Conn) {
	for c.blocked {
		b := c.backlog
		more := int64(b.bytes) - b.charged
		if more <= 0 {
			l.srv.queueBudget.Release(-more)
			b.charged += more
			return
		}
		if l.srv.queueBudget.Reserve(more) {
			b.charged += more
			l.longest.Store(max(l.longest.Load(), int64(b.bytes)))
			return
		}
		if b.shorten() {
			continue
		}
		if c.out != outOpen || !l.makeRoom(c, more) {
			return // of what is closed already a frame that was begun and one or two more are left
		}
	}
}

// makeRoom sees to it that the longest queue of the process is given up, so that c can have more bytes, and reports
// whether c is to be charged again. A lane must not wait for another: where the longest queue is another lane's, that one
// is asked to give it up, and what is queued until it does is over the budget, by the length of one queue at most. After
// that the longest of this lane goes.
func (l *Lane) makeRoom(c *Conn, more int64) (again bool) {
	worst := l.worst()
	if other := l.worse(worst); other != nil && l.srv.queueBudget.Overdraw(more, int64(l.srv.limits.queueMax)) {
		c.backlog.charged += more
		other.press()
		return false
	}
	if worst == nil {
		return false // all are closed already
	}
	l.giveUp(worst)
	return true
}

// giveUp has a connection take less of the budget: by what is shorter, and where there is no such thing by closing it.
func (l *Lane) giveUp(worst *Conn) {
	if worst.backlog.shorten() {
		l.charge(worst)
		return
	}
	l.overload(worst, &l.totals.Overloaded.All, "too much is queued for all clients")
}

// press has the loop give up its longest queue, if that is still needed.
func (l *Lane) press() {
	l.pressed.Store(true)
	l.srv.poller.Wake(l.index)
}

// relievePressure gives up the lane's longest queues until the budget suffices, or until another lane has a longer one.
func (l *Lane) relievePressure() {
	if !l.pressed.Load() || !l.pressed.Swap(false) {
		return
	}
	for l.srv.queueBudget.Overdrawn() {
		worst := l.worst()
		if other := l.worse(worst); other != nil {
			other.press()
			return
		}
		if worst == nil {
			return
		}
		l.giveUp(worst)
	}
}

// worst returns the connection with the lane's longest queue, nil if there is none, and notes its length for the other
// lanes: until then longest is what some queue had, which may be shorter now, or gone.
func (l *Lane) worst() (worst *Conn) {
	longest := 0
	for _, c := range l.stalled {
		if c.out == outOpen && c.backlog.bytes > longest {
			worst, longest = c, c.backlog.bytes
		}
	}
	l.longest.Store(int64(longest))
	return worst
}

// worse returns the lane with the longest queue of all, if that is longer than worst's.
func (l *Lane) worse(worst *Conn) (other *Lane) {
	longest := int64(0)
	if worst != nil {
		longest = int64(worst.backlog.bytes)
	}
	for _, o := range l.srv.lanes {
		if n := o.longest.Load(); o != l && n > longest {
			other, longest = o, n
		}
	}
	return other
}

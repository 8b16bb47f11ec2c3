package conn

import (
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// holding is the connections whose next publication may wait for company, so that several leave in one write. There is
// one timer per lane: the first that begins to wait sets it, and when it ends all are flushed, which is early for some.
type holding struct {
	conns []*Conn
	timer *time.Timer
	armed bool
	over  atomic.Bool
}

// hold marks c as having something to send, unless out is in no hurry.
func (l *Lane) hold(c *Conn, out *message.Outgoing) {
	if out.Linger <= 0 || l.eager || c.blocked {
		l.mark(c, out.Level)
		return
	}
	if c.held || c.dirty || c.hot {
		return
	}
	c.held = true
	h := &l.held
	h.conns = append(h.conns, c)
	if h.armed {
		return
	}
	h.armed = true
	if h.timer != nil {
		h.timer.Reset(out.Linger)
		return
	}
	h.timer = time.AfterFunc(out.Linger, func() {
		h.over.Store(true)
		l.srv.poller.Wake(l.index)
	})
}

// releaseHeld marks the connections whose time to wait is over.
func (l *Lane) releaseHeld() {
	h := &l.held
	if !h.over.Load() || !h.over.Swap(false) {
		return
	}
	h.armed = false
	for i, c := range h.conns {
		if c.held { // else it was flushed for something else
			c.held = false
			l.mark(c, message.Background)
		}
		h.conns[i] = nil
	}
	h.conns = h.conns[:0]
}

// stopHolding ends the timer.
func (l *Lane) stopHolding() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held.timer != nil {
		l.held.timer.Stop()
	}
}

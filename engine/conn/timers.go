package conn

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// never is the due time of a connection that waits for nothing.
const never = math.MaxUint32

// timers says when each connection of a lane has to be looked at. The times lie close together, so that going over all of
// them costs a microsecond per ten thousand (BenchmarkTick) and no connection needs a timer of its own. It is guarded by
// the lane's lock.
type timers struct {
	conns []*Conn
	due   []uint32 // ticks, by the same index
}

func (t *timers) add(c *Conn) {
	c.index = int32(len(t.conns))
	t.conns = append(t.conns, c)
	t.due = append(t.due, never)
}

func (t *timers) remove(c *Conn) {
	if c.index < 0 {
		return
	}
	i, end := int(c.index), len(t.conns)-1
	t.conns[i], t.due[i] = t.conns[end], t.due[end]
	t.conns[i].index = int32(i)
	t.conns[end] = nil
	t.conns, t.due = t.conns[:end], t.due[:end]
	c.index = -1
}

// in returns the tick that is surely n whole ticks away.
func (l *Lane) in(n uint32) uint32 { return l.now.Load() + n + 1 }

// slowPings is how many pings in a row have to be slow before a connection is degraded (PROTOCOL §2.3).
const slowPings = 3

// rearm works out when c has to be looked at next.
func (l *Lane) rearm(c *Conn) {
	if c.index < 0 {
		return
	}
	due := uint32(never)
	if c.closeBy != 0 {
		due = c.closeBy
	}
	if c.out == outOpen && c.handshake.Load() == nil {
		due = min(due, c.nextPing, c.seen.Load()+l.srv.idleTicks)
		if c.deadline != 0 {
			due = min(due, c.deadline)
		}
		if c.blocked {
			due = min(due, c.backlog.progress+l.srv.stallTicks)
		}
		if c.degraded != 0 {
			due = min(due, l.now.Load()+l.srv.secondTicks)
		}
	}
	l.timers.due[c.index] = due
}

// tickChunk is how many connections are looked at, at most, before the lock is released for a moment.
const tickChunk = 256

// tick looks at the connections whose time has come.
func (l *Lane) tick(now time.Time) {
	tick := l.srv.tickAt(now)
	l.now.Store(tick)
	beat := heartbeat{ms: uint32(now.Sub(l.srv.start).Milliseconds())}
	var deadlines []*Conn
	for from := 0; from >= 0; {
		l.mu.Lock()
		n := 0
		for from < len(l.timers.due) && n < tickChunk {
			if l.timers.due[from] > tick {
				from++
				continue
			}
			c := l.timers.conns[from]
			if l.look(c, tick, &beat) {
				deadlines = append(deadlines, c)
			}
			l.rearm(c)
			from++
			n++
		}
		if from >= len(l.timers.due) {
			from = -1
		}
		l.flushInline()
		l.mu.Unlock()
	}
	for _, c := range deadlines {
		c.event(Deadline)
	}
}

// look does what c's timers ask for and reports whether its handler has to be told that its deadline has come.
func (l *Lane) look(c *Conn, tick uint32, beat *heartbeat) (deadline bool) {
	if c.closeBy != 0 && tick >= c.closeBy {
		c.closeBy = 0
		if c.out == outOpen { // only a handshake has so little time
			l.handshakeLate(c)
		} else {
			l.shut(c)
		}
		return false
	}
	if c.out != outOpen || c.handshake.Load() != nil {
		return false
	}
	switch {
	case c.blocked && tick-c.backlog.progress >= l.srv.stallTicks:
		l.overload(c, &l.totals.Overloaded.Stalled, "the client has taken nothing for too long")
		return false
	case tick-min(tick, c.seen.Load()) >= l.srv.idleTicks:
		l.totals.Silent++
		l.sendClose(c, codeSilent, "nothing was heard from the client", outClosing)
		return false
	}
	if tick >= c.nextPing {
		c.nextPing = tick + l.srv.beatTicks
		l.ping(c, beat)
	}
	if c.degraded != 0 {
		l.lookDegraded(c, tick)
	}
	if c.deadline != 0 && tick >= c.deadline {
		c.deadline = 0
		return true
	}
	return false
}

// lookDegraded ends a degradation that has been over for long enough.
func (l *Lane) lookDegraded(c *Conn, tick uint32) {
	switch {
	case c.slow > 0 || c.queued() > l.srv.limits.queueSoft/2:
		c.goodSince = 0
	case c.goodSince == 0:
		c.goodSince = tick
	case tick-c.goodSince >= l.srv.recoverTicks:
		l.recover(c)
	}
}

// heartbeat is the ping of one tick and the notices that go with it, made once per encoding.
type heartbeat struct {
	ms      uint32
	notices []*message.Outgoing // by encoding
}

// ping sends a ping and, where the dialect has one, a heartbeat notice.
func (l *Lane) ping(c *Conn, beat *heartbeat) {
	if c.pingMS != 0 {
		l.pongLate(c) // a whole interval without an answer to the last one
	}
	if c.blocked {
		return // it would only be late
	}
	c.pingMS = max(1, beat.ms)
	if beat.notices == nil {
		beat.notices = make([]*message.Outgoing, len(l.srv.opts.Encodings)+1)
	}
	i := int(c.encoding)
	if c.echo {
		i = len(l.srv.opts.Encodings)
	}
	if beat.notices[i] == nil {
		var payload [4]byte
		binary.BigEndian.PutUint32(payload[:], c.pingMS)
		out := &message.Outgoing{Level: message.Critical, Exempt: true, Frames: frame.AppendFrame(nil, frame.OpPing, false, payload[:])}
		if !c.echo {
			notice := l.encodeReply(c, &message.Reply{Body: &message.HeartbeatNotice{ServerTimeMS: time.Now().UnixMilli()}})
			out.Frames = append(out.Frames, notice...)
		}
		beat.notices[i] = out
	}
	c.push(beat.notices[i])
}

// pong takes the answer to a ping.
func (l *Lane) pong(c *Conn, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.pingMS == 0 || len(payload) != 4 || binary.BigEndian.Uint32(payload) != c.pingMS {
		return // unasked for, which RFC 6455 §5.5.3 allows, or very late
	}
	rtt := l.srv.elapsedMS() - c.pingMS
	c.pingMS = 0
	switch {
	case int(rtt) > l.srv.cfg.DegradedRTTMS:
		l.pongLate(c)
		l.flushHot()
	case int(rtt) <= l.srv.cfg.DegradedRTTMS/2 || c.degraded&degradedRTT == 0:
		c.slow = 0
	}
}

// pongLate counts a ping that took too long.
func (l *Lane) pongLate(c *Conn) {
	if c.echo {
		return // there is nobody to tell
	}
	if c.slow < slowPings {
		c.slow++
	}
	if c.slow == slowPings && c.degraded&degradedRTT == 0 && c.out == outOpen {
		l.degrade(c, degradedRTT, "pings take too long")
	}
}

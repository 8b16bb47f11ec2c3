package conn

import (
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// Work is what a lane does for the hub. Run is called with the lane's lock held and queues on the lane's connections;
// with urgent only what must not wait.
type Work = interface{ Run(urgent bool) }

const (
	// sweepWrites is how many connections a sweep writes to before it lets the loop look for input and others at the lock.
	// At 4 µs each that is about a millisecond.
	sweepWrites = 256
	// urgentEvery is how many of those pass before the sweep looks for urgent work (BenchmarkCriticalDuringBroadcast).
	urgentEvery = 16
	// inlineWrites is how many connections a caller of TryRun, Do or Send flushes itself before it leaves the rest to
	// the loop.
	inlineWrites = 64
	// gatherBytes is what one write takes: enough to make the call's price small beside the copying.
	gatherBytes = 64 << 10
	// stalledGatherBytes is the same for a connection that does not keep up. What the kernel has can no longer be overtaken.
	stalledGatherBytes = 16 << 10
	// headerRoom is what a frame's header takes at most, a server's being unmasked.
	headerRoom = 10
	// backlogsMax is how many unused backlogs a lane keeps.
	backlogsMax = 1024
)

// Lane is one delivery loop and the output of the connections it owns. It is what package hub calls a lane.
type Lane struct {
	srv   *Server
	index int

	woken  atomic.Bool // Work is to be run
	urgent atomic.Bool // and soon
	now    atomic.Uint32

	longest atomic.Int64 // bytes of the longest queue in stalled, or more where that was longer once
	pressed atomic.Bool  // the longest queue is to be given up

	mu    sync.Mutex
	work  Work
	hot   queue // connections that have something critical; flushed first
	dirty queue // connections that have something to send
	eager bool  // what is queued now is flushed by whoever holds the lock

	scratch []byte // for gathering and encoding, gatherBytes long
	sealing []byte // for what leaves encrypted; nil as long as nothing does
	free    []*backlog
	stalled []*Conn // those that are blocked
	seen    map[conflation]struct{}

	timers  timers
	waiting waitingList // connections whose request has not come yet
	held    holding

	totals                  Totals // what this lane adds to them
	encrypted               int    // connections
	received, receivedBytes atomic.Uint64
	crypts                  cryptCounts
}

// queue is a list of connections that is worked off from the front, in bits.
type queue struct {
	list []*Conn
	next int
}

func (q *queue) push(c *Conn) { q.list = append(q.list, c) }

// pop returns the next connection, nil when there is none.
func (q *queue) pop() *Conn {
	if q.next == len(q.list) {
		q.list, q.next = q.list[:0], 0
		return nil
	}
	c := q.list[q.next]
	q.list[q.next] = nil
	q.next++
	return c
}

func (q *queue) empty() bool { return q.next == len(q.list) }

// Attach sets what the lane runs after Wake. It is called before the server runs.
func (l *Lane) Attach(w Work) { l.work = w }

// TryRun runs w on the caller's goroutine and flushes what it queued, if the lane's lock is free and nothing is being
// sent. Otherwise it does nothing and reports false.
func (l *Lane) TryRun(w Work) bool {
	if !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	if !l.dirty.empty() || !l.hot.empty() {
		return false
	}
	w.Run(false)
	l.flushInline()
	return true
}

// Wake has the loop run the lane's work soon; with urgent, a sweep under way stops for it.
func (l *Lane) Wake(urgent bool) {
	if urgent {
		l.urgent.Store(true)
	}
	l.woken.Store(true)
	l.srv.poller.Wake(l.index)
}

// Do calls f with the lane's lock held and flushes what f queued. f must not block.
func (l *Lane) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.eager = true
	defer func() { // f is not to be trusted not to panic
		l.eager = false
		l.flushHot()
	}()
	f()
}

// run is what the loop does when it was woken.
func (l *Lane) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runUrgent()
	if l.woken.Swap(false) && l.work != nil {
		l.work.Run(false)
	}
	l.releaseHeld()
	l.relievePressure()
	l.sweep()
	if !l.dirty.empty() || !l.hot.empty() {
		l.srv.poller.Wake(l.index)
	}
}

// runUrgent queues urgent work, if there is any, so that it is sent next.
func (l *Lane) runUrgent() {
	if l.urgent.Load() && l.urgent.Swap(false) && l.work != nil {
		l.work.Run(true)
	}
}

// sweep writes to connections that have something to send, to each once, critical ones first.
func (l *Lane) sweep() {
	for i := 1; i <= sweepWrites; i++ {
		if !l.flushNext() {
			return
		}
		if i%urgentEvery == 0 {
			l.runUrgent()
		}
	}
}

// flushNext flushes the next connection and reports whether there was one.
func (l *Lane) flushNext() bool {
	c := l.hot.pop()
	if c == nil {
		c = l.dirty.pop()
	}
	if c == nil {
		return false
	}
	if c.hot || c.dirty { // else it was flushed since
		l.flush(c)
	}
	return true
}

// flushInline flushes what a caller has queued, and leaves the rest to the loop if it is much.
func (l *Lane) flushInline() {
	for range inlineWrites {
		if !l.flushNext() {
			return
		}
	}
	l.srv.poller.Wake(l.index)
}

// flushHot does the same for what is critical or was queued eagerly; the loop's sweep is not forestalled.
func (l *Lane) flushHot() {
	for range inlineWrites {
		c := l.hot.pop()
		if c == nil {
			return
		}
		if c.hot || c.dirty {
			l.flush(c)
		}
	}
	l.srv.poller.Wake(l.index)
}

// mark notes that c has something to send.
func (l *Lane) mark(c *Conn, level message.Level) {
	switch {
	case c.blocked:
	case level == message.Critical || l.eager:
		if !c.hot {
			c.hot = true
			l.hot.push(c)
		}
	case !c.dirty && !c.hot:
		c.dirty = true
		l.dirty.push(c)
	}
}

// idle reports whether the connection can be written to at once.
func (c *Conn) idle() bool { return c.pending == nil && c.backlog == nil && !c.blocked }

// queued returns the bytes that wait.
func (c *Conn) queued() int {
	n := 0
	if c.pending != nil {
		n = len(c.pending.Frames)
	}
	if c.backlog != nil {
		n += c.backlog.bytes
	}
	return n
}

// push queues out. Most connections can be written to: then a pointer is all that a publication costs them.
func (c *Conn) push(out *message.Outgoing) {
	l := c.lane
	if out.Instead != nil {
		out = l.fitting(c, out)
	}
	if c.backlog == nil {
		if c.pending == nil {
			c.pending = out
			l.hold(c, out)
			return
		}
		c.backlog = l.takeBacklog()
		c.backlog.push(c.pending)
		c.pending = nil
	}
	if c.blocked {
		l.pushStalled(c, out)
		return
	}
	c.backlog.push(out)
	l.hold(c, out)
	if c.backlog.unasked() > l.srv.limits.queueMax {
		l.flush(c) // it has not been tried yet
	}
}

// flush writes what waits on c, unless it has to wait for room.
func (l *Lane) flush(c *Conn) {
	c.dirty, c.hot, c.held = false, false, false
	switch {
	case c.blocked || c.out == outDone:
	case c.backlog != nil:
		l.drain(c, gatherBytes)
	case c.pending != nil:
		out := c.pending
		c.pending = nil
		if len(out.Frames) > gatherBytes && c.crypt.Load() != nil { // it must not be sealed whole each time a part of it leaves
			c.backlog = l.takeBacklog()
			c.backlog.push(out)
			l.drain(c, gatherBytes)
			break
		}
		buf := l.sealed(c, out.Frames)
		n, err := c.sock.Write(buf)
		if n == len(buf) {
			l.count(c, out.Count, n)
			break
		}
		c.backlog = l.takeBacklog()
		c.backlog.push(out)
		l.wrote(c, buf, n, err)
	}
	if c.out == outEnding && c.idle() {
		l.shut(c)
	}
}

// writeNow writes frames, which belong to the caller, on an idle connection.
func (l *Lane) writeNow(c *Conn, frames []byte, messages int) {
	l.writeSealed(c, l.sealed(c, frames), messages)
}

// writeSealed writes what is as it leaves, and belongs to the caller, on an idle connection.
func (l *Lane) writeSealed(c *Conn, buf []byte, messages int) {
	n, err := c.sock.Write(buf)
	if n == len(buf) {
		l.count(c, messages, n)
		return
	}
	c.backlog = l.takeBacklog()
	c.backlog.tail = cloneBytes(buf)
	c.backlog.bytes = len(buf)
	l.count(c, messages, 0)
	l.wrote(c, buf, n, err)
}

// drainRounds bounds the writes to one connection in a row; a socket with much room must not hold up the others.
const drainRounds = 16

// drain writes from c's backlog until it is empty or the socket is full.
func (l *Lane) drain(c *Conn, limit int) {
	for range drainRounds {
		b := c.backlog
		if b.empty() {
			l.relieve(c)
			return
		}
		buf := l.gather(c, limit)
		n, err := c.sock.Write(buf)
		l.wrote(c, buf, n, err)
		if err != nil || n < len(buf) {
			return
		}
	}
	if c.backlog.empty() {
		l.relieve(c)
		return
	}
	if c.blocked { // it takes whatever it is given
		l.unstall(c)
	}
	l.mark(c, message.Background)
	l.srv.poller.Wake(l.index)
}

// wrote takes the n bytes of buf that a write took out of c's backlog.
func (l *Lane) wrote(c *Conn, buf []byte, n int, err error) {
	b := c.backlog
	if n > 0 {
		b.progress = l.now.Load()
		if c.crypt.Load() != nil {
			l.count(c, b.sentSealed(buf, n), n)
		} else {
			l.count(c, b.sent(n), n)
		}
	}
	switch {
	case err != nil:
		l.broken(c)
	case c.blocked:
		l.charge(c)
	case n < len(buf):
		l.stall(c)
	}
}

// count keeps the figures of a write.
func (l *Lane) count(c *Conn, messages, n int) {
	l.counted(c, messages)
	c.sentBytes += uint64(n)
	l.totals.BytesSent += uint64(n)
	l.totals.Writes++
}

// counted keeps the figures of messages.
func (l *Lane) counted(c *Conn, messages int) {
	c.sent += uint64(messages)
	l.totals.MessagesSent += uint64(messages)
	if c.crypt.Load() != nil {
		l.totals.Sealed += uint64(messages)
	}
}

// broken gives up a connection whose socket failed.
func (l *Lane) broken(c *Conn) {
	if c.backlog != nil {
		c.backlog.tail = nil
		c.backlog.discard()
		l.relieve(c)
	}
	c.pending = nil
	l.shut(c)
}

// shut closes the socket. What it was given is still sent.
func (l *Lane) shut(c *Conn) {
	if c.out != outDone {
		c.out = outDone
		c.closing.Store(true)
		c.sock.Close()
	}
}

// relieve takes the backlog away from a connection that no longer needs one.
func (l *Lane) relieve(c *Conn) {
	b := c.backlog
	if c.blocked {
		l.unstall(c)
	}
	c.backlog = nil
	b.reset()
	if len(l.free) < backlogsMax {
		l.free = append(l.free, b)
	}
	if c.paused {
		c.paused = false
		c.sock.Pause(false)
	}
}

func (l *Lane) takeBacklog() *backlog {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return &backlog{}
}

// sendClose queues a close frame behind everything else; next is the state that follows.
func (l *Lane) sendClose(c *Conn, code uint16, reason string, next uint8) {
	var b [frame.HeaderBytesMax + frame.ControlBytesMax]byte
	frames := frame.AppendClose(b[:0], frame.StatusCode(code), reason)
	if c.idle() {
		l.setOut(c, next, code)
		l.writeNow(c, frames, 0)
	} else {
		// Behind the last ring nothing comes any more, since nothing is queued after this.
		c.push(&message.Outgoing{Frames: cloneBytes(frames), Level: message.Background, Exempt: true})
		if c.out != outOpen {
			return // it was too much
		}
		l.setOut(c, next, code)
		l.mark(c, message.Critical)
	}
	if c.out == outEnding && c.idle() {
		l.shut(c)
	}
}

// setOut moves the output to closing or ending, which has to come to an end in time.
func (l *Lane) setOut(c *Conn, out uint8, code uint16) {
	if c.code == 0 {
		c.code = code
	}
	c.out = out
	c.closing.Store(true)
	c.closeBy = l.in(l.srv.ticks(l.srv.cfg.CloseTimeout))
	l.rearm(c)
}

// end sends what is queued and closes the socket.
func (l *Lane) end(c *Conn) {
	if c.out == outDone {
		return
	}
	l.setOut(c, outEnding, 0)
	l.flush(c)
}

func cloneBytes(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// encodeReply writes a reply as a frame into the lane's scratch space: it is valid until the lock is released or the next
// call. It is empty if the connection's dialect has no such message.
func (l *Lane) encodeReply(c *Conn, r *message.Reply) []byte {
	enc := &l.srv.opts.Encodings[c.encoding]
	if r.ID == "" || r.TimeMS == 0 {
		filled := *r
		l.srv.fill(&filled)
		r = &filled
	}
	buf, binary := enc.Dialect.AppendReply(l.scratch[:headerRoom], r), false
	if len(buf) > headerRoom {
		buf, binary = enc.Wrap(buf, headerRoom)
	}
	if cap(buf) <= 4*gatherBytes { // a rare giant must not stay
		l.scratch = buf[:cap(buf)]
	}
	payload := buf[headerRoom:]
	if len(payload) == 0 {
		return nil
	}
	op := frame.OpText
	if binary {
		op = frame.OpBinary
	}
	if enc.Deflate && len(payload) >= enc.DeflateBytesMin {
		return frame.AppendFrame(nil, op, true, l.srv.deflater.Deflate(nil, payload))
	}
	var header [headerRoom]byte
	hdr := frame.AppendFrameHeader(header[:0], op, false, len(payload))
	start := headerRoom - len(hdr)
	copy(buf[start:], hdr)
	return buf[start:]
}

package conn

import (
	"context"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/netpoll"
)

// Gate decides about upgrades.
//
// Admit runs on a worker and may block until ctx ends. Several calls run at a time.
type Gate interface {
	Admit(ctx context.Context, up *Upgrade) Admission
}

// Upgrade is a WebSocket handshake request that is sound as far as RFC 6455 §4.2.1 goes.
type Upgrade struct {
	ConnID        string
	Remote        netip.AddrPort
	Secure        bool // over TLS
	Path          string
	RawQuery      string
	Host          string
	Origin        string // empty: none was sent
	OriginAllowed bool   // by the server's list; where it is not, an admission without Reject or Status becomes 403
	Authorization string
	Cookie        string
	UserAgent     string
	Protocols     []string // the subprotocols offered, in the client's order
}

// Admission is a Gate's answer. With a Status the upgrade is refused in HTTP. With a Reject it succeeds, only to tell the
// client in its own protocol why it is closed. With Echo every data message is sent back. Otherwise Handler is told of
// the connection's life.
type Admission struct {
	Status int    // an HTTP status, 0: none
	Body   string // of the refusal, plain text

	Protocol string // the subprotocol chosen, one of those offered; empty: none
	// Encoding and EncodingDeflate are indexes in Options.Encodings: the one to use, and the one to use instead when
	// permessage-deflate was negotiated; -1: do not negotiate it.
	Encoding, EncodingDeflate int

	Handler Handler
	Reject  *Rejection
	Echo    bool
}

// Rejection is why a connection is closed as soon as it is open.
type Rejection struct {
	Reply  *message.Reply // sent first; may be nil
	Code   uint16         // of the close frame
	Reason string
}

// Handler is told of one connection's life. No method may block.
//
// Take is asked about every message and every control frame but a close, before anything else is done about it: whether one of
// so many bytes, after inflation, is to be looked at. Request then takes a message as the connection's dialect decoded it, or
// the error of decoding it. The calls of both follow each other, in the order of the messages. Event may be called while they
// run, except that Closed is the last call of all.
type Handler interface {
	Event(c *Conn, ev Event)
	Take(c *Conn, bytes int) bool
	Request(c *Conn, r *message.Request, err error)
}

// Event is something that happens to a connection.
type Event uint8

// The events.
const (
	// Opened is the first: the upgrade is answered, and what is sent now is first on the wire. It does not come if the
	// client is gone by then.
	Opened Event = iota
	// Deadline says that the time set with SetDeadline has come.
	Deadline
	// Closed comes once for every Handler that a Gate returned for a connection to be opened, whatever happened.
	Closed
)

// The states of a connection's output. From closing on nothing more is queued.
const (
	outOpen    uint8 = iota
	outClosing       // a close frame is queued or sent; the peer's is awaited
	outEnding        // what is queued is still sent, then the socket is closed
	outDone          // the socket is closed
)

// Conn is one connection. Its exported methods may be called by any goroutine unless they say that the lane's lock is
// held, and do nothing once the connection is closed.
//
// There are many of these: a field here costs its size times a hundred thousand.
type Conn struct {
	lane     *Lane
	sock     netpoll.Socket
	remote   netip.AddrPort
	id       uint64
	sinceMS  int64 // Unix milliseconds
	encoding int16 // fixed at the upgrade
	echo     bool  // fixed at the upgrade
	secure   bool

	// Of the reading goroutine, or the worker during the upgrade.
	handler   Handler
	inflate   bool
	parser    frame.Parser
	handshake atomic.Pointer[handshake] // nil once open
	crypt     atomic.Pointer[crypt]     // nil: not encrypted; changed with the lane's lock held

	received      atomic.Uint64 // messages
	receivedBytes atomic.Uint64
	seen          atomic.Uint32 // the tick of the last sign of life
	closing       atomic.Bool   // out is not outOpen, for those without the lock

	// The rest is guarded by the lane's lock.
	out      uint8
	blocked  bool              // the socket is full: Writable will come
	dirty    bool              // in lane.dirty
	hot      bool              // in lane.hot
	held     bool              // in lane.held
	paused   bool              // not read from, for want of room for echoes
	slow     uint8             // pings in a row that took too long
	degraded uint8             // reasons, as bits
	index    int32             // in lane.conns, -1 when it has no timers
	pending  *message.Outgoing // what is sent next, where that is all there is
	backlog  *backlog          // what is sent next otherwise

	sent, sentBytes, dropped uint64

	code      uint16 // of the close frame sent or received, 0: none
	pingMS    uint32 // when the ping that is under way was sent, 0: none is
	nextPing  uint32 // ticks
	deadline  uint32 // tick at which Event gets Deadline, 0: none
	closeBy   uint32 // tick at which the socket is closed whatever is queued, 0: none
	goodSince uint32 // tick since which a degraded connection is well, 0: it is not
}

// ID returns the connection's name, for people and logs: 16 hexadecimal digits.
func (c *Conn) ID() string {
	var b [8]byte
	for i := range b {
		b[i] = byte(c.id >> (56 - 8*i))
	}
	return hex.EncodeToString(b[:])
}

// Remote returns the peer's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Since returns when the connection was accepted.
func (c *Conn) Since() time.Time { return time.UnixMilli(c.sinceMS) }

// Handler returns the handler the Gate gave the connection.
func (c *Conn) Handler() Handler { return c.handler }

// Dialect returns the protocol the connection speaks.
func (c *Conn) Dialect() dialect.Dialect { return c.lane.srv.opts.Encodings[c.encoding].Dialect }

// DialectName returns the name of that protocol: the part of its encoding's that stands before the first plus.
func (c *Conn) DialectName() string {
	name, _, _ := strings.Cut(c.lane.srv.opts.Encodings[c.encoding].Name, "+")
	return name
}

// Lane returns the index of the connection's lane. It never changes.
func (c *Conn) Lane() int { return c.lane.index }

// Encoding returns the index of the connection's encoding. It does not change once the connection is open.
func (c *Conn) Encoding() int { return int(c.encoding) }

// State returns "connecting", "connected", "degraded", "closing" or "closed".
func (c *Conn) State() string {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	return c.state()
}

// state is State with the lane's lock held.
func (c *Conn) state() string {
	switch {
	case c.out == outDone:
		return "closed"
	case c.out != outOpen:
		return "closing"
	case !c.upgraded():
		return "connecting"
	case c.degraded != 0:
		return "degraded"
	}
	return "connected"
}

// Counters returns what the connection sent, received and lost so far.
func (c *Conn) Counters() message.ConnectionCounters {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	return message.ConnectionCounters{
		MessagesSent: c.sent, BytesSent: c.sentBytes, Dropped: c.dropped, QueuedBytes: uint64(c.queued()),
		MessagesReceived: c.received.Load(), BytesReceived: c.receivedBytes.Load(),
	}
}

// CloseCode returns the code of the close frame that ended the connection, whichever side sent it first; 0 if there was
// none.
func (c *Conn) CloseCode() uint16 {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	return c.code
}

// SetDeadline has Event called with Deadline at about t, once; a later call replaces an earlier one, and the zero time
// cancels it. The resolution is the server's tick.
func (c *Conn) SetDeadline(t time.Time) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.IsZero() {
		c.deadline = 0
		return
	}
	c.deadline = l.srv.tickAt(t) + 1 // the first that is after it
	l.rearm(c)
}

// Send queues a reply ahead of all publications but critical ones.
func (c *Conn) Send(r *message.Reply) { c.SendAt(message.Critical, r) }

// SendAt queues a reply at a level. It is written at once if nothing else waits to be sent.
func (c *Conn) SendAt(level message.Level, r *message.Reply) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out != outOpen {
		return
	}
	frames := l.encodeReply(c, r)
	if len(frames) == 0 {
		return
	}
	if c.idle() {
		l.writeNow(c, frames, 1)
		return
	}
	l.eager = true
	c.push(&message.Outgoing{Frames: cloneBytes(frames), Count: 1, Level: level, Exempt: true})
	l.eager = false
	l.flushHot()
}

// SendLocked queues a reply at a level. The lane's lock is held; the reply leaves in order with what else is queued under
// it at that level.
func (c *Conn) SendLocked(level message.Level, r *message.Reply) {
	if c.out != outOpen {
		return
	}
	if frames := c.lane.encodeReply(c, r); len(frames) > 0 {
		c.push(&message.Outgoing{Frames: cloneBytes(frames), Count: 1, Level: level, Exempt: true})
	}
}

// Enqueue queues a publication, sharing its bytes. The lane's lock is held. What does not fit is shed or ends the
// connection, as out's policy says.
func (c *Conn) Enqueue(out *message.Outgoing) {
	if c.out == outOpen {
		c.push(out)
	}
}

// Forget drops what waits to be sent of topics that the connection has left. The lane's lock is held.
func (c *Conn) Forget(left func(topic message.Topic) bool) {
	if c.out == outDone {
		return
	}
	if out := c.pending; out != nil && out.Topic != "" && left(out.Topic) {
		c.pending = nil
	}
	if c.backlog != nil {
		c.backlog.forget(left)
		if c.blocked {
			c.lane.charge(c)
		}
	}
}

// Close sends what is queued and a close frame with code and reason, waits for the peer's, for a limited time, and closes
// the socket (RFC 6455 §7.1.2).
func (c *Conn) Close(code uint16, reason string) { c.CloseWith(nil, code, reason) }

// CloseWith is Close with a last reply, which may be nil, ahead of it.
func (c *Conn) CloseWith(r *message.Reply, code uint16, reason string) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out != outOpen {
		return
	}
	if r != nil {
		c.SendLocked(message.Critical, r)
	}
	l.sendClose(c, code, reason, outClosing)
	l.flushHot()
}

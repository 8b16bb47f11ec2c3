package conn

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime/debug"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/netpoll"
)

// wire is a Conn as package netpoll's Handler.
type wire Conn

var (
	_ netpoll.Handler = (*wire)(nil)
	_ netpoll.Ender   = (*wire)(nil)
)

// Data implements netpoll.Handler.
func (w *wire) Data(p []byte) {
	c := (*Conn)(w)
	if hs := c.handshake.Load(); hs != nil && hs.take(c, p) {
		return
	}
	c.feed(p)
}

// Writable implements netpoll.Handler.
func (w *wire) Writable() { w.lane.writable((*Conn)(w)) }

// Ended implements netpoll.Ender: who asked in HTTP and sends no more gets an answer.
func (w *wire) Ended() bool {
	c := (*Conn)(w)
	hs := c.handshake.Load()
	return hs != nil && hs.answers(c)
}

// Closed implements netpoll.Handler.
func (w *wire) Closed(err error) {
	c := (*Conn)(w)
	s := c.lane.srv
	if err != nil && !errors.Is(err, io.EOF) && s.log.IsTrace() {
		s.log.Trace("connection lost", "connection", c.ID(), "error", err)
	}
	s.closed(c)
	// While a worker has it, the rest is the worker's: the handler must not hear of the end before the beginning.
	if hs := c.handshake.Load(); hs != nil && hs.abandon(c) {
		return
	}
	c.gone()
}

// gone lets go of the input and tells the handler.
func (c *Conn) gone() {
	c.parser.Reset(c.lane.srv.partials)
	c.crypt.Load().end()
	if c.handler != nil {
		c.event(Closed)
	}
}

// event calls the handler's Event.
func (c *Conn) event(ev Event) {
	defer c.contain()
	c.handler.Event(c, ev)
}

// contain keeps a panic of a handler from taking anything else down than its own connection.
func (c *Conn) contain() {
	if p := recover(); p != nil {
		c.lane.srv.log.Error("panic in a connection's handler", "connection", c.ID(), "panic", p, "stack", string(debug.Stack()))
		c.Close(codeInternal, "internal error")
	}
}

// feed parses what was read from an open connection.
func (c *Conn) feed(p []byte) {
	l := c.lane
	c.seen.Store(l.now.Load())
	c.receivedBytes.Add(uint64(len(p)))
	l.receivedBytes.Add(uint64(len(p)))
	var inflate *frame.Inflater
	if c.inflate {
		inflate = &l.srv.inflater
	}
	limits := &l.srv.frames
	if c.echo {
		limits = &l.srv.echoFrames
	}
	defer c.contain()
	err := c.parser.Feed(p, limits, inflate, l.srv.partials, (*sink)(c))
	if err != nil {
		c.fail(err)
	}
}

// fail ends a connection whose peer broke the protocol (RFC 6455 §7.1.7): what it sends from now on is not read.
func (c *Conn) fail(err error) {
	code, reason := frame.StatusCode(codeInternal), "internal error"
	var fault *frame.Error
	if errors.As(err, &fault) {
		code, reason = fault.Code, fault.Reason
	}
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out != outOpen {
		l.end(c) // the close frame is sent already
		return
	}
	l.sendClose(c, uint16(code), reason, outEnding)
	l.flushHot()
}

// sink is a Conn as package frame's Sink.
type sink Conn

var _ frame.Sink = (*sink)(nil)

// Message implements frame.Sink.
func (s *sink) Message(op frame.Opcode, payload []byte) error {
	c := (*Conn)(s)
	if c.closing.Load() {
		return nil // nothing that comes after our close frame matters
	}
	c.received.Add(1)
	c.lane.received.Add(1)
	if c.echo {
		c.sendBack(op, payload)
		return nil
	}
	if !c.handler.Take(c, len(payload)) {
		return nil
	}
	req, err := c.decode(op, payload)
	c.handler.Request(c, req, err)
	return nil
}

// Control implements frame.Sink.
func (s *sink) Control(op frame.Opcode, payload []byte) error {
	c := (*Conn)(s)
	l := c.lane
	if op != frame.OpClose && c.handler != nil && !c.closing.Load() && !c.handler.Take(c, len(payload)) {
		return nil // RFC 6455 §5.5.3: not every ping has to be answered
	}
	switch op {
	case frame.OpPing:
		c.sendFrame(frame.OpPong, false, payload, 0)
	case frame.OpPong:
		l.pong(c, payload)
	case frame.OpClose:
		c.closeReceived(payload)
	}
	return nil
}

// closeReceived answers the peer's close frame with its own code, or takes it as the answer to ours, and closes.
func (c *Conn) closeReceived(payload []byte) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out != outOpen {
		l.end(c)
		l.flushHot()
		return
	}
	code := uint16(1005) // none was given, and none is answered
	if len(payload) >= 2 {
		code = binary.BigEndian.Uint16(payload)
	}
	l.sendClose(c, code, "", outEnding)
	l.flushHot()
}

// sendBack echoes a message.
func (c *Conn) sendBack(op frame.Opcode, payload []byte) {
	enc := c.inflate && len(payload) >= echoDeflateBytesMin
	if enc {
		payload = c.lane.srv.deflater.Deflate(nil, payload)
	}
	c.sendFrame(op, enc, payload, 1)
}

// echoDeflateBytesMin is the size from which an echo is deflated, where that was negotiated.
const echoDeflateBytesMin = 64

// sendFrame sends one frame ahead of everything else that can be overtaken.
func (c *Conn) sendFrame(op frame.Opcode, rsv1 bool, payload []byte, messages int) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out != outOpen {
		return
	}
	if c.idle() && len(payload)+headerRoom <= len(l.scratch) {
		l.writeNow(c, frame.AppendFrame(l.scratch[:0], op, rsv1, payload), messages)
		return
	}
	frames := frame.AppendFrame(make([]byte, 0, headerRoom+len(payload)), op, rsv1, payload)
	c.push(&message.Outgoing{Frames: frames, Count: messages, Level: message.Critical, Exempt: true})
	l.flushHot()
}

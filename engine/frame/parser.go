package frame

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Sink takes what a Parser finds, in the order of its last byte on the wire. Calls are made on the feeding goroutine,
// inside Feed, and should not block. The payload belongs to the parser and is valid only during the call. An error ends
// the parsing: Feed returns it as it is. A Sink must not call the Parser that calls it.
type Sink interface {
	// Message takes a whole data message, unmasked and inflated: op is OpText, and then payload is valid UTF-8, or OpBinary.
	Message(op Opcode, payload []byte) error
	// Control takes a control frame: OpPing, OpPong or OpClose. A close payload is checked: empty, or a code that may be
	// sent and a reason in UTF-8.
	Control(op Opcode, payload []byte) error
}

// Side says which end of the connection a Parser reads for, which decides whether frames must or must not be masked
// (RFC 6455 §5.1).
type Side uint8

// The sides.
const (
	Server Side = iota // reads what a client sends: every frame masked
	Client             // reads what a server sends: no frame masked
)

// Parser reads one direction of one connection. Its zero value reads for a server. It takes 16 bytes while nothing is
// incomplete, so that it can lie in a slab of connections.
type Parser struct {
	Side Side
	done bool // a close frame or an error was seen: what follows is ignored
	part *partial
}

// feed is what one call of Feed works with.
type feed struct {
	lim     *Limits
	inflate *Inflater
	budget  *Budget
	sink    Sink
}

// Feed reads all of data, unmasking it in place, and calls sink for each message and control frame that ends in it.
// Incomplete ones are kept until the next call, out of budget, which must be the same in every call.
//
// inflate is nil where permessage-deflate was not negotiated; then RSV1 is refused.
//
// The error is an [*Error], with the code and reason to close the connection with, or the one sink returned. After an
// error, and after a close frame, nothing is kept and everything fed is ignored (RFC 6455 §1.4, §7.1.7).
func (p *Parser) Feed(data []byte, lim *Limits, inflate *Inflater, budget *Budget, sink Sink) error {
	err := p.feed(data, &feed{lim, inflate, budget, sink})
	if err != nil {
		p.done = true
	}
	if p.done {
		p.drop(budget)
	}
	return err
}

// Buffered returns how many bytes of an incomplete frame or message are kept.
func (p *Parser) Buffered() int {
	if p.part == nil {
		return 0
	}
	return p.part.buffered()
}

// Reset forgets everything and gives what was kept back to budget. The parser is as new, with its Side.
func (p *Parser) Reset(budget *Budget) {
	p.drop(budget)
	p.done = false
}

func (p *Parser) drop(budget *Budget) {
	if p.part != nil {
		budget.Release(p.part.reserved)
		p.part = nil
	}
}

func (p *Parser) feed(data []byte, f *feed) error {
	for len(data) > 0 && !p.done {
		n, err := p.step(data, f)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// step reads up to the end of one frame, or of data, and returns how much it read.
func (p *Parser) step(data []byte, f *feed) (int, error) {
	if p.part != nil && p.part.insideFrame() {
		return p.resume(data, f)
	}
	var h header
	if err := p.readHeader(data, &h, f); err != nil {
		return 0, err
	}
	if h.size == 0 {
		if err := p.hold(f); err != nil {
			return 0, err
		}
		p.part.headLen = uint8(copy(p.part.head[:], data))
		return len(data), nil
	}
	if int64(len(data)-h.size) < h.length {
		if err := p.beginFrame(&h, f); err != nil {
			return 0, err
		}
		n, err := p.continueFrame(data[h.size:], f)
		return h.size + n, err
	}
	end := h.size + int(h.length)
	return end, p.wholeFrame(&h, data[h.size:end], f)
}

// wholeFrame takes a frame that lies whole in what was fed.
func (p *Parser) wholeFrame(h *header, payload []byte, f *feed) error {
	if h.masked {
		ws.Cipher(payload, h.mask, 0)
	}
	switch {
	case h.op.IsControl():
		return p.control(h.op, payload, f)
	case h.fin && h.op != OpContinuation:
		return f.message(h.op, h.rsv1, payload)
	}
	if err := p.beginFrame(h, f); err != nil {
		return err
	}
	if err := p.part.collect(payload, f); err != nil {
		return err
	}
	return p.endFrame(f)
}

func (p *Parser) control(op Opcode, payload []byte, f *feed) error {
	if op == OpClose {
		if err := checkClose(payload); err != nil {
			return err
		}
		p.done = true
	}
	return f.sink.Control(op, payload)
}

// message checks and delivers a whole message.
func (f *feed) message(op Opcode, deflated bool, payload []byte) error {
	if deflated {
		return f.inflated(op, payload)
	}
	if op == OpText && !utf8.Valid(payload) {
		return errText()
	}
	return f.sink.Message(op, payload)
}

func errText() error { return payloadError("a text message is not UTF-8") }

// header is one frame's header. size is how many bytes it took.
type header struct {
	op     Opcode
	fin    bool
	rsv1   bool
	masked bool
	mask   [4]byte
	size   int
	length int64
}

// readHeader reads the header that b begins with. It leaves h.size 0 if b is too short to hold it, and refuses what is
// wrong as soon as the bytes that say so are there.
func (p *Parser) readHeader(b []byte, h *header, f *feed) error {
	if len(b) < 2 {
		return nil
	}
	if err := p.checkHead(b[0], b[1], f.inflate != nil); err != nil {
		return err
	}
	size := headerSize(b[1])
	if len(b) < size {
		return nil
	}
	h.op, h.fin, h.rsv1, h.masked = Opcode(b[0]&0x0f), b[0]&bitFin != 0, b[0]&bitRsv1 != 0, b[1]&bitMask != 0
	n, err := readLength(b)
	if err != nil {
		return err
	}
	if !h.op.IsControl() {
		if err := p.checkLimits(n, f.lim); err != nil {
			return err
		}
	}
	if h.masked {
		h.mask = [4]byte(b[size-4:])
	}
	h.length, h.size = n, size
	return nil
}

// headerSize returns the length of a header whose second byte is b1.
func headerSize(b1 byte) int {
	size := 2
	switch b1 & 0x7f {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	if b1&bitMask != 0 {
		size += 4
	}
	return size
}

// readLength reads the payload length of the whole header b (RFC 6455 §5.2).
func readLength(b []byte) (int64, error) {
	switch n := b[1] & 0x7f; n {
	default:
		return int64(n), nil
	case length16:
		n := binary.BigEndian.Uint16(b[2:])
		if n < length16 {
			return 0, protocolError("a frame's length is not in its shortest form")
		}
		return int64(n), nil
	case length64:
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 {
			return 0, protocolError("a frame's length has its highest bit set")
		}
		if n <= 0xffff {
			return 0, protocolError("a frame's length is not in its shortest form")
		}
		return int64(n), nil
	}
}

// checkHead checks what the first two bytes say against the state of the connection.
func (p *Parser) checkHead(b0, b1 byte, deflate bool) error {
	op := Opcode(b0 & 0x0f)
	inMessage := p.part != nil && p.part.op != 0
	switch {
	case op.IsReserved():
		return protocolError("a frame has a reserved opcode")
	case b0&bitRsv != 0:
		return protocolError("a frame has a reserved bit set")
	case p.Side == Server && b1&bitMask == 0:
		return protocolError("a frame from a client is not masked")
	case p.Side == Client && b1&bitMask != 0:
		return protocolError("a frame from a server is masked")
	case b0&bitRsv1 != 0 && !deflate:
		return protocolError("a frame has RSV1 set, but no extension was negotiated")
	case b0&bitRsv1 != 0 && op != OpText && op != OpBinary:
		return protocolError("a frame that does not begin a message has RSV1 set")
	case op.IsControl() && b0&bitFin == 0:
		return protocolError("a control frame is fragmented")
	case op.IsControl() && b1&0x7f > ControlBytesMax:
		return protocolError("a control frame is longer than 125 bytes")
	case op == OpContinuation && !inMessage:
		return protocolError("a continuation frame continues no message")
	case !op.IsControl() && op != OpContinuation && inMessage:
		return protocolError("a message begins inside another")
	}
	return nil
}

// checkLimits refuses a data frame of n bytes that would exceed a limit.
func (p *Parser) checkLimits(n int64, lim *Limits) error {
	if n > lim.FrameBytesMax {
		return tooBig("a frame", lim.FrameBytesMax)
	}
	if p.part != nil {
		n += int64(len(p.part.msg))
	}
	if n > lim.MessageBytesMax {
		return tooBig("a message", lim.MessageBytesMax)
	}
	return nil
}

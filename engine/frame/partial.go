package frame

import (
	"unsafe"

	"github.com/gobwas/ws"
)

// partial is what a parser keeps while a frame or message is incomplete.
type partial struct {
	// A header that has begun: head[:headLen].
	head    [HeaderBytesMax]byte
	headLen uint8

	// The frame whose header was read, while inFrame, and how much of its payload came.
	inFrame bool
	frame   header
	got     int64

	// A control frame that has begun. It has its own place, since it may come between the frames of a message.
	control [ControlBytesMax]byte

	// The message that has begun, if op is not 0.
	op       Opcode
	deflated bool
	msg      []byte
	checked  int // text: msg[:checked] is valid and ends with a whole character

	reserved int64 // bytes taken from the budget
}

// partialBytes is what a partial costs before it holds any payload.
const partialBytes = int64(unsafe.Sizeof(partial{}))

// msgBytesMin is the least capacity of a message buffer.
const msgBytesMin = 64

func (s *partial) insideFrame() bool { return s.headLen > 0 || s.inFrame }

func (s *partial) buffered() int {
	n := int(s.headLen) + len(s.msg)
	if s.inFrame && s.frame.op.IsControl() {
		n += int(s.got)
	}
	return n
}

// hold gives the parser a partial.
func (p *Parser) hold(f *feed) error {
	if p.part != nil {
		return nil
	}
	if !f.budget.Reserve(partialBytes) {
		return overBudget()
	}
	p.part = &partial{reserved: partialBytes}
	return nil
}

// resume continues a header or payload with data and returns how much it took.
func (p *Parser) resume(data []byte, f *feed) (int, error) {
	s := p.part
	if s.inFrame {
		return p.continueFrame(data, f)
	}
	// Two bytes say how long the header is.
	want := 2
	if s.headLen >= 2 {
		want = headerSize(s.head[1])
	}
	n := copy(s.head[s.headLen:want], data)
	s.headLen += uint8(n)
	var h header
	if err := p.readHeader(s.head[:s.headLen], &h, f); err != nil {
		return 0, err
	}
	if h.size == 0 {
		return n, nil
	}
	s.headLen = 0
	if err := p.beginFrame(&h, f); err != nil {
		return 0, err
	}
	if h.length == 0 {
		return n, p.endFrame(f)
	}
	return n, nil
}

// beginFrame notes a frame whose payload has yet to come.
func (p *Parser) beginFrame(h *header, f *feed) error {
	if err := p.hold(f); err != nil {
		return err
	}
	s := p.part
	s.frame, s.inFrame, s.got = *h, true, 0
	if h.op == OpText || h.op == OpBinary {
		s.op, s.deflated = h.op, h.rsv1
	}
	return nil
}

// continueFrame takes the next bytes of the frame's payload and returns how many they were.
func (p *Parser) continueFrame(data []byte, f *feed) (int, error) {
	s := p.part
	n := int(min(int64(len(data)), s.frame.length-s.got))
	chunk := data[:n]
	if s.frame.masked {
		ws.Cipher(chunk, s.frame.mask, int(s.got%4))
	}
	if s.frame.op.IsControl() {
		copy(s.control[s.got:], chunk)
		s.got += int64(n)
	} else if err := s.collect(chunk, f); err != nil {
		return 0, err
	}
	if s.got < s.frame.length {
		return n, nil
	}
	return n, p.endFrame(f)
}

// collect adds unmasked payload to the message, and checks text as far as it came, so that a peer need not end a message
// to be told that it is bad.
func (s *partial) collect(chunk []byte, f *feed) error {
	if err := s.grow(len(chunk), f); err != nil {
		return err
	}
	s.msg = append(s.msg, chunk...)
	s.got += int64(len(chunk))
	if s.op != OpText || s.deflated {
		return nil
	}
	whole, ok := textPrefix(s.msg[s.checked:])
	if !ok {
		return errText()
	}
	s.checked += whole
	return nil
}

// grow makes room for n more bytes of message. The capacity follows what was received: it at most doubles it, whatever
// the header announced, and does not pass what the message can still become.
func (s *partial) grow(n int, f *feed) error {
	need := len(s.msg) + n
	if need <= cap(s.msg) {
		return nil
	}
	most := int(f.lim.MessageBytesMax)
	if s.frame.fin {
		most = len(s.msg) + int(s.frame.length-s.got)
	}
	size := max(need, min(max(2*need, msgBytesMin), most))
	more := int64(size - cap(s.msg))
	if !f.budget.Reserve(more) {
		return overBudget()
	}
	s.reserved += more
	grown := make([]byte, len(s.msg), size)
	copy(grown, s.msg)
	s.msg = grown
	return nil
}

// endFrame delivers what the frame completes, and lets go of the partial if nothing is incomplete any more.
func (p *Parser) endFrame(f *feed) error {
	s := p.part
	s.inFrame = false
	var err error
	switch {
	case s.frame.op.IsControl():
		err = p.control(s.frame.op, s.control[:s.got], f)
	case s.frame.fin:
		err = s.deliver(f)
		s.op = 0
	}
	if s.op == 0 {
		p.drop(f.budget)
	}
	return err
}

// deliver hands the complete message over.
func (s *partial) deliver(f *feed) error {
	switch {
	case s.deflated:
		return f.inflated(s.op, s.msg)
	case s.op == OpText && s.checked < len(s.msg):
		return errText()
	}
	return f.sink.Message(s.op, s.msg)
}

package hub

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// encodingsInline is how many encodings a publication has room for without allocating again.
const encodingsInline = 8

// publication is an envelope on its way to subscribers, with the bytes made for each encoding so far.
type publication struct {
	hub *Hub
	env *message.Envelope

	mu   sync.Mutex
	outs [encodingsInline]atomic.Pointer[message.Outgoing]
	more map[int]*message.Outgoing // guarded by mu; for encodings beyond the inline ones
}

// outgoing returns the publication's frames in an encoding, made at the first call.
func (p *publication) outgoing(encoding int) *message.Outgoing {
	if encoding < encodingsInline {
		if out := p.outs[encoding].Load(); out != nil {
			return out
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if encoding >= encodingsInline {
		out := p.more[encoding]
		if out == nil {
			if p.more == nil {
				p.more = make(map[int]*message.Outgoing)
			}
			out = p.hub.encode(p.env, encoding)
			p.more[encoding] = out
		}
		return out
	}
	out := p.outs[encoding].Load()
	if out == nil {
		out = p.hub.encode(p.env, encoding)
		p.outs[encoding].Store(out)
	}
	return out
}

// envelopeOverhead is how many bytes an envelope has besides its payload and topic, generously.
const envelopeOverhead = 320

// spareBytesMax is how much more memory than it is long a frame may hold.
const spareBytesMax = 2 * envelopeOverhead

// makeFrame makes the frame of env in an encoding.
func (h *Hub) makeFrame(env *message.Envelope, encoding int) []byte {
	frame := h.appendFrame(make([]byte, 0, len(env.Payload)+len(env.Topic)+envelopeOverhead), env, encoding)
	if cap(frame)-len(frame) > spareBytesMax {
		frame = slices.Clone(frame) // compressed: what the text took must not wait in queues with it
	}
	return frame
}

// encode makes the outgoing frame of env in an encoding.
func (h *Hub) encode(env *message.Envelope, encoding int) *message.Outgoing {
	frames := h.frame(env, encoding)
	if frames == nil {
		frames = h.makeFrame(env, encoding)
	}
	return &message.Outgoing{
		Frames:      frames,
		Count:       1,
		Topic:       env.Topic,
		Level:       env.Level,
		Overflow:    env.Overflow,
		ConflateKey: env.ConflateKey,
		Linger:      env.Linger,
		Exempt:      env.Priority.ExemptFromShedding(),
	}
}

// headerRoom is the longest header of a server's frame.
const headerRoom = 10

// appendFrame appends the frame of env in an encoding to dst.
func (h *Hub) appendFrame(dst []byte, env *message.Envelope, encoding int) []byte {
	enc := &h.encodings[encoding]
	start := len(dst)
	// The header's length depends on the payload's, which is known only afterwards: leave room, then close the gap.
	dst = append(dst, make([]byte, headerRoom)...)
	dst = enc.Dialect.AppendPublication(dst, env)
	dst, binary := enc.Wrap(dst, start+headerRoom)
	op := frame.OpText
	if binary {
		op = frame.OpBinary
	}
	payload := dst[start+headerRoom:]
	if enc.Deflate && len(payload) >= enc.DeflateBytesMin {
		deflated := h.deflater.Deflate(nil, payload)
		return frame.AppendFrame(dst[:start], op, true, deflated)
	}
	var header [headerRoom]byte
	hdr := frame.AppendFrameHeader(header[:0], op, false, len(payload))
	copy(dst[start:], hdr)
	n := copy(dst[start+len(hdr):], payload)
	return dst[:start+len(hdr)+n]
}

// Batch makes one Outgoing of several envelopes, in order, in an encoding: a replay. It leaves at the given level, is
// never shed and does not count against its connection's limits; the caller bounds it.
func (h *Hub) Batch(envs []*message.Envelope, encoding int, level message.Level) *message.Outgoing {
	size, ready := 0, make([][]byte, len(envs))
	for i, env := range envs {
		if ready[i] = h.frame(env, encoding); ready[i] != nil {
			size += len(ready[i])
		} else {
			size += len(env.Payload) + len(env.Topic) + envelopeOverhead
		}
	}
	out := &message.Outgoing{Frames: make([]byte, 0, size), Count: len(envs), Level: level, Exempt: true, Replay: true}
	for i, env := range envs {
		if ready[i] != nil {
			out.Frames = append(out.Frames, ready[i]...)
		} else {
			out.Frames = h.appendFrame(out.Frames, env, encoding)
		}
	}
	if cap(out.Frames)-len(out.Frames) > spareBytesMax*len(envs) {
		out.Frames = slices.Clone(out.Frames)
	}
	return out
}

package conn

import (
	"errors"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/seal"
)

// crypt is what a connection has that is encrypted (PROTOCOL §2.6). Publications stay shared and plain in its queue, so that
// priorities, shedding and conflation are as for any other, and are sealed as they leave: once for each time they are offered
// to the socket, which takes all of it unless it is full (BenchmarkSealed).
type crypt struct {
	key *seal.Channel // Seal with the lane's lock held, Open by the reading goroutine
	// prev is the key before, which opens what the client sent until it had this one; nil once something came with this one.
	// It is the reading goroutine's.
	prev *crypt
	// unused is how many keys there are since the last that the client used.
	unused int
	used   atomic.Bool // something came with this one
}

// cryptCounts are what a lane's connections did to encrypted frames.
type cryptCounts struct {
	opened, notSealed, unreadable, replayed, wornOut atomic.Uint64
}

// Encrypt agrees on a key with the client, whose public key is given as it sent it, base64. hello makes the answer that
// tells the client the server's. The answer leaves in the clear, or with the key before where there is one; whatever leaves
// after it is encrypted, and what comes must be. It may be called by any goroutine but a lane's and takes a few tenths of a millisecond.
// The error is a *message.Error.
func (c *Conn) Encrypt(clientKey string, hello func(serverKey string) *message.Reply) error {
	l, s := c.lane, c.lane.srv
	if s.opts.Encodings[c.encoding].Deflate {
		return message.Errorf(message.CodeKeyExchangeFailed,
			"the connection was opened with permessage-deflate; open it with encryption=true, which declines that")
	}
	before, most := c.crypt.Load(), s.cfg.EncryptedKeysUnusedMax
	if before != nil && !before.used.Load() && before.unused >= most {
		s.keysRefused.Add(1)
		return message.Errorf(message.CodeKeyExchangeFailed,
			"%d keys were agreed on and none was used; use the key of the last server_hello before you ask for another", most)
	}
	key, serverKey, err := seal.Exchange(clientKey, seal.Limits{OpensMax: s.cfg.EncryptedMessagesMax, Memory: s.cryptBudget})
	if err != nil {
		s.keysRefused.Add(1)
		refused := message.Errorf(message.CodeKeyExchangeFailed, "the server could not make a key; try again")
		var bad *seal.KeyError
		if errors.As(err, &bad) {
			refused = message.Errorf(message.CodeKeyExchangeFailed, "p.encryption_public_key is no P-256 public key in base64: %s", bad.Reason)
		} else {
			refused.Err = err
		}
		return refused
	}
	answer := hello(serverKey)
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out != outOpen {
		return nil
	}
	l.encrypt(c, key, l.encodeReply(c, answer))
	return nil
}

// encrypt turns to a new key and sends hello, which is in l.scratch, as it leaves with the key before. What is queued at the
// critical level has been promised to leave before hello and does; the rest leaves after it, with the new key. The client may
// use that as soon as hello has left, so the reading goroutine must have it by then.
func (l *Lane) encrypt(c *Conn, key *seal.Channel, hello []byte) {
	before := c.crypt.Load()
	if c.idle() {
		if before != nil {
			hello = before.appendTo(l.sealing[:0], hello)
		}
		l.counted(c, 1)
		l.turn(c, &crypt{key: key, prev: before})
		l.writeSealed(c, hello, 0)
		return
	}
	if c.backlog == nil {
		c.backlog = l.takeBacklog()
		if c.pending != nil {
			c.backlog.push(c.pending)
			c.pending = nil
		}
	}
	l.counted(c, c.backlog.commit(before, hello)+1)
	l.turn(c, &crypt{key: key, prev: before})
	if c.blocked {
		l.bound(c)
		return
	}
	l.mark(c, message.Critical)
	l.flushHot()
}

// turn makes cr what c is encrypted with, in both directions.
func (l *Lane) turn(c *Conn, cr *crypt) {
	l.totals.KeysAgreed++
	cr.unused = 1
	switch {
	case cr.prev == nil:
		l.encrypted++
	case !cr.prev.used.Load():
		cr.unused += cr.prev.unused
	}
	c.crypt.Store(cr)
}

// commit puts all that is critical, and hello, behind the tail as it leaves under cr, which may be nil: from now on nothing
// comes between. It returns how many publications that was.
func (b *backlog) commit(cr *crypt, hello []byte) (messages int) {
	tail := b.tail
	if cr == nil {
		tail = cloneBytes(tail) // it may be the rest of a shared frame; what was sealed is the connection's own
	}
	r := &b.rings[message.Critical]
	for out := r.pop(); out != nil; out = r.pop() {
		before := len(tail)
		tail = cr.appendTo(tail, out.Frames)
		b.took(out)
		messages += out.Count
		if out.Replay { // it goes on not to count; all else counts as before, and so does hello
			b.askedTail += len(tail) - before
			b.asked += len(tail) - before
		}
	}
	tail = cr.appendTo(tail, hello)
	b.bytes += len(tail) - len(b.tail)
	b.tail = tail
	return messages
}

// took takes a publication that was popped out of the figures.
func (b *backlog) took(out *message.Outgoing) {
	b.bytes -= len(out.Frames)
	if out.Replay {
		b.asked -= len(out.Frames)
	}
}

// appendTo appends frames as they leave: control frames as they are, and all others too where cr is nil.
func (cr *crypt) appendTo(dst, frames []byte) []byte {
	for cr != nil && len(frames) > 0 {
		op, payload, size := frame.Split(frames)
		switch {
		case size == 0:
			return append(dst, frames...) // the answer to the upgrade, which is HTTP
		case op.IsControl():
			dst = append(dst, frames[:size]...)
		default:
			dst = cr.key.Seal(frame.AppendFrameHeader(dst, frame.OpBinary, false, len(payload)+seal.Overhead), payload)
		}
		frames = frames[size:]
	}
	return append(dst, frames...)
}

// sealedFrame takes the first frame off frames: its length, and the length with which appendTo appends it.
func sealedFrame(frames []byte) (size, sealed int) {
	op, payload, size := frame.Split(frames)
	switch {
	case size == 0:
		return len(frames), len(frames)
	case op.IsControl():
		return size, size
	}
	return size, frame.Size(len(payload) + seal.Overhead)
}

// sealed returns frames as they leave on c: themselves, or sealed in the lane's space for that, valid until the next call.
func (l *Lane) sealed(c *Conn, frames []byte) []byte {
	cr := c.crypt.Load()
	if cr == nil {
		return frames
	}
	buf := cr.appendTo(l.sealing[:0], frames)
	l.keepSealing(buf)
	return buf
}

// keepSealing keeps the memory of what was sealed for the next time, unless it is a rare giant.
func (l *Lane) keepSealing(buf []byte) {
	if cap(buf) <= 4*gatherBytes {
		l.sealing = buf[:0]
	}
}

// gather returns what leaves next on c, up to about limit bytes, as it leaves.
func (l *Lane) gather(c *Conn, limit int) []byte {
	b, cr := c.backlog, c.crypt.Load()
	switch {
	case cr == nil:
		return b.gather(l.scratch[:0], limit)
	case len(b.tail) >= limit || len(b.tail) == b.bytes:
		return b.tail
	}
	buf := b.gatherSealed(l.sealing[:0], limit, cr)
	l.keepSealing(buf)
	return buf
}

// gatherSealed is [backlog.gather] for an encrypted connection. It goes frame by frame, so that not much more is sealed than
// the socket takes.
func (b *backlog) gatherSealed(dst []byte, limit int, cr *crypt) []byte {
	dst = append(dst, b.tail...)
	for level := range b.rings {
		r := &b.rings[level]
		for i := range r.n {
			out := r.at(i)
			if out == nil {
				continue
			}
			for rest := out.Frames; len(rest) > 0; {
				size, sealed := sealedFrame(rest)
				if len(dst) > 0 && len(dst)+sealed > limit {
					return dst
				}
				dst = cr.appendTo(dst, rest[:size])
				rest = rest[size:]
			}
		}
	}
	return dst
}

// sentSealed is [backlog.sent] for an encrypted connection: of buf, which gatherSealed returned, n bytes left. Of the frame
// that was begun the rest is kept as it was sealed; those that were not are still what they were.
func (b *backlog) sentSealed(buf []byte, n int) (messages int) {
	at := min(n, len(b.tail))
	b.sentTail(at)
	b.bytes -= at
	if len(b.tail) == 0 {
		b.tail = nil
	}
	for level := 0; at < n; {
		r := &b.rings[level]
		out := r.pop()
		if out == nil {
			level++
			continue
		}
		messages += out.Count
		b.took(out)
		left := 0 // bytes of out that left whole, or are the tail
		for at < n && left < len(out.Frames) {
			size, sealed := sealedFrame(out.Frames[left:])
			left += size
			at += sealed
		}
		if at > n {
			b.tail, b.askedTail = cloneBytes(buf[n:at]), 0
			b.bytes += len(b.tail)
			if out.Replay {
				b.askedTail = len(b.tail)
				b.asked += b.askedTail
			}
		}
		if left < len(out.Frames) {
			messages -= b.putBack(r, out, left)
		}
	}
	return messages
}

// putBack puts what is left of out, without its first bytes, whole frames all of them, before everything else of its ring. It
// returns how many publications have not begun to leave.
func (b *backlog) putBack(r *ring, out *message.Outgoing, first int) (messages int) {
	rest := make([]*message.Outgoing, 0, max(1, len(out.Parts)))
	for _, part := range out.Parts {
		if first >= len(part.Frames) {
			first -= len(part.Frames)
			continue
		}
		rest = append(rest, part)
	}
	if out.Parts == nil {
		half := *out
		half.Frames, half.Count = out.Frames[first:], 0 // it is counted when it begins to leave
		half.Instead = nil                              // nothing stands for what was begun
		rest = append(rest, &half)
	}
	for _, part := range rest {
		messages += part.Count
		b.bytes += len(part.Frames)
		if part.Replay {
			b.asked += len(part.Frames)
		}
	}
	r.unshift(rest)
	return messages
}

// decode reads a message, which on an encrypted connection has to be opened first.
func (c *Conn) decode(op frame.Opcode, payload []byte) (*message.Request, error) {
	cr := c.crypt.Load()
	if cr == nil {
		return c.Dialect().Decode(payload, op == frame.OpBinary)
	}
	counts := &c.lane.crypts
	if op != frame.OpBinary || !seal.IsSealed(payload) {
		counts.notSealed.Add(1)
		return &message.Request{}, notOpened("the connection is encrypted: a message must be a binary frame of E:, a 12-byte IV, the ciphertext and its tag")
	}
	plain, err := cr.open(payload)
	switch {
	case err == nil:
		counts.opened.Add(1)
		return c.Dialect().Decode(plain, true)
	case errors.Is(err, seal.ErrReplayed):
		counts.replayed.Add(1)
		return &message.Request{}, notOpened("the frame's IV was used before: use a fresh one for every message")
	case !errors.Is(err, seal.ErrWornOut):
		counts.unreadable.Add(1)
		return &message.Request{}, notOpened("the frame does not open: it was cut or changed, or sealed with another key")
	}
	req := &message.Request{}
	if plain != nil {
		if req, err = c.Dialect().Decode(plain, true); err == nil {
			if hello, ok := req.Body.(*message.Hello); ok && hello.PublicKey != "" {
				counts.opened.Add(1)
				return req, nil
			}
		}
	}
	counts.wornOut.Add(1)
	return req, notOpened("the key has opened as many messages as it may: send client_hello with a new encryption_public_key")
}

func notOpened(reason string) error {
	return message.Errorf(message.CodeInvalidMessage, "%s", reason).WithDetails(map[string]string{"reason": reason})
}

// open opens a frame in place, with the newest key or the one before.
func (cr *crypt) open(payload []byte) ([]byte, error) {
	if cr.prev == nil && cr.used.Load() {
		return cr.key.Open(payload)
	}
	var again []byte
	if cr.prev != nil {
		cr.prev.forget()
		again = cloneBytes(payload) // a frame that does not open is destroyed
	}
	plain, err := cr.key.Open(payload)
	if errors.Is(err, seal.ErrFrame) && cr.prev != nil {
		return cr.prev.key.Open(again)
	}
	if plain != nil {
		cr.used.Store(true)
		cr.forget()
	}
	return plain, err
}

// forget lets go of the keys before.
func (cr *crypt) forget() {
	for p := cr.prev; p != nil; p = p.prev {
		p.key.Close()
	}
	cr.prev = nil
}

// end lets go of all keys. The connection is gone.
func (cr *crypt) end() {
	if cr != nil {
		cr.forget()
		cr.key.Close()
	}
}

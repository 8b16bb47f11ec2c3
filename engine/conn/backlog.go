package conn

import "github.com/wse-engine/wse/engine/message"

// backlog is what waits to be sent on a connection that cannot take it at once: the rest of the frame that was begun, and
// five rings of shared frames. The zero value is ready. It is guarded by its lane's lock.
type backlog struct {
	tail  []byte // the rest of what was begun: nothing may come between
	rings [message.Levels]ring
	bytes int // in tail and rings

	asked     int // of bytes: replays, which the client asked for
	askedTail int // of tail: the same

	charged  int64  // bytes taken from the server's budget
	place    int    // in lane.stalled, while the connection is blocked
	progress uint32 // tick at which something was last sent
}

func (b *backlog) push(out *message.Outgoing) {
	b.bytes += len(out.Frames)
	if out.Replay {
		b.asked += len(out.Frames)
	}
	b.rings[out.Level].push(out)
}

// unasked is how much of the backlog counts against the connection's limits.
func (b *backlog) unasked() int { return b.bytes - b.asked }

func (b *backlog) empty() bool { return b.bytes == 0 }

// gather appends what leaves next to dst, up to about limit bytes, most urgent first. Nothing is taken out: [backlog.sent]
// does that, once it is known how much left. A single item is returned as it is instead of being copied.
func (b *backlog) gather(dst []byte, limit int) []byte {
	if len(b.tail) > 0 {
		if len(b.tail) >= limit || len(b.tail) == b.bytes {
			return b.tail
		}
		dst = append(dst, b.tail...)
	}
	for level := range b.rings {
		r := &b.rings[level]
		for i := range r.n {
			out := r.at(i)
			if out == nil {
				continue
			}
			if len(dst) == 0 && (len(out.Frames) >= limit || len(out.Frames) == b.bytes) {
				return out.Frames
			}
			if len(dst) > 0 && len(dst)+len(out.Frames) > limit {
				return dst
			}
			dst = append(dst, out.Frames...)
		}
	}
	return dst
}

// sent takes out the n bytes that left, in the order of gather, and returns how many publications began to leave with
// them.
func (b *backlog) sent(n int) (messages int) {
	b.bytes -= n
	k := min(n, len(b.tail))
	b.sentTail(k)
	n -= k
	for level := 0; n > 0; {
		r := &b.rings[level]
		out := r.pop()
		switch {
		case out == nil:
			level++ // only tombstones were left, or nothing
		case n >= len(out.Frames):
			n -= len(out.Frames)
			messages += out.Count
			if out.Replay {
				b.asked -= len(out.Frames)
			}
		default:
			messages += b.begun(r, out, n)
			n = 0
		}
	}
	if len(b.tail) == 0 {
		b.tail = nil // it may refer to a shared frame
	}
	return messages
}

// sentTail takes n bytes off the tail. What was not asked for leaves first, as far as the figures go: what is there counts for
// too little that way, never for more than there is.
func (b *backlog) sentTail(n int) {
	b.tail = b.tail[n:]
	if left := min(b.askedTail, len(b.tail)); left != b.askedTail {
		b.asked -= b.askedTail - left
		b.askedTail = left
	}
}

// begun keeps the rest of out, of which n bytes have left. Where out is a burst, only the frame that was begun must be
// finished; the others go back, each for itself.
func (b *backlog) begun(r *ring, out *message.Outgoing, n int) (messages int) {
	for i, part := range out.Parts {
		if n < len(part.Frames) {
			rest := out.Parts[i:]
			if n > 0 {
				b.tail, b.askedTail = part.Frames[n:], 0
				messages += part.Count
				rest = rest[1:]
			}
			r.unshift(rest)
			return messages
		}
		n -= len(part.Frames)
		messages += part.Count
	}
	b.tail, b.askedTail = out.Frames[n:], 0
	if out.Replay {
		b.asked -= n
		b.askedTail = len(b.tail)
	}
	return out.Count
}

// split replaces bursts by their parts, so that they can be shed one by one.
func (b *backlog) split() {
	for level := range b.rings {
		r := &b.rings[level]
		for n := r.n; n > 0; n-- {
			out := r.popAny()
			switch {
			case out == nil:
			case out.Parts == nil:
				r.push(out)
			default:
				for _, part := range out.Parts {
					r.push(part)
				}
			}
		}
	}
}

// replace removes the older publication that out makes superfluous, the last of its topic with the same key, and reports
// whether there was one. It is not put into its place, since that would change the topic's order.
func (b *backlog) replace(out *message.Outgoing) bool {
	r := &b.rings[out.Level]
	for i := r.n - 1; i >= 0; i-- {
		old := r.at(i)
		if old != nil && old.ConflateKey == out.ConflateKey && old.Topic == out.Topic && conflatable(old) {
			b.bytes -= len(old.Frames)
			r.remove(i)
			return true
		}
	}
	return false
}

// conflate does the same for everything that is queued: only the newest per topic and key stays. seen is scratch space.
// It returns how many were removed.
func (b *backlog) conflate(seen map[conflation]struct{}) (removed int) {
	for level := range b.rings {
		r := &b.rings[level]
		for i := r.n - 1; i >= 0; i-- {
			out := r.at(i)
			if out == nil || !conflatable(out) {
				continue
			}
			k := conflation{out.Topic, out.ConflateKey}
			if _, newer := seen[k]; !newer {
				seen[k] = struct{}{}
				continue
			}
			b.bytes -= len(out.Frames)
			r.remove(i)
			removed++
		}
	}
	clear(seen)
	return removed
}

// conflation is what publications must have in common for the newer to replace the older.
type conflation struct {
	topic message.Topic
	key   string
}

func conflatable(out *message.Outgoing) bool {
	return out.Overflow == message.Conflate && !out.Exempt && out.ConflateKey != "" && out.Level > message.High
}

// droppable reports whether a slow client may lose out. Critical and high levels are never dropped, and of a class that
// conflates only what a newer one replaces.
func droppable(out *message.Outgoing) bool {
	return out.Overflow == message.DropOldest && !out.Exempt && out.Level > message.High
}

// dropOldest removes the oldest droppable publication of the least urgent level that is not above level, and reports
// whether there was one.
func (b *backlog) dropOldest(level message.Level) bool {
	for l := message.Levels - 1; l >= int(level) && l > int(message.High); l-- {
		r := &b.rings[l]
		for i := range r.n {
			if out := r.at(i); out != nil && droppable(out) {
				b.bytes -= len(out.Frames)
				r.remove(i)
				return true
			}
		}
	}
	return false
}

// forget removes the publications to topics that the client has left. Where several wait as one they are to one topic.
func (b *backlog) forget(left func(topic message.Topic) bool) {
	for level := range b.rings {
		r := &b.rings[level]
		for i := r.n - 1; i >= 0; i-- {
			if out := r.at(i); out != nil && out.Topic != "" && left(out.Topic) {
				b.took(out)
				r.remove(i)
			}
		}
	}
}

// shorten puts in the place of what can be said in fewer words those words, and reports whether there was such a thing.
func (b *backlog) shorten() (shorter bool) {
	for level := range b.rings {
		r := &b.rings[level]
		for i := range r.n {
			out := r.at(i)
			if out == nil || out.Instead == nil {
				continue
			}
			b.took(out)
			b.bytes += len(out.Instead.Frames)
			r.items[(r.head+i)&(len(r.items)-1)] = out.Instead
			shorter = true
		}
	}
	return shorter
}

// discard removes everything but the rest of the frame that was begun.
func (b *backlog) discard() {
	for level := range b.rings {
		b.rings[level].reset()
	}
	b.bytes, b.asked = len(b.tail), b.askedTail
}

// ringMax is how long a ring may be and still be kept for reuse.
const ringMax = 64

// reset makes the backlog as good as new.
func (b *backlog) reset() {
	for level := range b.rings {
		b.rings[level].reset()
		if len(b.rings[level].items) > ringMax {
			b.rings[level].items = nil
		}
	}
	*b = backlog{rings: b.rings}
}

// ring is a queue of publications. A removed one leaves a nil behind, which counts in n until it gets to the front.
type ring struct {
	items []*message.Outgoing // length zero or a power of two
	head  int
	n     int
}

func (r *ring) at(i int) *message.Outgoing { return r.items[(r.head+i)&(len(r.items)-1)] }

func (r *ring) push(out *message.Outgoing) {
	if r.n == len(r.items) {
		r.grow(1)
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = out
	r.n++
}

// unshift puts list before everything else.
func (r *ring) unshift(list []*message.Outgoing) {
	r.grow(len(list))
	r.head = (r.head - len(list)) & (len(r.items) - 1)
	r.n += len(list)
	for i, out := range list {
		r.items[(r.head+i)&(len(r.items)-1)] = out
	}
}

// grow makes room for more.
func (r *ring) grow(more int) {
	size := max(4, len(r.items))
	for size < r.n+more {
		size *= 2
	}
	if size == len(r.items) {
		return
	}
	items := make([]*message.Outgoing, size)
	for i := range r.n {
		items[i] = r.at(i)
	}
	r.items, r.head = items, 0
}

// pop returns the oldest, nil when there is none.
func (r *ring) pop() *message.Outgoing {
	for r.n > 0 {
		if out := r.popAny(); out != nil {
			return out
		}
	}
	return nil
}

// popAny takes the first place out, which may be a removed one's.
func (r *ring) popAny() *message.Outgoing {
	out := r.items[r.head]
	r.items[r.head] = nil
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	return out
}

func (r *ring) remove(i int) {
	r.items[(r.head+i)&(len(r.items)-1)] = nil
	for r.n > 0 && r.items[r.head] == nil { // so that they do not pile up at the front, where the scans begin
		r.popAny()
	}
}

func (r *ring) reset() {
	for r.n > 0 {
		r.popAny()
	}
	r.head = 0
}

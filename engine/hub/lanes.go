package hub

import (
	"slices"
	"sync"

	"github.com/wse-engine/wse/engine/message"
)

// lane is the hub's side of a [Lane]: the publications that wait for it.
type lane struct {
	hub  *Hub
	loop Lane

	mu     sync.Mutex // guards the inboxes
	inbox  []item     // guarded by mu
	urgent []item     // guarded by mu

	spare, spareUrgent []item // emptied inboxes to swap in; guarded by the lane's lock
	batches            []batch
	joined             map[int]*message.Outgoing // scratch of deliverBatch; guarded by the lane's lock
}

// item is a publication for the subscribers that one topic has on this lane.
type item struct {
	part *part
	pub  *publication
}

// batch is what one part has to deliver in one go.
type batch struct {
	part *part
	pubs []*publication
}

var _ Work = (*lane)(nil)

// push appends to an inbox and reports whether it was empty, in which case the caller has to see that the lane runs.
func (l *lane) push(it item, urgent bool) (wasEmpty bool) {
	l.mu.Lock()
	if urgent {
		wasEmpty = len(l.urgent) == 0
		l.urgent = append(l.urgent, it)
	} else {
		wasEmpty = len(l.inbox) == 0
		l.inbox = append(l.inbox, it)
	}
	l.mu.Unlock()
	return wasEmpty
}

// Run implements [Work]: it takes everything that waits and queues it on the connections. The lane's lock is held.
func (l *lane) Run(urgent bool) {
	l.mu.Lock()
	first := l.urgent
	l.urgent, l.spareUrgent = l.spareUrgent[:0], nil
	var rest []item
	if !urgent {
		rest = l.inbox
		l.inbox, l.spare = l.spare[:0], nil
	}
	l.mu.Unlock()

	l.deliver(first)
	clear(first)
	l.spareUrgent = first
	if !urgent {
		l.deliver(rest)
		clear(rest)
		l.spare = rest
	}
}

// deliver queues items, which hold each topic's publications in order. Items of one topic are gathered, so that a burst
// costs each connection one queue operation and one write (BenchmarkBurst).
func (l *lane) deliver(items []item) {
	switch len(items) {
	case 0:
		return
	case 1:
		items[0].part.deliverOne(items[0].pub)
		return
	}
	n := 0
	for _, it := range items {
		if it.part.batch == 0 {
			if n == len(l.batches) {
				l.batches = append(l.batches, batch{})
			}
			l.batches[n].part = it.part
			n++
			it.part.batch = int32(n)
		}
		b := &l.batches[it.part.batch-1]
		b.pubs = append(b.pubs, it.pub)
	}
	for i := range n {
		b := &l.batches[i]
		b.part.batch = 0
		if len(b.pubs) == 1 {
			b.part.deliverOne(b.pubs[0])
		} else {
			l.deliverBatch(b.part, b.pubs)
		}
		clear(b.pubs)
		b.part, b.pubs = nil, b.pubs[:0]
	}
	if cap(l.batches) > 4096 { // a rare flood of topics must not hold its memory
		l.batches = slices.Clip(l.batches[:0])
	}
}

// deliverOne queues one publication on every subscriber of the part.
func (p *part) deliverOne(pub *publication) {
	var out *message.Outgoing
	encoding, sent := -1, uint64(0)
	pattern := p.isPattern()
	for _, s := range p.subs {
		if s.plain() && !pattern {
			if e := s.member.encoding; e != encoding {
				encoding, out = e, pub.outgoing(e)
			}
			s.member.conn.Enqueue(out)
			sent++
			continue
		}
		if s.wants(pub.env, pattern) {
			s.member.conn.Enqueue(pub.outgoing(s.member.encoding))
			sent++
		}
	}
	p.lane.hub.delivered.Add(sent)
}

// deliverBatch queues several publications of one topic, joined into one run of frames per encoding.
func (l *lane) deliverBatch(p *part, pubs []*publication) {
	sent, pattern := uint64(0), p.isPattern()
	for _, s := range p.subs {
		if s.plain() && !pattern {
			s.member.conn.Enqueue(l.join(pubs, s.member.encoding))
			sent += uint64(len(pubs))
			continue
		}
		for _, pub := range pubs {
			if s.wants(pub.env, pattern) {
				s.member.conn.Enqueue(pub.outgoing(s.member.encoding))
				sent++
			}
		}
	}
	clear(l.joined)
	l.hub.delivered.Add(sent)
}

// join makes one Outgoing of a topic's burst in an encoding, once per batch.
func (l *lane) join(pubs []*publication, encoding int) *message.Outgoing {
	if out := l.joined[encoding]; out != nil {
		return out
	}
	size := 0
	parts := make([]*message.Outgoing, len(pubs))
	for i, pub := range pubs {
		parts[i] = pub.outgoing(encoding)
		size += len(parts[i].Frames)
	}
	first := parts[0]
	out := &message.Outgoing{
		Frames: make([]byte, 0, size), Count: len(pubs), Topic: first.Topic, Level: first.Level,
		Overflow: first.Overflow, Linger: first.Linger, Parts: parts,
	}
	for _, part := range parts {
		out.Frames = append(out.Frames, part.Frames...)
	}
	if l.joined == nil {
		l.joined = make(map[int]*message.Outgoing)
	}
	l.joined[encoding] = out
	return out
}

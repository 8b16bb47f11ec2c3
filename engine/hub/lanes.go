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

	// Scratch; guarded by the lane's lock.
	batches []batch
	topics  map[message.Topic]int     // places in batches
	joined  map[int]*message.Outgoing // by encoding
	parts   []*part
	chain   []*Subscription
}

// item is a publication for the subscribers that its topic and the patterns over it have on this lane.
type item struct {
	part *part   // the most specific
	also []*part // less and less specific; nil where part is all, as it mostly is
	pub  *publication
}

// samePlaces reports whether the item goes to the same parts as other.
func (it *item) samePlaces(other *item) bool {
	return it.part == other.part && slices.Equal(it.also, other.also)
}

// batch is what has to be delivered of one topic in one go.
type batch struct {
	part  *part // of the first
	items []item
}

var _ Work = (*lane)(nil)

// take puts an item into the lane's inbox and sees that the lane runs.
func (l *lane) take(it item, subscribers int) {
	urgent := it.pub.env.Level == message.Critical
	if !l.push(it, urgent) {
		return // whoever made the inbox non-empty sees to the lane
	}
	if subscribers > directMax || !l.loop.TryRun(l) {
		l.loop.Wake(urgent)
	}
}

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
		l.deliverRun(items)
		return
	}
	mixed := slices.ContainsFunc(items, func(it item) bool { return it.part.pattern || it.also != nil })
	n := 0
	for _, it := range items {
		i := l.placeOf(&it, mixed, n)
		if i == n {
			if n == len(l.batches) {
				l.batches = append(l.batches, batch{})
			}
			l.batches[n].part = it.part
			n++
		}
		b := &l.batches[i]
		b.items = append(b.items, it)
	}
	for i := range n {
		b := &l.batches[i]
		b.part.batch = 0
		for rest := b.items; len(rest) > 0; {
			end := 1
			for end < len(rest) && rest[end].samePlaces(&rest[0]) && restartOf(rest[0].pub.env) == nil && restartOf(rest[end].pub.env) == nil {
				end++
			}
			l.deliverRun(rest[:end])
			rest = rest[end:]
		}
		clear(b.items)
		b.part, b.items = nil, b.items[:0]
	}
	clear(l.topics)
	if cap(l.batches) > 4096 { // a rare flood of topics must not hold its memory
		l.batches, l.topics = slices.Clip(l.batches[:0]), nil
	}
}

// placeOf returns the place of an item's batch, which is next if it is its topic's first. A part stands for a topic,
// except where patterns are concerned: a topic's items can then have different parts.
func (l *lane) placeOf(it *item, mixed bool, next int) int {
	if !mixed {
		if it.part.batch == 0 {
			it.part.batch = int32(next) + 1
		}
		return int(it.part.batch) - 1
	}
	if l.topics == nil {
		l.topics = make(map[message.Topic]int)
	}
	i, ok := l.topics[it.pub.env.Topic]
	if !ok {
		i = next
		l.topics[it.pub.env.Topic] = i
	}
	return i
}

// deliverRun queues publications of one topic, in order, on every subscriber of the parts that all the items name. Those
// for a connection that takes them all are joined into one run of frames.
func (l *lane) deliverRun(items []item) {
	if restartOf(items[0].pub.env) != nil {
		l.restart(&items[0])
		return
	}
	l.parts = append(append(l.parts[:0], items[0].part), items[0].also...)
	sent, several := uint64(0), len(l.parts) > 1
	for _, p := range l.parts {
		var out *message.Outgoing
		encoding := -1
		for _, s := range p.subs {
			m := s.member
			switch {
			case several && len(m.subs) > 1:
				sent += l.offer(s, items)
			case s.plain() && !(p.pattern && m.settled(items[0].pub.env.Topic) != nil):
				if m.encoding != encoding {
					encoding, out = m.encoding, l.join(items, m.encoding)
				}
				m.conn.Enqueue(out)
				sent += uint64(len(items))
			default:
				l.chain = append(l.chain[:0], s)
				sent += serve(l.chain, items)
			}
		}
	}
	clear(l.joined)
	clear(l.parts)
	clear(l.chain)
	l.hub.delivered.Add(sent)
}

// offer gives the member of s, who may have several of the parts, each publication once. It is called for each of his
// subscriptions and acts on the most specific. It returns how many publications were queued.
func (l *lane) offer(s *Subscription, items []item) (sent uint64) {
	l.chain = l.chain[:0]
	for _, p := range l.parts {
		if own := s.member.of(p); own != nil {
			l.chain = append(l.chain, own)
		}
	}
	if l.chain[0] != s {
		return 0
	}
	return serve(l.chain, items)
}

// serve queues each publication on the connection that the subscriptions, the most specific first, belong to. The first
// that takes a publication decides about it, so that one which is still joining, or which went live after it was
// published, leaves it to a pattern, unless what it was sent stands for it; if none takes it, it is held for the first that joins.
func serve(chain []*Subscription, items []item) (sent uint64) {
	m := chain[0].member
	for i := range items {
		pub := items[i].pub
		if m.has(pub.env) {
			continue
		}
		taken := slices.IndexFunc(chain, func(s *Subscription) bool { return s.takes(pub.env) })
		switch {
		case taken < 0:
			if i := slices.IndexFunc(chain, (*Subscription).joining); i >= 0 {
				chain[i].hold(pub.env)
			}
		case chain[taken].wantsType(pub.env.Type):
			m.conn.Enqueue(pub.outgoing(m.encoding))
			sent++
		}
	}
	return sent
}

// join makes one Outgoing of a topic's burst in an encoding, once per run.
func (l *lane) join(items []item, encoding int) *message.Outgoing {
	if len(items) == 1 {
		return items[0].pub.outgoing(encoding)
	}
	if out := l.joined[encoding]; out != nil {
		return out
	}
	size := 0
	parts := make([]*message.Outgoing, len(items))
	for i := range items {
		parts[i] = items[i].pub.outgoing(encoding)
		size += len(parts[i].Frames)
	}
	first := parts[0]
	out := &message.Outgoing{
		Frames: make([]byte, 0, size), Count: len(items), Topic: first.Topic, Level: first.Level,
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

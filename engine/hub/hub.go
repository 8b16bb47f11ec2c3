package hub

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// shards is how many parts the topic index is split into, so that publishers of different topics rarely meet.
const shards = 64

// directMax is how many subscribers of a lane a publisher serves itself when the lane is idle. Waking a loop costs more
// than a handful of writes; above this the loop's coalescing wins (BenchmarkManyTopics).
const directMax = 16

// Hub is the topic index and the way from a publication to its subscribers' queues.
type Hub struct {
	encodings []dialect.Encoding
	lanes     []*lane
	seed      maphash.Seed
	topics    [shards]shard
	patterns  shard        // entries whose topic is a pattern
	wild      atomic.Int64 // how many pattern entries there are; spares the look-ups when zero
	delivered atomic.Uint64
	deflater  frame.Deflater
	kept      kept
	restarts  *message.IDSource // the notices' ids
}

// shard is a part of the topic index.
type shard struct {
	mu      sync.RWMutex
	entries map[message.Topic]*entry // guarded by mu
}

// entry is a topic, or a pattern, that has subscribers. There can be one for each connection, so its size counts.
type entry struct {
	topic message.Topic        // as subscribed to, a pattern's star included
	parts atomic.Pointer[part] // the first of a list; changed under the shard's mutex, read without it
}

// subscribers returns how many there are on all lanes.
func (e *entry) subscribers() (n int) {
	for p := e.parts.Load(); p != nil; p = p.next.Load() {
		n += int(p.size.Load())
	}
	return n
}

// on returns what the entry has on a lane, nil where there is nothing.
func (e *entry) on(l *lane) *part {
	for p := e.parts.Load(); p != nil; p = p.next.Load() {
		if p.lane == l {
			return p
		}
	}
	return nil
}

// part is what an entry has on one lane.
type part struct {
	entry *entry
	lane  *lane
	next  atomic.Pointer[part] // the entry's part on another lane; changed under the shard's mutex, read without it
	subs  []*Subscription      // guarded by the lane's lock
	size  atomic.Int32         // len(subs), readable without the lane's lock
	refs  int32                // subscriptions that hold the part; guarded by the shard's mutex
	// batch is the part's place in the lane's current batch plus one, 0 when it has none; guarded by the lane's lock.
	batch   int32
	pattern bool // the entry's topic is one; fixed
}

// Option changes how a hub works.
type Option func(*Hub)

// New makes a hub over lanes, delivering in encodings. Both lists are fixed for the hub's life; subscribers refer to
// them by index.
func New(lanes []Lane, encodings []dialect.Encoding, options ...Option) *Hub {
	h := &Hub{encodings: slices.Clone(encodings), seed: maphash.MakeSeed(), restarts: message.NewIDSource("rst")}
	for i := range h.topics {
		h.topics[i].entries = make(map[message.Topic]*entry)
	}
	h.patterns.entries = make(map[message.Topic]*entry)
	for _, l := range lanes {
		h.lanes = append(h.lanes, &lane{hub: h, loop: l})
	}
	for _, option := range options {
		option(h)
	}
	return h
}

// Works returns what each lane has to run when it is woken, in the order of the lanes given to New.
func (h *Hub) Works() []Work {
	works := make([]Work, len(h.lanes))
	for i, l := range h.lanes {
		works[i] = l
	}
	return works
}

// Deliver hands a numbered publication to every connection subscribed to its topic or to a pattern that covers it, once
// each. It never waits for a connection. The caller keeps the order of a topic: calls for one topic follow each other.
func (h *Hub) Deliver(env *message.Envelope) {
	exact := h.find(h.shardOf(env.Topic), env.Topic)
	if h.wild.Load() == 0 {
		if exact != nil {
			h.post(exact, env)
		}
		return
	}
	var found [message.TopicSegmentsMax]*entry // the most specific first
	n := 0
	if exact != nil {
		found[0], n = exact, 1
	}
	// Every prefix that ends in a colon can be a pattern.
	for i := len(env.Topic) - 1; i > 0; i-- {
		if env.Topic[i] != ':' {
			continue
		}
		if e := h.find(&h.patterns, env.Topic[:i+1]); e != nil {
			found[n] = e
			n++
		}
	}
	switch n {
	case 0:
	case 1:
		h.post(found[0], env)
	default:
		h.postAll(found[:n], env)
	}
}

// post puts env into the inbox of every lane on which e has subscribers.
func (h *Hub) post(e *entry, env *message.Envelope) {
	var pub *publication
	for p := e.parts.Load(); p != nil; p = p.next.Load() {
		n := int(p.size.Load())
		if n == 0 {
			continue
		}
		if pub == nil {
			pub = &publication{hub: h, env: env}
		}
		p.lane.take(item{part: p, pub: pub}, n)
	}
}

// postAll does the same for several entries. A lane gets them as one item: between two, a connection could leave one
// subscription or go live with another, and would get the publication twice or not at all.
func (h *Hub) postAll(entries []*entry, env *message.Envelope) {
	pub := &publication{hub: h, env: env}
	for _, l := range h.lanes {
		it, subscribers := item{pub: pub}, 0
		for _, e := range entries {
			p := e.on(l)
			if p == nil || p.size.Load() == 0 {
				continue
			}
			subscribers += int(p.size.Load())
			if it.part == nil {
				it.part = p
			} else {
				it.also = append(it.also, p)
			}
		}
		if it.part != nil {
			l.take(it, subscribers)
		}
	}
}

// Subscribers returns how many subscriptions a topic or pattern has on this node.
func (h *Hub) Subscribers(topic message.Topic) int {
	e := h.find(h.shardFor(topic), key(topic))
	if e == nil {
		return 0
	}
	return e.subscribers()
}

// Topics calls f for every topic and pattern that has subscribers, with their number, until f returns false. The order
// is not defined, and changes made meanwhile may or may not be seen.
func (h *Hub) Topics(f func(topic message.Topic, subscribers int) bool) {
	for i := range h.topics {
		if !h.topics[i].each(f) {
			return
		}
	}
	h.patterns.each(f)
}

// Delivered returns how many publications were queued on connections since the start.
func (h *Hub) Delivered() uint64 { return h.delivered.Load() }

func (s *shard) each(f func(message.Topic, int) bool) bool {
	s.mu.RLock()
	entries := make([]*entry, 0, len(s.entries))
	for _, e := range s.entries {
		entries = append(entries, e)
	}
	s.mu.RUnlock()
	for _, e := range entries {
		if n := e.subscribers(); n > 0 && !f(e.topic, n) {
			return false
		}
	}
	return true
}

func (h *Hub) find(s *shard, k message.Topic) *entry {
	s.mu.RLock()
	e := s.entries[k]
	s.mu.RUnlock()
	return e
}

// key is what an entry is found by: a pattern without its star, so that Deliver can look prefixes up in place.
func key(topic message.Topic) message.Topic {
	if topic.IsPattern() {
		return topic[:len(topic)-1]
	}
	return topic
}

func (h *Hub) shardOf(topic message.Topic) *shard {
	return &h.topics[maphash.String(h.seed, string(topic))%shards]
}

func (h *Hub) shardFor(topic message.Topic) *shard {
	if topic.IsPattern() {
		return &h.patterns
	}
	return h.shardOf(topic)
}

// acquire finds or makes the part of topic on lane l and counts a subscription on it. first reports that the topic had
// no subscription on this node before.
func (h *Hub) acquire(topic message.Topic, l *lane) (p *part, first bool) {
	s, k := h.shardFor(topic), key(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil {
		e, first = &entry{topic: topic}, true
		s.entries[k] = e
		if topic.IsPattern() {
			h.wild.Add(1)
		}
	}
	if p := e.on(l); p != nil {
		p.refs++
		return p, first
	}
	p = &part{entry: e, lane: l, refs: 1, pattern: topic.IsPattern()}
	p.next.Store(e.parts.Load())
	e.parts.Store(p)
	return p, first
}

// release gives back what acquire counted. last reports that the topic has no subscription on this node any more.
func (h *Hub) release(topic message.Topic, p *part) (last bool) {
	s, k := h.shardFor(topic), key(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.refs--; p.refs > 0 {
		return false
	}
	at := &p.entry.parts
	for at.Load() != p {
		at = &at.Load().next
	}
	at.Store(p.next.Load()) // whoever stands at p still finds the way on
	if p.entry.parts.Load() != nil {
		return false
	}
	delete(s.entries, k)
	if topic.IsPattern() {
		h.wild.Add(-1)
	}
	return true
}

package memory

import (
	"sync"
	"unsafe"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// topic is one topic's numbering and what is kept of it.
type topic struct {
	mu        sync.Mutex
	name      message.Topic         // immutable
	class     *broker.CompiledClass // immutable
	epoch     message.Epoch         // immutable; never 0, and shown only where the class keeps history
	dead      bool                  // guarded by mu; no longer in its shard, whoever holds it looks again
	seq       uint64                // guarded by mu; of the last publication
	wanted    bool                  // guarded by mu; somebody is subscribed to exactly this topic
	used      int64                 // guarded by mu; when it was last published to or read
	placed    int64                 // guarded by mu; when it was last moved in coldness
	placedIn  *list                 // guarded by mu; where to
	ring      ring                  // guarded by mu
	snapshots []*message.Envelope   // guarded by mu; one per type, by number
	ids       *window               // guarded by mu; nil until a publisher gives an id

	prev, next *topic // guarded by coldness.mu
	in         *list  // guarded by coldness.mu
}

// envelopeBytes is what an envelope takes besides the bytes it points at: the struct and a slot of the ring.
const envelopeBytes = int64(unsafe.Sizeof(message.Envelope{}) + unsafe.Sizeof(kept{}))

// sizeOf is what env counts against the limits. A snapshot that stands in the history and is retained counts twice.
func sizeOf(env *message.Envelope) int64 {
	return envelopeBytes + int64(len(env.Payload)+len(env.ID)+len(env.Type)+len(env.CID)+len(env.TraceID)+len(env.ConflateKey))
}

// position returns where the topic stands. mu is held.
func (t *topic) position() broker.Position { return t.positionOf(t.seq) }

func (t *topic) positionOf(seq uint64) broker.Position {
	if !t.class.KeepsHistory() {
		return broker.Position{Offset: seq}
	}
	return broker.Position{Epoch: t.epoch, Offset: seq}
}

// holds reports whether anything is kept of t. mu is held.
func (t *topic) holds() bool { return t.ring.n > 0 || len(t.snapshots) > 0 || t.ids.len() > 0 }

// retain makes env the retained snapshot of its type and returns how many bytes the topic grew by. mu is held.
func (t *topic) retain(env *message.Envelope, typesMax int) (grown int64) {
	drop := -1
	for i, s := range t.snapshots {
		if s.Type == env.Type {
			drop = i
			break
		}
	}
	if drop < 0 && len(t.snapshots) >= typesMax {
		drop = 0 // the oldest
	}
	if drop >= 0 {
		grown -= sizeOf(t.snapshots[drop])
		copy(t.snapshots[drop:], t.snapshots[drop+1:])
		t.snapshots = t.snapshots[:len(t.snapshots)-1]
	}
	t.snapshots = append(t.snapshots, env)
	return grown + sizeOf(env)
}

// kept is a publication in a history.
type kept struct {
	env *message.Envelope
	at  int64 // when it was published
}

// ring is a topic's history: publications with consecutive numbers, the last one being the topic's last unless the
// ring is empty. It grows by doubling up to its class's size and returns its memory when it runs empty.
type ring struct {
	slots []kept // length is the capacity
	head  int    // index of the oldest
	n     int
	bytes int64 // sizeOf of all
}

const ringFirstSlots = 4

// push adds k, for which the caller has made room within most.
func (r *ring) push(k kept, size int64, most int) {
	if r.n == len(r.slots) {
		r.grow(most)
	}
	r.slots[r.index(r.n)] = k
	r.n++
	r.bytes += size
}

func (r *ring) grow(most int) {
	bigger := make([]kept, min(max(2*len(r.slots), ringFirstSlots), most))
	for i := range r.n {
		bigger[i] = r.slots[r.index(i)]
	}
	r.slots, r.head = bigger, 0
}

// index returns where the i-th oldest lies; i is below twice the capacity.
func (r *ring) index(i int) int {
	if i += r.head; i >= len(r.slots) {
		i -= len(r.slots)
	}
	return i
}

func (r *ring) oldest() *kept { return &r.slots[r.head] }

// pop drops the oldest and returns its size.
func (r *ring) pop() int64 {
	size := sizeOf(r.slots[r.head].env)
	r.slots[r.head] = kept{}
	r.head = r.index(1)
	r.bytes -= size
	if r.n--; r.n == 0 {
		*r = ring{}
	}
	return size
}

// window remembers which number each id had, for as long and as many as the class says. Ids are kept as 64-bit keyed
// hashes, so that nobody can choose two that collide.
type window struct {
	seqs  map[uint64]uint64 // hash -> number
	queue []remembered      // oldest first, from head
	head  int
}

type remembered struct {
	hash uint64
	at   int64
}

// idBytes is what an id in a window counts against the limits: its entry in the queue and in the map with the map's own cost.
const idBytes = int64(unsafe.Sizeof(remembered{})) + 24

func (w *window) len() int {
	if w == nil {
		return 0
	}
	return len(w.queue) - w.head
}

// find returns the number that hash was published under.
func (w *window) find(hash uint64) (seq uint64, ok bool) {
	if w == nil {
		return 0, false
	}
	seq, ok = w.seqs[hash]
	return seq, ok
}

func (w *window) add(hash, seq uint64, at int64) {
	w.seqs[hash] = seq
	if w.head > len(w.queue)/2 { // what was dropped makes room, at less than one copy an id
		w.queue = w.queue[:copy(w.queue, w.queue[w.head:])]
		w.head = 0
	}
	w.queue = append(w.queue, remembered{hash, at})
}

// trim forgets ids from before the given time, and the oldest beyond most, and returns how many went.
func (w *window) trim(before int64, most int) (gone int) {
	for w.len() > 0 && (w.queue[w.head].at <= before || w.len() > most) {
		delete(w.seqs, w.queue[w.head].hash)
		w.head++
		gone++
	}
	return gone
}

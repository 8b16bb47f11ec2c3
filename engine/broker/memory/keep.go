package memory

import (
	"context"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// fill sets what the topic and its class decide of a publication that has the topic's current number. mu is held.
func (t *topic) fill(env *message.Envelope) {
	env.Topic, env.Seq, env.Epoch = t.name, t.seq, t.position().Epoch
	t.class.Fill(env)
}

// keep stores env as the class says and returns how many bytes the topic grew by. t is held.
func (b *Broker) keep(t *topic, env *message.Envelope, now int64) (grown int64) {
	if t.class.Snapshots && env.Category == message.Snapshot {
		grown += t.retain(env, b.cfg.SnapshotTypesMax)
	}
	if !t.class.KeepsHistory() {
		return grown
	}
	size := sizeOf(env)
	grown -= b.expire(t, now)
	for t.ring.n > 0 && (t.ring.n >= t.class.HistorySize || t.ring.bytes+size > t.class.HistoryBytesMax) {
		grown -= t.ring.pop()
	}
	if size > t.class.HistoryBytesMax {
		return grown // the history is empty now, so that what follows joins on without a hole
	}
	t.ring.push(kept{env, now}, size, t.class.HistorySize)
	return grown + size
}

// expire drops publications that are older than the class keeps them and returns how many bytes went. t is held.
func (b *Broker) expire(t *topic, now int64) (freed int64) {
	before := now - int64(t.class.HistoryTTL)
	for t.ring.n > 0 && t.ring.oldest().at <= before {
		freed += t.ring.pop()
		b.counters.expired.Add(1)
	}
	return freed
}

// rememberID puts an id into the window and returns how many bytes the topic grew by. mu is held.
func (t *topic) rememberID(hash, seq uint64, now int64) int64 {
	if t.ids == nil {
		t.ids = &window{seqs: make(map[uint64]uint64)}
	}
	t.ids.add(hash, seq, now)
	return idBytes - t.trimIDs(now)
}

// trimIDs forgets the ids whose time is over and those that are too many, and returns how many bytes went. mu is held.
func (t *topic) trimIDs(now int64) (freed int64) {
	if t.ids == nil {
		return 0
	}
	return idBytes * int64(t.ids.trim(now-int64(t.class.IdempotencyTTL), t.class.IdempotencyMax))
}

// clear forgets everything that is kept of t and returns how many bytes that was. mu is held.
func (t *topic) clear() (freed int64) {
	freed = t.ring.bytes + idBytes*int64(t.ids.len())
	for _, s := range t.snapshots {
		freed += sizeOf(s)
	}
	t.ring, t.snapshots, t.ids = ring{}, nil, nil
	return freed
}

// placeEvery is how exactly the broker knows which topic is coldest.
const placeEvery = int64(time.Second)

// account books a change of what t holds, keeps its place among the cold and the warm, and makes room where the budget
// is exceeded. t is held.
func (b *Broker) account(t *topic, grown, now int64) {
	if total := b.bytes.Add(grown); now-t.placed >= placeEvery || !b.cold.fits(t) || total > b.bytesMax {
		t.placed = now
		b.cold.place(t)
		if total > b.bytesMax {
			b.reclaim(t)
		}
	}
}

// reclaim evicts until a 64th of the budget is free, so that it is not called for every publication. own is held.
func (b *Broker) reclaim(own *topic) {
	target := b.bytesMax - b.bytesMax/64
	anything := func(*topic) bool { return true }
	for over := b.bytes.Load() - target; over > 0; over = b.bytes.Load() - target {
		victim := b.cold.coldest(&b.cold.history, own, anything)
		if victim == nil {
			victim = b.cold.coldest(&b.cold.rest, own, anything)
		}
		if victim == nil { // all that there is belongs to topics that are being published to this moment
			victim = own
		}
		freed := b.evict(victim, over)
		if victim != own {
			victim.mu.Unlock()
		}
		if freed == 0 {
			return
		}
	}
}

// evict frees at least want bytes of t's history, as far as there are so many, and where it has none everything else
// that is kept of it. t is held.
func (b *Broker) evict(t *topic, want int64) (freed int64) {
	if t.ring.n == 0 {
		freed = t.clear()
	}
	for t.ring.n > 0 && freed < want {
		freed += t.ring.pop()
		b.counters.evicted.Add(1)
	}
	b.bytes.Add(-freed)
	b.settle(t)
	return freed
}

// settle keeps t, which its caller holds, in the list that it belongs to after something of it went.
func (b *Broker) settle(t *topic) {
	if !b.cold.fits(t) {
		b.cold.place(t)
	}
}

// Run drops what has expired, every sweep_interval, until ctx ends.
func (b *Broker) Run(ctx context.Context) {
	tick := time.NewTicker(b.cfg.SweepInterval)
	defer tick.Stop()
	var found []*topic
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := range b.shards {
			found = b.sweep(&b.shards[i], found[:0])
			clear(found) // do not keep dropped topics alive until the next round
		}
	}
}

// sweep looks at every topic of a shard, one lock at a time. It returns scratch, grown.
func (b *Broker) sweep(sh *shard, scratch []*topic) []*topic {
	sh.mu.RLock()
	for _, t := range sh.topics {
		scratch = append(scratch, t)
	}
	sh.mu.RUnlock()
	now := b.now()
	for _, t := range scratch {
		t.mu.Lock()
		if !t.dead {
			b.bytes.Add(-b.expire(t, now) - t.trimIDs(now))
			b.settle(t)
			if !t.holds() && b.idle(t, now) {
				b.drop(t)
			}
		}
		t.mu.Unlock()
	}
	return scratch
}

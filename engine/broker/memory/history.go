package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// History implements [broker.Broker].
func (b *Broker) History(ctx context.Context, name message.Topic, q broker.Query) (broker.History, error) {
	if err := b.usable(ctx); err != nil {
		return broker.History{}, err
	}
	if _, err := message.ParseTopic(string(name)); err != nil {
		return broker.History{}, fmt.Errorf("broker/memory: %w", err)
	}
	sh := b.shard(name)
	for {
		sh.mu.RLock()
		t := sh.topics[name]
		if t == nil {
			defer sh.mu.RUnlock()
			return b.unborn(sh, name, q), nil
		}
		sh.mu.RUnlock()
		t.mu.Lock()
		if t.dead {
			t.mu.Unlock()
			continue
		}
		defer t.mu.Unlock()
		now := b.now()
		t.used = max(t.used, now) // whoever joins live delivery here needs the numbering to go on
		b.bytes.Add(-b.expire(t, now))
		b.settle(t)
		return t.history(q), nil
	}
}

// unborn answers for a topic that does not exist. sh.mu is held for reading.
func (b *Broker) unborn(sh *shard, name message.Topic, q broker.Query) (h broker.History) {
	if b.classes.For(name).KeepsHistory() {
		h.Position.Epoch = b.nextEpoch(sh, name)
		h.Recovered = q.Recover && q.After == h.Position
	}
	return h
}

// history answers q. mu is held.
func (t *topic) history(q broker.Query) broker.History {
	h := broker.History{Position: t.position()}
	if q.Recover && t.recovers(q) {
		h.Recovered = true
		h.Publications = t.ring.after(q.After.Offset, -1, nil)
		return h
	}
	if q.Snapshots {
		if len(t.snapshots) > 0 {
			h.Snapshots = slices.Clone(t.snapshots)
			h.Publications = t.ring.after(t.snapshots[0].Seq, q.Limit, t.snapshots)
		}
		return h
	}
	after := uint64(0)
	if !q.Recover && (q.After.Epoch == 0 || q.After.Epoch == h.Position.Epoch) {
		after = q.After.Offset
	}
	h.Publications = t.ring.after(after, q.Limit, nil)
	return h
}

// recovers reports whether everything after q.After is kept and may be returned. mu is held.
func (t *topic) recovers(q broker.Query) bool {
	at := t.position()
	if at.Epoch == 0 || q.After.Epoch != at.Epoch || q.After.Offset > at.Offset {
		return false
	}
	missing := at.Offset - q.After.Offset
	return missing <= uint64(t.ring.n) && (q.Limit < 0 || missing <= uint64(q.Limit))
}

// after returns the publications with numbers above seq that are not among except, the newest limit of them where limit
// is not negative, oldest first.
func (r *ring) after(seq uint64, limit int, except []*message.Envelope) []*message.Envelope {
	from := 0
	if r.n > 0 {
		if oldest := r.oldest().env.Seq; seq >= oldest {
			from = int(min(seq-oldest+1, uint64(r.n)))
		}
	}
	if limit == 0 || from == r.n {
		return nil
	}
	n := r.n - from
	if limit > 0 {
		n = min(n, limit+len(except))
	}
	out := make([]*message.Envelope, 0, n)
	for i := r.n - n; i < r.n; i++ {
		if env := r.slots[r.index(i)].env; !slices.Contains(except, env) {
			out = append(out, env)
		}
	}
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out
}

package memory

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/broker"
)

type counters struct {
	published, duplicates, refused, expired, evicted, dropped atomic.Uint64
}

// Stats returns the broker's figures of now.
func (b *Broker) Stats() broker.Stats {
	c := &b.counters
	return broker.Stats{
		Topics: int(b.topics.Load()), BytesKept: b.bytes.Load(), BytesKeptMax: b.bytesMax,
		Published: c.published.Load(), Duplicates: c.duplicates.Load(), Refused: c.refused.Load(),
		Expired: c.expired.Load(), Evicted: c.evicted.Load(), TopicsDropped: c.dropped.Load(),
	}
}

// Topics lists the topics whose names begin with prefix, by name, at most limit of them. It takes one lock after the
// other, so the list is no moment's state.
func (b *Broker) Topics(prefix string, limit int) []broker.TopicInfo {
	if limit <= 0 {
		return nil
	}
	var found []*topic
	byName := func(x, y *topic) int { return strings.Compare(string(x.name), string(y.name)) }
	for i := range b.shards {
		sh := &b.shards[i]
		sh.mu.RLock()
		for name, t := range sh.topics {
			if strings.HasPrefix(string(name), prefix) {
				found = append(found, t)
			}
		}
		sh.mu.RUnlock()
		slices.SortFunc(found, byName)
		found = found[:min(len(found), limit)]
	}
	now := b.now()
	out := make([]broker.TopicInfo, len(found))
	for i, t := range found {
		out[i] = t.info(now)
	}
	return out
}

func (t *topic) info(now int64) broker.TopicInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	info := broker.TopicInfo{
		Topic: t.name, Class: t.class.Pattern, Seq: t.seq, Epoch: t.position().Epoch, Publications: t.ring.n,
		Snapshots: len(t.snapshots), Bytes: t.ring.bytes + idBytes*int64(t.ids.len()),
		Idle: time.Duration(now - t.used), Subscribed: t.wanted,
	}
	for _, s := range t.snapshots {
		info.Bytes += sizeOf(s)
	}
	return info
}

package memory

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

type counters struct {
	published, duplicates, refused, expired, evicted, dropped atomic.Uint64
}

// Stats are a broker's figures. The counters begin with the process.
type Stats struct {
	Topics        int
	BytesKept     int64 // history, retained snapshots and ids
	BytesKeptMax  int64
	Published     uint64
	Duplicates    uint64 // publishes of an id that was published before
	Refused       uint64 // publishes refused for topics_max
	Expired       uint64 // publications dropped from histories for their age
	Evicted       uint64 // publications dropped from histories for the budget
	TopicsDropped uint64
}

// Stats returns the broker's figures of now.
func (b *Broker) Stats() Stats {
	c := &b.counters
	return Stats{
		Topics: int(b.topics.Load()), BytesKept: b.bytes.Load(), BytesKeptMax: b.bytesMax,
		Published: c.published.Load(), Duplicates: c.duplicates.Load(), Refused: c.refused.Load(),
		Expired: c.expired.Load(), Evicted: c.evicted.Load(), TopicsDropped: c.dropped.Load(),
	}
}

// TopicInfo describes a topic to operators.
type TopicInfo struct {
	Topic        message.Topic
	Class        string        // its class's pattern
	Seq          uint64        // of the last publication
	Epoch        message.Epoch // 0 where the class keeps no history
	Publications int           // kept
	Snapshots    int           // retained
	Bytes        int64         // kept
	Idle         time.Duration // since it was last published to or read
	Subscribed   bool          // somebody is subscribed to it by name
}

// Topics lists the topics whose names begin with prefix, by name, at most limit of them. It takes one lock after the
// other, so the list is no moment's state.
func (b *Broker) Topics(prefix string, limit int) []TopicInfo {
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
	out := make([]TopicInfo, len(found))
	for i, t := range found {
		out[i] = t.info(now)
	}
	return out
}

func (t *topic) info(now int64) TopicInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	info := TopicInfo{
		Topic: t.name, Class: t.class.Pattern, Seq: t.seq, Epoch: t.position().Epoch, Publications: t.ring.n,
		Snapshots: len(t.snapshots), Bytes: t.ring.bytes + idBytes*int64(t.ids.len()),
		Idle: time.Duration(now - t.used), Subscribed: t.wanted,
	}
	for _, s := range t.snapshots {
		info.Bytes += sizeOf(s)
	}
	return info
}

package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/bounded"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

var _ broker.Broker = (*Broker)(nil)

// shards is how many maps the topics are spread over: enough that publishers of different topics do not meet.
const shards = 64

// Broker keeps topics in memory. Use [New].
type Broker struct {
	cfg      Config
	bytesMax int64
	classes  *broker.Classes
	sink     broker.Sink
	ids      *message.IDSource
	seed     maphash.Seed
	start    time.Time

	closed   atomic.Bool
	topics   bounded.Count // how many there are
	bytes    atomic.Int64  // kept by all topics
	counters counters
	patterns atomic.Pointer[[]message.Topic] // that somebody is subscribed to
	cold     coldness
	shards   [shards]shard
}

// shard is a part of the topics.
type shard struct {
	mu     sync.RWMutex
	topics map[message.Topic]*topic   // guarded by mu
	wanted map[message.Topic]struct{} // guarded by mu; that somebody is subscribed to
	drops  uint64                     // guarded by mu; topics dropped from it so far
	_      [64]byte                   // keeps neighbours' locks off this cache line
}

// New checks cfg and returns a broker that numbers publications by classes and hands them to sink. It serves at once;
// expiry needs [Broker.Run].
func New(cfg Config, classes *broker.Classes, sink broker.Sink) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if classes == nil || sink == nil {
		return nil, errors.New("broker/memory: needs classes and a sink")
	}
	b := &Broker{
		cfg: cfg, bytesMax: int64(cfg.HistoryMiBTotal) << 20, classes: classes, sink: sink,
		ids: message.NewIDSource("evt"), seed: maphash.MakeSeed(), start: time.Now(),
	}
	for i := range b.shards {
		b.shards[i].topics = make(map[message.Topic]*topic)
		b.shards[i].wanted = make(map[message.Topic]struct{})
	}
	return b, nil
}

// now is the time since the broker was made, by the monotonic clock.
func (b *Broker) now() int64 { return int64(time.Since(b.start)) }

func (b *Broker) shard(name message.Topic) *shard {
	return &b.shards[maphash.String(b.seed, string(name))%shards]
}

// Close makes every later call fail with broker.ErrClosed. Calls under way finish.
func (b *Broker) Close() error {
	b.closed.Store(true)
	return nil
}

func (b *Broker) usable(ctx context.Context) error {
	if b.closed.Load() {
		return broker.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("broker/memory: %w", err)
	}
	return nil
}

// Publish implements [broker.Broker]. It does not block longer than the Sink does. What it allocates is what is kept:
// nothing where the topic keeps nothing (BenchmarkPublish).
func (b *Broker) Publish(ctx context.Context, env *message.Envelope) (broker.Published, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Published{}, err
	}
	now := b.now()
	t, err := b.acquire(env.Topic, now)
	if err != nil {
		return broker.Published{}, err
	}
	defer t.mu.Unlock()
	t.used = now
	grown := int64(0)
	if env.ID == "" {
		env.ID = b.ids.Next()
	} else if t.class.IdempotencyTTL > 0 {
		hash := maphash.String(b.seed, env.ID)
		grown -= t.trimIDs(now)
		if seq, ok := t.ids.find(hash); ok {
			b.bytes.Add(grown)
			b.settle(t)
			b.counters.duplicates.Add(1)
			return broker.Published{Position: t.positionOf(seq), ID: env.ID, Duplicate: true}, nil
		}
		grown += t.rememberID(hash, t.seq+1, now)
	}
	t.seq++
	t.fill(env)
	grown += b.keep(t, env, now)
	b.account(t, grown, now)
	b.counters.published.Add(1)
	id := env.ID
	b.sink.Deliver(env)
	return broker.Published{Position: t.position(), ID: id}, nil
}

// acquire returns the topic, made if need be, locked.
func (b *Broker) acquire(name message.Topic, now int64) (*topic, error) {
	sh := b.shard(name)
	for {
		sh.mu.RLock()
		t := sh.topics[name]
		sh.mu.RUnlock()
		if t == nil {
			var err error
			if t, err = b.create(sh, name, now); err != nil {
				return nil, err
			}
		}
		t.mu.Lock()
		if !t.dead {
			return t, nil
		}
		t.mu.Unlock() // it was dropped between the two locks, and is out of the map by now
	}
}

// create adds a topic, unless another publisher was first.
func (b *Broker) create(sh *shard, name message.Topic, now int64) (*topic, error) {
	if _, err := message.ParseTopic(string(name)); err != nil {
		return nil, fmt.Errorf("broker/memory: %w", err)
	}
	for {
		if t := b.insert(sh, name, now); t != nil {
			return t, nil
		}
		if !b.makeRoom(now) {
			b.counters.refused.Add(1)
			return nil, fmt.Errorf("broker/memory: %w: topics_max is %d", broker.ErrFull, b.cfg.TopicsMax)
		}
	}
}

// insert returns the topic, which is added where there is room for one more; nil: there is none.
func (b *Broker) insert(sh *shard, name message.Topic, now int64) *topic {
	class := b.classes.For(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if t := sh.topics[name]; t != nil {
		return t
	}
	if !b.topics.Take(1, int64(b.cfg.TopicsMax)) {
		return nil
	}
	name = message.Topic(strings.Clone(string(name))) // the caller's may be a piece of something large
	t := &topic{name: name, class: class, epoch: b.nextEpoch(sh, name), used: now, placed: now}
	_, t.wanted = sh.wanted[name]
	b.cold.place(t) // nobody else can have t locked yet
	sh.topics[name] = t
	return t
}

// nextEpoch returns the epoch that a topic which does not exist will get when it is made, as long as no topic of its
// shard is dropped before. So a subscriber of a topic that nobody has published to yet has a position to recover from,
// and no memory is spent on it. sh.mu is held, for reading at least.
func (b *Broker) nextEpoch(sh *shard, name message.Topic) message.Epoch {
	type life struct {
		name  message.Topic
		drops uint64
	}
	return message.Epoch(max(1, uint32(maphash.Comparable(b.seed, life{name, sh.drops}))))
}

// drop removes t, which its caller holds and still has to unlock.
func (b *Broker) drop(t *topic) {
	t.dead = true
	b.bytes.Add(-t.clear())
	b.cold.forget(t)
	sh := b.shard(t.name)
	sh.mu.Lock()
	delete(sh.topics, t.name)
	sh.drops++
	sh.mu.Unlock()
	b.topics.Add(-1)
	b.counters.dropped.Add(1)
}

// idle reports whether t, which its caller holds, has been left alone for topic_idle_ttl and has no subscriber.
func (b *Broker) idle(t *topic, now int64) bool {
	return now-t.used >= int64(b.cfg.TopicIdleTTL) && !t.wanted && !b.patternWanted(t.name)
}

// makeRoom drops one idle topic that has no history and reports whether there was one.
func (b *Broker) makeRoom(now int64) bool {
	for _, l := range [...]*list{&b.cold.empty, &b.cold.rest} {
		if t := b.cold.coldest(l, nil, func(t *topic) bool { return b.idle(t, now) }); t != nil {
			b.drop(t)
			t.mu.Unlock()
			return true
		}
	}
	return false
}

// SetInterest implements [broker.Broker].
func (b *Broker) SetInterest(ctx context.Context, name message.Topic, interested bool) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if _, err := message.ParsePattern(string(name)); err != nil {
		return fmt.Errorf("broker/memory: %w", err)
	}
	if name.IsPattern() {
		b.setPattern(name, interested)
		return nil
	}
	sh := b.shard(name)
	sh.mu.Lock()
	if interested {
		sh.wanted[name] = struct{}{}
	} else {
		delete(sh.wanted, name)
	}
	t := sh.topics[name]
	sh.mu.Unlock()
	if t != nil {
		t.mu.Lock()
		t.wanted = interested
		t.used = max(t.used, b.now())
		t.mu.Unlock()
	}
	return nil
}

// setPattern replaces the list of patterns, which is read without a lock.
func (b *Broker) setPattern(pattern message.Topic, interested bool) {
	for {
		old := b.patterns.Load()
		var list []message.Topic
		if old != nil {
			list = slices.DeleteFunc(slices.Clone(*old), func(p message.Topic) bool { return p == pattern })
		}
		if interested {
			list = append(list, pattern)
		}
		if b.patterns.CompareAndSwap(old, &list) {
			return
		}
	}
}

func (b *Broker) patternWanted(name message.Topic) bool {
	patterns := b.patterns.Load()
	if patterns == nil {
		return false
	}
	return slices.ContainsFunc(*patterns, func(p message.Topic) bool { return p.Matches(name) })
}

package redis

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// Sizes and paces of following.
const (
	heldBytesMax   = 64 << 20               // of publications that wait for an answer of Redis, all topics together
	tick           = 100 * time.Millisecond // how exact times are kept that need not be
	accountTicks   = 5                      // between two counts of the topics that are not settled
	fillers        = 16                     // histories that are read at once
	lookers        = 2                      // batches of positions that are read at once
	lookBatch      = 512                    // topics of a batch
	answerWait     = 5 * time.Second        // for one reading
	retryFirst     = 100 * time.Millisecond // before a reading that failed is tried again
	retryLast      = 2 * time.Second
	behindPatience = time.Second      // how long a publication may be on its way before it is looked for
	unsettledMax   = 3 * time.Second  // how long a comparison may take until the node is not ready
	catchUpEvery   = time.Millisecond // between two looks at whether all that was published has come
)

// follower receives the publications of the topics that this node is interested in. Its connections bring what is published;
// the course of each topic says what becomes of it, and what Redis has to be asked; fillers and lookers ask.
//
// Lock order: follower.mu, then followed.mu, then those of a subscriber, a queue or the probe. The sink is called with followed.mu
// held.
type follower struct {
	b      *Broker
	tally  tally
	seed   maphash.Seed
	now    atomic.Int64  // Unix nanoseconds, kept by run; not exact
	plain  []*subscriber // of plain Pub/Sub; the first brings patterns
	shards shards
	probe  *probe

	unsettled atomic.Int64 // topics that Redis is asked about
	oldest    atomic.Int64 // since when the longest of them is, Unix nanoseconds; 0: there is none
	faulty    atomic.Int64 // topics that cannot be read for a fault of their own

	looks, reads queue
	scans        chan struct{} // rung when patterns were confirmed after an interruption
	late         late

	mu        sync.RWMutex
	topics    map[message.Topic]*followed // guarded by mu
	patterns  map[message.Topic]*pattern  // guarded by mu
	leaving   map[message.Topic]time.Time // guarded by mu; topics and patterns that nobody wants, until when they are followed
	seen      int                         // guarded by mu; topics that are followed by patterns alone
	forgotten int64                       // guarded by mu; the latest use of a topic that was forgotten for lack of room
}

func newFollower(b *Broker) *follower {
	f := &follower{
		b: b, seed: maphash.MakeSeed(), topics: map[message.Topic]*followed{}, patterns: map[message.Topic]*pattern{},
		leaving: map[message.Topic]time.Time{}, scans: make(chan struct{}, 1),
	}
	f.tally.heldBytesMax = heldBytesMax
	f.now.Store(time.Now().UnixNano())
	f.looks.init()
	f.reads.init()
	f.probe = newProbe(f)
	f.shards = shards{wake: make(chan struct{}, 1), byAddr: map[string]*subscriber{}, nowhere: newSubscriber(f, nowhere)}
	connections := b.cfg.SubscriberConnections
	switch {
	case b.cfg.Sharded && b.cfg.PlainCopy:
		connections = 1 // for patterns
	case b.cfg.Sharded:
		connections = 0
	}
	for i := range connections {
		f.plain = append(f.plain, newSubscriber(f, i))
	}
	return f
}

// run receives until ctx ends.
func (f *follower) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range f.plain {
		wg.Go(func() { s.run(ctx) })
	}
	if f.b.cfg.Sharded {
		wg.Go(func() { f.reshard(ctx) })
	}
	for range fillers {
		wg.Go(func() { f.fill(ctx) })
	}
	for range lookers {
		wg.Go(func() { f.look(ctx) })
	}
	wg.Go(func() { f.check(ctx) })
	wg.Go(func() { f.scan(ctx) })
	wg.Go(func() { f.probe.run(ctx) })
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case now := <-ticker.C:
			f.now.Store(now.UnixNano())
			f.late.due(now)
			f.leave(now)
			if n%accountTicks == 0 {
				f.account()
			}
		case <-ctx.Done():
		}
	}
	wg.Wait()
	return nil
}

// CatchUp waits until all that was published before it was called has come here, which is when a probe that was sent after that has come
// back on every connection. It returns the error of ctx where that ends first, as it does while Redis is away.
func (b *Broker) CatchUp(ctx context.Context) error {
	since := time.Now()
	b.follower.probe.now()
	ticker := time.NewTicker(catchUpEvery)
	defer ticker.Stop()
	for !b.follower.reached(since) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reached reports whether all connections have brought what was published before the given time.
func (f *follower) reached(since time.Time) bool {
	for _, s := range f.subscribers() {
		s.mu.Lock()
		behind := s.mark.ours.Before(since)
		s.mu.Unlock()
		if behind {
			return false
		}
	}
	return true
}

// followed is a topic that this node follows, because somebody wants it by name or it was heard of through a pattern.
type followed struct {
	f     *follower
	topic message.Topic
	class *broker.CompiledClass // of the topic
	used  atomic.Int64          // when it was last heard of, as follower.now

	wanted bool        // guarded by follower.mu; by name
	own    *subscriber // guarded by follower.mu; subscribed to it by name; nil: a pattern carries it

	mu      sync.Mutex
	course  course        // guarded by mu
	queued  bool          // guarded by mu; somebody will ask what the course wants to know
	since   time.Time     // guarded by mu; since when there is something to ask; zero: there is nothing
	fails   int           // guarded by mu; readings in a row that failed
	fault   error         // guarded by mu; why the last reading failed, where that is no outage
	settled chan struct{} // closed as soon as the topic's position is known, or a fault
	done    bool          // guarded by mu; settled is closed
	gone    bool          // guarded by mu; nobody follows it any more
	orphan  bool          // guarded by mu; a pattern brings it that was interrupted: where it begins is yet to be found out
	joined  time.Time     // guarded by mu; when its own channel was confirmed the last time
	parted  bool          // guarded by mu; until then a pattern brought it
}

var _ outlet = (*followed)(nil)

// add makes a topic followed. f.mu is held.
func (f *follower) add(topic message.Topic) *followed {
	t := &followed{f: f, topic: topic, class: f.b.classes.For(topic), settled: make(chan struct{})}
	t.course = course{out: t, tally: &f.tally, seed: f.seed}
	t.used.Store(f.now.Load())
	f.topics[topic] = t
	return t
}

// remove ends the following of t. f.mu is held.
func (f *follower) remove(t *followed) {
	delete(f.topics, t.topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone, t.orphan = true, false
	t.course.release()
	t.since = time.Time{}
}

// subscriberOf returns the subscriber that a topic's channel belongs to. f.mu is held.
func (f *follower) subscriberOf(topic message.Topic) *subscriber {
	if f.b.cfg.Sharded {
		return f.home(topic)
	}
	return f.plain[maphash.String(f.seed, string(topic))%uint64(len(f.plain))]
}

// subscribers returns all there are.
func (f *follower) subscribers() []*subscriber {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.AppendSeq(slices.Clone(f.plain), maps.Values(f.shards.byAddr))
}

func (f *follower) lookup(topic message.Topic) *followed {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.topics[topic]
}

func (t *followed) decode(raw string) (*message.Envelope, error) {
	env, _, err := decode(t.class, t.topic, []byte(raw))
	return env, err
}

func (t *followed) deliver(env *message.Envelope) { t.f.b.sink.Deliver(env) }

// restart tells the sink, which may be one that does not want to know.
func (t *followed) restart(h broker.History) {
	if sink, ok := t.f.b.sink.(broker.Restarter); ok {
		sink.Restart(t.topic, h)
	}
}

// hear takes a publication from a channel.
func (t *followed) hear(at place, raw string) {
	t.used.Store(t.f.now.Load())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return
	}
	t.course.hear(at, raw)
	if t.course.want != nothing || !t.done {
		t.pursue()
	}
}

// confirmed says that what is published of the topic from now on will be heard.
func (t *followed) confirmed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone || t.orphan {
		return
	}
	again := t.done
	t.parted = t.parted && t.joined.IsZero()
	t.joined = time.Now()
	t.course.interrupt()
	t.pursue()
	if again && t.f.b.interrupted != nil {
		t.f.b.interrupted(t.topic)
	}
}

// pursue has somebody ask what the course wants to know, and keeps account of how the topic is. mu is held.
func (t *followed) pursue() {
	if !t.done && (t.course.known || t.course.floored || t.fault != nil) {
		t.done = true
		close(t.settled)
	}
	what := t.course.wants()
	switch {
	case t.course.asked || t.gone || t.orphan:
		return
	case what == nothing:
		t.since, t.fails, t.fault = time.Time{}, 0, nil
		return
	case t.since.IsZero():
		t.since = time.Now()
	}
	if t.queued {
		return
	}
	t.queued = true
	if wait := t.patience(); wait > 0 {
		t.f.late.add(t, time.Now().Add(wait))
		return
	}
	t.enqueue(what)
}

func (t *followed) enqueue(what inquiry) {
	if what == look {
		t.f.looks.push(t)
	} else {
		t.f.reads.push(t)
	}
}

// patience is how long to wait before the next reading: longer each time that one failed, or that it showed only that somebody
// forges publications of the topic, or that what is missing is still on its way. What follows the last publication is delivered
// meanwhile.
func (t *followed) patience() time.Duration {
	n := t.fails + t.course.forged + t.course.awaited
	if n == 0 {
		return 0
	}
	return min(retryLast, retryFirst<<min(n-1, 10))
}

// queue holds topics that somebody has to ask about, each once.
type queue struct {
	mu   sync.Mutex
	list []*followed // guarded by mu
	wake chan struct{}
}

func (q *queue) init() { q.wake = make(chan struct{}, 1) }

func (q *queue) push(t *followed) {
	q.mu.Lock()
	q.list = append(q.list, t)
	q.mu.Unlock()
	q.ring()
}

func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for topics and returns at most n of them, or none when ctx ends.
func (q *queue) take(ctx context.Context, n int) []*followed {
	for {
		if list := q.cut(n); len(list) > 0 {
			return list
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (q *queue) cut(n int) []*followed {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.list))
	list := slices.Clone(q.list[:n])
	clear(q.list[:n])
	if q.list = q.list[n:]; len(q.list) > 0 {
		q.ring() // for who else waits
	} else {
		q.list = nil
	}
	return list
}

// late holds topics that are to be asked about later.
type late struct {
	mu   sync.Mutex
	list map[*followed]time.Time // guarded by mu
}

func (l *late) add(t *followed, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list = map[*followed]time.Time{}
	}
	l.list[t] = due
}

// due moves what is due to where it is asked about.
func (l *late) due(now time.Time) {
	l.mu.Lock()
	var ready []*followed
	for t, at := range l.list {
		if !at.After(now) {
			ready = append(ready, t)
			delete(l.list, t)
		}
	}
	l.mu.Unlock()
	for _, t := range ready {
		t.mu.Lock()
		t.enqueue(t.course.wants())
		t.mu.Unlock()
	}
}

package feed

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// Listeners takes numbered publications on their way to the subscribers past those parts of the engine that listen to
// topics themselves. It stands between the broker and the hub.
type Listeners struct {
	next    Subscribers
	classes *broker.Classes
	mu      sync.Mutex
	// topics is replaced as a whole by who holds mu: a publication looks it up without a lock.
	topics atomic.Pointer[map[message.Topic][]broker.Follower]
}

// Subscribers are what publications come to at last. [hub.Hub] has them.
type Subscribers interface {
	broker.Sink
	// Restart tells all of a topic that its publications do not go on, in order with Deliver. level is that of its class.
	Restart(r *message.Restarted, level message.Level)
}

var (
	_ broker.Follower = (*Listeners)(nil)
	_ Subscribers     = (*hub.Hub)(nil)
)

// NewListeners makes a sink that hands everything on to next. The classes say at which level a topic's publications leave.
func NewListeners(next Subscribers, classes *broker.Classes) *Listeners {
	return &Listeners{next: next, classes: classes}
}

// Deliver implements [broker.Sink].
func (l *Listeners) Deliver(env *message.Envelope) {
	if topics := l.topics.Load(); topics != nil && env.Notice == nil {
		for _, sink := range (*topics)[env.Topic] {
			sink.Deliver(env)
		}
	}
	l.next.Deliver(env)
}

// Restart implements [broker.Restarter]: those who listen are told as the broker tells it, and then the subscribers.
func (l *Listeners) Restart(topic message.Topic, h broker.History) {
	if topics := l.topics.Load(); topics != nil {
		for _, sink := range (*topics)[topic] {
			sink.Restart(topic, h)
		}
	}
	l.next.Restart(&message.Restarted{
		Topic: topic, Epoch: h.Position.Epoch, Offset: h.Position.Offset, Snapshots: h.Snapshots, Publications: h.Publications,
	}, l.classes.For(topic).Level)
}

// on reports whether anybody listens to a topic.
func (l *Listeners) on(topic message.Topic) bool {
	topics := l.topics.Load()
	return topics != nil && len((*topics)[topic]) > 0
}

// change replaces the listeners of a topic by what f makes of them.
func (l *Listeners) change(topic message.Topic, f func([]broker.Follower) []broker.Follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := map[message.Topic][]broker.Follower{}
	if topics := l.topics.Load(); topics != nil {
		next = maps.Clone(*topics)
	}
	if next[topic] = f(slices.Clone(next[topic])); len(next[topic]) == 0 {
		delete(next, topic)
	}
	if len(next) == 0 {
		l.topics.Store(nil)
		return
	}
	l.topics.Store(&next)
}

// Listen has a sink take the publications of a topic, which is no pattern, from now on. The sink's methods are called as
// [broker.Sink] and [broker.Restarter] say, before the subscribers are told the same. Stop ends it; one that is being delivered meanwhile may
// still come. The sink must be comparable, and listens to a topic once.
func (f *Feed) Listen(ctx context.Context, topic message.Topic, sink broker.Follower) (stop func(context.Context) error, err error) {
	mu := f.edge(topic)
	mu.Lock()
	defer mu.Unlock()
	if !f.listeners.on(topic) && f.hub.Subscribers(topic) == 0 {
		if err := f.broker.SetInterest(ctx, topic, true); err != nil {
			return nil, notFollowed(topic, err)
		}
	}
	f.listeners.change(topic, func(sinks []broker.Follower) []broker.Follower { return append(sinks, sink) })
	return func(ctx context.Context) error { return f.unlisten(ctx, topic, sink) }, nil
}

func (f *Feed) unlisten(ctx context.Context, topic message.Topic, sink broker.Follower) error {
	mu := f.edge(topic)
	mu.Lock()
	defer mu.Unlock()
	before := f.listeners.on(topic)
	f.listeners.change(topic, func(sinks []broker.Follower) []broker.Follower {
		return slices.DeleteFunc(sinks, func(s broker.Follower) bool { return s == sink })
	})
	if before && !f.listeners.on(topic) && f.hub.Subscribers(topic) == 0 {
		return f.broker.SetInterest(ctx, topic, false)
	}
	return nil
}

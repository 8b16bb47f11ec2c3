package feed

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// Listeners takes numbered publications on their way to the subscribers past those parts of the engine that listen to
// topics themselves. It stands between the broker and the hub.
type Listeners struct {
	next broker.Sink
	mu   sync.Mutex
	// topics is replaced as a whole by who holds mu: a publication looks it up without a lock.
	topics atomic.Pointer[map[message.Topic][]broker.Sink]
}

var _ broker.Sink = (*Listeners)(nil)

// NewListeners makes a sink that hands everything on to next.
func NewListeners(next broker.Sink) *Listeners { return &Listeners{next: next} }

// Deliver implements [broker.Sink].
func (l *Listeners) Deliver(env *message.Envelope) {
	if topics := l.topics.Load(); topics != nil && env.Notice == nil {
		for _, sink := range (*topics)[env.Topic] {
			sink.Deliver(env)
		}
	}
	l.next.Deliver(env)
}

// on reports whether anybody listens to a topic.
func (l *Listeners) on(topic message.Topic) bool {
	topics := l.topics.Load()
	return topics != nil && len((*topics)[topic]) > 0
}

// change replaces the listeners of a topic by what f makes of them.
func (l *Listeners) change(topic message.Topic, f func([]broker.Sink) []broker.Sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := map[message.Topic][]broker.Sink{}
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

// Listen has a sink take the publications of a topic, which is no pattern, from now on. The sink's Deliver is called as
// [broker.Sink] says, before the subscribers get the publication. Stop ends it; one that is being delivered meanwhile may
// still come. The sink must be comparable, and listens to a topic once.
func (f *Feed) Listen(ctx context.Context, topic message.Topic, sink broker.Sink) (stop func(context.Context) error, err error) {
	mu := f.edge(topic)
	mu.Lock()
	defer mu.Unlock()
	if !f.listeners.on(topic) && f.hub.Subscribers(topic) == 0 {
		if err := f.broker.SetInterest(ctx, topic, true); err != nil {
			return nil, &message.Error{Code: message.CodeUnavailable, Message: "the topic cannot be followed now; try again", Err: err}
		}
	}
	f.listeners.change(topic, func(sinks []broker.Sink) []broker.Sink { return append(sinks, sink) })
	return func(ctx context.Context) error { return f.unlisten(ctx, topic, sink) }, nil
}

func (f *Feed) unlisten(ctx context.Context, topic message.Topic, sink broker.Sink) error {
	mu := f.edge(topic)
	mu.Lock()
	defer mu.Unlock()
	before := f.listeners.on(topic)
	f.listeners.change(topic, func(sinks []broker.Sink) []broker.Sink {
		return slices.DeleteFunc(sinks, func(s broker.Sink) bool { return s == sink })
	})
	if before && !f.listeners.on(topic) && f.hub.Subscribers(topic) == 0 {
		return f.broker.SetInterest(ctx, topic, false)
	}
	return nil
}

// Package brokertest states every promise of the interface broker.Broker as a test. Each implementation runs all of them.
//
// Ownership: a case owns its broker and closes it. The sink it gives the broker may be called by any goroutine.
package brokertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// Open makes a broker for one case; it ends what it starts by t.Cleanup. A broker that can be closed implements
// io.Closer.
type Open func(t *testing.T, classes *broker.Classes, sink broker.Sink) broker.Broker

// Run runs every case on brokers that open makes, in real time: cases about lifetimes sleep for a fraction of a second.
// It is for brokers whose state is outside the process.
func Run(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// RunInBubble is Run in virtual time (testing/synctest), for brokers that live inside the process.
func RunInBubble(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, open) })
		})
	}
}

type promise struct {
	name string
	run  func(t *testing.T, open Open)
}

func cases() []promise {
	var all []promise
	for _, part := range [][]promise{
		numbering(), filling(), keeping(), reading(), recovery(), recoveryAtTheEdges(), snapshots(), idempotency(),
		idempotencyWindow(), faults(),
	} {
		all = append(all, part...)
	}
	return all
}

// patience is how long a case waits for a delivery before it fails.
const patience = time.Minute

// lifetime is the TTL that cases about lifetimes give their class.
const lifetime = 200 * time.Millisecond

// fixture is a broker with the sink that records what it delivers.
type fixture struct {
	t      *testing.T
	broker broker.Broker
	sink   *recorder
}

// start opens a broker whose only class is a default one for user:*, with 100 publications kept, as change makes it.
func start(t *testing.T, open Open, change func(c *broker.Class)) *fixture {
	t.Helper()
	class := broker.DefaultClass("user:*")
	class.HistorySize = 100
	if change != nil {
		change(&class)
	}
	classes, err := broker.CompileClasses([]broker.Class{class})
	require.NoError(t, err)
	f := &fixture{t: t, sink: newRecorder()}
	f.broker = open(t, classes, f.sink)
	require.NotNil(t, f.broker)
	t.Cleanup(func() {
		if c, ok := f.broker.(io.Closer); ok {
			require.NoError(t, c.Close())
		}
		require.Empty(t, f.sink.faults(), "the sink's contract was broken")
	})
	return f
}

// topic returns a topic of the class that nobody has used, with this node's interest in it.
func (f *fixture) topic() message.Topic {
	f.t.Helper()
	topic, err := message.UserTopic(strings.ToLower(rand.Text()), "events")
	require.NoError(f.t, err)
	require.NoError(f.t, f.broker.SetInterest(f.t.Context(), topic, true))
	return topic
}

func (f *fixture) publish(env *message.Envelope) broker.Published {
	f.t.Helper()
	p, err := f.broker.Publish(f.t.Context(), env)
	require.NoError(f.t, err)
	return p
}

// fill publishes n updates to topic and returns the position of the last.
func (f *fixture) fill(topic message.Topic, n int) (last broker.Position) {
	f.t.Helper()
	for range n {
		last = f.publish(update(topic)).Position
	}
	return last
}

func (f *fixture) history(topic message.Topic, q broker.Query) broker.History {
	f.t.Helper()
	h, err := f.broker.History(f.t.Context(), topic, q)
	require.NoError(f.t, err)
	return h
}

// deliveries waits until n publications of topic were delivered and returns them.
func (f *fixture) deliveries(topic message.Topic, n int) []*message.Envelope {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	got := f.sink.wait(ctx, topic, n)
	require.Len(f.t, got, n, "deliveries of %s", topic)
	return got
}

func update(topic message.Topic) *message.Envelope {
	return &message.Envelope{Topic: topic, Type: "order_update", Payload: []byte(`{"a":1}`), TimeMS: 1_763_800_000_000, LatencyMS: -1}
}

func snapshot(topic message.Topic, kind string) *message.Envelope {
	env := update(topic)
	env.Type = kind
	return env
}

// numbers returns the sequence numbers of publications.
func numbers(envs []*message.Envelope) []uint64 {
	out := make([]uint64, len(envs))
	for i, env := range envs {
		out[i] = env.Seq
	}
	return out
}

// upTo returns from, from+1, … to.
func upTo(from, to uint64) []uint64 {
	out := []uint64{}
	for ; from <= to; from++ {
		out = append(out, from)
	}
	return out
}

// recorder is a Follower that keeps everything and checks what a Sink may rely on. Nothing is interrupted in these cases, so
// no topic may restart.
type recorder struct {
	mu      sync.Mutex
	byTopic map[message.Topic][]*message.Envelope // guarded by mu
	busy    map[message.Topic]bool                // guarded by mu
	broken  []string                              // guarded by mu
	changed chan struct{}                         // guarded by mu; closed at the next delivery
}

var _ broker.Follower = (*recorder)(nil)

func newRecorder() *recorder {
	return &recorder{
		byTopic: make(map[message.Topic][]*message.Envelope), busy: make(map[message.Topic]bool), changed: make(chan struct{}),
	}
}

// Deliver implements broker.Sink.
func (r *recorder) Deliver(env *message.Envelope) {
	r.mu.Lock()
	if r.busy[env.Topic] {
		r.broken = append(r.broken, fmt.Sprintf("two deliveries of %s at a time", env.Topic))
	}
	r.busy[env.Topic] = true
	r.mu.Unlock()
	// Between the two locks another delivery of the topic would be seen.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[env.Topic] = false
	if list := r.byTopic[env.Topic]; len(list) > 0 && list[len(list)-1].Seq+1 != env.Seq {
		r.broken = append(r.broken, fmt.Sprintf("%s: %d delivered after %d", env.Topic, env.Seq, list[len(list)-1].Seq))
	}
	r.byTopic[env.Topic] = append(r.byTopic[env.Topic], env)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Restart implements broker.Restarter.
func (r *recorder) Restart(topic message.Topic, h broker.History) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = append(r.broken, fmt.Sprintf("%s restarted at %08x/%d, after %d deliveries", topic, h.Position.Epoch, h.Position.Offset, len(r.byTopic[topic])))
}

func (r *recorder) faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// wait returns what was delivered of topic as soon as that is n publications or ctx ends.
func (r *recorder) wait(ctx context.Context, topic message.Topic, n int) []*message.Envelope {
	for {
		r.mu.Lock()
		got, changed := r.byTopic[topic], r.changed
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got
		}
	}
}

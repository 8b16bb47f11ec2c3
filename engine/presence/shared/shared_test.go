package shared_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/presencetest"
	"github.com/wse-engine/wse/engine/presence/shared"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

const (
	room     = presencetest.Room
	patience = time.Minute // how long a test waits for what is to come
)

// node is one of several that share a Redis, with a reader of its own for the channels.
type node struct {
	*shared.Presence
	*presencetest.Stage
	name   string
	client *redis.Client
	stop   func()

	mu     sync.Mutex
	deaf   bool                  // it hears nothing; guarded by mu
	missed int                   // bodies of notices that came while it did; guarded by mu
	errs   map[message.Topic]int // guarded by mu
}

// rig is what nodes are made with.
type rig struct {
	server  *redistest.Server
	limits  presence.Config
	cfg     shared.Config
	classes *broker.Classes
	out     presence.Deliverer // instead of a board
	remote  *redis.Config      // instead of the server
}

func newRig(t testing.TB) *rig {
	r := newRigOn(t)
	r.server = redistest.Single(t)
	return r
}

// newRigOn makes a rig without a server.
func newRigOn(t testing.TB) *rig {
	r := &rig{limits: presence.DefaultConfig(), cfg: shared.DefaultConfig(), classes: presencetest.Classes(t)}
	r.limits.NoticeDelay, r.limits.Grace = 5*time.Millisecond, 3*time.Second
	r.cfg.CheckInterval, r.cfg.Wait = time.Second, patience/2
	return r
}

// start runs a node until the end of the test, or until it is stopped.
func (r *rig) start(t testing.TB, name string) *node {
	t.Helper()
	cfg := redis.DefaultConfig()
	if r.remote != nil {
		cfg = *r.remote
	} else {
		cfg.Addrs, cfg.CommandTimeout = []string{r.server.Addr()}, patience/6 // a node that is only slow does not take it for away
	}
	client, err := redis.Open(cfg, "")
	require.NoError(t, err)
	n := &node{name: name, client: client, errs: make(map[message.Topic]int)}
	board := presencetest.NewBoard()
	var out presence.Deliverer = board
	if r.out != nil {
		out = r.out
	}
	n.Presence, err = shared.New(r.cfg, r.limits, r.classes, client, name, out, shared.Options{Failed: n.failed})
	require.NoError(t, err)
	n.Stage = presencetest.NewStage(t, name, n.Presence, board)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	reader := client.Do().PSubscribe(ctx, "wse:*")
	_, err = reader.Receive(ctx)
	require.NoError(t, err)
	running.Go(func() { n.listen(ctx, reader) })
	running.Go(func() { require.NoError(t, n.Run(ctx)) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		_ = reader.Close()
		running.Wait()
		_ = client.Close()
	})
	t.Cleanup(n.stop)
	return n
}

func (n *node) failed(topic message.Topic, _ error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs[topic]++
}

// failures returns how many there were with a topic, or with none.
func (n *node) failures(topic message.Topic) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.errs[topic]
}

// listen hands the notices of all topics on, as a broker does.
func (n *node) listen(ctx context.Context, reader *goredis.PubSub) {
	for ctx.Err() == nil {
		m, err := reader.Receive(ctx)
		if err != nil {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		switch m := m.(type) {
		case *goredis.Subscription: // again, after the connection was lost
			n.Interrupted("public:room:*")
		case *goredis.Message:
			if body := []byte(m.Payload); bytes.HasPrefix(body, []byte(`{"v":2,"notice":`)) && !n.misses() {
				n.Notice(message.Topic(m.Channel[len("wse:"):]), body)
			}
		}
	}
}

// misses reports whether the node is deaf, and counts what it does not hear.
func (n *node) misses() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.deaf {
		n.missed++
	}
	return n.deaf
}

// hearAgain ends a node's deafness once it has missed so many bodies of notices in all: what others have heard may be on its way to
// this one.
func (n *node) hearAgain(missed int) {
	count := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.missed
	}
	n.Until(func() bool { return count() >= missed }, func() string { return fmt.Sprintf("it has missed %d of %d", count(), missed) })
	n.setDeaf(false)
}

func (n *node) setDeaf(deaf bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = deaf
}

func TestASharedPresenceKeepsEveryPromise(t *testing.T) {
	t.Parallel() // most of it is waiting
	presencetest.Run(t, func(t *testing.T, cfg presence.Config, classes *broker.Classes, out presence.Deliverer) presencetest.Store {
		r := newRig(t)
		r.limits, r.classes, r.out = cfg, classes, out
		r.cfg.CheckInterval = shared.DefaultConfig().CheckInterval // what nobody touches for some checks is forgotten
		return r.start(t, "only").Presence
	})
}

func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), patience)
}

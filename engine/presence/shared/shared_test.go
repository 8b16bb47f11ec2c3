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
	room     = message.Topic("public:room:a")
	patience = 10 * time.Second
)

// node is one of several that share a Redis, with a reader of its own for the channels.
type node struct {
	*shared.Presence
	t      testing.TB
	name   string
	board  *presencetest.Board
	client *redis.Client
	stop   func()

	mu   sync.Mutex
	deaf bool                  // it hears nothing; guarded by mu
	errs map[message.Topic]int // guarded by mu
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
	r.limits.NoticeDelay, r.limits.Grace = 5*time.Millisecond, time.Second
	r.cfg.CheckInterval = 200 * time.Millisecond
	return r
}

// start runs a node until the end of the test, or until it is stopped.
func (r *rig) start(t testing.TB, name string) *node {
	t.Helper()
	cfg := redis.DefaultConfig()
	if r.remote != nil {
		cfg = *r.remote
	} else {
		cfg.Addrs = []string{r.server.Addr()}
	}
	client, err := redis.Open(cfg, "")
	require.NoError(t, err)
	n := &node{t: t, name: name, board: presencetest.NewBoard(), client: client, errs: make(map[message.Topic]int)}
	var out presence.Deliverer = n.board
	if r.out != nil {
		out = r.out
	}
	n.Presence, err = shared.New(r.cfg, r.limits, r.classes, client, name, out, shared.Options{Failed: n.failed})
	require.NoError(t, err)
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
		n.mu.Lock()
		deaf := n.deaf
		n.mu.Unlock()
		switch m := m.(type) {
		case *goredis.Subscription: // again, after the connection was lost
			n.Interrupted("public:room:*")
		case *goredis.Message:
			if body := []byte(m.Payload); !deaf && bytes.HasPrefix(body, []byte(`{"v":2,"notice":`)) {
				n.Notice(message.Topic(m.Channel[len("wse:"):]), body)
			}
		}
	}
}

func (n *node) setDeaf(deaf bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = deaf
}

func (n *node) enter(user, conn string) {
	n.t.Helper()
	require.NoError(n.t, n.Enter(n.t.Context(), room, user, conn))
}

func (n *node) leave(conn string) {
	n.t.Helper()
	require.NoError(n.t, n.Leave(n.t.Context(), room, conn, false))
}

func (n *node) lose(conn string) {
	n.t.Helper()
	require.NoError(n.t, n.Leave(n.t.Context(), room, conn, true))
}

func (n *node) update(user, conn, data string) {
	n.t.Helper()
	require.NoError(n.t, n.Update(n.t.Context(), room, user, conn, []byte(data)))
}

// told waits for as many notices as want has and requires them to be those.
func (n *node) told(want ...string) {
	n.t.Helper()
	require.Equal(n.t, want, presencetest.Texts(n.board.Next(len(want))), n.name)
}

func (n *node) lines() (list []string, err error) {
	err = n.Members(n.t.Context(), room, func(m *message.Members) { list = presencetest.Lines(m) })
	return list, err
}

func (n *node) listed(want ...string) {
	n.t.Helper()
	list, err := n.lines()
	require.NoError(n.t, err)
	require.Equal(n.t, want, list, n.name)
}

// settled waits until a node lists these members.
func (n *node) settled(want ...string) {
	n.t.Helper()
	n.until(func() bool {
		list, err := n.lines()
		return err == nil && fmt.Sprint(list) == fmt.Sprint(want)
	}, func() string { list, err := n.lines(); return fmt.Sprint(list, err, " instead of ", want) })
}

// until waits until something is so.
func (n *node) until(ok func() bool, what func() string) {
	n.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		require.True(n.t, time.Now().Before(end), "%s: %s", n.name, what())
	}
}

func TestASharedPresenceKeepsEveryPromise(t *testing.T) {
	presencetest.Run(t, func(t *testing.T, cfg presence.Config, classes *broker.Classes, out presence.Deliverer) presencetest.Store {
		r := newRig(t)
		r.limits, r.classes, r.out = cfg, classes, out
		return r.start(t, "only").Presence
	})
}

func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), patience)
}

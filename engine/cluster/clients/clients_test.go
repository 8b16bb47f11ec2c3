package clients

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestMain(m *testing.M) { redistest.Verify(m) }

// soon is how long a test waits for what must come.
const soon = 20 * time.Second

// here has connections by id with their users.
type here struct {
	mu      sync.Mutex
	conns   map[string]string // guarded by mu
	revoked []string          // guarded by mu
	broken  error
}

func (h *here) Disconnect(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, found := h.conns[id]
	delete(h.conns, id)
	return found
}

func (h *here) DisconnectUser(user string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, of := range h.conns {
		if of == user {
			delete(h.conns, id)
			n++
		}
	}
	return n
}

func (h *here) RevokeUser(_ context.Context, user string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revoked = append(h.revoked, user)
	return h.broken
}

func join(t *testing.T, server *redistest.Server, name string, conns map[string]string) (*Clients, *here) {
	way := server.Config()
	way.DialTimeout, way.CommandTimeout = 5*time.Second, 5*time.Second
	cfg := cluster.DefaultConfig()
	cfg.NodeTimeout, cfg.AskTimeout = soon, soon
	node, err := cluster.New(cfg, redistest.Open(t, way), cluster.Options{Name: name})
	require.NoError(t, err)
	local := &here{conns: conns}
	c := New(local, node)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = node.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	require.Eventually(t, func() bool { return node.Stats().Beats > 0 }, soon, 5*time.Millisecond)
	return c, local
}

func TestAUsersConnectionsAreClosedOnEveryNode(t *testing.T) {
	server := redistest.Single(t)
	a, _ := join(t, server, "a", map[string]string{"1": "u1", "2": "u2"})
	b, atB := join(t, server, "b", map[string]string{"3": "u1", "4": "u1", "5": "u2"})
	r := a.DisconnectUser(t.Context(), "u1")
	require.True(t, r.Complete())
	require.Equal(t, 3, r.Done)
	require.Len(t, r.Nodes, 2)
	require.Equal(t, "a", r.Nodes[0].Name)
	require.Equal(t, 1, r.Nodes[0].Done)
	require.Equal(t, 2, r.Nodes[1].Done)
	require.Equal(t, map[string]string{"5": "u2"}, atB.conns)

	require.Equal(t, 1, a.Disconnect(t.Context(), "5").Done, "it is the other node's")
	gone := b.Disconnect(t.Context(), "5")
	require.Zero(t, gone.Done)
	require.True(t, gone.Complete(), "every node says that there is none")
}

func TestTokensAreRevokedByEveryNodeForItsOwnClock(t *testing.T) {
	server := redistest.Single(t)
	a, atA := join(t, server, "a", nil)
	_, atB := join(t, server, "b", nil)
	require.True(t, func() bool { r := a.RevokeUser(t.Context(), "u1"); return r.Complete() && r.Done == 2 }())
	require.Equal(t, []string{"u1"}, atA.revoked)
	require.Equal(t, []string{"u1"}, atB.revoked)
	atB.broken = errors.New("no records")
	r := a.RevokeUser(t.Context(), "u1")
	require.False(t, r.Complete())
	require.EqualError(t, r.Nodes[1].Err, "no records")
}

func TestWithoutRedisThisNodeDoesItAndTheReportSaysThatOthersWereNotAsked(t *testing.T) {
	server := redistest.Single(t)
	a, atA := join(t, server, "a", map[string]string{"1": "u1"})
	server.Kill()
	r := a.DisconnectUser(t.Context(), "u1")
	require.False(t, r.Complete())
	require.Error(t, r.Err)
	require.Equal(t, 1, r.Done)
	require.Empty(t, atA.conns)
}

func TestANodeAloneReportsNoNodes(t *testing.T) {
	local := &here{conns: map[string]string{"1": "u1", "2": "u1"}}
	c := New(local, nil)
	require.Equal(t, cluster.Report{Done: 1}, c.Disconnect(t.Context(), "1"))
	require.Equal(t, cluster.Report{}, c.Disconnect(t.Context(), "1"))
	require.Equal(t, cluster.Report{Done: 1}, c.DisconnectUser(t.Context(), "u1"))
	require.Equal(t, cluster.Report{Done: 1}, c.RevokeUser(t.Context(), "u1"))
	local.broken = errors.New("no disk")
	require.Equal(t, cluster.Report{Err: local.broken}, c.RevokeUser(t.Context(), "u1"))
}

func TestAnOrderThatComesAgainIsAnsweredAsTheFirstTime(t *testing.T) {
	c := New(&here{conns: map[string]string{"1": "u1"}}, nil)
	for range 2 {
		answer, err := c.disconnectHere(t.Context(), "b", []byte(`{"nonce":"n","id":"1"}`))
		require.NoError(t, err)
		require.Equal(t, "1", string(answer))
	}
	for i := range 2 * remembered {
		_, err := c.disconnectHere(t.Context(), "b", []byte(`{"nonce":"`+string(rune('a'+i%26))+time.Duration(i).String()+`"}`))
		require.NoError(t, err)
	}
	require.Len(t, c.done, remembered)
	require.Len(t, c.latest, remembered)
	_, err := c.disconnectHere(t.Context(), "b", []byte("x"))
	require.Error(t, err)
	_, err = c.revokeHere(t.Context(), "b", []byte("x"))
	require.Error(t, err)
}

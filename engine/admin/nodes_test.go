package admin_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/message"
)

// nodes are a world's nodes: none of them, where it is alone.
type nodes struct {
	list    []cluster.Info
	err     error
	reports []cluster.NodeReport // beside what is done here
	failed  error
	revoked []string
}

var (
	_ admin.Nodes     = (*world)(nil)
	_ admin.Commander = (*world)(nil)
)

func (w *world) Nodes(context.Context) (string, []cluster.Info, error) {
	if len(w.nodes.list) == 0 {
		return "", nil, w.nodes.err
	}
	return w.nodes.list[0].ID, w.nodes.list, w.nodes.err
}

// report is what n things done here, and what the other nodes say, come to.
func (w *world) report(n int) cluster.Report {
	r := cluster.Report{Done: n, Err: w.nodes.failed}
	if len(w.nodes.list) > 0 {
		r.Nodes = append([]cluster.NodeReport{{ID: w.nodes.list[0].ID, Done: n}}, w.nodes.reports...)
	}
	for _, other := range w.nodes.reports {
		r.Done += other.Done
	}
	return r
}

func (w *world) Disconnect(_ context.Context, id string) cluster.Report {
	return w.report(w.close(func(c admin.Connection) bool { return c.ID == id }))
}

func (w *world) DisconnectUser(_ context.Context, user string) cluster.Report {
	return w.report(w.close(func(c admin.Connection) bool { return c.UserID == user }))
}

func (w *world) RevokeUser(_ context.Context, user string) cluster.Report {
	w.nodes.revoked = append(w.nodes.revoked, user)
	return w.report(1)
}

func (w *world) close(meant func(admin.Connection) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var left []admin.Connection
	for _, c := range w.conns {
		if meant(c) {
			n++
		} else {
			left = append(left, c)
		}
	}
	w.conns = left
	return n
}

func TestAnEngineThatIsAloneHasNoNodes(t *testing.T) {
	a := serve(t, config())
	require.Equal(t, map[string]any{"this": "", "nodes": []any{}, "differences": map[string]any{}}, a.get("/api/v1/nodes").json())
	a.get("/api/v1/nodes?user=1").problem(400, "BAD_REQUEST")
}

func TestNodesAreListedWithWhatTheyDoNotHaveInCommon(t *testing.T) {
	a := serve(t, config())
	a.world.nodes.list = []cluster.Info{
		{ID: "a-1", Name: "a", Version: "1", About: map[string]string{"plugin:fills": "aa", "plugin:desk": "dd", "connections": "1", "config:auth": "11"}},
		{ID: "b-1", Name: "b", Version: "1", About: map[string]string{"plugin:fills": "bb", "plugin:desk": "dd", "connections": "2", "config:auth": "22"}},
		{ID: "c-1", Name: "c", Version: "2", About: map[string]string{"plugin:fills": "aa", "config:auth": "11"}},
	}
	got := a.get("/api/v1/nodes").json()
	require.Equal(t, "a-1", got["this"])
	require.Len(t, got["nodes"], 3)
	require.Equal(t, map[string]any{
		"version":      map[string]any{"1": []any{"a-1", "b-1"}, "2": []any{"c-1"}},
		"config:auth":  map[string]any{"11": []any{"a-1", "c-1"}, "22": []any{"b-1"}},
		"plugin:fills": map[string]any{"aa": []any{"a-1", "c-1"}, "bb": []any{"b-1"}},
		"plugin:desk":  map[string]any{"dd": []any{"a-1", "b-1"}, "": []any{"c-1"}},
	}, got["differences"])
	a.world.nodes.err = errors.New("secret")
	p := a.get("/api/v1/nodes").problem(503, "UNAVAILABLE")
	require.NotContains(t, p["detail"], "secret")
}

func TestAllConnectionsOfAUserAreClosed(t *testing.T) {
	a := serve(t, config())
	a.world.conns = []admin.Connection{{ID: "c1", UserID: "u1"}, {ID: "c2", UserID: "u2"}, {ID: "c3", UserID: "u1"}}
	got := a.do("DELETE", "/api/v1/connections?user=u1", "", nil).json()
	require.Equal(t, map[string]any{"done": 2.0, "complete": true, "nodes": []any{}}, got)
	require.Len(t, a.world.conns, 1)
	a.do("DELETE", "/api/v1/connections", "", nil).problem(400, "BAD_REQUEST")
	a.do("DELETE", "/api/v1/connections?user=", "", nil).problem(400, "BAD_REQUEST")
	a.do("DELETE", "/api/v1/connections?usr=u1", "", nil).problem(400, "BAD_REQUEST")
	require.Len(t, a.world.conns, 1, "nobody was meant")
}

func TestACommandThatNotEveryNodeObeyedIsNoSuccess(t *testing.T) {
	a := serve(t, config())
	a.world.conns = []admin.Connection{{ID: "c1", UserID: "u1"}}
	a.world.nodes.list = []cluster.Info{{ID: "a-1"}, {ID: "b-1"}, {ID: "c-1"}}
	a.world.nodes.reports = []cluster.NodeReport{{ID: "b-1", Name: "b", Done: 2}, {ID: "c-1", Name: "c", Err: cluster.ErrSilent}}
	p := a.do("DELETE", "/api/v1/connections?user=u1", "", nil).problem(502, "INCOMPLETE")
	require.Contains(t, p["detail"], "c-1")
	require.Equal(t, map[string]any{"done": 3.0, "complete": false, "nodes": []any{
		map[string]any{"id": "a-1", "name": "", "done": 1.0}, map[string]any{"id": "b-1", "name": "b", "done": 2.0},
		map[string]any{"id": "c-1", "name": "c", "done": 0.0, "error": cluster.ErrSilent.Error()},
	}}, p["details"])
	a.world.nodes.reports[0].Done = 0
	a.do("DELETE", "/api/v1/connections/c9", "", nil).problem(502, "INCOMPLETE")
	a.world.nodes.reports = a.world.nodes.reports[:1]
	p = a.do("DELETE", "/api/v1/connections/c9", "", nil).problem(404, "NOT_FOUND")
	require.Contains(t, p["detail"], "any of the 2 nodes")
	a.world.nodes.failed = errors.New("secret")
	p = a.do("DELETE", "/api/v1/connections?user=u1", "", nil).problem(502, "INCOMPLETE")
	require.NotContains(t, p["detail"], "secret")
}

func TestAUsersRefreshTokensAreRevoked(t *testing.T) {
	a := serve(t, config())
	got := a.do("DELETE", "/api/v1/refresh-tokens?user=u1", "", nil).json()
	require.Equal(t, 1.0, got["done"])
	require.Equal(t, []string{"u1"}, a.world.nodes.revoked)
	a.do("DELETE", "/api/v1/refresh-tokens", "", nil).problem(http.StatusBadRequest, "BAD_REQUEST")
	a.world.nodes.failed = message.Errorf(message.CodeUnavailable, "tokens cannot be renewed now")
	a.do("DELETE", "/api/v1/refresh-tokens?user=u1", "", nil).problem(503, "UNAVAILABLE")
}

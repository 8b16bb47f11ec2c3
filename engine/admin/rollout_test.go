package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/plugin"
)

// fleet answers what a test tells it to, and keeps what it was asked.
type fleet struct {
	asked []string
	err   error
}

var (
	_ admin.Rollout = (*fleet)(nil)
	_ admin.Wants   = (*fleet)(nil)
)

func (n *fleet) note(format string, args ...any) (rollout.Report, error) {
	n.asked = append(n.asked, fmt.Sprintf(format, args...))
	r := rollout.Report{
		Plugin: "mapping", Version: "def", How: plugin.HowSwap, Change: "c1", Outcome: rollout.OutcomeSwitched,
		Nodes: []rollout.NodeReport{{ID: "a-1", State: rollout.StateSwitched, Serving: "def"}},
	}
	if n.err != nil {
		r.Outcome, r.Reason = rollout.OutcomeRefused, n.err.Error()
	}
	return r, n.err
}

func (n *fleet) Swap(_ context.Context, name string, c plugin.Candidate) (rollout.Report, error) {
	return n.note("swap %s %s%s by %s", name, c.Config, c.Version, c.Who)
}

func (n *fleet) Rollback(_ context.Context, name, version, who string) (rollout.Report, error) {
	return n.note("rollback %s %s by %s", name, version, who)
}

func (n *fleet) Forget(_ context.Context, name, who string) (rollout.Report, error) {
	return n.note("forget %s by %s", name, who)
}

func (n *fleet) Wanted(name string) (rollout.Wanted, bool) {
	return rollout.Wanted{Plugin: name, Version: "def", Reason: "it is pinned", Since: time.Unix(1, 0), How: plugin.HowSwap, Who: "alice", Change: "c1"}, name == "mapping"
}

func (n *fleet) Stats() rollout.Stats {
	w, _ := n.Wanted("mapping")
	return rollout.Stats{Changed: 1, Refused: 2, Unknown: 3, Followed: 4, Failed: 5, Restored: 6, Wanted: []rollout.Wanted{w}, Differing: map[string]int{"mapping": 2}}
}

func TestAChangeOfAllNodesIsAskedForByOneParameter(t *testing.T) {
	n := &fleet{}
	a := serveWith(t, config(), func(d *admin.Deps) { d.Rollout, d.Wants = n, n })
	by := func(r *http.Request) {
		r.Header.Set("X-Wse-Who", "alice")
		r.Header.Set("Content-Type", "application/yaml")
	}
	got := a.do("POST", "/api/v1/plugins/mapping/swap?cluster=true", "a: 1", by)
	require.Equal(t, 200, got.status)
	var r rollout.Report
	require.NoError(t, json.Unmarshal(got.body, &r))
	require.True(t, r.Everywhere())
	require.Equal(t, 200, a.do("POST", "/api/v1/plugins/mapping/swap?cluster=true&version=def", "", by).status)
	require.Equal(t, 200, a.do("POST", "/api/v1/plugins/mapping/rollback?cluster=true", `{"version":"abc"}`, by).status)
	require.Equal(t, 200, a.do("DELETE", "/api/v1/plugins/mapping/cluster", "", by).status)
	require.Equal(t, []string{"swap mapping a: 1 by alice", "swap mapping def by alice", "rollback mapping abc by alice", "forget mapping by alice"}, n.asked)
	require.Empty(t, a.world.host.asked, "this node alone was asked for nothing")
	require.Equal(t, 200, a.do("POST", "/api/v1/plugins/mapping/rollback?cluster=false", "", nil).status)
	require.Equal(t, []string{`rollback mapping to ""`}, a.world.host.asked)

	a.do("POST", "/api/v1/plugins/mapping/swap?cluster=maybe", "a: 1", typed("application/yaml")).problem(400, "BAD_REQUEST")
	p := a.do("POST", "/api/v1/plugins/mapping/swap?cluster=true&shadow_events=5", "a: 1", typed("application/yaml")).problem(400, "BAD_REQUEST")
	require.Contains(t, p["detail"], "a shadow runs on one node")
}

func TestAChangeOfAllNodesThatIsNotMadeComesWithItsReport(t *testing.T) {
	n := &fleet{}
	a := serveWith(t, config(), func(d *admin.Deps) { d.Rollout, d.Wants = n, n })
	for _, c := range []struct {
		err    error
		status int
		code   string
		report bool
	}{
		{rollout.ErrRefused, 409, "CLUSTER_REFUSED", true}, {rollout.ErrBusy, 409, "CLUSTER_BUSY", true}, {rollout.ErrUnavailable, 503, "UNAVAILABLE", true},
		{rollout.ErrUnknown, 504, "OUTCOME_UNKNOWN", true}, {rollout.ErrNotGoverned, 404, "NOT_GOVERNED", true},
		{plugin.ErrNothingBefore, 409, "NOTHING_BEFORE", false}, {plugin.ErrGoverned, 409, "GOVERNED", false}, {plugin.ErrUnknownPlugin, 404, "UNKNOWN_PLUGIN", false},
	} {
		n.err = fmt.Errorf("plugin/mapping: %w: for a reason", c.err)
		for method, path := range map[string]string{"POST": "rollback?cluster=true", "DELETE": "cluster"} {
			p := a.do(method, "/api/v1/plugins/mapping/"+path, "", nil).problem(c.status, c.code)
			require.Contains(t, p["detail"], "for a reason")
			require.Equal(t, c.report, p["details"].(map[string]any)["report"] != nil)
		}
	}
}

func TestAnEngineThatIsAloneRefusesChangesOfAllNodes(t *testing.T) {
	a := serve(t, config())
	for _, path := range []string{"swap?cluster=true&version=def", "rollback?cluster=true"} {
		p := a.do("POST", "/api/v1/plugins/mapping/"+path, "", nil).problem(409, "NO_CLUSTER")
		require.Contains(t, p["detail"], "it has no Redis (broker.redis.addrs)")
	}
	a.do("DELETE", "/api/v1/plugins/mapping/cluster", "", nil).problem(409, "NO_CLUSTER")
	require.Empty(t, a.world.host.asked)
}

func TestWhatTheClusterWantsShowsWithThePluginAndInTheMetrics(t *testing.T) {
	n := &fleet{}
	a := serveWith(t, config(), func(d *admin.Deps) { d.Rollout, d.Wants = n, n })
	var p map[string]any
	require.NoError(t, json.Unmarshal(a.get("/api/v1/plugins/mapping").body, &p))
	require.Equal(t, map[string]any{
		"version": "def", "serves": false, "reason": "it is pinned", "since": "1970-01-01T00:00:01Z", "how": "swap", "who": "alice", "change": "c1", "before": []any{},
	}, p["cluster"])
	text := string(a.get("/metrics").body)
	for _, line := range []string{
		`wse_cluster_plugin_changes_total{outcome="switched"} 1`, `wse_cluster_plugin_changes_total{outcome="refused"} 2`,
		`wse_cluster_plugin_changes_total{outcome="unknown"} 3`, `wse_cluster_plugin_follows_total{result="serves"} 4`,
		`wse_cluster_plugin_follows_total{result="failed"} 5`, `wse_cluster_plugin_restored_total 6`,
		`wse_cluster_plugin_serves{plugin="mapping",version="def"} 0`, `wse_cluster_plugin_differing_nodes{plugin="mapping"} 2`,
	} {
		require.Contains(t, text, line+"\n")
	}
}

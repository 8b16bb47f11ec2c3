package rollout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// rolled goes through the life of a plugin's version on a group's nodes.
func rolled(t *testing.T, g *group) {
	all := g.start("a", "b")
	for i := 1; i <= 4; i++ {
		report, err := all[i%2].rollout.Swap(t.Context(), "say", candidate(i))
		require.NoError(t, err)
		require.True(t, report.Everywhere(), "%s", &report)
	}
	_, err := all[0].rollout.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	requireAll(t, all, 3)
	requireAll(t, g.start("c"), 3)
	_, err = all[0].rollout.Forget(t.Context(), "say", "bob")
	require.NoError(t, err)
}

func TestOnAClusterAllKeysAreInOneSlot(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, redistest.Options{})
	c.SetPatience(time.Hour)
	rolled(t, newGroupOn(t, c.Config))
}

func TestBehindSentinelsAnACLUserOverTLSMayDoAllOfIt(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, redistest.Options{TLS: true, Username: "wse"})
	w.SetPatience(time.Hour)
	rolled(t, newGroupOn(t, w.Config))
}

func TestAPrimaryThatDiesBetweenPrepareAndCommitLeavesOneVersionForAll(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, redistest.Options{})
	g := newGroupOn(t, w.Config)
	all := g.start("a", "b", "c")
	_, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	all[0].behindPrepare(w.AwaitPrimary(nil).Kill)
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(2))
	t.Log(&report)
	for _, m := range all {
		m.awaitReady()
	}
	switch {
	case err == nil:
		awaitAll(t, all, 2)
	case errors.Is(err, rollout.ErrRefused):
		requireAll(t, all, 1)
	default:
		require.ErrorIs(t, err, rollout.ErrUnknown)
		require.Eventually(t, func() bool { s := said(all); return s["a"] == s["b"] && s["b"] == s["c"] }, soon, time.Millisecond)
	}
	require.Eventually(t, func() bool {
		report, err := all[1].rollout.Swap(t.Context(), "say", candidate(3))
		return err == nil && report.Everywhere()
	}, soon, 10*time.Millisecond, "the lease does not outlive the doubt")
	requireAll(t, all, 3)
	_, ok := all[2].rollout.Wanted("say")
	require.True(t, ok)
	_, err = all[2].host.Rollback(t.Context(), "say", "", "")
	require.ErrorIs(t, err, plugin.ErrGoverned)
}

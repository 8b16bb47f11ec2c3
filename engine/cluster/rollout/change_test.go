package rollout_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/plugin"
)

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestASwapIsMadeByAllNodesAndReportedInOneTable(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b", "c")
	report, err := all[1].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	require.True(t, report.Everywhere())
	require.Equal(t, "say: swap to v1 by alice: done on 3 of 3 nodes | a switched serves v1 | b switched serves v1 | c switched serves v1 |", plain(&report))
	requireAll(t, all, 1)
	for _, m := range all {
		m.awaitReady()
		d, err := m.host.Detail("say")
		require.NoError(t, err)
		require.Equal(t, []any{plugin.HowCluster, "alice"}, []any{d.Last.How, d.Last.Who}, "each node's record says who did it")
	}
}

func TestARollbackGoesBackOnAllNodesOneVersionAtATime(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	for i := 1; i <= 2; i++ {
		_, err := all[0].rollout.Swap(t.Context(), "say", candidate(i))
		require.NoError(t, err)
	}
	report, err := all[1].rollout.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	require.Equal(t, "say: rollback to v1 by bob: done on 2 of 2 nodes | a switched serves v1 | b switched serves v1 |", plain(&report))
	requireAll(t, all, 1)
	_, err = all[0].rollout.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	requireAll(t, all, 0)
	_, err = all[0].rollout.Rollback(t.Context(), "say", "", "bob")
	require.ErrorIs(t, err, plugin.ErrNothingBefore)
	requireAll(t, all, 0)
	_, err = all[0].rollout.Rollback(t.Context(), "say", id(2)[:7], "bob")
	require.NoError(t, err, "forward again, to what this node keeps")
	requireAll(t, all, 2)
	_, err = all[0].rollout.Rollback(t.Context(), "say", "ffff", "bob")
	require.ErrorIs(t, err, plugin.ErrUnknownVersion)
}

func TestANodeThatCameLaterCanGoBackToVersionsThatItNeverHad(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a")
	for i := 1; i <= 2; i++ {
		_, err := all[0].rollout.Swap(t.Context(), "say", candidate(i))
		require.NoError(t, err)
	}
	late := g.start("b")[0]
	all = append(all, late)
	requireAll(t, all, 2)
	_, err := late.host.Bundle("say", plugin.Candidate{Version: id(1)})
	require.ErrorIs(t, err, plugin.ErrUnknownVersion)
	_, err = late.rollout.Rollback(t.Context(), "say", id(1), "bob")
	require.NoError(t, err)
	requireAll(t, all, 1)
	w, ok := late.rollout.Wanted("say")
	require.True(t, ok)
	require.Equal(t, []string{id(0)}, w.Before)
}

func TestARollbackWithoutASwapBeforeGoesToWhatServedBeforeOnTheNodeThatIsAsked(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	_, err := all[0].rollout.Rollback(t.Context(), "say", "", "bob")
	require.ErrorIs(t, err, plugin.ErrNothingBefore)
	_, err = all[0].host.Swap(t.Context(), "say", candidate(1), plugin.Shadow{})
	require.NoError(t, err)
	_, err = all[0].host.Swap(t.Context(), "say", candidate(2), plugin.Shadow{})
	require.NoError(t, err)
	_, err = all[0].rollout.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	requireAll(t, all, 1)
}

func TestOneNodeThatRefusesKeepsAllFromSwitchingAndIsNamed(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	pinned := files()
	pinned.SHA256 = digest(module(texts[0]))
	c := g.open("c", pinned)
	c.run()
	c.awaitReady()
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Regexp(t, `^say: swap to v1 by alice: nobody switches: c refused \| a ready serves v0 \| b ready serves v0 \| `+
		`c refused serves v0; refused at step digest: the module's SHA-256 is \S+, the configuration pins \S+ \|$`, plain(&report))
	require.False(t, report.Everywhere())
	requireAll(t, append(all, c), 0)
	_, err = all[1].rollout.Swap(t.Context(), "say", candidate(0))
	require.NoError(t, err, "nothing is left of it")
}

func TestANodeWithoutThePluginIsToldByName(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a")
	other := files()
	other.Name = "other"
	b := g.open("b", other)
	b.run()
	b.awaitReady()
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Contains(t, plain(&report), `b refused plugin: the configuration has no plugin "say"`)
	_, err = b.rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = b.rollout.Rollback(t.Context(), "say", "", "")
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	requireAll(t, all, 0)
}

func TestACandidateThatIsNoneIsRefusedBeforeAnyNodeIsAsked(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.start("a")[0]
	_, err := a.rollout.Swap(t.Context(), "say", plugin.Candidate{})
	require.ErrorIs(t, err, plugin.ErrNoCandidate)
	_, err = a.rollout.Swap(t.Context(), "say", plugin.Candidate{Version: "ffff"})
	require.ErrorIs(t, err, plugin.ErrUnknownVersion)
	report, err := a.rollout.Swap(t.Context(), "say", plugin.Candidate{Module: []byte("\x00asm")})
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Contains(t, plain(&report), "a refused serves v0; refused at step scan: ")
}

func TestAConfigTravelsAsItIs(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	_, err := all[0].rollout.Swap(t.Context(), "say", plugin.Candidate{Config: []byte(`{"b": 1,  "a": [2]}`)})
	require.NoError(t, err)
	for _, m := range all {
		b, err := m.host.Bundle("say", plugin.Candidate{})
		require.NoError(t, err)
		require.Equal(t, `{"b": 1,  "a": [2]}`, string(b.Config))
	}
	_, err = all[1].rollout.Rollback(t.Context(), "say", "", "")
	require.NoError(t, err)
	for _, m := range all {
		require.Empty(t, m.host.List()[0].ConfigSHA256, "and so does that there is none")
	}
}

func TestAShadowThatRunsOnOneNodeKeepsAllFromSwitching(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	_, err := all[1].host.Swap(t.Context(), "say", candidate(2), plugin.Shadow{Events: 1000})
	require.NoError(t, err)
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Contains(t, plain(&report), "b refused serves v0; plugin/say: a shadow runs already; wait for its end or cancel it")
	requireAll(t, all, 0)
}

func TestWhatTheClusterWantsIsChangedForAllNodesUntilItIsForgotten(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	_, err := all[0].rollout.Forget(t.Context(), "say", "")
	require.ErrorIs(t, err, rollout.ErrNotGoverned)
	_, err = all[0].host.Swap(t.Context(), "say", candidate(3), plugin.Shadow{})
	require.NoError(t, err, "before, a node is its own")
	_, err = all[1].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	requireAll(t, all, 1)
	_, err = all[0].host.Swap(t.Context(), "say", candidate(2), plugin.Shadow{})
	require.ErrorIs(t, err, plugin.ErrGoverned)
	require.ErrorContains(t, err, "wse plugin forget NAME --cluster")
	require.NoError(t, all[0].host.Reload(t.Context(), plugin.Configs{files()}))
	requireAll(t, all, 1)
	report, err := all[0].rollout.Forget(t.Context(), "say", "bob")
	require.NoError(t, err)
	require.Equal(t, "say: forget by bob: done on 2 of 2 nodes | a released serves v1 | b released serves v1 |", plain(&report))
	requireAll(t, all, 1)
	_, err = all[0].host.Swap(t.Context(), "say", candidate(2), plugin.Shadow{})
	require.NoError(t, err)
	_, ok := all[0].rollout.Wanted("say")
	require.False(t, ok)
	require.Empty(t, keys(t, g, "*blob*"), "no bytes are left in Redis")
}

func keys(t *testing.T, g *group, pattern string) []string {
	list, err := g.server.Client().Keys(t.Context(), "wse:{_plugins}:"+pattern).Result()
	require.NoError(t, err)
	return list
}

func TestOnlyAsManyVersionsAreKeptAsTheConfigurationSays(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.start("a")[0]
	for i := 1; i <= 4; i++ {
		_, err := a.rollout.Swap(t.Context(), "say", candidate(i))
		require.NoError(t, err)
	}
	w, _ := a.rollout.Wanted("say")
	require.Equal(t, []string{id(3), id(2)}, w.Before)
	require.Len(t, keys(t, g, "blob:say:*"), 3)
	for _, key := range keys(t, g, "*") {
		ttl, err := g.server.Client().TTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.EqualValues(t, -1, ttl, key)
	}
	_, err := a.rollout.Swap(t.Context(), "say", candidate(4))
	require.NoError(t, err)
	again, _ := a.rollout.Wanted("say")
	require.Equal(t, w.Before, again.Before, "what is wanted already is not wanted twice")
}

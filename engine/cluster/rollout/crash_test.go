package rollout_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/plugin"
)

// The subjects on the bus.
const (
	prepare = "plugins.prepare"
	follow  = "plugins.follow"
)

// mortal is after how long a node is dead in tests in which one dies without a word, and silent how long an answer may take in those in
// which one does not come. In the others all of them are waited for.
const mortal, silent = 4 * time.Second, 5 * time.Second

// allReady tells whether all nodes that were asked are ready.
func allReady(answers []cluster.Answer) bool {
	for _, a := range answers {
		if a.Err != nil || !strings.Contains(string(a.Body), `"ready"`) {
			return false
		}
	}
	return true
}

// behindPrepare has f called once, when all nodes are ready and nothing is decided.
func (m *member) behindPrepare(f func()) {
	var once sync.Once
	m.onAsked(func(subject string, answers []cluster.Answer) {
		if subject == prepare && allReady(answers) {
			once.Do(f)
		}
	})
}

// beforeFollow has f called once, when the change is made and no other node was told.
func (m *member) beforeFollow(f func()) {
	var once sync.Once
	m.onAsking(func(subject string) {
		if subject == follow {
			once.Do(f)
		}
	})
}

func TestACoordinatorThatDiesBetweenPrepareAndCommitLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.NodeTimeout = 15 * time.Second       // within which the next change is tried
	g.cfg.CommitTimeout = 300 * time.Millisecond // of the one that dies, since there nobody notices that it is dead
	all := g.start("a")
	g.cfg.CommitTimeout = rollout.DefaultConfig().CommitTimeout
	all = append(all, g.start("b", "c")...)
	all[0].behindPrepare(func() { _ = all[0].client.Close() })
	_, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.Error(t, err)
	all[0].stop()
	rest := all[1:]
	requireAll(t, rest, 0)
	for _, m := range rest {
		m.awaitReady()
	}
	// Whoever comes next is told who has the lease, and for how long at most.
	_, err = rest[0].rollout.Swap(t.Context(), "say", candidate(2))
	require.ErrorIs(t, err, rollout.ErrBusy)
	require.ErrorContains(t, err, `a swap of say by "alice" through node a-`)
	require.Regexp(t, `try again when it has ended, in 1m\S+s at the latest$`, err.Error())
	rest[0].awaitNodes(2)
	report, err := rest[0].rollout.Swap(t.Context(), "say", candidate(2))
	require.NoError(t, err, "a dead node holds nobody up")
	require.True(t, report.Everywhere())
	requireAll(t, rest, 2)
}

func TestACoordinatorThatIsTakenForDeadAndComesBackCommitsNothing(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.NodeTimeout = mortal
	all := g.start("a", "b")
	b := all[1]
	all[0].behindPrepare(func() {
		all[0].cut.pull()
		b.awaitNodes(1)
		if _, err := b.rollout.Swap(context.Background(), "say", candidate(2)); err != nil {
			t.Error(err)
		}
		all[0].cut.plug()
	})
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Contains(t, plain(&report), "nobody switches: the lease of the change is over: ")
	awaitAll(t, all, 2)
}

func TestALeaseThatRedisGaveToNobodyWhoWaitedForItHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.answer = 300 * time.Millisecond
	all := g.start("a", "b")
	g.server.Pause()
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrUnavailable)
	require.Contains(t, report.String(), "say: swap by alice: ")
	g.server.Resume() // what was asked of it is done only now
	require.Eventually(t, func() bool {
		_, err = all[1].rollout.Swap(t.Context(), "say", candidate(2))
		return err == nil
	}, soon, 50*time.Millisecond, "the last one said: %v", err)
	awaitAll(t, all, 2)
}

func TestALeaseEndsByItself(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.cfg.PrepareTimeout, g.cfg.CommitTimeout = 2*time.Second, 500*time.Millisecond
	a := g.start("a")[0]
	value := `{"change":"x","node":"` + a.node.ID() + `","plugin":"say","how":"swap"}`
	require.NoError(t, g.server.Client().Set(t.Context(), "wse:{_plugins}:change", value, 5*time.Second).Err())
	_, err := a.rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrBusy)
	require.Eventually(t, func() bool { _, err := a.rollout.Swap(t.Context(), "say", candidate(1)); return err == nil }, soon, 10*time.Millisecond)
}

func TestACoordinatorThatDiesBehindTheCommitIsFollowedByAllOthers(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.NodeTimeout = mortal
	all := g.start("a", "b", "c")
	all[0].beforeFollow(func() { _ = all[0].client.Close() })
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err, "it is the cluster's")
	require.False(t, report.Everywhere())
	require.Contains(t, plain(&report), "the others are not ready until they have done it too")
	all[0].stop()
	awaitAll(t, all[1:], 1)
	all[1].awaitNodes(2)
	again := g.start("a")
	requireAll(t, again, 1)
	report, err = again[0].rollout.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err, "and nobody has to wait")
	require.Equal(t, everyone(rollout.StateSwitched, "a", "b", "c"), states(&report))
}

func TestANodeThatDiesAfterItSaidReadyFollowsWhenItIsBack(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.AskTimeout = silent
	all := g.start("a", "b", "c")
	all[0].behindPrepare(all[2].crash)
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	require.Equal(t, with(everyone(rollout.StateSwitched, "a", "b"), "c", rollout.StateSilent), states(&report))
	require.Contains(t, plain(&report), "done on 2 of 3 nodes; the others are not ready until they have done it too |")
	require.Contains(t, plain(&report), "c silent did not answer: it is paused, cut off, or has just died, which shows after node_timeout |")
	requireAll(t, all[:2], 1)
	c := g.open("c")
	require.ErrorContains(t, c.rollout.Ready(), "was not read yet")
	require.Equal(t, texts[0], c.says(), "by its files")
	c.run()
	c.awaitReady()
	require.Equal(t, texts[1], c.says())
}

func TestANodeThatLeavesAfterItSaidReadyIsNotedAsGone(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b", "c")
	all[0].behindPrepare(all[2].stop)
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	require.Equal(t, with(everyone(rollout.StateSwitched, "a", "b"), "c", rollout.StateGone), states(&report))
	require.Contains(t, plain(&report), "c gone died or left meanwhile; should it come back, it follows before it is ready |")
}

func TestANodeThatIsSilentKeepsAllFromSwitching(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.AskTimeout = silent
	all := g.start("a", "b", "c")
	release := make(chan struct{})
	all[2].onAnswer(func(subject string) {
		if subject == prepare {
			<-release
		}
	})
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	close(release)
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Equal(t, rollout.StateSilent, states(&report)["c"])
	require.Contains(t, plain(&report), "say: swap to v1 by alice: nobody switches: c is silent |")
	requireAll(t, all, 0)
	all[2].onAnswer(nil)
	_, err = all[0].rollout.Swap(t.Context(), "say", candidate(2))
	require.NoError(t, err)
	requireAll(t, all, 2)
}

func TestARedisThatDiesBetweenPrepareAndCommitMakesTheOutcomeUnknownAndNeverTwoVersions(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.cfg.CommitTimeout = time.Second
	all := g.start("a", "b", "c")
	all[0].behindPrepare(g.server.Kill)
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrUnknown)
	require.Equal(t, rollout.OutcomeUnknown, report.Outcome)
	require.Contains(t, plain(&report), "say: swap to v1 by alice: whether the change was made is not known: Redis decides it, and either all nodes make it or none; "+
		"see what they serve when it is back (wse nodes): the cluster cannot be asked: ")
	requireAll(t, all, 0)
	for _, m := range all {
		require.Contains(t, m.awaitReason("the cluster cannot be asked"), "was last read", "without Redis a node does not know")
	}
	g.server.Start() // empty
	for _, m := range all {
		m.awaitReady()
	}
	requireAll(t, all, 0)
	require.Eventually(t, func() bool {
		report, err = all[1].rollout.Swap(t.Context(), "say", candidate(2))
		return err == nil && len(report.Nodes) == 3 && report.Everywhere()
	}, soon, 10*time.Millisecond)
	requireAll(t, all, 2)
}

func TestARedisThatStandsStillBetweenPrepareAndCommitEndsInOneVersionForAll(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.cfg.CommitTimeout = time.Second
	all := g.start("a", "b", "c")
	all[0].behindPrepare(g.server.Pause)
	_, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	g.server.Resume()
	require.ErrorIs(t, err, rollout.ErrUnknown)
	for _, m := range all {
		m.awaitReady()
	}
	require.Eventually(t, func() bool { s := said(all); return s["a"] == s["b"] && s["b"] == s["c"] }, soon, time.Millisecond)
	require.Eventually(t, func() bool {
		report, err := all[1].rollout.Swap(t.Context(), "say", candidate(2))
		return err == nil && report.Everywhere()
	}, soon, 10*time.Millisecond, "the lease does not outlive the doubt")
	requireAll(t, all, 2)
}

func TestARedisThatIsEmptiedBehindTheCommitIsToldAgain(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	all[0].beforeFollow(g.server.FlushAll)
	_, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	awaitAll(t, all, 1)
	g.server.FlushAll()
	require.Eventually(t, func() bool { return len(keys(t, g, "blob:*")) == 2 && len(keys(t, g, "wanted")) == 1 }, soon, time.Millisecond)
	require.Eventually(t, func() bool { // which is said once it is there
		return strings.Contains(g.logged(), "Redis had lost what the cluster wants of a plugin; it was put back")
	}, soon, time.Millisecond)
	late := g.start("c")
	requireAll(t, late, 1)
}

func TestARedisThatWasEmptiedWhileANodeWasCutOffTakesNothingOldFromIt(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	_, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	all[0].cut.pull()
	all[0].awaitReason("was last read")
	all[1].crash() // the other one that knows
	g.server.FlushAll()
	b := g.start("b")[0]
	require.Equal(t, texts[0], b.says())
	_, err = b.rollout.Swap(t.Context(), "say", candidate(2))
	require.NoError(t, err)
	all[0].cut.plug()
	awaitAll(t, []*member{all[0], b}, 2)
}

func TestOneOfManyCoordinatorsAtOnceIsFollowedByAll(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b", "c")
	for round := range 5 {
		var wg sync.WaitGroup
		var made, busy atomic.Int32
		for i, m := range all {
			wg.Go(func() {
				report, err := m.rollout.Swap(t.Context(), "say", candidate(1+(i+round)%4))
				switch {
				case err == nil:
					made.Add(1)
					if !report.Everywhere() && report.Outcome != rollout.OutcomeSwitched {
						t.Errorf("%s", &report)
					}
				case strings.Contains(err.Error(), rollout.ErrBusy.Error()):
					busy.Add(1)
				default:
					t.Errorf("%s: %v", m.name, err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 3, made.Load()+busy.Load())
		require.Positive(t, made.Load())
		require.Eventually(t, func() bool { s := said(all); return s["a"] == s["b"] && s["b"] == s["c"] }, soon, time.Millisecond)
		for _, m := range all {
			m.awaitReady()
		}
	}
}

func TestANodeThatWasCutOffFollowsWhenItIsBackAndIsNotReadyBefore(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.NodeTimeout, g.nodes.AskTimeout = mortal, mortal/2
	all := g.start("a", "b")
	all[1].cut.pull()
	require.Regexp(t, `^which versions of its plugins the cluster wants was last read \S+ ago: the cluster cannot be asked: `, all[1].awaitReason("cannot be asked"))
	require.Eventually(t, func() bool {
		report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
		return err == nil && len(report.Nodes) == 1
	}, soon, 10*time.Millisecond, "once it counts as dead")
	require.Equal(t, texts[0], all[1].says())
	all[1].cut.plug()
	awaitAll(t, all, 1)
	require.Contains(t, g.logged(), "which versions of its plugins the cluster wants can be read again")
}

func TestANodeThatStartsLaterAndCannotServeWhatIsWantedIsNotReadyAndSaysWhy(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.start("a")[0]
	_, err := a.rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	pinned := files()
	pinned.SHA256 = digest(module(texts[0]))
	b := g.open("b", pinned)
	b.run()
	require.Contains(t, b.awaitReason("pins"), "plugin/say: "+id(1)+", which the cluster wants, does not serve: plugin/say: digest: the module's SHA-256 is ")
	w, _ := b.rollout.Wanted("say")
	require.False(t, w.Serves)
	require.NotEmpty(t, w.Reason)
	require.Positive(t, b.rollout.Stats().Failed)
	none := files()
	none.Name = "other"
	c := g.open("c", none)
	c.run()
	require.Contains(t, c.awaitReason("name"), "the configuration here does not name it")

	report, err := a.rollout.Swap(t.Context(), "say", candidate(2))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Equal(t, map[string]rollout.State{"a": rollout.StateReady, "b": rollout.StateRefused, "c": rollout.StateRefused}, states(&report))
	_, err = a.rollout.Forget(t.Context(), "say", "")
	require.NoError(t, err, "the way out")
	b.awaitReady()
	c.awaitReady()
}

func TestBytesThatAreNotWhatWasAnnouncedServeNowhere(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	var once sync.Once
	all[0].onAsking(func(subject string) {
		if subject == prepare {
			once.Do(func() {
				key := "wse:{_plugins}:blob:say:" + digest(module(texts[1]))
				if err := g.server.Client().Set(context.Background(), key, module(texts[2]), 0).Err(); err != nil {
					t.Error(err)
				}
			})
		}
	})
	report, err := all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Contains(t, plain(&report), "refused at step digest: the module that arrived has ")
	requireAll(t, all, 0)
}

func TestBytesThatRedisEvictedArePutBackByWhoServesThem(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.nodes.NodeTimeout = mortal
	a := g.start("a")[0]
	_, err := a.rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	key := "wse:{_plugins}:blob:say:" + digest(module(texts[1]))
	require.NoError(t, g.server.Client().Del(t.Context(), key).Err())
	require.Eventually(t, func() bool { return len(keys(t, g, "blob:say:"+digest(module(texts[1])))) == 1 }, soon, time.Millisecond)
	require.Eventually(t, func() bool { return a.rollout.Stats().Restored > 0 }, soon, time.Millisecond)
	a.crash()
	require.NoError(t, g.server.Client().Del(t.Context(), key).Err())
	b := g.open("b")
	b.run()
	require.Contains(t, b.awaitReason("not in Redis"), "a node that serves the version puts it back, else swap in another one with --cluster")
	b.awaitNodes(1)
	_, err = b.rollout.Swap(t.Context(), "say", candidate(2))
	require.NoError(t, err)
	b.awaitReady()
}

func TestForeignValuesAtTheKeysAreNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.start("a")[0]
	redis := g.server.Client()
	require.NoError(t, redis.Set(t.Context(), "wse:{_plugins}:wanted", "x", 0).Err())
	require.Contains(t, a.awaitReason("WRONGTYPE"), "the keys wse:{_plugins}:* belong to the engine alone: remove what another program put there")
	_, err := a.rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrUnavailable)
	require.NoError(t, redis.Del(t.Context(), "wse:{_plugins}:wanted").Err())
	a.awaitReady()

	for _, text := range []string{"x", "{}", `{"number":1,"change":"x","versions":[{"module":"x"}]}`, `{"number":1,"change":"x","versions":[{"module":"` + digest(nil) + `","config":"x"}]}`} {
		require.NoError(t, redis.HSet(t.Context(), "wse:{_plugins}:wanted", "say", text).Err())
		require.Contains(t, a.awaitReason("is damaged"), "else remove the field (HDEL wse:{_plugins}:wanted say)")
		require.NoError(t, redis.Del(t.Context(), "wse:{_plugins}:wanted").Err())
		a.awaitReady()
	}
	require.NoError(t, redis.Set(t.Context(), "wse:{_plugins}:change", "x", 0).Err())
	_, err = a.rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrBusy)
	require.ErrorContains(t, err, "wse:{_plugins}:change in Redis, which belongs to the engine alone, holds \"x\"; remove it")
	require.NoError(t, redis.Del(t.Context(), "wse:{_plugins}:change").Err())
	_, err = a.rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	require.NoError(t, redis.HSet(t.Context(), "wse:{_plugins}:wanted", "say", "x").Err())
	require.Eventually(t, func() bool {
		text, err := redis.HGet(t.Context(), "wse:{_plugins}:wanted", "say").Result()
		return err == nil && text != "x"
	}, soon, time.Millisecond, "who knows the record mends it")
}

func TestNodesThatServeDifferentVersionsAreToldInTheLogAndCounted(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	_, err := all[1].host.Swap(t.Context(), "say", candidate(1), plugin.Shadow{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return all[0].rollout.Stats().Differing["say"] == 1 }, soon, time.Millisecond)
	require.Eventually(t, func() bool {
		return strings.Contains(g.logged(), "nodes serve different versions of a plugin: plugin=say")
	}, soon, time.Millisecond)
	_, err = all[0].rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(all[0].rollout.Stats().Differing) == 0 }, soon, time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(g.logged(), "all nodes serve the same version of a plugin again") }, soon, time.Millisecond)
	infos, err := all[0].node.Alive(t.Context())
	require.NoError(t, err)
	for _, i := range infos {
		require.Equal(t, map[string]string{"plugin:say": id(1)}, i.About)
	}
}

func TestAChangeThatIsRefusedHoldsUpNoOtherThoughTheWayToRedisIsSlow(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	all[0].behindPrepare(func() {
		all[0].cut.lag.Store(int64(600 * time.Millisecond)) // there, and as long back
		cancel()
	})
	_, err := all[0].rollout.Swap(ctx, "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	all[0].cut.lag.Store(0)
	_, err = all[1].rollout.Swap(t.Context(), "say", candidate(2))
	require.NotErrorIs(t, err, rollout.ErrBusy)
	awaitAll(t, all, 2)
}

func TestWhoNoLongerWaitsChangesNothing(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	all[1].onAnswer(func(subject string) {
		if subject == prepare {
			cancel()
		}
	})
	_, err := all[0].rollout.Swap(ctx, "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.ErrorContains(t, err, "who asked for it does not wait any more")
	requireAll(t, all, 0)
	all[1].onAnswer(nil)
	_, err = all[0].rollout.Swap(t.Context(), "say", candidate(2))
	require.NoError(t, err)
}

func TestWhoNoLongerWaitsChangesNothingThoughAllNodesAreReady(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	all[0].behindPrepare(cancel)
	_, err := all[0].rollout.Swap(ctx, "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.ErrorContains(t, err, "who asked for it does not wait any more")
	requireAll(t, all, 0)
}

func TestANodeThatCannotRecordTheChangeIsReportedAndTriesAgain(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	a := g.start("a")[0]
	full := &disk{}
	g.disk = full
	b := g.start("b")[0]
	full.full.Store(true)
	report, err := a.rollout.Swap(t.Context(), "say", candidate(1))
	require.NoError(t, err)
	require.Equal(t, "say: swap to v1 by alice: done on 1 of 2 nodes; the others are not ready until they have done it too | a switched serves v1 | "+
		"b refused serves v0; v1, which the cluster wants, does not serve: plugin/say: keep: the disk is full |", plain(&report))
	b.awaitReason("the disk is full")
	full.full.Store(false)
	awaitAll(t, []*member{a, b}, 1)
}

// disk keeps nothing, and says so while it is full.
type disk struct{ full atomic.Bool }

var _ plugin.Records = (*disk)(nil)

// Each implements plugin.Records.
func (d *disk) Each(func(string, []byte) error) error { return nil }

// Apply implements plugin.Records.
func (d *disk) Apply(map[string][]byte) error {
	if d.full.Load() {
		return errors.New("the disk is full")
	}
	return nil
}

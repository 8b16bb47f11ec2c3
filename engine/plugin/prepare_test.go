package plugin_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
)

// bundle is a module as another host hands it over, which the cache knows.
func (f *fixture) bundle(t testing.TB, h *plugin.Host, user string) plugin.Bundle {
	t.Helper()
	b, err := h.Bundle("say", f.candidate(t, saying(user)))
	require.NoError(t, err)
	return b
}

const holdTime = time.Hour

func (f *fixture) prepare(t testing.TB, h *plugin.Host, user string) *plugin.Prepared {
	t.Helper()
	p, err := h.Prepare(t.Context(), "say", f.bundle(t, h, user), holdTime)
	require.NoError(t, err)
	return p
}

func TestAPreparedVersionServesWhenItIsToldToAndNotBefore(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")), f.add(t, "other", returning("wse_transform", 1)))
	before := h.List()
	p := f.prepare(t, h, "u2")
	require.Equal(t, "u1", said(t, h))
	require.Equal(t, before, h.List())
	c, err := p.Commit(plugin.HowCluster, "alice")
	require.NoError(t, err)
	require.Equal(t, "u2", said(t, h))
	require.Equal(t, []string{before[0].Version, p.Version(), "cluster", "alice"}, []string{c.From, c.To, string(c.How), c.Who})
	require.Equal(t, before[1], h.List()[1], "the other plugin is not touched")
	_, err = p.Commit(plugin.HowCluster, "alice")
	require.ErrorIs(t, err, plugin.ErrNotHeld)
	back, err := h.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	require.Equal(t, before[0].Version, back.To, "it is kept as any other")
}

func TestAPreparedVersionThatIsAbandonedNeverServes(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	p := f.prepare(t, h, "u2")
	p.Abandon()
	p.Abandon()
	_, err := p.Commit(plugin.HowCluster, "")
	require.ErrorIs(t, err, plugin.ErrNotHeld)
	require.ErrorContains(t, err, "plugin/say: what was prepared is not held any more: it was abandoned")
	require.Equal(t, "u1", said(t, h))
}

func TestAPreparedVersionIsGivenUpWhenNobodyAsksForItInTime(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	b := f.bundle(t, h, "u2")
	serving, err := h.Bundle("say", plugin.Candidate{})
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		p, err := h.Prepare(context.Background(), "say", serving, time.Minute)
		require.NoError(t, err)
		<-time.After(time.Minute - time.Nanosecond)
		synctest.Wait()
		q, err := h.Prepare(context.Background(), "say", serving, time.Minute)
		require.NoError(t, err)
		<-time.After(time.Nanosecond)
		synctest.Wait()
		_, err = p.Commit(plugin.HowCluster, "")
		require.ErrorContains(t, err, "nobody asked for it within 1m0s")
		_, err = q.Commit(plugin.HowCluster, "")
		require.NoError(t, err, "each has its own time")
	})
	p, err := h.Prepare(t.Context(), "say", b, time.Nanosecond)
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := p.Commit(plugin.HowCluster, ""); return err != nil }, time.Minute, time.Millisecond)
}

func TestACloseGivesBackWhatIsHeld(t *testing.T) {
	f := newFixture(t)
	h, err := plugin.New(plugin.Configs{f.add(t, "say", saying("u1"))}, f.deps())
	require.NoError(t, err)
	p := f.prepare(t, h, "u2")
	b := f.bundle(t, h, "u3")
	require.NoError(t, h.Close())
	_, err = p.Commit(plugin.HowCluster, "")
	require.ErrorIs(t, err, plugin.ErrClosed)
	_, err = h.Prepare(t.Context(), "say", b, holdTime)
	require.ErrorIs(t, err, plugin.ErrClosed)
	_, err = h.Bundle("say", plugin.Candidate{})
	require.ErrorIs(t, err, plugin.ErrClosed)
	_, err = h.Before("say")
	require.ErrorIs(t, err, plugin.ErrClosed)
}

func TestACommitGoesBeforeWhateverServesByThen(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	p := f.prepare(t, h, "u2")
	third := f.swap(t, h, "u3")
	c, err := p.Commit(plugin.HowCluster, "")
	require.NoError(t, err)
	require.Equal(t, third.To, c.From)
	require.Equal(t, "u2", said(t, h))

	again := f.prepare(t, h, "u2")
	c, err = again.Commit(plugin.HowCluster, "")
	require.NoError(t, err)
	require.Equal(t, c.From, c.To, "what serves already changes nothing")
	require.EqualValues(t, 3, c.Generation)
}

func TestACommitAfterTheConfigurationChangedIsRefusedWhereItWouldBeAnotherVersion(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", saying("u1"))
	h := f.open(t, cfg)
	p, q := f.prepare(t, h, "u2"), f.prepare(t, h, "u2")
	cfg.Bind = []string{"E*"}
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	_, err := p.Commit(plugin.HowCluster, "")
	require.NoError(t, err, "how it is bound makes no other version of it")
	cfg.Limits.Instances = 7
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	_, err = q.Commit(plugin.HowCluster, "")
	require.NoError(t, err, "the reload has made the version that serves anew")
	q = f.prepare(t, h, "u3")
	cfg.Limits.Instances = 3
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	_, err = q.Commit(plugin.HowCluster, "")
	require.ErrorIs(t, err, plugin.ErrChanged)
	require.Equal(t, "u2", said(t, h))
	q = f.prepare(t, h, "u3")
	cfg.Name = "else"
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	_, err = q.Commit(plugin.HowCluster, "")
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
}

func TestWhatArrivesOtherwiseThanAnnouncedIsRefusedByStep(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", saying("u1"))
	cfg.Limits.InKiB = 1
	h := f.open(t, cfg)
	good := f.bundle(t, h, "u2")
	for want, change := range map[string]func(*plugin.Bundle){
		"digest: the module that arrived has 3 bytes": func(b *plugin.Bundle) { b.Module = b.Module[:3] },
		"digest: a config of 2 bytes arrived":         func(b *plugin.Bundle) { b.Config = []byte("{}") },
		"digest: the config that arrived has 0 bytes": func(b *plugin.Bundle) { b.ConfigSHA256 = b.SHA256 },
		"config: the config is no JSON":               func(b *plugin.Bundle) { b.Config, b.ConfigSHA256 = []byte("{"), hexDigest("{") },
		"config: a config of 1025 bytes, at most 1 KiB are": func(b *plugin.Bundle) {
			b.Config, b.ConfigSHA256 = make([]byte, 1025), hexDigest(string(make([]byte, 1025)))
		},
	} {
		b := good
		change(&b)
		_, err := h.Prepare(t.Context(), "say", b, holdTime)
		var load *plugin.LoadError
		require.ErrorAs(t, err, &load)
		require.ErrorContains(t, err, want)
	}
	_, err := h.Prepare(t.Context(), "else", good, holdTime)
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	cfg.SHA256 = hexDigest(string(saying("u1").Bytes()))
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	_, err = h.Prepare(t.Context(), "say", good, holdTime)
	require.ErrorContains(t, err, "the configuration pins")
	cfg.SHA256, cfg.Limits.Scan.ModuleKiBMax = "", 1
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	good.Module = make([]byte, 1025)
	_, err = h.Prepare(t.Context(), "say", good, holdTime)
	require.ErrorContains(t, err, "read: a module of 1025 bytes, at most 1 KiB")
}

func TestABundleIsWhatServesOrAnyCandidateInFull(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", configured("u1"))
	cfg.Config = map[string]any{"a": 1}
	h := f.open(t, cfg)
	serving, err := h.Bundle("say", plugin.Candidate{})
	require.NoError(t, err)
	info := h.List()[0]
	require.Equal(t, plugin.Bundle{
		Version: info.Version, SHA256: info.SHA256, ConfigSHA256: info.ConfigSHA256, Module: configured("u1").Bytes(), Config: []byte(`{"a":1}`),
	}, serving)
	require.Equal(t, hexDigest(`{"a":1}`), info.ConfigSHA256)
	other, err := h.Bundle("say", plugin.Candidate{Config: []byte(`{"a":2}`)})
	require.NoError(t, err)
	require.Equal(t, serving.Module, other.Module)
	require.NotEqual(t, serving.Version, other.Version)
	p, err := h.Prepare(t.Context(), "say", other, holdTime)
	require.NoError(t, err)
	require.Equal(t, other.Version, p.Version())
	_, err = h.Before("say")
	require.ErrorIs(t, err, plugin.ErrNothingBefore)
	_, err = p.Commit(plugin.HowCluster, "")
	require.NoError(t, err)
	before, err := h.Before("say")
	require.NoError(t, err)
	require.Equal(t, serving.Version, before)
	kept, err := h.Bundle("say", plugin.Candidate{Version: before})
	require.NoError(t, err)
	require.Equal(t, serving, kept)
	_, err = h.Bundle("say", plugin.Candidate{Version: "ffff"})
	require.ErrorIs(t, err, plugin.ErrUnknownVersion)
	_, err = h.Bundle("else", plugin.Candidate{})
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = h.Before("else")
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
}

func TestACommitAbandonsAShadow(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	_, err := h.Swap(t.Context(), "say", f.candidate(t, saying("u2")), plugin.Shadow{Events: 1})
	require.NoError(t, err)
	_, err = f.prepare(t, h, "u3").Commit(plugin.HowCluster, "")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		d, err := h.Detail("say")
		require.NoError(t, err)
		return d.Shadow.Phase == plugin.PhaseAbandoned
	}, time.Minute, time.Millisecond)
	require.Equal(t, "u3", said(t, h))
}

func TestAGovernedPluginIsChangedByCommitsAlone(t *testing.T) {
	f := newFixture(t)
	deps := f.deps()
	var told []plugin.Notice
	deps.Notice = func(n plugin.Notice) { told = append(told, n) }
	cfg := f.add(t, "say", saying("u1"))
	h, err := plugin.New(plugin.Configs{cfg}, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	candidate := f.candidate(t, saying("u2"))
	_, err = f.prepare(t, h, "u3").Commit(plugin.HowCluster, "alice")
	require.NoError(t, err)
	h.Govern([]string{"say"})

	_, err = h.Swap(t.Context(), "say", candidate, plugin.Shadow{})
	require.ErrorIs(t, err, plugin.ErrGoverned)
	_, err = h.Swap(t.Context(), "say", candidate, plugin.Shadow{Events: 1})
	require.ErrorIs(t, err, plugin.ErrGoverned)
	_, err = h.Rollback(t.Context(), "say", "", "")
	require.ErrorIs(t, err, plugin.ErrGoverned)
	_, err = h.Swap(t.Context(), "say", candidate, plugin.Shadow{Events: 1, Only: true})
	require.NoError(t, err, "to compare changes nothing")
	require.NoError(t, h.CancelShadow("say", ""))
	_, err = h.Upload(t.Context(), "say", candidate)
	require.NoError(t, err, "to keep changes nothing")

	f.add(t, "say", saying("u4")) // the file
	_, err = h.Refresh(t.Context(), "say", "")
	require.ErrorIs(t, err, plugin.ErrGoverned)
	told = nil
	cfg.Bind, cfg.Limits.Instances = []string{"E*"}, 3
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	require.Equal(t, "u3", said(t, h))
	require.Equal(t, []string{"E*"}, h.List()[0].Bind, "how it is bound is the configuration's")
	require.Equal(t, 3, h.List()[0].Instances, "and what it may use")
	require.Equal(t, "files changed, which does not count while the cluster governs the plugin", told[0].Text)
	err = h.Reload(t.Context(), plugin.Configs{f.add(t, "else", saying("u1"))})
	require.ErrorIs(t, err, plugin.ErrGoverned)
	require.ErrorContains(t, err, "plugin/say: the configuration does not name it any more")
	require.Equal(t, "u3", said(t, h))
	cfg.SHA256 = hexDigest(string(saying("u4").Bytes()))
	require.ErrorContains(t, h.Reload(t.Context(), plugin.Configs{cfg}), "wse plugin forget NAME --cluster")
	cfg.SHA256 = ""

	h.Govern(nil)
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	require.Equal(t, "u4", said(t, h), "the files count again")
	_, err = h.Swap(t.Context(), "say", candidate, plugin.Shadow{})
	require.NoError(t, err)
}

func TestAShadowThatBeganBeforeThePluginWasGovernedDoesNotEndInASwap(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	_, err := h.Swap(t.Context(), "say", f.candidate(t, saying("u2")), plugin.Shadow{Events: 1, DifferencesMax: -1})
	require.NoError(t, err)
	h.Govern([]string{"say"})
	require.Equal(t, "u1", said(t, h))
	require.Eventually(t, func() bool {
		d, err := h.Detail("say")
		require.NoError(t, err)
		return d.Shadow.Phase == plugin.PhaseAbandoned
	}, time.Minute, time.Millisecond)
	require.Equal(t, "u1", said(t, h))
}

func TestACommitThatCannotBeRecordedChangesNothing(t *testing.T) {
	f := newFixture(t)
	deps := f.deps()
	records := &failing{}
	deps.Records = records
	h, err := plugin.New(plugin.Configs{f.add(t, "say", saying("u1"))}, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	p := f.prepare(t, h, "u2")
	records.broken = true
	_, err = p.Commit(plugin.HowCluster, "")
	require.ErrorContains(t, err, "plugin/say: keep: ")
	require.Equal(t, "u1", said(t, h))
	records.broken = false
	_, err = f.prepare(t, h, "u2").Commit(plugin.HowCluster, "")
	require.NoError(t, err)
}

func hexDigest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// failing keeps nothing, and fails to while broken is set.
type failing struct{ broken bool }

func (f *failing) Each(func(string, []byte) error) error { return nil }

func (f *failing) Apply(map[string][]byte) error {
	if f.broken {
		return errors.New("the disk is full")
	}
	return nil
}

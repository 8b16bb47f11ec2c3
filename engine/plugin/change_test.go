package plugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// saying is a transform plugin whose answers have that topic.
func saying(user string) w.Module { return answering(strings.Replace(envelope, "u1", user, 1)) }

// said is the topic of what serves.
func said(t testing.TB, h *plugin.Host) string {
	t.Helper()
	out, _, err := transform(t, h, "E", `{}`)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(out, `"user:`)
	user, _, _ := strings.Cut(rest, ":")
	return user
}

// candidate is a module that the cache knows, since it was loaded as a stock module: a child process to compile each would
// take most of these tests' time.
func (f *fixture) candidate(t testing.TB, m w.Module) plugin.Candidate {
	t.Helper()
	h, err := plugin.New(plugin.Configs{f.add(t, "candidate", m)}, f.deps())
	require.NoError(t, err)
	require.NoError(t, h.Close())
	return plugin.Candidate{Module: m.Bytes(), Who: "alice"}
}

func (f *fixture) swap(t testing.TB, h *plugin.Host, user string) plugin.Change {
	t.Helper()
	c, err := h.Swap(t.Context(), "say", f.candidate(t, saying(user)), plugin.Shadow{})
	require.NoError(t, err)
	return c
}

func TestSwap_lets_the_candidate_serve_and_says_what_changed(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")), f.add(t, "other", returning("wse_transform", 1)))
	before := h.List()
	c := f.swap(t, h, "u2")
	after := h.List()
	require.Equal(t, "u2", said(t, h))
	require.Equal(t, []string{before[0].Version, after[0].Version, "say", "alice", "swap"}, []string{c.From, c.To, c.Plugin, c.Who, string(c.How)})
	require.NotEqual(t, c.From, c.To)
	require.EqualValues(t, 2, c.Generation)
	require.Equal(t, before[1], after[1], "the other plugin is not touched")
}

func TestSwap_of_what_serves_already_changes_nothing(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	before := h.List()
	c := f.swap(t, h, "u1")
	require.Equal(t, c.From, c.To)
	require.EqualValues(t, 1, c.Generation)
	require.Equal(t, before, h.List())
}

func TestRollback_goes_back_one_version_at_a_time_and_to_any_that_is_named(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	f.swap(t, h, "u2")
	third := f.swap(t, h, "u3")
	back := func(version string) (plugin.Change, error) { return h.Rollback(t.Context(), "say", version, "bob") }

	c, err := back("")
	require.NoError(t, err)
	require.Equal(t, []string{third.To, third.From, "rollback", "bob"}, []string{c.From, c.To, string(c.How), c.Who})
	require.Equal(t, "u2", said(t, h))
	_, err = back("")
	require.NoError(t, err)
	require.Equal(t, "u1", said(t, h), "twice goes back twice")
	_, err = back("")
	require.ErrorIs(t, err, plugin.ErrNothingBefore)
	_, err = back(third.To[:8])
	require.NoError(t, err)
	require.Equal(t, "u3", said(t, h), "and forward again, by the beginning of its name")
	_, err = back("")
	require.NoError(t, err)
	require.Equal(t, "u1", said(t, h))
	_, err = back("ffff")
	require.ErrorIs(t, err, plugin.ErrUnknownVersion)
	require.ErrorContains(t, err, third.To)
}

func TestUpload_keeps_a_version_that_does_not_serve_until_it_is_swapped_in(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	k, err := h.Upload(t.Context(), "say", f.candidate(t, saying("u2")))
	require.NoError(t, err)
	require.Equal(t, "u1", said(t, h))
	require.False(t, k.Serving)
	d, err := h.Detail("say")
	require.NoError(t, err)
	require.Equal(t, k, d.Kept[0])
	require.Equal(t, []plugin.How{plugin.HowUpload, plugin.HowStart}, []plugin.How{d.Kept[0].How, d.Kept[1].How})
	require.True(t, d.Kept[1].Serving)
	_, err = h.Swap(t.Context(), "say", plugin.Candidate{Version: k.Version}, plugin.Shadow{})
	require.NoError(t, err)
	require.Equal(t, "u2", said(t, h))
}

func TestDetail_tells_by_which_change_the_version_came_to_serve(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	last := func() plugin.Change {
		d, err := h.Detail("say")
		require.NoError(t, err)
		return d.Last
	}
	first := last()
	require.Equal(t, []any{plugin.HowStart, uint64(1), ""}, []any{first.How, first.Generation, first.From})
	c := f.swap(t, h, "u2")
	require.Equal(t, c, last())
	back, err := h.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	require.Equal(t, back, last(), "who went back, and not who made the version")
	_, err = h.Upload(t.Context(), "say", f.candidate(t, saying("u3")))
	require.NoError(t, err)
	require.Equal(t, back, last())
	f.add(t, "say", saying("u4"))
	file, err := h.Refresh(t.Context(), "say", "")
	require.NoError(t, err)
	require.Equal(t, file, last())
}

func TestRefresh_follows_files_that_changed_and_no_others(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	f.swap(t, h, "u2")
	c, err := h.Refresh(t.Context(), "say", "")
	require.NoError(t, err)
	require.Equal(t, c.From, c.To, "the file is what it was")
	require.Equal(t, "u2", said(t, h))
	f.add(t, "say", saying("u3"))
	_, err = h.Refresh(t.Context(), "say", "")
	require.NoError(t, err)
	require.Equal(t, "u3", said(t, h))
	require.NoError(t, os.Remove(filepath.Join(f.dir, "say")))
	_, err = h.Refresh(t.Context(), "say", "")
	require.ErrorContains(t, err, "plugin/say: read: ")
	require.Equal(t, "u3", said(t, h))
}

func TestChanges_name_what_they_cannot_find(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	module := plugin.Candidate{Module: saying("u2").Bytes()}
	_, err := h.Swap(t.Context(), "else", module, plugin.Shadow{})
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = h.Upload(t.Context(), "else", module)
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = h.Rollback(t.Context(), "else", "", "")
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = h.Detail("else")
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = h.Swap(t.Context(), "say", plugin.Candidate{}, plugin.Shadow{})
	require.ErrorIs(t, err, plugin.ErrNoCandidate)
	_, err = h.Swap(t.Context(), "say", plugin.Candidate{Version: "ab", Module: module.Module}, plugin.Shadow{})
	require.ErrorIs(t, err, plugin.ErrNoCandidate)
}

func TestReload_tells_of_each_plugin_that_comes_and_goes(t *testing.T) {
	f := newFixture(t)
	deps := f.deps()
	var told []plugin.Notice
	deps.Notice = func(n plugin.Notice) { told = append(told, n) }
	stays, goes := f.add(t, "stays", answering(envelope)), f.add(t, "goes", answering(envelope))
	h, err := plugin.New(plugin.Configs{stays, goes}, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	version := h.List()[1].Version
	require.NoError(t, h.ReloadBy(t.Context(), plugin.Configs{stays}, plugin.HowFile, "me"))
	require.Equal(t, []plugin.Notice{{Plugin: "goes", Version: version, Text: "plugin removed", How: plugin.HowFile, Who: "me"}}, told)
	told = nil
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{stays, goes}))
	require.Equal(t, []plugin.Notice{{Plugin: "goes", Version: version, Text: "plugin ready", How: plugin.HowReload}}, told)
}

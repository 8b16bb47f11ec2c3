package plugin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
)

func TestVectors_hold_whatever_is_to_serve(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, os.Mkdir(filepath.Join(f.dir, "cases"), 0o700))
	cases := func(user string) {
		text := `[{"name":"anything","hook":"transform","input":{},"want":"data","data":{"t":"a_b","topic":"user:` + user + `:events","p":{"x":1}}}]`
		require.NoError(t, os.WriteFile(filepath.Join(f.dir, "cases", "a.json"), []byte(text), 0o600))
	}
	cfg := f.add(t, "say", saying("u1"))
	cfg.Vectors = "cases"
	cases("u1")
	h := f.open(t, cfg)
	calls := func() (n uint64) {
		for _, c := range h.Stats()[0].Hooks[0].Calls {
			n += c
		}
		return n
	}
	require.Zero(t, calls(), "cases do not count as calls")

	_, err := h.Swap(t.Context(), "say", f.candidate(t, saying("u2")), plugin.Shadow{})
	var le *plugin.LoadError
	require.ErrorAs(t, err, &le)
	require.Equal(t, plugin.StepVectors, le.Step)
	require.ErrorContains(t, err, `plugin/say: vectors: "anything", case 1 of 1: `)
	require.ErrorContains(t, err, "user:u2:events")
	require.Equal(t, "u1", said(t, h))

	cases("u2")
	f.swap(t, h, "u2")
	require.Equal(t, "u2", said(t, h))
	_, err = h.Rollback(t.Context(), "say", "", "")
	require.ErrorContains(t, err, "plugin/say: vectors: ", "they are read each time")

	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "cases", "a.json"), []byte(`[{"name":`), 0o600))
	_, err = h.Rollback(t.Context(), "say", "", "")
	require.ErrorContains(t, err, "plugin/say: vectors: ")
	require.ErrorContains(t, err, "a.json")
	require.Equal(t, "u2", said(t, h))
}

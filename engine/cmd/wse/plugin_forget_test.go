package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
)

func TestForgetDropsWhatIsKeptOfAPluginOnceNoEngineRuns(t *testing.T) {
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	e, err := engine.New(cfg, engine.Options{})
	require.NoError(t, err)
	forget := func() (int, string) {
		got := wse("", "plugin", "forget", "mapping", "--set", "data_dir="+cfg.DataDir)
		return got.code, got.out + got.err
	}
	code, text := forget()
	require.Equal(t, exitFailed, code)
	require.Contains(t, text, "an engine runs on "+cfg.DataDir)
	require.NoError(t, e.Close())
	code, text = forget()
	require.Equal(t, exitOK, code)
	require.Equal(t, "mapping: forgotten; the next start serves the configuration's files\n", text)
	code, text = forget()
	require.Equal(t, exitFailed, code)
	require.Contains(t, text, `keeps nothing of a plugin "mapping"`)
}

package plugin_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

func TestConfigs_name_every_fault_by_its_path(t *testing.T) {
	good := func(change func(*plugin.Config)) plugin.Config {
		c := plugin.Config{Name: "a", Path: "a.wasm"}
		change(&c)
		return c
	}
	for _, c := range []struct {
		want string
		cfg  plugin.Config
	}{
		{"[0].name: ", good(func(c *plugin.Config) { c.Name = "A b" })},
		{"[0].path: missing", good(func(c *plugin.Config) { c.Path = "" })},
		{"[0].sha256: ", good(func(c *plugin.Config) { c.SHA256 = "12" })},
		{"[0].kinds[0]: ", good(func(c *plugin.Config) { c.Kinds = []plugin.Kind{"other"} })},
		{"[0].bind[1]: ", good(func(c *plugin.Config) { c.Bind = []string{"*", ""} })},
		{"[0].config_file: ", good(func(c *plugin.Config) { c.Config, c.ConfigFile = 1, "x" })},
		{"[0].on_error: ", good(func(c *plugin.Config) { c.OnError = "retry" })},
		{"[0].limits.fuel: ", good(func(c *plugin.Config) { c.Limits.Fuel = -1 })},
		{"[0].limits.fuel_init: ", good(func(c *plugin.Config) { c.Limits.FuelInit = 1 << 60 })},
		{"[0].limits.memory_mib: ", good(func(c *plugin.Config) { c.Limits.MemoryMiB = 5000 })},
		{"[0].limits.instances: ", good(func(c *plugin.Config) { c.Limits.Instances = -1 })},
		{"[0].limits.breaker_pause: ", good(func(c *plugin.Config) { c.Limits.BreakerPause = -time.Second })},
		{"[0].limits.scan.locals_max: ", good(func(c *plugin.Config) { c.Limits.Scan = scan.Limits{LocalsMax: -1} })},
	} {
		t.Run(c.want, func(t *testing.T) {
			err := plugin.Configs{c.cfg}.Validate()
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), c.want), err.Error())
		})
	}
	require.ErrorContains(t, plugin.Configs{good(func(*plugin.Config) {}), good(func(*plugin.Config) {})}.Validate(), `[1].name: "a" is the name of [0] already`)
	require.NoError(t, plugin.Configs{good(func(*plugin.Config) {})}.Validate())
}

func TestInstances_are_as_many_as_processors_and_at_least_two(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", answering(envelope))
	require.Zero(t, plugin.DefaultLimits().Instances)
	h := f.open(t, cfg)
	require.Equal(t, max(2, runtime.GOMAXPROCS(0)), h.List()[0].Instances)
	require.Equal(t, h.List()[0].Instances, h.Stats()[0].Instances)
	cfg.Limits.Instances = 1
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	require.Equal(t, 1, h.Stats()[0].Instances)
}

func TestDefaults_are_valid(t *testing.T) {
	c := plugin.DefaultConfig()
	c.Name, c.Path = "a", "a.wasm"
	require.NoError(t, c.Validate())
}

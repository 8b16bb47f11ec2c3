package engine_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// watched is an engine with a configuration file, and the lines that it logs.
type watched struct {
	*engine.Engine
	t     *testing.T
	dir   string // of the configuration
	lines chan string
}

// watch starts an engine on the configuration file wse.yaml in dir, which prepare has written.
func watch(t *testing.T, dir string) *watched {
	t.Helper()
	file := filepath.Join(dir, "wse.yaml")
	load := func(read func(string, []string, []string, any) error) (cfg engine.Config, err error) {
		cfg = engine.DefaultConfig()
		return cfg, read(file, nil, nil, &cfg)
	}
	cfg, err := load(config.Load)
	require.NoError(t, err)
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	cfg.Limits.DrainJitter, cfg.Lifecycle.Debounce = 0, 20*time.Millisecond
	r, out := io.Pipe()
	x := &watched{t: t, dir: dir, lines: make(chan string, 1024)}
	go func() {
		defer close(x.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			x.lines <- s.Text()
		}
	}()
	x.Engine, err = engine.New(cfg, engine.Options{
		Log: hclog.New(&hclog.LoggerOptions{Output: out, Level: hclog.Info}), Dir: dir, File: file,
		Reread: func() (plugin.Configs, error) { again, err := load(config.Reload); return again.Plugins, err },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done); _ = out.Close() })
	x.until("serving")
	return x
}

// until returns the next line that contains text, and how many with an error came before it.
func (x *watched) until(text string) (line string, errors int) {
	x.t.Helper()
	timeout := time.NewTimer(soon)
	defer timeout.Stop()
	for {
		select {
		case line := <-x.lines:
			if strings.Contains(line, text) {
				return line, errors
			}
			if strings.Contains(line, "[ERROR]") {
				errors++
			}
		case <-timeout.C:
			x.t.Fatalf("no line with %q", text)
		}
	}
}

// serves is what an event becomes.
func (x *watched) serves() string {
	x.t.Helper()
	results, err := x.PublishEvent(x.t.Context(), &message.Event{Type: "Ping", UserID: "u1", Payload: []byte(`{}`)})
	require.NoError(x.t, err)
	require.Len(x.t, results, 1)
	_, name, _ := strings.Cut(string(results[0].Topic), "user:u1:")
	return name
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace puts a file in the place of another, so that nobody sees it half written.
func replace(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(t.TempDir(), filepath.Base(path))
	write(t, next, text)
	require.NoError(t, os.Rename(next, path))
}

// rules is a table that sends every event to user:u1:NAME.
func rules(name string) string {
	return "mappings: [{event: '*', type: t, topic: 'user:{user_id}:" + name + "'}]\n"
}

const mappingOnly = "plugins: [{name: mapping, path: stock:mapping, config_file: rules/table.yaml}]\n"

func TestAChangedFileTakesEffectHoweverItIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) // makes dir/rules/table.yaml of rules("before")
		change  func(t *testing.T, dir string) // makes it rules("after")
	}{
		{"written in place", plainly, func(t *testing.T, dir string) {
			write(t, dir+"/rules/table.yaml", rules("after"))
		}},
		{"written in two parts", plainly, func(t *testing.T, dir string) {
			f, err := os.Create(dir + "/rules/table.yaml")
			require.NoError(t, err)
			_, err = f.WriteString(rules("after")[:20])
			require.NoError(t, err)
			_, err = f.WriteString(rules("after")[20:])
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}},
		{"renamed over", plainly, func(t *testing.T, dir string) {
			write(t, dir+"/rules/.table.yaml.swp", rules("after"))
			require.NoError(t, os.Rename(dir+"/rules/.table.yaml.swp", dir+"/rules/table.yaml"))
		}},
		{"removed and made again", plainly, func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(dir+"/rules/table.yaml"))
			write(t, dir+"/rules/table.yaml", rules("after"))
		}},
		{"its directory replaced", plainly, func(t *testing.T, dir string) {
			require.NoError(t, os.Mkdir(dir+"/new", 0o700))
			write(t, dir+"/new/table.yaml", rules("after"))
			require.NoError(t, os.Rename(dir+"/rules", dir+"/old"))
			require.NoError(t, os.Rename(dir+"/new", dir+"/rules"))
		}},
		{"a link to its directory turned", func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(dir+"/releases/1", 0o700))
			write(t, dir+"/releases/1/table.yaml", rules("before"))
			require.NoError(t, os.Symlink("releases/1", dir+"/rules"))
		}, func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(dir+"/releases/2", 0o700))
			write(t, dir+"/releases/2/table.yaml", rules("after"))
			require.NoError(t, os.Symlink("releases/2", dir+"/rules.new"))
			require.NoError(t, os.Rename(dir+"/rules.new", dir+"/rules"))
		}},
		{"as Kubernetes does with a ConfigMap", func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(dir+"/rules/..1", 0o700))
			write(t, dir+"/rules/..1/table.yaml", rules("before"))
			require.NoError(t, os.Symlink("..1", dir+"/rules/..data"))
			require.NoError(t, os.Symlink("..data/table.yaml", dir+"/rules/table.yaml"))
		}, turnConfigMap},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir+"/wse.yaml", mappingOnly)
			c.prepare(t, dir)
			x := watch(t, dir)
			require.Equal(t, "before", x.serves())
			c.change(t, dir)
			line, _ := x.until("plugin swapped")
			require.Contains(t, line, "how=file")
			require.Equal(t, "after", x.serves())
			write(t, dir+"/rules/table.yaml", rules("again"))
			x.until("plugin swapped")
			require.Equal(t, "again", x.serves(), "what came in its place is watched, too")
		})
	}
}

func plainly(t *testing.T, dir string) {
	require.NoError(t, os.Mkdir(dir+"/rules", 0o700))
	write(t, dir+"/rules/table.yaml", rules("before"))
}

func turnConfigMap(t *testing.T, dir string) {
	require.NoError(t, os.MkdirAll(dir+"/rules/..2", 0o700))
	write(t, dir+"/rules/..2/table.yaml", rules("after"))
	require.NoError(t, os.Symlink("..2", dir+"/rules/..data_tmp"))
	require.NoError(t, os.Rename(dir+"/rules/..data_tmp", dir+"/rules/..data"))
	require.NoError(t, os.RemoveAll(dir+"/rules/..1"))
}

func TestAChangeThatIsRefusedIsTriedOnceAndTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wse.yaml", mappingOnly)
	plainly(t, dir)
	x := watch(t, dir)
	for _, bad := range []string{"mappings: [", "", "mappings: [{event: 7}]"} {
		replace(t, dir+"/rules/table.yaml", bad)
		line, _ := x.until("candidate refused")
		require.Contains(t, line, "plugin/mapping: conf")
		require.Equal(t, "before", x.serves())
	}
	require.NoError(t, os.Remove(dir+"/rules/table.yaml"))
	line, _ := x.until("candidate refused")
	require.Contains(t, line, "no such file")
	require.Equal(t, "before", x.serves())
	for range 3 { // what happens beside it is no reason to try it again
		write(t, dir+"/rules/other", "x")
		require.NoError(t, os.Remove(dir+"/rules/other"))
	}
	replace(t, dir+"/rules/table.yaml", rules("before"))
	replace(t, dir+"/rules/table.yaml", rules("after"))
	_, errors := x.until("plugin swapped")
	require.Zero(t, errors)
	require.Equal(t, "after", x.serves())
}

func TestAChangedConfigurationFileIsAReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wse.yaml", mappingOnly)
	plainly(t, dir)
	x := watch(t, dir)

	replace(t, dir+"/wse.yaml", "plugins: [")
	x.until("reload refused")
	require.Equal(t, "before", x.serves())

	write(t, dir+"/second.yaml", rules("second"))
	replace(t, dir+"/wse.yaml", strings.ReplaceAll(mappingOnly, "rules/table.yaml", "second.yaml"))
	x.until("reloaded")
	require.Equal(t, "second", x.serves())
	write(t, dir+"/second.yaml", rules("third"))
	x.until("plugin swapped")
	require.Equal(t, "third", x.serves(), "the files that it names now are watched")
}

func TestAConfigurationThatNamesAFileBeforeItIsThereIsTriedAgainOnceItIs(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wse.yaml", mappingOnly)
	plainly(t, dir)
	x := watch(t, dir)
	replace(t, dir+"/wse.yaml", strings.ReplaceAll(mappingOnly, "rules/table.yaml", "later/table.yaml"))
	x.until("reload refused")
	replace(t, dir+"/rules/table.yaml", rules("meanwhile"))
	x.until("plugin swapped")
	require.Equal(t, "meanwhile", x.serves(), "the configuration in force goes on being followed")
	require.NoError(t, os.Mkdir(dir+"/later", 0o700))
	write(t, dir+"/later/table.yaml", rules("later"))
	x.until("reloaded")
	require.Equal(t, "later", x.serves())
}

func TestAChangedModuleIsSwappedWithoutTouchingOtherPlugins(t *testing.T) {
	dir := t.TempDir()
	module := func(name string) {
		answer := `{"t":"t","topic":"user:u1:` + name + `","p":{}}`
		m := w.Plugin(w.Module{
			Funcs: []w.Func{w.Hook("wse_transform", w.Pack(1024, len(answer)))}, Data: []w.Data{{At: 1024, Bytes: []byte(answer)}},
		})
		require.NoError(t, os.WriteFile(dir+"/mine.wasm", m.Bytes(), 0o600))
	}
	module("before")
	write(t, dir+"/table.yaml", rules("other"))
	write(t, dir+"/wse.yaml", "plugins: [{name: mine, path: mine.wasm}, {name: mapping, path: stock:mapping, config_file: table.yaml}]")
	x := watch(t, dir)
	require.Equal(t, "before", x.serves())

	write(t, dir+"/table.yaml", "mappings: [") // what is wrong with one plugin does not keep another from being swapped
	module("after")
	line, _ := x.until("plugin swapped")
	require.Contains(t, line, "plugin=mine")
	require.Equal(t, "after", x.serves())
}

func TestWithoutWatchingAChangedFileWaitsForAReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wse.yaml", mappingOnly+"lifecycle: {watch: false}\n")
	plainly(t, dir)
	x := watch(t, dir)
	write(t, dir+"/rules/table.yaml", rules("after"))
	require.Equal(t, "before", x.serves())
	require.NoError(t, x.Reload(t.Context()))
	line, _ := x.until("plugin swapped")
	require.Contains(t, line, "how=reload")
	require.Equal(t, "after", x.serves())
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/plugins"
)

// pluginAuthor returns the commands for a plugin that is being written. They need no engine and read no configuration of
// one.
func pluginAuthor(g *globals) []*cobra.Command {
	return []*cobra.Command{newPluginNew(g), newPluginInspect(g), newPluginRun(g), newPluginTest(g), newPluginBench(g)}
}

// authoring is what the commands for authors have in common.
type authoring struct {
	*globals
	configFile string
	limits     plugin.Limits
	asJSON     bool
}

// flags adds the flags of every command that opens a module.
func (a *authoring) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&a.configFile, "config", "", "the plugin's configuration, a YAML or JSON `FILE` (default none)")
	flags.Int64Var(&a.limits.Fuel, "fuel", 0, "`UNITS` of fuel a call, the limit fuel (default 10000000)")
	flags.IntVar(&a.limits.MemoryMiB, "memory-mib", 0, "`MIB` of memory, the limit memory_mib (default 16)")
	flags.BoolVar(&a.asJSON, "json", false, "print JSON")
}

// target is what a command is asked to work on.
type target struct {
	file     string // as errors call it
	dir      string // where its vectors are
	specimen plugin.Specimen
}

// moduleMiBMax is what a tool reads of a file. What the engine admits is its own limit, and less by default.
const moduleMiBMax = 64

// target reads the module that path names: a file, a guest's directory with plugin.wasm (or one other .wasm) in it, or
// stock:NAME.
func (a *authoring) target(cmd *cobra.Command, path string) (*target, error) {
	if err := (plugin.Config{Name: "x", Path: "x", Limits: a.limits}).Validate(); err != nil {
		return nil, misused(cmd, "%w", err)
	}
	t := &target{file: path, specimen: plugin.Specimen{Limits: a.limits, Answer: ingest.NewAnswer(ingest.DefaultConfig())}}
	var err error
	if name, stock := strings.CutPrefix(path, "stock:"); stock {
		var ok bool
		if t.specimen.Module, ok = plugins.Stock(name); !ok {
			return nil, fmt.Errorf("there is no stock plugin %q; there are %s", name, strings.Join(plugins.Names(), ", "))
		}
	} else if err = t.read(path); err != nil {
		return nil, err
	}
	t.specimen.Name = t.file
	t.specimen.Config, err = a.pluginConfig()
	return t, err
}

func (t *target) read(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	t.dir = filepath.Dir(path)
	if info.IsDir() {
		t.dir = path
		if t.file, err = moduleIn(path); err != nil {
			return err
		}
		if info, err = os.Stat(t.file); err != nil {
			return err
		}
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", t.file)
	}
	if info.Size() > moduleMiBMax<<20 {
		return fmt.Errorf("%s has more than %d MiB", t.file, moduleMiBMax)
	}
	t.specimen.Module, err = os.ReadFile(t.file)
	return err
}

// vectors is where the vectors are: beside the module, or where several languages share them above it.
func (t *target) vectors() string {
	own, shared := filepath.Join(t.dir, "vectors"), filepath.Join(t.dir, "..", "vectors")
	if _, err := os.Stat(own); err != nil {
		if _, err := os.Stat(shared); err == nil {
			return shared
		}
	}
	return own
}

// moduleIn finds the module of a guest's directory.
func moduleIn(dir string) (string, error) {
	file := filepath.Join(dir, "plugin.wasm")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var found []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".wasm") {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s holds no plugin.wasm; build it first (make -C %s), or name the file", dir, dir)
	}
	return found[0], nil
}

// pluginConfig reads --config as an engine reads a plugin's config_file.
func (a *authoring) pluginConfig() ([]byte, error) {
	if a.configFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(a.configFile)
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil, fmt.Errorf("%s is empty; to run the plugin without rules, write {}", a.configFile)
	}
	out, err := config.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.configFile, err)
	}
	return out, nil
}

// workbench hands a workbench to use. It keeps what it compiles in the user's cache directory, so that the next command does not
// compile it again, or where there is none in a temporary one.
func workbench(use func(*plugin.Workbench) error) (err error) {
	if dir, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(dir, "wse")
		if os.MkdirAll(dir, 0o700) == nil {
			return use(plugin.NewWorkbench(dir))
		}
	}
	dir, err := os.MkdirTemp("", "wse-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return use(plugin.NewWorkbench(dir))
}

// opened makes the module ready and hands it to use.
func (t *target) opened(ctx context.Context, use func(*plugin.Workbench, *plugin.Workpiece) error) error {
	return workbench(func(w *plugin.Workbench) error {
		p, err := w.Open(ctx, t.specimen)
		if err != nil {
			return t.refused(err)
		}
		defer p.Close()
		return use(w, p)
	})
}

// refused names the file where an engine would name the plugin.
func (t *target) refused(err error) error {
	var refused *plugin.LoadError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: the engine would refuse it: %s: %w", t.file, refused.Step, refused.Err)
	}
	return err
}

// printJSON prints v on lines of its own.
func (a *authoring) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return a.printf("%s\n", text)
}

// row prints one line of a report.
func (a *authoring) row(name, format string, args ...any) {
	_ = a.printf("%-11s%s\n", name, fmt.Sprintf(format, args...))
}

// grouped writes a number with commas between its thousands.
func grouped[T int | int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// sized writes a number of bytes in a unit that fits.
func sized(bytes int) string {
	switch {
	case bytes >= 10<<20:
		return grouped(bytes>>20) + " MiB"
	case bytes >= 1<<10:
		return grouped(bytes>>10) + " KiB"
	}
	return grouped(bytes) + " bytes"
}

// lasted writes a duration with three digits.
func lasted(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

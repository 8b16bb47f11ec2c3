package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/lines"
	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

// Compiling a hostile module can take minutes and gigabytes, so a module that this installation has not compiled before
// is compiled by a child process first: the program itself, started with childEnv in its environment, under a limit of
// memory, CPU time and a deadline. What it leaves behind is wazero's cache file, from which the parent loads in
// milliseconds; compile_cache.go tells what else is kept there.

const childEnv = "WSE_PLUGIN_COMPILE"

// refused is the exit code of a child that found the module at fault; any other is a crash.
const refused = 1

// compiledMark is what a child says when the module is compiled and only its lines are to be read.
const compiledMark = "compiled"

// job is what a child is told. It reads the module, as its author made it, from its standard input.
type job struct {
	Recipe recipe
	Dir    string // where wazero keeps what it compiled
	MiB    int
	Limit  time.Duration
}

// CompileChildMain compiles a module and ends the process, if this process was started for that; otherwise it returns
// at once. A program that uses this package calls it first thing in main, and so does TestMain of a package that loads
// plugins other than stock ones.
func CompileChildMain() {
	told := os.Getenv(childEnv)
	if told == "" {
		return
	}
	if err := compileChild(told, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(refused)
	}
	os.Exit(0)
}

func compileChild(told string, wasm io.Reader) error {
	var j job
	if err := json.Unmarshal([]byte(told), &j); err != nil {
		return fmt.Errorf("%s: %w", childEnv, err)
	}
	if err := limitChild(j.MiB, j.Limit); err != nil {
		return fmt.Errorf("limits of the child: %w", err)
	}
	debug.SetMemoryLimit(int64(j.MiB) << 20 * 3 / 4)
	bin, err := io.ReadAll(wasm)
	if err != nil {
		return err
	}
	m, err := scan.Scan(bin, j.Recipe.Scan)
	if err != nil {
		return err
	}
	var moves meter.Moves
	metered, err := j.Recipe.rewrite(bin, m, &moves)
	if err != nil {
		return err
	}
	c, err := compileHere(context.Background(), metered, j.Dir, j.Recipe.Pages)
	if err != nil {
		return err
	}
	if err := c.close(); err != nil {
		return err
	}
	// The module is compiled. Whatever its debug information does from here on is no reason to refuse it.
	fmt.Println(compiledMark)
	time.AfterFunc(2*linesTime, func() { os.Exit(0) }) // should the reader of debug information not come back
	cached{j.Dir}.writeLines(bin, m, &moves)
	return nil
}

// compiled is a module with the runtime it lives in.
type compiled struct {
	cache  wazero.CompilationCache
	rt     wazero.Runtime
	module wazero.CompiledModule
	lines  func() *lines.Table // read when a trap first asks
	prefix func() string       // of functions in the runtime's stacks: the module's own name
}

func (c *compiled) close() error {
	ctx := context.Background()
	return errors.Join(c.rt.Close(ctx), c.cache.Close(ctx))
}

// compileHere compiles in this process, or loads from the cache in dir.
func compileHere(ctx context.Context, wasm []byte, dir string, pages uint32) (*compiled, error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	// What debug information there is, the rewriter wrote: see meter.Options.Offsets.
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2).
		WithCompilationCache(cache).WithMemoryLimitPages(pages).WithDebugInfoEnabled(true))
	c := &compiled{cache: cache, rt: rt, lines: sync.OnceValue(cached{dir}.readLines)}
	c.prefix = sync.OnceValue(func() string {
		for _, f := range c.module.ExportedFunctions() {
			return f.ModuleName() + "."
		}
		return ""
	})
	if c.module, err = rt.CompileModule(ctx, wasm); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func compileInChild(ctx context.Context, wasm []byte, j job) error {
	if os.Getenv(childEnv) != "" {
		return errors.New("this process was started to compile a module, but its main does not call plugin.CompileChildMain")
	}
	told, err := json.Marshal(j)
	if err != nil {
		return err
	}
	exe, err := executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, j.Limit)
	defer cancel()
	stdout, stderr := &headWriter{most: 64}, &headWriter{most: 4096}
	cmd := exec.CommandContext(ctx, exe, "plugin-compile-child")
	cmd.Env = []string{childEnv + "=" + string(told)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(wasm), stdout, stderr, time.Second
	err = cmd.Run()
	switch {
	case err == nil, stdout.String() == compiledMark+"\n":
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("took longer than %v (compile_timeout)", j.Limit)
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() != refused:
		first, _, _ := strings.Cut(stderr.String(), "\n")
		return fmt.Errorf("the compiler crashed, which it does when it needs more than %d MiB (compile_mib): %s", j.MiB, first)
	default:
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return fmt.Errorf("%s (compiler: %w)", first, err)
	}
}

// executable is this program, even after its file was replaced.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// headWriter keeps the first bytes of what a child says.
type headWriter struct {
	buf  bytes.Buffer
	most int
}

func (w *headWriter) Write(p []byte) (int, error) {
	w.buf.Write(p[:min(len(p), w.most-w.buf.Len())])
	return len(p), nil
}

func (w *headWriter) String() string { return w.buf.String() }

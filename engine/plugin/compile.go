package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Compiling a hostile module can take minutes and gigabytes, so a module that this installation has not compiled before
// is compiled by a child process first: the program itself, started with childEnv in its environment, under a limit of
// memory, CPU time and a deadline. What it leaves behind is wazero's cache file, from which the parent loads in
// milliseconds, and the parent's note that this module is known to compile within its limits.

const childEnv = "WSE_PLUGIN_COMPILE"

// refused is the exit code of a child that found the module at fault; any other is a crash.
const refused = 1

// job is what a child is told.
type job struct {
	Cache string
	MiB   int
	Limit time.Duration
	Pages uint32
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
	c, err := compileHere(context.Background(), bin, j.Cache, j.Pages)
	if err != nil {
		return err
	}
	return c.close()
}

// compiled is a module with the runtime it lives in.
type compiled struct {
	cache  wazero.CompilationCache
	rt     wazero.Runtime
	module wazero.CompiledModule
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
	// Without debug information: its line numbers belong to the code before the rewriting, and parsing it is work that
	// a hostile module could make endless. Function names come from the name section.
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2).
		WithCompilationCache(cache).WithMemoryLimitPages(pages).WithDebugInfoEnabled(false))
	c := &compiled{cache: cache, rt: rt}
	if c.module, err = rt.CompileModule(ctx, wasm); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// compile makes a rewritten module ready. Modules inside the program are trusted and compiled here.
func (h *Host) compile(ctx context.Context, cfg *Config, wasm []byte) (*compiled, error) {
	dir, err := h.cacheDir()
	if err != nil {
		return nil, err
	}
	pages := uint32(cfg.Limits.MemoryMiB * pagesPerMiB)
	sum := sha256.Sum256(wasm)
	note := filepath.Join(dir, "compiled-"+hex.EncodeToString(sum[:]))
	if _, err := os.Stat(note); err != nil && !isStock(cfg.Path) {
		if err := compileInChild(ctx, wasm, job{dir, cfg.Limits.CompileMiB, cfg.Limits.CompileTimeout, pages}); err != nil {
			return nil, err
		}
		if err := os.WriteFile(note, nil, 0o600); err != nil {
			return nil, err
		}
	}
	c, err := compileHere(ctx, wasm, dir, pages)
	if err == nil {
		return c, nil
	}
	// The module compiled before, so the cache must be damaged: once more from nothing.
	stale, _ := filepath.Glob(filepath.Join(dir, "wazero-*"))
	for _, d := range stale {
		if err := os.RemoveAll(d); err != nil {
			return nil, err
		}
	}
	return compileHere(ctx, wasm, dir, pages)
}

// cacheDir makes the cache's directory, which nobody else may write to: what lies there is executed.
func (h *Host) cacheDir() (string, error) {
	dir := filepath.Join(h.deps.DataDir, "plugins", "cache")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s may be written to by others (mode %04o); make it 0700", dir, perm)
	}
	if !ownedByUs(info) { // its owner may write to it, whatever the mode, and would in a shared directory have made it first
		return "", fmt.Errorf("%s belongs to another user; remove it, or choose another data_dir", dir)
	}
	return dir, nil
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
	stderr := &headWriter{most: 4096}
	cmd := exec.CommandContext(ctx, exe, "plugin-compile-child")
	cmd.Env = []string{childEnv + "=" + string(told)}
	cmd.Stdin, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(wasm), stderr, time.Second
	err = cmd.Run()
	switch {
	case err == nil:
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

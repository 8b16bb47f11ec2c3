package plugin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/scan"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

func TestCache_keeps_what_was_used_last(t *testing.T) {
	dir := t.TempDir()
	entry := func(name string, size int, age time.Duration) string {
		path := filepath.Join(dir, strings.Repeat(name, 2*sha256.Size))
		require.NoError(t, os.MkdirAll(filepath.Join(path, "wazero-v1"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "wazero-v1", "code"), make([]byte, size), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(path, "module"), nil, 0o600))
		used := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(path, "module"), used, used))
		return path
	}
	old, middle, young := entry("a", 1000, time.Hour), entry("b", 1000, time.Minute), entry("c", 1000, 0)
	stray := filepath.Join(dir, "compiled-0123")
	require.NoError(t, os.WriteFile(stray, nil, 0o600))
	working, abandoned := filepath.Join(dir, workshop+"1"), filepath.Join(dir, workshop+"2")
	require.NoError(t, os.Mkdir(working, 0o700))
	require.NoError(t, os.Mkdir(abandoned, 0o700))
	long := time.Now().Add(-2 * workshopAge)
	require.NoError(t, os.Chtimes(abandoned, long, long))
	orphan, held := filepath.Join(dir, workshop+"3"), filepath.Join(dir, workshop+"4")
	for _, shop := range []string{orphan, held} {
		require.NoError(t, os.Mkdir(shop, 0o700))
		since := time.Now().Add(-2 * workshopYoung)
		require.NoError(t, os.Chtimes(shop, since, since))
	}
	hold, err := holdDir(held)
	require.NoError(t, err)
	defer func() { require.NoError(t, hold.Close()) }()
	prune(dir, 2500)
	require.DirExists(t, working, "another process compiles there")
	require.DirExists(t, held, "for longer than most")
	require.NoDirExists(t, orphan, "who made it died")
	require.NoDirExists(t, abandoned)
	require.NoDirExists(t, old)
	require.DirExists(t, middle)
	require.DirExists(t, young)
	require.NoFileExists(t, stray, "what is no entry goes as well")
	prune(dir, 1)
	require.NoDirExists(t, middle)
	require.DirExists(t, young, "it has just been made")
}

// What scan and rewriter made of a module is in the caches of engines that are running. This notices that their code has
// changed, comments aside.
func TestCache_is_told_when_scan_or_rewriter_change(t *testing.T) {
	sum := sha256.New()
	for _, dir := range []string{"scan", "meter"} {
		files, err := filepath.Glob(dir + "/*.go")
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			require.NoError(t, err)
			var sc scanner.Scanner
			sc.Init(token.NewFileSet().AddFile(file, -1, len(src)), src, nil, 0) // without comments
			for _, tok, text := sc.Scan(); tok != token.EOF; _, tok, text = sc.Scan() {
				fmt.Fprintln(sum, tok, text)
			}
		}
	}
	const known = "4 b376b8611f5ac2e3"
	require.Equal(t, known, fmt.Sprintf("%d %x", admission, sum.Sum(nil)[:8]),
		"if modules are admitted or rewritten differently now, raise admission; then put the new value here")
}

// Many make the same entry at once, as processes do that share a cache, and a damaged one may be there before.
func TestCache_entries_that_are_made_at_once_do_not_get_in_each_others_way(t *testing.T) {
	const makers, rounds = 8, 200
	for round := range rounds {
		dir := t.TempDir()
		entry := cached{filepath.Join(dir, "entry")}
		if round%2 == 0 {
			require.NoError(t, os.Mkdir(entry.dir, 0o700))
			require.NoError(t, os.WriteFile(entry.file(), []byte("damaged"), 0o600))
		}
		shops := make([]string, makers)
		for i := range shops {
			shops[i] = filepath.Join(dir, workshop+fmt.Sprint(i))
			require.NoError(t, os.MkdirAll(filepath.Join(shops[i], "wazero-1"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(shops[i], "wazero-1", "code"), []byte("code"), 0o600))
			require.NoError(t, cached{shops[i]}.write([]byte("metered")))
		}
		errs := make([]error, makers)
		var all sync.WaitGroup
		for i, shop := range shops {
			all.Go(func() { errs[i] = entry.replace(shop, round%4 == 0) })
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...), "round %d", round)
		metered, whole := entry.read()
		require.True(t, whole)
		require.Equal(t, "metered", string(metered))
		aside, err := filepath.Glob(filepath.Join(dir, "*-aside"))
		require.NoError(t, err)
		require.Empty(t, aside)
	}
}

func TestCache_knows_a_module_only_under_the_limits_it_was_admitted_with(t *testing.T) {
	m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}).Bytes()
	h := &Host{deps: Deps{DataDir: t.TempDir(), Stock: func(string) ([]byte, bool) { return m, true }}}
	known := map[string]bool{}
	for _, change := range []func(*Limits){
		func(*Limits) {}, func(l *Limits) { l.FuelInit++ }, func(l *Limits) { l.MemoryMiB++ }, func(l *Limits) { l.Scan.LocalsMax-- },
	} {
		c := DefaultConfig()
		c.Name, c.Path = "x", "stock:x"
		change(&c.Limits)
		s, err := h.read(c)
		require.NoError(t, err)
		r := newRecipe(&s.cfg.Limits)
		entry, err := h.cached(&r, s.digest)
		require.NoError(t, err)
		_, there := entry.read()
		require.False(t, there)
		b, err := h.build(t.Context(), s)
		require.NoError(t, err)
		require.NoError(t, b.compiled.close())
		_, there = entry.read()
		require.True(t, there)
		known[entry.dir] = true
	}
	require.Len(t, known, 4)
}

func TestCache_keeps_no_lines_of_a_module_too_large_for_them(t *testing.T) {
	wasm, err := os.ReadFile("testdata/trap-O2.wasm")
	require.NoError(t, err)
	r := newRecipe(new(DefaultConfig().withDefaults().Limits))
	m, err := scan.Scan(wasm, r.Scan)
	require.NoError(t, err)
	marked := func(size int) bool {
		m.Instructions = size
		out, err := r.rewrite(wasm, m, nil)
		require.NoError(t, err)
		return strings.Contains(string(out), ".debug_line")
	}
	require.True(t, marked(linesInstructionsMax))
	require.False(t, marked(linesInstructionsMax+1))
}

// What wazero keeps has a checksum of the machine code, but not of where its functions begin.
func TestCache_does_not_run_compiled_code_that_was_damaged_anywhere(t *testing.T) {
	m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}).Bytes()
	h := &Host{deps: Deps{DataDir: t.TempDir(), Stock: func(string) ([]byte, bool) { return m, true }}}
	c := DefaultConfig()
	c.Name, c.Path = "x", "stock:x"
	s, err := h.read(c)
	require.NoError(t, err)
	r := newRecipe(&s.cfg.Limits)
	entry, err := h.cached(&r, s.digest)
	require.NoError(t, err)
	build := func() {
		b, err := h.build(t.Context(), s)
		require.NoError(t, err)
		require.NoError(t, b.compiled.close())
		_, whole := entry.read()
		require.True(t, whole)
	}
	build()
	files, err := filepath.Glob(filepath.Join(entry.dir, "wazero-*", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	code, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for at := range code {
		broken := slices.Clone(code)
		broken[at] ^= 0x05
		require.NoError(t, os.WriteFile(files[0], broken, 0o600))
		_, whole := entry.read()
		require.False(t, whole, "byte %d", at)
	}
	require.NoError(t, os.Remove(files[0]))
	_, whole := entry.read()
	require.False(t, whole, "what is not there would be compiled by this process")
	build()
	require.FileExists(t, files[0])
}

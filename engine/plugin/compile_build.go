package plugin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// built is an admitted module, ready to be instantiated.
type built struct {
	module   *scan.Module // its outline: imports and exports
	has      [hookCount]bool
	compiled *compiled
}

// build takes the steps from scan to compile. What is in the cache was scanned, rewritten and compiled before under the
// same limits; then only its outline is read again, for exports and imports.
func (h *Host) build(ctx context.Context, s *source) (*built, error) {
	name, r := s.cfg.Name, newRecipe(&s.cfg.Limits)
	entry, err := h.cached(&r, s.digest)
	if err != nil {
		return nil, failed(name, StepCompile, err)
	}
	metered, known := entry.read()
	look := scan.Scan
	if known {
		look = scan.Outline
	}
	b := &built{}
	if b.module, err = look(s.wasm, s.cfg.Limits.Scan); err != nil {
		return nil, failed(name, StepScan, err)
	}
	if b.has, err = checkExports(b.module, s.cfg.Kinds); err != nil {
		return nil, failed(name, StepExports, err)
	}
	if err := checkImports(b.module); err != nil {
		return nil, failed(name, StepImports, err)
	}
	if !known {
		if metered, err = r.rewrite(s.wasm, b.module, nil); err != nil {
			return nil, failed(name, StepRewrite, err)
		}
	}
	if b.compiled, err = h.compile(ctx, s, &r, entry, metered, known); err != nil {
		return nil, failed(name, StepCompile, err)
	}
	return b, nil
}

// compile makes a rewritten module ready, from the cache where it is known.
func (h *Host) compile(ctx context.Context, s *source, r *recipe, entry cached, metered []byte, known bool) (*compiled, error) {
	if known {
		if c, err := compileHere(ctx, metered, entry.dir, r.Pages); err == nil {
			return c, nil
		}
		// The module compiled before, so the cache must be damaged: once more from nothing.
	}
	h.compiling.Lock()
	defer h.compiling.Unlock()
	shop, err := os.MkdirTemp(filepath.Dir(entry.dir), workshop+"*") // mode 0700
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(shop) }() // of which nothing is left where it became the entry
	if held, err := holdDir(shop); err == nil {
		defer func() { _ = held.Close() }()
	}
	c, err := compileNew(ctx, s, r, cached{shop}, metered)
	if err != nil {
		return nil, err
	}
	if err := entry.replace(shop, known); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.lines = sync.OnceValue(entry.readLines) // they are no longer where they were made
	prune(filepath.Dir(entry.dir), int64(h.deps.Lifecycle.CacheMiBMax)<<20)
	return c, nil
}

// compileNew compiles what is not in the cache, in a child process but for the modules inside the program, which are
// trusted, and keeps it there.
func compileNew(ctx context.Context, s *source, r *recipe, entry cached, metered []byte) (*compiled, error) {
	if !s.inside {
		l := &s.cfg.Limits
		if err := compileInChild(ctx, s.wasm, job{Recipe: *r, Dir: entry.dir, MiB: l.CompileMiB, Limit: l.CompileTimeout}); err != nil {
			return nil, err
		}
	}
	c, err := compileHere(ctx, metered, entry.dir, r.Pages)
	if err != nil {
		return nil, err
	}
	if err := entry.write(metered); err != nil {
		_ = c.close()
		return nil, err
	}
	return c, nil
}

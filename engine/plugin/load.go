package plugin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/plugin/scan"
	"github.com/wse-engine/wse/sdk/abi"
)

const stockPrefix = "stock:"

func isStock(path string) bool { return strings.HasPrefix(path, stockPrefix) }

func failed(name string, step Step, err error) error {
	return &LoadError{Plugin: name, Step: step, Err: err}
}

// read takes the steps read, digest and config for the files that c names.
func (h *Host) read(c Config) (*source, error) {
	c = c.withDefaults()
	wasm, err := h.readModule(&c)
	if err != nil {
		return nil, failed(c.Name, StepRead, err)
	}
	config, err := h.readConfig(&c)
	if err != nil {
		return nil, failed(c.Name, StepConfig, err)
	}
	s, err := newSource(c, wasm, config)
	if err == nil {
		s.inside = isStock(c.Path)
	}
	return s, err
}

func (h *Host) readModule(c *Config) ([]byte, error) {
	if name, stock := strings.CutPrefix(c.Path, stockPrefix); stock {
		if h.deps.Stock != nil {
			if wasm, ok := h.deps.Stock(name); ok {
				return wasm, nil
			}
		}
		return nil, fmt.Errorf("there is no stock plugin %q", name)
	}
	return readLimited(h.path(c.Path), c.Limits.Scan.ModuleKiBMax)
}

// path resolves a path of the configuration file.
func (h *Host) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(h.deps.ConfigDir, p)
}

func readLimited(path string, kib int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var data bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() { // a buffer that grows copies megabytes (BenchmarkLoadCachedGo)
		data.Grow(int(min(info.Size(), int64(kib)<<10)) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(f, int64(kib)<<10+1)); err != nil {
		return nil, err
	}
	if data.Len() > kib<<10 {
		return nil, fmt.Errorf("%s has more than %d KiB", path, kib)
	}
	return data.Bytes(), nil
}

// readConfig returns what the guest is configured with, as JSON.
func (h *Host) readConfig(c *Config) ([]byte, error) {
	if c.ConfigFile == "" {
		if c.Config == nil {
			return nil, nil
		}
		return json.Marshal(c.Config)
	}
	data, err := readLimited(h.path(c.ConfigFile), c.Limits.InKiB)
	if err != nil {
		return nil, err
	}
	if h.deps.DecodeYAML == nil {
		return nil, fmt.Errorf("%s: this host reads no YAML", c.ConfigFile)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		// An editor that writes in place empties the file first; taking that for "no rules" would drop them all.
		return nil, fmt.Errorf("%s is empty; to run the plugin without rules, write {}", c.ConfigFile)
	}
	out, err := h.deps.DecodeYAML(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ConfigFile, err)
	}
	return out, nil
}

// load takes the remaining steps, up to a pool of configured instances.
func (h *Host) load(ctx context.Context, s *source) (*version, error) {
	b, err := h.build(ctx, s)
	if err != nil {
		return nil, err
	}
	v := newVersion(h, s, b.compiled, b.has)
	err = v.fill(ctx, b.module)
	if err == nil {
		err = h.checkVectors(ctx, s)
	}
	if err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func newVersion(h *Host, s *source, c *compiled, has [hookCount]bool) *version {
	v := &version{
		host: h, cfg: s.cfg, id: s.id(), digest: s.digest, print: s.print, config: bytes.Clone(s.json), sums: s.digests(),
		compiled: c, has: has, size: len(s.wasm), loaded: time.Now(),
	}
	v.epoch = time.Duration(v.loaded.UnixNano())
	v.breaker.limit, v.breaker.pause = int32(s.cfg.Limits.BreakerTraps), s.cfg.Limits.BreakerPause
	v.logs.most = s.cfg.Limits.LogLinesPerSecond
	v.cache.init(s.cfg.Limits.CacheKiB << 10)
	return v
}

// fill makes all instances, so that a module that cannot start is refused now and not at the first call: one, and when
// that is ready the others, side by side. Of a plugin that only runs strategies it makes one to see that it starts.
func (v *version) fill(ctx context.Context, m *scan.Module) error {
	if err := instantiateHost(ctx, v.compiled.rt, m); err != nil {
		return failed(v.cfg.Name, StepInstantiate, err)
	}
	if _, ok := m.Export(abi.ExportTransformBatch, scan.KindFunction); ok {
		v.batching.most = v.cfg.Limits.BatchEventsMax
	}
	if !v.pooled() {
		in, err := v.firstInstance(ctx)
		if err == nil {
			v.lose(in)
		}
		return err
	}
	if err := v.add(ctx); err != nil {
		return err
	}
	more := v.cfg.Limits.Instances - 1
	errs := make([]error, more)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(more, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(more); i = next.Add(1) - 1 {
				errs[i] = v.add(ctx)
			}
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// add puts one more instance into the pool.
func (v *version) add(ctx context.Context) error {
	in, err := v.firstInstance(ctx)
	if err == nil {
		v.pool.give(in)
	}
	return err
}

// hook is one of the functions that the host calls for every document.
type hook uint8

const (
	hookTransform hook = iota
	hookValidate
	hookAuthorize
	hookOpen // the three of a strategy
	hookTicks
	hookUpdate

	hookCount
)

func (h hook) export() string {
	return [hookCount]string{
		abi.ExportTransform, abi.ExportValidate, abi.ExportAuthorize, abi.ExportStrategyOpen, abi.ExportStrategyTicks, abi.ExportStrategyUpdate,
	}[h]
}

func (h hook) kind() Kind {
	return [hookCount]Kind{Transform, Validate, Authorize, KindStrategy, KindStrategy, KindStrategy}[h]
}

// name is the export without wse_, the label that counters carry.
func (h hook) name() string { return h.export()[len("wse_"):] }

// stateful tells the hooks of a strategy, whose instances stand outside the pool.
func (h hook) stateful() bool { return h >= hookOpen }

const (
	signI32 = string(scan.I32)
	signI64 = string(scan.I64)
)

// checkExports returns which hooks the plugin is used for.
func checkExports(m *scan.Module, kinds []Kind) (has [hookCount]bool, err error) {
	if e, ok := m.Export(abi.ExportMemory, scan.KindMemory); !ok || e.Index != 0 || m.ImportedMemory {
		return has, fmt.Errorf("no memory of its own is exported as %q", abi.ExportMemory)
	}
	if _, ok := m.Export(abi.ExportABI, scan.KindFunction); !ok {
		return has, missingABI(m)
	}
	for _, f := range []struct {
		name, params, results string
		must                  bool
	}{
		{abi.ExportABI, "", signI32, true}, {abi.ExportBuffer, signI32, signI32, true},
		{abi.ExportConfigure, signI32, signI64, false}, {abi.ExportTransform, signI32, signI64, false},
		{abi.ExportTransformBatch, signI32, signI64, false}, {abi.ExportValidate, signI32, signI64, false},
		{abi.ExportAuthorize, signI32, signI64, false}, {abi.ExportStrategyOpen, signI32, signI64, false},
		{abi.ExportStrategyTicks, signI32, signI64, false}, {abi.ExportStrategyUpdate, signI32, signI64, false},
		{abi.ExportInitialize, "", "", false},
	} {
		e, ok := m.Export(f.name, scan.KindFunction)
		if !ok && f.must {
			return has, fmt.Errorf("no function is exported as %q", f.name)
		}
		if want := (scan.FuncType{Params: []byte(f.params), Results: []byte(f.results)}); ok && !m.Type(e.Index).Equal(f.params, f.results) {
			return has, fmt.Errorf("%s has type %s, it must be %s", f.name, m.Type(e.Index), want)
		}
	}
	return usedHooks(m, kinds)
}

// missingABI tells a module of another version from one that is no plugin.
func missingABI(m *scan.Module) error {
	for _, e := range m.Exports {
		if v, ok := strings.CutPrefix(e.Name, "wse_abi_v"); ok {
			return fmt.Errorf("is built for ABI version %s, this host speaks %d", printable([]byte(v), nameBytesShown), abi.Version)
		}
	}
	return fmt.Errorf("does not export %q: this is no plugin, or its SDK left the exports out", abi.ExportABI)
}

// usedHooks matches what the module exports with what the configuration wants of it.
func usedHooks(m *scan.Module, kinds []Kind) (has [hookCount]bool, err error) {
	var exported [hookCount]bool
	strategy := 0
	for h := range hookCount {
		if _, exported[h] = m.Export(h.export(), scan.KindFunction); exported[h] && h.stateful() {
			strategy++
		}
	}
	if strategy != 0 && strategy != int(hookCount-hookOpen) {
		return has, fmt.Errorf("exports some of %s, %s and %s; a strategy has all of them", abi.ExportStrategyOpen, abi.ExportStrategyTicks, abi.ExportStrategyUpdate)
	}
	if len(kinds) == 0 {
		has = exported
	}
	for _, k := range kinds {
		for h := range hookCount {
			if h.kind() != k {
				continue
			}
			if has[h] = exported[h]; !has[h] {
				return has, fmt.Errorf("the configuration wants kind %s, the module does not export %s", k, h.export())
			}
		}
	}
	if has == [hookCount]bool{} {
		return has, fmt.Errorf("exports none of %s, %s, %s and %s", abi.ExportTransform, abi.ExportAuthorize, abi.ExportValidate, abi.ExportStrategyOpen)
	}
	return has, nil
}

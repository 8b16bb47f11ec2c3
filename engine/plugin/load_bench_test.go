package plugin

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// BenchmarkLoadCachedGo loads a Go plugin of 3 MB that was compiled before, as at every start and swap of the engine, and
// says what each part of that takes. The floor is what no loader gets around: wazero decoding and validating the module
// and reading its machine code, and one instance's start.
func BenchmarkLoadCachedGo(b *testing.B) {
	cfg := Config{Name: "go", Path: BuildGo(b, "gojson")}
	deps := Deps{ConfigDir: "/", DataDir: b.TempDir()}
	h, err := New(Configs{cfg}, deps) // compiles
	require.NoError(b, err)
	require.NoError(b, h.Close())
	var parts [6]time.Duration
	b.ResetTimer()
	for b.Loop() {
		h, err := New(Configs{cfg}, deps)
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, h.Close())
		for i, d := range loadParts(b, h, cfg) {
			parts[i] += d
		}
		b.StartTimer()
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(b.N) }
	total, floor := ms(b.Elapsed()), ms(parts[3]+parts[4])
	for i, name := range []string{"read", "cache", "outline", "wazero", "instance", "instances"} {
		b.ReportMetric(ms(parts[i]), "ms-"+name)
	}
	b.ReportMetric(total, "ms-load")
	b.ReportMetric(total/floor, "x-floor")
	b.ReportMetric(0, "ns/op")
}

// loadParts loads once more, and times the parts one by one.
func loadParts(b *testing.B, h *Host, cfg Config) (parts [6]time.Duration) {
	last := time.Now()
	next := func(i int, err error) {
		require.NoError(b, err)
		parts[i], last = time.Since(last), time.Now()
	}
	s, err := h.read(cfg)
	next(0, err)
	r := newRecipe(&s.cfg.Limits)
	entry, err := h.cached(&r, s.digest)
	metered, known := entry.read()
	require.True(b, known)
	next(1, err)
	m, err := scan.Outline(s.wasm, s.cfg.Limits.Scan)
	next(2, err)
	c, err := compileHere(context.Background(), metered, entry.dir, r.Pages)
	next(3, err)
	has, err := checkExports(m, nil)
	require.NoError(b, err)
	v := newVersion(h, s, c, has)
	defer v.close()
	require.NoError(b, instantiateHost(context.Background(), c.rt, m))
	last = time.Now()
	next(4, v.add(b.Context()))
	for range s.cfg.Limits.Instances - 1 {
		require.NoError(b, v.add(b.Context()))
	}
	next(5, nil)
	return parts
}

package plugin_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
	"github.com/wse-engine/wse/engine/store"
)

// TestSwap_under_load_loses_doubles_and_reorders_nothing has eight callers hand in numbered events, each one after the other,
// while the plugin is swapped. The guest answers with its input; each version has another module.
func TestSwap_under_load_loses_doubles_and_reorders_nothing(t *testing.T) {
	const callers, swaps = 8, 40
	f := newFixture(t)
	version := func(n int) w.Module {
		m := echo()
		m.Data = append(m.Data, w.Data{At: 8, Bytes: []byte(fmt.Sprint(n))})
		return m
	}
	h := f.open(t, f.add(t, "say", version(0)))
	candidates := make([]plugin.Candidate, swaps)
	for i := range candidates {
		candidates[i] = f.candidate(t, version(i+1))
	}
	var order sync.Map // version → its place
	order.Store(h.List()[0].Version, 0)
	var serving, events atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			answer, last := &keeper{}, 0
			for n := 0; ctx.Err() == nil; n++ {
				floor := int(serving.Load())
				doc := fmt.Sprintf(`{"caller":%d,"n":%d}`, c, n)
				d, err := h.Transform(context.Background(), "E", []byte(doc), answer)
				if err != nil || d.Fate != plugin.Answered || string(answer.doc) != doc {
					t.Errorf("%s became %v %q: %v", doc, d, answer.doc, err)
					return
				}
				at, known := order.Load(d.Version)
				if !known || at.(int) < max(last, floor) {
					t.Errorf("version %v answered after version %d did and %d was swapped in", at, last, floor)
					return
				}
				last = at.(int)
				events.Add(1)
			}
		})
	}
	for i, c := range candidates {
		order.Store(fmt.Sprintf("%x", sha256.Sum256(c.Module))[:12], i+1)
		before := events.Load()
		_, err := h.Swap(t.Context(), "say", c, plugin.Shadow{})
		require.NoError(t, err)
		serving.Store(int64(i + 1))
		for events.Load() < before+callers && !t.Failed() {
			runtime.Gosched()
		}
	}
	cancel()
	wg.Wait()
	for _, s := range h.Stats() {
		require.Zero(t, s.Replaced)
		for _, failure := range []plugin.Outcome{plugin.OutcomeBusy, plugin.OutcomeTrap, plugin.OutcomeOpen} {
			require.Zero(t, s.Hooks[0].Calls[failure])
		}
	}
}

// slow is an Answer that says when it is read, and waits.
type slow struct {
	reading chan struct{}
	goOn    chan struct{}
}

func (s *slow) Read([]byte) error {
	close(s.reading)
	<-s.goOn
	return nil
}

func TestSwap_lets_calls_under_way_finish_on_the_version_that_they_began_with(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	old := h.List()[0].Version
	next := f.candidate(t, saying("u2"))

	answer := &slow{reading: make(chan struct{}), goOn: make(chan struct{})}
	called := make(chan plugin.Decision)
	go func() {
		d, err := h.Transform(context.Background(), "E", []byte(`{}`), answer)
		if err != nil {
			t.Error(err)
		}
		called <- d
	}()
	<-answer.reading
	swapped := make(chan error)
	go func() {
		_, err := h.Swap(context.Background(), "say", next, plugin.Shadow{})
		swapped <- err
	}()
	for said(t, h) != "u2" {
		runtime.Gosched()
	}
	select {
	case <-swapped:
		t.Fatal("the swap ended before the last call of the old version did")
	case <-called:
		t.Fatal("the call ended before it was let to")
	default:
	}
	close(answer.goOn)
	require.Equal(t, plugin.Decision{Fate: plugin.Answered, Plugin: "say", Version: old}, <-called)
	require.NoError(t, <-swapped)
}

// TestSwap_leaves_nothing_behind goes to and fro between two versions. What closes only at the end would show.
func TestSwap_leaves_nothing_behind(t *testing.T) {
	swaps := 1000
	if plugin.RaceDetector {
		swaps = 100
	}
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u1")))
	versions := []string{h.List()[0].Version, f.swap(t, h, "u2").To}
	leavesNothing(t, 50, swaps, func(i int) {
		_, err := h.Swap(t.Context(), "say", plugin.Candidate{Version: versions[i%2]}, plugin.Shadow{})
		require.NoError(t, err)
		if i%10 == 0 {
			said(t, h)
		}
	})
	require.EqualValues(t, h.List()[0].Instances, h.Stats()[0].Instances)
}

// leavesNothing does something a few times and then many times, and requires that the process has no more heap, mappings and files
// after the many than after the few. What is freed by finalizers is awaited.
func leavesNothing(t *testing.T, few, many int, do func(i int)) {
	t.Helper()
	threads(32)
	measure := func() (heap uint64, maps int) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("this system does not tell its mappings")
		}
		return m.HeapAlloc, strings.Count(string(text), "\n")
	}
	for i := range few {
		do(i)
	}
	measure() // which has finalizers run
	heap, maps := measure()
	files := descriptors(t)
	for i := range many {
		do(i)
	}
	heapAfter, mapsAfter := measure()
	for end := time.Now().Add(time.Minute); (heapAfter >= heap+1<<20 || mapsAfter > maps+10) && time.Now().Before(end); runtime.Gosched() {
		heapAfter, mapsAfter = measure()
	}
	require.Less(t, heapAfter, heap+1<<20)
	require.LessOrEqual(t, mapsAfter, maps+10)
	require.Equal(t, files, descriptors(t))
}

// threads has the process have n threads, so that it makes none meanwhile: each comes with mappings of its own, more of them
// with the race detector, and when the scheduler wants another one is its affair.
func threads(n int) {
	var all, each sync.WaitGroup
	all.Add(n)
	for range n {
		each.Go(func() {
			runtime.LockOSThread() // and with it one of its own, as long as it waits
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	each.Wait()
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(open)
}

func TestACandidateThatFailsAtAnyStepTouchesNothingThatServes(t *testing.T) {
	hook := w.Hook("wse_transform", w.I64Const(1))
	plus := func(f w.Func) []byte { return w.Plugin(w.Module{Funcs: []w.Func{hook, f}}).Bytes() }
	starting := w.Plugin(w.Module{Funcs: []w.Func{hook, {Code: []byte{0x00}}}})
	starting.Start = 2
	noBuffer := w.Plugin(w.Module{Funcs: []w.Func{hook}})
	for i := range noBuffer.Funcs {
		if noBuffer.Funcs[i].Export == "wse_buffer" {
			noBuffer.Funcs[i].Code = w.I32Const(0)
		}
	}
	f := newFixture(t)
	deps := f.deps()
	deps.DecodeYAML = yaml.YAMLToJSON
	var refused []plugin.Notice
	deps.Notice = func(n plugin.Notice) { refused = append(refused, n) }
	cfg := f.add(t, "say", configured("u1"))
	cfg.Vectors, cfg.Limits.Scan.ModuleKiBMax = "cases.json", 64
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "cases.json"), []byte(`[{"name":"any","hook":"transform","input":{},"want":"data","data":`+envelope+`}]`), 0o600))
	h, err := plugin.New(plugin.Configs{cfg}, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	before, err := h.Detail("say")
	require.NoError(t, err)

	for _, c := range []struct {
		step      plugin.Step
		candidate plugin.Candidate
	}{
		{plugin.StepRead, plugin.Candidate{Module: make([]byte, 65<<10)}},
		{plugin.StepConfig, plugin.Candidate{Config: []byte("a: [")}},
		{plugin.StepConfig, plugin.Candidate{Config: []byte(" \n")}},
		{plugin.StepScan, plugin.Candidate{Module: []byte("no module")}},
		{plugin.StepExports, plugin.Candidate{Module: w.Module{}.Bytes()}},
		{plugin.StepImports, plugin.Candidate{Module: imported(w.Import{Module: "env", Name: "system"}, w.I64Const(1)).Bytes()}},
		{plugin.StepRewrite, plugin.Candidate{Module: plus(w.Func{Export: "wse:fuel"})}},
		{plugin.StepCompile, plugin.Candidate{Module: plus(w.Func{Code: w.Cat(w.I64Const(1), []byte{0x45, 0x1a})})}},
		{plugin.StepInstantiate, plugin.Candidate{Module: starting.Bytes()}},
		{plugin.StepInitialize, plugin.Candidate{Module: plus(w.Func{Export: "_initialize", Code: []byte{0x00}})}},
		{plugin.StepBuffer, plugin.Candidate{Module: noBuffer.Bytes()}},
		{plugin.StepConfigure, plugin.Candidate{Module: plus(w.Hook("wse_configure", w.I64Const(0)))}},
		{plugin.StepVectors, plugin.Candidate{Module: configured("u2").Bytes()}},
	} {
		t.Run(string(c.step), func(t *testing.T) {
			for verb, call := range map[plugin.How]func() error{
				plugin.HowSwap:   func() error { return errorOf(h.Swap(t.Context(), "say", c.candidate, plugin.Shadow{})) },
				plugin.HowUpload: func() error { return errorOf(h.Upload(t.Context(), "say", c.candidate)) },
			} {
				refused = nil
				err := call()
				var le *plugin.LoadError
				require.ErrorAs(t, err, &le)
				require.Equal(t, []any{"say", c.step}, []any{le.Plugin, le.Step}, err)
				require.Equal(t, []plugin.Notice{{Plugin: "say", Text: "candidate refused; what served goes on", How: verb, Err: err}}, refused)
			}
			after, err := h.Detail("say")
			require.NoError(t, err)
			require.Equal(t, before, after)
			require.Equal(t, "u1", said(t, h))
		})
	}
}

func TestChanges_that_cross_leave_the_first_and_refuse_the_second(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", saying("u0")))
	const many = 8
	candidates := make([]plugin.Candidate, many)
	for i := range candidates {
		candidates[i] = f.candidate(t, saying(fmt.Sprint("u", i+1)))
	}
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { _, errs[i] = h.Swap(t.Context(), "say", candidates[i], plugin.Shadow{}) })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		require.ErrorIs(t, err, plugin.ErrChanged)
	}
	require.Positive(t, done)
	d, err := h.Detail("say")
	require.NoError(t, err)
	require.EqualValues(t, 1+done, d.Generation)
	require.Len(t, d.Kept, min(5, 1+done))
}

func TestVersionsWhoseIdsAreAlikeAreNotTakenForEachOther(t *testing.T) {
	seen := map[string]int{}
	one, other := 0, 0
	for n := 0; other == 0; n++ {
		sum := sha256.Sum256(fmt.Appendf(nil, `{"a":%d}`, n))
		if one = seen[string(sum[:4])]; one != 0 {
			other = n
		}
		seen[string(sum[:4])] = n
	}
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", configured("u1")))
	c, err := h.Swap(t.Context(), "say", plugin.Candidate{Config: fmt.Appendf(nil, `{"a":%d}`, one)}, plugin.Shadow{})
	require.NoError(t, err)
	_, err = h.Swap(t.Context(), "say", plugin.Candidate{Config: fmt.Appendf(nil, `{"a":%d}`, other)}, plugin.Shadow{})
	require.ErrorContains(t, err, "plugin/say: keep: another version that is called "+c.To+" is kept")
}

func TestReloads_and_swaps_that_cross_end_in_one_of_both(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", saying("u0"))
	h := f.open(t, cfg)
	candidates := []plugin.Candidate{f.candidate(t, saying("u1")), f.candidate(t, saying("u2"))}
	var changes atomic.Uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 40 {
			c, err := h.Swap(t.Context(), "say", candidates[i%2], plugin.Shadow{})
			if err == nil && c.From != c.To {
				changes.Add(1)
			} else if err != nil && !errors.Is(err, plugin.ErrChanged) {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range 40 {
			next := cfg
			next.Limits.LogLineBytes = 100 + i // which makes it another version of the same module
			err := h.Reload(t.Context(), plugin.Configs{next})
			if err == nil {
				changes.Add(1)
			} else if !errors.Is(err, plugin.ErrChanged) {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	d, err := h.Detail("say")
	require.NoError(t, err)
	require.Equal(t, 1+changes.Load(), d.Generation)
	require.NotEqual(t, "u0", said(t, h), "no reload undoes a swap")
}

// BenchmarkSwap swaps to and fro, with records on disk as an engine has them.
func BenchmarkSwap(b *testing.B) {
	f := newFixture(b)
	deps := f.deps()
	require.NoError(b, os.MkdirAll(deps.DataDir, 0o700))
	s, err := store.Open(deps.DataDir)
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	deps.Records = s.Bucket("plugins")
	h, err := plugin.New(plugin.Configs{f.add(b, "say", saying("u1"))}, deps)
	require.NoError(b, err)
	defer func() { require.NoError(b, h.Close()) }()
	versions := []string{h.List()[0].Version, f.swap(b, h, "u2").To}
	i := 0
	for b.Loop() {
		if _, err := h.Swap(b.Context(), "say", plugin.Candidate{Version: versions[i%2]}, plugin.Shadow{}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkTransformWhileSwapped tells how long calls take while the plugin is swapped without a pause, beside how long they
// take when it is not: the 99th percentile of each. Both callers and swaps have what the machine has.
func BenchmarkTransformWhileSwapped(b *testing.B) {
	f := newFixture(b)
	h := f.open(b, f.add(b, "say", saying("u1")))
	versions := []string{h.List()[0].Version, f.swap(b, h, "u2").To}
	measure := func(n int) time.Duration {
		answer, times := &keeper{}, make([]time.Duration, n)
		for i := range times {
			begin := time.Now()
			if _, err := h.Transform(context.Background(), "E", []byte(`{}`), answer); err != nil {
				b.Fatal(err)
			}
			times[i] = time.Since(begin)
		}
		slices.Sort(times)
		return times[n*99/100]
	}
	for b.Loop() {
		const calls = 200_000
		alone := measure(calls)
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		swaps := 0
		wg.Go(func() {
			for ; ctx.Err() == nil; swaps++ {
				if _, err := h.Swap(context.Background(), "say", plugin.Candidate{Version: versions[swaps%2]}, plugin.Shadow{}); err != nil {
					b.Error(err)
				}
			}
		})
		swapped := measure(calls)
		cancel()
		wg.Wait()
		b.ReportMetric(float64(alone), "ns-p99-alone")
		b.ReportMetric(float64(swapped), "ns-p99-swapped")
		b.ReportMetric(float64(swaps), "swaps")
	}
}

package plugin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// specimen is a module on a workbench, with answers read as the engine reads them.
func specimen(m w.Module) plugin.Specimen {
	return plugin.Specimen{Name: "x", Module: m.Bytes(), Answer: ingest.NewAnswer(ingest.DefaultConfig())}
}

// open puts a module on a workbench of its own.
func open(t testing.TB, s plugin.Specimen) *plugin.Workpiece {
	t.Helper()
	p, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func TestWorkbench_tells_what_came_of_a_call(t *testing.T) {
	const envelope = `{"t":"x","topic":"public:x","p":{}}`
	logs := w.Import{Module: "wse", Name: "log", Params: i32s(3)}
	counts := w.Import{Module: "wse", Name: "metric", Params: append(i32s(2), w.F64)}
	m := w.Plugin(w.Module{
		Imports: []w.Import{logs, counts},
		Funcs: []w.Func{w.Hook("wse_transform", w.I32Const(3), w.I32Const(1024), w.I32Const(3), w.Call(0),
			w.I32Const(1024), w.I32Const(3), []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0x40}, w.Call(1), w.Pack(1100, len(envelope))),
			w.Hook("wse_authorize", w.I64Const(1)),
			w.Hook("wse_validate", []byte{0x00})},
		Data: []w.Data{{At: 1024, Bytes: []byte("abc")}, {At: 1100, Bytes: []byte(envelope)}},
	})
	m.Funcs[2].Name = "checks_nothing"
	p := open(t, specimen(m))
	require.Equal(t, []string{"transform", "validate", "authorize"}, p.Hooks())

	for range 2 { // a call leaves nothing behind
		got, err := p.Call("transform", []byte(`{}`))
		require.NoError(t, err)
		require.Equal(t, "data", got.Said)
		require.Equal(t, envelope, string(got.Data))
		require.Equal(t, []string{"warn: abc"}, got.Log)
		require.Equal(t, map[string]float64{"abc": 2}, got.Metrics)
		require.Positive(t, got.Fuel)
		require.Positive(t, got.Time)
		require.Equal(t, 4<<16, got.MemoryBytes)
	}
	got, err := p.Call("authorize", nil)
	require.NoError(t, err)
	require.Equal(t, "yes", got.Said)
	require.Empty(t, got.Log)

	got, err = p.Call("validate", nil)
	require.NoError(t, err)
	require.Equal(t, "trap", got.Said)
	require.Contains(t, got.Error, "unreachable")
	require.Contains(t, got.Error, "checks_nothing")
	got, err = p.Call("transform", nil)
	require.NoError(t, err)
	require.Equal(t, "data", got.Said, "after a trap there is a new instance")

	_, err = p.Call("configure", nil)
	require.ErrorIs(t, err, plugin.ErrNoHook)
	require.ErrorContains(t, err, "it has transform, validate, authorize")
	got, err = p.Call("transform", make([]byte, 1<<20+1))
	require.NoError(t, err)
	require.Equal(t, "too_large", got.Said)
}

func TestWorkbench_holds_answers_to_the_contract(t *testing.T) {
	for hook, answer := range map[string]string{"transform": `{"t":"x"}`, "authorize": `{"allowed":true}`, "validate": `{"valid":1}`} {
		m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_"+hook, w.Pack(1024, len(answer)))}, Data: []w.Data{{At: 1024, Bytes: []byte(answer)}}})
		got, err := open(t, specimen(m)).Call(hook, []byte(`{}`))
		require.NoError(t, err)
		require.Equal(t, "violation", got.Said, hook)
		require.Contains(t, got.Error, "the answer of wse_"+hook)
		require.Equal(t, answer, string(got.Data), "what was said is shown all the same")
	}
	spin := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", forever(), w.I64Const(1))}})
	s := specimen(spin)
	s.Limits.Fuel = 1000
	got, err := open(t, s).Call("transform", nil)
	require.NoError(t, err)
	require.Equal(t, "fuel", got.Said)
	require.Contains(t, got.Error, "used more than 1000 units")
}

// batching answers every batch with the bytes of answer.
func batching(answer string) w.Module {
	return w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), w.Hook("wse_transform_batch", w.Pack(1024, len(answer)))},
		Data:  []w.Data{{At: 1024, Bytes: []byte(answer)}},
	})
}

func TestWorkbench_reads_batches(t *testing.T) {
	for _, tt := range []struct{ answer, said, says string }{
		{"\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", "data", ""},
		{"\x01\x00\x00\x00\x01\x00\x00\x00", "violation", "wse_transform_batch: answer 0 of 1 is cut short"},
		{"\x01\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00{}", "violation", "wse_transform_batch: answer 0:"},
	} {
		p := open(t, specimen(batching(tt.answer)))
		require.Equal(t, []string{"transform", "transform_batch"}, p.Hooks())
		got, err := p.Call("transform_batch", vector.AppendBatch(nil, [][]byte{[]byte(`{}`)}))
		require.NoError(t, err)
		require.Equal(t, tt.said, got.Said)
		require.Contains(t, got.Error, tt.says)
		got, err = p.Call("transform", []byte(`{}`))
		require.NoError(t, err)
		require.Equal(t, "yes", got.Said, "the batch hook stands in nobody's place afterwards")
	}
}

func TestWorkbench_gives_a_batch_the_fuel_of_its_events(t *testing.T) {
	turns := w.Cat(w.I32Const(200), w.LocalSet(1), w.Loop(w.LocalGet(1), w.I32Const(1), []byte{0x6b, 0x22, 1}, w.BrIf(0)), w.I64Const(1))
	hook := w.Hook("wse_transform_batch", turns)
	hook.Locals = []byte{w.I32}
	s := specimen(w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), hook}}))
	s.Limits.Fuel = 500
	p := open(t, s)
	for n, said := range map[int]string{1: "fuel", 4: "yes"} {
		got, err := p.Call("transform_batch", vector.AppendBatch(nil, make([][]byte, n)))
		require.NoError(t, err)
		require.Equal(t, said, got.Said, "%d events", n)
	}
	got, err := p.Call("transform_batch", []byte("\xff\xff\xff\xff"))
	require.NoError(t, err)
	require.Equal(t, "fuel", got.Said, "a count that is not there buys nothing")
}

// configurable refuses every configuration but one of two bytes, and remembers nothing.
func configurable() w.Module {
	return w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), w.Hook("wse_configure",
			w.LocalGet(0), w.I32Const(2), []byte{0x46, 0x04, w.I64}, w.I64Const(1), []byte{0x05}, w.I64Const(-1<<63|1024<<32|3), []byte{0x0b})},
		Data: []w.Data{{At: 1024, Bytes: []byte("bad")}},
	})
}

func TestWorkbench_runs_vectors_each_with_its_configuration(t *testing.T) {
	list, err := vector.Parse("v", []byte(`[
		{"name":"good","hook":"configure","input":{},"want":"yes"},
		{"name":"bad","hook":"configure","input":{"a":1},"want":"error","error":"bad"},
		{"name":"none","hook":"transform","input":{},"want":"yes"},
		{"name":"its own","hook":"transform","config":[],"input":{},"want":"yes","fuel_max":1000},
		{"name":"wrong","hook":"transform","input":{},"want":"no"},
		{"name":"refused","hook":"transform","config":{"a":1},"input":{},"want":"yes"},
		{"name":"missing","hook":"authorize","input":{},"want":"yes"}]`))
	require.NoError(t, err)
	p := open(t, specimen(configurable()))
	var failed []string
	for i := range list {
		if _, err := p.Check(&list[i]); err != nil {
			failed = append(failed, list[i].Name+": "+err.Error())
		}
	}
	require.Len(t, failed, 3)
	require.Equal(t, "wrong: want no\ngot  yes", failed[0])
	require.Equal(t, "refused: its config is refused: plugin/x: configure: bad", failed[1])
	require.Contains(t, failed[2], "missing: plugin: the module does not export this hook: authorize")
}

func TestWorkbench_asks_for_buffers(t *testing.T) {
	p := open(t, specimen(configurable()))
	addr, err := p.Buffer(1 << 30)
	require.NoError(t, err)
	require.NotZero(t, addr)
	got, err := p.Call("transform", []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, "yes", got.Said)
}

func TestWorkbench_times_calls_and_knows_the_floor(t *testing.T) {
	bench := plugin.NewWorkbench(t.TempDir())
	for _, size := range []int{0, 400, 300_000} {
		p, err := bench.Floor(t.Context(), "authorize", 200_000, size)
		require.NoError(t, err)
		took, fuel, err := p.Time("authorize", make([]byte, 200_000), 10)
		require.NoError(t, err)
		require.Positive(t, took)
		require.Positive(t, fuel)
		p.Close()
	}
	p := open(t, specimen(w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", []byte{0x00})}})))
	_, _, err := p.Time("transform", nil, 10)
	require.ErrorContains(t, err, "trap: unreachable")
	_, _, err = p.Time("validate", nil, 10)
	require.ErrorIs(t, err, plugin.ErrNoHook)
}

func TestInspect_describes_a_module_and_admits_it(t *testing.T) {
	m := w.Plugin(w.Module{
		Imports: []w.Import{{Module: "wse", Name: "log", Params: i32s(3)}},
		Funcs:   []w.Func{w.Hook("wse_transform", w.I64Const(1)), w.Hook("wse_transform_batch", w.I64Const(0)), {Name: "inner"}},
		Table:   2, PagesMax: 1000,
		Custom: w.Section(0, append(w.Text(nil, "producers"), producersContent("language", "C11", "", "processed-by", "Debian clang", "19.1.7")...)...),
	})
	r := plugin.NewWorkbench(t.TempDir()).Inspect(t.Context(), specimen(m))
	require.Empty(t, r.Reason)
	require.True(t, r.Admitted)
	require.Equal(t, "1", r.ABI)
	require.Equal(t, []string{"transform", "transform_batch"}, r.Hooks)
	require.Equal(t, []string{"wse.log (i32, i32, i32) -> ()"}, r.Imports)
	require.Equal(t, 1000, r.MemoryPagesMax)
	require.Equal(t, []int{2}, r.Tables)
	require.True(t, r.NameSection)
	require.False(t, r.DWARF)
	require.Equal(t, []string{"language: C11", "processed-by: Debian clang 19.1.7"}, r.Toolchain)
	require.Equal(t, len(m.Bytes()), r.Bytes)
	require.Len(t, r.SHA256, 64)
	require.Positive(t, r.StartFuel)
	require.Positive(t, r.StartBytes)
	require.Positive(t, r.Ready)
	require.Contains(t, r.Sections, plugin.SectionSize{Name: `custom "producers"`, Bytes: len(m.Custom)})
}

// producersContent is the content of a producers section with fields of one pair each.
func producersContent(fields ...string) []byte {
	out := w.U(nil, len(fields)/3)
	for ; len(fields) > 0; fields = fields[3:] {
		out = w.Text(w.Text(append(w.Text(out, fields[0]), 1), fields[1]), fields[2])
	}
	return out
}

func TestInspect_says_at_which_step_and_why_a_module_is_refused(t *testing.T) {
	bench := plugin.NewWorkbench(t.TempDir())
	strategy := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_strategy_open", w.I64Const(1)), w.Hook("wse_strategy_ticks", w.I64Const(0))}})
	refusing := specimen(configurable())
	refusing.Config = []byte(`{"a":1}`)
	for _, c := range []struct {
		name string
		s    plugin.Specimen
		step plugin.Step
		why  string
	}{
		{"no module", plugin.Specimen{Module: []byte("hello")}, plugin.StepScan, "no WebAssembly module"},
		{"nothing", plugin.Specimen{}, plugin.StepScan, "no WebAssembly module"},
		{"an operand of the wrong type", specimen(w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), {Code: w.Cat(w.I64Const(1), []byte{0x45, 0x1a})}}})),
			plugin.StepCompile, "type mismatch"},
		{"an unknown import", specimen(imported(w.Import{Module: "env", Name: "system"}, w.I64Const(1))), plugin.StepImports, "imports env.system"},
		{"half a strategy", specimen(strategy), plugin.StepExports, "exports some of wse_strategy_open, wse_strategy_ticks and wse_strategy_update"},
		{"a configuration", refusing, plugin.StepConfigure, "bad"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bench.Inspect(t.Context(), c.s)
			require.False(t, r.Admitted)
			require.Equal(t, c.step, r.Step)
			require.Contains(t, r.Reason, c.why)
		})
	}
	r := bench.Inspect(t.Context(), specimen(strategy))
	require.Equal(t, []string{"strategy_open", "strategy_ticks"}, r.Hooks, "what it has is told all the same")
	require.Equal(t, "1", r.ABI)
}

func TestWorkbench_refuses_a_cache_that_others_may_write_to(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "plugins", "cache")
	require.NoError(t, os.MkdirAll(cache, 0o700))
	require.NoError(t, os.Chmod(cache, 0o777))
	_, err := plugin.NewWorkbench(dir).Open(context.Background(), specimen(configurable()))
	var refused *plugin.LoadError
	require.True(t, errors.As(err, &refused))
	require.ErrorContains(t, err, "may be written to by others")
}

// TestWorkbench_shares_its_cache opens one new module on many workbenches at once, as processes do that build side by side.
func TestWorkbench_shares_its_cache(t *testing.T) {
	dir, m := t.TempDir(), specimen(configurable())
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			p, err := plugin.NewWorkbench(dir).Open(t.Context(), m)
			if errs[i] = err; err == nil {
				p.Close()
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	entries, err := os.ReadDir(filepath.Join(dir, "plugins", "cache"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "what was compiled in vain is gone")
}

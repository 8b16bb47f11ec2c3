package meter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

// The official core test suite, which the wazero Go module carries as binaries with their scripts: every script is run
// twice in lock step, on the modules as they are and on their metered forms, and every action must end alike.

type script struct {
	Commands []struct {
		Type     string
		Line     int
		Name     string
		Filename string
		As       string
		Action   struct {
			Type   string
			Field  string
			Module string
			Args   []value
		}
	}
}

type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// suiteLimits lets the suite's own bombs in: the scan's limits are tested elsewhere.
func suiteLimits() scan.Limits {
	return scan.Limits{TableElementsMax: 1 << 20, ResultsMax: 64, MemoryPagesMax: 65536, ParamsMax: 128}
}

func suiteDir(t testing.TB) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	return filepath.Join(strings.TrimSpace(string(dir)), "internal/integration_test/spectest")
}

// side is one of the two runs.
type side struct {
	rt      wazero.Runtime
	rewrite bool
	options meter.Options
	last    api.Module
	all     []api.Module
	names   map[string]api.Module // as the script calls them
	linked  map[string]api.Module // as other modules import them
}

func newSide(t *testing.T, dir string, rewrite bool, options meter.Options) *side {
	ctx := t.Context()
	s := &side{rt: wazero.NewRuntime(ctx), rewrite: rewrite, options: options,
		names: map[string]api.Module{}, linked: map[string]api.Module{}}
	t.Cleanup(func() { _ = s.rt.Close(context.Background()) })
	bin, err := os.ReadFile(filepath.Join(dir, "testdata", "spectest.wasm"))
	require.NoError(t, err)
	_, err = s.rt.InstantiateWithConfig(ctx, bin, wazero.NewModuleConfig().WithName("spectest"))
	require.NoError(t, err)
	return s
}

const plenty = int64(1) << 40

func (s *side) module(ctx context.Context, bin []byte, name string) error {
	if s.rewrite {
		m, err := scan.Scan(bin, suiteLimits())
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		if bin, err = meter.Rewrite(bin, m, suiteLimits(), s.options); err != nil {
			return fmt.Errorf("rewrite: %w", err)
		}
	}
	ctx = experimental.WithImportResolver(ctx, func(name string) api.Module { return s.linked[name] })
	mod, err := s.rt.InstantiateWithConfig(ctx, bin, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return err
	}
	s.last = mod
	return nil
}

func (s *side) find(name string) api.Module {
	if name == "" {
		return s.last
	}
	return s.names[name]
}

// invoke returns the results, or the trap's first line, and the fuel used.
func (s *side) invoke(ctx context.Context, module, field string, args []uint64) (result string, used int64) {
	fn := s.find(module).ExportedFunction(field)
	if fuel, ok := s.find(module).ExportedGlobal(meter.Export).(api.MutableGlobal); ok {
		fuel.Set(uint64(plenty))
		defer func() { used = plenty - int64(fuel.Get()) }()
	}
	out, err := fn.Call(ctx, args...)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return first, 0
	}
	return fmt.Sprint(out), 0
}

// get reads an exported global.
func (s *side) get(_ context.Context, module, field string, _ []uint64) (string, int64) {
	return fmt.Sprint(s.find(module).ExportedGlobal(field).Get()), 0
}

func bits(t *testing.T, v value) []uint64 {
	if v.Type == "v128" {
		return vector(t, v)
	}
	s := v.Value.(string)
	if s == "null" {
		return []uint64{0}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return []uint64{n}
}

func vector(t *testing.T, v value) []uint64 {
	width, err := strconv.ParseUint(v.LaneType[1:], 10, 8)
	require.NoError(t, err)
	out := make([]uint64, 2)
	for i, lane := range v.Value.([]any) {
		n, err := strconv.ParseUint(strings.TrimPrefix(lane.(string), "-"), 10, 64)
		require.NoError(t, err)
		if strings.HasPrefix(lane.(string), "-") {
			n = -n & (1<<width - 1)
		}
		at := uint64(i) * width
		out[at/64] |= n << (at % 64)
	}
	return out
}

func TestCoreSuite_behaves_the_same_metered(t *testing.T) {
	dir := suiteDir(t)
	scripts, err := filepath.Glob(filepath.Join(dir, "v2/testdata/*.json"))
	require.NoError(t, err)
	v1, err := filepath.Glob(filepath.Join(dir, "v1/testdata/*.json"))
	require.NoError(t, err)
	var total totals
	for _, file := range append(scripts, v1...) {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(file)))+"/"+filepath.Base(file), func(t *testing.T) {
			runScript(t, dir, file, &total)
		})
	}
	t.Logf("%d scripts: %d modules instantiated, %d refused, %d actions and %d memories compared; %d units charged for %d executed",
		len(scripts)+len(v1), total.modules, total.refused, total.actions, total.memories, total.charged, total.executed)
	require.Greater(t, total.modules, 2_400)
	require.Greater(t, total.refused, 4_600)
	require.Greater(t, total.actions, 60_000)
	require.Greater(t, total.memories, 300)
	require.GreaterOrEqual(t, total.charged, total.executed)
}

// totals sums up over scripts. executed is the price of what ran, charged what was paid for it.
type totals struct {
	modules, refused, actions, memories int
	charged, executed                   int64
}

func runScript(t *testing.T, dir, file string, sum *totals) {
	ctx := t.Context()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var sc script
	require.NoError(t, json.Unmarshal(raw, &sc))
	c := newSide(t, dir, true, meter.Each(meter.Options{Fuel: plenty}))
	a, b := newSide(t, dir, false, meter.Options{}), newSide(t, dir, true, meter.Options{Fuel: plenty})
	sides := []*side{a, b, c}
	for _, cmd := range sc.Commands {
		at := fmt.Sprintf("%s:%d: %s", filepath.Base(file), cmd.Line, cmd.Action.Field)
		switch cmd.Type {
		case "module", "assert_uninstantiable", "assert_unlinkable", "assert_invalid", "assert_malformed":
			if filepath.Ext(cmd.Filename) != ".wasm" {
				continue // malformed text, which is no business of ours
			}
			bin, err := os.ReadFile(filepath.Join(filepath.Dir(file), cmd.Filename))
			require.NoError(t, err)
			loadAll(ctx, t, at, sides, bin, cmd.Name, sum)
		case "register":
			for _, s := range sides {
				s.linked[cmd.As] = s.find(cmd.Name)
			}
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			var args []uint64
			for _, v := range cmd.Action.Args {
				args = append(args, bits(t, v)...)
			}
			do := (*side).invoke
			if cmd.Action.Type == "get" {
				do = (*side).get
			}
			ra, _ := do(a, ctx, cmd.Action.Module, cmd.Action.Field, args)
			rb, charged := do(b, ctx, cmd.Action.Module, cmd.Action.Field, args)
			rc, executed := do(c, ctx, cmd.Action.Module, cmd.Action.Field, args)
			require.Equal(t, ra, rb, at)
			require.Equal(t, ra, rc, at)
			require.GreaterOrEqual(t, charged, executed, "%s: runs for less than it executes", at)
			sum.actions, sum.charged, sum.executed = sum.actions+1, sum.charged+charged, sum.executed+executed
		default:
			t.Fatalf("%s: a command of type %q", at, cmd.Type)
		}
	}
	sameMemories(t, sides, sum)
}

// sameMemories compares what the script's modules left behind.
func sameMemories(t *testing.T, sides []*side, sum *totals) {
	for i, mod := range sides[0].all {
		mem := mod.Memory()
		for _, s := range sides[1:] {
			other := s.all[i].Memory()
			none := reflect.ValueOf(mem).IsNil() // the runtime wraps a nil
			require.Equal(t, none, reflect.ValueOf(other).IsNil())
			if none {
				continue
			}
			require.Equal(t, mem.Size(), other.Size())
			x, _ := mem.Read(0, mem.Size())
			y, _ := other.Read(0, other.Size())
			require.True(t, bytes.Equal(x, y), "module %d left other bytes in its memory", i)
			sum.memories++
		}
	}
}

// loadAll instantiates a module on every side, which must all accept or all refuse it.
func loadAll(ctx context.Context, t *testing.T, at string, sides []*side, bin []byte, name string, sum *totals) {
	first := sides[0].module(ctx, bin, name)
	for _, s := range sides[1:] {
		err := s.module(ctx, bin, name)
		require.Equal(t, first == nil, err == nil, "%s: plain %v, metered %v", at, first, err)
	}
	if first != nil {
		sum.refused++
		return
	}
	sum.modules++
	for _, s := range sides {
		s.all = append(s.all, s.last)
		if name != "" {
			s.names[name] = s.last
		}
	}
}

// The suites of proposals, which the runtime knows in part: each of their modules is refused by the scan, or is as valid
// metered as it was.
func TestProposals_are_refused_or_stay_as_valid_as_they_were(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suiteDir(t), "*-*/testdata/*.wasm"))
	require.NoError(t, err)
	require.Greater(t, len(files), 100)
	ctx := t.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer rt.Close(context.Background())
	admitted := 0
	for _, file := range files {
		wasm, err := os.ReadFile(file)
		require.NoError(t, err)
		m, err := scan.Scan(wasm, suiteLimits())
		if err != nil {
			require.ErrorIs(t, err, scan.ErrModule)
			continue
		}
		admitted++
		out, err := meter.Rewrite(wasm, m, suiteLimits(), meter.Options{Fuel: plenty})
		require.NoError(t, err)
		_, plain := rt.CompileModule(ctx, wasm)
		_, metered := rt.CompileModule(ctx, out)
		require.Equal(t, plain == nil, metered == nil, "%s: plain %v, metered %v", filepath.Base(file), plain, metered)
	}
	t.Logf("%d modules, %d admitted", len(files), admitted)
}

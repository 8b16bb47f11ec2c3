package meter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	last    api.Module
	names   map[string]api.Module // as the script calls them
	linked  map[string]api.Module // as other modules import them
}

func newSide(t *testing.T, dir string, rewrite bool) *side {
	ctx := t.Context()
	s := &side{rt: wazero.NewRuntime(ctx), rewrite: rewrite,
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
		if bin, err = meter.Rewrite(bin, m, suiteLimits(), meter.Options{Fuel: plenty}); err != nil {
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

// invoke returns the results, or the trap's first line.
func (s *side) invoke(ctx context.Context, module, field string, args []uint64) string {
	fn := s.find(module).ExportedFunction(field)
	out, err := fn.Call(ctx, args...)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return first
	}
	return fmt.Sprint(out)
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
	total := 0
	for _, file := range append(scripts, v1...) {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(file)))+"/"+filepath.Base(file), func(t *testing.T) {
			total += runScript(t, dir, file)
		})
	}
	t.Logf("%d actions compared in %d scripts", total, len(scripts)+len(v1))
	require.Greater(t, total, 40_000)
}

func runScript(t *testing.T, dir, file string) (actions int) {
	ctx := t.Context()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var sc script
	require.NoError(t, json.Unmarshal(raw, &sc))
	a, b := newSide(t, dir, false), newSide(t, dir, true)
	for _, c := range sc.Commands {
		at := fmt.Sprintf("%s:%d", filepath.Base(file), c.Line)
		switch c.Type {
		case "module", "assert_uninstantiable", "assert_unlinkable":
			bin, err := os.ReadFile(filepath.Join(filepath.Dir(file), c.Filename))
			require.NoError(t, err)
			name := c.Name
			ea, eb := a.module(ctx, bin, name), b.module(ctx, bin, name)
			require.False(t, errors.Is(eb, scan.ErrModule) && ea == nil, "%s: %v", at, eb)
			require.Equal(t, ea == nil, eb == nil, "%s: %v, metered %v", at, ea, eb)
			if name != "" && ea == nil {
				a.names[name], b.names[name] = a.last, b.last
			}
		case "register":
			a.linked[c.As], b.linked[c.As] = a.find(c.Name), b.find(c.Name)
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			if c.Action.Type != "invoke" || c.Type == "assert_exhaustion" {
				continue
			}
			var args []uint64
			for _, v := range c.Action.Args {
				args = append(args, bits(t, v)...)
			}
			ra := a.invoke(ctx, c.Action.Module, c.Action.Field, args)
			rb := b.invoke(ctx, c.Action.Module, c.Action.Field, args)
			require.Equal(t, ra, rb, "%s: %s", at, c.Action.Field)
			actions++
		}
	}
	return actions
}

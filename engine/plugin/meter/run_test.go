package meter_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

// told is what a module did: the result or the trap of each function, and what its memory held in the end.
type told struct {
	calls  []string
	memory []byte
}

// runAll instantiates wasm and calls every exported function, with zeros where it wants something. It reports false when
// that was not possible, or fuel ran out.
func runAll(t *testing.T, wasm []byte) (told, bool) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(16).
		WithDebugInfoEnabled(false))
	defer rt.Close(ctx)
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		return told{}, false
	}
	mod, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return told{}, false
	}
	var out told
	m, err := scan.Outline(wasm, scan.Limits{})
	require.NoError(t, err)
	fuel, metered := mod.ExportedGlobal(meter.Export).(api.MutableGlobal)
	for _, e := range m.Exports {
		if e.Kind != scan.KindFunction {
			continue
		}
		fn := mod.ExportedFunction(e.Name)
		got, err := fn.Call(ctx, make([]uint64, words(fn.Definition().ParamTypes()))...)
		if metered && int64(fuel.Get()) < 0 {
			return told{}, false
		}
		first, _, _ := strings.Cut(fmt.Sprint(err), "\n")
		out.calls = append(out.calls, fmt.Sprint(e.Name, got, first))
	}
	if mem := mod.Memory(); !reflect.ValueOf(mem).IsNil() {
		b, _ := mem.Read(0, mem.Size())
		out.memory = append(out.memory, b...)
	}
	return out, true
}

// FuzzRewriteRuns: a module does the same metered as it does plain. The metered form runs first, so that what never ends
// is known before the plain one is tried.
func FuzzRewriteRuns(f *testing.F) {
	f.Add(stockModule(f, "topicauth"))
	for _, m := range worstModules() {
		f.Add(m.Bytes())
	}
	for _, name := range []string{"block", "br_table", "bulk", "call_indirect", "if", "loop", "memory_grow", "nop", "return", "simd_i8x16_arith", "switch", "table_grow", "unwind"} {
		wasm, err := os.ReadFile(suiteDir(f) + "/v2/testdata/" + name + ".0.wasm")
		require.NoError(f, err)
		f.Add(wasm)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := scan.Scan(wasm, scan.Limits{ModuleKiBMax: 64, MemoryPagesMax: 16, TableElementsMax: 1024})
		if err != nil {
			return
		}
		for _, tab := range m.Tables {
			if !tab.HasMax || tab.Max > 1024 {
				return // would be clamped, and so behave otherwise
			}
		}
		out, err := meter.Rewrite(wasm, m, scan.Limits{}, meter.Options{Fuel: 100_000, MemoryPagesMax: 16, TableElementsMax: 1024})
		if err != nil {
			return
		}
		metered, ok := runAll(t, out)
		if !ok {
			return
		}
		plain, ok := runAll(t, wasm)
		require.True(t, ok, "ends plain as well")
		require.Equal(t, plain, metered)
	})
}

// words is how many words values of these types take.
func words(types []api.ValueType) (n int) {
	for _, t := range types {
		if n++; t == scan.V128 {
			n++
		}
	}
	return n
}

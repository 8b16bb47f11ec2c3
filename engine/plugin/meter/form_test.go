package meter

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// BenchmarkTrapForm compares one shared trap per function with a trap at each charge, on the mapping plugin.
func BenchmarkTrapForm(b *testing.B) {
	wasm, err := os.ReadFile("../../../plugins/mapping/mapping.wasm")
	require.NoError(b, err)
	m, err := scan.Scan(wasm, scan.Limits{})
	require.NoError(b, err)
	for _, c := range []struct {
		name    string
		inPlace bool
	}{{"shared", false}, {"in place", true}} {
		b.Run(c.name, func(b *testing.B) {
			out, err := Rewrite(wasm, m, scan.Limits{}, Options{Fuel: 1 << 50, trapInPlace: c.inPlace})
			require.NoError(b, err)
			ctx := context.Background()
			rt := wazero.NewRuntime(ctx)
			defer rt.Close(ctx)
			_, err = rt.NewHostModuleBuilder("env").NewFunctionBuilder().
				WithFunc(func(context.Context, api.Module, uint32, uint32, uint32, uint32) {}).Export("abort").Instantiate(ctx)
			require.NoError(b, err)
			mod, err := rt.Instantiate(ctx, out)
			require.NoError(b, err)
			addr, err := mod.ExportedFunction("wse_buffer").Call(ctx, 1<<16)
			require.NoError(b, err)
			const doc = `{"type":"BrokerAccountLinked","payload":{"broker_account_id":"acc_1234567"},"user_id":"u1","id":"evt_acc_001"}`
			fn, stack := mod.ExportedFunction("wse_transform"), make([]uint64, 1)
			for b.Loop() {
				mod.Memory().WriteString(uint32(addr[0]), doc)
				stack[0] = uint64(len(doc))
				if err := fn.CallWithStack(ctx, stack); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(out)), "wasm-bytes")
		})
	}
}

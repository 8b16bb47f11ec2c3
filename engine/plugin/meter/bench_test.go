package meter_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

// stockModule is a module as authors build them.
func stockModule(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../../plugins/" + name + "/" + name + ".wasm")
	require.NoError(t, err)
	return wasm
}

func rewrite(t testing.TB, wasm []byte) []byte {
	t.Helper()
	m, err := scan.Scan(wasm, scan.Limits{})
	require.NoError(t, err)
	out, err := meter.Rewrite(wasm, m, scan.Limits{}, meter.Options{Fuel: plenty, MemoryPagesMax: 256, TableElementsMax: 1 << 16})
	require.NoError(t, err)
	return out
}

// run1 is an instance with its input buffer.
type run1 struct {
	mod  api.Module
	addr uint32
	fuel api.MutableGlobal
}

func start(t testing.TB, wasm []byte, config string) *run1 {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithDebugInfoEnabled(false))
	t.Cleanup(func() { _ = rt.Close(ctx) })
	nothing := func(context.Context, api.Module, []uint64) { panic("host called") }
	_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(nothing),
		[]api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, nil).Export("abort").Instantiate(ctx)
	require.NoError(t, err)
	mod, err := rt.Instantiate(ctx, wasm)
	require.NoError(t, err)
	g := &run1{mod: mod}
	g.fuel, _ = mod.ExportedGlobal(meter.Export).(api.MutableGlobal)
	if f := mod.ExportedFunction("_initialize"); f != nil {
		_, err := f.Call(ctx)
		require.NoError(t, err)
	}
	addr, err := mod.ExportedFunction("wse_buffer").Call(ctx, 1<<16)
	require.NoError(t, err)
	g.addr = uint32(addr[0])
	if config != "" {
		require.Equal(t, uint64(1), g.call(t, "wse_configure", config))
	}
	return g
}

func (g *run1) call(t testing.TB, export, doc string) uint64 {
	t.Helper()
	require.True(t, g.mod.Memory().WriteString(g.addr, doc))
	out, err := g.mod.ExportedFunction(export).Call(context.Background(), uint64(len(doc)))
	require.NoError(t, err)
	return out[0]
}

const event300 = `{"type":"BrokerAccountLinked","payload":{"broker_account_id":"acc_1234567","broker_id":"alpaca",` +
	`"account_number":"PA1234567","status":"linked","currency":"USD","buying_power":50000.00,"cash":25000.00` +
	`},"user_id":"u1","id":"evt_acc_001","ts":"2025-11-25T10:00:00.000Z","cid":"req-77","event_version":2}`

const request = `{"action":"subscribe","topic":"stream:market_data:BTC_USDT","identity":{"user_id":"u1",` +
	`"permissions":["read_market_data","trader"],"claims":{"sub":"u1","iss":"https://id.example.com","exp":1764064800}},` +
	`"connection":{"id":"c-0001","dialect":"wse","remote_ip":"192.0.2.7"}}`

// BenchmarkMetering shows the price of metering on real plugins: the ratio of metered to plain must stay under 1.5.
func BenchmarkMetering(b *testing.B) {
	for _, c := range []struct{ name, hook, doc, config string }{
		{"mapping", "wse_transform", event300, ""},
		{"topicauth", "wse_authorize", request, ""},
	} {
		wasm := stockModule(b, c.name)
		for _, form := range []struct {
			name string
			wasm []byte
		}{{"plain", wasm}, {"metered", rewrite(b, wasm)}} {
			b.Run(c.name+"/"+form.name, func(b *testing.B) {
				g := start(b, form.wasm, c.config)
				require.Greater(b, g.call(b, c.hook, c.doc), uint64(0))
				fn, stack := g.mod.ExportedFunction(c.hook), make([]uint64, 1)
				for b.Loop() {
					g.mod.Memory().WriteString(g.addr, c.doc)
					stack[0] = uint64(len(c.doc))
					if err := fn.CallWithStack(context.Background(), stack); err != nil {
						b.Fatal(err)
					}
				}
				if g.fuel != nil {
					g.fuel.Set(uint64(plenty))
					g.call(b, c.hook, c.doc)
					b.ReportMetric(float64(uint64(plenty)-g.fuel.Get()), "fuel/op")
				}
			})
		}
	}
}

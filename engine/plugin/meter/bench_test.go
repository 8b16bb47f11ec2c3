package meter_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

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
	offerImports(t, rt, wasm)
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

// offerImports makes every function that the module imports, none of which does anything.
func offerImports(t testing.TB, rt wazero.Runtime, wasm []byte) {
	m, err := scan.Outline(wasm, scan.Limits{})
	require.NoError(t, err)
	builders := map[string]wazero.HostModuleBuilder{}
	for _, imp := range m.Imports {
		if builders[imp.Module] == nil {
			builders[imp.Module] = rt.NewHostModuleBuilder(imp.Module)
		}
		f := m.Types[imp.Type]
		builders[imp.Module].NewFunctionBuilder().WithGoModuleFunction(
			api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}), f.Params, f.Results).Export(imp.Name)
	}
	for _, b := range builders {
		_, err := b.Instantiate(context.Background())
		require.NoError(t, err)
	}
}

const fill300 = `{"type":"OrderFilled","payload":{"order_id":"ord_1234567","symbol":"BTC_USDT","quantity":5,"price":"64000.10",` +
	`"fees":[{"asset":"USDT","amount":1.25}],"maker":false,"note":null,"venue":"alpaca","account":"PA1234567"},"user_id":"u1",` +
	`"id":"evt_fill_001","ts":"2025-11-25T10:00:00.000Z","pri":8,"cid":"req-77","event_version":2}`

// BenchmarkMetering shows the price of metering on real plugins: a 300-byte event through a transform in AssemblyScript
// and one in C, and a topic through an authorizer. Both forms take turns, so that x-plain, the ratio of what they take,
// holds on a busy machine too. It must not exceed 1.3.
func BenchmarkMetering(b *testing.B) {
	c, err := os.ReadFile("testdata/fills-c.wasm")
	require.NoError(b, err)
	for _, p := range []struct {
		name      string
		wasm      []byte
		hook, doc string
	}{
		{"mapping (AssemblyScript)", stockModule(b, "mapping"), "wse_transform", event300},
		{"fills (C)", c, "wse_transform", fill300},
		{"topicauth (AssemblyScript)", stockModule(b, "topicauth"), "wse_authorize", request},
	} {
		b.Run(p.name, func(b *testing.B) {
			const calls = 100
			forms := [2]*run1{start(b, p.wasm, ""), start(b, rewrite(b, p.wasm), "")}
			var times [2][]time.Duration
			for i := 0; b.Loop(); i++ {
				for k := range forms {
					form := (i + k) % 2 // nobody is always first
					times[form] = append(times[form], forms[form].time(b, p.hook, p.doc, calls))
				}
			}
			var ns [2]float64
			for k := range times {
				slices.Sort(times[k])
				ns[k] = float64(times[k][len(times[k])/2].Nanoseconds()) / calls
			}
			g := forms[1]
			g.fuel.Set(uint64(plenty))
			g.call(b, p.hook, p.doc)
			b.ReportMetric(float64(uint64(plenty)-g.fuel.Get()), "fuel/call")
			b.ReportMetric(ns[0], "ns-plain")
			b.ReportMetric(ns[1], "ns-metered")
			b.ReportMetric(ns[1]/ns[0], "x-plain")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// time makes calls calls and returns what they took.
func (g *run1) time(b *testing.B, hook, doc string, calls int) time.Duration {
	fn, stack := g.mod.ExportedFunction(hook), make([]uint64, 1)
	if g.fuel != nil {
		g.fuel.Set(uint64(plenty))
	}
	begin := time.Now()
	for range calls {
		g.mod.Memory().WriteString(g.addr, doc)
		stack[0] = uint64(len(doc))
		if err := fn.CallWithStack(context.Background(), stack); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin)
}

package plugin

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
	"github.com/wse-engine/wse/sdk/abi"
)

// hostFunc is a function that guests may import. Params and results are value types as the binary format spells them,
// in the short form i = i32, I = i64, d = f64.
type hostFunc struct {
	params, results string
	call            func(*instance, api.Memory, []uint64)
}

// hostFuncOf returns the function offered under that name; see sdk/ABI.md "Imports".
func hostFuncOf(module, name string) (hostFunc, bool) {
	switch {
	case module == abi.ModuleWSE && name == abi.ImportLog:
		return hostFunc{"iii", "", (*instance).hostLog}, true
	case module == abi.ModuleWSE && name == abi.ImportMetric:
		return hostFunc{"iid", "", (*instance).hostMetric}, true
	case module == abi.ModuleEnv && name == abi.ImportAbort:
		return hostFunc{"iiii", "", (*instance).hostAbort}, true
	case module == abi.ModuleWASI:
		return wasiFunc(name)
	}
	return hostFunc{}, false
}

func valueTypes(short string) []api.ValueType {
	out := make([]api.ValueType, len(short))
	for i, c := range short {
		out[i] = map[rune]api.ValueType{'i': scan.I32, 'I': scan.I64, 'd': scan.F64}[c]
	}
	return out
}

// checkImports returns what is wrong with the module's imports.
func checkImports(m *scan.Module) error {
	for _, imp := range m.Imports {
		f, ok := hostFuncOf(imp.Module, imp.Name)
		if !ok || imp.Kind != scan.KindFunction {
			return fmt.Errorf("imports %s.%s, which the host does not offer; sdk/ABI.md lists what it does",
				printable([]byte(imp.Module), nameBytesShown), printable([]byte(imp.Name), nameBytesShown))
		}
		want := scan.FuncType{Params: valueTypes(f.params), Results: valueTypes(f.results)}
		if got := m.Types[imp.Type]; !got.Equal(string(want.Params), string(want.Results)) {
			return fmt.Errorf("imports %s.%s as %s, the host offers %s", imp.Module, imp.Name, got, want)
		}
	}
	return nil
}

// instantiateHost makes the modules that m imports from, with the functions that it imports and no others: each costs
// the runtime a trampoline.
func instantiateHost(ctx context.Context, rt wazero.Runtime, m *scan.Module) error {
	builders := map[string]wazero.HostModuleBuilder{}
	done := map[string]bool{}
	for _, imp := range m.Imports {
		key := imp.Module + "\x00" + imp.Name
		if done[key] {
			continue
		}
		done[key] = true
		f, _ := hostFuncOf(imp.Module, imp.Name)
		b, ok := builders[imp.Module]
		if !ok {
			b = rt.NewHostModuleBuilder(imp.Module)
			builders[imp.Module] = b
		}
		call := f.call
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			in := ctx.Value(instanceKey{}).(*instance)
			if in.fuel == nil { // the start function's call: nobody has asked for it yet
				in.fuel = mod.ExportedGlobal(meter.Export).(api.MutableGlobal)
			}
			call(in, mod.Memory(), stack)
		}), valueTypes(f.params), valueTypes(f.results)).Export(imp.Name)
	}
	for name, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("host module %s: %w", name, err)
		}
	}
	return nil
}

// guestStop ends a guest's call from a host function: a trap with a reason.
type guestStop struct{ reason string }

// Error implements error, which is how the runtime carries the reason to the caller.
func (e *guestStop) Error() string { return e.reason }

func stop(format string, args ...any) { panic(&guestStop{fmt.Sprintf(format, args...)}) }

// What the host's work costs the guest beside the call of the import itself, in units of about half a nanosecond like all
// others. BenchmarkHostWork has the costliest use of each.
const (
	priceLine       = 200 // of a line for the log, whether it gets there or not
	lineByte        = 1   // of a byte of a line that is looked at
	priceLineEnd    = 56  // of the end of a line on a stream, even an empty one
	priceVector     = 64  // of a piece that fd_write is given
	priceCount      = 280 // of adding to a metric
	pricePoll       = 64  // of a subscription
	priceRandom     = 48  // of random_get, however few bytes it makes
	priceRandomByte = 2   // of each of them
)

// charge makes the guest pay for work that the host does for it.
func (in *instance) charge(units uint64) {
	if in.fuel == nil {
		return // the instance is being closed, and what is left of its last line is logged
	}
	left := int64(in.fuel.Get()) - int64(min(units, fuelMax))
	in.fuel.Set(uint64(left))
	if left < 0 {
		stop("out of fuel")
	}
}

// hostLog is wse.log(level, ptr, len): levels 0 trace, 1 debug, 2 info, 3 warn, 4 error.
func (in *instance) hostLog(mem api.Memory, stack []uint64) {
	level, ptr, n := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	in.log(int(min(level, 4)), in.view(mem, "wse.log", ptr, n))
}

// log passes one line on, as far as the caps allow.
func (in *instance) log(level int, text []byte) {
	v := in.version
	in.charge(priceLine + uint64(min(len(text), saidBytesMax/2))*lineByte)
	in.hear(text)
	if in.lines++; in.lines > v.cfg.Limits.LogLinesPerCall || !v.logs.allow() {
		v.logs.dropped.Add(1)
		return
	}
	in.charge(uint64(min(len(text), v.cfg.Limits.LogLineBytes)))
	if v.host.deps.Log != nil {
		v.host.deps.Log(v.cfg.Name, v.id, level, printable(text, v.cfg.Limits.LogLineBytes))
	}
}

// view returns guest memory, or ends the call when the guest pointed outside.
func (in *instance) view(mem api.Memory, who string, ptr, n uint32) []byte {
	if mem == nil {
		stop("%s before there is a memory", who)
	}
	b, ok := mem.Read(ptr, n)
	if !ok {
		stop("%s was given %d bytes at %d, outside its memory of %d", who, n, ptr, mem.Size())
	}
	return b
}

// nameBytesShown is how much is shown of a name that a module chose.
const nameBytesShown = 128

// printable makes one line of at most n bytes of a guest's text. What a terminal takes for an order, or for a change of
// direction, becomes a space.
func printable(text []byte, n int) string {
	if len(text) > n {
		text = text[:n]
	}
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, string(text)), " ")
}

// hostMetric is wse.metric(ptr, len, value): adds value to the counter of that name.
func (in *instance) hostMetric(mem api.Memory, stack []uint64) {
	in.charge(priceCount)
	name := in.view(mem, "wse.metric", uint32(stack[0]), uint32(stack[1]))
	in.version.metrics.add(name, math.Float64frombits(stack[2]), in.version.cfg.Limits.Metrics)
}

// hostAbort is env.abort(message, file, line, column) as AssemblyScript calls it: strings are UTF-16 with their size in
// bytes in front. Without file and line, the message has said where, as panics in Rust do.
func (in *instance) hostAbort(mem api.Memory, stack []uint64) {
	if uint32(stack[1]) == 0 && uint32(stack[2]) == 0 {
		stop("abort: %s", utf16Text(mem, uint32(stack[0])))
	}
	stop("abort: %s at %s:%d:%d", utf16Text(mem, uint32(stack[0])), utf16Text(mem, uint32(stack[1])),
		uint32(stack[2]), uint32(stack[3]))
}

func utf16Text(mem api.Memory, ptr uint32) string {
	if mem == nil || ptr < 4 {
		return "?"
	}
	size, ok := mem.ReadUint32Le(ptr - 4)
	if !ok {
		return "?"
	}
	raw, ok := mem.Read(ptr, min(size, 512)&^1)
	if !ok {
		return "?"
	}
	units := make([]uint16, 0, len(raw)/2)
	for ; len(raw) >= 2; raw = raw[2:] {
		units = append(units, binary.LittleEndian.Uint16(raw))
	}
	return printable([]byte(string(utf16.Decode(units))), 512)
}

// logCap lets so many lines a second through, for all instances of a version.
type logCap struct {
	mu      sync.Mutex
	second  int64 // guarded by mu
	lines   int   // guarded by mu
	most    int
	dropped atomic.Uint64
}

func (c *logCap) allow() bool {
	now := time.Now().Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now != c.second {
		c.second, c.lines = now, 0
	}
	c.lines++
	return c.lines <= c.most
}

// guestMetrics are the counters that a guest keeps with the host.
type guestMetrics struct {
	mu     sync.Mutex
	values map[string]float64 // guarded by mu
}

const metricNameBytesMax = 64

// add ignores what is no counter: negative or endless values, names that no metric may have, and names beyond the most.
func (g *guestMetrics) add(name []byte, value float64, most int) {
	if !(value >= 0) || math.IsInf(value, 0) || !metricName(name) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, ok := g.values[string(name)]; ok || len(g.values) < most {
		if g.values == nil {
			g.values = map[string]float64{}
		}
		g.values[string(name)] = old + value
	}
}

func metricName(name []byte) bool {
	if len(name) == 0 || len(name) > metricNameBytesMax {
		return false
	}
	for i, c := range name {
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

func (g *guestMetrics) snapshot() map[string]float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[string]float64, len(g.values))
	for k, v := range g.values {
		out[k] = v
	}
	return out
}

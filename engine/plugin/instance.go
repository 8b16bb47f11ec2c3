package plugin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/sdk/abi"
)

// instance is one running copy of a module. It belongs to one goroutine at a time: to the pool, or to a call.
//
// It is its own context: the runtime looks a few keys up at every call, and a chain of values would make each look-up
// an allocation or a walk (BenchmarkCall).
type instance struct {
	version *version
	mod     api.Module
	mem     api.Memory
	fuel    api.MutableGlobal
	hooks   [hookCount]api.Function
	batch   api.Function // nil where the guest has none
	buffer  api.Function
	addr    uint32 // of the input buffer
	size    uint32 // of the input buffer
	stack   [1]uint64
	used    int64         // fuel of the last call
	now     time.Duration // the clock that stands still, since 1970; 0: not read in this call
	lines   int           // logged in this call
	calls   uint64        // so far
	random  *rand.ChaCha8
	said    []byte    // in this call, the last of it, a line each
	dying   bool      // said why it ends
	printed [2][]byte // of a line on stdout and stderr that has no end yet
}

type instanceKey struct{}

var _ context.Context = (*instance)(nil)

// Deadline implements context.Context: fuel bounds a call, not time.
func (in *instance) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (in *instance) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (in *instance) Err() error { return nil }

// Value implements context.Context: host functions find their instance under instanceKey.
func (in *instance) Value(key any) any {
	if key == (instanceKey{}) {
		return in
	}
	return nil
}

// newInstance makes an instance for the pool. The error is a *LoadError.
func (v *version) newInstance() (*instance, error) {
	in, err := v.newInstanceIn(allocate)
	if err == nil {
		v.ready.Add(1)
	}
	return in, err
}

// newInstanceIn takes the steps instantiate, initialize, buffer and configure. The error is a *LoadError.
func (v *version) newInstanceIn(allocate experimental.MemoryAllocatorFunc) (*instance, error) {
	in := &instance{version: v, random: rand.NewChaCha8(v.digest)}
	step, err := in.start(allocate)
	if err != nil {
		in.close()
		return nil, failed(v.cfg.Name, step, err)
	}
	return in, nil
}

func (in *instance) start(allocate experimental.MemoryAllocatorFunc) (Step, error) {
	v := in.version
	ctx := experimental.WithMemoryAllocator(in, allocate)
	mod, err := v.compiled.rt.InstantiateModule(ctx, v.compiled.module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		err = in.initError(err)
		if strings.Contains(err.Error(), "unreachable") { // the tank is the module's, which does not exist any more
			err = fmt.Errorf("the start function stopped, or used more than fuel_init = %d: %w", v.cfg.Limits.FuelInit, err)
		}
		return StepInstantiate, err
	}
	in.mod, in.mem = mod, mod.Memory()
	in.fuel = mod.ExportedGlobal(meter.Export).(api.MutableGlobal)
	for h := range hookCount {
		if v.has[h] {
			in.hooks[h] = mod.ExportedFunction(h.export())
		}
	}
	in.batch = mod.ExportedFunction(abi.ExportTransformBatch)
	in.buffer = mod.ExportedFunction(abi.ExportBuffer)
	in.fuel.Set(uint64(v.cfg.Limits.FuelInit))
	if f := mod.ExportedFunction(abi.ExportInitialize); f != nil {
		if err := f.CallWithStack(in, in.stack[:]); err != nil {
			return StepInitialize, in.initError(err)
		}
	}
	if err := in.ask(abi.BufferBytes); err != nil {
		return StepBuffer, err
	}
	return StepConfigure, in.configure()
}

// ask has the guest provide an input buffer of n bytes.
func (in *instance) ask(n uint32) error {
	in.stack[0] = uint64(n)
	if err := in.buffer.CallWithStack(in, in.stack[:]); err != nil {
		return in.initError(err)
	}
	addr := uint32(in.stack[0])
	switch {
	case addr == 0:
		return fmt.Errorf("wse_buffer(%d) refused", n)
	case uint64(addr)+uint64(n) > uint64(in.mem.Size()):
		return fmt.Errorf("wse_buffer(%d) returned %d, which does not lie inside the memory of %d bytes", n, addr, in.mem.Size())
	}
	in.addr, in.size = addr, n
	return nil
}

// configure hands the guest its configuration. A guest without wse_configure must not be given one: the operator would
// believe that it counts.
func (in *instance) configure() error {
	f := in.mod.ExportedFunction(abi.ExportConfigure)
	doc := in.version.config
	switch {
	case f == nil && len(doc) > 0:
		return fmt.Errorf("the configuration has a config for it, but the module does not export %s", abi.ExportConfigure)
	case f == nil:
		return nil
	case doc == nil:
		doc = []byte("{}")
	}
	if uint32(len(doc)) > in.size {
		if err := in.ask(uint32(len(doc))); err != nil {
			return err
		}
	}
	if !in.mem.Write(in.addr, doc) {
		return errors.New("the input buffer left the memory")
	}
	in.stack[0] = uint64(len(doc))
	if err := f.CallWithStack(in, in.stack[:]); err != nil {
		return in.initError(err)
	}
	switch r := abi.Unpack(in.stack[0]); r.Kind {
	case abi.Yes:
		in.now, in.lines = 0, 0
		return nil
	case abi.ErrorText:
		return errors.New(in.errorText(r))
	default:
		return fmt.Errorf("%s answered %s instead of yes", abi.ExportConfigure, r.Kind)
	}
}

func (in *instance) close() {
	in.last()
	if in.mod != nil {
		_ = in.mod.Close(context.Background()) // closes memory only
	}
}

// last logs the lines that a guest did not end.
func (in *instance) last() {
	in.fuel = nil // nobody pays for them
	in.lines = 0
	in.flush(1)
	in.flush(2)
}

// errorTextMax is how much of what a guest says is wrong is kept.
const errorTextMax = 512

// errorText reads what a guest says is wrong.
func (in *instance) errorText(r abi.Result) string {
	raw, _ := in.mem.Read(r.Ptr, min(r.Len, errorTextMax))
	return errorText(raw)
}

func errorText(raw []byte) string {
	if text := printable(raw, errorTextMax); text != "" {
		return text
	}
	return "an error without a text"
}

// fault is a failed call before it has a name and a version.
type fault struct {
	kind Failure
	text string
}

// begins forgets what belonged to the call before. Each of n events brings the log lines of a call.
func (in *instance) begins(n int) {
	in.now, in.used, in.lines, in.said, in.dying = 0, 0, -(n-1)*in.version.cfg.Limits.LogLinesPerCall, in.said[:0], false
}

// call runs one hook. With kind Data, view is the answer where it lies in the guest's memory, good until the next call.
// It allocates nothing unless it fails.
func (in *instance) call(h hook, doc []byte) (view []byte, kind abi.Kind, f *fault) {
	budget := in.version.cfg.Limits.Fuel
	in.begins(1)
	room, f := in.room(len(doc), budget)
	if f != nil {
		return nil, abi.No, f
	}
	copy(room, doc)
	return in.enter(h, len(doc), budget)
}

// room fills the tank and returns the input buffer for a document of n bytes: the guest's own memory.
func (in *instance) room(n int, budget int64) ([]byte, *fault) {
	in.fuel.Set(uint64(budget))
	if uint32(n) > in.size {
		if err := in.enlarge(n); err != nil {
			return nil, in.trapped(err, budget)
		}
	}
	room, ok := in.mem.Read(in.addr, uint32(n))
	if !ok {
		return nil, &fault{Violation, "the input buffer left the memory"}
	}
	return room, nil
}

// enter calls a hook with the n bytes that lie in the input buffer; the tank held budget.
func (in *instance) enter(h hook, n int, budget int64) (view []byte, kind abi.Kind, f *fault) {
	limits := &in.version.cfg.Limits
	in.stack[0] = uint64(n)
	err := in.hooks[h].CallWithStack(in, in.stack[:])
	in.used = budget - int64(in.fuel.Get())
	if err != nil {
		return nil, abi.No, in.trapped(err, budget)
	}
	switch r := abi.Unpack(in.stack[0]); r.Kind {
	case abi.No, abi.Yes:
		return nil, r.Kind, nil
	case abi.Data:
		view, ok := in.mem.Read(r.Ptr, r.Len)
		if !ok || int(r.Len) > limits.OutKiB<<10 {
			return nil, abi.No, in.badAnswer(r, limits.OutKiB<<10)
		}
		return view, abi.Data, nil
	case abi.ErrorText:
		return nil, abi.No, &fault{Guest, in.errorText(r)}
	case abi.ErrorCode:
		return nil, abi.No, &fault{Guest, fmt.Sprintf("error %d", r.Code)}
	default:
		return nil, abi.No, &fault{Violation, fmt.Sprintf("%s returned %#x, which is no result", h.export(), in.stack[0])}
	}
}

// enlarge asks for a buffer of a power of two, so that growing documents do not ask every time.
func (in *instance) enlarge(n int) error {
	size := uint32(abi.BufferBytes)
	for int(size) < n {
		size *= 2
	}
	return in.ask(size)
}

func (in *instance) badAnswer(r abi.Result, most int) *fault {
	if int(r.Len) > most {
		return &fault{Violation, fmt.Sprintf("an answer of %d bytes, at most %d are allowed (out_kib)", r.Len, most)}
	}
	return &fault{Violation, fmt.Sprintf("an answer of %d bytes at %d, outside the memory of %d", r.Len, r.Ptr, in.mem.Size())}
}

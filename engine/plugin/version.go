package plugin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/sdk/abi"
)

// version is one module with one configuration, made ready.
type version struct {
	host     *Host
	cfg      Config // with defaults
	id       string // see source.id
	digest   [sha256.Size]byte
	print    [sha256.Size]byte // of all that makes it this version
	config   []byte            // for wse_configure
	sums     digests
	compiled *compiled
	has      [hookCount]bool
	size     int
	loaded   time.Time
	epoch    time.Duration // loaded, since 1970

	pool     pool
	batching batching
	costs    [hookCount]cost
	refs     atomic.Int64 // tables, and others, that hold it
	ready    atomic.Int64
	starting atomic.Int64 // nanoseconds that making instances took
	told     risen        // of the processor's time
	replaced atomic.Uint64
	breaker  breaker
	counters [hookCount]hookStats
	ticks    atomic.Uint64 // that strategies consumed
	logs     logCap
	metrics  guestMetrics
	cache    verdictCache
	watch    atomic.Pointer[watch] // nil: nobody looks on
}

// release gives one hold back; the last one closes the version. No call is under way then, since every call holds the
// table, or the version itself.
func (v *version) release() {
	if v.refs.Add(-1) == 0 {
		v.close()
	}
}

func (v *version) close() {
	for in, ok := v.pool.take(); ok; in, ok = v.pool.take() {
		if in != nil {
			v.lose(in)
		}
	}
	_ = v.compiled.close() // has nothing left to fail
}

// call runs hook h on doc and has answer read what it says. An instance that trapped, ran out of fuel or broke the ABI
// does not go back into the pool; the next call makes another.
func (v *version) call(ctx context.Context, h hook, doc []byte, answer Answer) (abi.Kind, error) {
	if err := v.admit(h, doc); err != nil {
		return abi.No, err
	}
	in, free := v.pool.take()
	if !free {
		k := v.pool.task(h)
		defer v.pool.done(k)
		k.single(doc, answer)
		v.submit(ctx, k)
		return k.one.kind, k.one.Err
	}
	in, kind, err := v.once(ctx, in, h, doc, answer)
	v.pool.give(in)
	return kind, err
}

// admit refuses what is not worth waiting for an instance.
func (v *version) admit(h hook, doc []byte) error {
	switch {
	case len(doc) > v.cfg.Limits.InKiB<<10:
		return v.refuse(h, TooLarge, fmt.Sprintf("a document of %d bytes, at most %d KiB are allowed (in_kib)", len(doc), v.cfg.Limits.InKiB))
	case v.breaker.resting():
		return v.rests(h)
	}
	return nil
}

func (v *version) rests(h hook) error {
	return v.refuse(h, Open, fmt.Sprintf("not called: it failed %d times in a row and rests for %v", v.breaker.limit, v.breaker.pause))
}

// submit has k wait for an instance, and runs it or has it run.
func (v *version) submit(ctx context.Context, k *task) {
	limits := &v.cfg.Limits
	away := v.slow(k.hook) && stepAside(ctx)
	t := v.pool.wait(ctx, k, limits.InstanceWait, limits.WaitingMax)
	if away {
		stepBack(ctx)
	}
	var why string
	switch t.does {
	case leads:
		v.lead(ctx, t.in, k)
		return
	case settled:
		return
	case turned:
		why = fmt.Sprintf("%d calls wait for one of its %d instances already (waiting_max, instances)", limits.WaitingMax, limits.Instances)
	default:
		why = fmt.Sprintf("all %d instances are busy (instances)", limits.Instances)
	}
	for _, ev := range k.events {
		ev.kind, ev.Err = abi.No, v.refuse(k.hook, Busy, why)
	}
}

// lead runs k, and what it takes along, with an instance that it gives back.
func (v *version) lead(ctx context.Context, in *instance, k *task) {
	v.pool.follow(k, v.together(k.hook), v.batchBytesMax(), v.cfg.Limits.Instances)
	if len(k.along) > 0 {
		ctx = context.Background() // the others did not give up
	}
	v.pool.give(v.drain(ctx, in, k.hook, k.all))
	for _, other := range k.along {
		other.turn <- turn{nil, settled}
	}
}

// slow reports whether calls of h took so long lately that they pass the gate.
func (v *version) slow(h hook) bool { return v.costs[h].lately() > v.cfg.Limits.SlowFuel }

// once runs one call with an instance, nil standing for one that must be made, and returns the instance to go on with.
func (v *version) once(ctx context.Context, in *instance, h hook, doc []byte, answer Answer) (*instance, abi.Kind, error) {
	if !v.breaker.allow() {
		return in, abi.No, v.rests(h)
	}
	if in != nil && !v.slow(h) {
		return v.now(in, h, doc, answer)
	}
	if !v.pass(ctx) {
		v.breaker.neither()
		return in, abi.No, v.refuse(h, Busy, fmt.Sprintf("it takes long, and the processors were busy with such plugins for %v (slow_fuel, instance_wait)", v.cfg.Limits.InstanceWait))
	}
	defer v.host.gate.leave()
	if in == nil {
		var err error
		if in, err = v.timed((*version).newInstance); err != nil {
			v.failed(err.Error())
			return nil, abi.No, v.refuse(h, Trap, err.Error())
		}
		v.replaced.Add(1)
	}
	return v.now(in, h, doc, answer)
}

// firstInstance makes an instance of a version that does not serve yet.
func (v *version) firstInstance(ctx context.Context) (*instance, error) {
	if !v.host.gate.enter(ctx, math.MaxInt64) {
		return nil, failed(v.cfg.Name, StepInstantiate, ctx.Err())
	}
	defer v.host.gate.leave()
	return v.timed((*version).newInstance)
}

// pooled reports whether any hook is served by instances of the pool.
func (v *version) pooled() bool {
	for h := range hookCount {
		if v.has[h] && !h.stateful() {
			return true
		}
	}
	return false
}

// timed has an instance made and counts what that costs.
func (v *version) timed(create func(*version) (*instance, error)) (*instance, error) {
	timing := timing{exact: true}
	runtime.LockOSThread()
	timing.cpu = threadTime()
	in, err := create(v)
	v.starting.Add(int64(timing.end().cpu))
	return in, err
}

// pass waits at the gate.
func (v *version) pass(ctx context.Context) bool {
	if v.host.gate.free() {
		return true
	}
	if stepAside(ctx) {
		defer stepBack(ctx)
	}
	return v.host.gate.enter(ctx, v.cfg.Limits.InstanceWait)
}

// now runs one call and counts it.
func (v *version) now(in *instance, h hook, doc []byte, answer Answer) (*instance, abi.Kind, error) {
	kind, f := v.run(in, h, doc, answer)
	if h == hookTransform {
		v.batching.ranAlone()
	}
	if f != nil && f.kind != Guest {
		v.lose(in)
		v.failed(string(f.kind) + ": " + f.text)
		return nil, abi.No, v.refuse(h, f.kind, f.text)
	}
	v.succeeded()
	if f != nil {
		return in, abi.No, v.refuse(h, Guest, f.text)
	}
	v.counters[h].calls[kind].Add(1) // No, Yes and Data are OutcomeNo, OutcomeYes and OutcomeData
	return in, kind, nil
}

// lose closes an instance that cannot be trusted any more.
func (v *version) lose(in *instance) {
	in.close()
	v.ready.Add(-1)
}

// run calls the instance, times one call in latencyEvery, counts its fuel, and has the answer read.
func (v *version) run(in *instance, h hook, doc []byte, answer Answer) (abi.Kind, *fault) {
	stats := &v.counters[h]
	timing := in.begin()
	view, kind, f := in.call(h, doc)
	used := max(in.used, 0)
	stats.took(timing.end(), used, 1)
	stats.fuel.add(uint64(used), fuelFirst, fuelShift)
	v.costs[h].add(used)
	if f == nil && kind == abi.Data {
		if err := answer.Read(view); err != nil {
			f = &fault{Violation, "the answer of " + h.export() + ": " + err.Error()}
		}
	}
	if w := v.watch.Load(); w != nil {
		w.saw(v, h, doc, kind, view, f, in.used)
	}
	return kind, f
}

// failed counts a failed call. Who called learns of each; the log, which a guest must not be able to flood, of those that
// silence the plugin.
func (v *version) failed(why string) {
	if v.breaker.fail() && v.host.deps.Log != nil {
		why, _, _ = strings.Cut(why, "\n") // without the stack, which the error has
		v.host.deps.Log(v.cfg.Name, v.id, 4, fmt.Sprintf("failed %d times in a row and rests for %v, last with %s",
			v.breaker.limit, v.breaker.pause, printable([]byte(why), v.cfg.Limits.LogLineBytes)))
	}
}

func (v *version) succeeded() {
	if v.breaker.succeed() && v.host.deps.Log != nil {
		v.host.deps.Log(v.cfg.Name, v.id, 2, "serves again")
	}
}

// refuse counts a call that gave no usable answer, and says so.
func (v *version) refuse(h hook, kind Failure, text string) error {
	v.counters[h].calls[kind.outcome()].Add(1)
	return &CallError{Plugin: v.cfg.Name, Version: v.id, Kind: kind, Policy: v.cfg.OnError, Text: text}
}

// outcome is the label that a failure is counted under.
func (k Failure) outcome() Outcome {
	switch k {
	case Trap:
		return OutcomeTrap
	case OutOfFuel:
		return OutcomeFuel
	case Guest:
		return OutcomeError
	case Busy:
		return OutcomeBusy
	case Open:
		return OutcomeOpen
	case TooLarge:
		return OutcomeTooLarge
	default:
		return OutcomeViolation
	}
}

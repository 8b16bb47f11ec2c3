package plugin

import (
	"context"
	"crypto/sha256"
	"fmt"
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
	compiled *compiled
	has      [hookCount]bool
	size     int
	loaded   time.Time
	epoch    time.Duration // loaded, since 1970

	pool     chan *instance // nil stands for one that must be made
	refs     atomic.Int64   // tables, and others, that hold it
	ready    atomic.Int64
	replaced atomic.Uint64
	breaker  breaker
	counters [hookCount]hookStats
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
	for {
		select {
		case in := <-v.pool:
			if in != nil {
				in.close()
				v.ready.Add(-1)
			}
			continue
		default:
		}
		break
	}
	_ = v.compiled.close() // has nothing left to fail
}

// take returns an instance from the pool, nil where one has to be made, or false when none came free in time.
func (v *version) take(ctx context.Context) (*instance, bool) {
	select {
	case in := <-v.pool:
		return in, true
	default:
	}
	wait := time.NewTimer(v.cfg.Limits.InstanceWait)
	defer wait.Stop()
	select {
	case in := <-v.pool:
		return in, true
	case <-ctx.Done():
	case <-wait.C:
	}
	return nil, false
}

// call runs hook h on doc and has answer read what it says. An instance that trapped, ran out of fuel or broke the ABI
// does not go back into the pool; the next call makes another.
func (v *version) call(ctx context.Context, h hook, doc []byte, answer Answer) (abi.Kind, error) {
	stats := &v.counters[h]
	if len(doc) > v.cfg.Limits.InKiB<<10 {
		return v.refuse(stats, TooLarge, fmt.Sprintf("a document of %d bytes, at most %d KiB are allowed (in_kib)", len(doc), v.cfg.Limits.InKiB))
	}
	if !v.breaker.allow() {
		return v.refuse(stats, Open, fmt.Sprintf("not called: it failed %d times in a row and rests for %v", v.breaker.limit, v.breaker.pause))
	}
	in, ok := v.take(ctx)
	if !ok {
		v.breaker.neither()
		return v.refuse(stats, Busy, fmt.Sprintf("all %d instances are busy (instances)", v.cfg.Limits.Instances))
	}
	if in == nil {
		var err error
		if in, err = v.newInstance(); err != nil {
			v.pool <- nil
			v.failed(err.Error())
			return v.refuse(stats, Trap, err.Error())
		}
		v.replaced.Add(1)
	}
	kind, f := v.run(in, h, doc, answer)
	if f != nil {
		return v.fail(stats, in, f)
	}
	v.pool <- in
	v.succeeded()
	stats.calls[kind].Add(1) // No, Yes and Data are OutcomeNo, OutcomeYes and OutcomeData
	return kind, nil
}

// run calls the instance, times one call in latencyEvery, counts its fuel, and has the answer read.
func (v *version) run(in *instance, h hook, doc []byte, answer Answer) (abi.Kind, *fault) {
	stats := &v.counters[h]
	in.calls++
	timed := in.calls%latencyEvery == 1
	var begin time.Time
	if timed {
		begin = time.Now()
	}
	view, kind, f := in.call(h, doc)
	if timed {
		stats.latency.add(uint64(time.Since(begin)), latencyFirst, latencyShift)
	}
	stats.fuel.add(uint64(max(in.used, 0)), fuelFirst, fuelShift)
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

// fail counts a failed call and decides about its instance.
func (v *version) fail(stats *hookStats, in *instance, f *fault) (abi.Kind, error) {
	if f.kind == Guest {
		v.pool <- in
		v.succeeded()
		return v.refuse(stats, Guest, f.text)
	}
	in.close()
	v.ready.Add(-1)
	v.pool <- nil
	v.failed(string(f.kind) + ": " + f.text)
	return v.refuse(stats, f.kind, f.text)
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

func (v *version) refuse(stats *hookStats, kind Failure, text string) (abi.Kind, error) {
	stats.calls[kind.outcome()].Add(1)
	return abi.No, &CallError{Plugin: v.cfg.Name, Version: v.id, Kind: kind, Policy: v.cfg.OnError, Text: text}
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

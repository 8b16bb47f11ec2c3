package plugin

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// gate lets calls that take long pass one fewer at a time than there are processors, in the order of their arrival.
//
// Nobody can interrupt a guest: neither Go's scheduler nor the garbage collector, which waits for it with everything else
// stopped. Were as many long calls under way as there are processors, everything else would wait for one to end.
type gate chan struct{}

func newGate() gate { return make(gate, max(1, runtime.GOMAXPROCS(0)-1)) }

// free passes if nobody has to be waited for, and reports whether it did. A nil gate lets everybody pass.
func (g gate) free() bool {
	if g == nil {
		return true
	}
	select {
	case g <- struct{}{}:
		return true
	default:
		return false
	}
}

// enter waits for at most patience, and reports whether the caller may pass; leave must follow then.
func (g gate) enter(ctx context.Context, patience time.Duration) bool {
	if g.free() {
		return true
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case g <- struct{}{}: // who waits longest is let through first, as channels do
		// Whoever is woken up runs before all that wait for this processor. Without another turn at the end of their queue, those
		// at the gate would hand the processor to each other for as long as a time slice lasts (BenchmarkBesideSlow).
		runtime.Gosched()
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// leave lets the next one pass, and whoever else wants the processor run before the caller goes on.
func (g gate) leave() {
	if g != nil {
		<-g
		runtime.Gosched()
	}
}

// cost is what a call has needed lately, in fuel: the most, forgotten within some hundred cheaper calls.
type cost struct{ fuel atomic.Int64 }

// forgetShift makes a cheaper call take a 64th off the difference.
const forgetShift = 6

// add counts a call. Of two that count at the same time one may be lost, which the next makes up for; and a plugin whose
// calls cost the same every time never writes here.
func (c *cost) add(used int64) {
	lately := c.fuel.Load()
	switch less := (lately - used) >> forgetShift; {
	case used > lately:
		c.fuel.Store(used)
	case less > 0:
		c.fuel.Store(lately - less)
	}
}

func (c *cost) lately() int64 { return c.fuel.Load() }

package plugin

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// cpuEvery is how many calls there are for each one whose thread's time is looked up, cpuSoon the same for the first
	// cpuEvery calls of an instance, so that there is something to go by early. Looking takes two system calls, which one in
	// 64 would make a sixth of what a call costs (BenchmarkBorder).
	cpuEvery, cpuSoon = 1024, 64
	// longFuel is the fuel from which on a call takes so long that looking costs nothing beside it: about 5 µs.
	longFuel = 1 << 16
	// nsPerFuel is what a unit usually takes.
	nsPerFuel = 0.1
)

// timing is a call that is timed, or not.
type timing struct {
	begin  time.Time     // for the latency histogram
	cpu    time.Duration // of this thread, for the processor's share
	sample bool          // one in latencyEvery
	exact  bool          // one in cpuEvery, more at first, and every one whose predecessor on the instance was long
}

// begin is for the start of a call; end must follow on the same goroutine.
func (in *instance) begin() (t timing) {
	in.calls++
	if t.sample = in.calls%latencyEvery == 1; t.sample {
		t.begin = time.Now()
	}
	// The first call of an instance finds everything cold and stands for no other.
	every := uint64(cpuEvery)
	if in.calls < cpuEvery {
		every = cpuSoon
	}
	if t.exact = in.calls%every == every/2 || in.used > longFuel; t.exact {
		runtime.LockOSThread()
		t.cpu = threadTime()
	}
	return t
}

// took is what a call took: by the clock, and of the processor. Zero was not measured.
type took struct{ latency, cpu time.Duration }

func (t *timing) end() (d took) {
	if t.exact {
		d.cpu = max(threadTime()-t.cpu, 1)
		runtime.UnlockOSThread()
	}
	if t.sample {
		d.latency = max(time.Since(t.begin), 1)
	}
	return d
}

// took counts n calls of that much fuel each, which took d together.
func (s *hookStats) took(d took, used int64, n int) {
	if d.latency > 0 {
		s.latency.add(uint64(d.latency)/uint64(n), latencyFirst, latencyShift)
	}
	if d.cpu > 0 {
		i := bucket(uint64(used), fuelFirst, fuelShift)
		s.cpu.timed[i].Add(uint64(n))
		s.cpu.ns[i].Add(uint64(d.cpu))
	}
}

// cpu is what the calls took that were timed exactly, by the buckets of the fuel histogram: in each bucket they stand for
// the others.
type cpu struct {
	timed, ns [Buckets]atomic.Uint64
	wasted    atomic.Uint64 // fuel of batches that failed, whose events were then run one by one
}

// total estimates what all calls took, of which fuel tells.
func (c *cpu) total(fuel *Histogram) time.Duration {
	ns := float64(c.wasted.Load()) * nsPerFuel
	for i, calls := range fuel.Counts {
		if calls > 0 {
			ns += float64(calls) * c.mean(i, fuel)
		}
	}
	return time.Duration(ns)
}

// mean is what a call of bucket i took on average. Where none was timed, it is what one of the next cheaper bucket took
// that has one, and the usual price of its own fuel.
func (c *cpu) mean(i int, fuel *Histogram) float64 {
	own := 0.0
	for j := i; j >= 0; j-- {
		if n := c.timed[j].Load(); n > 0 {
			return float64(c.ns[j].Load())/float64(n) + own
		}
		if own == 0 && i > 0 {
			own = float64(fuel.Bounds[i-1]) * 2 * nsPerFuel // a bucket is four times as wide as the one below
		}
	}
	return own
}

// risen is the highest of the estimates told so far: a counter must not fall because a call turned out to be cheap.
type risen struct{ ns atomic.Int64 }

func (r *risen) atLeast(d time.Duration) time.Duration {
	for {
		told := r.ns.Load()
		if int64(d) <= told {
			return time.Duration(told)
		}
		if r.ns.CompareAndSwap(told, int64(d)) {
			return d
		}
	}
}

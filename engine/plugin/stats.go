package plugin

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Outcome is how a call ended, the label that counters carry.
type Outcome uint8

// The outcomes.
const (
	OutcomeNo Outcome = iota
	OutcomeYes
	OutcomeData
	OutcomeError
	OutcomeTrap
	OutcomeFuel
	OutcomeViolation
	OutcomeBusy
	OutcomeOpen
	OutcomeTooLarge

	Outcomes // how many there are
)

// String returns the label.
func (o Outcome) String() string {
	return [Outcomes]string{"no", "yes", "data", "error", "trap", "fuel", "violation", "busy", "open", "too_large"}[o]
}

// Buckets is the number of buckets of a [Histogram], the last of which has no upper bound.
const Buckets = 16

// Histogram counts values by size. Bounds are the upper bounds of all buckets but the last; counts are not cumulative.
type Histogram struct {
	Bounds [Buckets - 1]uint64
	Counts [Buckets]uint64
	Sum    uint64
}

// histogram has a bucket for every shift doublings from 1<<first on.
type histogram struct {
	counts [Buckets]atomic.Uint64
	sum    atomic.Uint64
}

const (
	fuelFirst, fuelShift       = 4, 2 // 16, 64, 256 … units
	latencyFirst, latencyShift = 8, 1 // 256, 512 … nanoseconds
	latencyEvery               = 8    // calls per call that is timed: two looks at a clock cost as much as the call
)

func (h *histogram) add(v uint64, first, shift int) { h.addMany(v, 1, first, shift) }

// addMany counts v n times.
func (h *histogram) addMany(v, n uint64, first, shift int) {
	h.counts[bucket(v, first, shift)].Add(n)
	h.sum.Add(v * n)
}

func bucket(v uint64, first, shift int) int {
	return min(max((bits.Len64(v)-first+shift-1)/shift, 0), Buckets-1)
}

func (h *histogram) snapshot(first, shift int) Histogram {
	out := Histogram{Sum: h.sum.Load()}
	for i := range h.counts {
		out.Counts[i] = h.counts[i].Load()
	}
	for i := range out.Bounds {
		out.Bounds[i] = 1<<(first+i*shift) - 1
	}
	return out
}

// hookStats counts the calls of one hook of one version.
type hookStats struct {
	calls   [Outcomes]atomic.Uint64
	fuel    histogram
	latency histogram
	cpu     cpu
}

// HookStats is a hook's counters. Fuel covers every call, LatencyNS one of latencyEvery.
type HookStats struct {
	Hook      string // transform, validate, authorize, strategy_open, strategy_ticks or strategy_update
	Calls     [Outcomes]uint64
	Fuel      Histogram
	LatencyNS Histogram
}

// Stats is one loaded version's counters.
type Stats struct {
	Plugin, Version string
	Hooks           []HookStats
	// CPU is what calls and the making of instances cost the processor since the version was loaded. It is an estimate from
	// the calls that are timed, one in 64 and all that follow a long one: within some percent after a few hundred calls. Other
	// systems than Linux cannot tell a thread's time; there it is time by the clock.
	CPU           time.Duration
	Instances     int    // ready
	Waiting       int    // events and requests that wait for an instance, now
	Batches       uint64 // calls of wse_transform_batch that were answered
	BatchEvents   uint64 // events in those
	BatchesFailed uint64 // calls of wse_transform_batch whose events were then run one by one
	Ticks         uint64 // that strategies consumed
	Replaced      uint64
	Breaker       string // closed, open or half_open
	LinesDropped  uint64
	Metrics       map[string]float64 // what the guest counted
}

func (v *version) stats() Stats {
	s := Stats{
		Plugin: v.cfg.Name, Version: v.id, Instances: int(v.ready.Load()), Replaced: v.replaced.Load(),
		Breaker: v.breaker.state(), LinesDropped: v.logs.dropped.Load(), Metrics: v.metrics.snapshot(),
	}
	s.Ticks = v.ticks.Load()
	s.CPU, s.Waiting = time.Duration(v.starting.Load()), v.pool.waits()
	s.Batches, s.BatchEvents, s.BatchesFailed = v.batching.batches.Load(), v.batching.events.Load(), v.batching.failed.Load()
	for h := range hookCount {
		if !v.has[h] {
			continue
		}
		hs := HookStats{Hook: h.name()}
		c := &v.counters[h]
		for i := range c.calls {
			hs.Calls[i] = c.calls[i].Load()
		}
		hs.Fuel = c.fuel.snapshot(fuelFirst, fuelShift)
		s.CPU += c.cpu.total(&hs.Fuel)
		hs.LatencyNS = c.latency.snapshot(latencyFirst, latencyShift)
		s.Hooks = append(s.Hooks, hs)
	}
	s.CPU = v.told.atLeast(s.CPU)
	return s
}

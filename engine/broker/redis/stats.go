package redis

import (
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/broker"
)

type counters struct {
	published, duplicates, refused, unavailable, fenced, retries, connects, batches atomic.Uint64
	latency                                                                         histogram
}

// latencyBuckets is how many buckets there are: below 256 µs, 512 µs, … 8.4 s, and what took longer.
const latencyBuckets = 17

// histogram counts durations. It may be used by any number of goroutines.
type histogram struct {
	counts [latencyBuckets]atomic.Uint64
	sum    atomic.Int64 // ns
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for bound := latencyFirst; i < latencyBuckets-1 && d > bound; bound *= 2 {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// latencyFirst is the upper bound of the first bucket; each following one is twice as high.
const latencyFirst = 256 * time.Microsecond

// Latency counts round trips by how long they took.
type Latency struct {
	Buckets []LatencyBucket // in order; each counts what no earlier one does
	Sum     time.Duration
}

// LatencyBucket counts round trips that took no longer than Most, or where that is 0 longer than any bucket says.
type LatencyBucket struct {
	Most  time.Duration
	Count uint64
}

func (h *histogram) read() Latency {
	out := Latency{Buckets: make([]LatencyBucket, latencyBuckets), Sum: time.Duration(h.sum.Load())}
	bound := latencyFirst
	for i := range out.Buckets {
		out.Buckets[i] = LatencyBucket{Most: bound, Count: h.counts[i].Load()}
		bound *= 2
	}
	out.Buckets[latencyBuckets-1].Most = 0
	return out
}

// Carriage are the figures of what is special about publishing through Redis. The counters begin with the process.
type Carriage struct {
	Pending     int     // publications that wait on this node
	PendingMax  int     //
	Unavailable uint64  // publications and readings that were refused since Redis did not answer in time
	Fenced      uint64  // publications that were refused for a higher fence
	Retries     uint64  // batches of which something had to be tried again
	Connects    uint64  // connections made, the first ones included
	Batches     uint64  // round trips
	Latency     Latency // of round trips: the server's scripts, and the wire
	Fault       error   // why publications are not carried out at present; nil: they are
}

// Stats returns the figures that every broker has. What is kept is in Redis, which tells by INFO memory how much that is.
func (b *Broker) Stats() broker.Stats {
	c := &b.counters
	return broker.Stats{Published: c.published.Load(), Duplicates: c.duplicates.Load(), Refused: c.refused.Load()}
}

// Carriage returns the figures of publishing through Redis.
func (b *Broker) Carriage() Carriage {
	c := &b.counters
	return Carriage{
		Pending: int(b.pending.Load()), PendingMax: b.cfg.PendingMax,
		Unavailable: c.unavailable.Load(), Fenced: c.fenced.Load(), Retries: c.retries.Load(),
		Connects: c.connects.Load(), Batches: c.batches.Load(), Latency: c.latency.read(),
		Fault: b.primaryFault(),
	}
}

// primaryFault returns why publications are not carried out at present, or nil.
func (b *Broker) primaryFault() error {
	for _, l := range b.lanes {
		if p := l.fault.Load(); p != nil {
			return *p
		}
	}
	return nil
}

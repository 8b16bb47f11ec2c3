package plugin

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// BenchmarkBesideSlow is how late calls of a fast plugin come while others saturate a slow one, whose calls take some
// milliseconds: from when a call is due, which is every millisecond, to when it is answered. The slow plugin runs as it is
// (gate), and with as many calls at a time as it has instances (no-gate), in turns with none (alone). A metric is the median of
// the windows' quantiles, in µs.
func BenchmarkBesideSlow(b *testing.B) {
	for _, procs := range []int{1, 2} {
		b.Run(fmt.Sprint("procs=", procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			h := besideHost(b)
			gated, open := h.gate, make(gate, 64)
			quantiles := map[string][]float64{}
			measure := func(kind string) {
				late := lateness(b, h, 250*time.Millisecond)
				slices.Sort(late)
				for name, part := range map[string]int{"-p50-µs": 50, "-p99-µs": 99} {
					at := late[len(late)*part/100]
					quantiles[kind+name] = append(quantiles[kind+name], float64(at.Microseconds()))
				}
			}
			for range 7 * b.N {
				measure("alone")
				for kind, g := range map[string]gate{"gate": gated, "no-gate": open} {
					h.gate = g
					stop := saturate(h)
					measure(kind)
					stop()
				}
			}
			for name, values := range quantiles {
				slices.Sort(values)
				b.ReportMetric(values[len(values)/2], name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// besideHost opens a host with a fast plugin for events called Fast and a slow one for those called Slow.
func besideHost(b *testing.B) *Host {
	h, err := New(Configs{
		{Name: "fast", Path: "stock:x", Bind: []string{"Fast"}},
		{Name: "slow", Path: "stock:x", Bind: []string{"Slow"}, Limits: Limits{InstanceWait: time.Minute, BreakerTraps: math.MaxInt16, Instances: 4}},
	}, Deps{DataDir: b.TempDir(), Stock: func(string) ([]byte, bool) { return w.Letters(false).Bytes(), true }})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, h.Close()) })
	return h
}

// saturate has 8 callers call the slow plugin again and again.
func saturate(h *Host) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_, _ = h.Transform(ctx, "Slow", []byte("s"), discard{})
			}
		})
	}
	return func() { cancel(); callers.Wait() }
}

// lateness calls the fast plugin for a while.
func lateness(b *testing.B, h *Host, d time.Duration) (late []time.Duration) {
	const every = time.Millisecond
	for due, end := time.Now(), time.Now().Add(d); due.Before(end); due = due.Add(every) {
		time.Sleep(time.Until(due))
		if _, err := h.Transform(context.Background(), "Fast", []byte("d"), discard{}); err != nil {
			b.Fatal(err)
		}
		late = append(late, time.Since(due))
	}
	return late
}

package plugin

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// BenchmarkBesideSlow is how late calls of a fast plugin come while others saturate a slow one, whose calls use all of their
// fuel: from when a call is due, which is every 200 µs, to when it is answered. The slow plugin runs as it is (gate), and with
// as many calls at a time as it has instances (no gate). The metrics are quantiles in µs, and ratios to the fast one alone.
func BenchmarkBesideSlow(b *testing.B) {
	const each, rounds = 300 * time.Millisecond, 3
	for _, procs := range []int{1, 2} {
		b.Run(map[int]string{1: "procs=1", 2: "procs=2"}[procs], func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			h := besideHost(b)
			gates := map[string]gate{"gate": h.gate, "no-gate": make(gate, 64)}
			late := map[string][]time.Duration{}
			for range b.N {
				for range rounds {
					late["alone"] = append(late["alone"], lateness(b, h, each)...)
					for name, g := range gates {
						h.gate = g
						stop := saturate(h)
						late[name] = append(late[name], lateness(b, h, each)...)
						stop()
					}
				}
			}
			for name, l := range late {
				slices.Sort(l)
				for q, part := range map[string]float64{"p50": 0.5, "p99": 0.99} {
					at := l[int(part*float64(len(l)))]
					b.ReportMetric(float64(at.Microseconds()), name+"-"+q+"-µs")
					alone := late["alone"]
					slices.Sort(alone)
					if name != "alone" {
						b.ReportMetric(float64(at)/float64(alone[int(part*float64(len(alone)))]), name+"-"+q+"-ratio")
					}
				}
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
	const every = 200 * time.Microsecond
	for due, end := time.Now(), time.Now().Add(d); due.Before(end); due = due.Add(every) {
		time.Sleep(time.Until(due))
		if _, err := h.Transform(context.Background(), "Fast", []byte("d"), discard{}); err != nil {
			b.Fatal(err)
		}
		late = append(late, time.Since(due))
	}
	return late
}

package shared_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/presence/presencetest"
)

// busy is a node of which the benchmarks ask much, with 1,000 members on its topic.
func busy(b *testing.B) *node {
	r := newRig(b)
	r.limits.MembersMax, r.limits.NoticeDelay, r.cfg.CheckInterval = 100_000, 100*time.Millisecond, time.Minute
	r.out = presencetest.NewBoard()
	n := r.start(b, "n")
	done := make(chan error, 1000)
	for i := range 1000 {
		go func() {
			done <- n.Enter(b.Context(), room, fmt.Sprintf("user%d", i), fmt.Sprintf("conn_%d", i))
		}()
	}
	for range 1000 {
		require.NoError(b, <-done)
	}
	b.ResetTimer()
	return n
}

// BenchmarkRoundTrip is what nobody can be faster than: a command that does nothing.
func BenchmarkRoundTrip(b *testing.B) {
	n := busy(b)
	for b.Loop() {
		require.NoError(b, n.client.Do().Ping(b.Context()).Err())
	}
}

// BenchmarkEnter is one user after the other who enters a topic of 1,000 members.
func BenchmarkEnter(b *testing.B) {
	n := busy(b)
	before, i := n.Figures().Commands, 0
	for b.Loop() {
		i++
		require.NoError(b, n.Enter(b.Context(), room, fmt.Sprintf("guest%d", i), fmt.Sprintf("g%d", i)))
		require.NoError(b, n.Leave(b.Context(), room, fmt.Sprintf("g%d", i), false))
	}
	b.ReportMetric(float64(n.Figures().Commands-before)/float64(b.N), "calls/op")
}

// BenchmarkCrowd is many users who enter and leave it at once.
func BenchmarkCrowd(b *testing.B) {
	n := busy(b)
	var guests atomic.Int64
	before := n.Figures().Commands
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := guests.Add(1)
			if err := n.Enter(b.Context(), room, fmt.Sprintf("guest%d", i), fmt.Sprintf("g%d", i)); err != nil {
				b.Error(err)
			}
			_ = n.Leave(b.Context(), room, fmt.Sprintf("g%d", i), false)
		}
	})
	b.ReportMetric(float64(n.Figures().Commands-before)/float64(b.N), "calls/op")
}

// BenchmarkMembers is the list of 1,000 members.
func BenchmarkMembers(b *testing.B) {
	n := busy(b)
	for b.Loop() {
		_, err := n.Lines()
		require.NoError(b, err)
	}
}

package presence_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/presencetest"
)

// nowhere is where notices go that nobody follows.
type nowhere struct{}

func (nowhere) Deliver(*message.Envelope) {}

// crowd fills the room with n users and returns what one of them takes in memory.
func crowd(b *testing.B, w world, n int) (bytesEach float64) {
	b.Helper()
	users, conns := make([]string, n), make([]string, n)
	for i := range n {
		users[i], conns[i] = fmt.Sprintf("user%d", i), fmt.Sprintf("conn_%d", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		w.Come(users[i], conns[i])
	}
	require.NoError(b, w.Members(context.Background(), presencetest.Room, func(*message.Members) {})) // tells what is to be told
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(users)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(n)
}

func thousands(cfg *presence.Config) { cfg.MembersMax = 10_000 }

// BenchmarkComeAndGo is a connection that enters a topic of 1,000 members and leaves it again, with the two notices.
func BenchmarkComeAndGo(b *testing.B) {
	w := startWith(b, func(cfg *presence.Config) { thousands(cfg); cfg.NoticeDelay = 0 }, nowhere{})
	crowd(b, w, 1000)
	b.ReportAllocs()
	for b.Loop() {
		w.Come("guest", "g1")
		w.Go("g1")
	}
}

// BenchmarkAgain is a further connection of a member, which is told to nobody.
func BenchmarkAgain(b *testing.B) {
	w := startWith(b, thousands, nowhere{})
	crowd(b, w, 1000)
	b.ReportAllocs()
	for b.Loop() {
		w.Come("user1", "g1")
		w.Go("g1")
	}
}

// BenchmarkMembers is the list of 1,000 members, without writing it.
func BenchmarkMembers(b *testing.B) {
	w := startWith(b, thousands, nowhere{})
	each := crowd(b, w, 1000)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, w.Members(context.Background(), presencetest.Room, func(*message.Members) {}))
	}
	b.ReportMetric(each, "heap-B/member")
}

package shared

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// What becomes of room that was made is one step: in between nobody else finds it free.
func TestWhatIsSaidIsNeverFreeBetweenBeingReservedAndBeingThere(t *testing.T) {
	p, home, other := &Presence{}, &topic{}, &topic{}
	p.limits.MiBTotal = 1
	data := make([]byte, 1<<20)
	for turn := uint64(1); turn <= 500; turn++ {
		w := &waiter{data: data, sent: turn, done: make(chan error, 1)}
		require.True(t, p.reserve(home, w, "alice"))
		u := &user{name: "alice", count: 1, updates: []*waiter{w}}
		var over atomic.Bool
		begun, granted := make(chan struct{}), make(chan bool)
		go func() {
			more, got := &waiter{data: data[:1]}, false
			close(begun)
			for !over.Load() && !got {
				got = p.reserve(other, more, "bob")
			}
			granted <- got
		}()
		<-begun
		p.admit(home, u, turn, result{stamp: turn})
		over.Store(true)
		require.False(t, <-granted, "all that there is is taken")
		require.NoError(t, <-w.done)
		p.say(u, nil, 0, turn+1)
		require.Zero(t, p.taken.Load())
	}
}

package shared

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDataThatThereIsNoRoomForDoesNotHaveLessRefused(t *testing.T) {
	p, greedy, modest := &Presence{}, &topic{}, &topic{}
	p.limits.MiBTotal = 1
	much, all := &waiter{data: make([]byte, 1<<20+1)}, &waiter{data: make([]byte, 1<<20)}
	begun, enough, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			p.reserve(greedy, much, "greedy")
			if n == 0 {
				close(begun)
			}
			select {
			case <-enough:
				return
			default:
			}
		}
	}()
	<-begun
	granted := true
	for i := 0; i < 1_000_000 && granted; i++ {
		granted = p.reserve(modest, all, "modest")
		p.unreserve(all)
	}
	close(enough)
	<-ended
	require.True(t, granted, "what there is was refused since another said more than there is room for")
	require.Zero(t, p.reserved.Load())
}

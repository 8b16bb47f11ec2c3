package presence

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDataThatThereIsNoRoomForDoesNotHaveLessRefused(t *testing.T) {
	p, greedy, modest := &Presence{}, &topic{}, &topic{}
	p.cfg.TopicKiBMax, p.cfg.MiBTotal = 2<<10, 1
	begun, enough, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			p.take(greedy, 1<<20+1)
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
		if granted = p.take(modest, 1<<20); granted {
			p.take(modest, -1<<20)
		}
	}
	close(enough)
	<-ended
	require.True(t, granted, "what there is was refused since another said more than there is room for")
	require.Zero(t, p.bytes.Load())
}

package plugin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryThatIsRefusedToAStrategyIsNotRefusedToAnother(t *testing.T) {
	c := &crew{}
	c.most.Store(3 * pageBytes)
	greedy, modest := c.allocate(0, 64*pageBytes), c.allocate(0, 64*pageBytes)
	require.NotNil(t, greedy.Reallocate(pageBytes))
	require.NotNil(t, modest.Reallocate(pageBytes))
	begun, enough, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			if greedy.Reallocate(64*pageBytes) != nil {
				panic("more was granted than there is")
			}
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
		granted = c.reserve(pageBytes, false)
		if granted {
			c.memory.Add(-pageBytes)
		}
	}
	close(enough)
	<-ended
	require.True(t, granted, "what there is was refused since another strategy asked for more than there is")
	greedy.Free()
	modest.Free()
	require.Zero(t, c.memory.Load())
}

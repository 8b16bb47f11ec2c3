package plugin

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryThatIsRefusedToAStrategyIsNotRefusedToAnother(t *testing.T) {
	c := &crew{}
	c.most.Store(3 * pageBytes)
	greedy, modest := c.allocate(0, 64*pageBytes), c.allocate(0, 64*pageBytes)
	require.NotNil(t, greedy.Reallocate(pageBytes))
	require.NotNil(t, modest.Reallocate(pageBytes))
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1_000_000 {
			if greedy.Reallocate(64*pageBytes) != nil {
				panic("more was granted than there is")
			}
		}
	})
	granted := true
	for i := 0; i < 1_000_000 && granted; i++ {
		granted = modest.Reallocate(2*pageBytes) != nil && modest.Reallocate(pageBytes) != nil
	}
	wg.Wait()
	require.True(t, granted, "what there is was refused since another strategy asked for more than there is")
	greedy.Free()
	modest.Free()
	require.Zero(t, c.memory.Load())
}

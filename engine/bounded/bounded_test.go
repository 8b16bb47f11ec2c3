package bounded_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/bounded"
)

func TestNoMoreIsTakenThanThereMayBe(t *testing.T) {
	var c bounded.Count
	require.True(t, c.Take(4, 10))
	require.True(t, c.Take(6, 10))
	require.False(t, c.Take(1, 10))
	require.EqualValues(t, 10, c.Load())
	c.Add(-6)
	require.False(t, c.Take(7, 10))
	require.True(t, c.Take(6, 10))
	require.True(t, c.Take(5, 15), "who may take more than others takes what they may not")
	require.False(t, c.Take(1, 10))
	require.EqualValues(t, 15, c.Load())
}

func TestWhatIsRefusedIsNeverTaken(t *testing.T) {
	var c bounded.Count
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1_000_000 {
			if c.Take(11, 10) {
				panic("more was taken than there may be")
			}
		}
	})
	granted, most := true, int64(0)
	for i := 0; i < 1_000_000 && granted; i++ {
		if granted = c.Take(10, 10); granted {
			most = max(most, c.Load())
			c.Add(-10)
		}
	}
	wg.Wait()
	require.True(t, granted, "what there is was refused since somebody asked for more than there is")
	require.EqualValues(t, 10, most)
}

package plugin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPU_of_the_timed_calls_stands_for_the_others(t *testing.T) {
	type timed struct {
		used int64
		n    int
		took time.Duration
	}
	for _, c := range []struct {
		name   string
		calls  map[uint64]uint64 // fuel of a call → how many
		timed  []timed
		wasted uint64
		want   time.Duration
	}{
		{"no calls", nil, nil, 0, 0},
		{"none timed", map[uint64]uint64{100: 5, 1 << 20: 1}, nil, 0, 5*12 + 209715},
		{"one in eight", map[uint64]uint64{100: 800}, []timed{{100, 100, 100 * time.Microsecond}}, 0, 800 * time.Microsecond},
		{"two kinds apart", map[uint64]uint64{100: 800, 1 << 20: 8}, []timed{{100, 100, 100 * time.Microsecond}, {1 << 20, 8, 8 * time.Millisecond}}, 0, 8800 * time.Microsecond},
		{"a dear kind by a cheap one", map[uint64]uint64{255: 8, 1023: 8}, []timed{{255, 1, time.Microsecond}}, 0, 16*time.Microsecond + 8*51},
		{"a cheap kind by itself", map[uint64]uint64{255: 8, 1023: 8}, []timed{{1023, 1, 4 * time.Microsecond}}, 0, 32*time.Microsecond + 8*12},
		{"a batch that failed", map[uint64]uint64{100: 8}, []timed{{100, 1, time.Microsecond}}, 400, 8*time.Microsecond + 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h hookStats
			for used, n := range c.calls {
				h.fuel.addMany(used, n, fuelFirst, fuelShift)
			}
			for _, x := range c.timed {
				h.took(took{cpu: x.took}, x.used, x.n)
			}
			h.cpu.wasted.Store(c.wasted)
			fuel := h.fuel.snapshot(fuelFirst, fuelShift)
			require.InDelta(t, float64(c.want), float64(h.cpu.total(&fuel)), 20)
		})
	}
}

func TestCPU_that_was_told_never_falls(t *testing.T) {
	var r risen
	for _, c := range [][2]time.Duration{{5, 5}, {3, 5}, {7, 7}, {6, 7}} {
		require.Equal(t, c[1], r.atLeast(c[0]))
	}
}

// Package bounded counts what there may be only so much of: bytes, connections, topics.
package bounded

import "sync/atomic"

// Count is how much of something is taken. It is an [atomic.Int64] whose Add takes and gives back without asking; the zero Count
// has nothing taken. All methods may be called concurrently.
type Count struct{ atomic.Int64 }

// Take takes n, or nothing and returns false if more than most would be taken then. What is refused was never taken, not for a
// moment: it must not have others refused who ask for less, nor be seen by who reads how much is taken.
func (c *Count) Take(n, most int64) bool {
	for {
		taken := c.Load()
		if taken+n > most {
			return false
		}
		if c.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

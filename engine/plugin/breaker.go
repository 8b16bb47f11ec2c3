package plugin

import (
	"sync/atomic"
	"time"
)

// breaker silences a plugin after limit failures in a row, and lets one call through after each pause. Its fast paths
// are one load each.
type breaker struct {
	limit    int32
	pause    time.Duration
	failures atomic.Int32
	until    atomic.Int64 // Unix nanoseconds of the next try; 0: closed
	trying   atomic.Bool  // a call is out to try
}

// allow reports whether a call may be made. One that may must be followed by succeed, fail or neither.
func (b *breaker) allow() bool {
	until := b.until.Load()
	if until == 0 {
		return true
	}
	return time.Now().UnixNano() >= until && b.trying.CompareAndSwap(false, true)
}

// resting reports whether a call would not be allowed now.
func (b *breaker) resting() bool {
	until := b.until.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// succeed reports whether it closed the breaker.
func (b *breaker) succeed() (closed bool) {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
		closed = b.until.Swap(0) != 0
		b.trying.Store(false)
	}
	return closed
}

// neither is for a call that was allowed and then not made.
func (b *breaker) neither() {
	if b.until.Load() != 0 {
		b.trying.Store(false)
	}
}

// fail reports whether it opened the breaker; a try that failed leaves it open.
func (b *breaker) fail() (opened bool) {
	if b.failures.Add(1) >= b.limit {
		opened = b.until.Swap(time.Now().Add(b.pause).UnixNano()) == 0
		b.trying.Store(false)
	}
	return opened
}

// state is closed, open or half_open, as metrics name it.
func (b *breaker) state() string {
	switch until := b.until.Load(); {
	case until == 0:
		return "closed"
	case time.Now().UnixNano() < until:
		return "open"
	default:
		return "half_open"
	}
}

package presence

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Alarm is a moment at which something is due for Of. It is a field of what it belongs to, so that setting it allocates nothing.
type Alarm[T any] struct {
	Of    T
	at    time.Time // guarded by Alarms.mu, as is place
	place int       // in Alarms.queue plus one; 0: it is not set
}

// Alarms are the alarms that are set: one timer for all, however many there are. One that is not needed any more is taken out,
// so that there are never more than there are owners, however often connections come and go. Any number of goroutines may set
// and cancel; the lock is a leaf.
type Alarms[T any] struct {
	wake  chan struct{} // holds a token when the first alarm changed
	mu    sync.Mutex
	queue queue[T] // guarded by mu
}

// NewAlarms makes alarms of which none is set.
func NewAlarms[T any]() *Alarms[T] { return &Alarms[T]{wake: make(chan struct{}, 1)} }

// Run calls ring with the owner of each alarm whose time has come, until ctx is cancelled. The alarm is not set any more then.
func (as *Alarms[T]) Run(ctx context.Context, ring func(T)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-as.wake:
		case <-timer.C:
		}
		a, in := as.due()
		for ; a != nil; a, in = as.due() {
			ring(a.Of)
		}
		if in > 0 {
			timer.Reset(in)
		}
	}
}

// Set makes a ring at the given time, and at no other.
func (as *Alarms[T]) Set(a *Alarm[T], at time.Time) { as.set(a, at, true) }

// SetBy makes a ring at the given time, or earlier where it was to ring earlier.
func (as *Alarms[T]) SetBy(a *Alarm[T], at time.Time) { as.set(a, at, false) }

func (as *Alarms[T]) set(a *Alarm[T], at time.Time, later bool) {
	as.mu.Lock()
	switch {
	case a.place == 0:
		a.at = at
		heap.Push(&as.queue, a)
	case later || at.Before(a.at):
		a.at = at
		heap.Fix(&as.queue, a.place-1)
	}
	first := a.place == 1
	as.mu.Unlock()
	if first {
		select {
		case as.wake <- struct{}{}:
		default: // there is a token already
		}
	}
}

// Cancel sees to it that a does not ring.
func (as *Alarms[T]) Cancel(a *Alarm[T]) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a.place != 0 {
		heap.Remove(&as.queue, a.place-1)
	}
}

// IsSet reports whether a is to ring.
func (as *Alarms[T]) IsSet(a *Alarm[T]) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return a.place != 0
}

// due takes out the first alarm whose time has come; nil where there is none, and then in says how long it is until the
// next, 0 where there is none either.
func (as *Alarms[T]) due() (a *Alarm[T], in time.Duration) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if len(as.queue) == 0 {
		return nil, 0
	}
	if in = time.Until(as.queue[0].at); in > 0 {
		return nil, in
	}
	return heap.Pop(&as.queue).(*Alarm[T]), 0
}

// queue implements [heap.Interface]: the earliest first.
type queue[T any] []*Alarm[T]

var _ heap.Interface = (*queue[int])(nil)

func (q queue[T]) Len() int           { return len(q) }
func (q queue[T]) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q queue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i+1, j+1
}

// Push implements [heap.Interface].
func (q *queue[T]) Push(x any) {
	a := x.(*Alarm[T])
	*q = append(*q, a)
	a.place = len(*q)
}

// Pop implements [heap.Interface].
func (q *queue[T]) Pop() any {
	last := len(*q) - 1
	a := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	a.place = 0
	return a
}

package shared

import (
	"container/heap"
	"sync"
	"time"
)

// alarms are the moments at which something is due on a topic, one at most for each.
type alarms struct {
	wake  chan struct{} // holds a token when the first alarm changed
	mu    sync.Mutex
	queue alarmQueue // guarded by mu
}

// set has a topic ring at a time, or earlier where it was to ring earlier.
func (as *alarms) set(t *topic, at time.Time) {
	as.mu.Lock()
	switch {
	case t.alarmPlace == 0:
		t.alarmAt = at
		heap.Push(&as.queue, t)
	case at.Before(t.alarmAt):
		t.alarmAt = at
		heap.Fix(&as.queue, t.alarmPlace-1)
	}
	first := t.alarmPlace == 1
	as.mu.Unlock()
	if first {
		select {
		case as.wake <- struct{}{}:
		default: // there is a token already
		}
	}
}

// isSet reports whether a topic is to ring.
func (as *alarms) isSet(t *topic) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return t.alarmPlace != 0
}

// due takes out the first topic whose time has come; nil where there is none, and then in says how long it is until the next, 0
// where there is none either.
func (as *alarms) due() (t *topic, in time.Duration) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if len(as.queue) == 0 {
		return nil, 0
	}
	if in = time.Until(as.queue[0].alarmAt); in > 0 {
		return nil, in
	}
	return heap.Pop(&as.queue).(*topic), 0
}

// alarmQueue implements [heap.Interface]: the earliest first.
type alarmQueue []*topic

var _ heap.Interface = (*alarmQueue)(nil)

func (q alarmQueue) Len() int           { return len(q) }
func (q alarmQueue) Less(i, j int) bool { return q[i].alarmAt.Before(q[j].alarmAt) }

func (q alarmQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].alarmPlace, q[j].alarmPlace = i+1, j+1
}

// Push implements [heap.Interface].
func (q *alarmQueue) Push(x any) {
	t := x.(*topic)
	*q = append(*q, t)
	t.alarmPlace = len(*q)
}

// Pop implements [heap.Interface].
func (q *alarmQueue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	t.alarmPlace = 0
	return t
}

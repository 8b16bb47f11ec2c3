package presence

import (
	"container/heap"
	"sync"
	"time"
)

// alarm is a moment at which something is due on a topic: a member's departure, or, without a member, the notices.
type alarm struct {
	topic  *topic
	member *member
	at     time.Time // guarded by alarms.mu, as is place
	place  int       // in alarms.queue plus one; 0: it is not set
}

// alarms are the alarms that are set. One that is not needed any more is taken out, so that there are never more than
// members and topics, however often connections come and go.
type alarms struct {
	wake  chan struct{} // holds a token when the first alarm changed
	mu    sync.Mutex
	queue queue // guarded by mu
}

// set makes a ring at the given time, and at no other.
func (as *alarms) set(a *alarm, at time.Time) {
	as.mu.Lock()
	a.at = at
	if a.place == 0 {
		heap.Push(&as.queue, a)
	} else {
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

// cancel sees to it that a does not ring.
func (as *alarms) cancel(a *alarm) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a.place != 0 {
		heap.Remove(&as.queue, a.place-1)
	}
}

// due takes out the first alarm whose time has come; nil where there is none, and then in says how long it is until the
// next, 0 where there is none either.
func (as *alarms) due() (a *alarm, in time.Duration) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if len(as.queue) == 0 {
		return nil, 0
	}
	if in = time.Until(as.queue[0].at); in > 0 {
		return nil, in
	}
	return heap.Pop(&as.queue).(*alarm), 0
}

// queue implements [heap.Interface]: the earliest first.
type queue []*alarm

var _ heap.Interface = (*queue)(nil)

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i+1, j+1
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	a := x.(*alarm)
	*q = append(*q, a)
	a.place = len(*q)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := len(*q) - 1
	a := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	a.place = 0
	return a
}

package memory

import "sync"

// coldness orders topics by when they were last published to, in three lists by what there is to evict. They are the
// whole broker's, so that the coldest is the coldest of all; the hot path stays away from them by moving a topic at most
// once a second.
type coldness struct {
	mu      sync.Mutex
	history list // guarded by mu; topics with publications
	rest    list // guarded by mu; topics with only snapshots or ids
	empty   list // guarded by mu; topics with nothing
}

// list is a doubly linked list through the topics themselves: no allocation, removal in one step.
type list struct{ front, back *topic }

func (l *list) remove(t *topic) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.front = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.back = t.prev
	}
	t.prev, t.next, t.in = nil, nil, nil
}

func (l *list) pushBack(t *topic) {
	t.in, t.prev = l, l.back
	if l.back != nil {
		l.back.next = t
	} else {
		l.front = t
	}
	l.back = t
}

// belongs returns the list for what is kept of t, which its caller holds.
func (c *coldness) belongs(t *topic) *list {
	switch {
	case t.ring.n > 0:
		return &c.history
	case t.holds():
		return &c.rest
	}
	return &c.empty
}

// fits reports whether t, which its caller holds, stands in the list that it belongs to.
func (c *coldness) fits(t *topic) bool { return t.placedIn == c.belongs(t) }

// place moves t, which its caller holds, to the warm end of the list that it belongs to.
func (c *coldness) place(t *topic) {
	to := c.belongs(t)
	t.placedIn = to
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.in != nil {
		t.in.remove(t)
	}
	to.pushBack(t)
}

// forget takes t, which its caller holds, out of the order.
func (c *coldness) forget(t *topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.in != nil {
		t.in.remove(t)
	}
}

// triesMax bounds how many topics one search looks at. A topic that is busy is not cold; there are at most as many busy
// ones as publishers, and each look moves one of them to the warm end.
const triesMax = 64

// coldest returns the coldest topic of list l that ok accepts, locked, or nil. The topic that the caller holds already
// is passed as own and comes back like any other.
func (c *coldness) coldest(l *list, own *topic, ok func(*topic) bool) *topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range triesMax {
		t := l.front
		if t == nil {
			return nil
		}
		if t == own || t.mu.TryLock() {
			if ok(t) {
				return t
			}
			if t != own {
				t.mu.Unlock()
			}
		}
		l.remove(t)
		l.pushBack(t)
	}
	return nil
}

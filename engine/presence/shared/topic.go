package shared

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// topic is what this node knows of a topic: who is on it here, and what was told here of everybody.
type topic struct {
	home    *Presence
	name    message.Topic
	class   *broker.CompiledClass
	part    uint64      // of those that are checked together
	peopled atomic.Bool // somebody is on it here
	alarm   presence.Alarm[*topic]

	mu      sync.Mutex       // guards all that follows, and the users
	dropped bool             // out of the index: look it up again
	listed  bool             // in the index's list of those that are only heard of
	users   map[string]*user // who is here, or left here and Redis does not know yet
	conns   map[string]*user // by connection
	present int              // users with a connection
	dirty   []*user          // what Redis does not know yet, in order
	askers  []*asker         // who wait for the members
	queued  bool             // in the queue, or with a worker
	stands  uint64           // the turn of the last call that Redis has of this node; 0: it has nothing of it
	away    bool             // its server did not answer the last time
	fault   error            // why the last call failed, where others did not
	blamed  bool             // and that was reported

	// What the next call does beside writing what is dirty.
	full    bool // write all
	restore bool // put back who was known, since there was nothing
	check   bool // see whether what was written is there
	sweep   bool // see to what is due
	compare bool // read what was missed

	telling bool                // the alarm is for changes that are to be told
	minding bool                // it is for somebody's grace period, whoever he is
	waiting map[string]struct{} // it is for those who have no connection here any more and did not come back

	version  uint64          // of the last notice handed on; 0: none was
	floor    uint64          // a version that is behind all notices to come, where none was handed on
	told     map[string]told // whom subscribers may believe to be there
	whole    bool            // nobody whom they may believe to be there is missing
	gap      bool            // notices were missed: those that come are held
	suspect  bool            // notices may have been missed: the next check tells
	held     []notice
	heldRead int      // how many of them were held when the call that reads was built
	ahead    uint64   // the version at the last check, where it was not reached here yet
	logging  bool     // askers wait for a call that was built
	log      []notice // handed on since then
}

// told is what was told of a member.
type told struct {
	stamp   uint64 // of what he says
	sinceMS int64
	joined  bool // he was told of; if not, an answer may have shown him before that
}

// user is somebody who is on a topic here.
type user struct {
	name    string
	count   int    // connections
	data    []byte // what he says, so that it can be written again
	stamp   uint64 // when he said it
	sinceMS int64
	mark    mark // since the last call was built
	lost    time.Time
	left    bool // he left since then, and came again if he has a connection
	dirty   bool
	written bool      // Redis may have him
	outside bool      // there was no room for him when he was written again
	waiters []*waiter // requests to enter
	updates []*waiter // to say something else
}

// mark is what a user did last.
type mark uint8

const (
	markNone mark = iota
	markEntered
	markLost
)

// waiter is a request that waits until Redis judged it.
type waiter struct {
	conn     string // that entered with it; empty: it was there before
	data     []byte
	reserved int        // bytes of all members' data
	sent     uint64     // turn of the call that has it; 0: none yet
	done     chan error // has room for the answer
}

// asker is a request for the members.
type asker struct {
	show func(*message.Members)
	sent uint64
	done chan error // has room for the answer
}

// acquire finds or makes a topic and locks it. Whoever calls it gives it back with release.
func (p *Presence) acquire(name message.Topic) *topic {
	for {
		t := p.find(name)
		t.mu.Lock()
		if !t.dropped {
			return t
		}
		t.mu.Unlock()
	}
}

func (p *Presence) find(name message.Topic) *topic {
	p.mu.RLock()
	t := p.topics[name]
	p.mu.RUnlock()
	if t != nil {
		return t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t = p.topics[name]; t == nil {
		t = &topic{
			home: p, name: name, class: p.classes.For(name), part: maphash.String(p.seed, string(name)) % checkParts, users: make(map[string]*user), conns: make(map[string]*user),
			waiting: make(map[string]struct{}), told: make(map[string]told),
		}
		t.alarm.Of = t
		p.topics[name] = t
	}
	return t
}

// release unlocks a topic. One that nobody is on is forgotten at once if no notice of it was heard, else when there are too many
// of those.
func (p *Presence) release(t *topic) {
	if t.dropped || !t.unused() {
		t.mu.Unlock()
		return
	}
	if t.present == 0 {
		t.whole = false
	}
	if t.version == 0 {
		p.drop(t)
		t.mu.Unlock()
		return
	}
	listed := t.listed
	t.listed = true
	t.mu.Unlock()
	if !listed {
		p.bound(t)
	}
}

// bound puts a topic that is only heard of into the list of those, and drops the first where there are too many.
func (p *Presence) bound(t *topic) {
	p.mu.Lock()
	p.idle = append(p.idle, t)
	var first *topic
	if len(p.idle) > p.cfg.TopicsHeardMax {
		first = p.idle[0]
		p.idle[0] = nil
		p.idle = p.idle[1:]
	}
	p.mu.Unlock()
	if first == nil {
		return
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	first.listed = false
	if !first.dropped && first.unused() {
		p.drop(first)
	}
}

func (p *Presence) drop(t *topic) {
	t.dropped = true
	p.mu.Lock()
	delete(p.topics, t.name)
	p.mu.Unlock()
}

// unused reports that nothing is kept of a topic but what was heard. The topic's lock is held, as in all that follows.
func (t *topic) unused() bool {
	return len(t.users) == 0 && len(t.askers) == 0 && !t.queued && !t.gap && t.stands == 0 && !t.home.alarms.IsSet(&t.alarm)
}

// enter makes a connection one of a user's.
func (t *topic) enter(name, conn string) *user {
	u := t.users[name]
	if u == nil {
		u = &user{name: name}
		t.users[name] = u
	}
	t.conns[conn] = u
	u.count++
	u.mark = markEntered
	if u.count == 1 {
		t.present++
		t.home.members.Add(1)
		t.peopled.Store(true)
	}
	delete(t.waiting, name)
	return u
}

// leave undoes enter.
func (t *topic) leave(u *user, conn string, lost bool) {
	delete(t.conns, conn)
	u.count--
	if lost {
		u.mark, u.lost = markLost, time.Now()
	}
	if u.count > 0 {
		return
	}
	t.present--
	t.home.members.Add(-1)
	t.peopled.Store(t.present > 0)
	t.waiting[u.name] = struct{}{}
	if !lost && u.written { // if he comes again before that is written, he is somebody new
		u.left = true
	}
	t.home.say(u, nil, 0, 0)
}

// forget ends what is known of a user without a connection.
func (t *topic) forget(u *user) {
	if t.users[u.name] == u {
		delete(t.users, u.name)
	}
	if u.dirty {
		u.dirty = false
		t.dirty = remove(t.dirty, u)
	}
}

// touch puts a user among those of whom something is to be written, once.
func (t *topic) touch(u *user) {
	if !u.dirty {
		u.dirty = true
		t.dirty = append(t.dirty, u)
	}
}

// say sets what a user says, as Redis has it. Where there was made room for it, that is given up for it in one step, so that nobody finds
// it free, nor taken twice.
func (p *Presence) say(u *user, data []byte, reserved int, stamp uint64) {
	more := int64(len(data) - len(u.data))
	p.taken.Add(more - int64(reserved))
	p.bytes.Add(more)
	u.data, u.stamp = data, stamp
}

// reserve makes room for an update among what all members of this node say, and reports whether there is some.
func (p *Presence) reserve(t *topic, w *waiter, name string) bool {
	n := len(w.data)
	if u := t.users[name]; u != nil {
		n -= len(u.data)
	}
	if n <= 0 {
		return true
	}
	if !p.taken.Take(int64(n), int64(p.limits.MiBTotal)<<20) {
		return false
	}
	w.reserved = n
	return true
}

func (p *Presence) unreserve(w *waiter) {
	p.taken.Add(-int64(w.reserved))
	w.reserved = 0
}

// remove takes an item out of a list, in place.
func remove[T comparable](list []T, item T) []T {
	if i := slices.Index(list, item); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

package shared

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// How calls are made. They are made together where they wait together.
const (
	workers     = 4                      // batches under way of topics whose server answers, and one more of others
	batchTopics = 64                     // calls in a batch
	callChanges = 256                    // users in a call, where it need not have all
	backoffMin  = 50 * time.Millisecond  // after a batch that failed
	backoffMax  = time.Second            // after several
	faultRetry  = 2 * time.Second        // of a topic that alone fails
	alarmSlack  = 500 * time.Microsecond // Redis's clock is read in whole milliseconds
)

// queue holds the topics that have something to do, each once.
type queue struct {
	wake   chan struct{} // has a token for each worker that there may be work for
	mu     sync.Mutex
	topics []*topic // guarded by mu
}

func newQueue(workers int) *queue { return &queue{wake: make(chan struct{}, workers)} }

func (q *queue) push(t *topic) {
	q.mu.Lock()
	q.topics = append(q.topics, t)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // every worker has a token
	}
}

// take waits for topics and takes some; none once ctx is cancelled and none is there.
func (q *queue) take(ctx context.Context) []*topic {
	for {
		q.mu.Lock()
		n := min(len(q.topics), batchTopics)
		batch := slices.Clone(q.topics[:n])
		clear(q.topics[:n])
		q.topics = q.topics[n:]
		more := len(q.topics) > 0
		q.mu.Unlock()
		if more {
			select {
			case q.wake <- struct{}{}:
			default:
			}
		}
		if n > 0 {
			return batch
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// kick has a topic's call made. The topic's lock is held.
func (p *Presence) kick(t *topic) {
	if !t.queued && t.fault == nil && t.pending() {
		t.queued = true
		if t.away {
			p.later.push(t)
		} else {
			p.queue.push(t)
		}
	}
}

// pending reports that there is something to do for a topic.
func (t *topic) pending() bool {
	if len(t.dirty) > 0 || t.full || t.check || t.sweep || t.compare {
		return true
	}
	for _, a := range t.askers {
		if a.sent == 0 {
			return true
		}
	}
	return false
}

// work makes calls of a queue until ctx is cancelled, and then those that wait, unless they fail.
func (p *Presence) work(ctx context.Context, q *queue) {
	backoff := backoffMin
	for {
		batch := q.take(ctx)
		if batch == nil {
			return
		}
		if p.fly(context.WithoutCancel(ctx), batch) {
			backoff = backoffMin
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// fly makes the calls of some topics, and reports whether one of them was answered. In a Cluster one server may be away and others
// not: topics of that one are tried again in a queue of their own, where those of others do not wait for it, and Redis is away only
// where nobody is answered.
func (p *Presence) fly(ctx context.Context, batch []*topic) bool {
	before := p.answered.Load()
	calls, written := make([]*call, len(batch)), make([][]written, len(batch))
	for i, t := range batch {
		t.mu.Lock()
		calls[i], written[i] = p.build(t)
		t.mu.Unlock()
	}
	answers, errs := p.run(ctx, calls)
	answered := false
	for i, t := range batch {
		t.mu.Lock()
		t.queued = false
		away := false
		if errs[i] == nil {
			t.fault, t.blamed = nil, false
			p.land(t, calls[i], written[i], answers[i])
		} else {
			away = p.crash(t, calls[i], written[i], errs[i])
		}
		p.setAway(t, away, errs[i])
		answered = answered || !away
		t.logging, t.log = false, nil
		p.kick(t)
		p.release(t)
	}
	if answered {
		p.answered.Add(1)
	}
	down := p.answered.Load() == before
	if was := p.down.Swap(down); was && !down {
		p.checkAll(func(*topic) bool { return true }, true)
	}
	return answered
}

// setAway notes whether a topic's server is away. The first topic of which that is so is reported.
func (p *Presence) setAway(t *topic, away bool, err error) {
	switch {
	case away && !t.away:
		if p.away.Add(1) == 1 {
			p.failed("", err)
		}
	case !away && t.away:
		p.away.Add(-1)
	}
	t.away = away
}

// written is what a call has of a user.
type written struct {
	user  *user
	left  bool // the change is that he left, and another follows
	count int
	mark  mark
	lost  time.Time
}

// build makes a topic's call. The topic's lock is held.
func (p *Presence) build(t *topic) (*call, []written) {
	c := &call{topic: t.name, heard: t.version, turn: p.turns.Add(1), stands: t.stands}
	users := t.dirty[:min(len(t.dirty), callChanges)]
	if t.full || t.stands == 0 && len(t.users) > 0 {
		c.flags += "f"
		users = users[:0:0]
		for _, u := range t.users {
			users = append(users, u)
		}
	}
	sent := make([]written, 0, len(users))
	for _, u := range users {
		if u.left && u.count > 0 {
			c.changes = append(c.changes, change{user: u.name})
			sent = append(sent, written{user: u, left: true})
		}
		c.changes = append(c.changes, u.change(c.turn, c.flags != ""))
		sent = append(sent, written{user: u, count: u.count, mark: u.mark, lost: u.lost})
		u.mark, u.left, u.dirty, u.written, u.outside = markNone, false, false, true, false
	}
	if c.flags != "" {
		t.dirty = t.dirty[:0:0]
	} else {
		t.dirty = append(t.dirty[:0:0], t.dirty[len(users):]...)
	}
	if t.restore {
		for name, said := range t.told {
			if said.joined {
				c.restored = append(c.restored, seen{name, said.sinceMS, said.stamp})
			}
		}
	}
	if t.check {
		c.flags += "c"
	}
	if t.sweep {
		c.flags += "d"
	}
	for _, a := range t.askers {
		if a.sent = c.turn; !t.logging {
			t.logging, t.log = true, nil
		}
	}
	switch {
	case t.compare || len(t.askers) > 0:
		c.flags += "r"
	case !t.whole && t.present > 0:
		c.flags += "m"
	}
	t.heldRead = len(t.held)
	t.full, t.restore, t.check, t.sweep = false, false, false, false
	return c, sent
}

// change says what there is of a user, with what he said before where all is to be written.
func (u *user) change(turn uint64, all bool) change {
	ch := change{user: u.name, count: u.count, sinceMS: u.sinceMS}
	switch u.mark {
	case markEntered:
		ch.lost = "e"
	case markLost:
		ch.lost = strconv.FormatInt(time.Since(u.lost).Milliseconds(), 10)
	}
	for _, w := range u.waiters {
		w.sent = turn
	}
	for _, w := range u.updates {
		w.sent = turn
		ch.op, ch.data = "u", w.data
	}
	if ch.op == "" && all && u.stamp > 0 && u.count > 0 {
		ch.op, ch.data, ch.stamp = "s", u.data, u.stamp
	}
	return ch
}

// crash sees to a call that failed: everything in it is to be done again. It reports whether Redis is away, rather than this topic
// in trouble.
func (p *Presence) crash(t *topic, c *call, sent []written, err error) (away bool) {
	p.failures.Add(1)
	t.again(c, sent)
	t.restore = len(c.restored) > 0
	t.full = t.restore
	t.check = true // and with it a try that tells when Redis is back
	if isAway(err) {
		t.suspect = true
		return true
	}
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		err = errors.New("presence: a key of {wse:" + string(t.name) + "}:p is of another program; delete it there: " + err.Error())
	}
	if t.fault = err; !t.blamed {
		t.blamed = true
		p.failed(t.name, err)
	}
	p.alarms.SetBy(&t.alarm, time.Now().Add(faultRetry))
	return false
}

// again has all that was in a call done once more. Of a check that is what was due: what it compares is compared at the next, when
// all nodes have written what they have.
func (t *topic) again(c *call, sent []written) {
	t.sweep = t.sweep || c.mindful()
	for _, w := range sent {
		if w.user.mark == markNone {
			w.user.mark, w.user.lost = w.mark, w.lost
		}
		w.user.left = w.user.left || w.left
		t.touch(w.user)
	}
	for _, a := range t.askers {
		a.sent = 0
	}
}

// isAway tells an error of the way to Redis, or of a server that cannot serve now, from one of a call.
func isAway(err error) bool {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return !errors.Is(err, errGarbled)
	}
	for _, prefix := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOREPLICAS", "BUSY", "NOAUTH", "WRONGPASS"} {
		if goredis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// land takes in the answer to a call.
func (p *Presence) land(t *topic, c *call, sent []written, a *answer) {
	if a.status != "ok" {
		t.again(c, sent)
		t.full, t.restore = true, !a.exists && a.status == "full" && len(t.told) > 0
		return
	}
	t.stands = a.stands
	for kind, n := range a.told {
		p.told[kind].Add(uint64(n))
	}
	if a.restored && len(c.restored) > 0 {
		p.restorations.Add(1)
	}
	for i, w := range sent {
		if i < len(a.results) && !w.left {
			p.judge(t, c, w, a.results[i])
		}
	}
	p.remind(t, c, a)
	p.follow(t, c, a)
	p.answer(t, c, a)
}

// judge hands on what became of a change.
func (p *Presence) judge(t *topic, c *call, w written, r result) {
	u := w.user
	if r.code == "m" {
		p.refuse(t, u, c.turn)
	} else {
		u.sinceMS = r.sinceMS
		p.admit(t, u, c.turn, r)
	}
	if u.count == 0 && (!u.dirty || r.code == "m") {
		t.forget(u)
	}
}

// refuse answers who is not to be listed for want of room.
func (p *Presence) refuse(t *topic, u *user, turn uint64) {
	u.written = false
	full := func(w *waiter) bool {
		if w.sent != turn {
			return false
		}
		p.unreserve(w)
		if w.conn != "" && t.conns[w.conn] == u {
			t.leave(u, w.conn, false)
		}
		p.refusedMembers.Add(1)
		w.done <- p.limits.Full(t.name)
		return true
	}
	u.waiters, u.updates = slices.DeleteFunc(u.waiters, full), slices.DeleteFunc(u.updates, full)
	if u.count > 0 { // he is subscribed, and was told before that he is listed: he will be, once there is room
		u.outside = true
	}
}

// admit answers who was listed.
func (p *Presence) admit(t *topic, u *user, turn uint64, r result) {
	u.waiters = slices.DeleteFunc(u.waiters, func(w *waiter) bool {
		if w.sent == turn {
			w.done <- nil
		}
		return w.sent == turn
	})
	said := false
	u.updates = slices.DeleteFunc(u.updates, func(w *waiter) bool {
		if w.sent != turn {
			return false
		}
		if r.code == "d" {
			p.unreserve(w)
			w.done <- p.noRoom(t.name)
			return true
		}
		if said = true; u.count > 0 && r.stamp > u.stamp {
			p.say(u, w.data, w.reserved, r.stamp)
			w.reserved = 0
		}
		p.unreserve(w)
		w.done <- nil
		return true
	})
	if !said && len(r.data) > 0 && u.stamp < r.stamp && u.count > 0 {
		p.say(u, r.data, 0, r.stamp)
	}
}

// remind sets the alarm for what is due next.
func (p *Presence) remind(t *topic, c *call, a *answer) {
	if a.tell >= 0 {
		t.telling = true
		p.alarms.SetBy(&t.alarm, time.Now().Add(a.tell+alarmSlack))
	}
	if a.over >= 0 {
		if c.mindful() {
			t.minding = true
		}
		p.alarms.SetBy(&t.alarm, time.Now().Add(a.over+alarmSlack))
	}
}

// mindful reports that the call was to see to what is due, whoever began it.
func (c *call) mindful() bool {
	return strings.ContainsAny(c.flags, "cdb") || len(c.restored) > 0
}

package redis

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// lane carries the calls of a part of the slots, one pipeline after the other, so that those of a topic are carried out in the order
// in which they came. It belongs to the goroutine in run, except what mu guards.
type lane struct {
	b    *Broker
	name string // unlike that of any other lane of any node, since it names the record of what was published

	mu    sync.Mutex
	queue []*call // guarded by mu
	ended bool    // guarded by mu; nobody takes calls any more
	wake  chan struct{}

	fault atomic.Pointer[error] // why the last attempt failed; nil: it did not

	links  []*link
	taken  []*call
	left   []*call
	cmds   []goredis.Cmder
	batch  uint64
	record []byte                     // key of the record, where all topics can share one
	opened map[message.Topic]struct{} // whose records this batch has begun, where they cannot
}

func newLane(b *Broker, name string) *lane {
	l := &lane{b: b, name: name, wake: make(chan struct{}, 1)}
	if b.route.isCluster() {
		l.opened = make(map[message.Topic]struct{})
	} else {
		l.record = []byte("wse:_lane:" + name)
	}
	return l
}

// submit queues c, which is the lane's from now on.
func (l *lane) submit(c *call) error {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return broker.ErrClosed
	}
	l.queue = append(l.queue, c)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// run carries calls until ctx ends, and then answers those that are left.
func (l *lane) run(ctx context.Context) {
	defer l.end()
	tick := time.NewTicker(identityEvery)
	defer tick.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for ctx.Err() == nil {
		l.take(ctx)
		wait, some := l.round(ctx)
		if some {
			again.Reset(wait)
		} else {
			again.Stop()
		}
		select {
		case <-l.wake:
		case <-again.C:
		case <-tick.C:
			l.check(ctx)
		case <-ctx.Done():
		}
	}
}

// take moves what was queued to the links that it goes over.
func (l *lane) take(ctx context.Context) {
	l.mu.Lock()
	l.queue, l.taken = l.taken[:0], l.queue
	l.mu.Unlock()
	for _, c := range l.taken {
		l.place(ctx, c)
	}
	clear(l.taken)
}

func (l *lane) place(ctx context.Context, c *call) {
	name, err := l.b.route.of(ctx, c.slot)
	if err != nil {
		l.failed(err)
		name = unrouted
	}
	k := l.link(name)
	k.pending = append(k.pending, c)
}

func (l *lane) link(name string) *link {
	for _, k := range l.links {
		if k.name == name {
			return k
		}
	}
	k := &link{name: name}
	l.links = append(l.links, k)
	return k
}

// round tries each link that has calls and is not left alone. It returns how long to wait before the next round, where one is needed.
func (l *lane) round(ctx context.Context) (wait time.Duration, some bool) {
	moved := false
	for _, k := range l.links {
		if len(k.pending) > 0 && !time.Now().Before(k.resume) {
			moved = l.attempt(ctx, k) || moved
		}
	}
	if moved {
		l.replace(ctx)
	}
	wait = backoffMax
	for _, k := range l.links {
		if len(k.pending) > 0 {
			wait, some = min(wait, max(0, time.Until(k.resume))), true
		}
	}
	return wait, some
}

// replace finds anew whom to ask for everything that waits. The calls of a topic stay in order, since all of them are in one link.
func (l *lane) replace(ctx context.Context) {
	if err := l.b.route.reload(ctx); err != nil {
		l.failed(err)
	}
	var all []*call
	for _, k := range l.links {
		all = append(all, k.pending...)
		k.pending = nil
	}
	for _, c := range all {
		l.place(ctx, c)
	}
}

// attempt sends what waits for k, as much as goes out at once, and keeps what has to be tried again. It reports whether it is to be
// found out anew who has the slots.
func (l *lane) attempt(ctx context.Context, k *link) (moved bool) {
	l.weed(k)
	if len(k.pending) == 0 {
		return false
	}
	if k.name == unrouted {
		k.rest()
		return true
	}
	if err := l.ready(ctx, k); err != nil {
		l.failed(err)
		k.rest()
		return l.b.route.isCluster()
	}
	calls := l.claim(k)
	if len(calls) == 0 {
		return false
	}
	wait := l.send(ctx, k, calls)
	return l.settle(ctx, k, calls, wait)
}

// weed takes out what nobody waits for any more, and answers what was tried for long enough.
func (l *lane) weed(k *link) {
	now, kept := time.Now(), k.pending[:0]
	for _, c := range k.pending {
		late := !now.Before(c.deadline)
		switch {
		case c.state.Load() == abandoned, late && !c.claim():
			l.forget(c)
		case late:
			l.answer(c, unavailable(c, l.why()))
		default:
			kept = append(kept, c)
		}
	}
	clear(k.pending[len(kept):])
	k.pending = kept
}

// claim returns the calls that go out now, the first of k's that somebody still waits for: only now are they sent.
func (l *lane) claim(k *link) []*call {
	n := min(len(k.pending), l.b.cfg.PipelineMax)
	for i := 0; i < n; {
		if c := k.pending[i]; !c.claim() {
			l.forget(c)
			k.pending = slices.Delete(k.pending, i, i+1)
			n--
			continue
		}
		i++
	}
	return k.pending[:n]
}

// forget counts a call out that nobody waits for.
func (l *lane) forget(c *call) {
	l.b.done(c)
	l.b.recycle(c)
}

// failed keeps why an attempt failed, or that it did not. Err is copied here, so that callers' variables stay on their stacks.
func (l *lane) failed(err error) {
	if err == nil {
		l.fault.Store(nil)
		return
	}
	kept := err
	l.fault.Store(&kept)
}

// why returns what the last attempt failed for.
func (l *lane) why() error {
	if p := l.fault.Load(); p != nil {
		return *p
	}
	return context.DeadlineExceeded
}

// answer ends c.
func (l *lane) answer(c *call, err error) {
	l.b.done(c)
	if !c.answer(err) {
		l.b.recycle(c)
	}
}

// send carries calls out in one round trip. It returns the WAIT that followed them where replicas have to have them, else nil.
func (l *lane) send(ctx context.Context, k *link, calls []*call) (wait *goredis.IntCmd) {
	l.cmds = l.cmds[:0]
	l.seat(calls)
	writes := false
	for _, c := range calls {
		c.repl, c.sha = k.identity, c.script.sha
		c.cmd.SetErr(nil)
		writes = writes || c.writes
		l.cmds = append(l.cmds, c.cmd)
	}
	if n := l.replicas(k); n > 0 && writes {
		wait = goredis.NewIntCmd(ctx, "WAIT", n, l.b.cfg.ReplicaWait.Milliseconds())
		l.cmds = append(l.cmds, wait)
	}
	start := time.Now()
	if len(l.cmds) == 1 {
		_ = k.conn.Process(ctx, l.cmds[0]) // each command has its own error
	} else {
		pipe := k.conn.Pipeline()
		_ = pipe.BatchProcess(ctx, l.cmds...)
		_, _ = pipe.Exec(ctx)
	}
	l.b.counters.latency.observe(time.Since(start))
	l.b.counters.batches.Add(1)
	clear(l.cmds)
	return wait
}

// seat gives each publication that is sent for the first time its place in the record. The record begins anew with a batch, but not
// while there is a publication in it whose answer may have been lost.
func (l *lane) seat(calls []*call) {
	l.batch++
	begin := true
	for _, c := range calls {
		begin = begin && !c.again
	}
	clear(l.opened)
	for i, c := range calls {
		if !c.writes {
			continue
		}
		if c.again {
			c.mode = modeAgain
			continue
		}
		c.seat = append(strconv.AppendInt(append(strconv.AppendUint(append(c.seat[:0], ';'), l.batch, 36), '.'), int64(i), 36), ':')
		c.mode = modeNext
		if l.opened == nil {
			c.rec = l.record
			if begin {
				c.mode, begin = modeFirst, false
			}
			continue
		}
		c.rec = append(append(append(c.rec[:0], c.key[:len(c.key)-1]...), "w:"...), l.name...)
		if _, opened := l.opened[c.topic]; !opened && begin {
			c.mode = modeFirst
			l.opened[c.topic] = struct{}{}
		}
	}
}

// settle answers those calls, the first of k's, that are done, and leaves the others waiting.
func (l *lane) settle(ctx context.Context, k *link, calls []*call, wait *goredis.IntCmd) (moved bool) {
	l.left = l.left[:0]
	worst := faultNone
	var load []*script
	short := missing(wait, l.b.cfg.ReplicasMin)
	for _, c := range calls {
		err := c.cmd.Err()
		if c.writes && faultOf(err) == faultNone && short != nil {
			err, c.again = short, true
		}
		f := faultOf(err)
		switch f {
		case faultNone:
			l.answer(c, nil)
			continue
		case faultFinal:
			l.answer(c, refusal(c, err))
			continue
		case faultLoad:
			if !slices.ContainsFunc(load, func(s *script) bool { return s.sha == c.script.sha }) {
				load = append(load, c.script)
			}
		case faultMoved:
			l.b.route.moved(err.Error())
			moved = true
		case faultLost:
			c.again = true
		}
		worst = max(worst, f)
		l.failed(err)
		l.left = append(l.left, c)
	}
	rest := append(append(k.pending[:0], l.left...), k.pending[len(calls):]...) // moves down, into the same memory
	clear(k.pending[len(rest):])
	k.pending = rest
	l.recover(ctx, k, worst, load)
	return moved || worst >= faultRole && l.b.route.isCluster()
}

// missing says what is wrong with the answer to WAIT, if anything.
func missing(wait *goredis.IntCmd, want int) error {
	if wait == nil {
		return nil
	}
	if err := wait.Err(); err != nil {
		return err
	}
	if wait.Val() < int64(max(want, 1)) {
		return errReplicas
	}
	return nil
}

// recover does what has to be done before what is left can be tried again.
func (l *lane) recover(ctx context.Context, k *link, worst fault, load []*script) {
	switch {
	case worst == faultNone:
		k.tries = 0
		l.failed(nil)
		return
	case worst >= faultRole, worst == faultLater && k.tries > 0 && l.b.route.sentinels():
		k.drop() // a primary whose replicas went over to another one cannot know
	case len(load) > 0:
		for _, s := range load {
			if err := k.conn.ScriptLoad(ctx, s.text).Err(); err != nil {
				l.failed(err)
				k.drop()
				break
			}
		}
		if worst == faultLoad && k.conn != nil && k.tries < loadsMax {
			k.tries++
			k.resume = time.Time{}
			return
		}
	}
	if worst > faultLoad {
		l.b.counters.retries.Add(1)
	}
	k.rest()
}

// loadsMax is how often in a row scripts are loaded without a pause, for the server may forget them as often.
const loadsMax = 3

// check reads who the servers are, so that what is known of them is not old when the next call comes. A fault is looked at again, so
// that it is not told of for ever where no call comes; links to those who are no longer primaries are given up.
func (l *lane) check(ctx context.Context) {
	faulty := l.fault.Load() != nil
	if faulty {
		if err := l.b.route.reload(ctx); err != nil {
			return
		}
	}
	fine, kept := true, l.links[:0]
	for _, k := range l.links {
		switch {
		case len(k.pending) > 0:
			fine = false // whether it works will show
		case !l.b.route.has(k.name):
			k.drop()
			continue
		case k.conn != nil || faulty:
			if err := l.look(ctx, k); err != nil {
				l.failed(err)
				fine = false
			}
		}
		kept = append(kept, k)
	}
	clear(l.links[len(kept):])
	l.links = kept
	if fine && faulty {
		l.failed(nil)
	}
}

// look makes sure that k has a connection to who is to be asked.
func (l *lane) look(ctx context.Context, k *link) error {
	if k.conn == nil {
		return l.ready(ctx, k)
	}
	return l.confirm(ctx, k)
}

// end answers everything that is left and closes the connections.
func (l *lane) end() {
	l.mu.Lock()
	l.ended = true
	rest := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, k := range l.links {
		rest = append(rest, k.pending...)
		k.pending = nil
		k.drop()
	}
	for _, c := range rest {
		err := broker.ErrClosed
		if c.again {
			err = unavailable(c, broker.ErrClosed)
		}
		if !c.claim() {
			l.forget(c)
			continue
		}
		l.answer(c, err)
	}
}

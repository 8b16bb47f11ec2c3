// Package shared keeps who is on a topic in the Redis that nodes share: one list of members for all of them, the same notices
// with the same versions to every subscriber, and one set of limits. What package presence promises of one node this one
// promises of all together, and presencetest states it of both.
//
// Each node knows its own connections, and writes of each user how many he has here: that, not an event, so that a call may be
// made again, and all of it may be written anew when Redis lost it. One Lua script does everything to a topic in one step: it
// keeps the members, judges limits and grace periods by Redis's clock, numbers what is to be told, and publishes it on the
// topic's channel. A node hands notices to its subscribers in the order of their versions; where one is missing it holds those
// after it, reads what the members are, and tells what differs from what was told here, up to the version it read.
//
// A topic's calls from one node are made one at a time, each with everything that waits, so that a crowd that comes at once
// shares them. A user who enters costs a call, and one more tells of all that happened within the notice delay. Redis may be
// away: what connections do is not refused then, and is written when it is back. What a user says is refused, since nobody
// could tell whether there is room for it.
//
// Ownership: all methods may be called by any number of goroutines. A topic's lock guards what this node knows of it; notices
// are handed on and answers are given with it held, which is what keeps them in order, and Redis is never called with it
// held. The locks of the index, of the queue and of the alarms are leaves.
package shared

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/bounded"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/redis"
)

// Options are what a Presence may be told beyond its configuration.
type Options struct {
	// Sharded publishes notices by SPUBLISH, and PlainCopy by PUBLISH too: as the broker does with publications.
	Sharded, PlainCopy bool
	// Failed is told of errors that are not a caller's, with the topic they are of or none; of an outage once. It must not block, and
	// is called with a topic's lock held. It may be nil.
	Failed func(topic message.Topic, err error)
}

// Presence keeps the members of topics together with other nodes.
type Presence struct {
	cfg     Config
	limits  presence.Config
	classes *broker.Classes
	client  *redis.Client
	out     presence.Deliverer
	node    string
	ways    string // p, s or b: PUBLISH, SPUBLISH, both
	script  *goredis.Script
	failed  func(message.Topic, error)
	ids     *message.IDSource
	turns   atomic.Uint64
	queue   *queue
	later   *queue                   // of topics whose server is away
	alarms  *presence.Alarms[*topic] // one at most for each topic
	graves  graves
	seed    maphash.Seed
	down    atomic.Bool  // Redis did not answer the last time
	away    atomic.Int64 // topics whose server is away

	mu     sync.RWMutex
	topics map[message.Topic]*topic // guarded by mu
	idle   []*topic                 // topics that are only heard of, at some time, the first first; guarded by mu

	members                      atomic.Int64
	bytes                        atomic.Int64  // that all members here say
	taken                        bounded.Count // that, and what was reserved for those who are about to
	told                         [message.PresenceKinds]atomic.Uint64
	refusedMembers, refusedData  atomic.Uint64
	commands, gaps, restorations atomic.Uint64
	answered                     atomic.Uint64 // batches
	garbage, failures            atomic.Uint64
}

// isNode reports whether a node may be called so: the script tells names apart by the space after them.
func isNode(name string) bool {
	odd := func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-", c)
	}
	return name != "" && len(name) <= nodeBytesMax && !strings.ContainsFunc(name, odd)
}

// nodeBytesMax is how long a node's name may be.
const nodeBytesMax = 128

// New makes a Presence for the topics whose class has it. Node is the name of this process, unlike that of any other and of any
// before; limits are the same on every node.
func New(cfg Config, limits presence.Config, classes *broker.Classes, client *redis.Client, node string, out presence.Deliverer, opts Options) (*Presence, error) {
	if err := errors.Join(cfg.Validate(), limits.Validate()); err != nil {
		return nil, err
	}
	if !isNode(node) {
		return nil, fmt.Errorf("presence: a node cannot be called %.140q; names have 1 to 128 of A-Z a-z 0-9 _ . -", node)
	}
	p := &Presence{
		cfg: cfg, limits: limits, classes: classes, client: client, out: out, node: node, ways: "p", script: goredis.NewScript(presenceLua), failed: opts.Failed,
		ids: message.NewIDSource("prs"), alarms: presence.NewAlarms[*topic](), queue: newQueue(workers), later: newQueue(1),
		graves: graves{wake: make(chan struct{}, 1)}, seed: maphash.MakeSeed(), topics: make(map[message.Topic]*topic),
	}
	switch {
	case opts.Sharded && opts.PlainCopy:
		p.ways = "b"
	case opts.Sharded:
		p.ways = "s"
	}
	if p.failed == nil {
		p.failed = func(message.Topic, error) {}
	}
	return p, nil
}

// Tracks reports whether a topic has members. A pattern has none.
func (p *Presence) Tracks(name message.Topic) bool {
	return presence.Tracks(p.classes, name)
}

// Enter counts a connection of a user who is on a topic from now on. Doing so again changes nothing. It is refused with
// [message.CodeSubscriptionLimit] where the topic has as many members as it may. Where Redis does not say so within presence_wait
// he enters when it is there again, and if there is room.
func (p *Presence) Enter(ctx context.Context, name message.Topic, user, conn string) error {
	if !p.Tracks(name) {
		return nil
	}
	t := p.acquire(name)
	defer p.release(t)
	if t.conns[conn] != nil {
		return nil
	}
	u := t.enter(user, conn)
	t.touch(u)
	if listed := u.count > 1 && u.written && !u.outside; listed || p.unreachable(t) {
		p.kick(t)
		return nil
	}
	w := &waiter{conn: conn, done: make(chan error, 1)}
	u.waiters = append(u.waiters, w)
	p.kick(t)
	err, answered := p.await(ctx, t, w.done)
	if !answered {
		u.waiters = remove(u.waiters, w)
	}
	return err
}

// Update sets what a user says of himself on a topic, one of whose connections conn is: a JSON object, which is kept. Who
// could not enter before does so if there is room now.
func (p *Presence) Update(ctx context.Context, name message.Topic, user, conn string, data []byte) error {
	if !p.Tracks(name) {
		return presence.Untracked(name)
	}
	if err := p.limits.CheckData(data); err != nil {
		return err
	}
	t := p.acquire(name)
	defer p.release(t)
	if err := p.excuse(t); err != nil {
		return err
	}
	w := &waiter{data: data, done: make(chan error, 1)}
	if !p.reserve(t, w, user) {
		return p.noRoom(name)
	}
	if t.conns[conn] == nil {
		t.enter(user, conn)
		w.conn = conn
	}
	u := t.conns[conn]
	u.updates = append(u.updates, w)
	t.touch(u)
	p.kick(t)
	if err, answered := p.await(ctx, t, w.done); answered {
		return err
	}
	u.updates = remove(u.updates, w)
	p.unreserve(w)
	sent := "; nothing changed"
	if w.sent != 0 {
		sent = "; whether it changed is not known"
	}
	return message.Errorf(message.CodeUnavailable, "what the members of %s say of themselves cannot be changed now%s: try again", name, sent)
}

func (p *Presence) noRoom(name message.Topic) error {
	p.refusedData.Add(1)
	return presence.NoRoom(name)
}

// Leave ends what Enter began. With lost the connection did not say so itself, and its user has some time to come back
// before others are told that he left. It does not wait for Redis.
func (p *Presence) Leave(_ context.Context, name message.Topic, conn string, lost bool) error {
	if !p.Tracks(name) {
		return nil
	}
	t := p.acquire(name)
	defer p.release(t)
	u := t.conns[conn]
	if u == nil {
		return nil // it never got in
	}
	t.leave(u, conn, lost)
	if u.count == 0 && !u.written && len(u.updates) == 0 { // nobody heard of him
		delete(t.waiting, u.name)
		t.forget(u)
		return nil
	}
	t.touch(u)
	p.kick(t)
	return nil
}

// Members calls show with the members of a topic as of now, by user. The topic stands still meanwhile: notices after the version
// shown are handed on after show returns, so show must not wait. It may keep the list, and not change it.
func (p *Presence) Members(ctx context.Context, name message.Topic, show func(*message.Members)) error {
	if !p.Tracks(name) {
		return presence.Untracked(name)
	}
	t := p.acquire(name)
	defer p.release(t)
	if err := p.excuse(t); err != nil {
		return err
	}
	r := &asker{show: show, done: make(chan error, 1)}
	t.askers = append(t.askers, r)
	p.kick(t)
	if err, answered := p.await(ctx, t, r.done); answered {
		return err
	}
	t.askers = remove(t.askers, r)
	return message.Errorf(message.CodeUnavailable, "who is on %s cannot be told now; try again", name)
}

// await waits for an answer, for as long as a client's request may. The topic's lock is held before and after it, and not meanwhile.
// Without an answer there will be none any more, once whoever asked is taken out.
func (p *Presence) await(ctx context.Context, t *topic, done <-chan error) (err error, answered bool) {
	t.mu.Unlock()
	timer := time.NewTimer(p.cfg.Wait)
	defer timer.Stop()
	select {
	case err = <-done:
		t.mu.Lock()
		return err, true
	case <-ctx.Done():
	case <-timer.C:
	}
	t.mu.Lock()
	select {
	case err = <-done: // it came just now
		return err, true
	default:
		return nil, false
	}
}

// unreachable reports that there is no use in waiting for Redis. The topic's lock is held.
func (p *Presence) unreachable(t *topic) bool { return p.down.Load() || t.away || t.fault != nil }

// excuse says why a topic cannot be asked about now; nil where it can. The topic's lock is held.
func (p *Presence) excuse(t *topic) error {
	if !p.unreachable(t) {
		return nil
	}
	if t.present > 0 && !t.check { // its own server may be there: that is found out for the next one who asks
		t.check = true
		p.kick(t)
	}
	err := t.fault
	if err == nil {
		err = errDown
	}
	return &message.Error{Code: message.CodeUnavailable, Message: fmt.Sprintf("the members of %s cannot be reached now; try again", t.name), Err: err}
}

// errDown is why a request is refused without a try.
var errDown = errors.New("presence: redis does not answer")

// Stats returns the figures of now: of members and bytes those that have connections here, of notices those that this node had told.
func (p *Presence) Stats() presence.Stats {
	p.mu.RLock()
	topics := 0
	for _, t := range p.topics {
		if t.peopled.Load() {
			topics++
		}
	}
	p.mu.RUnlock()
	return presence.Stats{
		Topics: topics, Members: int(p.members.Load()), Bytes: p.bytes.Load(), BytesMax: int64(p.limits.MiBTotal) << 20,
		Joins: p.told[message.PresenceJoin].Load(), Leaves: p.told[message.PresenceLeave].Load(), Updates: p.told[message.PresenceUpdated].Load(),
		RefusedMembers: p.refusedMembers.Load(), RefusedData: p.refusedData.Load(),
	}
}

// Figures are what goes on between this node and Redis, since the start.
type Figures struct {
	Commands     uint64 // calls of the script
	Failures     uint64 // those that failed, and were or will be made again
	Gaps         uint64 // times that notices were missed, and what they told was found by reading
	Restorations uint64 // topics of which Redis had lost everything, and got it back from here
	Garbage      uint64 // notices that were none
	TopicsKnown  int    // now: those that somebody is on here, and those that were only heard of
	Down         bool   // Redis did not answer the last time; in a Cluster no server did
}

// Figures returns the figures of now.
func (p *Presence) Figures() Figures {
	p.mu.RLock()
	known := len(p.topics)
	p.mu.RUnlock()
	return Figures{
		Commands: p.commands.Load(), Failures: p.failures.Load(), Gaps: p.gaps.Load(), Restorations: p.restorations.Load(),
		Garbage: p.garbage.Load(), TopicsKnown: known, Down: p.down.Load(),
	}
}

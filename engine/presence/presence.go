// Package presence knows who is on a topic: which users have a connection that is subscribed to it, and what each says of
// himself there. Subscribers are told of what changes, in notices that carry no number of the topic and are never kept.
// It is this node's view; a store that nodes share can stand in its place behind the interfaces of package feed.
//
// A topic has a version, one more for each notice. Whoever asks for the members gets them as of a version, while that
// topic stands still: every notice with a later version is handed on after the answer, and none is left out, so that a
// subscriber who passes over the earlier ones has the members of every moment (PROTOCOL §2.3). The answer is of now: what
// is still to be told is in it, and its notice, which says nothing new to who asked, comes at its own time, so that nobody
// can hurry the notices by asking.
//
// Ownership: all methods may be called by any number of goroutines. A topic's lock guards it and its members; notices are
// handed on and answers are given with it held, which is what keeps them in order. The index's lock and that of the alarms
// are leaves, taken for a moment with or without a topic's lock. Nothing is kept of topics whose class has no presence.
package presence

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/bounded"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// Deliverer hands a notice to the subscribers of its topic, in the order of its calls. It is called with the topic's lock
// held and does not wait for a subscriber; [hub.Hub] has the contract.
type Deliverer interface {
	Deliver(env *message.Envelope)
}

// Stats are the figures of a Presence.
type Stats struct {
	Topics, Members int    // now
	Bytes           int64  // now: what members say of themselves
	BytesMax        int64  // the limit
	Joins           uint64 // notices, since the start
	Leaves          uint64
	Updates         uint64
	RefusedMembers  uint64 // users not listed because their topic had presence_members_max, since the start
	RefusedData     uint64 // updates refused for want of room, since the start
}

// Presence keeps the members of this node's topics.
type Presence struct {
	cfg     Config
	classes *broker.Classes
	out     Deliverer
	ids     *message.IDSource
	alarms  *Alarms[due]

	mu     sync.RWMutex
	topics map[message.Topic]*topic // those with a member; guarded by mu

	members                     atomic.Int64
	bytes                       bounded.Count
	told                        [message.PresenceKinds]atomic.Uint64
	refusedMembers, refusedData atomic.Uint64
}

// topic is a topic that somebody is on.
type topic struct {
	name    message.Topic
	class   *broker.CompiledClass
	notices Alarm[due] // of the changes

	mu      sync.Mutex         // guards all that follows, and the members
	dropped bool               // out of the index: look it up again
	version uint64             // of the last notice
	users   map[string]*member // by user; who is gone is among them until that is told
	present int                // users who are not gone
	conns   map[string]*member // by connection
	bytes   int                // of the members' data
	changes []*member          // not told yet, in order
	due     bool               // notices is set
}

// due is what an alarm is for: a member's departure, or, without a member, the notices of a topic.
type due struct {
	topic  *topic
	member *member
}

// member is a user on a topic.
type member struct {
	user        string
	data        []byte // a JSON object; replaced, never changed, since notices share it
	sinceMS     int64
	connections int
	lost        time.Time // when a connection that has not come back was lost; zero: none was
	departure   Alarm[due]
	gone        bool
	known       bool // to the subscribers
	listed      bool // in an answer since the changes were told last
	updated     bool // the data, since that was told
	changing    bool // among the changes of the topic
}

// New makes a Presence for the topics whose class has it.
func New(cfg Config, classes *broker.Classes, out Deliverer) (*Presence, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Presence{
		cfg: cfg, classes: classes, out: out, ids: message.NewIDSource("prs"), alarms: NewAlarms[due](),
		topics: make(map[message.Topic]*topic),
	}, nil
}

// Run lets members depart and tells of changes when their time has come, until ctx is cancelled.
func (p *Presence) Run(ctx context.Context) error {
	p.alarms.Run(ctx, p.ring)
	return nil
}

// ring does what an alarm is for, if that is still to be done: it may have been overtaken on the way.
func (p *Presence) ring(d due) {
	t := d.topic
	t.mu.Lock()
	defer p.release(t)
	switch m := d.member; {
	case t.dropped:
	case m == nil:
		p.tell(t)
	case m.connections == 0 && !m.gone && time.Since(m.lost) >= p.cfg.Grace:
		p.depart(t, m)
	}
}

// Tracks reports whether a topic has members. A pattern has none.
func (p *Presence) Tracks(name message.Topic) bool {
	return Tracks(p.classes, name)
}

// Enter counts a connection of a user who is on a topic from now on. Doing so again changes nothing. It is refused with
// [message.CodeSubscriptionLimit] where the topic has as many members as it may.
func (p *Presence) Enter(_ context.Context, name message.Topic, user, conn string) error {
	if !p.Tracks(name) {
		return nil
	}
	t := p.acquire(name)
	defer p.release(t)
	_, err := p.enter(t, user, conn)
	return err
}

// Update sets what a user says of himself on a topic, one of whose connections conn is: a JSON object, which is kept. Who
// could not enter before does so if there is room now.
func (p *Presence) Update(_ context.Context, name message.Topic, user, conn string, data []byte) error {
	if !p.Tracks(name) {
		return Untracked(name)
	}
	if err := p.cfg.CheckData(data); err != nil {
		return err
	}
	t := p.acquire(name)
	defer p.release(t)
	m, err := p.enter(t, user, conn)
	if err != nil || bytes.Equal(m.data, data) {
		return err
	}
	if !p.take(t, len(data)-len(m.data)) {
		p.refusedData.Add(1)
		return NoRoom(name)
	}
	m.data, m.updated = data, true
	t.change(m)
	return nil
}

// Leave ends what Enter began. With lost the connection did not say so itself, and its user has some time to come back
// before others are told that he left.
func (p *Presence) Leave(_ context.Context, name message.Topic, conn string, lost bool) error {
	if !p.Tracks(name) {
		return nil
	}
	t := p.acquire(name)
	defer p.release(t)
	m := t.conns[conn]
	if m == nil {
		return nil // it never got in
	}
	delete(t.conns, conn)
	m.connections--
	if lost {
		m.lost = time.Now()
	}
	if m.connections > 0 {
		return nil
	}
	if until := m.lost.Add(p.cfg.Grace); !m.lost.IsZero() && time.Until(until) > 0 {
		p.alarms.Set(&m.departure, until)
	} else {
		p.depart(t, m)
	}
	return nil
}

// Members calls show with the members of a topic as of now, by user. The topic stands still meanwhile: notices after the version
// shown are handed on after show returns, so show must not wait. It may keep the list.
func (p *Presence) Members(_ context.Context, name message.Topic, show func(*message.Members)) error {
	if !p.Tracks(name) {
		return Untracked(name)
	}
	t := p.acquire(name)
	defer p.release(t)
	list := &message.Members{Topic: name, Version: t.version, Members: make([]message.Member, 0, t.present)}
	for _, m := range t.users {
		if !m.gone {
			m.listed = m.changing
			list.Members = append(list.Members, m.shown())
		}
	}
	slices.SortFunc(list.Members, func(a, b message.Member) int { return strings.Compare(a.UserID, b.UserID) })
	show(list)
	return nil
}

// Stats returns the figures of now.
func (p *Presence) Stats() Stats {
	p.mu.RLock()
	topics := len(p.topics)
	p.mu.RUnlock()
	return Stats{
		Topics: topics, Members: int(p.members.Load()), Bytes: p.bytes.Load(), BytesMax: int64(p.cfg.MiBTotal) << 20,
		Joins: p.told[message.PresenceJoin].Load(), Leaves: p.told[message.PresenceLeave].Load(), Updates: p.told[message.PresenceUpdated].Load(),
		RefusedMembers: p.refusedMembers.Load(), RefusedData: p.refusedData.Load(),
	}
}

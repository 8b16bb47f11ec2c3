package hub

import (
	"cmp"
	"slices"

	"github.com/wse-engine/wse/engine/message"
)

// Member is what one connection is subscribed to. It is made with [Hub.Member] and ended with [Hub.Leave] for each of
// its subscriptions.
type Member struct {
	conn     Subscriber
	lane     *lane
	encoding int
	// subs is written by the owner of the membership with the lane's lock held, so the owner may read it without and
	// a lane with its lock.
	subs []*Subscription
}

// Subscription is one connection's subscription to one topic or pattern. There is at least one for each connection, so its
// size counts.
type Subscription struct {
	member *Member
	part   *part
	types  *[]string // event types wanted, nil for all; guarded by the lane's lock
	join   *join     // not nil until a publication is newer than what was sent; guarded by the lane's lock
	index  int32     // in part.subs; guarded by the lane's lock
	// restarts is how often the topic was restarted under the subscription; guarded by the lane's lock.
	restarts uint32
}

// join holds what is published while a subscription reads its history. Once that is sent, it tells what has been sent
// with it from what is still in a lane's inbox: the broker keeps a publication before it delivers it.
type join struct {
	held     []*message.Envelope
	overflow bool // more than JoinHeldMax were published, or the topic was restarted: the history must be read again
	live     bool // it holds nothing any more
	sent     bool // the history was sent, up to epoch and offset; where it is not live, before it was held again
	settled  bool // and up to there a pattern of the connection's has nothing to add
	epoch    message.Epoch
	offset   uint64
}

// again returns the hold of a subscription that waits for its history once more. What it was sent stays true: the connection has
// it, though a pattern of its own may still come to it.
func (j *join) again() *join {
	if j == nil {
		return &join{}
	}
	return &join{sent: j.sent, settled: j.settled, epoch: j.epoch, offset: j.offset}
}

// passed reports whether env is not newer than what was sent. Of another epoch it is older: the history was read after the
// topic had been restarted, which this connection will be told, or has been told by what it was sent, and env was numbered
// before. The first of a topic is taken for newer whatever its epoch, since it begins one: where it is older all the same, the
// restart that comes after it sets that right.
func (j *join) passed(env *message.Envelope) bool {
	switch {
	case !j.sent || env.Notice != nil:
		return false
	case env.Epoch == j.epoch:
		return env.Seq <= j.offset
	}
	return j.epoch != 0 && env.Seq != 1
}

// JoinHeldMax is how many publications a subscription holds back while its history is read.
const JoinHeldMax = 1024

// Member makes the membership of a connection, without subscriptions.
func (h *Hub) Member(conn Subscriber) Member {
	return Member{conn: conn, lane: h.lanes[conn.Lane()], encoding: conn.Encoding()}
}

// Encoding returns the index of the encoding the member receives.
func (m *Member) Encoding() int { return m.encoding }

// Do runs f with the lock of the member's lane held, and flushes what f queued. f must not block.
func (m *Member) Do(f func()) { m.lane.loop.Do(f) }

// DoLast is Do after all that was delivered so far is queued: what f queues of a topic at its level comes after it.
func (m *Member) DoLast(f func()) {
	m.lane.loop.Do(func() {
		m.lane.Run(false)
		f()
	})
}

// Topic returns the topic or pattern subscribed to.
func (s *Subscription) Topic() message.Topic { return s.part.entry.topic }

// Join subscribes m to a topic or pattern. From now on publications are held for the subscription, until [Hub.GoLive]
// lets them through: the time between is for reading the history. first reports that nobody on this node was subscribed
// to the topic before. The caller sees to it that m joins a topic once, and serialises joins and leaves of one topic
// where it acts on first and last.
func (h *Hub) Join(m *Member, topic message.Topic, types []string) (sub *Subscription, first bool) {
	p, first := h.acquire(topic, m.lane)
	sub = &Subscription{member: m, part: p, types: filter(types), join: &join{}}
	m.Do(func() {
		sub.index = int32(len(p.subs))
		p.subs = append(p.subs, sub)
		p.size.Store(int32(len(p.subs)))
		m.subs = append(m.subs, sub)
	})
	return sub, first
}

// Leave ends a subscription, with what is queued for it and no other of the member's. last reports that nobody on this node is subscribed to the topic any more.
func (h *Hub) Leave(sub *Subscription) (last bool) {
	p, m := sub.part, sub.member
	m.Do(func() {
		end := len(p.subs) - 1
		p.subs[sub.index] = p.subs[end]
		p.subs[sub.index].index = sub.index
		p.subs[end] = nil
		p.subs = p.subs[:end]
		p.size.Store(int32(end))
		m.subs = slices.DeleteFunc(m.subs, func(s *Subscription) bool { return s == sub })
		sub.forget()
	})
	return h.release(sub.Topic(), p)
}

// Hold makes a subscription wait for its history once more, as [Hub.Join] does, until [Hub.GoLive]. What is queued for it and no
// other of the member's is dropped, since the history has it.
func (h *Hub) Hold(sub *Subscription) {
	sub.member.Do(func() {
		sub.join = sub.join.again()
		sub.forget()
	})
}

// forget drops what is queued for a subscription and no other of the member's. The lane's lock is held.
func (s *Subscription) forget() {
	m := s.member
	m.conn.Forget(func(topic message.Topic) bool {
		return s.Topic().Matches(topic) && !slices.ContainsFunc(m.subs, func(other *Subscription) bool { return other != s && other.Topic().Matches(topic) })
	})
}

// RestartsLocked returns how often the topic was restarted under the subscription. It is called inside [Member.Do].
func (s *Subscription) RestartsLocked() uint32 { return s.restarts }

// SetTypes changes which event types a subscription wants; nil means all.
func (h *Hub) SetTypes(sub *Subscription, types []string) {
	sub.member.Do(func() { sub.types = filter(types) })
}

// SetTypesLocked is [Hub.SetTypes] from inside Member.Do, or from what GoLive calls.
func (s *Subscription) SetTypesLocked(types []string) { s.types = filter(types) }

// Types returns the event types that the subscription wants; nil means all. Only the owner of the membership may call it.
func (s *Subscription) Types() []string {
	if s.types == nil {
		return nil
	}
	return *s.types
}

// filter returns what a subscription keeps of the event types it wants.
func filter(types []string) *[]string {
	if types == nil {
		return nil
	}
	return &types
}

// Live is a subscription that is ready to go live, and the position that its connection is at with what is sent before.
type Live struct {
	Sub    *Subscription
	Epoch  message.Epoch
	Offset uint64
	Sent   bool // up to there something is sent, or was before; else the topic just begins there
}

// GoLive calls before, which queues what has to come first, then lets through what was held for each subscription and
// is newer than its position, and from there on everything. No publication can come between. Where a subscription held
// more than [JoinHeldMax], or its topic was restarted, nothing is done at all and the subscriptions concerned are returned,
// with their hold begun anew: their history has to be read again.
func (h *Hub) GoLive(m *Member, lives []Live, before func()) (overflowed []*Subscription) {
	m.Do(func() {
		for _, l := range lives {
			if l.Sub.join != nil && l.Sub.join.overflow {
				l.Sub.join = l.Sub.join.again()
				overflowed = append(overflowed, l.Sub)
			}
		}
		if overflowed != nil {
			return
		}
		if before != nil {
			before()
		}
		// What was held for a pattern is older than what was held for a topic of it, which was joined meanwhile.
		lives := slices.SortedStableFunc(slices.Values(lives), func(a, b Live) int { return cmp.Compare(len(key(a.Sub.Topic())), len(key(b.Sub.Topic()))) })
		for i := len(lives) - 1; i >= 0; i-- {
			lives[i].begin()
		}
		for i := range lives {
			lives[i].flush(h)
		}
	})
	return overflowed
}

// begin makes a subscription live; what it held waits. Topics begin before the patterns over them. The lane's lock is held.
func (l *Live) begin() {
	s := l.Sub
	before := s.join
	s.join = &join{live: true, sent: true, epoch: l.Epoch, offset: l.Offset, settled: l.Sent || !s.member.follows(s.Topic())}
	if before != nil {
		s.join.held = before.held
	}
}

// flush lets held publications through. The lane's lock is held.
func (l *Live) flush(h *Hub) {
	s := l.Sub
	held := s.join.held
	s.join.held = nil
	for _, env := range held {
		switch r := restartOf(env); {
		case r != nil && !s.member.beyond(r):
			s.member.begin(h, s, env)
		case r == nil && !s.older(env) && !s.member.has(env) && s.takes(env) && s.wantsType(env.Type):
			s.member.conn.Enqueue(h.encode(env, s.member.encoding))
		}
	}
	if l.Offset == 0 {
		s.join = nil
	}
}

// older reports whether env, which was held, is of an epoch before that of the history that was sent. The lane's lock is held.
func (s *Subscription) older(env *message.Envelope) bool {
	j := s.join
	return j != nil && j.epoch != 0 && j.offset != 0 && env.Notice == nil && env.Epoch != j.epoch
}

// follows reports whether a pattern over topic is live. The lane's lock is held.
func (m *Member) follows(topic message.Topic) bool {
	return slices.ContainsFunc(m.subs, func(s *Subscription) bool {
		return s.part.pattern && !s.joining() && s.Topic().Matches(topic)
	})
}

// has reports whether env was sent when its topic was joined, or the connection was told that it is beyond: then it must not
// come once more by a pattern. The lane's lock is held.
func (m *Member) has(env *message.Envelope) bool {
	j := m.settled(env.Topic)
	return j != nil && j.passed(env)
}

// settled returns what was sent of a topic that the member joined, as long as nothing newer was published, if patterns have
// nothing to add to it. The lane's lock is held.
func (m *Member) settled(topic message.Topic) *join {
	for _, s := range m.subs {
		if s.join != nil && s.join.settled && s.Topic() == topic {
			return s.join
		}
	}
	return nil
}

// plain reports that everything published goes to the subscriber: it is live and filters nothing.
func (s *Subscription) plain() bool { return s.join == nil && s.types == nil }

// takes reports whether the subscription is live and env is newer than what it was sent when it went live. The lane's
// lock is held.
func (s *Subscription) takes(env *message.Envelope) bool {
	j := s.join
	switch {
	case j == nil:
		return true
	case env.Notice != nil: // it has no number, so it cannot tell whether what was sent has been passed
		return j.live
	case !j.live || j.passed(env):
		return false
	}
	s.join = nil
	return true
}

// joining reports that the subscription reads its history. The lane's lock is held.
func (s *Subscription) joining() bool { return s.join != nil && !s.join.live }

// hold keeps env for a subscription that is joining. The lane's lock is held.
func (s *Subscription) hold(env *message.Envelope) {
	j := s.join
	if len(j.held) >= JoinHeldMax {
		j.held, j.overflow = nil, true
	}
	if !j.overflow {
		j.held = append(j.held, env)
	}
}

func (s *Subscription) wantsType(eventType string) bool {
	return s.types == nil || slices.Contains(*s.types, eventType)
}

// of returns the member's subscription on a part, nil where it has none. The lane's lock is held.
func (m *Member) of(p *part) *Subscription {
	for _, s := range m.subs {
		if s.part == p {
			return s
		}
	}
	return nil
}

// Topics returns what the member is subscribed to. Only the owner of the membership, who joins and leaves, may call it.
func (m *Member) Topics() []message.Topic {
	topics := make([]message.Topic, len(m.subs))
	for i, s := range m.subs {
		topics[i] = s.Topic()
	}
	return topics
}

// Len returns how many subscriptions there are. Only the owner of the membership may call it.
func (m *Member) Len() int { return len(m.subs) }

// Find returns the subscription to exactly this topic or pattern, or nil. Only the owner of the membership may call it.
func (m *Member) Find(topic message.Topic) *Subscription {
	for _, s := range m.subs {
		if s.Topic() == topic {
			return s
		}
	}
	return nil
}

// Subscriptions returns a copy of the list. Only the owner of the membership may call it.
func (m *Member) Subscriptions() []*Subscription { return slices.Clone(m.subs) }

// Enqueue queues frames on the member's connection. It is called inside [Member.Do] or GoLive's before.
func (m *Member) Enqueue(out *message.Outgoing) { m.conn.Enqueue(out) }

// Filter returns those of envs that the subscription wants, in order. Only the owner of the membership may call it.
func (s *Subscription) Filter(envs []*message.Envelope) []*message.Envelope {
	if s.types == nil {
		return envs
	}
	var wanted []*message.Envelope
	for _, env := range envs {
		if s.wantsType(env.Type) {
			wanted = append(wanted, env)
		}
	}
	return wanted
}

package presence

import (
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

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
		t = newTopic(name, p.classes.For(name))
		p.topics[name] = t
	}
	return t
}

// newTopic makes a topic that nobody is on. Its version begins at the clock, so that one that is forgotten and made again,
// be it by another process, goes on with higher versions: as long as there are less than a million notices a second.
// Microseconds are exact in a float64 until the year 2255.
func newTopic(name message.Topic, class *broker.CompiledClass) *topic {
	t := &topic{
		name: name, class: class, version: uint64(time.Now().UnixMicro()),
		users: make(map[string]*member), conns: make(map[string]*member),
	}
	t.notices.Of = due{topic: t}
	return t
}

// release unlocks a topic. Changes are told after the notice delay, and a topic that nobody is on is forgotten.
func (p *Presence) release(t *topic) {
	defer t.mu.Unlock()
	switch {
	case t.dropped:
	case len(t.changes) > 0 && p.cfg.NoticeDelay == 0:
		p.tell(t)
	case len(t.changes) > 0 && !t.due:
		t.due = true
		p.alarms.Set(&t.notices, time.Now().Add(p.cfg.NoticeDelay))
	}
	if len(t.users) == 0 && !t.dropped {
		t.dropped = true
		p.mu.Lock()
		delete(p.topics, t.name)
		p.mu.Unlock()
	}
}

// enter counts a connection of a user. The topic's lock is held, as in all that follows.
func (p *Presence) enter(t *topic, user, conn string) (*member, error) {
	if m := t.conns[conn]; m != nil {
		return m, nil
	}
	m := t.users[user]
	if (m == nil || m.gone) && t.present >= p.cfg.MembersMax {
		p.refusedMembers.Add(1)
		return nil, p.cfg.Full(t.name)
	}
	if m == nil {
		m = &member{user: user, gone: true}
		m.departure.Of = due{t, m}
		t.users[user] = m
	}
	if m.gone {
		m.gone, m.sinceMS, m.updated = false, time.Now().UnixMilli(), true
		t.present++
		p.members.Add(1)
		t.change(m)
	}
	t.conns[conn] = m
	m.connections++
	m.lost = time.Time{}
	p.alarms.Cancel(&m.departure)
	return m, nil
}

// depart makes a member gone. He stays in the list of users until that is told.
func (p *Presence) depart(t *topic, m *member) {
	p.take(t, -len(m.data))
	m.data, m.gone, m.lost = nil, true, time.Time{}
	t.present--
	p.members.Add(-1)
	t.change(m)
}

// take counts bytes of data, fewer where n is negative, and reports whether there is room for more.
func (p *Presence) take(t *topic, n int) bool {
	if n > 0 && t.bytes+n > p.cfg.TopicKiBMax<<10 {
		return false
	}
	if n <= 0 {
		p.bytes.Add(int64(n))
	} else if !p.bytes.Take(int64(n), int64(p.cfg.MiBTotal)<<20) {
		return false
	}
	t.bytes += n
	return true
}

// change puts a member among those of whom something is to be told, once.
func (t *topic) change(m *member) {
	if !m.changing {
		m.changing = true
		t.changes = append(t.changes, m)
	}
}

// tell hands on what changed, one notice for each member. Who came and went meanwhile, or went and came, is told of as
// what he is now; where an answer held something in between, that is enough to put it right.
func (p *Presence) tell(t *topic) {
	for i, m := range t.changes {
		switch {
		case m.gone:
			delete(t.users, m.user)
			if m.known || m.listed {
				p.notify(t, message.PresenceLeave, m)
			}
		case !m.known:
			m.known = true
			p.notify(t, message.PresenceJoin, m)
		case m.updated:
			p.notify(t, message.PresenceUpdated, m)
		}
		m.changing, m.updated, m.listed = false, false, false
		t.changes[i] = nil
	}
	t.changes = t.changes[:0]
	if t.due {
		t.due = false
		p.alarms.Cancel(&t.notices)
	}
}

// notify hands on one notice.
func (p *Presence) notify(t *topic, kind message.PresenceKind, m *member) {
	t.version++
	p.told[kind].Add(1)
	p.out.Deliver(Envelope(t.class, p.ids.Next(), time.Now().UnixMilli(),
		&message.PresenceNotice{Kind: kind, Topic: t.name, Version: t.version, Member: m.shown()}))
}

// shown is the member as others see him.
func (m *member) shown() message.Member {
	return message.Member{UserID: m.user, Data: m.data, Connections: m.connections, SinceMS: m.sinceMS}
}

package hub

import (
	"slices"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// restart is the end of what was delivered of a topic, on its way to subscribers in the order of publications: it travels as
// the notice of an envelope. Its frames are made once for each encoding and each choice of event types.
type restart struct {
	*message.Restarted
	mu    sync.Mutex
	forms map[form]*message.Outgoing // guarded by mu
}

// form is one way that a restart looks on the wire.
type form struct {
	encoding int
	wanted   string // a byte for each snapshot and publication, 1 where it is wanted; empty: all are
}

// Restart tells every connection subscribed to a topic, or to a pattern that covers it, once each, that what it has of the topic
// is not followed by what comes next, and sends it what r holds. level is that of the topic's class. The caller keeps the
// order: calls of Restart and of [Hub.Deliver] for one topic follow each other.
func (h *Hub) Restart(r *message.Restarted, level message.Level) {
	h.Deliver(&message.Envelope{
		Topic: r.Topic, ID: h.restarts.Next(), TimeMS: time.Now().UnixMilli(), Level: level,
		Notice: &restart{Restarted: r, forms: make(map[form]*message.Outgoing)},
	})
}

// restartOf returns the restart that env is, nil for everything else.
func restartOf(env *message.Envelope) *restart {
	if env.Notice == nil {
		return nil
	}
	r, _ := env.Notice.(*restart)
	return r
}

// overtook reports whether what was sent when the subscription went live is not older than what r holds: the history was read
// after the restart, which comes only now.
func (j *join) overtook(r *restart) bool {
	return j.sent && j.epoch != 0 && j.epoch == r.Epoch && r.Offset <= j.offset
}

// beyond reports whether the member was sent, when it joined the topic of r, what is not older than r. The lane's lock is held.
func (m *Member) beyond(r *restart) bool {
	j := m.settled(r.Topic)
	return j != nil && j.overtook(r)
}

// restart tells every connection on the lane that has the parts of an item that their topic is restarted. The lane's lock is
// held.
func (l *lane) restart(it *item) {
	l.parts = append(append(l.parts[:0], it.part), it.also...)
	sent := uint64(0)
	for _, p := range l.parts {
		for _, s := range p.subs {
			l.chain = l.chain[:0]
			for _, other := range l.parts {
				if own := s.member.of(other); own != nil {
					l.chain = append(l.chain, own)
				}
			}
			if l.chain[0] == s {
				sent += s.member.restart(l.hub, l.chain, it.pub.env)
			}
		}
	}
	clear(l.parts)
	clear(l.chain)
	l.hub.delivered.Add(sent)
}

// restart tells the member of the restart that env is. chain are those of its subscriptions that cover the topic, the most
// specific first. As of a publication, the first that is live and was not sent newer things decides what of it is wanted.
// A subscription to the topic that is joining reads its history again: what it has read may be from before, and so is what it
// holds. One to a pattern has no history, and is told when it goes live. It returns how many publications were queued.
func (m *Member) restart(h *Hub, chain []*Subscription, env *message.Envelope) (sent uint64) {
	r := restartOf(env)
	for _, s := range chain {
		if s.part.pattern {
			continue
		}
		s.restarts++
		if j := s.join; s.joining() {
			j.held, j.overflow = nil, true
			if !j.overtook(r) {
				j.sent, j.settled = false, false
			}
		}
	}
	if m.beyond(r) {
		return 0
	}
	taken := slices.IndexFunc(chain, func(s *Subscription) bool {
		return s.join == nil || s.join.live && !s.join.overtook(r)
	})
	if taken >= 0 {
		return m.begin(h, chain[taken], env)
	}
	if i := slices.IndexFunc(chain, func(s *Subscription) bool { return s.part.pattern && s.joining() }); i >= 0 {
		chain[i].hold(env)
	}
	return 0
}

// begin queues a restart for the subscription s, from which its topic goes on: what was sent when the topic was joined has nothing
// to say any more of what is newer. The lane's lock is held.
func (m *Member) begin(h *Hub, s *Subscription, env *message.Envelope) (sent uint64) {
	r := restartOf(env)
	for _, other := range m.subs {
		if !other.part.pattern && other.join != nil && other.join.live && other.Topic() == r.Topic {
			other.join = nil
		}
	}
	out := r.outgoing(h, env, m.encoding, s)
	m.conn.Enqueue(out)
	return uint64(out.Count)
}

// outgoing returns the frames of a restart for a subscription: the notice, the snapshots, the publications after them and the
// end mark, as one, so that nothing comes between. The lane's lock is held.
func (r *restart) outgoing(h *Hub, env *message.Envelope, encoding int, s *Subscription) *message.Outgoing {
	f := form{encoding: encoding}
	if h.encodings[encoding].Unnumbered {
		return r.make(f, func() *message.Outgoing { return r.frames(h, env, encoding, *r.Restarted, nil) })
	}
	if s.types == nil {
		return r.make(f, func() *message.Outgoing { return r.complete(h, env, encoding, r.Snapshots, r.Publications) })
	}
	wanted := make([]byte, 0, 1+len(r.Snapshots)+len(r.Publications))
	wanted = append(wanted, 0) // so that a choice of nothing is not that of everything
	for _, list := range [...][]*message.Envelope{r.Snapshots, r.Publications} {
		for _, one := range list {
			mark := byte(0)
			if s.wantsType(one.Type) {
				mark = 1
			}
			wanted = append(wanted, mark)
		}
	}
	f.wanted = string(wanted)
	return r.make(f, func() *message.Outgoing {
		return r.complete(h, env, encoding, s.Filter(r.Snapshots), s.Filter(r.Publications))
	})
}

// make returns the frames of a form, made at the first call.
func (r *restart) make(f form, frames func() *message.Outgoing) *message.Outgoing {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.forms[f]
	if out == nil {
		out = frames()
		r.forms[f] = out
	}
	return out
}

// complete makes the frames of a restart with what it brings. A connection for which that is too much is told that it has to
// ask for it.
func (r *restart) complete(h *Hub, env *message.Envelope, encoding int, snapshots, publications []*message.Envelope) *message.Outgoing {
	rest := slices.Concat(snapshots, publications, []*message.Envelope{{
		Topic: env.Topic, ID: env.ID + ".1", TimeMS: env.TimeMS,
		Notice: &message.SnapshotComplete{SnapshotsSent: len(snapshots), HistorySent: len(publications), Topics: []message.Topic{r.Topic}},
	}})
	out := r.frames(h, env, encoding, *r.Restarted, rest)
	if len(snapshots)+len(publications) > 0 {
		short := *r.Restarted
		short.Withheld = true
		out.Instead = r.frames(h, env, encoding, short, nil)
	}
	return out
}

// frames makes the frames of a notice and of what follows it.
func (r *restart) frames(h *Hub, env *message.Envelope, encoding int, notice message.Restarted, rest []*message.Envelope) *message.Outgoing {
	notice.Snapshots, notice.Publications = nil, nil
	head := *env
	head.Notice = &notice
	out := h.Batch(append([]*message.Envelope{&head}, rest...), encoding, env.Level)
	out.Topic = r.Topic
	out.Replay = len(rest) > 1 // what it brings must not close a connection that would otherwise keep up
	return out
}

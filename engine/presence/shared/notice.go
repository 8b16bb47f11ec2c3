package shared

import (
	"bytes"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// notice is one change of one member, as the script numbered it.
type notice struct {
	version uint64
	life    uint64 // the version at which this life of the topic began
	kind    message.PresenceKind
	member  message.Member
	stamp   uint64
	id      string
	timeMS  int64
}

// What a notice may have at most; the script writes no larger numbers.
const (
	versionMax = 1 << 53
	dataDepth  = 32 // of what a member says: what clients may send
)

// Notice takes a body from a topic's channel that begins as notices do, and hands on what it tells. It is called for one topic in
// the order of the channel, and does not wait. A body that is no notice changes nothing and is counted.
func (p *Presence) Notice(name message.Topic, body []byte) {
	if !p.Tracks(name) {
		return
	}
	notices, err := readNotices(body)
	if err != nil {
		p.garbage.Add(1)
		p.failed(name, err)
		return
	}
	t := p.acquire(name)
	defer p.release(t)
	for i := range notices {
		p.hear(t, notices[i])
	}
	p.kick(t)
}

// Interrupted is told of a topic or pattern of which publications, and so notices, may not have come for some time. It does not wait.
func (p *Presence) Interrupted(name message.Topic) {
	if name.IsPattern() {
		p.checkAll(func(t *topic) bool { return name.Matches(t.name) }, true)
		return
	}
	p.mu.RLock()
	t := p.topics[name]
	p.mu.RUnlock()
	if t == nil {
		return
	}
	t.mu.Lock()
	if !t.dropped {
		t.check, t.suspect = true, true
		p.kick(t)
	}
	p.release(t)
}

// hear takes in the next notice of a topic: it is handed on if none is missing before it. The topic's lock is held, as in all that
// follows.
func (p *Presence) hear(t *topic, n notice) {
	switch {
	case n.version <= t.version:
	case t.gap:
		if len(t.held) >= p.cfg.NoticesHeldMax { // they come after what is being read, or are in it
			t.held, t.heldRead = nil, 0
		}
		t.held = append(t.held, n)
	case t.follows(n):
		p.hand(t, n)
	default:
		p.gaps.Add(1)
		t.gap, t.compare, t.held, t.heldRead = true, true, []notice{n}, 0
	}
}

// follows reports that nothing is missing between what was handed on and n.
func (t *topic) follows(n notice) bool {
	switch {
	case t.version == 0:
		return n.version <= t.floor+1 || t.floor == 0
	case n.version == t.version+1:
		return true
	}
	return n.version == n.life+1 && n.life >= t.version && len(t.told) == 0 // a new life, and nobody was left from the old one
}

// hand hands a notice to the topic's subscribers here.
func (p *Presence) hand(t *topic, n notice) {
	t.version = n.version
	if t.logging {
		t.log = append(t.log, n)
	}
	p.learn(t, n)
	p.out.Deliver(presence.Envelope(t.class, n.id, n.timeMS,
		&message.PresenceNotice{Kind: n.kind, Topic: t.name, Version: n.version, Member: n.member}))
}

// learn takes over what a notice tells: of whom subscribers know, and of a user who is here too.
func (p *Presence) learn(t *topic, n notice) {
	u := t.users[n.member.UserID]
	if n.kind == message.PresenceLeave {
		delete(t.told, n.member.UserID)
		delete(t.waiting, n.member.UserID)
		if u != nil && u.count > 0 { // but he is here: others took this node for dead
			t.check = true
		}
		return
	}
	if t.whole || len(t.told) < p.limits.MembersMax {
		t.told[n.member.UserID] = told{n.stamp, n.member.SinceMS, true}
	}
	if u != nil && u.count > 0 && n.stamp > u.stamp {
		p.say(u, n.member.Data, 0, n.stamp)
	}
}

// readNotices reads a body of a channel.
func readNotices(body []byte) (list []notice, err error) {
	var life uint64
	var ms int64
	var id string
	var changes []byte
	it := jsonscan.Members(body)
	for it.Next() && err == nil {
		switch string(it.Key()) {
		case "life":
			life, err = jsonscan.Uint(it.Value())
		case "ts":
			ms, err = jsonscan.Int(it.Value())
		case "id":
			id, err = jsonscan.String(it.Value())
		case "changes":
			changes = it.Value()
		}
	}
	if err == nil {
		err = it.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("presence: a notice that cannot be read: %w", err)
	}
	for each := jsonscan.Elements(changes); each.Next(); {
		n, err := readNotice(each.Value())
		if err != nil {
			return nil, fmt.Errorf("presence: a notice that cannot be read: changes[%d]: %w", len(list), err)
		}
		n.life, n.timeMS, n.id = life, ms, fmt.Sprintf("%s.%d", id, len(list))
		list = append(list, n)
	}
	if len(list) == 0 || life == 0 || life >= versionMax || id == "" {
		return nil, fmt.Errorf("presence: a notice without life, id or changes: %.100q", body)
	}
	return list, nil
}

func readNotice(raw []byte) (n notice, err error) {
	kind := ""
	it := jsonscan.Members(raw)
	for it.Next() && err == nil {
		switch v := it.Value(); string(it.Key()) {
		case "ver":
			n.version, err = jsonscan.Uint(v)
		case "kind":
			kind, err = jsonscan.String(v)
		case "user":
			n.member.UserID, err = jsonscan.String(v)
		case "since":
			n.member.SinceMS, err = jsonscan.Int(v)
		case "stamp":
			n.stamp, err = jsonscan.Uint(v)
		case "data":
			if !sound(v) {
				err = fmt.Errorf("data is no object of the allowed depth")
			}
			n.member.Data = bytes.Clone(v)
		}
	}
	if err == nil {
		err = it.Err()
	}
	switch kind {
	case "join":
		n.kind = message.PresenceJoin
	case "leave":
		n.kind = message.PresenceLeave
	case "update":
		n.kind = message.PresenceUpdated
	default:
		err = fmt.Errorf("kind %.20q is not join, leave or update", kind)
	}
	if err == nil && (n.version == 0 || n.version >= versionMax || n.member.UserID == "") {
		err = fmt.Errorf("ver or user is missing")
	}
	return n, err
}

// sound reports that data is what a member may say: nothing, or an object of the allowed depth.
func sound(data []byte) bool {
	return len(data) == 0 || jsonscan.KindOf(data) == jsonscan.KindObject && jsonscan.Valid(data, dataDepth) == nil
}

// made returns a notice that no script numbered: of what is found to differ from what was told here.
func (p *Presence) made(kind message.PresenceKind, m message.Member, stamp uint64) notice {
	return notice{kind: kind, member: m, stamp: stamp, id: p.ids.Next(), timeMS: time.Now().UnixMilli()}
}

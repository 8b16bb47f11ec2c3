package shared

import (
	"maps"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/message"
)

// follow compares what was told here with what Redis answered. The topic's lock is held, as in all that follows.
func (p *Presence) follow(t *topic, c *call, a *answer) {
	if t.version == 0 && t.floor == 0 {
		t.floor = a.version
	}
	behind := max(t.version, t.floor)
	missed := a.version > behind
	if strings.Contains(c.flags, "c") {
		switch {
		case missed && (t.suspect || t.ahead > behind): // since the last check it would have come
			t.compare = true
		case missed:
			t.ahead = a.version
		}
		t.suspect = false
	}
	read := strings.Contains(c.flags, "r")
	if read && t.compare {
		t.compare = false
		p.catchUp(t, a)
	}
	first := (read || strings.Contains(c.flags, "m")) && t.present > 0 && !t.whole
	if first {
		t.whole, t.told = true, make(map[string]told, len(a.list))
	}
	if t.whole {
		for _, r := range a.list { // also whom only an answer showed: he is told to have left if he does
			if !r.gone && t.told[r.UserID] == (told{}) {
				t.told[r.UserID] = told{r.stamp, r.SinceMS, first && r.known && !r.changes}
			}
		}
	}
}

// catchUp tells what differs between what was told here and a list, up to its version, and then what was held.
func (p *Presence) catchUp(t *topic, a *answer) {
	if t.version = max(t.version, t.floor); a.version > t.version {
		found := p.differences(t, a.list)
		if len(found) == 0 && !t.whole { // subscribers may know more than this node: let them see that a version is left out
			if i := slices.IndexFunc(a.list, func(r record) bool { return r.known && !r.gone }); i >= 0 {
				found = append(found, p.made(message.PresenceUpdated, a.list[i].Member, a.list[i].stamp))
			}
		}
		for i, n := range found {
			n.version = min(a.version, max(t.version+1, a.version-uint64(len(found)-1-i)))
			n.life = a.life
			p.hand(t, n)
		}
		t.version = a.version
	}
	held := t.held[min(t.heldRead, len(t.held)):] // those before are in the list, or were never numbered
	t.gap, t.held, t.heldRead = false, nil, 0
	for _, n := range held {
		p.hear(t, n)
	}
}

// differences returns notices, still without versions, of what a list has and subscribers were not told. Who is still to be told
// of is left to his notice, which has a later version.
func (p *Presence) differences(t *topic, list []record) (found []notice) {
	here := make(map[string]bool, len(list))
	for _, r := range list {
		here[r.UserID] = true
		was := t.told[r.UserID]
		switch {
		case r.gone || r.changes || !r.known:
		case !was.joined:
			found = append(found, p.made(message.PresenceJoin, r.Member, r.stamp))
		case was != told{r.stamp, r.SinceMS, true}:
			found = append(found, p.made(message.PresenceUpdated, r.Member, r.stamp))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.told)) {
		if !here[name] {
			found = append(found, p.made(message.PresenceLeave, message.Member{UserID: name, SinceMS: t.told[name].sinceMS}, 0))
		}
	}
	return found
}

// answer shows the members to those who asked with a call. Notices that were handed on since Redis answered are put into the list,
// as a subscriber would do himself.
func (p *Presence) answer(t *topic, c *call, a *answer) {
	var list *message.Members
	t.askers = slices.DeleteFunc(t.askers, func(r *asker) bool {
		if r.sent != c.turn {
			return false
		}
		if list == nil {
			list = t.list(a)
		}
		r.show(list)
		r.done <- nil
		return true
	})
}

func (t *topic) list(a *answer) *message.Members {
	members := make(map[string]message.Member, len(a.list))
	for _, r := range a.list {
		if !r.gone {
			members[r.UserID] = r.Member
		}
	}
	out := &message.Members{Topic: t.name, Version: a.version}
	for _, n := range t.log {
		if n.version <= a.version {
			continue
		}
		out.Version = n.version
		if n.kind == message.PresenceLeave {
			delete(members, n.member.UserID)
			continue
		}
		n.member.Connections = max(1, members[n.member.UserID].Connections)
		members[n.member.UserID] = n.member
	}
	out.Version = max(out.Version, t.version)
	out.Members = slices.SortedFunc(maps.Values(members), func(a, b message.Member) int { return strings.Compare(a.UserID, b.UserID) })
	if out.Members == nil {
		out.Members = []message.Member{}
	}
	return out
}

package presencetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// moments are the promises about state and changes without a gap.
func moments() []promise {
	return []promise{
		{"an answer and the notices after it are the members at every moment", everyMoment},
		{"whatever users do, an answer says who is there now", random},
	}
}

// Answer is an answer about members, and how many notices a board had before it.
type Answer struct {
	At      int
	Members *message.Members
}

// Ask asks r who is on a topic, and notes where on the board the answer stands.
func (b *Board) Ask(t *testing.T, r Roster, topic message.Topic) (a Answer) {
	t.Helper()
	require.NoError(t, r.Members(t.Context(), topic, func(m *message.Members) {
		b.mu.Lock()
		defer b.mu.Unlock()
		a = Answer{len(b.all), m}
	}))
	return a
}

// Follow returns what a subscriber makes of an answer and of the notices of all after it: who says what of himself. It requires
// that no version after the answer's is left out and none comes late.
func (a Answer) Follow(t *testing.T, all []Notice) map[string]string {
	t.Helper()
	got, version := Table(a.Members), a.Members.Version
	for _, n := range all[a.At:] {
		if n.Version <= a.Members.Version {
			continue // it was on its way when the answer was given, which knew it
		}
		require.Equal(t, version+1, n.Version, "no version is left out, and none comes late")
		version = n.Version
		if n.Kind == message.PresenceLeave {
			delete(got, n.Member.UserID)
		} else {
			got[n.Member.UserID] = string(n.Member.Data)
		}
	}
	return got
}

// Table returns what each member says.
func Table(m *message.Members) map[string]string {
	out := make(map[string]string)
	for _, member := range m.Members {
		out[member.UserID] = string(member.Data)
	}
	return out
}

// everyMoment has a subscriber ask while others come and go. He takes an answer and then every notice of a later version, in
// the order in which they were queued for him.
func everyMoment(t *testing.T, open Open) {
	s := start(t, open, func(cfg *presence.Config) { cfg.NoticeDelay, cfg.Grace = time.Millisecond, 5*time.Millisecond })
	s.Come("anchor", "a1") // the subscriber himself: the topic has one life as long as he is there
	s.Told("join anchor")
	var changers sync.WaitGroup
	for i := range 4 {
		changers.Go(func() { Bustle(t, s, Room, i, 250) })
	}
	answers := []Answer{s.Board.Ask(t, s, Room)}
	for range 100 {
		<-time.After(time.Millisecond)
		answers = append(answers, s.Board.Ask(t, s, Room))
	}
	changers.Wait()
	answers = append(answers, s.Board.Ask(t, s, Room))
	var now Answer
	s.Until(func() bool { // who was lost last leaves
		now = s.Board.Ask(t, s, Room)
		return !slices.ContainsFunc(now.Members.Members, func(m message.Member) bool { return m.Connections == 0 })
	}, func() string { return fmt.Sprint("somebody neither comes back nor leaves: ", Lines(now.Members)) })
	s.Come("zoe", "z1")
	for zoe := false; !zoe; { // she is the last to be told of
		next := s.Board.Next(1)
		require.Len(t, next, 1)
		zoe = next[0].Member.UserID == "zoe"
	}
	answers = append(answers, s.Board.Ask(t, s, Room))
	all := s.Board.All()
	want := answers[len(answers)-1].Follow(t, all)
	require.Contains(t, want, "anchor")
	for _, a := range answers {
		require.Equal(t, want, a.Follow(t, all))
	}
}

// Bustle has six users come, go, and speak of themselves on a topic, n times, as the i-th of several that do so at once.
func Bustle(t *testing.T, c Crowd, topic message.Topic, i, n int) {
	random := rand.New(rand.NewPCG(1, uint64(i)))
	for step := range n {
		user := fmt.Sprintf("u%d", random.IntN(6))
		conn := fmt.Sprintf("c%d-%d%s", i, random.IntN(3), user) // a connection is one user's
		var err error
		switch random.IntN(5) {
		case 0:
			err = c.Enter(t.Context(), topic, user, conn)
		case 1:
			err = c.Update(t.Context(), topic, user, conn, fmt.Appendf(nil, `{"n":%d}`, step))
		case 2:
			err = c.Leave(t.Context(), topic, conn, false)
		case 3:
			err = c.Leave(t.Context(), topic, conn, true)
		default:
			<-time.After(time.Duration(random.IntN(500)) * time.Microsecond)
		}
		if err != nil {
			t.Errorf("step %d of %s: %v", step, user, err)
		}
	}
}

// oracle knows who is on a topic by the simplest means, where nobody's grace period ends.
type oracle struct {
	conns map[string]string // user by connection
	data  map[string]string // by user who is there
	lost  map[string]bool   // users who lost a connection after the last that came
}

func (o *oracle) enter(user, conn string) {
	if o.conns[conn] != "" {
		return
	}
	o.conns[conn] = user
	o.data[user] += ""
	delete(o.lost, user)
}

func (o *oracle) leave(conn string, lost bool) {
	user := o.conns[conn]
	if user == "" {
		return
	}
	delete(o.conns, conn)
	if lost {
		o.lost[user] = true
	}
	if o.count(user) == 0 && !o.lost[user] {
		delete(o.data, user)
	}
}

func (o *oracle) count(user string) (n int) {
	for _, u := range o.conns {
		if u == user {
			n++
		}
	}
	return n
}

func (o *oracle) lines() (out []string) {
	for _, user := range slices.Sorted(maps.Keys(o.data)) {
		line := fmt.Sprintf("%s %d", user, o.count(user))
		if o.data[user] != "" {
			line += " " + o.data[user]
		}
		out = append(out, line)
	}
	return out
}

// random compares every answer with what an oracle says.
func random(t *testing.T, open Open) {
	s := start(t, open, func(cfg *presence.Config) { cfg.Grace = time.Hour })
	o := &oracle{conns: make(map[string]string), data: make(map[string]string), lost: make(map[string]bool)}
	dice := rand.New(rand.NewPCG(7, 7))
	for step := range 500 {
		user := fmt.Sprintf("u%d", dice.IntN(5))
		conn := fmt.Sprintf("c%d of %s", dice.IntN(3), user)
		switch dice.IntN(4) {
		case 0:
			s.Come(user, conn)
			o.enter(user, conn)
		case 1:
			data := fmt.Sprintf(`{"n":%d}`, step)
			s.Say(user, conn, data)
			o.enter(user, conn)
			o.data[user] = data
		case 2:
			s.Go(conn)
			o.leave(conn, false)
		default:
			s.Lose(conn)
			o.leave(conn, true)
		}
		list, _ := s.answer()
		require.Equal(t, o.lines(), list, "step %d: %s", step, conn)
	}
	for conn, user := range maps.Clone(o.conns) {
		s.Go(conn)
		o.leave(conn, false)
		list, _ := s.answer()
		require.Equal(t, o.lines(), list, "at the end: %s of %s", conn, user)
	}
}

package presencetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// Stage is a store with the board that its notices go to, and the words that tests of presence are written in. They are about
// [Room] alone, and fail the test where what they say is not so. Its methods are the test's own goroutine's.
type Stage struct {
	Store
	Board *Board

	t    testing.TB
	name string
}

// NewStage returns a stage for a store. Its name tells it from others in what is said of failures.
func NewStage(t testing.TB, name string, store Store, board *Board) *Stage {
	return &Stage{Store: store, Board: board, t: t, name: name}
}

// Come has a connection of a user enter.
func (s *Stage) Come(user, conn string) {
	s.t.Helper()
	require.NoError(s.t, s.Enter(s.t.Context(), Room, user, conn))
}

// Go has a connection leave.
func (s *Stage) Go(conn string) {
	s.t.Helper()
	require.NoError(s.t, s.Leave(s.t.Context(), Room, conn, false))
}

// Lose has a connection be lost.
func (s *Stage) Lose(conn string) {
	s.t.Helper()
	require.NoError(s.t, s.Leave(s.t.Context(), Room, conn, true))
}

// Say has a user say data of himself.
func (s *Stage) Say(user, conn, data string) {
	s.t.Helper()
	require.NoError(s.t, s.Update(s.t.Context(), Room, user, conn, []byte(data)))
}

// Told waits for as many notices as want has and requires them to be those.
func (s *Stage) Told(want ...string) {
	s.t.Helper()
	require.Equal(s.t, want, Texts(s.Board.Next(len(want))), s.name)
}

// silent requires that nothing is told for a moment.
func (s *Stage) silent() {
	s.t.Helper()
	require.Empty(s.t, Texts(s.Board.within(quiet, 1)))
}

// Outlast waits until the grace period of whoever was lost up to now is over, and returns what was told. A user comes for it and is
// lost at once: when he is told to have left, so is everybody who was lost before him. Of him nothing is returned.
func (s *Stage) Outlast() (told []string) {
	s.t.Helper()
	s.Come("clock", "the clock's")
	s.Lose("the clock's")
	for {
		next := Texts(s.Board.Next(1))
		require.Len(s.t, next, 1, "%s: the grace period does not end", s.name)
		switch next[0] {
		case "join clock":
		case "leave clock":
			return told
		default:
			told = append(told, next[0])
		}
	}
}

// Lines returns the members as [Lines] does.
func (s *Stage) Lines() (list []string, err error) {
	err = s.Members(s.t.Context(), Room, func(m *message.Members) { list = Lines(m) })
	return list, err
}

// Listed requires that the members are these.
func (s *Stage) Listed(want ...string) {
	s.t.Helper()
	list, err := s.Lines()
	require.NoError(s.t, err)
	require.Equal(s.t, want, list, s.name)
}

// Settled waits until the members are these.
func (s *Stage) Settled(want ...string) {
	s.t.Helper()
	s.Until(func() bool {
		list, err := s.Lines()
		return err == nil && slices.Equal(list, want)
	}, func() string { list, err := s.Lines(); return fmt.Sprint(list, err, " instead of ", want) })
}

// answer returns the members as [Lines] does, and the version that they are of.
func (s *Stage) answer() (list []string, version uint64) {
	s.t.Helper()
	require.NoError(s.t, s.Members(s.t.Context(), Room, func(m *message.Members) { list, version = Lines(m), m.Version }))
	return list, version
}

// Lines returns the members of an answer as "alice 2 {"a":1}".
func Lines(m *message.Members) (out []string) {
	for _, member := range m.Members {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d %s", member.UserID, member.Connections, member.Data)))
	}
	return out
}

// Until waits until something is so that nobody tells of; what says what is so instead when it does not come about.
func (s *Stage) Until(ok func() bool, what func() string) {
	s.t.Helper()
	ticker, deadline := time.NewTicker(time.Millisecond), time.After(patience)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			require.Fail(s.t, what(), s.name)
		}
	}
}

// eventually waits until the store's figures are as ok wants them.
func (s *Stage) eventually(ok func(presence.Stats) bool, what string) {
	s.t.Helper()
	s.Until(func() bool { return ok(s.Stats()) }, func() string { return fmt.Sprintf("%s: %+v", what, s.Stats()) })
}

// Refused requires that a request was refused with a code.
func (s *Stage) Refused(code message.Code, err error) {
	s.t.Helper()
	require.Error(s.t, err, s.name)
	require.Equal(s.t, code, message.AsError(err).Code, "%s: %v", s.name, err)
}

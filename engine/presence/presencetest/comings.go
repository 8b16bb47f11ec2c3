package presencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// coming are the promises about connections that come and go.
func coming() []promise {
	return []promise{
		{"a user joins with the first connection and leaves with the last", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Told("join alice")
			s.Come("alice", "a2")
			s.Come("alice", "a2") // twice is once
			s.silent()
			s.Listed("alice 2")
			s.Go("a1")
			s.Go("a1")
			s.silent()
			s.Listed("alice 1")
			s.Go("a2")
			s.Told("leave alice")
			s.Listed()
			s.eventually(func(f presence.Stats) bool { return f.Topics == 0 && f.Members == 0 }, "a topic that nobody is on is forgotten")
			require.EqualValues(t, 1, s.Stats().Joins)
			require.EqualValues(t, 1, s.Stats().Leaves)
		}},
		{"what a member says is the user's on all connections", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Come("alice", "a2")
			s.Told("join alice")
			s.Say("alice", "a2", `{"mood":"good"}`)
			s.Told(`update alice {"mood":"good"}`)
			s.Go("a2")
			s.Listed(`alice 1 {"mood":"good"}`) // the connection that said it is gone, the user is not
			s.Say("alice", "a1", `{"mood":"good"}`)
			s.silent() // the same again is no change
			require.EqualValues(t, len(`{"mood":"good"}`), s.Stats().Bytes)
			s.Go("a1")
			s.Told("leave alice")
			s.eventually(func(f presence.Stats) bool { return f.Bytes == 0 }, "who is gone says nothing")
			require.EqualValues(t, 1, s.Stats().Updates)
		}},
		{"who never got in takes nobody along", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Told("join alice")
			s.Go("b1")
			s.Lose("b2")
			s.silent()
			s.Listed("alice 1")
		}},
		{"the members are in the order of their ids, and since when they are there is told", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			before := time.Now().Add(-time.Second).UnixMilli() // a store may have another clock
			for _, user := range []string{"zoe", `quo"ted\`, "Émile", "alice", "a b/c"} {
				s.Come(user, "of "+user)
				s.Told("join " + user)
			}
			s.Listed("a b/c 1", "alice 1", `quo"ted\ 1`, "zoe 1", "Émile 1")
			require.NoError(t, s.Members(t.Context(), Room, func(m *message.Members) {
				require.Equal(t, Room, m.Topic)
				for i, member := range m.Members {
					require.GreaterOrEqual(t, member.SinceMS, before)
					if i > 0 {
						require.Less(t, m.Members[i-1].UserID, member.UserID)
					}
				}
			}))
		}},
	}
}

// lost are the promises about connections that may come back.
func lost() []promise {
	return []promise{
		{"a lost connection that comes back within the grace period is not told", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Told("join alice")
			s.Say("alice", "a1", `{"n":1}`)
			s.Told(`update alice {"n":1}`)
			s.Lose("a1")
			s.Listed(`alice 0 {"n":1}`) // a member without a connection for the moment
			s.Come("alice", "a2")
			require.Empty(t, s.Outlast())
			s.Listed(`alice 1 {"n":1}`)
			lost := time.Now()
			s.Lose("a2")
			left := s.Board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.GreaterOrEqual(t, left[0].At.Sub(lost), grace)
			s.Come("alice", "a3")
			s.Told("join alice") // a new beginning, without the old data
			s.Listed("alice 1")
		}},
		{"the grace period begins anew with each connection that is lost", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Told("join alice")
			for i := range 4 {
				s.Lose(fmt.Sprintf("a%d", i+1))
				<-time.After(2 * grace / 5)
				s.Come("alice", fmt.Sprintf("a%d", i+2))
			}
			lost := time.Now()
			s.Lose("a5")
			left := s.Board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.GreaterOrEqual(t, left[0].At.Sub(lost), grace)
		}},
		{"who unsubscribes while another connection may come back has not left yet", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Come("alice", "a2")
			s.Told("join alice")
			lost := time.Now()
			s.Lose("a1")
			s.Go("a2")
			left := s.Board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.GreaterOrEqual(t, left[0].At.Sub(lost), grace)
		}},
	}
}

// lostBefore are the promises about losses that do not count any more, or count together.
func lostBefore() []promise {
	return []promise{
		{"a loss of long ago counts for nothing", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Come("alice", "a2")
			s.Told("join alice")
			s.Lose("a1")
			require.Empty(t, s.Outlast())
			went := time.Now()
			s.Go("a2")
			left := s.Board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.Less(t, left[0].At.Sub(went), grace)
			s.Listed()
		}},
		{"many users that are lost at once leave together", func(t *testing.T, open Open) {
			const users, back = 300, 60
			s := start(t, open, func(cfg *presence.Config) { cfg.Grace = 2 * grace })
			for i := range users {
				s.Come(fmt.Sprintf("u%d", i), fmt.Sprintf("c%d", i))
			}
			require.Len(t, s.Board.Next(users), users)
			for i := range users {
				s.Lose(fmt.Sprintf("c%d", i))
			}
			came := make(chan error, back) // all at once, or the last might come too late
			for i := range back {
				go func() { came <- s.Enter(t.Context(), Room, fmt.Sprintf("u%d", 5*i), fmt.Sprintf("d%d", i)) }()
			}
			for range back {
				require.NoError(t, <-came)
			}
			left := Texts(s.Board.Next(users - back))
			require.Len(t, left, users-back)
			require.NotContains(t, left, "leave u0")
			require.Contains(t, left, "leave u1")
			list, _ := s.answer()
			require.Len(t, list, back)
			s.silent()
		}},
	}
}

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
			s.enter("alice", "a1")
			s.told("join alice")
			s.enter("alice", "a2")
			s.enter("alice", "a2") // twice is once
			s.silent()
			s.listed("alice 2")
			s.leave("a1")
			s.leave("a1")
			s.silent()
			s.listed("alice 1")
			s.leave("a2")
			s.told("leave alice")
			s.listed()
			s.eventually(func(f presence.Stats) bool { return f.Topics == 0 && f.Members == 0 }, "a topic that nobody is on is forgotten")
			require.EqualValues(t, 1, s.Stats().Joins)
			require.EqualValues(t, 1, s.Stats().Leaves)
		}},
		{"what a member says is the user's on all connections", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.enter("alice", "a1")
			s.enter("alice", "a2")
			s.told("join alice")
			s.update("alice", "a2", `{"mood":"good"}`)
			s.told(`update alice {"mood":"good"}`)
			s.leave("a2")
			s.listed(`alice 1 {"mood":"good"}`) // the connection that said it is gone, the user is not
			s.update("alice", "a1", `{"mood":"good"}`)
			s.silent() // the same again is no change
			require.EqualValues(t, len(`{"mood":"good"}`), s.Stats().Bytes)
			s.leave("a1")
			s.told("leave alice")
			s.eventually(func(f presence.Stats) bool { return f.Bytes == 0 }, "who is gone says nothing")
			require.EqualValues(t, 1, s.Stats().Updates)
		}},
		{"who never got in takes nobody along", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.enter("alice", "a1")
			s.told("join alice")
			s.leave("b1")
			s.lose("b2")
			s.silent()
			s.listed("alice 1")
		}},
		{"the members are in the order of their ids, and since when they are there is told", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			before := time.Now().Add(-time.Second).UnixMilli() // a store may have another clock
			for _, user := range []string{"zoe", `quo"ted\`, "Émile", "alice", "a b/c"} {
				s.enter(user, "of "+user)
				s.told("join " + user)
			}
			s.listed("a b/c 1", "alice 1", `quo"ted\ 1`, "zoe 1", "Émile 1")
			require.NoError(t, s.Members(t.Context(), room, func(m *message.Members) {
				require.Equal(t, room, m.Topic)
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
			s.enter("alice", "a1")
			s.told("join alice")
			s.update("alice", "a1", `{"n":1}`)
			s.told(`update alice {"n":1}`)
			s.lose("a1")
			s.listed(`alice 0 {"n":1}`) // a member without a connection for the moment
			s.enter("alice", "a2")
			time.Sleep(grace + quiet)
			s.silent()
			s.listed(`alice 1 {"n":1}`)
			lost := time.Now()
			s.lose("a2")
			left := s.board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.GreaterOrEqual(t, left[0].At.Sub(lost), grace)
			s.enter("alice", "a3")
			s.told("join alice") // a new beginning, without the old data
			s.listed("alice 1")
		}},
		{"the grace period begins anew with each connection that is lost", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.enter("alice", "a1")
			s.told("join alice")
			for i := range 4 {
				s.lose(fmt.Sprintf("a%d", i+1))
				time.Sleep(2 * grace / 5)
				s.enter("alice", fmt.Sprintf("a%d", i+2))
			}
			lost := time.Now()
			s.lose("a5")
			left := s.board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.GreaterOrEqual(t, left[0].At.Sub(lost), grace)
		}},
		{"who unsubscribes while another connection may come back has not left yet", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.enter("alice", "a1")
			s.enter("alice", "a2")
			s.told("join alice")
			lost := time.Now()
			s.lose("a1")
			s.leave("a2")
			left := s.board.Next(1)
			require.Equal(t, []string{"leave alice"}, Texts(left))
			require.GreaterOrEqual(t, left[0].At.Sub(lost), grace)
		}},
	}
}

// lostBefore are the promises about losses that do not count any more, or count together.
func lostBefore() []promise {
	return []promise{
		{"a loss of long ago counts for nothing", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.Grace = 2 * quiet })
			s.enter("alice", "a1")
			s.enter("alice", "a2")
			s.told("join alice")
			s.lose("a1")
			time.Sleep(2 * quiet)
			s.silent()
			s.leave("a2")
			s.told("leave alice")
			s.listed()
		}},
		{"many users that are lost at once leave together", func(t *testing.T, open Open) {
			const users, back = 300, 60
			s := start(t, open, func(cfg *presence.Config) { cfg.Grace = 2 * grace })
			for i := range users {
				s.enter(fmt.Sprintf("u%d", i), fmt.Sprintf("c%d", i))
			}
			require.Len(t, s.board.Next(users), users)
			for i := range users {
				s.lose(fmt.Sprintf("c%d", i))
			}
			for i := range back {
				s.enter(fmt.Sprintf("u%d", 5*i), fmt.Sprintf("d%d", i))
			}
			left := Texts(s.board.Next(users - back))
			require.Len(t, left, users-back)
			require.NotContains(t, left, "leave u0")
			require.Contains(t, left, "leave u1")
			list, _ := s.answer()
			require.Len(t, list, back)
			s.silent()
		}},
	}
}

package presencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// telling are the promises about what is told, and when.
func telling() []promise {
	return []promise{
		{"changes of one member within the delay are told as one", func(t *testing.T, open Open) {
			s := start(t, open, slowly)
			began := time.Now()
			s.Come("alice", "a1")
			s.Say("alice", "a1", `{"n":1}`)
			s.Come("bob", "b1")
			s.Say("alice", "a1", `{"n":2}`)
			s.Come("carol", "c1")
			s.Go("c1")
			s.Told(`join alice {"n":2}`, "join bob") // who came and went was not there
			require.GreaterOrEqual(t, time.Since(began), window)
			s.Go("a1")
			s.Come("alice", "a2")
			s.Say("bob", "b1", `{"n":1}`)
			s.Go("b1")
			s.Told("update alice", "leave bob") // who went and came says nothing of himself now
			s.Listed("alice 1")
			s.silent()
		}},
		{"who was in an answer is told to have left", func(t *testing.T, open Open) {
			s := start(t, open, slowly)
			s.Come("alice", "a1")
			s.Told("join alice")
			s.Come("bob", "b1")
			s.Listed("alice 1", "bob 1")
			s.Go("b1")
			s.Listed("alice 1")
			s.Told("leave bob") // though nobody was told that he came
			s.Go("a1")
			s.Listed()
			s.Come("alice", "a2")
			s.Told("update alice") // an answer left her out
		}},
		{"without a delay every change is told at once", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.NoticeDelay, cfg.Grace = 0, 0 })
			s.Come("alice", "a1")
			s.Say("alice", "a1", `{"n":1}`)
			s.Say("alice", "a1", `{"n":2}`)
			s.Lose("a1")
			s.Told("join alice", `update alice {"n":1}`, `update alice {"n":2}`, "leave alice")
		}},
	}
}

// numbers are the promises about what a notice is, and its version.
func numbers() []promise {
	return []promise{
		{"a notice has the level of its class and no number", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			s.Come("bob", "b1")
			notices := s.Board.Next(2)
			require.Len(t, notices, 2)
			for _, n := range notices {
				require.Equal(t, message.Low, n.Envelope.Level)
				require.Equal(t, message.DropOldest, n.Envelope.Overflow)
				require.Equal(t, "presence_join", n.Envelope.Type)
				require.Equal(t, Room, n.Envelope.Topic)
				require.Equal(t, Room, n.Topic)
				require.Zero(t, n.Envelope.Seq)
				require.Zero(t, n.Envelope.Epoch)
				require.NotEmpty(t, n.Envelope.ID)
				require.InDelta(t, time.Now().UnixMilli(), n.Envelope.TimeMS, float64(time.Minute/time.Millisecond))
				require.InDelta(t, time.Now().UnixMilli(), n.Member.SinceMS, float64(time.Minute/time.Millisecond))
			}
			require.NotEqual(t, notices[0].Envelope.ID, notices[1].Envelope.ID)
		}},
		{"notices are numbered one after the other, and so is a new life of the topic, higher", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			_, last := s.answer()
			for range 3 {
				s.Come("alice", "a1")
				s.Told("join alice")
				_, version := s.answer()
				require.Greater(t, version, last)
				s.Go("a1")
				s.Told("leave alice")
				all := s.Board.All()
				require.Equal(t, version, all[len(all)-2].Version, "an answer has the version of the last notice before it")
				require.Equal(t, version+1, all[len(all)-1].Version)
				require.Less(t, version, uint64(1)<<53)
				last = version + 1
				s.eventually(func(f presence.Stats) bool { return f.Topics == 0 }, "forgotten")
			}
		}},
	}
}

// asking are the promises about answers.
func asking() []promise {
	return []promise{
		{"asking does not hurry the notices", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.NoticeDelay = 3 * window })
			began := time.Now()
			s.Come("alice", "a1")
			_, first := s.answer()
			for n := range 50 {
				s.Say("alice", "a1", fmt.Sprintf(`{"n":%d}`, n))
				list, version := s.answer()
				require.Equal(t, []string{fmt.Sprintf(`alice 1 {"n":%d}`, n)}, list)
				require.Equal(t, first, version, "nothing was told")
			}
			s.Told(`join alice {"n":49}`)
			require.GreaterOrEqual(t, time.Since(began), 3*window)
			_, version := s.answer()
			require.Equal(t, first+1, version)
		}},
		{"coming and going on a full topic does not hurry the notices", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.MembersMax, cfg.NoticeDelay = 1, 2*window })
			s.Come("alice", "a1")
			for range 20 {
				s.Go("a1")
				s.Come("bob", "b1")
				s.Refused(message.CodeSubscriptionLimit, s.Enter(t.Context(), Room, "alice", "a1"))
				s.Go("b1")
				s.Come("alice", "a1")
			}
			s.Listed("alice 1")
			require.Empty(t, s.Board.All())
			s.Told("join alice")
			s.silent()
		}},
		{"only topics of a class with presence have members", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			require.True(t, s.Tracks(Room))
			for _, topic := range []message.Topic{news, "public:room:*"} {
				require.False(t, s.Tracks(topic))
				require.NoError(t, s.Enter(t.Context(), topic, "alice", "a1"))
				s.Refused(message.CodeSubscriptionFailed, s.Update(t.Context(), topic, "alice", "a1", []byte(`{}`)))
				s.Refused(message.CodeSubscriptionFailed, s.Members(t.Context(), topic, func(*message.Members) { t.Error("shown") }))
				require.NoError(t, s.Leave(t.Context(), topic, "a1", true))
			}
			s.silent()
			require.Equal(t, presence.Stats{BytesMax: 64 << 20}, s.Stats())
		}},
		{"topics know nothing of each other", func(t *testing.T, open Open) {
			s := start(t, open, nil)
			s.Come("alice", "a1")
			require.NoError(t, s.Enter(t.Context(), corner, "bob", "a1")) // a connection of the same name
			require.Len(t, s.Board.Next(2), 2)
			s.Listed("alice 1")
			s.Go("a1")
			s.Told("leave alice")
			require.NoError(t, s.Members(t.Context(), corner, func(m *message.Members) { require.Equal(t, []string{"bob 1"}, Lines(m)) }))
		}},
	}
}

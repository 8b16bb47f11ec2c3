package presencetest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// limits are the promises about how much there may be.
func limits() []promise {
	return []promise{
		{"a topic has so many members, and who is gone makes room", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.MembersMax = 2 })
			s.Come("alice", "a1")
			s.Come("bob", "b1")
			s.Come("bob", "b2") // no further member
			s.Refused(message.CodeSubscriptionLimit, s.Enter(t.Context(), Room, "carol", "c1"))
			s.Refused(message.CodeSubscriptionLimit, s.Update(t.Context(), Room, "carol", "c1", []byte(`{}`)))
			require.EqualValues(t, 2, s.Stats().RefusedMembers)
			s.Go("c1") // it never got in, and takes nobody along
			s.Listed("alice 1", "bob 2")
			s.Go("a1")
			s.Say("carol", "c2", `{"n":1}`)
			s.Go("c1")
			s.Listed("bob 2", `carol 1 {"n":1}`)
		}},
		{"who lost his last connection keeps his place for the grace period", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.MembersMax, cfg.Grace = 1, 2*grace })
			s.Come("alice", "a1")
			s.Told("join alice")
			s.Lose("a1")
			s.Refused(message.CodeSubscriptionLimit, s.Enter(t.Context(), Room, "bob", "b1"))
			s.Told("leave alice")
			s.Come("bob", "b1")
			s.Told("join bob")
		}},
		{"data is bounded for a member, a topic and all", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.DataKiBMax, cfg.TopicKiBMax, cfg.MiBTotal = 512, 768, 1 })
			object := func(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n-8) + `"}`) }
			s.Come("alice", "a1")
			s.Come("bob", "b1")
			s.Refused(message.CodeMessageTooLarge, s.Update(t.Context(), Room, "alice", "a1", object(512<<10+1)))
			require.NoError(t, s.Update(t.Context(), Room, "alice", "a1", object(512<<10)))
			s.Refused(message.CodeUnavailable, s.Update(t.Context(), Room, "bob", "b1", object(256<<10+1)))
			require.NoError(t, s.Update(t.Context(), Room, "bob", "b1", object(256<<10)))
			s.Refused(message.CodeUnavailable, s.Update(t.Context(), corner, "bob", "b1", object(256<<10+1)))
			require.NoError(t, s.Update(t.Context(), corner, "bob", "b1", object(256<<10)))
			require.EqualValues(t, 2, s.Stats().RefusedData)
			require.Equal(t, s.Stats().BytesMax, s.Stats().Bytes)
			require.NoError(t, s.Update(t.Context(), Room, "alice", "a1", object(256<<10)), "less is always possible")
			s.Go("a1")
			s.Go("b1")
			require.NoError(t, s.Leave(t.Context(), corner, "b1", false))
			s.eventually(func(f presence.Stats) bool { return f.Bytes == 0 }, "who is gone says nothing")
		}},
	}
}

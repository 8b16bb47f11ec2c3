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
			s.enter("alice", "a1")
			s.enter("bob", "b1")
			s.enter("bob", "b2") // no further member
			s.refused(message.CodeSubscriptionLimit, s.Enter(t.Context(), room, "carol", "c1"))
			s.refused(message.CodeSubscriptionLimit, s.Update(t.Context(), room, "carol", "c1", []byte(`{}`)))
			require.EqualValues(t, 2, s.Stats().RefusedMembers)
			s.leave("c1") // it never got in, and takes nobody along
			s.listed("alice 1", "bob 2")
			s.leave("a1")
			s.update("carol", "c2", `{"n":1}`)
			s.leave("c1")
			s.listed("bob 2", `carol 1 {"n":1}`)
		}},
		{"who lost his last connection keeps his place for the grace period", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.MembersMax, cfg.Grace = 1, 2*grace })
			s.enter("alice", "a1")
			s.told("join alice")
			s.lose("a1")
			s.refused(message.CodeSubscriptionLimit, s.Enter(t.Context(), room, "bob", "b1"))
			s.told("leave alice")
			s.enter("bob", "b1")
			s.told("join bob")
		}},
		{"data is bounded for a member, a topic and all", func(t *testing.T, open Open) {
			s := start(t, open, func(cfg *presence.Config) { cfg.DataKiBMax, cfg.TopicKiBMax, cfg.MiBTotal = 512, 768, 1 })
			object := func(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n-8) + `"}`) }
			s.enter("alice", "a1")
			s.enter("bob", "b1")
			s.refused(message.CodeMessageTooLarge, s.Update(t.Context(), room, "alice", "a1", object(512<<10+1)))
			require.NoError(t, s.Update(t.Context(), room, "alice", "a1", object(512<<10)))
			s.refused(message.CodeUnavailable, s.Update(t.Context(), room, "bob", "b1", object(256<<10+1)))
			require.NoError(t, s.Update(t.Context(), room, "bob", "b1", object(256<<10)))
			s.refused(message.CodeUnavailable, s.Update(t.Context(), corner, "bob", "b1", object(256<<10+1)))
			require.NoError(t, s.Update(t.Context(), corner, "bob", "b1", object(256<<10)))
			require.EqualValues(t, 2, s.Stats().RefusedData)
			require.Equal(t, s.Stats().BytesMax, s.Stats().Bytes)
			require.NoError(t, s.Update(t.Context(), room, "alice", "a1", object(256<<10)), "less is always possible")
			s.leave("a1")
			s.leave("b1")
			require.NoError(t, s.Leave(t.Context(), corner, "b1", false))
			s.eventually(func(f presence.Stats) bool { return f.Bytes == 0 }, "who is gone says nothing")
		}},
	}
}

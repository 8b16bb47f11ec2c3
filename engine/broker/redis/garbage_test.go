package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// TestATopicWhoseKeysAnotherProgramWroteIntoGoesOn has what a topic's keys hold spoilt, their types left as they are. What can still be
// relied on is kept, and the topic is published to and read as if nothing had been: at worst it begins anew.
func TestATopicWhoseKeysAnotherProgramWroteIntoGoesOn(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	b := running(t, s.Config(), func(c *Config) { c.SnapshotTypesMax = 2 }, class(100))
	letters := func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}
	for name, c := range map[string]struct {
		spoil []any  // a command; the key's tag is put before its second word
		last  uint64 // number of the first publication after it
	}{
		"an epoch that is none":         {[]any{"hset", ":m", "e", "what?"}, 1},
		"an epoch of zeros":             {[]any{"hset", ":m", "e", "00000000"}, 1},
		"an epoch with a digit more":    {[]any{"hset", ":m", "e", "123456789"}, 1},
		"a number that is none":         {[]any{"hset", ":m", "n", "what?"}, 1},
		"a number out of reach":         {[]any{"hset", ":m", "n", "99999999999999999999"}, 1},
		"bytes that are none":           {[]any{"hset", ":m", "b", "what?"}, 5},
		"a time that is none":           {[]any{"hset", ":m", "x", "what?"}, 5},
		"a counter that is none":        {[]any{"hset", ":m", "c", "what?"}, 5},
		"a fence that is none":          {[]any{"hset", ":m", "f", "what?"}, 5},
		"an oldest entry that is none":  {[]any{"lpush", ":h", "what?"}, 5},
		"a newest entry that is none":   {[]any{"rpush", ":h", "what?"}, 5},
		"a snapshot that is none":       {[]any{"hset", ":s", "order_snapshot", "what?"}, 5},
		"more snapshots that are none":  {[]any{"hset", ":s", "a", "what?", "b", "what?", "c", "what?"}, 5},
		"an id whose place is none":     {[]any{"hset", ":i", "=evt_5", "what?"}, 5},
		"an id whose counter leads off": {[]any{"hset", ":i", "#4", "what?"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			topic := message.Topic("user:" + strings.Map(letters, name) + ":events")
			tell := func(n uint64) {
				env := update(topic)
				env.ID = fmt.Sprintf("evt_%d", n)
				if n%2 == 0 {
					env.Type = "order_snapshot"
				}
				p, err := b.PublishFenced(t.Context(), env, n)
				require.NoError(t, err)
				require.False(t, p.Duplicate)
				if n == 5 {
					require.Equal(t, c.last, p.Offset)
				}
			}
			for n := range uint64(4) {
				tell(n + 1)
			}
			spoil := append([]any{}, c.spoil...)
			spoil[1] = "{wse:" + string(topic) + "}" + spoil[1].(string)
			require.NoError(t, s.Client().Do(t.Context(), spoil...).Err())
			for n := uint64(5); n < 9; n++ {
				tell(n)
				_, err := b.History(t.Context(), topic, recovering(history(t, b, topic, all()).Position))
				require.NoError(t, err)
			}
			h := history(t, b, topic, all())
			require.Equal(t, c.last+3, h.Position.Offset)
			require.Equal(t, h.Position.Offset, h.Publications[len(h.Publications)-1].Seq)
			entries, err := s.Client().LLen(t.Context(), "{wse:"+string(topic)+"}:h").Result()
			require.NoError(t, err)
			require.LessOrEqual(t, entries, int64(8))
		})
	}
}

func TestATopicOfAPatternWhoseHistoryIsSomethingElseIsItsOwnFault(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	at, err := b.positions(t.Context(), []message.Topic{topicOne})
	require.NoError(t, err)
	require.NoError(t, s.Client().Set(t.Context(), "{wse:"+string(topicOne)+"}:h", "mine", 0).Err())
	f := b.follower
	f.mu.Lock()
	o := orphan{followed: f.add(topicOne)}
	f.mu.Unlock()
	err = f.placeOne(t.Context(), o, at[0])
	require.ErrorContains(t, err, "WRONGTYPE")
	require.False(t, outage(err), "else the node would not be ready for as long as the key is there")
}

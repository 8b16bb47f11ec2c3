package conn

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func item(level message.Level, overflow message.Overflow, topic, key, text string) *message.Outgoing {
	return &message.Outgoing{
		Frames: []byte(text), Count: 1, Level: level, Overflow: overflow, Topic: message.Topic(topic), ConflateKey: key,
	}
}

// take sends everything in writes of at most n bytes and returns what was sent.
func take(t *testing.T, b *backlog, n int) string {
	t.Helper()
	var sent []byte
	for !b.empty() {
		buf := b.gather(nil, 16)
		require.NotEmpty(t, buf)
		k := min(n, len(buf))
		sent = append(sent, buf[:k]...)
		b.sent(k)
	}
	return string(sent)
}

func TestTheMostUrgentLeavesFirst(t *testing.T) {
	for _, n := range []int{1, 3, 7, 100} {
		var b backlog
		for _, level := range []message.Level{message.Background, message.Critical, message.Low, message.High, message.Normal} {
			b.push(item(level, message.Keep, "t", "", fmt.Sprintf("[%d.1]", level)))
			b.push(item(level, message.Keep, "t", "", fmt.Sprintf("[%d.2]", level)))
		}
		require.Equal(t, "[0.1][0.2][1.1][1.2][2.1][2.2][3.1][3.2][4.1][4.2]", take(t, &b, n))
		require.Nil(t, b.tail)
	}
}

func TestAFrameThatWasBegunIsFinishedFirst(t *testing.T) {
	var b backlog
	b.push(item(message.Low, message.Keep, "t", "", "[slow]"))
	require.Equal(t, 1, b.sent(2))
	b.push(item(message.Critical, message.Keep, "t", "", "[now]"))
	b.push(item(message.Low, message.Keep, "t", "", "[later]"))
	require.Equal(t, "low][now][later]", take(t, &b, 4))
}

func TestOfABurstOnlyTheFrameThatWasBegunIsFinished(t *testing.T) {
	burst := func() *message.Outgoing {
		out := item(message.Normal, message.Keep, "t", "", "[a][b][c]")
		out.Count = 3
		for _, text := range []string{"[a]", "[b]", "[c]"} {
			out.Parts = append(out.Parts, item(message.Normal, message.Keep, "t", "", text))
		}
		return out
	}
	tests := []struct {
		sent, begun int
		rest        string
	}{{1, 1, "a][!][b][c]"}, {3, 1, "[!][b][c]"}, {4, 2, "b][!][c]"}, {8, 3, "][!]"}}
	for _, tt := range tests {
		var b backlog
		b.push(burst())
		b.push(item(message.Normal, message.Keep, "t", "", "[d]"))
		require.Equal(t, tt.begun, b.sent(tt.sent))
		b.push(item(message.Critical, message.Keep, "t", "", "[!]"))
		require.Equal(t, tt.rest+"[d]", take(t, &b, 2))
	}
}

func TestConflationReplacesTheOlderAndKeepsTheOrderOfTheRest(t *testing.T) {
	var b backlog
	push := func(topic, key, text string) {
		out := item(message.Low, message.Conflate, topic, key, text)
		b.replace(out)
		b.push(out)
	}
	push("btc", "px", "[btc 1]")
	push("eth", "px", "[eth 1]")
	push("btc", "vol", "[vol 1]")
	push("btc", "px", "[btc 2]")
	push("eth", "px", "[eth 2]")
	push("btc", "px", "[btc 3]")
	require.Equal(t, "[vol 1][eth 2][btc 3]", take(t, &b, 100))
}

func TestConflatingAQueueKeepsTheNewest(t *testing.T) {
	var b backlog
	exempt := item(message.Low, message.Conflate, "btc", "px", "[exempt]")
	exempt.Exempt = true
	for _, out := range []*message.Outgoing{
		item(message.Low, message.Conflate, "btc", "px", "[1]"), exempt,
		item(message.Low, message.Keep, "btc", "px", "[kept]"),
		item(message.High, message.Conflate, "btc", "px", "[high 1]"), item(message.High, message.Conflate, "btc", "px", "[high 2]"),
		item(message.Low, message.Conflate, "btc", "", "[no key 1]"), item(message.Low, message.Conflate, "btc", "", "[no key 2]"),
		item(message.Low, message.Conflate, "btc", "px", "[2]"),
	} {
		b.push(out)
	}
	seen := make(map[conflation]struct{})
	require.Equal(t, 1, b.conflate(seen))
	require.Empty(t, seen)
	require.Equal(t, "[high 1][high 2][exempt][kept][no key 1][no key 2][2]", take(t, &b, 100))
}

func TestOfATopicThatWasLeftOnlyTheFrameThatWasBegunIsFinished(t *testing.T) {
	var b backlog
	for i, topic := range []string{"left", "stays", "left", "", "left", "stays"} {
		b.push(item(message.Level(i%2), message.Keep, topic, "", fmt.Sprintf("[%d %s]", i, topic)))
	}
	require.Equal(t, 1, b.sent(2))
	b.forget(func(topic message.Topic) bool { return topic == "left" || topic == "" })
	require.Equal(t, " left][1 stays][3 ][5 stays]", take(t, &b, 5), "a message to no topic is no publication")
	b.push(item(message.Normal, message.Keep, "left", "", "[6 left]"))
	b.forget(func(topic message.Topic) bool { return true })
	require.True(t, b.empty())
}

func TestTheOldestOfTheLowestLevelGoesFirst(t *testing.T) {
	var b backlog
	exempt := item(message.Background, message.DropOldest, "t", "", "[exempt]")
	exempt.Exempt = true
	for _, out := range []*message.Outgoing{
		item(message.Critical, message.DropOldest, "t", "", "[critical]"), item(message.High, message.DropOldest, "t", "", "[high]"),
		item(message.Normal, message.DropOldest, "t", "", "[normal]"), item(message.Low, message.Keep, "t", "", "[keep]"),
		item(message.Low, message.DropOldest, "t", "", "[low 1]"), item(message.Low, message.DropOldest, "t", "", "[low 2]"),
		exempt, item(message.Background, message.DropOldest, "t", "", "[background]"),
	} {
		b.push(out)
	}
	var left []string
	for b.dropOldest(message.Normal) {
		left = append(left, string(b.gather(nil, 1000)))
	}
	require.Equal(t, []string{
		"[critical][high][normal][keep][low 1][low 2][exempt]",
		"[critical][high][normal][keep][low 2][exempt]",
		"[critical][high][normal][keep][exempt]",
		"[critical][high][keep][exempt]",
	}, left)
}

func TestNothingAboveTheNewOneIsDropped(t *testing.T) {
	var b backlog
	b.push(item(message.Normal, message.DropOldest, "t", "", "[normal]"))
	require.False(t, b.dropOldest(message.Low))
}

// TestABacklogBehavesLikeItsModel compares the rings with slices over random operations.
func TestABacklogBehavesLikeItsModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var b backlog
		var model [message.Levels][]string
		var tail string
		for i := range 300 {
			switch level := rng.IntN(message.Levels); rng.IntN(4) {
			case 0, 1:
				text := fmt.Sprintf("<%d>", i)
				model[level] = append(model[level], text)
				b.push(item(message.Level(level), message.DropOldest, "t", "", text))
			case 2:
				dropped := false
				for l := message.Levels - 1; l > int(message.High) && !dropped; l-- {
					if len(model[l]) > 0 {
						model[l], dropped = model[l][1:], true
					}
				}
				require.Equal(t, dropped, b.dropOldest(message.Normal))
			case 3:
				all := tail + joinLevels(model)
				n := rng.IntN(min(len(all), 20) + 1)
				require.Equal(t, all[:n], string(b.gather(nil, 1000))[:n])
				b.sent(n)
				tail = consume(&model, tail, n)
			}
			require.Equal(t, len(tail)+len(joinLevels(model)), b.bytes)
		}
		require.Equal(t, tail+joinLevels(model), take(t, &b, 5))
		b.reset()
		require.True(t, b.empty())
	}
}

func joinLevels(model [message.Levels][]string) (all string) {
	for _, list := range model {
		for _, text := range list {
			all += text
		}
	}
	return all
}

func consume(model *[message.Levels][]string, tail string, n int) string {
	k := min(n, len(tail))
	tail, n = tail[k:], n-k
	for l := range model {
		for n > 0 && len(model[l]) > 0 {
			text := model[l][0]
			model[l] = slices.Delete(model[l], 0, 1)
			k := min(n, len(text))
			tail, n = text[k:], n-k
		}
	}
	return tail
}

// BenchmarkBacklog measures a push and a pop through the five rings.
func BenchmarkBacklog(b *testing.B) {
	var q backlog
	var out [message.Levels]*message.Outgoing
	for i := range out {
		out[i] = item(message.Level(i), message.Keep, "t", "", "0123456789abcdef")
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.push(out[i%message.Levels])
		q.sent(16)
	}
}

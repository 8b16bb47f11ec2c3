package conn

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// TestWhatAClientAskedForIsCountedApart sends random mixtures in random pieces and compares the count with what is there.
func TestWhatAClientAskedForIsCountedApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b backlog
	queued, sent := "", ""
	for range 5000 {
		if rng.IntN(2) == 0 {
			replay := rng.IntN(2) == 0
			letter := "l"
			if replay {
				letter = "R"
			}
			text := strings.Repeat(letter, 1+rng.IntN(9))
			queued += text
			b.push(&message.Outgoing{Frames: []byte(text), Count: 1, Level: message.Normal, Replay: replay})
		} else if !b.empty() {
			buf := b.gather(nil, 12)
			n := rng.IntN(len(buf) + 1)
			sent += string(buf[:n])
			b.sent(n)
		}
		require.Equal(t, strings.Count(queued[len(sent):], "R"), b.asked)
		require.Equal(t, len(queued)-len(sent), b.bytes)
	}
	require.Equal(t, queued[:len(sent)], sent)
	b.discard()
	require.GreaterOrEqual(t, b.bytes, b.asked)
	require.Equal(t, len(b.tail), b.bytes)
}

package conn

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// TestWhatIsSaidInShortStandsInItsPlaceAndIsCounted shortens random mixtures of which random pieces have left.
func TestWhatIsSaidInShortStandsInItsPlaceAndIsCounted(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var b backlog
		var long, short []string
		for range 1 + rng.IntN(6) {
			text := strings.Repeat("p", 1+rng.IntN(9))
			out := &message.Outgoing{Frames: []byte(text), Count: 1, Level: message.Normal, Topic: "t"}
			long, short = append(long, text), append(short, text)
			if rng.IntN(2) == 0 {
				out.Replay, out.Instead = true, &message.Outgoing{Frames: []byte("s"), Count: 1, Level: message.Normal, Topic: "t"}
				short[len(short)-1] = "s"
			}
			b.push(out)
		}
		gone := rng.IntN(len(strings.Join(long, "")) + 1)
		b.sent(gone)
		b.shorten()
		want := ""
		for i, text := range long { // what was begun is finished as it was begun
			switch {
			case gone >= len(text):
				gone -= len(text)
				continue
			case gone > 0:
				want += text[gone:]
			default:
				want += short[i]
			}
			gone = 0
		}
		require.Equal(t, len(want), b.bytes)
		require.Equal(t, len(b.tail), b.asked+len(b.tail)-b.askedTail, "what is said in short counts")
		require.False(t, b.shorten(), "it cannot be said in fewer words still")
		require.Equal(t, want, take(t, &b, 5))
		require.Zero(t, b.asked)
	}
}

func TestWhatIsForgottenOfWhatNobodyAskedForCountsNoMore(t *testing.T) {
	var b backlog
	b.push(&message.Outgoing{Frames: []byte("replay"), Topic: "t", Replay: true})
	b.push(&message.Outgoing{Frames: []byte("other"), Topic: "u", Replay: true})
	b.forget(func(topic message.Topic) bool { return topic == "t" })
	require.Equal(t, 5, b.bytes)
	require.Equal(t, 5, b.asked)
	require.Zero(t, b.unasked())
}

func TestOfWhatLeftSealedInPartNothingIsSaidInShort(t *testing.T) {
	key, aead := newKey(t)
	cr := &crypt{key: key}
	var b backlog
	var frames []byte
	for _, text := range []string{"notice", "snapshot", "done"} {
		frames = append(frames, 0x81, byte(len(text)))
		frames = append(frames, text...)
	}
	b.push(&message.Outgoing{Frames: frames, Count: 3, Level: message.Normal, Replay: true, Instead: &message.Outgoing{Frames: []byte{0x81, 1, 's'}}})
	buf := b.gatherSealed(nil, 1, cr)
	stream := slices.Clone(buf[:len(buf)-1])
	b.sentSealed(buf, len(buf)-1)
	require.False(t, b.shorten())
	for !b.empty() {
		buf := b.gatherSealed(nil, 1<<10, cr)
		stream = append(stream, buf...)
		b.sentSealed(buf, len(buf))
	}
	require.Equal(t, []string{"notice", "snapshot", "done"}, openAll(t, aead, stream))
}

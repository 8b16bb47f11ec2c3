package conn

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
)

// sip is a socket that takes a few bytes, and no more after that.
type sip struct {
	sponge
	room int
}

func (s *sip) Write(p []byte) (int, error) {
	n := min(len(p), s.room)
	s.room -= n
	return n, nil
}

// mute is a dialect that has nothing to say.
type mute struct{ dialect.Dialect }

func (mute) AppendReply(dst []byte, _ *message.Reply) []byte { return dst }

// TestFramesThatWereBegunAndAreMoreThanAllQueuesMayHoldEndInOverloadedCloses: what was begun has to be finished, and so frees
// nothing for anybody when its connection is given up.
func TestFramesThatWereBegunAndAreMoreThanAllQueuesMayHoldEndInOverloadedCloses(t *testing.T) {
	l, conns, _ := spongeLane(t, 3)
	l.srv.opts.Encodings = []dialect.Encoding{{Dialect: mute{}}}
	budget := l.srv.queueBudget
	require.True(t, budget.Reserve(int64(l.srv.cfg.QueueMiBTotal-1)<<20), "which leaves one MiB")
	states := func() (all []string) {
		for _, c := range conns {
			all = append(all, c.State())
		}
		return all
	}
	small := conns[2]
	l.Do(func() {
		for _, c := range conns {
			c.sock = &sip{room: 10}
		}
		small.Enqueue(item(message.Normal, message.Keep, "t", "", strings.Repeat("x", 1000)))
	})
	for _, c := range conns[:2] {
		l.Do(func() { c.Enqueue(item(message.Normal, message.Keep, "t", "", strings.Repeat("x", 700<<10))) })
	}
	require.Equal(t, []string{"closing", "closing", "connected"}, states(), "a short queue is none's room")
	l.Do(func() { // what was begun goes on, a piece at a time, and nobody has to make room for it
		for _, c := range conns[:2] {
			c.sock.(*sip).room = 10
		}
	})
	for _, c := range conns[:2] {
		l.writable(c)
	}
	require.Equal(t, []string{"closing", "closing", "connected"}, states())
	require.LessOrEqual(t, budget.Used(), int64(l.srv.cfg.QueueMiBTotal)<<20)
}

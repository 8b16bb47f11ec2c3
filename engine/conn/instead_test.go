package conn_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// restart is what is sent without having been asked for, with what can be said instead.
func restart(kib int, text string) *message.Outgoing {
	out := publication(message.Normal, text+strings.Repeat(".", kib<<10))
	out.Exempt, out.Replay = true, true
	out.Instead = publication(message.Normal, "short of "+text)
	out.Instead.Exempt = true
	return out
}

func TestAClientThatReadsGetsAllOfWhatCanBeSaidInShort(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 32, 64
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		srv.enqueue(sc, restart(1000, "a")) // more than a queue may have, but there is none
		require.Equal(t, "a"+strings.Repeat(".", 1000<<10), c.readText())
		srv.enqueue(sc, restart(10, "b"), restart(10, "c"), publication(message.Normal, "after"))
		for _, text := range []string{"b", "c"} {
			require.Equal(t, text+strings.Repeat(".", 10<<10), c.readText())
		}
		c.expect("after")
		require.Equal(t, "connected", sc.State())
	})
}

func TestWhatBringsTooMuchForASlowClientIsSaidInShortAndClosesNothing(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 200, 300
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		srv.fill(t, sc, publication(message.Low, strings.Repeat("d", 1000)))
		srv.enqueue(sc, publication(message.Normal, "before"), restart(100, "a"), restart(300, "b"), publication(message.Normal, "after"))
		require.Equal(t, "connected", sc.State(), "what nobody asked for is no reason to be degraded")
		texts := c.readUntil("before")
		require.NotEmpty(t, texts)
		require.Equal(t, "a"+strings.Repeat(".", 100<<10), c.readText())
		c.expect("short of b")
		c.expect("after")
	})
}

func TestWhereAllQueuesAreFullWhatCanBeSaidInShortIsBeforeAnyoneIsClosed(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax, s.cfg.QueueMiBTotal = 900, 1000, 1
		srv := s.start(t)
		clients, conns := openMany(t, srv, 4)
		for i, sc := range conns {
			clients[i].narrow()
			data := publication(message.Normal, strings.Repeat("d", 1000))
			srv.fill(t, sc, data)
			for range 50 { // before what follows is begun, should the kernel take a little more after all
				srv.enqueue(sc, data)
			}
		}
		for _, sc := range conns {
			srv.enqueue(sc, restart(500, "a"), publication(message.Normal, "after"))
		}
		require.LessOrEqual(t, srv.QueuedBytes(), int64(1<<20))
		short := 0
		for _, c := range clients {
			for _, text := range c.readUntil("after") {
				if text == "short of a" {
					short++
				}
			}
		}
		require.GreaterOrEqual(t, short, 2, "a MiB has room for two at most")
		totals, _ := srv.Stats()
		require.Zero(t, totals.Overloaded.All)
		require.Zero(t, totals.Overloaded.Own)
	})
}

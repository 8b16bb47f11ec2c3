package conn_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/message"
)

// enqueue publishes to one connection as the hub does.
func (s *server) enqueue(c *conn.Conn, outs ...*message.Outgoing) {
	s.Lanes()[c.Lane()].Do(func() {
		for _, out := range outs {
			c.Enqueue(out)
		}
	})
}

// narrow makes a client's receive buffer small, so that it is full soon.
func (c *client) narrow() *client {
	require.NoError(c.t, c.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
	return c
}

// fill publishes until the client's socket is full and stays so.
func (s *server) fill(t *testing.T, c *conn.Conn, out *message.Outgoing) (sent int) {
	t.Helper()
	before, still := uint64(0), 0
	require.Eventually(t, func() bool {
		counters := c.Counters()
		if counters.QueuedBytes > 20<<10 {
			if still++; counters.BytesSent != before {
				before, still = counters.BytesSent, 0
			}
			return still == 20
		}
		still = 0
		for range 20 {
			s.enqueue(c, out)
			sent++
		}
		return false
	}, patience, time.Millisecond)
	return sent
}

// readUntil reads texts up to the one given, and returns those before it.
func (c *client) readUntil(last string) (texts []string) {
	c.t.Helper()
	for {
		text := c.readText()
		if text == last {
			return texts
		}
		texts = append(texts, text)
	}
}

func TestPublicationsAndRepliesKeepTheirOrderWithinDo(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		for i := range 50 {
			srv.Lanes()[sc.Lane()].Do(func() {
				sc.SendLocked(message.Normal, reply(fmt.Sprint("answer ", i)))
				sc.Enqueue(publication(message.Normal, fmt.Sprint("replay ", i)))
				sc.SendLocked(message.Normal, reply(fmt.Sprint("complete ", i)))
			})
		}
		for i := range 50 {
			c.expect(healthText(fmt.Sprint("answer ", i)))
			c.expect(fmt.Sprint("replay ", i))
			c.expect(healthText(fmt.Sprint("complete ", i)))
		}
		counters := sc.Counters()
		require.EqualValues(t, 150, counters.MessagesSent)
		require.Zero(t, counters.QueuedBytes)
	})
}

func TestCriticalMessagesOvertakeWhatASlowClientHasNotRead(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		data := publication(message.Low, strings.Repeat("d", 1000))
		sent := srv.fill(t, sc, data)
		for range 100 {
			srv.enqueue(sc, data)
		}
		srv.enqueue(sc, publication(message.Normal, "normal"), publication(message.Critical, "critical"))
		before := len(c.readUntil("critical"))
		require.Less(t, before, sent, "what waited was overtaken")
		c.expect("normal")
		for range sent + 100 - before {
			c.expect(strings.Repeat("d", 1000))
		}
	})
}

func TestASlowClientIsToldAndSheds(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 32, 256
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		data := publication(message.Low, strings.Repeat("d", 1000))
		data.Overflow = message.DropOldest
		srv.fill(t, sc, data)
		for range 200 {
			srv.enqueue(sc, data)
		}
		require.Equal(t, "degraded", sc.State())
		counters := sc.Counters()
		require.Positive(t, counters.Dropped)
		require.LessOrEqual(t, counters.QueuedBytes, uint64(34<<10))
		srv.enqueue(sc, publication(message.High, "the order of ours"))
		told := ""
		for _, text := range c.readUntil("the order of ours") {
			if strings.Contains(text, "StateChange") {
				told = text
			}
		}
		require.Contains(t, told, `"OldState":"connected","NewState":"degraded"`)
		totals, _ := srv.Stats()
		require.Equal(t, counters.Dropped, totals.Dropped.Oldest+totals.Dropped.Conflated+totals.Dropped.Closed)
		require.EqualValues(t, 1, totals.Degraded)
	})
}

func TestConflationLeavesASlowClientTheNewest(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 16, 64
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		tick := func(symbol string, i int) *message.Outgoing {
			out := publication(message.Low, fmt.Sprintf("%s %06d %s", symbol, i, strings.Repeat("x", 200)))
			out.Topic, out.Overflow, out.ConflateKey = "stream:market_data:ALL", message.Conflate, symbol
			return out
		}
		symbols := []string{"BTC", "ETH", "SOL"}
		const rounds = 10_000
		for i := range rounds { // megabytes, for a client that reads nothing
			for _, symbol := range symbols {
				srv.enqueue(sc, tick(symbol, i))
			}
		}
		require.Equal(t, "degraded", sc.State())
		srv.enqueue(sc, publication(message.Background, "end"))
		last := map[string]string{}
		count := 0
		for _, text := range c.readUntil("end") {
			if symbol, rest, ok := strings.Cut(text, " "); ok && len(symbol) == 3 {
				require.Less(t, last[symbol], rest[:6], "never out of order")
				last[symbol] = rest[:6]
				count++
			}
		}
		for _, symbol := range symbols {
			require.Equal(t, fmt.Sprintf("%06d", rounds-1), last[symbol], "the newest arrives")
		}
		require.Less(t, count, 3*rounds)
	})
}

func TestWhatMustNotBeDroppedEndsInAnOverloadedClose(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 32, 64
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		data := publication(message.Normal, strings.Repeat("k", 1000)) // Keep
		srv.fill(t, sc, data)
		for range 100 {
			srv.enqueue(sc, data)
		}
		require.Equal(t, "closing", sc.State())
		require.Less(t, sc.Counters().QueuedBytes, uint64(20<<10), "the queue is given up")
		_, texts := c.expectClose(4503)
		require.Contains(t, texts[len(texts)-1], `"NewState":"closing"`)
		c.expectEOF()
		require.Equal(t, sc, <-srv.app.closed)
		_, g := srv.Stats()
		require.Zero(t, g.QueuedBytes)
		require.Zero(t, g.Stalled)
	})
}

func TestAllQueuesTogetherAreBounded(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax, s.cfg.QueueMiBTotal = 600, 700, 1
		s.opts.Loops = 1
		srv := s.start(t)
		data := publication(message.Normal, strings.Repeat("k", 4000))
		var conns []*conn.Conn
		for range 3 {
			srv.open(t).narrow()
			sc := <-srv.app.opened
			conns = append(conns, sc)
			srv.fill(t, sc, data)
		}
		for i := range 150 {
			for j, sc := range conns {
				if i < 25 || j > 0 { // the first has far less than the others, however much each had to begin with
					srv.enqueue(sc, data)
				}
			}
			_, g := srv.Stats()
			require.LessOrEqual(t, g.QueuedBytes, int64(1<<20))
		}
		require.NotEqual(t, "closing", conns[0].State(), "the biggest goes first")
		totals, _ := srv.Stats()
		require.Positive(t, totals.Overloaded.All)
	})
}

// unevenQueues starts a server whose queues may hold a megabyte together, with one long queue on its second lane and two
// short ones, that still grow, on the first.
func unevenQueues(t *testing.T, s *setup) (srv *server, long *conn.Conn, short []*conn.Conn, grow func()) {
	t.Helper()
	s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax, s.cfg.QueueMiBTotal = 600, 700, 1
	s.opts.Loops = 2
	srv = s.start(t)
	data := publication(message.Normal, strings.Repeat("k", 4000))
	lanes := map[int][]*conn.Conn{}
	for len(lanes[0]) < 2 || len(lanes[1]) < 1 {
		srv.open(t).narrow()
		sc := <-srv.app.opened
		lanes[sc.Lane()] = append(lanes[sc.Lane()], sc)
	}
	long, short = lanes[1][0], lanes[0][:2]
	for _, sc := range append(short, long) {
		srv.fill(t, sc, data)
	}
	for long.Counters().QueuedBytes < 600<<10 {
		srv.enqueue(long, data)
	}
	return srv, long, short, func() {
		for _, sc := range short {
			srv.enqueue(sc, data)
		}
	}
}

func (s *server) queuedBytes() int64 {
	_, g := s.Stats()
	return g.QueuedBytes
}

func TestTheLongestQueueOfTheProcessMakesRoomWhicheverLaneNeedsIt(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv, long, short, grow := unevenQueues(t, s)
		for long.State() != "closing" && srv.queuedBytes() <= 1<<20 {
			grow()
		}
		require.Eventually(t, func() bool { return long.State() == "closing" && srv.queuedBytes() <= 1<<20 }, patience, time.Millisecond)
		totals, _ := srv.Stats()
		require.EqualValues(t, 1, totals.Overloaded.All)
		for _, sc := range short {
			require.NotEqual(t, "closing", sc.State(), "there was a longer queue")
		}
	})
}

func TestALaneThatCannotWaitForAnotherMakesRoomItself(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv, long, short, grow := unevenQueues(t, s)
		srv.Lanes()[long.Lane()].Do(func() { // it is busy, and so cannot close its own
			for short[0].State() != "closing" && short[1].State() != "closing" {
				grow()
			}
			closed := 0 // looked at while the lane is held: its own queue was asked for too, and goes as soon as it can
			for _, sc := range short {
				if sc.State() == "closing" {
					closed++
				}
			}
			require.Equal(t, 1, closed, "not more than was needed")
		})
		require.Eventually(t, func() bool { return long.State() == "closing" && srv.queuedBytes() <= 1<<20 }, patience, time.Millisecond)
	})
}

func TestAllQueuesTogetherAreOverTheirLimitByOneQueueAtMost(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv, long, _, grow := unevenQueues(t, s)
		most := int64(0)
		srv.Lanes()[long.Lane()].Do(func() {
			for range 400 {
				grow()
				most = max(most, srv.QueuedBytes())
			}
		})
		require.Greater(t, most, int64(1<<20))
		require.LessOrEqual(t, most, int64(1<<20+700<<10))
	})
}

func TestAClientThatTakesNothingIsGivenUpInTime(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.StallTimeout, s.cfg.CloseTimeout = 50*time.Millisecond, 20*time.Millisecond
		srv := s.start(t)
		srv.open(t).narrow()
		sc := <-srv.app.opened
		data := publication(message.Low, strings.Repeat("d", 1000))
		again := time.NewTicker(time.Millisecond)
		defer again.Stop()
		for closed := false; !closed; {
			select {
			case gone := <-srv.app.closed:
				require.Equal(t, sc, gone)
				closed = true
			case <-again.C: // until the kernel takes no more there is always something for it to take, and never too much
				for sc.Counters().QueuedBytes < 20<<10 && sc.State() == "connected" {
					srv.enqueue(sc, data)
				}
			}
		}
		require.EqualValues(t, 4503, sc.CloseCode())
		totals, _ := srv.Stats()
		require.EqualValues(t, 1, totals.Overloaded.Stalled)
	})
}

func TestAClientThatCatchesUpIsConnectedAgain(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.RecoverAfter = 32, 20*time.Millisecond
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		data := publication(message.Low, strings.Repeat("d", 1000))
		data.Overflow = message.DropOldest
		srv.fill(t, sc, data)
		for range 200 {
			srv.enqueue(sc, data)
		}
		require.Equal(t, "degraded", sc.State())
		for {
			text := c.readText()
			if strings.Contains(text, `"OldState":"degraded","NewState":"connected"`) {
				break
			}
		}
		require.Equal(t, "connected", sc.State())
	})
}

// fanout is the hub's part: work that publishes to everybody on a lane.
type fanout struct {
	mu     sync.Mutex
	conns  []*conn.Conn
	inbox  []*message.Outgoing
	urgent []func()
}

func (f *fanout) Run(urgent bool) {
	f.mu.Lock()
	inbox, calls := f.inbox, f.urgent
	f.urgent = nil
	if urgent {
		inbox = nil
	} else {
		f.inbox = nil
	}
	f.mu.Unlock()
	for _, call := range calls {
		call()
	}
	for _, out := range inbox {
		for _, c := range f.conns {
			c.Enqueue(out)
		}
	}
}

func (f *fanout) publish(out *message.Outgoing) {
	f.mu.Lock()
	f.inbox = append(f.inbox, out)
	f.mu.Unlock()
}

// openMany opens n connections, all on one lane.
func openMany(t testing.TB, srv *server, n int) ([]*client, []*conn.Conn) {
	t.Helper()
	var clients []*client
	var conns []*conn.Conn
	for range n {
		clients = append(clients, srv.open(t))
		conns = append(conns, <-srv.app.opened)
	}
	return clients, conns
}

func TestABurstIsOneWritePerConnection(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		f := &fanout{}
		srv, err := conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		srv.Lanes()[0].Attach(f)
		sv := s.run(t, srv)
		clients, conns := openMany(t, sv, 20)
		before, _ := sv.Stats()
		f.conns = conns
		for i := range 16 {
			f.publish(publication(message.Normal, fmt.Sprint("p", i)))
		}
		srv.Lanes()[0].Wake(false)
		for _, c := range clients {
			for i := range 16 {
				c.expect(fmt.Sprint("p", i))
			}
		}
		after, _ := sv.Stats()
		require.EqualValues(t, 20, after.Writes-before.Writes)
		require.EqualValues(t, 320, after.MessagesSent-before.MessagesSent)
	})
}

func TestTryRunServesAFewAtOnceAndOnlyWhenTheLaneIsFree(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		srv := s.start(t)
		clients, conns := openMany(t, srv, 3)
		lane := srv.Lanes()[0]
		f := &fanout{conns: conns}
		f.publish(publication(message.Normal, "direct"))
		require.Eventually(t, func() bool { return lane.TryRun(f) }, patience, time.Microsecond)
		for _, c := range clients {
			c.expect("direct")
		}
		lane.Do(func() {
			done := make(chan bool)
			go func() { done <- lane.TryRun(f) }()
			require.False(t, <-done, "the lock is taken")
		})
	})
}

func TestCriticalWorkInterruptsASweep(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		f := &fanout{}
		srv, err := conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		lane := srv.Lanes()[0]
		lane.Attach(f)
		sv := s.run(t, srv)
		clients, conns := openMany(t, sv, 200)
		last, lastConn := clients[199], conns[199]
		f.conns = conns
		before, _ := sv.Stats()
		var during atomic.Uint64
		// While the first writes of the broadcast are made, something critical comes for the last of the connections.
		f.urgent = []func(){func() {
			f.mu.Lock()
			f.urgent = append(f.urgent, func() {
				lastConn.Enqueue(publication(message.Critical, "critical"))
				during.Store(1)
			})
			f.mu.Unlock()
			lane.Wake(true)
		}}
		f.publish(publication(message.Background, "broadcast"))
		lane.Wake(false)
		last.expect("critical")
		last.expect("broadcast")
		for _, c := range clients[:199] {
			c.expect("broadcast")
		}
		require.EqualValues(t, 1, during.Load())
		after, _ := sv.Stats()
		require.EqualValues(t, 200, after.Writes-before.Writes, "the last got both in one write")
	})
}

func TestALingeringPublicationWaitsForCompany(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		f := &fanout{}
		srv, err := conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		lane := srv.Lanes()[0]
		lane.Attach(f)
		sv := s.run(t, srv)
		clients, conns := openMany(t, sv, 5)
		f.conns = conns
		before, _ := sv.Stats()
		publish := func(text string, linger time.Duration) {
			out := publication(message.Low, text)
			out.Linger = linger
			f.publish(out)
			lane.Wake(false)
			require.Eventually(t, func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.inbox) == 0
			}, patience, time.Microsecond)
		}
		for i := range 10 {
			publish(fmt.Sprint("l", i), time.Second)
		}
		for _, c := range clients {
			for i := range 10 {
				c.expect(fmt.Sprint("l", i))
			}
		}
		after, _ := sv.Stats()
		require.Less(t, after.Writes-before.Writes, uint64(5*10))
		publish("held", time.Hour)
		publish("company", 0)
		for _, c := range clients {
			c.expect("held")
			c.expect("company")
		}
	})
}

func TestFiveThatNeverReadDoNotHoldUpTheOthers(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 64, 128
		f := &fanout{}
		srv, err := conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		lane := srv.Lanes()[0]
		lane.Attach(f)
		sv := s.run(t, srv)
		var stalled []*conn.Conn
		for range 5 {
			sv.open(t).narrow()
			stalled = append(stalled, <-sv.app.opened)
		}
		clients, conns := openMany(t, sv, 20)
		f.conns = append(stalled, conns...)
		const rounds = 2000
		for i := range rounds {
			out := publication(message.Low, fmt.Sprintf("%06d %s", i, strings.Repeat("m", 2000)))
			out.Overflow = message.DropOldest
			f.publish(out)
			lane.Wake(false)
			for _, c := range clients {
				require.Equal(t, fmt.Sprintf("%06d", i), c.readText()[:6], "nothing is lost or late for those who read")
			}
		}
		for _, sc := range conns {
			require.Zero(t, sc.Counters().Dropped)
		}
		for _, sc := range stalled {
			require.Equal(t, "degraded", sc.State())
			require.Positive(t, sc.Counters().Dropped)
		}
	})
}

func TestManyPublishersAtOnce(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 2
		srv := s.start(t)
		clients, conns := openMany(t, srv, 8)
		const publishers, each = 4, 300
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range each {
					text := fmt.Sprintf("%d %06d", p, i)
					for _, sc := range conns {
						if i%3 == 0 {
							sc.SendAt(message.Normal, reply(text))
							continue
						}
						srv.enqueue(sc, publication(message.Normal, text))
					}
				}
			})
		}
		for _, c := range clients {
			next := [publishers]int{}
			for range publishers * each {
				text := c.readText()
				if i := strings.Index(text, `"Status":"`); i >= 0 {
					text = text[i+len(`"Status":"`):]
				}
				var p, i int
				_, err := fmt.Sscanf(text, "%d %d", &p, &i)
				require.NoError(t, err)
				require.Equal(t, next[p], i, "each publisher's order is kept")
				next[p]++
			}
		}
		wg.Wait()
	})
}

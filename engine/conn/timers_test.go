package conn_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

func TestTheServerPingsAndTellsThatItLives(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		t.Parallel()
		s.beat = conn.Heartbeat{Interval: 500 * time.Millisecond, IdleTimeout: time.Hour} // to answer within, or be degraded
		srv := s.start(t)
		c := srv.open(t)
		for range 3 {
			op, _, payload, err := c.readFrame()
			require.NoError(t, err)
			require.Equal(t, frame.OpPing, op)
			c.write(clientFrame(frame.OpPong, string(payload)))
			require.Contains(t, c.readText(), "HeartbeatNotice")
		}
		require.Equal(t, "connected", (<-srv.app.opened).State())
	})
}

func TestASilentClientIsClosedAndOneThatAnswersPingsIsNot(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		t.Parallel()
		s.beat = conn.Heartbeat{Interval: 20 * time.Millisecond, IdleTimeout: 3 * time.Second} // the one that answers has as long
		srv := s.start(t)
		silent, alive := srv.open(t), srv.open(t)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for {
				op, _, payload, err := alive.readFrame()
				if err != nil {
					t.Error(err)
					return
				}
				switch {
				case op == frame.OpClose:
					t.Errorf("closed: %s", payload)
					return
				case op == frame.OpPing:
					_, _ = alive.Write(clientFrame(frame.OpPong, string(payload)))
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		silent.expectClose(4408)
		close(stop)
		wg.Wait()
		totals, _ := srv.Stats()
		require.EqualValues(t, 1, totals.Silent)
	})
}

func TestADeadlineIsReportedOnceAndCanBeMoved(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		t.Parallel()
		deadlines := make(chan time.Time, 10)
		s.app.event = func(c *conn.Conn, ev conn.Event) {
			if ev == conn.Deadline {
				deadlines <- time.Now()
			}
		}
		srv := s.start(t)
		srv.open(t)
		sc := <-srv.app.opened
		sc.SetDeadline(time.Now().Add(time.Hour))
		at := time.Now().Add(30 * time.Millisecond)
		sc.SetDeadline(at)
		require.False(t, (<-deadlines).Before(at))
		at = time.Now().Add(time.Second) // nothing but the next line has to come before
		sc.SetDeadline(at)
		sc.SetDeadline(time.Time{})
		after := time.Now().Add(1200 * time.Millisecond)
		sc.SetDeadline(after)
		require.False(t, (<-deadlines).Before(after), "the one that was taken back is not reported")
		require.Empty(t, deadlines)
	})
}

func TestThreeSlowPingsMakeAConnectionDegraded(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		t.Parallel()
		// A ping that is not answered when the next one is due is slow, whatever the limit is.
		s.beat = conn.Heartbeat{Interval: 500 * time.Millisecond, IdleTimeout: time.Hour}
		s.cfg.DegradedRTTMS, s.cfg.RecoverAfter = 1000, 10*time.Millisecond
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		slow := 0
		for told := false; !told; { // pings are not answered at all
			op, _, payload, err := c.readFrame()
			require.NoError(t, err)
			if op == frame.OpPing {
				slow++
			}
			told = strings.Contains(string(payload), `"OldState":"connected","NewState":"degraded"`)
		}
		require.GreaterOrEqual(t, slow, 3)
		require.Equal(t, "degraded", sc.State())
		for told := false; !told; { // now they are
			op, _, payload, err := c.readFrame()
			require.NoError(t, err)
			if op == frame.OpPing {
				c.write(clientFrame(frame.OpPong, string(payload)))
			}
			told = strings.Contains(string(payload), `"OldState":"degraded","NewState":"connected"`)
		}
		require.Equal(t, "connected", sc.State())
	})
}

func TestADrainSendsEverybodyAway(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.CloseTimeout = time.Hour
		srv := s.start(t)
		var clients []*client
		for range 120 {
			clients = append(clients, srv.open(t))
		}
		half := srv.dial(t)
		half.write([]byte("GET / HTTP/1.1\r\n"))
		require.Eventually(t, func() bool { _, g := srv.Stats(); return g.Connections == 121 }, patience, time.Millisecond)
		done := make(chan error, 1)
		go func() { done <- srv.Drain(context.Background(), 100*time.Millisecond) }()
		for _, c := range clients {
			_, texts := c.expectClose(1012)
			require.Contains(t, texts[0], `"NewState":"reconnecting"`)
			require.Contains(t, texts[0], `"RetryAfterMS":100`)
			c.write(clientFrame(frame.OpClose, "\x03\xf4"))
			c.expectEOF()
		}
		require.Equal(t, 503, half.response().StatusCode)
		require.NoError(t, <-done)
		_, g := srv.Stats()
		require.Zero(t, g.Connections)
	})
}

func TestADrainSpreadsOverItsTime(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.CloseTimeout = time.Hour
		srv := s.start(t)
		const all, steps = 150, 50
		_, conns := openMany(t, srv, all)
		gone := func() (n int) {
			for _, sc := range conns {
				if sc.State() == "closing" {
					n++
				}
			}
			return n
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- srv.Drain(ctx, 100*time.Hour) }()
		require.Eventually(t, func() bool { return gone() == all/steps }, patience, time.Millisecond)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.Equal(t, all/steps, gone(), "the next ones would have been sent away hours later")
	})
}

// late is work that nobody has woken the lane for yet.
type late struct{ to *conn.Conn }

func (l *late) Run(bool) {
	if c := l.to; c != nil {
		l.to = nil
		c.Enqueue(publication(message.Normal, "last"))
	}
}

func TestWhatWasPublishedBeforeADrainIsSentBeforeTheClose(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		srv, err := conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		work := &late{}
		lane := srv.Lanes()[0]
		lane.Attach(work)
		sv := s.run(t, srv)
		c := sv.open(t)
		opened := <-sv.app.opened
		lane.Do(func() { work.to = opened })
		done := make(chan error, 1)
		go func() { done <- sv.Drain(context.Background(), time.Millisecond) }()
		_, texts := c.expectClose(1012)
		require.Contains(t, texts, "last")
		c.write(clientFrame(frame.OpClose, "\x03\xf4"))
		require.NoError(t, <-done)
	})
}

// TestADrainLetsTheGreetingComeFirst: a connection may be opened and not have been greeted yet when the drain comes to it.
func TestADrainLetsTheGreetingComeFirst(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		var srv *conn.Server
		s.app.event = func(c *conn.Conn, ev conn.Event) {
			if ev == conn.Opened {
				over, cancel := context.WithCancel(context.Background())
				cancel()
				_ = srv.Drain(over, 100*time.Millisecond) // sends everybody away, and does not wait
				c.Send(reply("greeting"))
			}
		}
		var err error
		srv, err = conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		c := s.run(t, srv).open(t)
		_, texts := c.expectClose(1012)
		require.Len(t, texts, 2)
		require.Contains(t, texts[0], "greeting")
		require.Contains(t, texts[1], `"OldState":"connected"`)
		require.Contains(t, texts[1], `"RetryAfterMS":100`)
	})
}

func TestADrainEndsWhenItsTimeIsOver(t *testing.T) {
	s := newSetup()
	srv := s.start(t)
	c := srv.open(t)
	<-srv.app.opened
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, srv.Drain(ctx, time.Millisecond), context.DeadlineExceeded)
	c.expectClose(1012)
	srv.stop()
	require.Len(t, srv.app.closed, 1)
}

func TestADrainOfNobodyEndsAtOnce(t *testing.T) {
	s := newSetup()
	srv := s.start(t)
	require.NoError(t, srv.Drain(context.Background(), time.Hour))
}

func TestRunTellsEveryHandlerThatItIsOver(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		for range 10 {
			srv.open(t)
			<-srv.app.opened
		}
		srv.stop()
		require.Len(t, srv.app.closed, 10)
	})
}

func TestConfigFaultsAreNamedAllAtOnce(t *testing.T) {
	require.NoError(t, conn.DefaultConfig().Validate())
	require.NoError(t, conn.DefaultHeartbeat().Validate())
	cfg := conn.Config{QueueKiBSoft: 20, QueueKiBMax: 10}
	err := cfg.Validate()
	for _, field := range []string{
		"connections_max", "handshake_timeout", "handshakes_max", "head_kib_max", "body_kib_max", "parked_kib_max", "admit_workers",
		"frame_kib_max", "message_kib_max", "partial_mib_max", "queue_mib_total", "stall_timeout", "notsent_lowat_kib",
		"degraded_rtt_ms", "recover_after", "close_timeout", "queue_kib_max: 10 is less than queue_kib_soft, 20",
	} {
		require.ErrorContains(t, err, field)
	}
	require.ErrorContains(t, conn.Heartbeat{Interval: time.Minute, IdleTimeout: time.Second}.Validate(), "idle_timeout: 1s is not longer")
	s := newSetup()
	s.opts.Origins = []string{"https://ok.example", "ok.example", "https://*bad.example", "https://a/b"}
	_, err = conn.New(s.cfg, s.beat, s.opts)
	require.ErrorIs(t, err, conn.ErrOriginPattern)
	for _, i := range []string{"origins[1]", "origins[2]", "origins[3]"} {
		require.ErrorContains(t, err, i)
	}
	require.NotContains(t, err.Error(), "origins[0]")
}

package conn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// fragment is a masked frame that may not be final.
func fragment(op frame.Opcode, fin bool, payload string) []byte {
	return frame.AppendMaskedFrame(nil, op, fin, false, [4]byte{4, 3, 2, 1}, []byte(payload))
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func TestProtocolFaultsCloseWithTheirCode(t *testing.T) {
	tests := []struct {
		name string
		sent []byte
		code int
	}{
		{"unmasked", frame.AppendFrame(nil, frame.OpText, false, []byte("x")), 1002},
		{"reserved bit", []byte{0xA1, 0x80, 0, 0, 0, 0}, 1002},
		{"RSV1 without extension", []byte{0xC1, 0x80, 0, 0, 0, 0}, 1002},
		{"reserved opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, 1002},
		{"reserved control opcode", []byte{0x8B, 0x80, 0, 0, 0, 0}, 1002},
		{"fragmented ping", fragment(frame.OpPing, false, "x"), 1002},
		{"long ping", clientFrame(frame.OpPing, strings.Repeat("x", 126)), 1002},
		{"continuation of nothing", clientFrame(frame.OpContinuation, "x"), 1002},
		{"message within a message", join(fragment(frame.OpText, false, "a"), clientFrame(frame.OpText, "b")), 1002},
		{"bad UTF-8", clientFrame(frame.OpText, "a\xff"), 1007},
		{"UTF-8 cut at the end", join(fragment(frame.OpText, false, "a\xe2"), fragment(frame.OpContinuation, true, "\x82")), 1007},
		{"close of one byte", clientFrame(frame.OpClose, "x"), 1002},
		{"close with a reserved code", clientFrame(frame.OpClose, "\x03\xed"), 1002},
		{"close with a bad reason", clientFrame(frame.OpClose, "\x03\xe8\xff"), 1007},
		{"frame too long", []byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4}, 1009},
		{"longest possible frame", []byte{0x82, 0xFF, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 1009},
		{"length with the top bit", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
	}
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := srv.open(t)
				sc := <-srv.app.opened
				// Far more follows, which must neither be read as frames nor reset the connection.
				c.write(append(tt.sent, make([]byte, 100_000)...))
				c.expectClose(tt.code)
				c.expectEOF()
				require.Equal(t, sc, <-srv.app.closed)
				require.Equal(t, tt.code, int(sc.CloseCode()))
			})
		}
	})
}

func TestFragmentsAreOneMessageWhateverComesBetween(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t)
		c.write(join(fragment(frame.OpText, false, "one "), clientFrame(frame.OpPing, "between"),
			fragment(frame.OpContinuation, false, "two "), fragment(frame.OpContinuation, true, "three")))
		op, _, payload, err := c.readFrame()
		require.NoError(t, err)
		require.Equal(t, frame.OpPong, op)
		require.Equal(t, "between", string(payload))
		c.expect(healthText("one two three"))
	})
}

// keepsNothing asserts that no part of a message is kept, or not for long: a message is handled before what was kept of it is
// given back.
func (s *server) keepsNothing(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, gauges := s.Stats()
		return gauges.PartialBytes == 0
	}, patience, time.Millisecond)
}

func TestEachByteOfAFrameMayComeAlone(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t)
		for _, b := range clientFrame(frame.OpText, "slowly") {
			c.write([]byte{b})
		}
		c.expect(healthText("slowly"))
		srv.keepsNothing(t)
	})
}

func TestTheServerAnswersACloseWithItsCodeAndClosesFirst(t *testing.T) {
	tests := []struct {
		name, payload string
		code          int
	}{
		{"normal", "\x03\xe8", 1000},
		{"with a reason", "\x03\xe9bye", 1001},
		{"of the application", "\x0f\xa0", 4000},
		{"without a code", "", 0},
	}
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := srv.open(t)
				sc := <-srv.app.opened
				c.write(join(clientFrame(frame.OpClose, tt.payload), clientFrame(frame.OpText, "too late")))
				_, texts := c.expectClose(tt.code)
				require.Empty(t, texts)
				c.expectEOF()
				require.Equal(t, sc, <-srv.app.closed)
			})
		}
	})
}

func TestACloseOfOursWaitsForThePeers(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.CloseTimeout = time.Hour
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		sc.Send(reply("last words"))
		sc.Close(1001, "going")
		require.Equal(t, "closing", sc.State())
		sc.Send(reply("after the close"))
		sc.Close(1000, "again")
		reason, texts := c.expectClose(1001)
		require.Equal(t, "going", reason)
		require.Equal(t, []string{healthText("last words")}, texts)
		c.sendText("crossing")
		require.Empty(t, srv.app.closed)
		c.write(clientFrame(frame.OpClose, "\x03\xe9"))
		c.expectEOF()
		require.Equal(t, sc, <-srv.app.closed)
	})
}

func TestAPeerThatDoesNotAnswerACloseIsCutOff(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.CloseTimeout = 20 * time.Millisecond
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		sc.CloseWith(reply("why"), 4401, "auth")
		_, texts := c.expectClose(4401)
		require.Equal(t, []string{healthText("why")}, texts)
		require.Equal(t, sc, <-srv.app.closed)
		c.expectEOF()
	})
}

func TestAPeerThatVanishesIsOnlyClosed(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		c.write(clientFrame(frame.OpText, "half a frame")[:8])
		require.NoError(t, c.Conn.(*net.TCPConn).SetLinger(0))
		require.NoError(t, c.Close())
		require.Equal(t, sc, <-srv.app.closed)
		require.Zero(t, sc.CloseCode())
		totals, _ := srv.Stats()
		require.EqualValues(t, 1, totals.Lost)
		srv.keepsNothing(t)
		// Everything may still be called.
		sc.Send(reply("x"))
		sc.Close(1000, "")
		sc.SetDeadline(time.Now())
		srv.Lanes()[sc.Lane()].Do(func() { sc.Enqueue(publication(message.Normal, "x")) })
		require.Equal(t, "closed", sc.State())
	})
}

func TestAPanicInAHandlerClosesOnlyItsConnection(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		var lanes []*conn.Lane
		ready := make(chan struct{})
		s.app.request = func(c *conn.Conn, r *message.Request, _ error) {
			switch r.Type {
			case "panic":
				panic("handler")
			case "panic with the lock":
				<-ready
				lanes[c.Lane()].Do(func() { panic("within Do") })
			}
			c.Send(reply(r.Type))
		}
		srv := s.start(t)
		lanes = srv.Lanes()
		close(ready)
		other := srv.open(t)
		for _, text := range []string{"panic", "panic with the lock"} {
			c := srv.open(t)
			c.sendText(text)
			c.expectClose(1011)
		}
		other.sendText("unharmed")
		other.expect(healthText("unharmed"))
	})
}

func TestAMessageThatDoesNotDecodeReachesTheHandler(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t)
		c.sendText("bad")
		require.Contains(t, c.readText(), "bad request")
		c.sendText("good")
		c.expect(healthText("good"))
	})
}

func TestWhatTheHandlerDoesNotTakeIsNeitherDecodedNorAnswered(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		asked := make(chan int, 10) // the sizes
		s.app.take = func(_ *conn.Conn, bytes int) bool { asked <- bytes; return bytes > 5 }
		srv := s.start(t)
		c := srv.open(t)
		c.write(join(clientFrame(frame.OpText, "small"), clientFrame(frame.OpPing, "ping"), clientFrame(frame.OpPong, ""),
			clientFrame(frame.OpPing, "larger"), clientFrame(frame.OpText, "passes")))
		op, _, got, err := c.readFrame()
		require.NoError(t, err)
		require.Equal(t, frame.OpPong, op)
		require.Equal(t, "larger", string(got))
		c.expect(healthText("passes"))
		c.write(clientFrame(frame.OpClose, "\x03\xe8"))
		c.expectClose(1000)
		for _, want := range []int{5, 4, 0, 6, 6} {
			require.Equal(t, want, <-asked)
		}
		require.Empty(t, asked, "a close is not asked about")
	})
}

func TestEchoReturnsWhatItGets(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.FrameKiBMax, s.cfg.MessageKiBMax, s.cfg.QueueKiBMax = 16<<10, 16<<10, 1024
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			return conn.Admission{Echo: true, EncodingDeflate: -1}
		}
		srv := s.start(t)
		c := srv.open(t)
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 70_000, 16 << 20} {
			msg := strings.Repeat("e", size)
			go func() { _, _ = c.Write(clientFrame(frame.OpBinary, msg)) }()
			op, _, got, err := c.readFrame()
			require.NoError(t, err)
			require.Equal(t, frame.OpBinary, op, "size %d: %.100q", size, got)
			require.Equal(t, size, len(got))
			require.Equal(t, msg, string(got))
		}
	})
}

func TestAnEchoThatIsNotReadStopsBeingFed(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 64, 128
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			return conn.Admission{Echo: true, EncodingDeflate: -1}
		}
		srv := s.start(t)
		c := srv.open(t)
		// More than the kernels' buffers take, which grow to dozens of megabytes.
		const messages, size = 1000, 100_000
		msg := clientFrame(frame.OpBinary, strings.Repeat("x", size))
		var written atomic.Int64
		go func() {
			for range messages {
				_, _ = c.Write(msg)
				written.Add(1)
			}
		}()
		before, still := int64(0), 0
		require.Eventually(t, func() bool {
			_, g := srv.Stats()
			if still++; g.Stalled == 0 || written.Load() != before {
				before, still = written.Load(), 0
			}
			return still == 5
		}, patience, 10*time.Millisecond)
		require.Less(t, before, int64(messages))
		for range messages { // nothing is lost, and it goes on
			_, _, got, err := c.readFrame()
			require.NoError(t, err)
			require.Len(t, got, size)
			if _, g := srv.Stats(); g.QueuedBytes > 1<<20 {
				t.Fatalf("%d bytes are queued", g.QueuedBytes)
			}
		}
	})
}

func TestHalfAFrameFromManyClientsIsBounded(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.PartialMiBMax = 1
		srv := s.start(t)
		const n = 400
		half := clientFrame(frame.OpText, strings.Repeat("h", 8000))[:6000]
		var clients []*client
		for range n {
			c := srv.open(t)
			c.write(half)
			clients = append(clients, c)
		}
		// 400 × 6 KB do not fit into 1 MiB: some are told to come again, the others go on.
		require.Eventually(t, func() bool { _, g := srv.Stats(); return g.Connections < n }, patience, time.Millisecond)
		_, g := srv.Stats()
		require.LessOrEqual(t, g.PartialBytes, int64(1<<20))
		closed, served := 0, 0
		for _, c := range clients {
			_, _ = c.Write(clientFrame(frame.OpText, strings.Repeat("h", 8000))[6000:])
		}
		for _, c := range clients {
			op, _, payload, err := c.readFrame()
			require.NoError(t, err)
			if op == frame.OpClose {
				require.Equal(t, 1013, int(payload[0])<<8|int(payload[1]))
				closed++
				continue
			}
			served++
		}
		require.Positive(t, closed)
		require.Positive(t, served)
		require.Equal(t, n, closed+served)
	})
}

// newTLSSetup is a setup whose server speaks TLS.
func newTLSSetup() *setup {
	ts := httptest.NewUnstartedServer(nil)
	ts.StartTLS()
	cert := ts.TLS.Certificates[0]
	ts.Close()
	s := newSetup()
	s.opts.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	return s
}

func TestWhoSpeaksHTTPWhereTLSIsSpokenIsToldSo(t *testing.T) {
	srv := newTLSSetup().start(t)
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", upgradeRequest("/"), "OPTIONS * HTTP/1.1\r\n\r\n" + strings.Repeat("x", 100_000),
	} {
		c := srv.dial(t)
		go func() { _, _ = c.Write([]byte(request)) }()
		resp := c.response()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, 400, resp.StatusCode)
		require.Contains(t, string(body), "wss://")
		c.expectEOF()
	}
	totals, _ := srv.Stats()
	require.EqualValues(t, 3, totals.Refused)
	for _, other := range []string{"\x00\x01\x02\x03\x04\x05\x06\x07", "GET\x00/ HTTP/1.1\r\n\r\n"} {
		c := srv.dial(t)
		c.write([]byte(other))
		all, _ := io.ReadAll(c.br)
		require.Empty(t, all, "it would not be understood")
	}
}

func TestTLSIsServed(t *testing.T) {
	s := newTLSSetup()
	secure := make(chan bool, 1)
	s.app.admit = func(_ context.Context, up *conn.Upgrade) conn.Admission {
		secure <- up.Secure
		return s.app.yes()
	}
	srv := s.start(t)
	c := srv.dial(t)
	tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.Conn = tc
	c.br.Reset(tc)
	require.Equal(t, 101, c.request(upgradeRequest("/")).StatusCode)
	require.True(t, <-secure)
	c.sendText("secret")
	c.expect(healthText("secret"))
}

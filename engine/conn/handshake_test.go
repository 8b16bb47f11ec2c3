package conn_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/frame"
)

func TestRequestsThatAreNoUpgradeAreRefusedWithTheirStatus(t *testing.T) {
	good := upgradeRequest("/wse")
	change := func(old, now string) string {
		changed := strings.Replace(good, old, now, 1)
		require.NotEqual(t, good, changed)
		return changed
	}
	tests := []struct {
		name, request string
		status        int
		header        string // name: value that the response must have
	}{
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, ""},
		{"no request line", "\r\n\r\n", 400, ""},
		{"half a request line", "GET\r\n\r\n", 400, ""},
		{"no version", "GET /\r\n\r\n", 400, ""},
		{"a version that is none", "GET / HTTX/1.1\r\n\r\n", 400, ""},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
		{"HTTP/1.0 upgrade", change("HTTP/1.1", "HTTP/1.0"), 505, ""},
		{"POST", change("GET", "POST"), 405, "Allow: GET"},
		{"no host", change("Host: example.com\r\n", ""), 400, ""},
		{"two hosts", change("Host: example.com", "Host: a\r\nHost: b"), 400, ""},
		{"a header without a colon", change("Upgrade:", "Foo\r\nUpgrade:"), 400, ""},
		{"a space before the colon", change("Host:", "Host :"), 400, ""},
		{"a folded header", change("Host: example.com", "Host: example.com\r\n folded: yes"), 400, ""},
		{"a control character", change("example.com", "exam\x00ple"), 400, ""},
		{"no Connection", change("Connection: Upgrade\r\n", ""), 400, ""},
		{"Connection without upgrade", change("Connection: Upgrade", "Connection: keep-alive"), 400, ""},
		{"no key", change("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400, ""},
		{"a key too short", change("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400, ""},
		{"a key that is not base64", change("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!=="), 400, ""},
		{"two keys", change("Sec-WebSocket-Version", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version"), 400, ""},
		{"no version header", change("Sec-WebSocket-Version: 13\r\n", ""), 400, ""},
		{"an old version", change("Version: 13", "Version: 8"), 426, "Sec-WebSocket-Version: 13"},
		{"an upgrade with a body", change("Host", "Content-Length: 5\r\nHost"), 400, ""},
		{"a malformed subprotocol", upgradeRequest("/", "Sec-WebSocket-Protocol: a b"), 400, ""},
		{"a malformed target", upgradeRequest("/%zz"), 400, ""},
		{"a long first line", "GET /" + strings.Repeat("a", 9000), 414, ""},
		{"long headers", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 9000), 431, ""},
		{"long headers in one piece", upgradeRequest("/", "X: "+strings.Repeat("a", 9000)), 431, ""},
		{"a body without length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411, ""},
		{"a body too long", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", 413, ""},
		{"a length that is none", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400, ""},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, ""},
		{"a path that nobody serves", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 404, ""},
	}
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := srv.dial(t)
				resp := c.request(tt.request)
				require.Equal(t, tt.status, resp.StatusCode)
				require.True(t, resp.Close)
				if name, value, ok := strings.Cut(tt.header, ": "); ok {
					require.Equal(t, value, resp.Header.Get(name))
				}
				c.expectEOF()
			})
		}
		totals, gauges := srv.Stats()
		require.Zero(t, totals.Upgraded)
		require.Zero(t, gauges.Handshakes)
	})
}

func TestAHeadMayComeByteByByte(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.dial(t)
		for _, b := range []byte(upgradeRequest("/")) {
			c.write([]byte{b})
		}
		require.Equal(t, 101, c.response().StatusCode)
		c.sendText("hello")
		c.expect(healthText("hello"))
	})
}

func TestLinesMayEndWithoutCarriageReturn(t *testing.T) {
	s := newSetup()
	srv := s.start(t)
	c := srv.dial(t)
	require.Equal(t, 101, c.request(strings.ReplaceAll(upgradeRequest("/"), "\r\n", "\n")).StatusCode)
}

func TestFramesSentWithTheHeadAreNotLost(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		release := make(chan struct{})
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			<-release
			return s.app.yes()
		}
		srv := s.start(t)
		c := srv.dial(t)
		hello := clientFrame(frame.OpText, "with the head")
		c.write(append([]byte(upgradeRequest("/")), hello[:5]...))
		c.write(hello[5:])
		c.write(clientFrame(frame.OpText, "while parked"))
		close(release)
		require.Equal(t, 101, c.response().StatusCode)
		c.expect(healthText("with the head"))
		c.expect(healthText("while parked"))
		c.sendText("when open")
		c.expect(healthText("when open"))
	})
}

func TestTheGateSeesTheRequest(t *testing.T) {
	s := newSetup()
	seen := make(chan *conn.Upgrade, 1)
	s.app.admit = func(_ context.Context, up *conn.Upgrade) conn.Admission {
		seen <- up
		adm := s.app.yes()
		adm.Protocol = "wse.v2"
		return adm
	}
	srv := s.start(t)
	c := srv.dial(t)
	resp := c.request(upgradeRequest("/wse?token=abc&x=1", "Origin: http://example.com", "Authorization: Bearer t", "Cookie: a=1",
		"Cookie: b=2", "User-Agent: test", "Sec-WebSocket-Protocol: wsapi.v1, wse.v2"))
	require.Equal(t, "wse.v2", resp.Header.Get("Sec-WebSocket-Protocol"))
	up := <-seen
	opened := <-s.app.opened
	require.Equal(t, opened.ID(), up.ConnID)
	require.Equal(t, c.LocalAddr().String(), up.Remote.String())
	up.ConnID, up.Remote = "", opened.Remote()
	require.Equal(t, &conn.Upgrade{
		Remote: opened.Remote(), Path: "/wse", RawQuery: "token=abc&x=1", Host: "example.com", Origin: "http://example.com",
		OriginAllowed: true, Authorization: "Bearer t", Cookie: "a=1; b=2", UserAgent: "test",
		Protocols: []string{"wsapi.v1", "wse.v2"},
	}, up)
}

func TestASubprotocolThatWasNotOfferedIsNotAnswered(t *testing.T) {
	s := newSetup()
	s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
		adm := s.app.yes()
		adm.Protocol = "wse.v2"
		return adm
	}
	srv := s.start(t)
	resp := srv.dial(t).request(upgradeRequest("/", "Sec-WebSocket-Protocol: other"))
	require.Equal(t, 101, resp.StatusCode)
	require.NotContains(t, resp.Header, "Sec-Websocket-Protocol")
}

func TestTheGateCanRefuseInHTTP(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			return conn.Admission{Status: http.StatusTeapot, Body: "short and stout"}
		}
		srv := s.start(t)
		c := srv.dial(t)
		resp := c.request(upgradeRequest("/"))
		require.Equal(t, http.StatusTeapot, resp.StatusCode)
		body, _ := io.ReadAll(resp.Body)
		require.Equal(t, "short and stout\n", string(body))
		c.expectEOF()
	})
}

func TestTheGateCanRefuseInTheClientsProtocol(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			return conn.Admission{EncodingDeflate: -1, Reject: &conn.Rejection{Reply: reply("no token"), Code: 4401, Reason: "auth"}}
		}
		srv := s.start(t)
		c := srv.open(t)
		reason, texts := c.expectClose(4401)
		require.Equal(t, "auth", reason)
		require.Equal(t, []string{healthText("no token")}, texts)
		c.write(clientFrame(frame.OpClose, "\x11\x31"))
		c.expectEOF()
		require.Empty(t, srv.app.opened)
	})
}

func TestAnAdmissionThatMakesNoSenseIs500(t *testing.T) {
	tests := map[string]conn.Admission{
		"no handler":          {EncodingDeflate: -1},
		"no such encoding":    {Handler: newApp(), Encoding: 7},
		"negative encoding":   {Handler: newApp(), Encoding: -1},
		"no such alternative": {Handler: newApp(), EncodingDeflate: 9},
	}
	for name, adm := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSetup()
			s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission { return adm }
			srv := s.start(t)
			require.Equal(t, 500, srv.dial(t).request(upgradeRequest("/")).StatusCode)
		})
	}
}

func TestAGateThatPanicsRefuses(t *testing.T) {
	s := newSetup()
	s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission { panic("gate") }
	srv := s.start(t)
	require.Equal(t, 500, srv.dial(t).request(upgradeRequest("/")).StatusCode)
}

func TestOrigins(t *testing.T) {
	tests := []struct {
		name, origin string
		list         []string
		allowed      bool
	}{
		{"none", "", []string{"https://a.example"}, true},
		{"same host", "https://example.com", nil, true},
		{"same host in capitals", "https://EXAMPLE.com", nil, true},
		{"another host", "https://evil.example", nil, false},
		{"another port", "https://example.com:444", nil, false},
		{"null", "null", nil, false},
		{"listed", "https://a.example", []string{"https://b.example", "https://a.example"}, true},
		{"not listed", "https://c.example", []string{"https://b.example", "https://a.example"}, false},
		{"another scheme", "http://a.example", []string{"https://a.example"}, false},
		{"a subdomain", "https://x.y.a.example", []string{"https://*.a.example"}, true},
		{"the domain of the subdomains", "https://a.example", []string{"https://*.a.example"}, false},
		{"a domain that ends alike", "https://nota.example", []string{"https://*.a.example"}, false},
		{"any", "https://evil.example", []string{"*"}, true},
		{"null with any", "null", []string{"*"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSetup()
			s.opts.Origins = tt.list
			allowed := make(chan bool, 1)
			s.app.admit = func(_ context.Context, up *conn.Upgrade) conn.Admission {
				allowed <- up.OriginAllowed
				return s.app.yes()
			}
			srv := s.start(t)
			var extra []string
			if tt.origin != "" {
				extra = append(extra, "Origin: "+tt.origin)
			}
			status := srv.dial(t).request(upgradeRequest("/", extra...)).StatusCode
			require.Equal(t, tt.allowed, <-allowed)
			require.Equal(t, map[bool]int{true: 101, false: 403}[tt.allowed], status, "a gate that forgets the origin is corrected")
		})
	}
}

func TestDeflateIsNegotiatedAndBadOffersAreDeclined(t *testing.T) {
	tests := []struct {
		name, offer, answer string
	}{
		{"plain offer", "permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{"browser", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{"small window", "permessage-deflate; server_max_window_bits=10", ""},
		{"second choice", "permessage-deflate; server_max_window_bits=10, permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{"unknown parameter", "permessage-deflate; foo=1", ""},
		{"another extension", "x-webkit-deflate-frame", ""},
		{"garbage", "permessage-deflate; =;=", ""},
	}
	s := newSetup()
	srv := s.start(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := srv.dial(t).request(upgradeRequest("/", "Sec-WebSocket-Extensions: "+tt.offer))
			require.Equal(t, 101, resp.StatusCode)
			require.Equal(t, tt.answer, resp.Header.Get("Sec-WebSocket-Extensions"))
			require.Equal(t, map[bool]int{true: 1, false: 0}[tt.answer != ""], (<-srv.app.opened).Encoding())
		})
	}
}

func TestDeflateIsNotNegotiatedWhereItIsOff(t *testing.T) {
	s := newSetup()
	s.cfg.Deflate = false
	srv := s.start(t)
	resp := srv.dial(t).request(upgradeRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"))
	require.Equal(t, 101, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"))
}

func TestDeflatedMessagesGoBothWays(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t, "Sec-WebSocket-Extensions: permessage-deflate")
		text := strings.Repeat("compress me ", 100)
		var d frame.Deflater
		c.write(frame.AppendMaskedFrame(nil, frame.OpText, true, true, [4]byte{9, 9, 9, 9}, d.Deflate(nil, []byte(text))))
		op, rsv1, payload, err := c.readFrame()
		require.NoError(t, err)
		require.Equal(t, frame.OpText, op)
		require.True(t, rsv1)
		var inflater frame.Inflater
		got, err := inflater.Inflate(nil, payload, 1<<20)
		require.NoError(t, err)
		require.Equal(t, healthText(text), string(got))
	})
}

func TestARequestThatDoesNotComeInTimeIsGivenUp(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.HandshakeTimeout = 30 * time.Millisecond
		srv := s.start(t)
		c := srv.dial(t)
		c.write([]byte("GET / HTTP/1.1\r\nHost: a\r\n"))
		require.Equal(t, 408, c.response().StatusCode)
		c.expectEOF()
	})
}

func TestASlowGateIsToldThatItsTimeIsOver(t *testing.T) {
	s := newSetup()
	s.cfg.HandshakeTimeout = 2 * time.Second // the request has as long, and is not what comes too late here
	s.app.admit = func(ctx context.Context, _ *conn.Upgrade) conn.Admission {
		<-ctx.Done()
		return conn.Admission{Status: 503, Body: "too slow"}
	}
	srv := s.start(t)
	require.Equal(t, 503, srv.dial(t).request(upgradeRequest("/")).StatusCode)
}

func TestWithTooManyHandshakesTheOldestMakesRoom(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.HandshakesMax = 3
		s.opts.Loops = 1
		srv := s.start(t)
		var idle []*client
		for i := range 3 {
			c := srv.dial(t)
			c.write([]byte("GET / HTTP/1.1\r\n"))
			idle = append(idle, c)
			require.Eventually(t, func() bool { _, g := srv.Stats(); return g.Handshakes == i+1 }, patience, time.Millisecond)
		}
		c := srv.open(t)
		c.sendText("served all the same")
		c.expect(healthText("served all the same"))
		require.Equal(t, 408, idle[0].response().StatusCode)
		idle[1].write([]byte("Host: a\r\n\r\n"))
		require.Equal(t, 404, idle[1].response().StatusCode, "only the oldest had to go")
	})
}

func TestWithAllHandshakesAtTheGateNewOnesAreRefused(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.HandshakesMax = 2
		release, asked := make(chan struct{}), make(chan struct{}, 2)
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			asked <- struct{}{}
			<-release
			return s.app.yes()
		}
		srv := s.start(t)
		var parked []*client
		for range 2 {
			c := srv.dial(t)
			c.write([]byte(upgradeRequest("/")))
			parked = append(parked, c)
			<-asked
		}
		c := srv.dial(t)
		resp := c.response()
		require.Equal(t, 503, resp.StatusCode)
		require.NotEmpty(t, resp.Header.Get("Retry-After"))
		close(release)
		for _, c := range parked {
			require.Equal(t, 101, c.response().StatusCode)
		}
	})
}

// heldLog is a log whose first line about a refusal waits until it is let go.
type heldLog struct {
	hclog.Logger
	begun         atomic.Bool
	held, release chan struct{}
}

func (l *heldLog) IsDebug() bool { return true }

func (l *heldLog) Debug(msg string, _ ...any) {
	if msg == "connection refused" && l.begun.CompareAndSwap(false, true) {
		close(l.held)
		<-l.release
	}
}

func TestAHandshakeThatIsRefusedTakesNobodysPlace(t *testing.T) {
	s := newSetup()
	s.cfg.HandshakesMax = 1
	s.opts.Goroutines, s.opts.Loops = true, 2 // connections are given to the lanes in turn
	log := &heldLog{Logger: hclog.NewNullLogger(), held: make(chan struct{}), release: make(chan struct{})}
	s.opts.Log = log
	letGo := sync.OnceFunc(func() { close(log.release) })
	asked, admit := make(chan struct{}, 2), make(chan struct{})
	s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
		asked <- struct{}{}
		<-admit
		return s.app.yes()
	}
	srv := s.start(t)
	t.Cleanup(letGo)
	first := srv.dial(t)
	first.write([]byte(upgradeRequest("/")))
	<-asked
	refused := srv.dial(t)
	<-log.held // it is being refused, on the other lane
	close(admit)
	require.Equal(t, 101, first.response().StatusCode)
	next := srv.dial(t)
	next.write([]byte(upgradeRequest("/")))
	require.Equal(t, 101, next.response().StatusCode, "there is nobody else at the gate")
	letGo()
	require.Equal(t, 503, refused.response().StatusCode)
}

func TestASlowGateDoesNotHoldUpOpenConnections(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 1
		release := make(chan struct{})
		s.app.admit = func(_ context.Context, up *conn.Upgrade) conn.Admission {
			if up.Path == "/slow" {
				<-release
			}
			return s.app.yes()
		}
		srv := s.start(t)
		slow := srv.dial(t)
		slow.write([]byte(upgradeRequest("/slow")))
		c := srv.open(t)
		c.sendText("quick")
		c.expect(healthText("quick"))
		close(release)
		require.Equal(t, 101, slow.response().StatusCode)
	})
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.ConnectionsMax = 2
		srv := s.start(t)
		first := srv.open(t)
		srv.open(t)
		require.Equal(t, 503, srv.dial(t).response().StatusCode)
		require.NoError(t, first.Close())
		<-srv.app.closed
		require.Eventually(t, func() bool { _, g := srv.Stats(); return g.Connections < 2 }, patience, time.Millisecond)
		srv.open(t)
	})
}

func TestAClientThatLeavesWhileTheGateThinks(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		asked, cancelled := make(chan struct{}), make(chan struct{})
		s.app.admit = func(ctx context.Context, _ *conn.Upgrade) conn.Admission {
			close(asked)
			<-ctx.Done() // the gate is told
			close(cancelled)
			return s.app.yes()
		}
		srv := s.start(t)
		c := srv.dial(t)
		c.write([]byte(upgradeRequest("/")))
		<-asked
		require.NoError(t, c.Close())
		<-cancelled
		<-srv.app.closed
		require.Empty(t, srv.app.opened, "it never opened")
		_, gauges := srv.Stats()
		require.Zero(t, gauges.Connections)
		require.Zero(t, gauges.Handshakes)
	})
}

func TestWhatIsSentAtOpenedIsFirstOnTheWire(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.app.event = func(c *conn.Conn, ev conn.Event) {
			if ev == conn.Opened {
				require.Equal(t, "connected", c.State())
				c.Send(reply("greeting"))
			}
		}
		srv := s.start(t)
		for range 20 {
			c := srv.dial(t)
			c.write(append([]byte(upgradeRequest("/")), clientFrame(frame.OpText, "early")...))
			require.Equal(t, 101, c.response().StatusCode)
			c.expect(healthText("greeting"))
			c.expect(healthText("early"))
		}
	})
}

func TestPlainRequestsReachTheHTTPHandler(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/panic" {
				panic("handler")
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			w.Header().Set("X-Remote", host)
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
		})
		srv := s.start(t)
		tests := []struct {
			name, request, body string
			status              int
		}{
			{"get", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b=c ", 202},
			{"HTTP/1.0 without host", "GET /a HTTP/1.0\r\n\r\n", "GET /a ", 202},
			{"post", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "POST /a hello", 202},
			{"pipelined rubbish", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET", "POST /a hello", 202},
			{"panic", "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n", "internal error\n", 500},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := srv.dial(t)
				resp := c.request(tt.request)
				body, _ := io.ReadAll(resp.Body)
				require.Equal(t, tt.status, resp.StatusCode)
				require.Equal(t, tt.body, string(body))
				c.expectEOF()
			})
		}
	})
}

// As in a shell: printf 'GET /healthz HTTP/1.0\r\n\r\n' | nc host port.
func TestAClientThatSendsNoMoreBehindItsRequestGetsItsAnswer(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		ended := make(chan struct{})
		long := strings.Repeat("0123456789", 20_000)
		s.opts.Loops = 1
		s.opts.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-ended // the handler is slower than the end of the request
			_, _ = io.WriteString(w, long)
		})
		srv := s.start(t)
		c := srv.dial(t)
		c.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
		srv.open(t) // the loop has seen to the end of the other by now
		close(ended)
		resp := c.response()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, long, string(body))
		c.expectEOF()
	})
}

func TestAClientThatSendsNoMoreBeforeItsRequestIsWholeIsLetGo(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		for _, part := range []string{"", "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell"} {
			c := srv.dial(t)
			c.write([]byte(part))
			require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			c.expectEOF()
		}
	})
}

func TestABodyMayComeLaterAndWaitForALicence(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})
		srv := s.start(t)
		c := srv.dial(t)
		c.write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\nExpect: 100-continue\r\n\r\n"))
		line, err := c.br.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = c.br.ReadString('\n')
		require.NoError(t, err)
		body := strings.Repeat("0123456789", 4000)
		resp := c.request(body)
		got, _ := io.ReadAll(resp.Body)
		require.Equal(t, body, string(got))
	})
}

func TestAHeadRequestGetsNoBody(t *testing.T) {
	s := newSetup()
	s.opts.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("body")) })
	srv := s.start(t)
	c := srv.dial(t)
	c.write([]byte("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"))
	all, err := io.ReadAll(c.br)
	require.NoError(t, err)
	require.Contains(t, string(all), "Content-Length: 4\r\n")
	require.True(t, strings.HasSuffix(string(all), "\r\n\r\n"))
}

func TestManyClientsConnectAtOnce(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 3
		srv := s.start(t)
		var clients []*client
		for range 300 {
			c := srv.dial(t)
			c.write([]byte(upgradeRequest("/")))
			clients = append(clients, c)
		}
		for i, c := range clients {
			require.Equal(t, 101, c.response().StatusCode)
			c.sendText(fmt.Sprint(i))
		}
		for i, c := range clients {
			c.expect(healthText(fmt.Sprint(i)))
		}
		n := 0
		srv.Each(func(c *conn.Conn) bool { n++; return true })
		require.Equal(t, 300, n)
	})
}

func TestAConnectionIsListedBeforeItsClientIsTold(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		var srv *server
		started := make(chan struct{})
		listed := make(chan bool, 1)
		s.app.event = func(opened *conn.Conn, ev conn.Event) {
			if ev != conn.Opened {
				return
			}
			<-started
			found := false
			srv.Each(func(c *conn.Conn) bool { found = c == opened; return !found })
			listed <- found
		}
		srv = s.start(t)
		close(started)
		c := srv.dial(t)
		c.write([]byte(upgradeRequest("/")))
		require.Equal(t, 101, c.response().StatusCode)
		require.True(t, <-listed, "whoever has heard from a connection can ask for it")
	})
}

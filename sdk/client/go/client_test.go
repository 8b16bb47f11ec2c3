package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	client "github.com/wse-engine/wse/sdk/client/go"
)

const topic = "user:u1:order_events"

// server plays an engine by a script, one step a connection.
type server struct {
	t     *testing.T
	addr  string
	ended <-chan struct{} // closed when all steps are done
}

// peer is the server's side of one connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	head http.Header
}

func serve(t *testing.T, script ...func(p *peer)) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, step := range script {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{t: t, conn: conn, head: http.Header{}}
			upgrader := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "wse.v2" },
				OnHeader: func(k, v []byte) error { p.head.Add(string(k), string(v)); return nil }}
			if _, err := upgrader.Upgrade(conn); err == nil {
				step(p)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return &server{t, l.Addr().String(), done}
}

func (p *peer) send(text string) { _ = wsutil.WriteServerText(p.conn, []byte(text)) }

func (p *peer) close(code ws.StatusCode) {
	_ = wsutil.WriteServerMessage(p.conn, ws.OpClose, ws.NewCloseFrameBody(code, "because"))
}

// asked greets the client, reads its subscription request and returns the position that it asks for.
func (p *peer) asked() client.Position {
	p.send(`{"t":"server_ready","p":{"details":{}},"v":2}`)
	raw, err := wsutil.ReadClientText(p.conn)
	if err != nil {
		p.t.Errorf("no request: %v", err)
		return client.Position{}
	}
	var r struct {
		T, ID string
		P     struct {
			Action   string
			Topics   []string
			Recover  bool
			Recovery map[string]client.Position
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil || r.T != "subscription_update" || r.P.Action != "subscribe" ||
		len(r.P.Topics) != 1 || r.P.Topics[0] != topic || !r.P.Recover {
		p.t.Errorf("request %s: %v", raw, err)
	}
	return r.P.Recovery[topic]
}

func (p *peer) answer(epoch string, offset uint64, recovered bool) {
	p.send(fmt.Sprintf(`{"t":"subscription_update","p":{"action":"subscribe","success":true,"failed_topics":[],"recovery":{"%s":{"epoch":"%s","offset":%d,"recovered":%t,"count":0}}},"cid":"subscribe-1","v":2}`,
		topic, epoch, offset, recovered))
}

func (p *peer) publish(category, epoch string, offset uint64) {
	p.send(fmt.Sprintf(`{"t":"x","p":{},"id":"i%d","seq":%d,"_msg_cat":"%s","tp":"%s","e":"%s","o":%d,"v":2}`, offset, offset, category, topic, epoch, offset))
}

// wait blocks until the client has closed its side.
func (p *peer) wait() { _, _ = wsutil.ReadClientText(p.conn) }

// outcome is what a run gave.
type outcome struct {
	offsets []uint64
	notices []client.NoticeKind
	err     error
}

// run runs a client until it has seen stopAt publications, or ends by itself.
func (s *server) run(stopAt int, change func(*client.Config)) (o outcome) {
	cfg := client.Config{URL: "http://" + s.addr, Token: client.StaticToken("tok"), Topics: []string{topic}, DialTimeout: 2 * time.Minute,
		RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond}
	cfg.OnNotice = func(n client.Notice) { o.notices = append(o.notices, n.Kind) }
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	require.NoError(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	o.err = c.Run(ctx, func(p client.Publication) error {
		o.offsets = append(o.offsets, p.Position.Offset)
		if len(o.offsets) == stopAt {
			return client.ErrStop
		}
		return nil
	})
	require.NoError(s.t, ctx.Err(), "the run did not end")
	return o
}

func TestPublicationsComeInOrderUntilTheHandlerStops(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := serve(t, func(p *peer) {
		if got := p.head.Get("Authorization"); got != "Bearer tok" {
			t.Errorf("Authorization %q", got)
		}
		if got := p.asked(); got.Epoch != "00000000" {
			t.Errorf("asked from %v", got)
		}
		p.answer("000000aa", 0, false)
		for i := range uint64(3) {
			p.publish("U", "000000aa", i+1)
		}
		p.wait()
	})
	o := s.run(3, nil)
	require.NoError(t, o.err)
	require.Equal(t, []uint64{1, 2, 3}, o.offsets)
	require.Equal(t, []client.NoticeKind{client.Connected}, o.notices, "a first subscription misses nothing")
	<-s.ended // what is left over now is the client's
}

func TestALostConnectionIsMadeAgainFromWhereItStopped(t *testing.T) {
	s := serve(t,
		func(p *peer) {
			p.asked()
			p.answer("000000aa", 7, false)
			p.publish("U", "000000aa", 8)
		},
		func(p *peer) {
			if got := p.asked(); got != (client.Position{Epoch: "000000aa", Offset: 8}) {
				t.Errorf("asked from %v", got)
			}
			p.answer("000000aa", 9, true)
			p.publish("U", "000000aa", 9)
			p.close(1012)
		},
		func(p *peer) {
			if got := p.asked(); got != (client.Position{Epoch: "000000aa", Offset: 9}) {
				t.Errorf("asked from %v", got)
			}
			p.answer("000000bb", 1, false)
			p.publish("U", "000000bb", 2)
			p.wait()
		})
	o := s.run(3, nil)
	require.NoError(t, o.err)
	require.Equal(t, []uint64{8, 9, 2}, o.offsets)
	require.Equal(t, []client.NoticeKind{client.Connected, client.Disconnected, client.Connected, client.Disconnected, client.Gap, client.Connected}, o.notices)
}

func TestAQuietTopicIsRecoveredToo(t *testing.T) {
	s := serve(t,
		func(p *peer) {
			p.asked()
			p.answer("000000aa", 7, false)
			p.send(`{"t":"snapshot_complete","p":{},"v":2}`)
		},
		func(p *peer) {
			if got := p.asked(); got != (client.Position{Epoch: "000000aa", Offset: 7}) {
				t.Errorf("asked from %v", got)
			}
			p.answer("000000aa", 8, true)
			p.publish("U", "000000aa", 8)
			p.wait()
		})
	require.Equal(t, []uint64{8}, s.run(1, nil).offsets)
}

func TestALossWithinTheSnapshotsAsksForThemAgain(t *testing.T) {
	s := serve(t,
		func(p *peer) {
			p.asked()
			p.answer("000000aa", 7, false)
			p.publish("S", "000000aa", 3) // the first of more
		},
		func(p *peer) {
			if got := p.asked(); got.Epoch != "00000000" {
				t.Errorf("asked from %v", got)
			}
			p.answer("000000aa", 7, false)
			p.publish("S", "000000aa", 3)
			p.publish("S", "000000aa", 5)
			p.wait()
		})
	require.Equal(t, []uint64{3, 3, 5}, s.run(3, nil).offsets)
}

// restart tells that the topic does not go on, with what there is or without it.
func (p *peer) restart(epoch string, offset uint64, success bool) {
	p.send(fmt.Sprintf(`{"t":"subscription_update","p":{"action":"recover","success":%t,"failed_topics":[],"recovery":{"%s":{"epoch":"%s","offset":%d,"recovered":false,"count":0}}},"v":2}`,
		success, topic, epoch, offset))
}

func (p *peer) complete() {
	p.send(fmt.Sprintf(`{"t":"snapshot_complete","p":{"details":{"topics":["%s"]}},"v":2}`, topic))
}

func TestATopicThatDoesNotGoOnIsAGapAndIsReadFromThereOn(t *testing.T) {
	s := serve(t,
		func(p *peer) {
			p.asked()
			p.answer("000000aa", 7, false)
			p.complete()
			p.publish("U", "000000aa", 8)
			p.restart("000000bb", 3, true)
			p.publish("S", "000000bb", 2)
			p.send(`{"t":"heartbeat","p":{},"v":2}`) // may overtake what is sealed frame by frame
			p.complete()
		},
		func(p *peer) {
			if got := p.asked(); got != (client.Position{Epoch: "000000bb", Offset: 3}) {
				t.Errorf("asked from %v", got)
			}
			p.answer("000000bb", 3, true)
			p.restart("000000cc", 9, true)
			p.publish("S", "000000cc", 4) // and lost within the snapshots
			p.send(`{"t":"heartbeat","p":{},"v":2}`)
		},
		func(p *peer) {
			if got := p.asked(); got != (client.Position{Epoch: "000000bb", Offset: 3}) {
				t.Errorf("asked from %v", got)
			}
			p.answer("000000cc", 9, false)
			p.publish("S", "000000cc", 4)
			p.wait()
		})
	o := s.run(4, nil)
	require.Equal(t, []uint64{8, 2, 4, 4}, o.offsets)
	require.Equal(t, []client.NoticeKind{client.Connected, client.Gap, client.Disconnected, client.Connected, client.Gap, client.Disconnected, client.Gap, client.Connected}, o.notices)
}

func TestWhatIsWithheldOfATopicThatDoesNotGoOnIsAskedFor(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.asked()
		p.answer("000000aa", 7, false)
		p.complete()
		p.restart("000000bb", 3, false)
		raw, err := wsutil.ReadClientText(p.conn)
		if err != nil || !strings.Contains(string(raw), `"epoch":"00000000"`) || !strings.Contains(string(raw), `"id":"again-1"`) {
			t.Errorf("asked %s: %v", raw, err)
		}
		p.send(fmt.Sprintf(`{"t":"subscription_update","p":{"action":"subscribe","success":true,"failed_topics":[],"already_subscribed":["%[1]s"],"recovery":{"%[1]s":{"epoch":"000000bb","offset":4,"recovered":false,"count":0}}},"cid":"again-1","v":2}`, topic))
		p.publish("S", "000000bb", 2)
		p.complete()
	}, func(p *peer) {
		if got := p.asked(); got != (client.Position{Epoch: "000000bb", Offset: 4}) {
			t.Errorf("asked from %v", got)
		}
		p.answer("000000bb", 4, true)
		p.publish("U", "000000bb", 5)
		p.wait()
	})
	o := s.run(2, nil)
	require.Equal(t, []uint64{2, 5}, o.offsets)
	require.Equal(t, []client.NoticeKind{client.Connected, client.Gap, client.Disconnected, client.Connected}, o.notices)
}

func TestWhatIsWithheldOfATopicWithoutHistoryIsSynced(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.asked()
		p.answer("00000000", 7, false)
		p.restart("00000000", 3, false)
		raw, err := wsutil.ReadClientText(p.conn)
		if err != nil || !strings.Contains(string(raw), `"t":"sync_request"`) || !strings.Contains(string(raw), topic) {
			t.Errorf("asked %s: %v", raw, err)
		}
		p.send(`{"t":"error","p":{"code":"RATE_LIMITED","message":"later","recoverable":true},"cid":"again-1","v":2}`)
	}, func(p *peer) {
		if got := p.asked(); got != (client.Position{Epoch: "00000000", Offset: 3}) {
			t.Errorf("asked from %v", got)
		}
		p.answer("00000000", 4, false)
		p.publish("S", "00000000", 4)
		p.wait()
	})
	require.Equal(t, []uint64{4}, s.run(1, nil).offsets)
}

func TestReadingCanBeginAtAPosition(t *testing.T) {
	from := client.Position{Epoch: "000000aa", Offset: 4}
	s := serve(t, func(p *peer) {
		if got := p.asked(); got != from {
			t.Errorf("asked from %v", got)
		}
		p.answer("000000aa", 5, true)
		p.publish("U", "000000aa", 5)
		p.wait()
	})
	o := s.run(1, func(c *client.Config) { c.From = map[string]client.Position{topic: from} })
	require.Equal(t, []uint64{5}, o.offsets)
}

func TestWhatCannotGetBetterEndsTheRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(*peer)
		says   string
	}{
		{"a refused token", func(p *peer) {
			p.send(`{"t":"error","p":{"code":"AUTH_FAILED","message":"the token is refused","recoverable":false}}`)
			p.close(4401)
		}, "client: the token is refused (AUTH_FAILED)"},
		{"a refused origin", func(p *peer) { p.close(4403) }, "4403 because"},
		{"a normal close", func(p *peer) { p.close(1000) }, "1000"},
		{"going away", func(p *peer) { p.close(1001) }, "1001"},
		{"a policy violation", func(p *peer) { p.close(1008) }, "1008"},
		{"a refused topic", func(p *peer) {
			p.asked()
			p.send(`{"t":"subscription_update","p":{"failed_topics":[{"topic":"user:u2:x","error":"SUBSCRIPTION_FAILED","reason":"not yours"}]},"cid":"subscribe-1"}`)
			p.wait()
		}, "client: user:u2:x: not yours (SUBSCRIPTION_FAILED)"},
		{"a refused request", func(p *peer) {
			p.asked()
			p.send(`{"t":"error","p":{"code":"INVALID_SUBSCRIPTION","message":"too many","recoverable":false},"cid":"subscribe-1"}`)
			p.wait()
		}, "client: too many (INVALID_SUBSCRIPTION)"},
		{"a first connection that is lost", func(*peer) {}, "connection lost"},
		{"no JSON", func(p *peer) { p.asked(); p.send("hello"); p.wait() }, "not JSON"},
		{"a message too large", func(p *peer) { p.asked(); p.send(`"` + strings.Repeat("x", 5000) + `"`); p.wait() }, "connection lost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := serve(t, tt.script).run(1, func(c *client.Config) { c.MessageBytesMax = 4096 })
			require.ErrorContains(t, o.err, tt.says)
			require.NotContains(t, o.notices, client.ServerFault, "Run's error says it")
		})
	}
}

func TestTheHandlersErrorEndsTheRun(t *testing.T) {
	s := serve(t, func(p *peer) { p.asked(); p.publish("U", "000000aa", 1); p.wait() })
	c, err := client.New(client.Config{URL: "ws://" + s.addr + "/wse", Token: client.StaticToken("tok"), Topics: []string{topic}})
	require.NoError(t, err)
	broken := errors.New("broken pipe")
	require.ErrorIs(t, c.Run(t.Context(), func(client.Publication) error { return broken }), broken)
}

func TestTheEndOfTheContextClosesPolitely(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan ws.StatusCode, 1)
	s := serve(t, func(p *peer) {
		p.asked()
		cancel()
		_, err := wsutil.ReadClientText(p.conn)
		var closed wsutil.ClosedError
		errors.As(err, &closed)
		code <- closed.Code
	})
	c, err := client.New(client.Config{URL: "http://" + s.addr, Topics: []string{topic}})
	require.NoError(t, err)
	require.NoError(t, c.Run(ctx, func(client.Publication) error { return nil }))
	require.Equal(t, ws.StatusNormalClosure, <-code)
}

func TestPingsAreAnswered(t *testing.T) {
	pong := make(chan ws.OpCode, 1)
	s := serve(t, func(p *peer) {
		p.asked()
		_ = ws.WriteFrame(p.conn, ws.NewPingFrame([]byte("x")))
		h, err := ws.ReadHeader(p.conn)
		if err != nil {
			t.Error(err)
		}
		pong <- h.OpCode
		_, _ = io.CopyN(io.Discard, p.conn, h.Length)
		p.publish("U", "000000aa", 1)
		p.wait()
	})
	require.NoError(t, s.run(1, nil).err)
	require.Equal(t, ws.OpPong, <-pong)
}

func TestATokenThatHasRunOutIsRenewedInPlace(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.asked()
		p.send(`{"t":"error","p":{"code":"AUTH_EXPIRED","message":"it ran out","recoverable":true},"v":2}`)
		raw, err := wsutil.ReadClientText(p.conn)
		if err != nil || !strings.Contains(string(raw), `"token":"token-2"`) {
			t.Errorf("%s, %v", raw, err)
		}
		p.publish("U", "000000aa", 1)
		p.wait()
	})
	calls := 0
	o := s.run(1, func(c *client.Config) {
		c.Token = func(context.Context) (string, error) {
			calls++
			return fmt.Sprintf("token-%d", calls), nil
		}
	})
	require.NoError(t, o.err)
	require.NotContains(t, o.notices, client.ServerFault)
}

func TestATokenThatCannotBeHadEndsTheRun(t *testing.T) {
	none := errors.New("no key")
	c, err := client.New(client.Config{URL: "http://127.0.0.1:1", Topics: []string{topic},
		Token: func(context.Context) (string, error) { return "", none }})
	require.NoError(t, err)
	require.ErrorIs(t, c.Run(t.Context(), nil), none)
}

func TestASilentServerIsLeft(t *testing.T) {
	script := []func(*peer){func(p *peer) { p.asked(); p.answer("000000aa", 0, false); p.wait() }}
	for range 20 { // one that is late is left as well
		script = append(script, func(p *peer) {
			p.send(`{"t":"server_ready","p":{"details":{}},"v":2}`)
			p.publish("U", "000000aa", 1)
			p.wait() // for the request
			p.wait()
		})
	}
	o := serve(t, script...).run(1, func(c *client.Config) { c.IdleTimeout = 3 * time.Second })
	require.NoError(t, o.err)
	require.Contains(t, o.notices, client.Disconnected)
}

func TestAddressesThatAreNoneAreRefused(t *testing.T) {
	for _, address := range []string{"", "localhost", "ftp://h/", "://", "127.0.0.1:80"} {
		_, err := client.New(client.Config{URL: address, Topics: []string{topic}})
		require.ErrorContains(t, err, "client: ", address)
	}
	_, err := client.New(client.Config{URL: "http://127.0.0.1"})
	require.ErrorContains(t, err, "no topic")
}

func TestAnEngineThatIsNotThereIsAnErrorAtOnce(t *testing.T) {
	c, err := client.New(client.Config{URL: "http://127.0.0.1:1", Topics: []string{topic}}) // a port that nobody is given by chance
	require.NoError(t, err)
	require.ErrorContains(t, c.Run(t.Context(), nil), "cannot connect to ws://")
}

func TestACloseWithACodeYoungerThanTheRFCIsUnderstoodAndAnswered(t *testing.T) {
	answered := make(chan ws.StatusCode, 1)
	s := serve(t,
		func(p *peer) {
			p.asked()
			p.answer("000000aa", 0, false)
			p.close(1012)
			h, err := ws.ReadHeader(p.conn)
			if err != nil || h.Length > 125 {
				t.Errorf("no close frame came: %v, %+v", err, h)
			}
			payload := make([]byte, h.Length)
			if _, err := io.ReadFull(p.conn, payload); err != nil {
				t.Error(err)
			}
			ws.Cipher(payload, h.Mask, 0)
			code, _ := ws.ParseCloseFrameData(payload)
			answered <- code
		},
		func(p *peer) {
			p.asked()
			p.answer("000000aa", 0, true)
			p.publish("U", "000000aa", 1)
			p.wait()
		})
	var why []string
	require.NoError(t, s.run(1, func(cfg *client.Config) {
		cfg.OnNotice = func(n client.Notice) {
			if n.Kind == client.Disconnected {
				why = append(why, n.Err.Error())
			}
		}
	}).err)
	require.Equal(t, ws.StatusCode(1012), <-answered)
	require.Equal(t, []string{"client: the server closed the connection: 1012 because"}, why)
}

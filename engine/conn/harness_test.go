package conn_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to happen; it is only ever reached where something is broken.
const patience = 2 * time.Minute

// plain is a dialect for tests: a request is a line, a reply its type and content.
type plain struct{}

var _ dialect.Dialect = plain{}

func (plain) Decode(data []byte, binary bool) (*message.Request, error) {
	if bytes.HasPrefix(data, []byte("bad")) {
		return nil, message.Errorf(message.CodeInvalidMessage, "bad request")
	}
	return &message.Request{Type: string(data), Body: &message.Heartbeat{}}, nil
}

func (plain) AppendReply(dst []byte, r *message.Reply) []byte {
	b, err := json.Marshal(r.Body)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(dst, "%T %s", r.Body, b)
}

func (plain) AppendPublication(dst []byte, env *message.Envelope) []byte {
	return append(dst, env.Payload...)
}

// reply is a reply whose text the client can recognise.
func reply(text string) *message.Reply { return &message.Reply{Body: &message.Health{Status: text}} }

// publication is a prepared publication with a text frame in it.
func publication(level message.Level, text string) *message.Outgoing {
	return &message.Outgoing{Frames: frame.AppendFrame(nil, frame.OpText, false, []byte(text)), Count: 1, Level: level}
}

// app is both Gate and Handler: what it does is set by the test.
type app struct {
	admit   func(ctx context.Context, up *conn.Upgrade) conn.Admission
	take    func(c *conn.Conn, bytes int) bool
	request func(c *conn.Conn, r *message.Request, err error)
	event   func(c *conn.Conn, ev conn.Event)

	opened chan *conn.Conn
	closed chan *conn.Conn
}

var (
	_ conn.Gate    = (*app)(nil)
	_ conn.Handler = (*app)(nil)
)

func newApp() *app {
	return &app{opened: make(chan *conn.Conn, 20_000), closed: make(chan *conn.Conn, 20_000)}
}

func (a *app) Admit(ctx context.Context, up *conn.Upgrade) conn.Admission {
	if a.admit != nil {
		return a.admit(ctx, up)
	}
	return a.yes()
}

// yes admits with the app as handler.
func (a *app) yes() conn.Admission {
	return conn.Admission{Handler: a, Encoding: 0, EncodingDeflate: 1}
}

func (a *app) Event(c *conn.Conn, ev conn.Event) {
	if a.event != nil {
		a.event(c, ev)
	}
	switch ev {
	case conn.Opened:
		a.opened <- c
	case conn.Closed:
		a.closed <- c
	}
}

func (a *app) Take(c *conn.Conn, bytes int) bool { return a.take == nil || a.take(c, bytes) }

func (a *app) Request(c *conn.Conn, r *message.Request, err error) {
	if a.request != nil {
		a.request(c, r, err)
		return
	}
	switch {
	case err != nil:
		c.Send(&message.Reply{Body: &message.Failure{Err: message.AsError(err)}})
	default:
		c.Send(reply(r.Type))
	}
}

// setup is what a test can change before the server starts.
type setup struct {
	cfg  conn.Config
	beat conn.Heartbeat
	opts conn.Options
	app  *app
}

// server is a running Server.
type server struct {
	*conn.Server
	app  *app
	addr string
	stop func()
}

func newSetup() *setup {
	s := &setup{cfg: conn.DefaultConfig(), beat: conn.Heartbeat{Interval: time.Hour, IdleTimeout: 2 * time.Hour}, app: newApp()}
	// A test that is about none of these must not be told of them, however long it takes.
	s.cfg.HandshakeTimeout, s.cfg.StallTimeout = time.Hour, time.Hour
	s.opts = conn.Options{
		Addr: "127.0.0.1:0", Gate: s.app, Log: hclog.NewNullLogger(), Tick: 5 * time.Millisecond, Linger: time.Hour,
		Encodings: []dialect.Encoding{
			{Name: "plain", Dialect: plain{}},
			{Name: "plain+deflate", Dialect: plain{}, Deflate: true, DeflateBytesMin: 256},
		},
	}
	return s
}

func (s *setup) start(t testing.TB) *server {
	t.Helper()
	srv, err := conn.New(s.cfg, s.beat, s.opts)
	require.NoError(t, err)
	return s.run(t, srv)
}

// run runs a server until the test ends.
func (s *setup) run(t testing.TB, srv *conn.Server) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return &server{Server: srv, app: s.app, addr: srv.Addr().String(), stop: stop}
}

// bothPollers runs test once on each poller.
func bothPollers(t *testing.T, test func(t *testing.T, s *setup)) {
	for _, name := range []string{"epoll", "goroutines"} {
		if name == "epoll" && runtime.GOOS != "linux" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := newSetup()
			s.opts.Goroutines = name == "goroutines"
			test(t, s)
		})
	}
}

// client is the other end, byte by byte.
type client struct {
	t testing.TB
	net.Conn
	br *bufio.Reader
}

func (s *server) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return &client{t: t, Conn: c, br: bufio.NewReader(c)}
}

// upgradeRequest is a handshake with extra header lines.
func upgradeRequest(path string, extra ...string) string {
	lines := append([]string{
		"GET " + path + " HTTP/1.1", "Host: example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
	}, extra...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// request sends raw bytes and reads an HTTP response.
func (c *client) request(raw string) *http.Response {
	c.t.Helper()
	c.write([]byte(raw))
	return c.response()
}

func (c *client) response() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	require.NoError(c.t, err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(resp.Body)
		require.NoError(c.t, err)
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp
}

// open dials and upgrades.
func (s *server) open(t testing.TB, extra ...string) *client {
	t.Helper()
	c := s.dial(t)
	resp := c.request(upgradeRequest("/", extra...))
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", resp.Header.Get("Sec-WebSocket-Accept"))
	return c
}

func (c *client) write(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	require.NoError(c.t, err)
}

// clientFrame is a masked frame.
func clientFrame(op frame.Opcode, payload string) []byte {
	return frame.AppendMaskedFrame(nil, op, true, false, [4]byte{1, 2, 3, 4}, []byte(payload))
}

func (c *client) sendText(text string) {
	c.t.Helper()
	c.write(clientFrame(frame.OpText, text))
}

// readFrame reads one frame, whatever it is.
func (c *client) readFrame() (op frame.Opcode, rsv1 bool, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.br, head[:]); err != nil {
		return 0, false, nil, err
	}
	require.Zero(c.t, head[1]&0x80, "a server does not mask")
	n := int(head[1])
	ext := map[int]int{126: 2, 127: 8}[n]
	if ext > 0 {
		b := make([]byte, ext)
		if _, err := io.ReadFull(c.br, b); err != nil {
			return 0, false, nil, err
		}
		n = 0
		for _, x := range b {
			n = n<<8 | int(x)
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.br, payload)
	return frame.Opcode(head[0] & 0x0f), head[0]&0x40 != 0, payload, err
}

// expect reads the next data frame and compares its text.
func (c *client) expect(text string) {
	c.t.Helper()
	require.Equal(c.t, text, c.readText())
}

// readText reads the next data frame, past pings and what the server tells on its own.
func (c *client) readText() string {
	c.t.Helper()
	for {
		op, _, payload, err := c.readFrame()
		require.NoError(c.t, err)
		if op == frame.OpText || op == frame.OpBinary {
			return string(payload)
		}
		require.NotEqual(c.t, frame.OpClose, op, "closed: %s", payload)
	}
}

// expectClose reads up to a close frame, checks its code, and returns its reason and the texts before it.
func (c *client) expectClose(code int) (reason string, texts []string) {
	c.t.Helper()
	for {
		op, _, payload, err := c.readFrame()
		require.NoError(c.t, err)
		if op == frame.OpText || op == frame.OpBinary {
			texts = append(texts, string(payload))
		}
		if op != frame.OpClose {
			continue
		}
		if len(payload) == 0 {
			require.Equal(c.t, code, 0)
			return "", texts
		}
		require.Equal(c.t, code, int(payload[0])<<8|int(payload[1]), "reason: %s", payload[2:])
		return string(payload[2:]), texts
	}
}

// expectEOF reads to the end, which must be a proper one.
func (c *client) expectEOF() {
	c.t.Helper()
	rest, err := io.ReadAll(c.br)
	require.NoError(c.t, err)
	require.Empty(c.t, rest)
}

// healthText is how the dialect for tests spells reply(text).
func healthText(text string) string {
	return string(plain{}.AppendReply(nil, reply(text)))
}

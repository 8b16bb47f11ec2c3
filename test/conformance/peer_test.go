package conformance

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The key of RFC 6455 §1.3 and the answer to it.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// peer is a client made of a socket and nothing else.
type peer struct {
	t          *testing.T
	conn       net.Conn
	r          *bufio.Reader
	compressed bool // permessage-deflate was agreed on
	rsv1Seen   int  // messages that came compressed
	sending    chan error
}

// dial opens a TCP connection. It is closed when the test ends.
func (s *server) dial(t *testing.T) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, patience)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &peer{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// connect opens a WebSocket connection to /echo, with more header lines if given.
func (s *server) connect(t *testing.T, lines ...string) *peer {
	t.Helper()
	p := s.dial(t)
	p.write([]byte(upgradeRequest("/echo", lines...)), 0)
	resp := p.response()
	requireUpgraded(t, resp)
	p.compressed = strings.HasPrefix(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	return p
}

// upgradeRequest returns the smallest handshake of RFC 6455 §4.1, and more header lines.
func upgradeRequest(path string, lines ...string) string {
	head := []string{
		"GET " + path + " HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Version: 13",
	}
	return strings.Join(append(head, lines...), "\r\n") + "\r\n\r\n"
}

func requireUpgraded(t *testing.T, resp *http.Response) {
	t.Helper()
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	require.True(t, strings.EqualFold("websocket", resp.Header.Get("Upgrade")), "Upgrade: %s", resp.Header.Get("Upgrade"))
	require.True(t, strings.EqualFold("upgrade", resp.Header.Get("Connection")), "Connection: %s", resp.Header.Get("Connection"))
	require.Empty(t, resp.TransferEncoding)
	require.Empty(t, resp.Header.Get("Content-Length"))
}

// acceptOf computes Sec-WebSocket-Accept (RFC 6455 §4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// response reads the answer to a handshake.
func (p *peer) response() *http.Response {
	p.t.Helper()
	resp, err := http.ReadResponse(p.r, nil)
	require.NoError(p.t, err, "no answer to the handshake")
	return resp
}

// write sends b in pieces of chunk bytes, each in a packet of its own; 0 is all at once.
func (p *peer) write(b []byte, chunk int) {
	p.t.Helper()
	require.NoError(p.t, writeChunked(p.conn, b, chunk))
}

func writeChunked(w io.Writer, b []byte, chunk int) error {
	if chunk <= 0 {
		chunk = max(1, len(b))
	}
	for len(b) > 0 {
		n := min(chunk, len(b))
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// send sends frames in one write.
func (p *peer) send(frames ...frame) {
	p.t.Helper()
	p.write(wire(frames...), 0)
}

// begin sends b from another goroutine, since neither side can buffer large messages; finish waits for it.
func (p *peer) begin(b []byte, chunk int) {
	p.sending = make(chan error, 1)
	go func() { p.sending <- writeChunked(p.conn, b, chunk) }()
}

// finish waits for begin's bytes to be sent.
func (p *peer) finish() error { return <-p.sending }

// next reads a frame; the payload of a compressed one is inflated, so that RSV1 is never set in what it returns. Pings of
// the server's own are none of the cases' business.
func (p *peer) next() (frame, error) {
	for {
		f, err := readFrame(p.r, p.compressed)
		if err == nil && f.rsv&rsv1 != 0 {
			p.rsv1Seen++
			f.rsv = 0
			f.payload, err = inflate(f.payload)
		}
		if err == nil && f.op == opPing {
			continue
		}
		return f, err
	}
}

// expect reads the frames that have to come next.
func (p *peer) expect(want ...frame) {
	p.t.Helper()
	for i, w := range want {
		got, err := p.next()
		require.NoError(p.t, err, "waiting for frame %d, %s", i, w)
		if got.op != w.op || got.notFinal != w.notFinal || !bytes.Equal(got.payload, w.payload) {
			require.FailNow(p.t, "another frame came", "frame %d\nexpected %s\ngot      %s", i, w, got)
		}
	}
}

// expectClose reads a close frame with the given code; 1005 stands for none (RFC 6455 §7.1.5).
func (p *peer) expectClose(code uint16) {
	p.t.Helper()
	f, err := p.next()
	require.NoError(p.t, err, "waiting for close %d", code)
	require.Equal(p.t, byte(opClose), f.op, "expected close %d, got %s", code, f)
	p.requireCode(code, f)
}

func (p *peer) requireCode(code uint16, f frame) {
	p.t.Helper()
	if code == 1005 {
		require.Empty(p.t, f.payload, "a close frame without a code is answered by one without")
		return
	}
	require.GreaterOrEqual(p.t, len(f.payload), 2, "expected close %d, got %s", code, f)
	require.Equal(p.t, int(code), int(binary.BigEndian.Uint16(f.payload)), "%s", f)
	require.True(p.t, validText(f.payload[2:]), "the reason is not UTF-8")
}

// expectEnd waits for the server to close the TCP connection, in order and without a byte more.
func (p *peer) expectEnd() {
	p.t.Helper()
	b, err := p.r.ReadByte()
	if err == nil {
		require.FailNow(p.t, "the server sent more", "after its close frame came %#x", b)
	}
	require.ErrorIs(p.t, err, io.EOF, "the server has to close the TCP connection, in order (RFC 6455 §7.1.1)")
}

// expectGone waits for the TCP connection to end, whether closed or reset, and drops what comes before.
func (p *peer) expectGone() {
	p.t.Helper()
	_, err := io.Copy(io.Discard, p.r)
	if err != nil && !reset(err) {
		require.NoError(p.t, err, "the server did not close the TCP connection")
	}
}

// reset tells whether err says that the other side has closed.
func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// closeNormally does a close handshake that the client begins.
func (p *peer) closeNormally() {
	p.t.Helper()
	p.send(closeWith(1000, "done"))
	p.expectClose(1000)
	p.expectEnd()
}

// deflate compresses a message as RFC 7692 §7.2.1 says.
func deflate(b []byte, level int) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		panic(err) // a level that the standard library does not know
	}
	_, _ = w.Write(b) // a bytes.Buffer takes everything
	_ = w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))
}

// inflate undoes deflate, for a message on its own.
func inflate(b []byte) ([]byte, error) {
	tail := "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b), strings.NewReader(tail))))
}

// exchange is a case of frames sent and frames expected.
type exchange struct {
	name  string
	send  []frame
	raw   []byte  // sent instead of send, if set
	chunk int     // bytes a packet; 0: all at once
	want  []frame // what comes back, in order
	code  uint16  // the close code the server must fail the connection with; 0: it lives on and closes in order
	after []byte  // sent after the fault, and ignored
}

func (e exchange) scenario() scenario { return scenario{e.name, e.run} }

func (e exchange) run(t *testing.T, s *server) {
	p := s.connect(t)
	e.play(p)
}

// play runs e over an open connection.
func (e exchange) play(p *peer) {
	p.t.Helper()
	b := e.raw
	if b == nil {
		b = wire(e.send...)
	}
	p.begin(append(b, e.after...), e.chunk)
	p.expect(e.want...)
	if e.code == 0 {
		require.NoError(p.t, p.finish())
		p.closeNormally()
		return
	}
	p.expectClose(e.code)
	if e.after == nil && e.chunk == 0 {
		p.expectEnd()
	} else {
		p.expectGone() // bytes that nobody reads any more may turn the close into a reset
	}
	if err := p.finish(); err != nil {
		require.True(p.t, reset(err), "%v", err)
	}
}

// scenarios turns exchanges into cases.
func scenarios(list []exchange) []scenario {
	out := make([]scenario, len(list))
	for i, e := range list {
		out[i] = e.scenario()
	}
	return out
}

package conformance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limitCase needs a server with a configuration of its own.
type limitCase struct {
	name string
	run  func(t *testing.T, poller string)
}

func limits() []limitCase {
	return []limitCase{
		{"RFC 6455 §10.4: a frame over frame_kib_max is refused at its header", frameLimit},
		{"RFC 6455 §10.4: fragments that add up to more than message_kib_max are refused", messageLimit},
		{"RFC 6455 §10.4: a message over message_kib_max after inflation is refused", inflationLimit},
		{"RFC 6455 §10.4: 10,000 half frames take no more memory than partial_mib_max", halfFrames},
		{"RFC 6455 §10.3: half a handshake is ended by the deadline", halfHandshake},
		{"RFC 6455 §10.3: a handshake that trickles in does not put the deadline off", trickle},
		{"RFC 6455 §10.3: a connection that says nothing is ended by the deadline", silence},
		{"RFC 6455 §10.3: no more than handshakes_max are unfinished, and upgraded connections do not mind", unfinished},
		{"RFC 6455 §7.1.5: a drained connection is closed with 1012 and may close at the same time", drained},
		{"RFC 6455 §5.5.1: a client that does not answer the close is let go after close_timeout", unanswered},
		{"RFC 6455 §5.4: a client that sends much and reads nothing is not read any more", pushback},
	}
}

func frameLimit(t *testing.T, poller string) {
	s := start(t, poller, "limits.frame_kib_max=64", "limits.message_kib_max=128")
	b := octets(64 << 10)
	exchange{send: []frame{binaryFrame(b)}, want: []frame{binaryFrame(b)}}.run(t, s)
	exchange{raw: binaryFrame(nil).announcing(64<<10 + 1).bytes(), code: 1009}.run(t, s)
	exchange{raw: wire(text("").more(), continuation("").announcing(64<<10+1)), code: 1009}.run(t, s)
}

func messageLimit(t *testing.T, poller string) {
	s := start(t, poller, "limits.frame_kib_max=64", "limits.message_kib_max=128")
	b := octets(128 << 10)
	exchange{send: split(b, 64<<10), want: []frame{binaryFrame(b)}}.run(t, s)
	exchange{send: split(b, 1<<10), want: []frame{binaryFrame(b)}}.run(t, s)
	over := split(octets(128<<10+1), 64<<10)
	exchange{send: over, code: 1009}.run(t, s)
	header := over[2].announcing(1).bytes()
	exchange{raw: append(wire(over[:2]...), header[:6]...), code: 1009}.run(t, s)
}

func inflationLimit(t *testing.T, poller string) {
	s := start(t, poller, "limits.frame_kib_max=64", "limits.message_kib_max=128")
	exchange{send: []frame{binaryFrame(bomb(128 << 10)).with(rsv1)}, want: []frame{binaryFrame(make([]byte, 128<<10))}}.play(s.compressedConnection(t))
	exchange{send: []frame{binaryFrame(bomb(128<<10 + 1)).with(rsv1)}, code: 1009}.play(s.compressedConnection(t))
}

// halfFrames opens 10,000 connections that each send 32 KiB of a frame of a megabyte, 312 MiB in all, to a server that may
// keep 16 MiB. It must stay near that, tell those it has no room for, and serve the others as before.
func halfFrames(t *testing.T, poller string) {
	if runtime.GOOS != "linux" {
		t.Skip("resident memory is read from /proc, which only Linux has")
	}
	const clients, partKiB, keepMiB, roomMiB = 10_000, 32, 16, 128
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	require.Greater(t, files.Cur, uint64(clients+500), "raise the limit of open files (ulimit -n) to %d or more", clients+500)
	s := start(t, poller, fmt.Sprintf("limits.partial_mib_max=%d", keepMiB), "limits.close_timeout=10m")
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = s.connect(t)
		require.NoError(t, peers[i].conn.SetDeadline(time.Now().Add(3*patience)))
	}
	witness := s.connect(t)
	before := s.residentBytes(t)
	part := binaryFrame(octets(partKiB << 10)).announcing(1 << 20).bytes()
	for _, p := range peers {
		p.write(part, 0)
	}
	witness.send(text("undisturbed"))
	witness.expect(text("undisturbed"))
	witness.closeNormally()
	grown := s.residentBytes(t) - before
	refused := 0
	for _, p := range peers {
		require.NoError(t, p.conn.(*net.TCPConn).CloseWrite())
		f, err := p.next()
		if err == nil && f.op == opClose {
			p.requireCode(1013, f)
			refused++
		}
		p.conn.Close()
	}
	grown = max(grown, s.residentBytes(t)-before)
	t.Logf("%d half frames of %d KiB: %d were told to try again later, %d MiB more resident", clients, partKiB, refused, grown>>20)
	require.Less(t, grown, roomMiB<<20, "of 312 MiB %d may be kept; the rest is the collector's slack and the poller's own", keepMiB)
	require.GreaterOrEqual(t, refused, clients-keepMiB<<10/partKiB, "there was no room for more")
	require.Less(t, refused, clients, "there was room for some")
	s.requireRunning(t)
}

const deadline = 3 * time.Second

// requireEnds waits for the server to end p's connection, after about the deadline, whether or not it says 408 before.
func requireEnds(t *testing.T, p *peer, began time.Time) {
	t.Helper()
	answer, err := io.ReadAll(p.r)
	if err != nil && !reset(err) {
		require.NoError(t, err, "the server keeps the connection")
	}
	require.GreaterOrEqual(t, time.Since(began), deadline/2, "it was ended too early: %q", answer)
	if len(answer) > 0 {
		require.Contains(t, string(answer), "408")
	}
}

func halfHandshake(t *testing.T, poller string) {
	s := start(t, poller, "limits.handshake_timeout="+deadline.String())
	began := time.Now()
	var peers []*peer
	for _, n := range []int{1, 4, 30, 100, len(upgradeRequest("/echo")) - 1} {
		p := s.dial(t)
		p.write([]byte(upgradeRequest("/echo")[:n]), 0)
		peers = append(peers, p)
	}
	open := s.connect(t)
	for _, p := range peers {
		requireEnds(t, p, began)
	}
	open.send(text("undisturbed"))
	open.expect(text("undisturbed"))
	open.closeNormally()
}

func trickle(t *testing.T, poller string) {
	s := start(t, poller, "limits.handshake_timeout="+deadline.String())
	began := time.Now() // before the server's deadline does
	p := s.dial(t)
	request := []byte(upgradeRequest("/echo", "X-Padding: "+repeat(400)))
	var written atomic.Int64
	ended := make(chan struct{})
	go func() {
		tick := time.NewTicker(deadline / 20)
		defer tick.Stop()
		for _, b := range request {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
			if _, err := p.conn.Write([]byte{b}); err != nil {
				return
			}
			written.Add(1)
		}
	}()
	requireEnds(t, p, began)
	close(ended)
	require.Less(t, written.Load(), int64(len(request)/2), "each octet put the deadline off")
}

func silence(t *testing.T, poller string) {
	s := start(t, poller, "limits.handshake_timeout="+deadline.String())
	began := time.Now()
	requireEnds(t, s.dial(t), began)
}

func unfinished(t *testing.T, poller string) {
	const most = 8
	s := start(t, poller, "limits.handshake_timeout=10m", fmt.Sprintf("limits.handshakes_max=%d", most))
	open := s.connect(t)
	var peers []*peer
	request := []byte(upgradeRequest("/echo"))
	for range 3 * most {
		p := s.dial(t)
		_, _ = p.conn.Write(request[:12]) // it may be refused by now
		peers = append(peers, p)
	}
	open.send(text("undisturbed"))
	open.expect(text("undisturbed"))
	answers := make(chan string)
	for _, p := range peers {
		go func() {
			answer, _ := io.ReadAll(p.r) // whether it ends by a reset or not
			answers <- string(answer)
		}()
	}
	for range 2 * most {
		require.NotContains(t, <-answers, "101 Switching", "over the limit, connections are refused at once")
	}
	for _, p := range peers {
		_, _ = p.conn.Write(append(request[12:len(request):len(request)], wire(closeWith(1000, ""))...)) // most are gone
	}
	finished := 0
	for range most {
		if strings.Contains(<-answers, "101 Switching") {
			finished++
		}
	}
	require.Positive(t, finished, "within the limit, they may take their time")
	open.closeNormally()
	s.requireRunning(t)
}

func drained(t *testing.T, poller string) {
	s := start(t, poller, "limits.drain_jitter=0s", "limits.close_timeout=1m")
	polite, hasty, last := s.connect(t), s.connect(t), s.connect(t)
	s.leave()
	polite.expectClose(1012)
	polite.send(closeWith(1012, ""))
	polite.expectEnd()
	hasty.send(closeWith(1000, "at the same time"))
	f, err := hasty.next()
	require.NoError(t, err)
	require.Equal(t, byte(opClose), f.op)
	hasty.expectGone()
	last.expectClose(1012)
	require.NoError(t, last.conn.Close())
}

func unanswered(t *testing.T, poller string) {
	s := start(t, poller, "limits.drain_jitter=0s", "limits.close_timeout=300ms", "limits.drain_timeout=10m")
	p := s.connect(t)
	s.leave()
	p.expectClose(1012)
	p.expectEnd()
}

// pushback sends 256 MiB that nobody reads back. The server must stop reading instead of keeping them.
func pushback(t *testing.T, poller string) {
	if runtime.GOOS != "linux" {
		t.Skip("resident memory is read from /proc, which only Linux has")
	}
	s := start(t, poller)
	p := s.connect(t)
	before := s.residentBytes(t)
	message := binaryFrame(octets(64 << 10)).bytes()
	require.NoError(t, p.conn.SetWriteDeadline(time.Now().Add(2*time.Second)))
	sent := 0
	for ; sent < 256<<20; sent += len(message) {
		if _, err := p.conn.Write(message); err != nil {
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			break
		}
	}
	require.Less(t, sent, 256<<20, "the server read everything though nobody reads what it answers")
	require.Less(t, s.residentBytes(t)-before, 64<<20)
	resp, err := http.Get("http://" + s.addr + "/healthz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	s.requireRunning(t)
}

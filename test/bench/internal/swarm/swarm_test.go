package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func frameOf(opcode byte, body []byte) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(body); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, body...)
}

func TestFramesOfEveryLengthFormAreCut(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 200_000} {
		whole := append(frameOf(opText, bytes.Repeat([]byte{'a'}, n)), "next"...)
		opcode, body, rest, ok := cutFrame(whole)
		require.True(t, ok)
		require.Equal(t, byte(opText), opcode)
		require.Len(t, body, n)
		require.Equal(t, "next", string(rest))
		for _, short := range []int{0, 1, 2, 3, 9, len(whole) - 5} {
			if short < len(whole)-4 {
				_, _, _, ok = cutFrame(whole[:short])
				require.False(t, ok, "%d of %d bytes", short, n)
			}
		}
	}
}

// serve runs a server that hands each connection to f.
func serve(t *testing.T, f func(*websocket.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var upgrader websocket.Upgrader
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "refuse") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err == nil {
			go f(ws)
		}
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func started(t *testing.T) *Swarm {
	t.Helper()
	s, err := New()
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func request(int) []byte { return UpgradeRequest("/wse") }

func TestClientsReceiveMessagesHoweverTheyAreCutAndAnswerPings(t *testing.T) {
	big := strings.Repeat("b", 70_000)
	pongs := make(chan string, 100)
	addr := serve(t, func(ws *websocket.Conn) {
		ws.SetPongHandler(func(text string) error { pongs <- text; return nil })
		for _, text := range []string{"greeting", "one", big, "three"} {
			_ = ws.WriteMessage(websocket.TextMessage, []byte(text))
		}
		_ = ws.WriteMessage(websocket.PingMessage, []byte("are you there"))
		_, _, _ = ws.ReadMessage()
	})
	s := started(t)
	got := make(chan string, 100)
	clients, err := s.Dial(within(t), Config{
		Addr: addr, Request: request, Sources: 2,
		Ready:   func(body []byte) (bool, error) { return string(body) == "greeting", nil },
		Message: func(_ *Client, body []byte, _ int64) { got <- string(body) },
	}, 20)
	require.NoError(t, err)
	require.Len(t, clients, 20)
	counts := map[string]int{}
	for range 60 {
		counts[<-got]++
	}
	require.Equal(t, map[string]int{"one": 20, big: 20, "three": 20}, counts)
	for range 20 {
		require.Equal(t, "are you there", <-pongs)
	}
	lost, _ := s.Lost()
	require.Zero(t, lost)
}

func TestDialReportsARefusal(t *testing.T) {
	addr := serve(t, func(ws *websocket.Conn) { _ = ws.WriteMessage(websocket.TextMessage, []byte("go away")) })
	s := started(t)
	_, err := s.Dial(within(t), Config{Addr: addr, Request: func(int) []byte { return UpgradeRequest("/?refuse") }}, 3)
	require.ErrorContains(t, err, "403")
	_, err = s.Dial(within(t), Config{Addr: addr, Request: request, Ready: func(body []byte) (bool, error) {
		return false, errors.New(string(body))
	}}, 3)
	require.ErrorContains(t, err, "go away")
}

func TestALostConnectionIsCountedWithItsCloseCode(t *testing.T) {
	addr := serve(t, func(ws *websocket.Conn) {
		_, _, _ = ws.ReadMessage()
		_ = ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4503, "too slow"))
	})
	s := started(t)
	gone := make(chan error, 1)
	clients, err := s.Dial(within(t), Config{
		Addr: addr, Request: request, Message: func(*Client, []byte, int64) {}, Lost: func(_ *Client, err error) { gone <- err },
	}, 1)
	require.NoError(t, err)
	s.Do(func() { clients[0].Send([]byte("x")) })
	require.ErrorContains(t, <-gone, "4503 too slow")
	n, err := s.Lost()
	require.Equal(t, 1, n)
	require.ErrorContains(t, err, "4503")
}

func TestAPacedClientReadsItsShareAndAStoppedOneNothing(t *testing.T) {
	const size = 1 << 20
	addr := serve(t, func(ws *websocket.Conn) {
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
		for range size / 1024 {
			if ws.WriteMessage(websocket.TextMessage, make([]byte, 1022)) != nil {
				return
			}
		}
	})
	s := started(t)
	got := make(chan int, size)
	cfg := Config{Addr: addr, Request: request, Message: func(c *Client, _ []byte, _ int64) { got <- c.Key }}
	paced, err := s.Dial(within(t), cfg, 1)
	require.NoError(t, err)
	cfg.Key = 1
	stopped, err := s.Dial(within(t), cfg, 1)
	require.NoError(t, err)
	begun := time.Now() // before the first share
	s.Pace(paced, 100<<10)
	s.Pace(stopped, 0)
	s.Do(func() { paced[0].Send([]byte("go")); stopped[0].Send([]byte("go")) })
	for range 30 { // of a KiB each, at 100 KiB/s
		require.Equal(t, 0, <-got)
	}
	require.Greater(t, time.Since(begun), 200*time.Millisecond)
	s.Hangup(stopped)
	lost, _ := s.Lost()
	require.Zero(t, lost, "what we hang up is not lost")
}

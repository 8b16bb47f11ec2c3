//go:build linux

package netpoll_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/wse-engine/wse/engine/netpoll"
)

// socketsOf returns the descriptors of this process that are connected to peer's address.
func socketsOf(t *testing.T, peer netip.AddrPort) []int {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	var fds []int
	for _, name := range names {
		fd, _ := strconv.Atoi(filepath.Base(name))
		sa, err := unix.Getpeername(fd)
		if in4, ok := sa.(*unix.SockaddrInet4); err == nil && ok && in4.Port == int(peer.Port()) {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestAcceptedSocketsHaveTheOptionsOfTheirListener(t *testing.T) {
	s := serve(t, netpoll.Config{Addr: "127.0.0.1:0", NotSentLowatBytes: 12345, KeepAlive: 77 * time.Second}, echo)
	c := s.dial(t)
	<-s.handlers
	fds := socketsOf(t, netip.MustParseAddrPort(c.LocalAddr().String()))
	require.Len(t, fds, 1)
	for _, o := range []struct {
		name               string
		level, opt, expect int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 12345},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 77},
	} {
		v, err := unix.GetsockoptInt(fds[0], o.level, o.opt)
		require.NoError(t, err, o.name)
		require.Equal(t, o.expect, v, o.name)
	}
	flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC, "a child process must not inherit it")
	flags, err = unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.O_NONBLOCK)
}

func TestWithoutDescriptorsAcceptingRestsAndComesBack(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.Tick = 5 * time.Millisecond
		s := serve(t, cfg, echo)
		// The peer's end exists before the descriptors run out.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		var old unix.Rlimit
		require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
		restore := func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }
		defer restore()
		addr := netip.MustParseAddrPort(s.addr)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}))
		require.ErrorIs(t, <-s.failed, unix.EMFILE)
		restore()
		<-s.handlers
	})
}

func TestTLSConnectionsAreServed(t *testing.T) {
	ts := httptest.NewUnstartedServer(nil)
	ts.StartTLS()
	cert, pool := ts.TLS.Certificates[0], ts.Certificate()
	ts.Close()
	s := serve(t, netpoll.Config{Addr: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}, echo)
	raw := s.dial(t)
	cfg := &tls.Config{ServerName: "example.com", InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			require.True(t, cs.PeerCertificates[0].Equal(pool))
			return nil
		}}
	c := tls.Client(raw, cfg)
	msg := bytes.Repeat([]byte("secret"), 20_000)
	go func() { _, _ = c.Write(msg) }()
	got := make([]byte, len(msg))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, msg, got)
	h := <-s.handlers
	h.sock.Close()
	require.NoError(t, <-h.closed)
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "a close_notify, not a cut line")
}

func TestAPeerThatResetsDoesNotKillTheProcess(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, func(*handler, []byte) {})
		c := s.dial(t)
		h := <-s.handlers
		require.NoError(t, c.SetLinger(0))
		require.NoError(t, c.Close())
		require.Error(t, <-h.closed)
	})
}

func TestEventsOfAnEarlierTenantDoNotReachTheNext(t *testing.T) {
	s := serve(t, netpoll.Config{Addr: "127.0.0.1:0", Loops: 1}, func(h *handler, p []byte) {
		if string(p) == "die" {
			h.sock.Close()
			return
		}
		h.send(p)
	})
	for range 200 {
		a, b := s.dial(t), s.dial(t)
		_, _ = a.Write([]byte("die"))
		_, _ = b.Write([]byte("live"))
		got := make([]byte, 4)
		_, err := io.ReadFull(b, got)
		require.NoError(t, err)
		_ = a.Close()
		_ = b.Close()
	}
}

// BenchmarkWriteLoop compares a socket's Write with what package net offers.
func BenchmarkWriteLoop(b *testing.B) {
	msg := make([]byte, 128)
	b.Run("socket", func(b *testing.B) {
		s := serve(b, netpoll.Config{Addr: "127.0.0.1:0"}, func(*handler, []byte) {})
		c := s.dial(b)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		h := <-s.handlers
		room := make(chan struct{}, 1)
		h.onWritable(func() {
			select {
			case room <- struct{}{}:
			default:
			}
		})
		for b.Loop() {
			h.mu.Lock()
			n, err := h.sock.Write(msg)
			h.mu.Unlock()
			if err != nil {
				b.Fatal(err)
			}
			if n < len(msg) {
				<-room
			}
		}
	})
	b.Run("net.Conn", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		defer ln.Close()
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(b, err)
		defer c.Close()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		sc, err := ln.Accept()
		require.NoError(b, err)
		defer sc.Close()
		for b.Loop() {
			if _, err := sc.Write(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWake measures a wake-up and the Work that follows, through the runtime's poller.
func BenchmarkWake(b *testing.B) {
	w := &worker{work: make(chan int, 1), tick: make(chan time.Time, 1)}
	p, _, err := netpoll.New(netpoll.Config{Addr: "127.0.0.1:0", Loops: 1},
		func(netpoll.Socket, netip.AddrPort, int) netpoll.Handler { return nil }, w)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	for b.Loop() {
		p.Wake(0)
		<-w.work
	}
	cancel()
	require.NoError(b, <-done)
}

package conn_test

import (
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/message"
)

// cpu returns the CPU time this process has used.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drainEvery is how many publications fit into the clients' receive windows, so that nobody else uses the CPU while the
// server's part is measured.
const drainEvery = 100

func (c *client) discard(n int) {
	buf := make([]byte, 64<<10)
	for n > 0 {
		k, err := c.br.Read(buf[:min(n, len(buf))])
		require.NoError(c.t, err)
		n -= k
	}
}

// BenchmarkFanOut measures the CPU of a publication of 128 bytes to 1,000 subscribers, with nothing to coalesce, against
// the bare system calls, and of 16 publications that wait together.
func BenchmarkFanOut(b *testing.B) {
	const subscribers = 1000
	out := publication(message.Normal, strings.Repeat("x", 128))
	measure := func(b *testing.B, clients []*client, publish func(), perOp int) {
		var used time.Duration
		pending := 0
		for i := 0; i < b.N; i++ {
			before := cpu()
			publish()
			used += cpu() - before
			if pending += perOp; pending >= drainEvery {
				for _, c := range clients {
					c.discard(pending * len(out.Frames))
				}
				pending = 0
			}
		}
		for _, c := range clients {
			c.discard(pending * len(out.Frames))
		}
		b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*perOp*subscribers), "cpu-ns/delivery")
	}
	b.Run("bare", func(b *testing.B) {
		fds, clients := bareSockets(b, subscribers)
		b.ResetTimer()
		measure(b, clients, func() {
			for _, fd := range fds {
				if n, err := syscall.Write(fd, out.Frames); n != len(out.Frames) {
					b.Fatal(n, err)
				}
			}
		}, 1)
	})
	for name, burst := range map[string]int{"lane": 1, "lane-16": 16} {
		b.Run(name, func(b *testing.B) {
			s := newSetup()
			s.opts.Loops = 1
			f := &fanout{}
			srv, err := conn.New(s.cfg, s.beat, s.opts)
			require.NoError(b, err)
			srv.Lanes()[0].Attach(f)
			sv := s.run(b, srv)
			clients, conns := openMany(b, sv, subscribers)
			f.conns = conns
			totals, _ := sv.Stats()
			want := totals.MessagesSent
			done := make(chan struct{})
			b.ResetTimer()
			measure(b, clients, func() {
				want += uint64(burst * subscribers)
				for range burst {
					f.publish(out)
				}
				srv.Lanes()[0].Wake(false)
				go func() {
					look := time.NewTicker(200 * time.Microsecond)
					defer look.Stop()
					for totals, _ := sv.Stats(); totals.MessagesSent < want; totals, _ = sv.Stats() {
						<-look.C
					}
					done <- struct{}{}
				}()
				<-done
			}, burst)
		})
	}
}

// bareSockets returns the server's descriptors of n connections that nothing else looks at.
func bareSockets(b *testing.B, n int) ([]int, []*client) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	s := &server{addr: ln.Addr().String()}
	var fds []int
	var clients []*client
	for range n {
		clients = append(clients, s.dial(b))
		sc, err := ln.Accept()
		require.NoError(b, err)
		f, err := sc.(*net.TCPConn).File()
		require.NoError(b, err)
		_ = sc.Close()
		b.Cleanup(func() { _ = f.Close() })
		fds = append(fds, int(f.Fd()))
	}
	return fds, clients
}

// BenchmarkCriticalDuringBroadcast measures how long a critical publication takes to its one subscriber while a background
// broadcast to 2,000 is being written.
func BenchmarkCriticalDuringBroadcast(b *testing.B) {
	s := newSetup()
	s.opts.Loops = 1
	f := &fanout{}
	srv, err := conn.New(s.cfg, s.beat, s.opts)
	require.NoError(b, err)
	lane := srv.Lanes()[0]
	lane.Attach(f)
	sv := s.run(b, srv)
	clients, conns := openMany(b, sv, 2001)
	own, ownConn := clients[2000], conns[2000]
	f.conns = conns[:2000]
	out := publication(message.Background, strings.Repeat("x", 512))
	critical := publication(message.Critical, "now")
	var took time.Duration
	for b.Loop() {
		totals, _ := sv.Stats()
		f.publish(out)
		lane.Wake(false)
		for { // until the sweep is under way
			if now, _ := sv.Stats(); now.Writes > totals.Writes {
				break
			}
			runtime.Gosched()
		}
		at := time.Now()
		f.mu.Lock()
		f.urgent = append(f.urgent, func() { ownConn.Enqueue(critical) })
		f.mu.Unlock()
		lane.Wake(true)
		own.discard(len(critical.Frames))
		took += time.Since(at)
		for _, c := range clients[:2000] {
			c.discard(len(out.Frames))
		}
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/critical")
}

// BenchmarkEcho measures a message in and back.
func BenchmarkEcho(b *testing.B) {
	for _, name := range []string{"epoll", "goroutines"} {
		b.Run(name, func(b *testing.B) {
			s := newSetup()
			s.opts.Goroutines = name == "goroutines"
			srv := s.start(b)
			c := srv.open(b)
			msg := clientFrame(1, strings.Repeat("x", 128))
			n := len(publication(0, healthText(strings.Repeat("x", 128))).Frames)
			for b.Loop() {
				c.write(msg)
				c.discard(n)
			}
		})
	}
}

// TestAnIdleConnectionIsSmall bounds the heap of 2,000 idle connections: the server's part, without the kernel's. The
// clients are bare descriptors, so that they cost nothing here.
func TestAnIdleConnectionIsSmall(t *testing.T) {
	const n = 2000
	s := newSetup()
	srv := s.start(t)
	addr := srv.Addr().(*net.TCPAddr)
	request := []byte(upgradeRequest("/"))
	fds := make([]int, 0, n)
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
	before := heap()
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		fds = append(fds, fd)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}))
		_, err = unix.Write(fd, request)
		require.NoError(t, err)
	}
	for range n {
		<-srv.app.opened
	}
	perConn := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes of heap per idle connection", perConn)
	require.Less(t, perConn, int64(768))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

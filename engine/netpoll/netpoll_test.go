package netpoll_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/netpoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to happen; it is only ever reached where something is broken.
const patience = 2 * time.Minute

// handler is a netpoll.Handler made of functions.
type handler struct {
	sock     netpoll.Socket
	data     func(*handler, []byte)
	writable atomic.Pointer[func()]
	closed   chan error
	paused   atomic.Bool

	mu      sync.Mutex
	pending []byte
	gone    bool
}

func (h *handler) onWritable(f func()) { h.writable.Store(&f) }

func (h *handler) Data(p []byte) { h.data(h, p) }
func (h *handler) Writable() {
	if f := h.writable.Load(); f != nil {
		(*f)()
		return
	}
	h.send(nil)
}

func (h *handler) Closed(err error) {
	h.mu.Lock()
	h.gone = true
	h.mu.Unlock()
	h.closed <- err
}

// send writes p behind whatever is pending, as a user of the package would.
func (h *handler) send(p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append(h.pending, p...)
	if h.gone || len(h.pending) == 0 {
		return
	}
	n, err := h.sock.Write(h.pending)
	if err != nil {
		h.sock.Close()
		return
	}
	h.pending = h.pending[n:]
}

// echo is what most tests serve.
func echo(h *handler, p []byte) { h.send(p) }

type worker struct {
	work chan int
	tick chan time.Time
}

func (w *worker) Work(loop int) {
	select {
	case w.work <- loop:
	default:
	}
}

func (w *worker) Tick(_ int, now time.Time) {
	select {
	case w.tick <- now:
	default:
	}
}

// server is a running poller.
type server struct {
	*netpoll.Poller
	addr     string
	worker   *worker
	handlers chan *handler
	failed   chan error
	stop     func()
}

// kinds are the two pollers, each as a change to the configuration.
func kinds() map[string]bool { return map[string]bool{"epoll": false, "goroutines": true} }

// bothPollers runs test once on each.
func bothPollers(t *testing.T, test func(t *testing.T, cfg netpoll.Config)) {
	for name, goroutines := range kinds() {
		if name == "epoll" && runtime.GOOS != "linux" {
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, netpoll.Config{Addr: "127.0.0.1:0", Goroutines: goroutines}) })
	}
}

func serve(t testing.TB, cfg netpoll.Config, data func(*handler, []byte)) *server {
	t.Helper()
	s := &server{
		worker:   &worker{work: make(chan int, 1), tick: make(chan time.Time, 1)},
		handlers: make(chan *handler, 1000),
		failed:   make(chan error, 1),
	}
	cfg.AcceptFailed = func(err error) {
		select {
		case s.failed <- err:
		default:
		}
	}
	accept := func(sock netpoll.Socket, remote netip.AddrPort, _ int) netpoll.Handler {
		if !remote.IsValid() {
			t.Error("a connection without an address")
		}
		h := &handler{sock: sock, data: data, closed: make(chan error, 2)}
		s.handlers <- h
		return h
	}
	poller, addr, err := netpoll.New(cfg, accept, s.worker)
	require.NoError(t, err)
	s.Poller, s.addr = poller, addr.String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- poller.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}

func TestWhatIsWrittenComesBack(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, echo)
		c := s.dial(t)
		for _, size := range []int{1, 100, 5000, 200_000} {
			msg := bytes.Repeat([]byte{byte(size)}, size)
			go func() { _, _ = c.Write(msg) }()
			got := make([]byte, size)
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			require.Equal(t, msg, got)
		}
	})
}

func TestManyConnectionsAreServedByAllLoops(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.Loops = 3
		s := serve(t, cfg, echo)
		var conns []net.Conn
		for range 60 {
			conns = append(conns, s.dial(t))
		}
		for i, c := range conns {
			_, err := c.Write([]byte{byte(i)})
			require.NoError(t, err)
		}
		for i, c := range conns {
			var b [1]byte
			_, err := io.ReadFull(c, b[:])
			require.NoError(t, err)
			require.Equal(t, byte(i), b[0])
		}
	})
}

func TestAPeerThatClosesIsToldWithEOF(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, echo)
		c := s.dial(t)
		h := <-s.handlers
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-h.closed, io.EOF)
	})
}

func TestCloseDeliversWhatWasWrittenDespiteUnreadInput(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.Linger = patience // the peer is not done with writing, and takes the time that it takes
		s := serve(t, cfg, func(h *handler, p []byte) {
			h.send([]byte("goodbye"))
			h.sock.Close()
		})
		c := s.dial(t)
		h := <-s.handlers
		_, err := c.Write(make([]byte, 300_000)) // more than one read takes
		require.NoError(t, err)
		require.NoError(t, <-h.closed)
		got, err := io.ReadAll(c)
		require.NoError(t, err, "a reset would take the last bytes away")
		require.Equal(t, "goodbye", string(got))
	})
}

func TestAClosedConnectionDoesNotLingerForever(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.Linger, cfg.Tick = 10*time.Millisecond, 5*time.Millisecond
		s := serve(t, cfg, echo)
		c := s.dial(t)
		h := <-s.handlers
		h.sock.Close()
		require.NoError(t, <-h.closed)
		_, err := io.ReadAll(c)
		require.NoError(t, err)
		// The peer keeps its half open; writing into the void fails once the other half is gone.
		require.Eventually(t, func() bool { _, err := c.Write([]byte("x")); return err != nil }, patience, time.Millisecond)
	})
}

func TestCloseTwiceAndAfterThePeerIsHarmless(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, echo)
		c := s.dial(t)
		h := <-s.handlers
		h.sock.Close()
		h.sock.Close()
		require.NoError(t, <-h.closed)
		h.sock.Close()
		_, err := h.sock.Write([]byte("late"))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = io.ReadAll(c)
		require.NoError(t, err)
		require.Empty(t, h.closed, "Closed is called once")
	})
}

func TestAFullSocketIsShortAndBecomesWritable(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		const total = 32 << 20
		writable := make(chan struct{}, 1)
		s := serve(t, cfg, echo)
		c := s.dial(t)
		h := <-s.handlers
		h.onWritable(func() {
			select {
			case writable <- struct{}{}:
			default:
			}
		})
		chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		sent, short := 0, 0
		var got int64
		read := make(chan struct{})
		for sent < total {
			h.mu.Lock()
			n, err := h.sock.Write(chunk[:min(len(chunk), total-sent)])
			h.mu.Unlock()
			require.NoError(t, err)
			sent += n
			if n == len(chunk) {
				continue
			}
			if short++; short == 1 { // only now does the peer begin to read
				go func() {
					defer close(read)
					got, _ = io.Copy(io.Discard, io.LimitReader(c, total))
				}()
			}
			if sent < total {
				<-writable
			}
		}
		<-read
		require.Positive(t, short)
		require.Equal(t, int64(total), got)
	})
}

func TestWhatThePeerDoesNotReadIsNotHiddenInTheKernel(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.NotSentLowatBytes = 8 << 10
		s := serve(t, cfg, echo)
		c := s.dial(t)
		require.NoError(t, c.SetReadBuffer(4096))
		h := <-s.handlers
		h.onWritable(func() {})
		// Small writes, as messages are: fill it until it takes no more for a while.
		taken := 0
		for quiet := 0; quiet < 2000; {
			h.mu.Lock()
			n, err := h.sock.Write(make([]byte, 512))
			h.mu.Unlock()
			require.NoError(t, err)
			taken += n
			if quiet++; n > 0 {
				quiet = 0
			}
			runtime.Gosched()
		}
		require.Less(t, taken, 256<<10, "the peer's window and a few KiB, not the megabytes of a whole send buffer")
	})
}

func TestAPausedConnectionIsNotRead(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		got := make(chan string, 10)
		s := serve(t, cfg, func(h *handler, p []byte) {
			if h.paused.Load() {
				t.Error("read while paused")
			}
			if string(p) == "stop" {
				h.paused.Store(true)
				h.mu.Lock()
				h.sock.Pause(true)
				h.mu.Unlock()
			}
			got <- string(p)
		})
		c := s.dial(t)
		h := <-s.handlers
		_, err := c.Write([]byte("stop"))
		require.NoError(t, err)
		require.Equal(t, "stop", <-got)
		_, err = c.Write([]byte("more"))
		require.NoError(t, err)
		other := s.dial(t) // the loop has been round when this one was served
		_, err = other.Write([]byte("ping"))
		require.NoError(t, err)
		require.Equal(t, "ping", <-got)
		h.paused.Store(false)
		h.mu.Lock()
		h.sock.Pause(false)
		h.mu.Unlock()
		require.Equal(t, "more", <-got)
	})
}

func TestWakeCallsWorkOnThatLoop(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.Loops = 3
		s := serve(t, cfg, echo)
		require.Equal(t, 3, s.Loops())
		for range 100 {
			for i := range 3 {
				s.Wake(i)
				require.Equal(t, i, <-s.worker.work)
			}
		}
	})
}

func TestTicksComeWithoutAnyTraffic(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		cfg.Tick = time.Millisecond
		s := serve(t, cfg, echo)
		<-s.worker.tick
		<-s.worker.tick
	})
}

func TestAPortInUseIsOneError(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, echo)
		cfg.Addr = s.addr
		_, _, err := netpoll.New(cfg, func(netpoll.Socket, netip.AddrPort, int) netpoll.Handler { return nil }, s.worker)
		require.ErrorContains(t, err, "address already in use")
	})
}

func TestStopAcceptingLeavesConnectionsOpen(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, echo)
		c := s.dial(t)
		<-s.handlers
		s.StopAccepting()
		_, err := net.Dial("tcp", s.addr)
		require.Error(t, err)
		_, err = c.Write([]byte("still here"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 10))
		require.NoError(t, err)
	})
}

func TestRunEndsEveryConnection(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		s := serve(t, cfg, echo)
		var conns []*net.TCPConn
		for range 10 {
			conns = append(conns, s.dial(t))
		}
		var hs []*handler
		for range conns {
			hs = append(hs, <-s.handlers)
		}
		s.stop()
		for i, h := range hs {
			<-h.closed
			_, err := conns[i].Read(make([]byte, 1))
			require.Error(t, err)
			require.False(t, errors.Is(err, context.DeadlineExceeded))
		}
	})
}

func TestAHandlerlessConnectionIsClosed(t *testing.T) {
	bothPollers(t, func(t *testing.T, cfg netpoll.Config) {
		w := &worker{}
		poller, addr, err := netpoll.New(cfg, func(netpoll.Socket, netip.AddrPort, int) netpoll.Handler { return nil }, w)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- poller.Run(ctx) }()
		c, err := net.Dial("tcp", addr.String())
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		cancel()
		require.NoError(t, <-done)
	})
}

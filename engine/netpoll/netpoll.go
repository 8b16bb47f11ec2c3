package netpoll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"
)

// Socket is one connection's way out.
//
// Write never blocks. It returns how many bytes were taken; if those are fewer than len(p) and err is nil, there is no
// room for more now and the handler's Writable will be called when there is. Pause stops and restarts reading. Close
// sends what was written, says so to the peer, drops what still comes in for a short time so that the peer gets to read
// its last bytes, and closes; the handler's Closed is called soon, without an error.
type Socket interface {
	Write(p []byte) (n int, err error)
	Pause(stop bool)
	Close()
}

// Handler is what is told of a connection's life. The methods must not block.
//
// Data passes on what was read; p is valid during the call only and may be written to. Writable says that a socket whose
// Write was short has room; it may come when nothing waits to be written. Closed is the last call: with io.EOF if the
// peer closed, with another error if the connection failed, with nil after Close.
type Handler interface {
	Data(p []byte)
	Writable()
	Closed(err error)
}

// Ender is a Handler that may answer a peer that has closed its side of the connection and listens still. Ended is asked when
// that has happened: with true the connection stays until Socket.Close, which the handler promises to call soon, and the
// handler has stopped reading before it returns. Else, and without Ended, Closed is called with io.EOF.
type Ender interface {
	Ended() bool
}

// ended asks a handler whether a connection whose peer sends no more is kept.
func ended(h Handler) bool {
	e, ok := h.(Ender)
	return ok && e.Ended()
}

// Worker is what runs on the loops beside connections.
//
// Work is called soon after Wake, once for any number of them. Tick is called about every Config.Tick.
type Worker interface {
	Work(loop int)
	Tick(loop int, now time.Time)
}

// AcceptFunc makes the handler of a new connection that belongs to loop. It may already write and close; it must not
// block. With nil the connection is closed at once.
type AcceptFunc func(s Socket, remote netip.AddrPort, loop int) Handler

// Config says where to listen and how. The zero values of the sizes and times stand for the defaults named.
type Config struct {
	Addr       string      // host:port to listen on
	Loops      int         // how many loops; default max(1, GOMAXPROCS-1)
	Goroutines bool        // a goroutine per connection, where epoll would be used otherwise
	TLS        *tls.Config // serve TLS, with a goroutine per connection

	// NotSentLowatBytes is TCP_NOTSENT_LOWAT: how much the kernel takes beyond what it can send, default 16 KiB. What it
	// takes can be neither reordered nor dropped any more, so that priorities act only behind it.
	NotSentLowatBytes int
	ReadBytes         int           // the buffer of one read, default 64 KiB
	Tick              time.Duration // between two Ticks, default 250 ms
	KeepAlive         time.Duration // idle time before TCP keepalive probes, default 30 s
	Linger            time.Duration // how long a closed connection still reads, default 1 s

	// NotTLS returns what to answer, in the clear, to a peer whose first five bytes are no TLS; nil where there is nothing to
	// say. It must not block. Optional.
	NotTLS func(first [5]byte) []byte

	// AcceptFailed is told when connections cannot be accepted (no descriptors left, for example), once for each time
	// that accepting rests for it. It must not block. Optional.
	AcceptFailed func(error)
}

func (c Config) withDefaults() Config {
	setDefault(&c.Loops, max(1, runtime.GOMAXPROCS(0)-1))
	setDefault(&c.NotSentLowatBytes, 16<<10)
	setDefault(&c.ReadBytes, 64<<10)
	setDefault(&c.Tick, 250*time.Millisecond)
	setDefault(&c.KeepAlive, 30*time.Second)
	setDefault(&c.Linger, time.Second)
	if c.AcceptFailed == nil {
		c.AcceptFailed = func(error) {}
	}
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Poller listens and runs the loops.
type Poller struct {
	impl  poller
	loops int
}

// poller is what the two implementations have in common.
type poller interface {
	run(ctx context.Context) error
	wake(loop int)
	stopAccepting()
}

// New listens on cfg.Addr. Nothing is accepted before Run. The listener is closed when Run returns, or by
// StopAccepting.
func New(cfg Config, accept AcceptFunc, worker Worker) (*Poller, net.Addr, error) {
	if accept == nil || worker == nil {
		return nil, nil, errors.New("netpoll: accept and worker must not be nil")
	}
	cfg = cfg.withDefaults()
	lc := net.ListenConfig{KeepAlive: cfg.KeepAlive}
	ln, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, nil, fmt.Errorf("netpoll: %w", err)
	}
	addr := ln.Addr()
	var impl poller
	if haveEpoll && cfg.TLS == nil && !cfg.Goroutines {
		impl, err = newEpollPoller(cfg, ln, accept, worker)
	} else {
		impl = newGoPoller(cfg, ln, accept, worker)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("netpoll: %w", err)
	}
	return &Poller{impl: impl, loops: cfg.Loops}, addr, nil
}

// Run accepts connections and serves them until ctx is done. Then it closes all of them, each with its Closed, and
// returns when nothing of it is left. It is called once.
func (p *Poller) Run(ctx context.Context) error { return p.impl.run(ctx) }

// Loops returns how many loops there are; they are numbered from 0.
func (p *Poller) Loops() int { return p.loops }

// Wake has the worker's Work called on loop soon. It is cheap while the loop is busy.
func (p *Poller) Wake(loop int) { p.impl.wake(loop) }

// StopAccepting closes the listener; connections go on.
func (p *Poller) StopAccepting() { p.impl.stopAccepting() }

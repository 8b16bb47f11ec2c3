// Package swarm holds many WebSocket clients in one process at little cost: raw sockets on one epoll descriptor, read by
// one goroutine. It is the load generator of the benchmarks, so it does only what they need: it connects, reads frames,
// answers pings, and can read slowly or not at all. It runs on Linux only.
//
// Ownership: everything of a [Client] but its Index and Key belongs to the swarm's goroutine once the client is connected;
// Message, Ready and the functions given to [Swarm.Do] run there. Dial, Do, Pace and Close may be called from any
// goroutine but that one.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// readBytes is the buffer of one read, shared by all clients: large enough to take a burst in one call.
const readBytes = 256 << 10

// paceTick is how often slow readers read.
const paceTick = 20 * time.Millisecond

// unfinishedMax is how many handshakes are under way at once, well below what servers tolerate.
const unfinishedMax = 64

// wakeIndex marks the descriptor that wakes the goroutine among the epoll events.
const wakeIndex = -1

// Swarm is a set of clients and the goroutine that reads for them.
type Swarm struct {
	ep, wake int
	done     chan struct{}
	lost     atomic.Int64

	mu       sync.Mutex
	tasks    []func()  // guarded by mu: what Do handed in
	clients  []*Client // guarded by mu: appended by Dial, read by the goroutine; the index is in the epoll data
	firstErr error     // guarded by mu: why the first client was lost
	closed   bool      // guarded by mu

	// The rest belongs to the goroutine.
	paced  []*Client
	buf    []byte
	nextAt time.Time
	now    int64
}

// Config says how clients connect and who hears what they receive.
type Config struct {
	// Addr is the server.
	Addr netip.AddrPort
	// Request makes the upgrade request of client i, see [UpgradeRequest].
	Request func(i int) []byte
	// Ready is given each data message until it returns true, when the client is connected, or an error, when it never
	// will be. Nil: after the upgrade.
	Ready func(body []byte) (bool, error)
	// Message is given each data message after that, with the time of the read in Unix nanoseconds. body is valid during
	// the call only.
	Message func(c *Client, body []byte, now int64)
	// Lost is told of a client whose connection ended without Close. Optional.
	Lost func(c *Client, err error)
	// ReceiveBytes is SO_RCVBUF, 0: the system's default. Slow links hold little; a default receive buffer holds 128 KiB.
	ReceiveBytes int
	// Sources spreads the clients over the source addresses 127.0.0.1 to 127.0.0.Sources, so that ports last; 0: one.
	Sources int
	// Key is copied into each client, to tell sets of clients apart.
	Key int
}

// New makes a swarm and starts its goroutine. Close ends it.
func New() (*Swarm, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("swarm: epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("swarm: eventfd: %w", err), unix.Close(ep))
	}
	s := &Swarm{ep: ep, wake: wake, done: make(chan struct{}), buf: make([]byte, readBytes)}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeIndex}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &event); err != nil {
		return nil, errors.Join(fmt.Errorf("swarm: epoll: %w", err), unix.Close(ep), unix.Close(wake))
	}
	go s.run()
	return s, nil
}

// Dial connects n clients and returns when all of them are ready, or with the first error.
func (s *Swarm) Dial(ctx context.Context, cfg Config, n int) ([]*Client, error) {
	tokens := make(chan struct{}, unfinishedMax)
	clients := make([]*Client, 0, n)
	failed := make(chan error, n)
	for i := range n {
		select {
		case tokens <- struct{}{}:
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("swarm: %d of %d clients connected: %w", i, n, ctx.Err())
		}
		c := &Client{Index: i, Key: cfg.Key, cfg: &cfg, swarm: s}
		c.settled = func(err error) {
			if err != nil {
				failed <- fmt.Errorf("swarm: client %d of %d: %w", i, n, err)
			}
			<-tokens
		}
		if err := c.connect(); err != nil {
			return nil, fmt.Errorf("swarm: client %d of %d: %w", i, n, err)
		}
		clients = append(clients, c)
	}
	for range unfinishedMax { // all tokens back: nobody is under way
		select {
		case tokens <- struct{}{}:
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("swarm: the last of %d clients did not become ready: %w", n, ctx.Err())
		}
	}
	select {
	case err := <-failed:
		return nil, err
	default:
		return clients, nil
	}
}

// register adds a connected client to those that are read.
func (s *Swarm) register(c *Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the swarm is closed")
	}
	c.slot = len(s.clients)
	s.clients = append(s.clients, c)
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.slot)}
	if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		s.clients = s.clients[:c.slot]
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// Lost returns how many clients lost their connection without being closed by us, and why the first one did.
func (s *Swarm) Lost() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.lost.Load()), s.firstErr
}

// Do runs f on the swarm's goroutine and waits for it.
func (s *Swarm) Do(f func()) {
	done := make(chan struct{})
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.tasks = append(s.tasks, func() { f(); close(done) })
	s.mu.Unlock()
	s.poke()
	<-done
}

// Pace makes clients read no more than bytesPerSecond each; 0 means that they stop reading.
func (s *Swarm) Pace(clients []*Client, bytesPerSecond int) {
	s.Do(func() {
		for _, c := range clients {
			if c.state == gone {
				continue
			}
			_ = unix.EpollCtl(s.ep, unix.EPOLL_CTL_DEL, c.fd, nil)
			c.perTick = bytesPerSecond * int(paceTick) / int(time.Second)
			if c.perTick > 0 {
				s.paced = append(s.paced, c)
			}
		}
		s.nextAt = time.Now().Add(paceTick)
	})
}

// Hangup closes clients at once, without a close frame.
func (s *Swarm) Hangup(clients []*Client) {
	s.Do(func() {
		for _, c := range clients {
			c.close()
		}
	})
}

// Close closes every client and ends the goroutine.
func (s *Swarm) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()
	s.poke()
	<-s.done
}

func (s *Swarm) poke() {
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// run is the goroutine: it reads whatever is readable until Close.
func (s *Swarm) run() {
	defer close(s.done)
	events := make([]unix.EpollEvent, 512)
	for !s.finished() {
		n, err := unix.EpollWait(s.ep, events, s.timeout())
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("swarm: epoll_wait: %v", err)) // only a bug of this package can cause it
		}
		s.now = time.Now().UnixNano()
		for _, event := range events[:max(n, 0)] {
			if event.Fd == wakeIndex {
				s.runTasks()
				continue
			}
			s.mu.Lock()
			c := s.clients[event.Fd]
			s.mu.Unlock()
			c.readable(len(s.buf))
		}
		s.readPaced()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		c.close()
	}
	_ = unix.Close(s.ep)
	_ = unix.Close(s.wake)
}

func (s *Swarm) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && len(s.tasks) == 0
}

func (s *Swarm) runTasks() {
	var counter [8]byte
	_, _ = unix.Read(s.wake, counter[:])
	s.mu.Lock()
	tasks := s.tasks
	s.tasks = nil
	s.mu.Unlock()
	for _, f := range tasks {
		f()
	}
}

// timeout is how long epoll_wait may sleep, in milliseconds.
func (s *Swarm) timeout() int {
	if len(s.paced) == 0 {
		return -1
	}
	return max(0, int(time.Until(s.nextAt).Milliseconds()))
}

// readPaced lets the slow readers read their share when a tick has passed.
func (s *Swarm) readPaced() {
	if len(s.paced) == 0 || time.Now().Before(s.nextAt) {
		return
	}
	s.nextAt = s.nextAt.Add(paceTick)
	for _, c := range s.paced {
		if c.state != gone {
			c.readable(c.perTick)
		}
	}
}

// drop records that c is gone against our will.
func (s *Swarm) drop(c *Client, err error) {
	wasOpen := c.state == open
	c.close()
	if c.settled != nil {
		settled := c.settled
		c.settled = nil
		settled(err)
	}
	if !wasOpen {
		return
	}
	s.lost.Add(1)
	s.mu.Lock()
	if s.firstErr == nil {
		s.firstErr = fmt.Errorf("client %d: %w", c.Index, err)
	}
	s.mu.Unlock()
	if c.cfg.Lost != nil {
		c.cfg.Lost(c, err)
	}
}

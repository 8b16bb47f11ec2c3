package netpoll

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// outBytesMax is how much a socket takes before its Write is short: the part that a socket's kernel buffer has with epoll.
const outBytesMax = 16 << 10

// smallReadBytes is the read buffer of a connection that gets little, which most do. Only a connection whose reads fill
// theirs gets one of the large ones, until they no longer do.
const smallReadBytes = 2 << 10

// largeReadsMax is how many large buffers there may be: a connection waits for its next bytes with the one it has, so that
// a client who fills the small one and falls silent would hold 64 KiB for nothing. All others go on with small ones.
const largeReadsMax = 64

// acceptRestMax bounds how long accepting rests after it failed.
const acceptRestMax = 250 * time.Millisecond

// goPoller is the implementation with a goroutine per connection.
type goPoller struct {
	cfg    Config
	ln     net.Listener
	accept AcceptFunc
	worker Worker
	wakes  []chan struct{}
	next   atomic.Uint32 // the next connection's loop
	large  sync.Pool     // *[]byte of cfg.ReadBytes
	larges chan struct{} // holds one for each that is out
	out    sync.Pool     // *[]byte of outBytesMax

	wg      sync.WaitGroup // accepting, loops, readers, writers
	mu      sync.Mutex
	sockets map[*goSocket]struct{} // guarded by mu
	stopped bool                   // guarded by mu
}

func newGoPoller(cfg Config, ln net.Listener, accept AcceptFunc, worker Worker) *goPoller {
	p := &goPoller{cfg: cfg, ln: ln, accept: accept, worker: worker, sockets: make(map[*goSocket]struct{}), larges: make(chan struct{}, largeReadsMax)}
	p.large.New = func() any { b := make([]byte, cfg.ReadBytes); return &b }
	p.out.New = func() any { b := make([]byte, 0, outBytesMax); return &b }
	for range cfg.Loops {
		p.wakes = append(p.wakes, make(chan struct{}, 1))
	}
	return p
}

func (p *goPoller) run(ctx context.Context) error {
	p.wg.Go(p.acceptAll)
	for i := range p.wakes {
		p.wg.Go(func() { p.loop(ctx, i) })
	}
	<-ctx.Done()
	p.stopAccepting()
	p.mu.Lock()
	p.stopped = true
	for s := range p.sockets {
		s.abort()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

func (p *goPoller) wake(loop int) {
	select {
	case p.wakes[loop] <- struct{}{}:
	default:
	}
}

func (p *goPoller) stopAccepting() { _ = p.ln.Close() }

func (p *goPoller) loop(ctx context.Context, i int) {
	ticker := time.NewTicker(p.cfg.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wakes[i]:
			p.worker.Work(i)
		case now := <-ticker.C:
			p.worker.Tick(i, now)
		}
	}
}

func (p *goPoller) acceptAll() {
	rest := time.Millisecond
	for {
		c, err := p.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.cfg.AcceptFailed(err)
			time.Sleep(rest)
			rest = min(2*rest, acceptRestMax)
			continue
		}
		rest = time.Millisecond
		p.open(c)
	}
}

func (p *goPoller) open(c net.Conn) {
	tuneConn(c, p.cfg)
	remote, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	loop := int(p.next.Add(1)) % len(p.wakes)
	if p.cfg.TLS != nil {
		c = tls.Server(c, p.cfg.TLS)
	}
	s := &goSocket{p: p, conn: c}
	s.changed.L = &s.mu
	p.mu.Lock()
	stopped := p.stopped
	if !stopped {
		p.sockets[s] = struct{}{}
	}
	p.mu.Unlock()
	if stopped {
		_ = c.Close()
		return
	}
	p.wg.Go(func() { s.serve(remote, loop) })
}

func (p *goPoller) forget(s *goSocket) {
	p.mu.Lock()
	delete(p.sockets, s)
	p.mu.Unlock()
}

// goSocket is a connection with goroutines of its own.
type goSocket struct {
	p       *goPoller
	conn    net.Conn
	handler Handler // set before anything is read, under mu

	mu      sync.Mutex
	changed sync.Cond // paused, closing or writing changed
	out     *[]byte   // what the writer takes next, or nil; guarded by mu
	writing bool      // the writer runs; guarded by mu
	short   bool      // a Write was short, so that Writable is owed; guarded by mu
	paused  bool      // guarded by mu
	closing bool      // guarded by mu
	err     error     // of the writer; guarded by mu
}

var _ Socket = (*goSocket)(nil)

// Write implements Socket.
func (s *goSocket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.closing {
		return 0, net.ErrClosed
	}
	if s.out == nil {
		s.out = s.p.out.Get().(*[]byte)
	}
	n := min(len(p), outBytesMax-len(*s.out))
	*s.out = append(*s.out, p[:n]...)
	s.short = n < len(p)
	if !s.writing {
		s.writing = true
		s.p.wg.Go(s.write) // the reader, which outlives this, keeps the group from being empty
	}
	return n, nil
}

// Pause implements Socket.
func (s *goSocket) Pause(stop bool) {
	s.mu.Lock()
	s.paused = stop
	s.mu.Unlock()
	s.changed.Broadcast()
}

// Close implements Socket.
func (s *goSocket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.closing = true
	s.changed.Broadcast()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.p.cfg.Linger))
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // brings the reader back
}

// abort closes without a word to the peer.
func (s *goSocket) abort() {
	s.Close()
	_ = s.conn.Close()
}

// write is the writer's goroutine: it ends when there is nothing left.
func (s *goSocket) write() {
	for {
		s.mu.Lock()
		out := s.out
		s.out = nil
		owed := s.short && s.handler != nil
		s.short = s.short && !owed
		if out == nil {
			s.writing = false
			s.changed.Broadcast()
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if owed { // the buffer is empty again, so there is room
			s.handler.Writable()
		}
		_, err := s.conn.Write(*out)
		*out = (*out)[:0]
		s.p.out.Put(out)
		if err != nil {
			s.writeFailed(err)
			return
		}
	}
}

func (s *goSocket) writeFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.out = nil
	s.writing = false
	s.changed.Broadcast()
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// serve is the reader's goroutine.
func (s *goSocket) serve(remote netip.AddrPort, loop int) {
	defer s.p.forget(s)
	defer s.conn.Close()
	h := s.p.accept(s, remote, loop) // which may write, so that the writer may look for the handler already
	s.mu.Lock()
	s.handler = h
	s.mu.Unlock()
	if h == nil {
		s.Close()
		s.linger()
		return
	}
	err := s.read()
	if errors.Is(err, io.EOF) && ended(s.handler) {
		s.waitClosing()
	}
	s.mu.Lock()
	if s.closing && s.err == nil {
		err = nil
	} else if s.err != nil {
		err = s.err
	}
	s.closing = true
	s.mu.Unlock()
	s.handler.Closed(err)
	if err == nil || s.answerNoTLS(err) {
		s.linger()
	}
	_ = s.conn.Close() // ends a writer that is stuck
	s.waitWriter()
}

// answerNoTLS answers a peer that does not speak TLS, where there is something to say, and reports whether it did.
func (s *goSocket) answerNoTLS(err error) bool {
	var fault tls.RecordHeaderError
	if !errors.As(err, &fault) || fault.Conn == nil || s.p.cfg.NotTLS == nil {
		return false
	}
	answer := s.p.cfg.NotTLS(fault.RecordHeader)
	if answer == nil {
		return false
	}
	_ = fault.Conn.SetWriteDeadline(time.Now().Add(s.p.cfg.Linger))
	_, err = fault.Conn.Write(answer)
	return err == nil
}

// read reads until the connection ends or Close was called.
func (s *goSocket) read() error {
	small := make([]byte, min(smallReadBytes, s.p.cfg.ReadBytes))
	var large *[]byte
	defer func() { s.p.putLarge(large) }()
	for {
		buf := small
		if large != nil {
			buf = *large
		}
		n, err := s.conn.Read(buf)
		if n > 0 && !s.waitUnpaused() {
			return nil
		}
		full := n == len(buf)
		if full && large == nil {
			large = s.p.takeLarge()
		}
		if n > 0 {
			s.handler.Data(buf[:n])
		}
		if err != nil {
			return err
		}
		if !full && large != nil {
			s.p.putLarge(large)
			large = nil
		}
	}
}

// takeLarge returns a large buffer, nil if there are none left.
func (p *goPoller) takeLarge() *[]byte {
	select {
	case p.larges <- struct{}{}:
		return p.large.Get().(*[]byte)
	default:
		return nil
	}
}

func (p *goPoller) putLarge(b *[]byte) {
	if b != nil {
		p.large.Put(b)
		<-p.larges
	}
}

// waitUnpaused waits while reading is stopped and reports whether to go on.
func (s *goSocket) waitUnpaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.paused && !s.closing && s.err == nil {
		s.changed.Wait()
	}
	return !s.closing && s.err == nil
}

// waitClosing waits until Close was called, or nothing can be written.
func (s *goSocket) waitClosing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closing && s.err == nil {
		s.changed.Wait()
	}
}

func (s *goSocket) waitWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing {
		s.changed.Wait()
	}
}

// linger waits, for a short time, until what was written is sent and the peer has closed as well.
func (s *goSocket) linger() {
	s.waitWriter()
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	raw := s.conn
	if t, ok := s.conn.(*tls.Conn); ok {
		raw = t.NetConn()
		if c, ok := raw.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
	_ = raw.SetReadDeadline(time.Now().Add(s.p.cfg.Linger))
	_, _ = io.Copy(io.Discard, io.LimitReader(raw, 1<<20))
}

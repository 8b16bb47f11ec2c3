package netpoll

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const haveEpoll = true

// acceptsMax bounds the connections accepted per event, so that a rush of new ones does not starve those there are.
const acceptsMax = 64

// epollPoller is the implementation for plain TCP on Linux. The first loop accepts and gives each connection to the loop
// with the fewest.
type epollPoller struct {
	cfg    Config
	accept AcceptFunc
	worker Worker
	loops  []*loop
	stop   atomic.Bool // Run is to end

	listenMu sync.Mutex
	listenFD int // -1 once closed; guarded by listenMu
}

func newEpollPoller(cfg Config, ln net.Listener, accept AcceptFunc, worker Worker) (poller, error) {
	fd, err := takeListener(ln)
	if err != nil {
		return nil, err
	}
	p := &epollPoller{cfg: cfg, accept: accept, worker: worker, listenFD: fd}
	if err := tuneListener(fd, cfg); err != nil {
		return nil, errors.Join(err, p.release())
	}
	for i := range cfg.Loops {
		l, err := newLoop(p, i)
		if err != nil {
			return nil, errors.Join(err, p.release())
		}
		p.loops = append(p.loops, l)
	}
	return p, p.loops[0].watchListener(true)
}

// takeListener returns a descriptor of ln's socket that package net knows nothing of, and closes ln. Package net does the
// listening because it knows about names, both IP versions and backlogs; accepting by itself costs 800 bytes more per
// connection.
func takeListener(ln net.Listener) (fd int, err error) {
	defer ln.Close() // the duplicate keeps the socket open
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		return -1, err
	}
	cerr := raw.Control(func(lfd uintptr) {
		fd, err = unix.FcntlInt(lfd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(cerr, err); err != nil {
		return -1, err
	}
	return fd, unix.SetNonblock(fd, true)
}

// release closes what New opened.
func (p *epollPoller) release() error {
	p.stopAccepting()
	var errs []error
	for _, l := range p.loops {
		errs = append(errs, l.release())
	}
	return errors.Join(errs...)
}

func (p *epollPoller) run(ctx context.Context) error {
	unhook := context.AfterFunc(ctx, func() {
		p.stop.Store(true)
		for _, l := range p.loops {
			l.wake()
		}
	})
	defer unhook()
	errs := make([]error, len(p.loops))
	var wg sync.WaitGroup
	for i, l := range p.loops {
		wg.Go(func() { errs[i] = l.run() })
	}
	wg.Wait()
	p.stopAccepting()
	for _, l := range p.loops {
		l.abandonInbox()
	}
	return errors.Join(errors.Join(errs...), p.release())
}

func (p *epollPoller) wake(loop int) { p.loops[loop].wake() }

func (p *epollPoller) stopAccepting() {
	p.listenMu.Lock()
	defer p.listenMu.Unlock()
	if p.listenFD >= 0 {
		_ = unix.Close(p.listenFD)
		p.listenFD = -1
	}
}

// acceptSome takes waiting connections and gives them to loops. It runs on the first loop's goroutine.
func (p *epollPoller) acceptSome(l *loop) {
	for range acceptsMax {
		fd, remote, err := p.acceptOne()
		switch {
		case err == nil:
			p.leastLoaded().adopt(l, fd, remote)
		case err == unix.EAGAIN || err == unix.EBADF:
			return
		case err == unix.EINTR || err == unix.ECONNABORTED || err == unix.EPERM || err == unix.EPROTO:
			continue
		default:
			// Out of descriptors or memory. The listener would stay ready, so it rests until the next tick, or until a
			// connection of this loop ends.
			l.acceptRests = true
			_ = l.watchListener(false)
			p.cfg.AcceptFailed(os.NewSyscallError("accept4", err))
			return
		}
	}
}

func (p *epollPoller) acceptOne() (int, netip.AddrPort, error) {
	p.listenMu.Lock()
	defer p.listenMu.Unlock()
	if p.listenFD < 0 {
		return -1, netip.AddrPort{}, unix.EBADF
	}
	fd, sa, err := unix.Accept4(p.listenFD, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	return fd, addrPort(sa), nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (p *epollPoller) leastLoaded() *loop {
	best := p.loops[0]
	for _, l := range p.loops[1:] {
		if l.load.Load() < best.load.Load() {
			best = l
		}
	}
	return best
}

// epollSocket is a connection's Socket.
type epollSocket struct {
	loop    *loop
	fd      int32
	slot    uint32
	gen     uint32
	closing atomic.Bool // Close was called, or Closed will be

	// Of the loop's goroutine.
	handler   Handler // nil once Closed was called
	discarded int     // bytes read after that

	// Of whoever may call Write and Pause.
	blocked bool // waiting for room: EPOLLOUT is watched
	paused  bool // EPOLLIN is not watched
}

var _ Socket = (*epollSocket)(nil)

// Write implements Socket.
func (s *epollSocket) Write(p []byte) (int, error) {
	if s.closing.Load() {
		return 0, net.ErrClosed
	}
	total := 0
	for total < len(p) {
		n, errno := send(s.fd, p[total:])
		switch errno {
		case 0:
			total += n
			if total < len(p) {
				s.setBlocked(true)
				return total, nil
			}
		case syscall.EAGAIN:
			s.setBlocked(true)
			return total, nil
		case syscall.EINTR:
		default:
			return total, os.NewSyscallError("send", errno)
		}
	}
	s.setBlocked(false)
	return total, nil
}

func (s *epollSocket) setBlocked(blocked bool) {
	if s.blocked != blocked {
		s.blocked = blocked
		s.watch()
	}
}

// Pause implements Socket.
func (s *epollSocket) Pause(stop bool) {
	if s.paused != stop && !s.closing.Load() {
		s.paused = stop
		s.watch()
	}
}

// watch tells epoll what the socket waits for.
func (s *epollSocket) watch() {
	var events uint32
	if !s.paused {
		events |= unix.EPOLLIN
	}
	if s.blocked {
		events |= unix.EPOLLOUT
	}
	_ = s.loop.control(unix.EPOLL_CTL_MOD, int(s.fd), events, int32(s.slot), s.gen)
}

// Close implements Socket.
func (s *epollSocket) Close() {
	if s.closing.CompareAndSwap(false, true) {
		s.loop.closeLater(s)
	}
}

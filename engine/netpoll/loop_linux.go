package netpoll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What is no connection has a negative slot in the epoll data.
const (
	slotWake     = -1
	slotListener = -2
)

// eventsMax is how many events one look at the epoll descriptor takes.
const eventsMax = 256

// lingerBytesMax is how much a closed connection may still send before it is cut off.
const lingerBytesMax = 1 << 20

// loop is one epoll descriptor, the goroutine that waits for it, and its connections. Fields without a remark belong to
// that goroutine.
type loop struct {
	p     *epollPoller
	index int
	epfd  int
	file  *os.File // of epfd: the runtime's poller wakes us through it, and closing it closes epfd

	wakeMu sync.Mutex
	wakeFD int // -1 once closed; guarded by wakeMu

	slots       []slot
	free        []uint32
	buf         []byte
	events      []unix.EpollEvent
	lingering   []lingerer // oldest first, some already gone
	acceptRests bool       // the listener is not watched, for want of descriptors

	load     atomic.Int64 // connections
	pending  atomic.Bool  // there is work
	sleeping atomic.Bool  // it waits, or is about to

	mu    sync.Mutex
	inbox []accepted     // connections that the first loop accepted; guarded by mu
	close []*epollSocket // to be closed; guarded by mu
}

// slot holds a connection. The generation tells an event of an earlier tenant from one of the present.
type slot struct {
	sock *epollSocket
	gen  uint32
}

type accepted struct {
	fd     int
	remote netip.AddrPort
}

// lingerer is a connection that was closed and waits for its peer to close as well.
type lingerer struct {
	sock  *epollSocket
	until time.Time
}

func newLoop(p *epollPoller, index int) (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// os.NewFile hands only non-blocking descriptors to the runtime's poller.
	if err := unix.SetNonblock(epfd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(epfd))
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(epfd))
	}
	l := &loop{
		p: p, index: index, epfd: epfd, file: os.NewFile(uintptr(epfd), "epoll"), wakeFD: wakeFD,
		buf: make([]byte, p.cfg.ReadBytes), events: make([]unix.EpollEvent, eventsMax),
	}
	// Edge-triggered, so that it need never be read: each write to it is an event.
	err = l.control(unix.EPOLL_CTL_ADD, wakeFD, unix.EPOLLIN|unix.EPOLLET, slotWake, 0)
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (l *loop) release() error {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	wakeFD := l.wakeFD
	l.wakeFD = -1 // a wake may be on its way still, and the number soon be that of another's connection
	return errors.Join(l.file.Close(), unix.Close(wakeFD))
}

func (l *loop) control(op, fd int, events uint32, slot int32, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: slot, Pad: int32(gen)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epfd, op, fd, &ev))
}

func (l *loop) watchListener(on bool) error {
	l.p.listenMu.Lock()
	defer l.p.listenMu.Unlock()
	if l.p.listenFD < 0 {
		return nil
	}
	if !on {
		return l.control(unix.EPOLL_CTL_DEL, l.p.listenFD, 0, slotListener, 0)
	}
	return l.control(unix.EPOLL_CTL_ADD, l.p.listenFD, unix.EPOLLIN, slotListener, 0)
}

// wake has Work called. It may be called from any goroutine. The eventfd is written only when the loop sleeps, or might.
func (l *loop) wake() {
	if l.pending.Swap(true) || !l.sleeping.Load() {
		return
	}
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if l.wakeFD >= 0 {
		_, _ = unix.Write(l.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (l *loop) run() error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	defer l.closeAll()
	if err := l.nextTick(time.Now()); err != nil {
		return err
	}
	for !l.p.stop.Load() {
		n, err := l.wait(raw)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			now := time.Now()
			if err := l.nextTick(now); err != nil {
				return err
			}
			l.tick(now)
		} else if err != nil {
			return err
		}
		for i := range l.events[:n] {
			l.dispatch(&l.events[i])
		}
		if l.pending.Swap(false) {
			l.takeInbox()
			l.takeCloses()
			l.p.worker.Work(l.index)
		}
	}
	return nil
}

func (l *loop) nextTick(now time.Time) error {
	return l.file.SetReadDeadline(now.Add(l.p.cfg.Tick))
}

// wait returns how many events lie in l.events, after waiting for one, for work or for the tick.
func (l *loop) wait(raw syscall.RawConn) (n int, err error) {
	var errno syscall.Errno
	err = raw.Read(func(uintptr) bool {
		l.sleeping.Store(false)
		n, errno = ready(l.epfd, l.events)
		if n > 0 || errno != 0 {
			return true
		}
		// A wake between these two lines sees sleeping and writes the eventfd; one before them is seen here.
		l.sleeping.Store(true)
		if l.pending.Load() {
			l.sleeping.Store(false)
			return true
		}
		return false
	})
	l.sleeping.Store(false)
	switch {
	case err != nil:
		return 0, err
	case errno == syscall.EINTR:
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError("epoll_pwait", errno)
	}
	return n, nil
}

func (l *loop) dispatch(ev *unix.EpollEvent) {
	switch ev.Fd {
	case slotWake:
		return
	case slotListener:
		l.p.acceptSome(l)
		return
	}
	slot := l.slots[ev.Fd]
	if slot.sock == nil || slot.gen != uint32(ev.Pad) {
		return // the connection ended earlier in this batch
	}
	s := slot.sock
	if s.handler == nil {
		l.discard(s)
		return
	}
	if s.closing.Load() {
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		s.handler.Writable()
	}
	if ev.Events&^unix.EPOLLOUT != 0 {
		l.read(s)
	}
}

// read does one read: what is left makes the next event, and no connection holds up the others.
func (l *loop) read(s *epollSocket) {
	n, errno := recv(s.fd, l.buf)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
	case errno != 0:
		l.finish(s, os.NewSyscallError("recv", errno))
	case n == 0 && ended(s.handler):
	case n == 0:
		l.finish(s, io.EOF)
	default:
		s.handler.Data(l.buf[:n])
	}
}

// finish ends a connection: at once if err says that it is gone, else after lingering.
func (l *loop) finish(s *epollSocket, err error) {
	if s.handler == nil {
		return
	}
	s.closing.Store(true)
	s.handler.Closed(err)
	s.handler = nil
	if err != nil {
		l.drop(s)
		return
	}
	// Closing a socket with unread input resets it, which can take the last bytes away from the peer. So half of it is
	// closed first, and the rest when the peer has done the same.
	_ = unix.Shutdown(int(s.fd), unix.SHUT_WR)
	_ = l.control(unix.EPOLL_CTL_MOD, int(s.fd), unix.EPOLLIN, int32(s.slot), s.gen)
	l.lingering = append(l.lingering, lingerer{sock: s, until: time.Now().Add(l.p.cfg.Linger)})
	l.discard(s)
}

// discard reads what a closed connection still gets.
func (l *loop) discard(s *epollSocket) {
	n, errno := recv(s.fd, l.buf)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return
	case errno == 0 && n > 0:
		if s.discarded += n; s.discarded <= lingerBytesMax {
			return
		}
	}
	l.drop(s)
}

// drop closes the descriptor and frees the slot.
func (l *loop) drop(s *epollSocket) {
	sl := &l.slots[s.slot]
	if sl.sock != s {
		return
	}
	sl.sock = nil
	sl.gen++
	l.free = append(l.free, s.slot)
	_ = unix.Close(int(s.fd)) // takes it out of the epoll descriptor too
	l.load.Add(-1)
	l.acceptAgain()
}

func (l *loop) acceptAgain() {
	if l.acceptRests {
		l.acceptRests = false
		_ = l.watchListener(true)
	}
}

func (l *loop) tick(now time.Time) {
	l.acceptAgain()
	n := 0
	for n < len(l.lingering) && (l.lingering[n].until.Before(now) || l.lingering[n].sock.dropped(l)) {
		l.drop(l.lingering[n].sock)
		n++
	}
	l.lingering = append(l.lingering[:0], l.lingering[n:]...)
	l.p.worker.Tick(l.index, now)
}

// dropped reports whether the socket has left its slot.
func (s *epollSocket) dropped(l *loop) bool { return l.slots[s.slot].sock != s }

// adopt makes the connection fd one of l's. from is the loop that calls.
func (l *loop) adopt(from *loop, fd int, remote netip.AddrPort) {
	l.load.Add(1)
	if from == l {
		l.open(fd, remote)
		return
	}
	l.mu.Lock()
	l.inbox = append(l.inbox, accepted{fd, remote})
	l.mu.Unlock()
	l.wake()
}

func (l *loop) takeInbox() {
	l.mu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, a := range inbox {
		l.open(a.fd, a.remote)
	}
}

// abandonInbox closes connections that were given to l after it ended.
func (l *loop) abandonInbox() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.inbox {
		_ = unix.Close(a.fd)
	}
	l.inbox = nil
}

func (l *loop) open(fd int, remote netip.AddrPort) {
	s := &epollSocket{loop: l, fd: int32(fd)}
	s.slot = l.takeSlot()
	l.slots[s.slot].sock = s
	s.gen = l.slots[s.slot].gen
	err := errors.Join(tuneSocket(fd, l.p.cfg), l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, int32(s.slot), s.gen))
	if err != nil {
		l.p.cfg.AcceptFailed(err)
		l.drop(s)
		return
	}
	if s.handler = l.p.accept(s, remote, l.index); s.handler == nil {
		s.closing.Store(true)
		l.drop(s)
	}
}

func (l *loop) takeSlot() uint32 {
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		return i
	}
	l.slots = append(l.slots, slot{})
	return uint32(len(l.slots) - 1)
}

func (l *loop) closeLater(s *epollSocket) {
	l.mu.Lock()
	l.close = append(l.close, s)
	l.mu.Unlock()
	l.wake()
}

func (l *loop) takeCloses() {
	l.mu.Lock()
	list := l.close
	l.close = nil
	l.mu.Unlock()
	for _, s := range list {
		l.finish(s, nil)
	}
}

// closeAll ends every connection, without lingering: the poller is going away.
func (l *loop) closeAll() {
	for i := range l.slots {
		s := l.slots[i].sock
		if s == nil {
			continue
		}
		s.closing.Store(true)
		if h := s.handler; h != nil {
			s.handler = nil
			h.Closed(net.ErrClosed)
		}
		l.drop(s)
	}
	l.lingering = nil
}

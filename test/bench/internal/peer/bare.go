package peer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bare is the floor: a slice of connections, one epoll descriptor, and a write per subscriber from the goroutine that
// publishes. A subscriber whose socket is full is closed, for there is no queue.
type bare struct {
	ep, ln int

	mu     sync.Mutex
	conns  []bareConn        // guarded by mu; by descriptor
	topics map[string]*group // guarded by mu
}

// bareConn is all that is kept of a connection.
type bareConn struct {
	group *group
	place int32 // in group.fds
}

type group struct{ fds []int32 }

func newBare() *bare { return &bare{topics: make(map[string]*group)} }

func (b *bare) listen() (*net.TCPAddr, error) {
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(ln, 4096); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(ln)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	b.ep, b.ln = ep, ln
	if err := b.watch(ln); err != nil {
		return nil, err
	}
	go b.run()
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}, nil
}

func (b *bare) watch(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(b.ep, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// run accepts, upgrades, and throws away what clients send.
func (b *bare) run() {
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(b.ep, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			fmt.Fprintln(os.Stderr, "peer: epoll_wait:", err)
			os.Exit(1)
		}
		for _, event := range events[:max(n, 0)] {
			if int(event.Fd) == b.ln {
				b.accept()
			} else {
				b.read(int(event.Fd), buf)
			}
		}
	}
}

func (b *bare) accept() {
	for {
		fd, _, err := unix.Accept4(b.ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		b.mu.Lock()
		if short := fd + 1 - len(b.conns); short > 0 {
			b.conns = append(b.conns, make([]bareConn, short)...)
		}
		b.conns[fd] = bareConn{}
		b.mu.Unlock()
		if err := b.watch(fd); err != nil {
			_ = unix.Close(fd)
		}
	}
}

func (b *bare) read(fd int, buf []byte) {
	n, err := unix.Read(fd, buf)
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n <= 0 || err != nil {
		b.close(fd)
		return
	}
	if b.conns[fd].group != nil {
		return
	}
	// The swarm sends a request in one piece, so it is read in one piece; a client that does not is refused.
	if !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
		b.close(fd)
		return
	}
	target, answer, err := upgrade(buf[:n])
	if err != nil {
		b.close(fd)
		return
	}
	name := topicOf(target)
	g := b.topics[name]
	if g == nil {
		g = &group{}
		b.topics[name] = g
	}
	b.conns[fd] = bareConn{group: g, place: int32(len(g.fds))}
	g.fds = append(g.fds, int32(fd))
	if _, err := unix.Write(fd, answer); err != nil {
		b.close(fd)
	}
}

// close forgets a connection. mu is held.
func (b *bare) close(fd int) {
	if c := b.conns[fd]; c.group != nil {
		fds := c.group.fds
		last := len(fds) - 1
		fds[c.place] = fds[last]
		b.conns[fds[last]].place = c.place
		c.group.fds = fds[:last]
		b.conns[fd] = bareConn{}
	}
	_ = unix.Close(fd)
}

func (b *bare) publish(topic string, body []byte) {
	frame := textFrame(body)
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.topics[topic]
	if g == nil {
		return
	}
	for i := len(g.fds) - 1; i >= 0; i-- { // backwards, since close moves the last into the gap
		fd := g.fds[i]
		// A raw call: the socket never blocks, so the scheduler need not know. Nothing in Go writes more cheaply.
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
		if errno != 0 || int(n) < len(frame) {
			b.close(int(fd))
		}
	}
}

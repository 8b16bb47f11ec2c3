package netpoll

import (
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of the data path are raw: the descriptors are non-blocking, so that telling the scheduler about them would
// only cost (BenchmarkWriteLoop).

// send writes p to the socket fd. It never blocks and never raises SIGPIPE.
func send(fd int32, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// recv reads from the socket fd. It never blocks.
func recv(fd int32, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// ready fills events with what is ready now, without waiting.
func ready(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// tuneListener sets the options that every connection accepted from fd inherits, which saves setting them on each.
func tuneListener(fd int, cfg Config) error {
	idle := max(1, int(cfg.KeepAlive/time.Second))
	for _, o := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, idle},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

// tuneSocket sets TCP_NOTSENT_LOWAT on an accepted socket. An accepted socket reports its listener's value as its own, but
// does not act on it (TestWhatThePeerDoesNotReadIsNotHiddenInTheKernel).
func tuneSocket(fd int, cfg Config) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, cfg.NotSentLowatBytes)
}

// tuneConn sets TCP_NOTSENT_LOWAT on a connection of package net, which sets the rest itself.
func tuneConn(c net.Conn, cfg Config) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = tuneSocket(int(fd), cfg)
	})
}

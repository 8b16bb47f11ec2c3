package netpoll

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAWakeThatComesWhenTheLoopIsGoneReachesNobodyElse: who wakes a loop may have found it asleep, and come to write only when
// it has ended and its descriptors are somebody else's.
func TestAWakeThatComesWhenTheLoopIsGoneReachesNobodyElse(t *testing.T) {
	l, err := newLoop(&epollPoller{}, 0)
	require.NoError(t, err)
	l.sleeping.Store(true)
	require.NoError(t, l.release())
	var taken []int
	for range 2 { // as many as became free
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		require.NoError(t, err)
		taken = append(taken, fd)
	}
	l.wake()
	for _, fd := range taken {
		_, err := unix.Read(fd, make([]byte, 8))
		require.ErrorIs(t, err, unix.EAGAIN, "somebody has written into it")
		require.NoError(t, unix.Close(fd))
	}
}

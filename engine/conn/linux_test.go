//go:build linux

package conn_test

import (
	"bytes"
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// writeQueue returns how many bytes of the client's lie in its kernel, unsent or unacknowledged.
func writeQueue(t testing.TB, c *client) int {
	t.Helper()
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var n int
	require.NoError(t, raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }))
	require.NoError(t, err)
	return n
}

func TestOnlySoMuchIsReadBeforeTheAnswer(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.ParkedKiBMax = 1
		asked, release := make(chan struct{}), make(chan struct{})
		s.app.admit = func(context.Context, *conn.Upgrade) conn.Admission {
			close(asked)
			<-release
			return s.app.yes()
		}
		s.app.request = func(*conn.Conn, *message.Request, error) {}
		srv := s.start(t)
		c := srv.dial(t)
		c.write([]byte(upgradeRequest("/")))
		<-asked
		const total = 64 << 20 // more than both kernel buffers take
		sent := make(chan error, 1)
		go func() {
			piece := bytes.Repeat(clientFrame(frame.OpBinary, strings.Repeat("x", 1000)), 100)
			var err error
			for n := 0; n < total && err == nil; n += len(piece) {
				_, err = c.Write(piece)
			}
			sent <- err
		}()
		require.Eventually(t, func() bool { return writeQueue(t, c) > 100_000 }, patience, time.Millisecond)
		require.Empty(t, sent, "the client cannot send it all")
		close(release)
		require.NoError(t, <-sent)
		require.Equal(t, 101, c.response().StatusCode)
		sc := <-srv.app.opened
		require.Eventually(t, func() bool { return sc.Counters().BytesReceived > total }, patience, time.Millisecond)
	})
}

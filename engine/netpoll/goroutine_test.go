package netpoll_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/netpoll"
)

// TestSilentConnectionsHoldFewLargeBuffers has clients fill the small read buffer (2 KiB) exactly and fall silent, more
// than there are large ones (64). Whoever comes next has to do with the small one, until they leave.
func TestSilentConnectionsHoldFewLargeBuffers(t *testing.T) {
	const small, silent = 2 << 10, 100
	sizes := make(chan int, 1000)
	s := serve(t, netpoll.Config{Addr: "127.0.0.1:0", Goroutines: true}, func(_ *handler, p []byte) { sizes <- len(p) })
	read := func(c io.Writer, bytes int) (largest int) {
		go func() { _, _ = c.Write(make([]byte, bytes)) }()
		for bytes > 0 {
			n := <-sizes
			largest = max(largest, n)
			bytes -= n
		}
		return largest
	}
	var holding []*handler
	var clients []io.Closer
	for range silent {
		c := s.dial(t)
		require.Equal(t, small, read(c, small))
		holding = append(holding, <-s.handlers)
		clients = append(clients, c)
	}
	late := s.dial(t)
	require.Equal(t, small, read(late, 100*small), "there is no large buffer left")
	for i, c := range clients {
		require.NoError(t, c.Close())
		<-holding[i].closed
	}
	require.Greater(t, read(late, 100*small), small, "the large buffers are free again")
}

package conformance

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// floodOfPings allows for what RFC 6455 §5.5.3 does: to answer only the newest of several pings.
func floodOfPings(t *testing.T, s *server) {
	p := s.connect(t)
	const n = 2000
	pings := make([]frame, n)
	for i := range pings {
		pings[i] = ping(fmt.Sprintf("%04d", i))
	}
	p.begin(wire(append(pings, text("end"))...), 0)
	last := ""
	for {
		f, err := p.next()
		require.NoError(t, err)
		if f.op == opText {
			break
		}
		require.Equal(t, byte(opPong), f.op)
		require.Greater(t, string(f.payload), last, "pongs come in the order of the pings")
		last = string(f.payload)
	}
	require.Equal(t, fmt.Sprintf("%04d", n-1), last)
	require.NoError(t, p.finish())
	p.closeNormally()
}

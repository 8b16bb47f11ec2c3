//go:build !race

// The race detector makes sync.Pool forget at random, so these hold only without it.

package frame_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
)

func TestDeflateAndInflateAllocateNothingOnceWarm(t *testing.T) {
	var deflater frame.Deflater
	var inflater frame.Inflater
	payload := []byte(strings.Repeat("market data ", 100))
	b := deflater.Deflate(nil, payload)
	require.Zero(t, testing.AllocsPerRun(100, func() { b = deflater.Deflate(b[:0], payload) }))

	one := stream(part{op: frame.OpText, rsv1: true, payload: string(b)})
	lim, budget := frame.DefaultLimits(), frame.NewBudget(0)
	fed := make([]byte, len(one))
	var p frame.Parser
	var sink inPlace
	require.Zero(t, testing.AllocsPerRun(100, func() {
		copy(fed, one)
		if err := p.Feed(fed, &lim, &inflater, budget, &sink); err != nil {
			panic(err)
		}
	}))
	require.Positive(t, sink.calls)
}

func TestWritingFramesAllocatesNothing(t *testing.T) {
	dst, payload := make([]byte, 0, 1024), []byte(strings.Repeat("x", 500))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		dst = frame.AppendFrame(dst[:0], frame.OpText, false, payload)
		dst = frame.AppendMaskedFrame(dst[:0], frame.OpText, true, false, mask, payload)
		dst = frame.AppendClose(dst[:0], 1000, "bye")
	}))
}

package frame_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
)

func TestSplit_takes_frames_apart_as_they_were_put_together(t *testing.T) {
	var frames []byte
	sizes := []int{0, 1, 125, 126, 65535, 65536}
	for _, n := range sizes {
		frames = frame.AppendFrame(frames, frame.OpText, false, bytes.Repeat([]byte("x"), n))
	}
	frames = frame.AppendClose(frames, 1000, "bye")
	for _, n := range sizes {
		op, payload, size := frame.Split(frames)
		require.Equal(t, frame.OpText, op)
		require.Len(t, payload, n)
		require.Equal(t, frame.Size(n), size)
		frames = frames[size:]
	}
	op, payload, size := frame.Split(frames)
	require.Equal(t, frame.OpClose, op)
	require.Equal(t, "bye", string(payload[2:]))
	require.Equal(t, len(frames), size)
}

func TestSplit_finds_nothing_in_what_is_no_whole_frame(t *testing.T) {
	for _, n := range []int{10, 300, 70_000} {
		whole := frame.AppendFrame(nil, frame.OpBinary, false, make([]byte, n))
		for cut := range len(whole) {
			_, _, size := frame.Split(whole[:cut])
			require.Zero(t, size)
		}
	}
	_, _, size := frame.Split(frame.AppendMaskedFrame(nil, frame.OpText, true, false, [4]byte{1}, []byte("x")))
	require.Zero(t, size)
	_, _, size = frame.Split([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	require.Zero(t, size)
}

package frame_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
)

// fuzzLimits are small enough for the fuzzer to reach them.
var fuzzLimits = frame.Limits{FrameBytesMax: 300, MessageBytesMax: 400, InflatedBytesMax: 500}

// FuzzParser feeds the same bytes whole, byte by byte and cut at random, and compares the outcome of a connection
// without extensions with that of a slow reader made of the library's parts.
func FuzzParser(f *testing.F) {
	f.Add([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), uint64(1), false)
	f.Add(stream(part{op: frame.OpText, more: true, payload: "a\xe2"}, part{op: frame.OpPing, payload: "p"}, part{op: frame.OpContinuation, payload: "\x82\xac"}), uint64(2), false)
	f.Add(stream(part{op: frame.OpText, rsv1: true, more: true, payload: "\xf2\x48\xcd"}, part{op: frame.OpContinuation, payload: "\xc9\xc9\x07\x00"}), uint64(3), true)
	f.Add(stream(part{op: frame.OpBinary, payload: "x"}, part{op: frame.OpClose, payload: closePayload(1000, "bye")}), uint64(4), false)
	f.Add(stream(part{op: frame.OpBinary, payload: string(make([]byte, 300))}, part{op: frame.OpBinary, payload: string(make([]byte, 301))}), uint64(5), true)
	f.Add(header(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), uint64(6), false)
	f.Add(header(0x82, 0xfe, 0, 125), uint64(7), false)
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, deflate bool) {
		var inflate *frame.Inflater
		if deflate {
			inflate = new(frame.Inflater)
		}
		whole := readAll(t, fuzzLimits, inflate, b)
		r := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := b; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 1+r.IntN(40)))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, whole, read(t, fuzzLimits, inflate, pieces...))
		if !deflate {
			events, failed := reference(b)
			require.Equal(t, events, whole.events)
			if failed {
				require.Error(t, whole.err)
			} else if whole.err != nil {
				// The reader below looks only at what is complete; the parser fails as soon as it can know.
				require.True(t, truncated(b), "%v", whole.err)
			}
		}
	})
}

// reference reads the whole frames at the beginning of b, plainly, as a server without extensions.
func reference(b []byte) (events []string, failed bool) {
	in := bytes.NewReader(b)
	state := ws.StateServerSide
	var op ws.OpCode
	var msg []byte
	for {
		at := len(b) - in.Len()
		h, err := ws.ReadHeader(in)
		if err != nil {
			return events, in.Len() > 0
		}
		if ws.CheckHeader(h, state) != nil || b[at+1]&0x7f == 126 && h.Length < 126 || b[at+1]&0x7f == 127 && h.Length < 65536 {
			return events, true
		}
		if !h.OpCode.IsControl() && (h.Length > fuzzLimits.FrameBytesMax || h.Length+int64(len(msg)) > fuzzLimits.MessageBytesMax) {
			return events, true
		}
		if int64(in.Len()) < h.Length {
			return events, false
		}
		payload := make([]byte, h.Length)
		_, _ = in.Read(payload)
		ws.Cipher(payload, h.Mask, 0)
		if h.OpCode.IsControl() {
			if h.OpCode == ws.OpClose && !closeSound(payload) {
				return events, true
			}
			events = append(events, fmt.Sprintf("control %d %q", h.OpCode, payload))
			if h.OpCode == ws.OpClose {
				return events, false
			}
			continue
		}
		if h.OpCode != ws.OpContinuation {
			op = h.OpCode
		}
		msg = append(msg, payload...)
		state = state.Set(ws.StateFragmented)
		if !h.Fin {
			if op == ws.OpText && !beginsText(msg) {
				return events, true
			}
			continue
		}
		if op == ws.OpText && !utf8.Valid(msg) {
			return events, true
		}
		events = append(events, fmt.Sprintf("message %d %q", op, msg))
		state, msg = state.Clear(ws.StateFragmented), nil
	}
}

// beginsText tells whether b can become UTF-8.
func beginsText(b []byte) bool {
	for cut := 0; cut < utf8.UTFMax && cut <= len(b); cut++ {
		whole, rest := b[:len(b)-cut], b[len(b)-cut:]
		if utf8.Valid(whole) && (cut == 0 || !utf8.FullRune(rest)) {
			return true
		}
	}
	return false
}

func closeSound(payload []byte) bool {
	if len(payload) == 0 {
		return true
	}
	if len(payload) == 1 {
		return false
	}
	code := int(payload[0])<<8 | int(payload[1])
	allowed := map[int]bool{1000: true, 1001: true, 1002: true, 1003: true, 1007: true, 1008: true, 1009: true, 1010: true, 1011: true, 1012: true, 1013: true, 1014: true}
	return (allowed[code] || code >= 3000 && code < 5000) && utf8.Valid(payload[2:])
}

// truncated tells whether b ends inside a frame or message: the only streams the parser may refuse before they end.
func truncated(b []byte) bool {
	in := bytes.NewReader(b)
	inside := false
	for in.Len() > 0 {
		h, err := ws.ReadHeader(in)
		if err != nil || int64(in.Len()) < h.Length {
			return true
		}
		_, _ = in.Seek(h.Length, 1)
		if !h.OpCode.IsControl() {
			inside = !h.Fin
		}
	}
	return inside
}

// FuzzInflate feeds the inflater anything.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"))
	f.Add(new(frame.Deflater).Deflate(nil, make([]byte, 5000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := new(frame.Inflater).Inflate(nil, b, 4096)
		if err != nil {
			var e *frame.Error
			require.ErrorAs(t, err, &e)
			require.Empty(t, got)
			return
		}
		require.LessOrEqual(t, len(got), 4096)
		again, err := new(frame.Inflater).Inflate(nil, new(frame.Deflater).Deflate(nil, got), 4096)
		require.NoError(t, err)
		require.True(t, bytes.Equal(got, again))
	})
}

func TestLimitsNameTheirFaults(t *testing.T) {
	require.NoError(t, frame.DefaultLimits().Validate())
	err := frame.Limits{FrameBytesMax: -1, MessageBytesMax: 1 << 31, InflatedBytesMax: 1, InflateRatioMax: -1}.Validate()
	require.EqualError(t, err, "frame_bytes_max: -1 is not between 1 and 1073741824 bytes\n"+
		"message_bytes_max: 2147483648 is not between 1 and 1073741824 bytes\n"+
		"inflate_ratio_max: -1 is not between 0 and 1100")
}

func TestABudgetGrantsNoMoreThanItHas(t *testing.T) {
	b := frame.NewBudget(10)
	require.True(t, b.Reserve(4))
	require.True(t, b.Reserve(6))
	require.False(t, b.Reserve(1))
	require.EqualValues(t, 10, b.Used())
	b.Release(6)
	require.False(t, b.Reserve(7))
	require.True(t, b.Reserve(6))
	require.False(t, new(frame.Budget).Reserve(1))
}

func TestABudgetIsOverdrawnByNoMoreThanIsAllowed(t *testing.T) {
	b := frame.NewBudget(10)
	require.True(t, b.Overdraw(10, 5))
	require.False(t, b.Overdrawn(), "all of it is taken, and no more")
	require.True(t, b.Overdraw(5, 5))
	require.True(t, b.Overdrawn())
	require.False(t, b.Overdraw(1, 5))
	require.False(t, b.Reserve(1))
	require.EqualValues(t, 15, b.Used())
	b.Release(5)
	require.False(t, b.Overdrawn())
}

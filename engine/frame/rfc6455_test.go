package frame_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
)

// rfcCase is a stream and what RFC 6455 or RFC 7692 demands of it.
type rfcCase struct {
	name  string // begins with the section
	bytes []byte
	want  []string
	code  frame.StatusCode // 0: no error
}

// patch returns a copy of b with b[at] ^ bits.
func patch(b []byte, at int, bits byte) []byte {
	b = []byte(string(b))
	b[at] ^= bits
	return b
}

// header returns a masked frame header as given, with a length field of whatever form.
func header(b ...byte) []byte { return append(b, mask[:]...) }

func runCases(t *testing.T, inflate *frame.Inflater, cases []rfcCase) {
	t.Helper()
	lim := frame.Limits{FrameBytesMax: 1 << 17, MessageBytesMax: 1 << 18, InflatedBytesMax: 1 << 18}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := readAll(t, lim, inflate, c.bytes)
			require.Equal(t, c.code, out.code, "%v", out.err)
			require.Equal(t, c.code == 0, out.err == nil)
			require.Equal(t, c.want, out.events)
		})
	}
}

func TestRFC6455Framing(t *testing.T) {
	hello := stream(part{op: frame.OpText, payload: "Hello"})
	long := func(n int) []byte { return stream(part{op: frame.OpBinary, payload: strings.Repeat("x", n)}) }
	runCases(t, nil, []rfcCase{
		{"5.1: a frame that is not masked fails the connection", frame.AppendFrame(nil, frame.OpText, false, []byte("Hello")), nil, 1002},
		{"5.2: RSV1 fails the connection without an extension", patch(hello, 0, 0x40), nil, 1002},
		{"5.2: RSV2 fails the connection", patch(hello, 0, 0x20), nil, 1002},
		{"5.2: RSV3 fails the connection", patch(hello, 0, 0x10), nil, 1002},
		{"5.2: a reserved bit in a control frame fails the connection", patch(stream(part{op: frame.OpPing}), 0, 0x20), nil, 1002},
		{"5.2: opcode 3 is reserved", stream(part{op: 3}), nil, 1002},
		{"5.2: opcode 7 is reserved", stream(part{op: 7}), nil, 1002},
		{"5.2: opcode 11 is reserved", stream(part{op: 11}), nil, 1002},
		{"5.2: opcode 15 is reserved", stream(part{op: 15}), nil, 1002},
		{"5.2: 125 bytes have a 7-bit length", long(125), []string{binary(strings.Repeat("x", 125))}, 0},
		{"5.2: 126 bytes have a 16-bit length", long(126), []string{binary(strings.Repeat("x", 126))}, 0},
		{"5.2: 65535 bytes have a 16-bit length", long(65535), []string{binary(strings.Repeat("x", 65535))}, 0},
		{"5.2: 65536 bytes have a 64-bit length", long(65536), []string{binary(strings.Repeat("x", 65536))}, 0},
		{"5.2: a 16-bit length below 126 is not minimal", header(0x82, 0xfe, 0, 125), nil, 1002},
		{"5.2: a 64-bit length below 65536 is not minimal", header(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff), nil, 1002},
		{"5.2: the highest bit of a 64-bit length is 0", header(0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0), nil, 1002},
		{"5.2: the largest length is refused as too big, not misread", header(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), nil, 1009},
		{"5.3: a payload is unmasked octet by octet", hello, []string{text("Hello")}, 0},
		{"5.6: an empty text message", stream(part{op: frame.OpText}), []string{text("")}, 0},
		{"5.6: an empty binary message", stream(part{op: frame.OpBinary}), []string{binary("")}, 0},
		{"5.6: binary may be any bytes", stream(part{op: frame.OpBinary, payload: "\xff\x00\xfe"}), []string{binary("\xff\x00\xfe")}, 0},
		{"5.7: the masked example", []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), []string{text("Hello")}, 0},
		{"10.4: a frame over the limit is refused at its header", header(0x82, 0xff, 0, 0, 0, 0, 0, 2, 0, 1), nil, 1009},
		{
			"10.4: a message over the limit is refused at the header that exceeds it",
			append(stream(part{op: frame.OpBinary, more: true, payload: strings.Repeat("x", 1<<17)},
				part{op: frame.OpContinuation, more: true, payload: strings.Repeat("x", 1<<17)}), header(0x00, 0x81)...), nil, 1009,
		},
	})
}

func TestRFC6455Fragmentation(t *testing.T) {
	runCases(t, nil, []rfcCase{
		{
			"5.4: fragments are joined",
			stream(part{op: frame.OpText, more: true, payload: "Hel"}, part{op: frame.OpContinuation, more: true, payload: "l"}, part{op: frame.OpContinuation, payload: "o"}),
			[]string{text("Hello")}, 0,
		},
		{
			"5.4: fragments may be empty",
			stream(part{op: frame.OpBinary, more: true}, part{op: frame.OpContinuation, more: true}, part{op: frame.OpContinuation}),
			[]string{binary("")}, 0,
		},
		{
			"5.4: control frames may come between fragments, and are taken at once",
			stream(part{op: frame.OpText, more: true, payload: "a"}, part{op: frame.OpPing, payload: "p"}, part{op: frame.OpContinuation, more: true, payload: "b"},
				part{op: frame.OpPong, payload: "q"}, part{op: frame.OpContinuation, payload: "c"}),
			[]string{ping("p"), pong("q"), text("abc")}, 0,
		},
		{"5.4: a ping inside an unfinished message is taken", stream(part{op: frame.OpText, more: true, payload: "a"}, part{op: frame.OpPing}), []string{ping("")}, 0},
		{"5.4: control frames are not fragmented", stream(part{op: frame.OpPing, more: true, payload: "p"}), nil, 1002},
		{"5.4: a continuation without a message", stream(part{op: frame.OpContinuation, payload: "a"}), nil, 1002},
		{
			"5.4: a continuation after a finished message",
			stream(part{op: frame.OpText, payload: "a"}, part{op: frame.OpContinuation, payload: "b"}), []string{text("a")}, 1002,
		},
		{
			"5.4: fragments of one message are not mixed with another's",
			stream(part{op: frame.OpText, more: true, payload: "a"}, part{op: frame.OpText, payload: "b"}), nil, 1002,
		},
		{
			"5.4: nor with a binary message's",
			stream(part{op: frame.OpText, more: true, payload: "a"}, part{op: frame.OpBinary, more: true, payload: "b"}), nil, 1002,
		},
		{
			"5.4: two messages of fragments follow each other",
			stream(part{op: frame.OpText, more: true, payload: "a"}, part{op: frame.OpContinuation, payload: "b"},
				part{op: frame.OpBinary, more: true, payload: "c"}, part{op: frame.OpContinuation, payload: "d"}),
			[]string{text("ab"), binary("cd")}, 0,
		},
	})
}

func TestRFC6455ControlFrames(t *testing.T) {
	cases := []rfcCase{
		{"5.5: 125 bytes are the most", stream(part{op: frame.OpPing, payload: strings.Repeat("p", 125)}), []string{ping(strings.Repeat("p", 125))}, 0},
		{"5.5: 126 bytes are too many", stream(part{op: frame.OpPing, payload: strings.Repeat("p", 126)}), nil, 1002},
		{"5.5: a pong of 64-bit length too", stream(part{op: frame.OpPong, payload: strings.Repeat("p", 65536)}), nil, 1002},
		{"5.5.1: a close frame may be empty", stream(part{op: frame.OpClose}), []string{closing("")}, 0},
		{"5.5.1: one byte is no status code", stream(part{op: frame.OpClose, payload: "\x03"}), nil, 1002},
		{"5.5.1: a code without a reason", stream(part{op: frame.OpClose, payload: closePayload(1000, "")}), []string{closing(closePayload(1000, ""))}, 0},
		{"5.5.1: a reason is UTF-8", stream(part{op: frame.OpClose, payload: closePayload(1000, "żegnaj")}), []string{closing(closePayload(1000, "żegnaj"))}, 0},
		{"5.5.1: a reason that is not UTF-8", stream(part{op: frame.OpClose, payload: closePayload(1000, "\xff")}), nil, 1007},
		{"5.5.1: a reason cut inside a character", stream(part{op: frame.OpClose, payload: closePayload(1000, "\xe2\x82")}), nil, 1007},
		{
			"5.5.1: what follows a close frame is ignored",
			stream(part{op: frame.OpClose}, part{op: frame.OpText, payload: "late"}, part{op: 3}), []string{closing("")}, 0,
		},
		{
			"5.5.1: a close frame inside a message ends it",
			stream(part{op: frame.OpText, more: true, payload: "a"}, part{op: frame.OpClose}, part{op: frame.OpContinuation}), []string{closing("")}, 0,
		},
		{"5.5.2: a ping may be empty", stream(part{op: frame.OpPing}), []string{ping("")}, 0},
		{"5.5.2: a ping may be any bytes", stream(part{op: frame.OpPing, payload: "\xff\x00"}), []string{ping("\xff\x00")}, 0},
		{"5.5.3: a pong nobody asked for is taken", stream(part{op: frame.OpPong, payload: "p"}), []string{pong("p")}, 0},
		{"7.1.7: nothing is read after a failure", append(stream(part{op: 3}), stream(part{op: frame.OpText})...), nil, 1002},
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		payload := closePayload(code, "why")
		cases = append(cases, rfcCase{fmt.Sprintf("7.4: code %d may be sent", code), stream(part{op: frame.OpClose, payload: payload}), []string{closing(payload)}, 0})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, rfcCase{fmt.Sprintf("7.4: code %d must not be sent", code), stream(part{op: frame.OpClose, payload: closePayload(code, "why")}), nil, 1002})
	}
	runCases(t, nil, cases)
}

func TestRFC6455Text(t *testing.T) {
	more := func(s string) part { return part{op: frame.OpText, more: true, payload: s} }
	last := func(s string) part { return part{op: frame.OpContinuation, payload: s} }
	cases := []rfcCase{
		{"8.1: characters of every length", stream(part{op: frame.OpText, payload: "aż€𝄞"}), []string{text("aż€𝄞")}, 0},
		{"8.1: a character cut by fragments", stream(more("𝄞"[:1]), last("𝄞"[1:])), []string{text("𝄞")}, 0},
		{"8.1: a character in four fragments", stream(more("\xf0"), part{op: frame.OpContinuation, more: true, payload: "\x9d"},
			part{op: frame.OpContinuation, more: true, payload: "\x84"}, last("\x9e")), []string{text("𝄞")}, 0},
		{"8.1: a character cut at the end of the message", stream(more("a\xe2"), last("\x82")), nil, 1007},
		{"8.1: a character cut at the end of one frame", stream(part{op: frame.OpText, payload: "a\xe2\x82"}), nil, 1007},
		{"8.1: a bad first byte of a later fragment", stream(more("\xe2"), last("a")), nil, 1007},
		{"8.1: a bad beginning fails before the message ends", stream(more("a\xff")), nil, 1007},
		{"8.1: an impossible second byte fails before its character ends", stream(more("\xed\xa0")), nil, 1007},
		{"8.1: a bad character fails before its frame ends", stream(part{op: frame.OpText, payload: "a\xc0xxxxxx"})[:9], nil, 1007},
		{"8.1: a good beginning does not", stream(part{op: frame.OpText, payload: "a\xf0\x9d\x84\x9exxxx"})[:10], nil, 0},
	}
	for _, bad := range []string{"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"} {
		cases = append(cases, rfcCase{fmt.Sprintf("8.1: %q is not UTF-8", bad), stream(part{op: frame.OpText, payload: "text " + bad + " text"}), nil, 1007})
	}
	runCases(t, nil, cases)
}

func TestRFC6455AClientRefusesMaskedFrames(t *testing.T) {
	lim, budget := frame.DefaultLimits(), frame.NewBudget(1<<20)
	p := frame.Parser{Side: frame.Client}
	var sink record
	b := frame.AppendFrame(nil, frame.OpText, false, []byte("Hello"))
	require.Equal(t, "\x81\x05Hello", string(b), "the unmasked example of §5.7")
	for i := range b {
		require.NoError(t, p.Feed(b[i:i+1], &lim, nil, budget, &sink))
	}
	require.NoError(t, p.Feed(b, &lim, nil, budget, &sink))
	require.Equal(t, []string{text("Hello"), text("Hello")}, sink.events)
	var e *frame.Error
	require.ErrorAs(t, p.Feed(stream(part{op: frame.OpText}), &lim, nil, budget, &sink), &e, "§5.1")
	require.Equal(t, frame.StatusProtocolError, e.Code)
}

func TestRFC6455ServerFramesAreFinalMinimalAndUnmasked(t *testing.T) {
	for n, head := range map[int]string{
		0: "\x82\x00", 125: "\x82\x7d", 126: "\x82\x7e\x00\x7e", 65535: "\x82\x7e\xff\xff", 65536: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		payload := strings.Repeat("x", n)
		require.Equal(t, "before"+head+payload, string(frame.AppendFrame([]byte("before"), frame.OpBinary, false, []byte(payload))), "§5.2, %d bytes", n)
		require.Equal(t, head, string(frame.AppendFrameHeader(nil, frame.OpBinary, false, n)))
	}
	require.Equal(t, "\xc1\x01x", string(frame.AppendFrame(nil, frame.OpText, true, []byte("x"))), "RFC 7692 §6: RSV1")
}

func TestRFC6455CloseFramesHoldWhatMayBeSent(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   frame.StatusCode
		reason string
		want   string
	}{
		{"5.5.1: code and reason", 1000, "bye", "\x88\x05\x03\xe8bye"},
		{"5.5.1: no reason", 4401, "", "\x88\x02\x11\x31"},
		{"7.4.1: no code", 0, "ignored", "\x88\x00"},
		{"7.4.1: 1005 is never sent", 1005, "ignored", "\x88\x00"},
		{"7.4.1: 1006 is never sent", 1006, "ignored", "\x88\x00"},
		{"7.4.1: 1015 is never sent", 1015, "ignored", "\x88\x00"},
		{"5.5: a long reason is cut", 1000, strings.Repeat("a", 200), "\x88\x7d\x03\xe8" + strings.Repeat("a", 123)},
		{"5.5.1: between characters", 1000, strings.Repeat("€", 60), "\x88\x7d\x03\xe8" + strings.Repeat("€", 41)},
		{"5.5.1: one character less if the last does not fit", 1000, "a" + strings.Repeat("€", 60), "\x88\x7b\x03\xe8a" + strings.Repeat("€", 40)},
		{"5.5.1: what is not UTF-8 is left out", 1000, "a\xff\xe2\x82b", "\x88\x04\x03\xe8ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(frame.AppendClose(nil, c.code, c.reason)))
		})
	}
}

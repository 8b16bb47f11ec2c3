package frame_test

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
)

func TestRFC7692Messages(t *testing.T) {
	var inflater frame.Inflater
	deflated := func(s string) part { return part{op: frame.OpText, rsv1: true, payload: s} }
	runCases(t, &inflater, []rfcCase{
		{"6: a message without RSV1 is as it is", stream(part{op: frame.OpText, payload: "Hello"}), []string{text("Hello")}, 0},
		{"6.1: RSV1 on a continuation fails the connection", stream(part{op: frame.OpText, more: true, rsv1: true, payload: "\xf2\x48\xcd"},
			part{op: frame.OpContinuation, rsv1: true, payload: "\xc9\xc9\x07\x00"}), nil, 1002},
		{"6.1: RSV1 on a control frame fails the connection", stream(part{op: frame.OpPing, rsv1: true}), nil, 1002},
		{"6: RSV2 still fails the connection", patch(stream(deflated("\xf2\x48\xcd\xc9\xc9\x07\x00")), 0, 0x20), nil, 1002},
		{"7.2.3.1: one block", stream(deflated("\xf2\x48\xcd\xc9\xc9\x07\x00")), []string{text("Hello")}, 0},
		{"7.2.3.1: in two fragments", stream(part{op: frame.OpText, more: true, rsv1: true, payload: "\xf2\x48\xcd"},
			part{op: frame.OpContinuation, payload: "\xc9\xc9\x07\x00"}), []string{text("Hello")}, 0},
		{"7.2.3.3: a block without compression", stream(deflated("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")), []string{text("Hello")}, 0},
		{"7.2.3.4: a block with BFINAL", stream(deflated("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")), []string{text("Hello")}, 0},
		{"7.2.3.5: two blocks", stream(deflated("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")), []string{text("Hello")}, 0},
		{"7.2.3.6: an empty message", stream(deflated("\x00")), []string{text("")}, 0},
		{"7.2.2: two messages share no window", stream(deflated("\xf2\x48\xcd\xc9\xc9\x07\x00"), deflated("\xf2\x00\x11\x00\x00")), []string{text("Hello")}, 1007},
		{"7.2.2: what is not DEFLATE", stream(deflated("\xff\xff\xff\xff")), nil, 1007},
		{"7.2.2: a block cut off", stream(deflated("\xf2\x48\xcd")), nil, 1007},
		{"7.2.2: nothing at all", stream(deflated("")), nil, 1007},
		{"7.2.2: endless streams", stream(deflated(strings.Repeat("\x03\x00", 1000) + "\x00")), nil, 1007},
		{"RFC 6455 8.1: inflated text is UTF-8", stream(deflated(string(new(frame.Deflater).Deflate(nil, []byte("a\xff"))))), nil, 1007},
		{
			"RFC 6455 8.1: inflated binary need not be",
			stream(part{op: frame.OpBinary, rsv1: true, payload: string(new(frame.Deflater).Deflate(nil, []byte("a\xff")))}), []string{binary("a\xff")}, 0,
		},
		{
			"RFC 6455 5.4: control frames between deflated fragments",
			stream(part{op: frame.OpText, more: true, rsv1: true, payload: "\xf2\x48\xcd"}, part{op: frame.OpPing, payload: "p"},
				part{op: frame.OpContinuation, payload: "\xc9\xc9\x07\x00"}), []string{ping("p"), text("Hello")}, 0,
		},
		{
			"RFC 6455 10.4: a bomb is refused",
			stream(part{op: frame.OpBinary, rsv1: true, payload: string(new(frame.Deflater).Deflate(nil, make([]byte, 8<<20)))}), nil, 1009,
		},
		{
			"RFC 6455 10.4: a message of exactly the limit is taken",
			stream(deflated(string(new(frame.Deflater).Deflate(nil, bytes.Repeat([]byte("x"), 1<<18))))), []string{text(strings.Repeat("x", 1<<18))}, 0,
		},
		{
			"RFC 6455 10.4: one byte more is refused",
			stream(deflated(string(new(frame.Deflater).Deflate(nil, bytes.Repeat([]byte("x"), 1<<18+1))))), nil, 1009,
		},
	})
}

func TestRFC7692Offers(t *testing.T) {
	const plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, c := range []struct {
		name   string
		offers []string
		want   string // empty: declined
	}{
		{"7.1: nothing offered", nil, ""},
		{"7.1: an empty header", []string{""}, ""},
		{"7.1: the extension alone", []string{"permessage-deflate"}, plain},
		{"7.1.1.1: server_no_context_takeover", []string{"permessage-deflate; server_no_context_takeover"}, plain},
		{"7.1.1.2: client_no_context_takeover", []string{"permessage-deflate; client_no_context_takeover"}, plain},
		{"7.1.2.1: server_max_window_bits of 15 is repeated", []string{"permessage-deflate; server_max_window_bits=15"}, plain + "; server_max_window_bits=15"},
		{"7.1.2.1: and as a quoted string", []string{`permessage-deflate; server_max_window_bits="15"`}, plain + "; server_max_window_bits=15"},
		{"7.1.2.1: below 15 is declined", []string{"permessage-deflate; server_max_window_bits=14"}, ""},
		{"7.1.2.1: 8 is declined", []string{"permessage-deflate; server_max_window_bits=8"}, ""},
		{"7.1.2.1: a value is needed", []string{"permessage-deflate; server_max_window_bits"}, ""},
		{"7.1.2.1: 16 is no window", []string{"permessage-deflate; server_max_window_bits=16"}, ""},
		{"7.1.2.1: leading zeros", []string{"permessage-deflate; server_max_window_bits=015"}, ""},
		{"7.1.2.1: not a number", []string{"permessage-deflate; server_max_window_bits=x"}, ""},
		{"7.1.2.2: client_max_window_bits without value", []string{"permessage-deflate; client_max_window_bits"}, plain},
		{"7.1.2.2: client_max_window_bits with value", []string{"permessage-deflate; client_max_window_bits=9"}, plain},
		{"7.1.2.2: a bad value", []string{"permessage-deflate; client_max_window_bits=7"}, ""},
		{"7.1: a value where there is none", []string{"permessage-deflate; server_no_context_takeover=1"}, ""},
		{"7.1: an empty value where there is none", []string{`permessage-deflate; server_no_context_takeover=""`}, ""},
		{"7.1: an unknown parameter", []string{"permessage-deflate; x"}, ""},
		{"7.1: a parameter twice", []string{"permessage-deflate; client_no_context_takeover; client_no_context_takeover"}, ""},
		{"7.1: a value twice", []string{"permessage-deflate; server_max_window_bits=15; server_max_window_bits=15"}, ""},
		{"7.1: client_max_window_bits twice", []string{"permessage-deflate; client_max_window_bits; client_max_window_bits"}, ""},
		{"7.1: client_max_window_bits with and without value", []string{"permessage-deflate; client_max_window_bits=10; client_max_window_bits"}, ""},
		{"7.1: more parameters than there are", []string{"permessage-deflate" + strings.Repeat("; client_max_window_bits", 20)}, ""},
		{"5: another extension", []string{"x-webkit-deflate-frame"}, ""},
		{"5: the first usable offer", []string{"permessage-deflate; server_max_window_bits=10, permessage-deflate; client_max_window_bits"}, plain},
		{"5: offers in several lines", []string{"foo; a=1", "permessage-deflate; x", "permessage-deflate"}, plain},
		{"5: what browsers send", []string{"permessage-deflate; client_max_window_bits"}, plain},
		{"RFC 6455 9.1: a header that does not parse", []string{"permessage-deflate; ="}, ""},
		{"RFC 6455 9.1: control characters", []string{"permessage-deflate\x00"}, ""},
		{"RFC 6455 9.1: an open quote", []string{`permessage-deflate; server_max_window_bits="15`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, accepted := frame.NegotiateDeflate(c.offers...)
			require.Equal(t, c.want, answer)
			require.Equal(t, c.want != "", accepted)
		})
	}
}

func FuzzNegotiateDeflate(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits; server_max_window_bits=\"15\", x; y=\"\\\"\"")
	f.Add("permessage-deflate;;=,\"")
	f.Fuzz(func(t *testing.T, offers string) {
		answer, accepted := frame.NegotiateDeflate(offers)
		require.Equal(t, accepted, answer != "")
		if accepted {
			require.Contains(t, offers, "permessage-deflate")
			again, ok := frame.NegotiateDeflate(answer)
			require.True(t, ok)
			require.Equal(t, answer, again)
		}
	})
}

func TestWhatIsDeflatedInflatesAnywhere(t *testing.T) {
	var deflater frame.Deflater
	var inflater frame.Inflater
	random := make([]byte, 200_000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for _, payload := range [][]byte{nil, {}, []byte("x"), []byte(strings.Repeat("market data ", 1000)), random, make([]byte, 1<<20)} {
		b := deflater.Deflate([]byte("before"), payload)
		require.Equal(t, "before", string(b[:6]))
		b = b[6:]
		standard, err := io.ReadAll(stdflate.NewReader(strings.NewReader(string(b) + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
		require.NoError(t, err)
		require.True(t, bytes.Equal(payload, standard))
		own, err := inflater.Inflate([]byte("before"), b, int64(len(payload)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(append([]byte("before"), payload...), own))
		require.Equal(t, b, deflater.Deflate(nil, payload), "nothing of one message is left in the next")
	}
	require.Equal(t, "\x00", string(deflater.Deflate(nil, nil)), "§7.2.3.6")
	_, err := inflater.Inflate(nil, deflater.Deflate(nil, make([]byte, 1000)), 999)
	var e *frame.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, frame.StatusTooBig, e.Code)
}

func TestInflationIsBoundedByTheRatioBeyondTheFirst64KiB(t *testing.T) {
	lim := frame.DefaultLimits()
	lim.InflateRatioMax = 100
	for size, code := range map[int]frame.StatusCode{64 << 10: 0, 64<<10 + 1: frame.StatusTooBig, 1 << 20: frame.StatusTooBig} {
		b := stream(part{op: frame.OpBinary, rsv1: true, payload: string(new(frame.Deflater).Deflate(nil, make([]byte, size)))})
		err := new(frame.Parser).Feed(b, &lim, new(frame.Inflater), frame.NewBudget(1<<30), &record{})
		if code == 0 {
			require.NoError(t, err, "%d bytes", size)
			continue
		}
		var e *frame.Error
		require.ErrorAs(t, err, &e, "%d bytes", size)
		require.Equal(t, code, e.Code)
	}
	var mixed []byte
	for len(mixed) < 1<<20 {
		mixed = fmt.Appendf(mixed, "%d,", len(mixed))
	}
	b := stream(part{op: frame.OpBinary, rsv1: true, payload: string(new(frame.Deflater).Deflate(nil, mixed[:1<<20]))})
	require.NoError(t, new(frame.Parser).Feed(b, &lim, new(frame.Inflater), frame.NewBudget(1<<30), &record{}), "fair data up to the limit")
}

func TestInflationIsBoundedByTheBudget(t *testing.T) {
	lim, budget := frame.DefaultLimits(), frame.NewBudget(200<<10)
	b := stream(part{op: frame.OpBinary, rsv1: true, payload: string(new(frame.Deflater).Deflate(nil, make([]byte, 1<<20)))})
	var e *frame.Error
	require.ErrorAs(t, new(frame.Parser).Feed(b, &lim, new(frame.Inflater), budget, &record{}), &e)
	require.Equal(t, frame.StatusTryAgainLater, e.Code)
	require.Zero(t, budget.Used())
}

func TestDeflaterAndInflaterAreForManyGoroutines(t *testing.T) {
	var (
		deflater frame.Deflater
		inflater frame.Inflater
		wg       sync.WaitGroup
	)
	for g := range 8 {
		wg.Go(func() {
			payload := bytes.Repeat([]byte{byte('a' + g)}, 1000*g)
			for range 50 {
				got, err := inflater.Inflate(nil, deflater.Deflate(nil, payload), 1<<20)
				if err != nil || !bytes.Equal(got, payload) {
					t.Errorf("goroutine %d: %d bytes, %v", g, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

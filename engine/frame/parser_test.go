package frame_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
)

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d} // the one of the examples in RFC 6455 §5.7

// record is a Sink that writes down what it is given, and can refuse.
type record struct {
	events []string
	refuse error
}

var _ frame.Sink = (*record)(nil)

func (r *record) Message(op frame.Opcode, payload []byte) error {
	r.events = append(r.events, fmt.Sprintf("message %d %q", op, payload))
	return r.refuse
}

func (r *record) Control(op frame.Opcode, payload []byte) error {
	r.events = append(r.events, fmt.Sprintf("control %d %q", op, payload))
	return r.refuse
}

func text(s string) string    { return fmt.Sprintf("message 1 %q", s) }
func binary(s string) string  { return fmt.Sprintf("message 2 %q", s) }
func closing(s string) string { return fmt.Sprintf("control 8 %q", s) }
func ping(s string) string    { return fmt.Sprintf("control 9 %q", s) }
func pong(s string) string    { return fmt.Sprintf("control 10 %q", s) }

// part is one frame to be sent by a client.
type part struct {
	op      frame.Opcode
	more    bool // not final
	rsv1    bool
	payload string
}

func stream(parts ...part) []byte {
	var b []byte
	for _, f := range parts {
		b = frame.AppendMaskedFrame(b, f.op, !f.more, f.rsv1, mask, []byte(f.payload))
	}
	return b
}

func closePayload(code uint16, reason string) string {
	return string([]byte{byte(code >> 8), byte(code)}) + reason
}

// outcome is everything a stream causes.
type outcome struct {
	events []string
	code   frame.StatusCode // of the error; 0 for none
	err    error
}

// read feeds the pieces of a stream, each from memory of its own, and checks that the budget is given back.
func read(t testing.TB, lim frame.Limits, inflate *frame.Inflater, pieces ...[]byte) outcome {
	t.Helper()
	var (
		p      frame.Parser
		sink   record
		out    outcome
		budget = frame.NewBudget(1 << 30)
	)
	for _, piece := range pieces {
		if err := p.Feed([]byte(string(piece)), &lim, inflate, budget, &sink); err != nil {
			require.NoError(t, out.err, "a failed parser fails once")
			out.err = err
		}
		require.GreaterOrEqual(t, budget.Used(), int64(p.Buffered()))
	}
	p.Reset(budget)
	require.Zero(t, budget.Used(), "a reset parser keeps nothing of the budget")
	require.Zero(t, p.Buffered())
	out.events = sink.events
	var e *frame.Error
	if errors.As(out.err, &e) {
		out.code = e.Code
		require.LessOrEqual(t, len(e.Reason), frame.CloseReasonBytesMax)
	}
	return out
}

// bytewise cuts a stream into single bytes.
func bytewise(b []byte) [][]byte {
	pieces := make([][]byte, len(b))
	for i := range b {
		pieces[i] = b[i : i+1]
	}
	return pieces
}

// readAll reads a stream in one piece and byte by byte, and requires the same outcome of both.
func readAll(t testing.TB, lim frame.Limits, inflate *frame.Inflater, b []byte) outcome {
	t.Helper()
	whole := read(t, lim, inflate, b)
	require.Equal(t, whole, read(t, lim, inflate, bytewise(b)...), "byte by byte")
	return whole
}

func TestEveryChunkingOfAStreamGivesTheSameMessages(t *testing.T) {
	b := stream(
		part{op: frame.OpText, payload: "ż"},
		part{op: frame.OpText, more: true, payload: "a\xe2"},
		part{op: frame.OpPing, payload: "!"},
		part{op: frame.OpContinuation, payload: "\x82\xac"},
	)
	require.LessOrEqual(t, len(b), 32)
	want := []string{text("ż"), ping("!"), text("a€")}
	// All ways to cut at up to three places: enough to set any byte apart from its neighbours, and one cut more.
	n := len(b)
	for i := 0; i <= n; i++ {
		for j := i; j <= n; j++ {
			for k := j; k <= n; k++ {
				out := read(t, frame.DefaultLimits(), nil, b[:i], b[i:j], b[j:k], b[k:])
				if out.err != nil || !slices.Equal(out.events, want) {
					require.Failf(t, "another outcome", "cut at %d %d %d: %v %v", i, j, k, out.events, out.err)
				}
			}
		}
	}
	// All 2^(n-1) ways for two small frames.
	b = stream(part{op: frame.OpText, payload: "€"}, part{op: frame.OpPing})
	n = len(b)
	for cuts := range 1 << (n - 1) {
		var pieces [][]byte
		from := 0
		for at := 1; at < n; at++ {
			if cuts>>(at-1)&1 != 0 {
				pieces = append(pieces, b[from:at])
				from = at
			}
		}
		out := read(t, frame.DefaultLimits(), nil, append(pieces, b[from:])...)
		if out.err != nil || len(out.events) != 2 || out.events[0] != text("€") || out.events[1] != ping("") {
			require.Failf(t, "another outcome", "cuts %b: %v %v", cuts, out.events, out.err)
		}
	}
}

func TestRandomMessagesArriveWholeHoweverTheyAreFragmentedAndCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var deflater frame.Deflater
	var inflater frame.Inflater
	words := []string{"", "a", "zażółć", "€𝄞", strings.Repeat("market ", 30), strings.Repeat("x", 70000)}
	for range 200 {
		var b []byte
		var want []string
		for range 1 + r.IntN(6) {
			msg := words[r.IntN(len(words))] + words[r.IntN(len(words))]
			body, deflated := msg, r.IntN(2) == 0
			if deflated {
				body = string(deflater.Deflate(nil, []byte(msg)))
			}
			first := true
			for {
				n := r.IntN(len(body) + 1)
				more := r.IntN(3) > 0
				if !more {
					n = len(body)
				}
				op := frame.OpContinuation
				if first {
					op = frame.OpText
				}
				b = append(b, stream(part{op, more, deflated && first, body[:n]})...)
				body, first = body[n:], false
				if !more {
					break
				}
				if r.IntN(3) == 0 {
					b = append(b, stream(part{op: frame.OpPong, payload: "between"})...)
					want = append(want, pong("between"))
				}
			}
			want = append(want, text(msg))
		}
		var pieces [][]byte
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(1+r.IntN(len(b))))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		out := read(t, frame.DefaultLimits(), &inflater, pieces...)
		require.NoError(t, out.err)
		require.Equal(t, want, out.events)
	}
}

func TestAnIdleParserIsSmallAndKeepsNothing(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(frame.Parser{}), uintptr(48))
	var p frame.Parser
	var sink record
	lim, budget := frame.DefaultLimits(), frame.NewBudget(1<<20)
	b := stream(part{op: frame.OpText, payload: "whole"})
	require.NoError(t, p.Feed(b[:3], &lim, nil, budget, &sink))
	require.Equal(t, 3, p.Buffered())
	require.NoError(t, p.Feed(b[3:], &lim, nil, budget, &sink))
	require.Zero(t, p.Buffered())
	require.Zero(t, budget.Used())
	require.Equal(t, []string{text("whole")}, sink.events)
}

func TestAPartialMessageTakesMemoryByWhatCameNotByWhatWasAnnounced(t *testing.T) {
	var p frame.Parser
	var sink record
	lim := frame.Limits{FrameBytesMax: 1 << 30, MessageBytesMax: 1 << 30, InflatedBytesMax: 1}
	budget := frame.NewBudget(1 << 30)
	require.NoError(t, p.Feed(nil, &lim, nil, budget, &sink))
	header := frame.AppendFrameHeader(nil, frame.OpBinary, false, 1<<29)
	header[1] |= 0x80
	require.NoError(t, p.Feed(append(header, mask[:]...), &lim, nil, budget, &sink))
	idle := budget.Used()
	require.Less(t, idle, int64(512))
	for sent := 0; sent < 100_000; sent += 1000 {
		require.LessOrEqual(t, budget.Used()-idle, int64(2*sent))
		require.NoError(t, p.Feed(make([]byte, 1000), &lim, nil, budget, &sink))
	}
}

func TestIncompleteFramesAreRefusedWhenTheBudgetIsSpent(t *testing.T) {
	lim, budget := frame.DefaultLimits(), frame.NewBudget(2000)
	var sink record
	half := stream(part{op: frame.OpText, payload: strings.Repeat("a", 400)})[:200]
	parsers := make([]frame.Parser, 20)
	kept := 0
	for i := range parsers {
		err := parsers[i].Feed([]byte(string(half)), &lim, nil, budget, &sink)
		if err == nil {
			kept++
			continue
		}
		var e *frame.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, frame.StatusTryAgainLater, e.Code)
	}
	require.Positive(t, kept)
	require.Less(t, kept, 10)
	whole := stream(part{op: frame.OpText, payload: "whole frames need no budget"})
	require.NoError(t, new(frame.Parser).Feed(whole, &lim, nil, budget, &sink))
	for i := range parsers {
		parsers[i].Reset(budget)
	}
	require.Zero(t, budget.Used())
	require.NoError(t, parsers[0].Feed(half, &lim, nil, budget, &sink), "a reset parser is as new")
}

func TestTheSinksErrorEndsTheParsing(t *testing.T) {
	stop := errors.New("enough")
	for _, b := range [][]byte{
		stream(part{op: frame.OpText, payload: "1"}, part{op: frame.OpText, payload: "2"}),
		stream(part{op: frame.OpPing, payload: "1"}, part{op: frame.OpText, payload: "2"}),
		stream(part{op: frame.OpText, more: true}, part{op: frame.OpPing, payload: "1"}, part{op: frame.OpContinuation}),
	} {
		var p frame.Parser
		sink := record{refuse: stop}
		lim, budget := frame.DefaultLimits(), frame.NewBudget(1<<20)
		require.Same(t, stop, p.Feed(b, &lim, nil, budget, &sink))
		require.Len(t, sink.events, 1)
		require.NoError(t, p.Feed(stream(part{op: frame.OpText, payload: "3"}), &lim, nil, budget, &sink))
		require.Len(t, sink.events, 1, "what follows is ignored")
		require.Zero(t, budget.Used())
	}
}

func TestWholeFramesAreDeliveredInPlaceWithoutAllocation(t *testing.T) {
	lim, budget := frame.DefaultLimits(), frame.NewBudget(0)
	one := stream(part{op: frame.OpText, payload: "in place"}, part{op: frame.OpPing, payload: "p"}, part{op: frame.OpBinary, payload: strings.Repeat("x", 70000)})
	b := make([]byte, len(one))
	var p frame.Parser
	sink := &inPlace{b: b}
	allocs := testing.AllocsPerRun(100, func() {
		copy(b, one)
		if err := p.Feed(b, &lim, nil, budget, sink); err != nil {
			panic(err)
		}
	})
	require.Zero(t, allocs)
	require.Positive(t, sink.calls)
	require.Equal(t, sink.calls, sink.inside)
}

// inPlace counts the payloads that lie in b.
type inPlace struct {
	b             []byte
	calls, inside int
}

func (s *inPlace) Message(_ frame.Opcode, payload []byte) error {
	s.calls++
	at := uintptr(unsafe.Pointer(unsafe.SliceData(payload)))
	base := uintptr(unsafe.Pointer(unsafe.SliceData(s.b)))
	if at >= base && at+uintptr(len(payload)) <= base+uintptr(len(s.b)) {
		s.inside++
	}
	return nil
}

func (s *inPlace) Control(op frame.Opcode, payload []byte) error { return s.Message(op, payload) }

// TestMaskingIsPlainXorAtEveryLengthAndCut states RFC 6455 §5.3 without the library's cipher.
func TestMaskingIsPlainXorAtEveryLengthAndCut(t *testing.T) {
	lim, budget := frame.DefaultLimits(), frame.NewBudget(1<<20)
	for n := range 150 {
		payload := make([]byte, n)
		masked := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i*7 + n)
			masked[i] = payload[i] ^ mask[i%4]
		}
		b := frame.AppendMaskedFrame(nil, frame.OpBinary, true, false, mask, payload)
		head := len(b) - n
		require.Equal(t, masked, b[head:], "%d bytes", n)
		for cut := range len(b) + 1 {
			sink := record{}
			var p frame.Parser
			fed := []byte(string(b))
			require.NoError(t, p.Feed(fed[:cut], &lim, nil, budget, &sink))
			require.NoError(t, p.Feed(fed[cut:], &lim, nil, budget, &sink))
			if len(sink.events) != 1 || sink.events[0] != binary(string(payload)) {
				require.Failf(t, "unmasked wrongly", "%d bytes cut at %d: %v", n, cut, sink.events)
			}
		}
	}
}

func TestABudgetIsSharedByParsersOfManyGoroutines(t *testing.T) {
	lim, budget := frame.DefaultLimits(), frame.NewBudget(4000)
	b := stream(part{op: frame.OpText, payload: strings.Repeat("a", 300)})
	var wg sync.WaitGroup
	var refused, delivered atomic.Int64
	for range 16 {
		wg.Go(func() {
			var p frame.Parser
			for range 200 {
				sink := record{}
				fed := []byte(string(b))
				err := errors.Join(p.Feed(fed[:100], &lim, nil, budget, &sink), p.Feed(fed[100:], &lim, nil, budget, &sink))
				if err != nil {
					refused.Add(1)
				}
				delivered.Add(int64(len(sink.events)))
				p.Reset(budget)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 16*200, refused.Load()+delivered.Load(), "each frame is refused or delivered")
	require.Positive(t, delivered.Load())
	require.Zero(t, budget.Used())
}

package row

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/peer"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// TestMain serves as a peer, or compiles a plugin, when this program is run again for that.
func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	if len(os.Args) == 5 && os.Args[1] == "peer" {
		pad, err := strconv.Atoi(os.Args[3])
		if err == nil {
			err = peer.Run(os.Args[4], pad, os.Stdin, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func body(n int, rest string) []byte {
	return fmt.Appendf(nil, `{"t":"bench","p":%s%s}`, payload(n, payloadBytes), rest)
}

func TestPayloadsCarryTheirNumberAndHaveTheirSize(t *testing.T) {
	for _, n := range []int{0, 7, 999, 1_000_000} {
		require.Len(t, payload(n, payloadBytes), payloadBytes)
		got, ok := number(body(n, ""))
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	for _, other := range []string{"", "{}", `{"t":"server_ready","p":{"n":1}}`, `{"t":"bench","p":{"x":1}}`} {
		_, ok := number([]byte(other))
		require.False(t, ok, other)
	}
	require.Equal(t, uint64(42), seqOf(body(1, `,"id":"a","seq":42,"v":2`)))
	require.Zero(t, seqOf(body(1, `,"id":"a"`)))
}

func TestAMeterTimesAPublicationToItsLastSubscriber(t *testing.T) {
	m := newMeter(2, 3)
	m.sent[0].Store(1_000_000)
	m.sent[1].Store(2_000_000)
	for i, at := range []int64{2_000_000, 3_000_000, 6_000_000} {
		require.Empty(t, m.latencies(), "after %d of 3", i)
		m.message(nil, body(0, ""), at)
	}
	m.message(nil, []byte(`{"t":"heartbeat"}`), 9)
	require.Equal(t, []float64{5}, m.latencies())
	require.EqualValues(t, 1, m.complete.Load())
	require.NoError(t, m.wait(t.Context(), 1))
	m.message(nil, body(2, ""), 9)
	require.ErrorContains(t, m.wait(t.Context(), 1), "nobody made")
}

func TestTheExactCheckFindsEveryFault(t *testing.T) {
	for _, c := range []struct {
		name               string
		numbers            []int
		seqs               []int
		lost, doubled, seq int64
	}{
		{"all in order", []int{0, 1, 2, 3}, []int{7, 8, 9, 10}, 0, 0, 0},
		{"the first is lost", []int{1, 2}, []int{8, 9}, 1, 0, 0},
		{"two are lost", []int{0, 3}, []int{7, 10}, 2, 0, 1},
		{"one is doubled", []int{0, 1, 1, 2}, []int{7, 8, 8, 9}, 0, 1, 1},
		{"two change places", []int{0, 2, 1, 3}, []int{7, 9, 8, 10}, 1, 1, 3},
		{"a new epoch restarts seq", []int{0, 1}, []int{7, 1}, 0, 0, 1},
		{"no seq at all", []int{0}, []int{0}, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &exact{seqs: make([]uint64, 1)}
			client := &swarm.Client{}
			for i, n := range c.numbers {
				e.message(client, body(n, fmt.Sprintf(`,"seq":%d`, c.seqs[i])), 0)
			}
			require.Equal(t, []int64{c.lost, c.doubled, c.seq}, []int64{e.lost.Load(), e.doubled.Load(), e.seqBroken.Load()})
		})
	}
}

func TestWhatNeverCameCountsAsWaitingUntilTheEnd(t *testing.T) {
	m := &slowMarks{wait: make(map[[2]int]float64)}
	for round := range m.sent {
		m.sent[round] = time.Now()
	}
	m.wait[[2]int{0, 0}] = 0.5
	r := &slowRun{name: "x"}
	r.collect(m, time.Hour)
	require.Equal(t, 1, r.delivered)
	require.Equal(t, slowRounds*slowReaderCount, r.published)
	require.Len(t, r.waits.Values, r.published)
	require.Equal(t, 0.5, figure.Quantile("max", 1).Of(r.waits))
}

func TestAnAnswerToASubscriptionMustBeASuccess(t *testing.T) {
	for _, c := range []struct {
		name, body string
		ready      bool
		fault      string
	}{
		{"the greeting comes first", `{"t":"server_ready","p":{}}`, false, ""},
		{"a success", `{"t":"subscription_update","p":{"action":"subscribe","success":true}}`, true, ""},
		{"a refusal", `{"t":"subscription_update","p":{"action":"subscribe","success":false}}`, false, "subscription refused"},
		{"an error", `{"t":"error","p":{"code":"AUTH_FAILED"}}`, false, "AUTH_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready, err := subscribed([]byte(c.body))
			require.Equal(t, c.ready, ready)
			if c.fault == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.fault)
			}
		})
	}
}

func TestARunAgainstAPeerMeasuresEveryPublication(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := target.StartPeer("bare", 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()
	sw, err := swarm.New()
	require.NoError(t, err)
	defer sw.Close()
	const subscribers = 20
	m := newMeter(12, subscribers)
	_, err = audience{user: userName, topics: fixed("public:a"), message: m.message}.join(ctx, sw, s, subscribers)
	require.NoError(t, err)
	require.NoError(t, m.run(ctx, s, load{"public:a", 12, 5, time.Millisecond, payloadBytes}))
	require.Len(t, m.latencies(), 12)
	require.NoError(t, intact(sw))
}

func TestThePluginRowAgreesWithNativeCode(t *testing.T) {
	configs, err := filepath.Abs("../../../../configs")
	require.NoError(t, err)
	b := &Bench{Dir: t.TempDir(), Configs: configs, Log: testWriter{t}, Repetitions: 1}
	figures, err := pluginRow(t.Context(), b)
	require.NoError(t, err)
	require.Len(t, figures, 5)
	for _, f := range figures {
		require.NoError(t, f.Check())
	}
	require.Zero(t, figure.Median().Of(figures[1].Ours), "the host allocates")
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) { w.t.Log(string(p)); return len(p), nil }

func TestRowsHaveDifferentNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range All() {
		require.False(t, seen[r.Name], r.Name)
		seen[r.Name] = true
	}
	require.NotEmpty(t, seen)
}

func TestASwappedEventIsCheckedAndTimed(t *testing.T) {
	s, c := &swapping{}, &swarm.Client{}
	publication := func(n int, member string) []byte {
		return fmt.Appendf(nil, `%s%d,"at":%d,"%s":1},"topic":"user:u1:swaps","seq":1}`, mapped, n, 1_000_000, member)
	}
	s.message(c, publication(0, "left"), 3_000_000)
	s.message(c, publication(1, "right"), 4_000_000)
	require.Zero(t, s.faults.Load())
	require.Equal(t, []float64{2, 3}, s.latency)
	require.Equal(t, [2]int64{1, 1}, [2]int64{s.by[0].Load(), s.by[1].Load()})
	for i, n := range []int{3, 3, 2} { // one is skipped, one comes twice, one late
		s.message(c, publication(n, "left"), 0)
		require.EqualValues(t, i+1, s.faults.Load())
	}
	s.message(c, []byte(`{"t":"ping","p":{}}`), 0)
	require.EqualValues(t, 5, s.received.Load())
}

package row

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/test/bench/internal/figure"
)

func TestTheMarketOfABacktestIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	bytes, err := writeTicks(filepath.Join(dir, backtestSymbol), 1000)
	require.NoError(t, err)
	require.Positive(t, bytes)
	r, err := collection.Open(dir)
	require.NoError(t, err)
	n := 0
	for r.Next() {
		for _, tick := range r.Ticks() {
			require.EqualValues(t, firstTick+tickEvery*n, tick.TimeMS)
			require.InDelta(t, tick.Price*tick.Volume, tick.QuoteVolume, 1e-6)
			require.Positive(t, tick.Volume)
			n++
		}
	}
	require.NoError(t, r.Err())
	require.Equal(t, 1000, n)
	for v, want := range map[int64]string{0: "0.00", 7: "0.07", 123: "1.23"} {
		require.Equal(t, want, string(appendFixed(nil, v, 2)))
	}
}

func TestTheStrategyInGoTrades(t *testing.T) {
	dir := t.TempDir()
	_, err := writeTicks(filepath.Join(dir, backtestSymbol), 20_000)
	require.NoError(t, err)
	one, cpu, _, err := loop(t.Context(), dir)
	require.NoError(t, err)
	require.Positive(t, cpu)
	require.EqualValues(t, 20_000, one.Ticks)
	require.Greater(t, one.Filled, uint64(10))
	require.True(t, strings.HasPrefix(one.Equity.String(), "99"), "%s: fees and slippage of small orders", one.Equity)
	again, _, _, err := loop(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, one, again)
}

func TestASignalIsTimedFromTheTickThatItIsFor(t *testing.T) {
	r := &paperRun{sent: make([]atomic.Int64, 3*paperSignals), from: math.MaxInt, signals: figure.Series{Name: "x"}}
	for i := range r.sent {
		r.sent[i].Store(int64(i+1) * 1_000_000)
	}
	signal := func(round int) []byte {
		return fmt.Appendf(nil, `{"type":"signal","version":"1.0","timestamp":"2025-11-25T10:00:00.000Z","stream":"signals","session_id":"s",`+
			`"signal":{"type":"BUY","strategy":"spikes","symbol":"S00_USDT","timestamp":%d,"indicators_snapshot":{}}}`, firstTick+tickEvery*round)
	}
	measured := 2*paperSignals - 1
	r.message(nil, signal(measured), 9_000_000)
	require.Empty(t, r.signals.Values, "nothing is measured yet")
	r.from = paperSignals
	r.message(nil, signal(paperSignals-1), 9_000_000)
	r.message(nil, signal(measured-1), 9_000_000)
	r.message(nil, signal(len(r.sent)+paperSignals), 9_000_000)
	r.message(nil, []byte(`{"type":"signal","signal":{"type":"none"}}`), 9_000_000)
	require.Empty(t, r.signals.Values, "of a round before, of no signal, of none at all")
	r.message(nil, signal(measured), int64(measured+4)*1_000_000)
	require.Equal(t, []float64{3}, r.signals.Values)
	require.EqualValues(t, 1, r.came.Load())
	r.message(nil, []byte(`{"type":"error","error_code":"insufficient_permissions"}`), 0)
	require.Contains(t, *r.refused.Load(), "insufficient_permissions")
}

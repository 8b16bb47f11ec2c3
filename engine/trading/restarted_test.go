package trading

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/store"
)

// crashed returns a directory with what a crash would leave of w now: the store's file, once it holds a session's document
// with all of the texts. Nothing may change the session meanwhile.
func crashed(t *testing.T, w *world, id string, texts ...string) string {
	t.Helper()
	require.Eventually(t, func() bool {
		raw, err := w.store.Bucket("sessions").Get(id)
		require.NoError(t, err)
		for _, text := range texts {
			if !strings.Contains(string(raw), text) {
				return false
			}
		}
		return true
	}, waitMost, waitStep)
	dir := t.TempDir()
	file, err := os.ReadFile(filepath.Join(w.dir, store.FileName))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, store.FileName), file, 0o600))
	return dir
}

func TestACrashCancelsWhatWasPendingAsAStopDoes(t *testing.T) {
	u1 := user("u1", "trader")
	w, _ := open(t, t.TempDir(), nil)
	id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, `{}`)).Session.ID
	for i, price := range []float64{10, 11, 14, 15, 20} {
		w.tick("A", int64(1000+i), price)
	}
	again, _ := open(t, crashed(t, w, id, `"placed":3`), nil)
	s := must[*message.SessionStatus](t, again, u1, &message.SessionQuery{SessionID: id}).Session
	require.Equal(t, "stopped", s.State)
	require.Equal(t, "engine_restarted", s.Reason)
	p := s.Performance
	require.Equal(t, []uint64{3, 2, 1}, []uint64{p.OrdersPlaced, p.OrdersFilled, p.OrdersCanceled})
	require.EqualValues(t, "4", p.RealizedPnL)
	require.Len(t, s.Strategies, 1)
	require.Equal(t, "inactive", s.Strategies[0].State)
	require.Equal(t, "session_ended", s.Strategies[0].Reason)
	require.Equal(t, id, s.Strategies[0].SessionID)
}

func TestACrashLeavesWhatWasHeldUnlessTheSessionWasToCloseIt(t *testing.T) {
	u1 := user("u1", "trader")
	for config, want := range map[string][2]message.Decimal{ // realized and unrealized
		`{}`:                    {"0", "2"},
		`{"close_at_end":true}`: {"2", "0"},
	} {
		w, _ := open(t, t.TempDir(), nil)
		id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, config)).Session.ID
		for i, price := range []float64{10, 11, 13} {
			w.tick("A", int64(1000+i), price)
		}
		again, _ := open(t, crashed(t, w, id, `"ticks":3`), nil)
		p := must[*message.SessionStatus](t, again, u1, &message.SessionQuery{SessionID: id}).Session.Performance
		require.Equal(t, want, [2]message.Decimal{p.RealizedPnL, p.UnrealizedPnL}, config)
	}
}

func TestACrashLeavesALiveSessionsOrdersToTheBroker(t *testing.T) {
	u1 := user("u1", "premium")
	w, _ := open(t, t.TempDir(), nil)
	id := must[*message.SessionStarted](t, w, u1, start("live", `{"s":["A"]}`, `{}`)).Session.ID
	w.tick("A", 1000, 10)
	again, _ := open(t, crashed(t, w, id, `"placed":1`), nil)
	s := must[*message.SessionStatus](t, again, u1, &message.SessionQuery{SessionID: id}).Session
	require.Equal(t, "stopped", s.State)
	require.EqualValues(t, 1, s.Performance.OrdersPlaced)
	require.Zero(t, s.Performance.OrdersCanceled, "nobody asked the broker")
	require.Equal(t, "inactive", s.Strategies[0].State)
}

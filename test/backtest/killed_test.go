package backtest

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/scenario"
)

const (
	symbol = "SP500"
	// checkpoint is how often the engine under test keeps its sessions.
	checkpoint = 50 * time.Millisecond
	// pace is the time between two ticks, settledAt the tick at which it is waited until everything is on disk, and killedAt
	// the one at which the engine is killed.
	pace      = 2 * time.Millisecond
	settledAt = 600
	killedAt  = 900
)

// tick is one row of the file as it is published, and as a collection's file has it.
type tick struct {
	payload map[string]any
	row     string
}

// ticks are the daily prices of the example.
func ticks(t *testing.T) (list []tick) {
	t.Helper()
	f, err := os.Open(trend().Prices)
	require.NoError(t, err)
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, row := range rows[1:] {
		at, err := time.Parse(time.DateOnly, row[0])
		require.NoError(t, err)
		ms, price := strconv.FormatInt(at.UnixMilli(), 10), json.Number(row[1])
		list = append(list, tick{
			payload: map[string]any{"symbol": symbol, "price": price, "volume": 0, "quote_volume": 0, "timestamp": json.Number(ms)},
			row:     ms + "," + strings.TrimRight(strings.TrimRight(row[1], "0"), ".") + ",0,0",
		})
	}
	return list
}

// start starts an engine in a directory, and where it is restarted finds what the one before left.
func start(t *testing.T, dir string) *scenario.Engine {
	t.Helper()
	e, err := scenario.Start(wse, dir, []string{"trading.checkpoint_interval=" + checkpoint.String(), "trading.sync_interval=20ms"}, false)
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Stop() }) // it may have been killed
	return e
}

// before is what the first engine said.
type before struct {
	finished, mine, theirs string         // sessions
	past, recording        string         // collections
	results                map[string]any // of the finished session
	pastStatus             map[string]any
}

func TestSessionsAndCollectionsSurviveAnEngineThatIsKilled(t *testing.T) {
	t.Parallel()
	dir, list := t.TempDir(), ticks(t)
	e := start(t, dir)
	b := prepare(t, e, list)
	sent, safe := steadily(t, e, list, b.recording)
	_, err := e.Wait()
	require.NoError(t, err)
	file := filepath.Join(dir, "data", "session_"+b.recording, symbol, "prices.csv")
	tear(t, file, list[sent].row)

	e = start(t, dir)
	mine, theirs := connect(t, e, "mine"), connect(t, e, "theirs")
	t.Run("a session that ran is stopped, with what it came to", func(t *testing.T) {
		mine.t, theirs.t = t, t
		processed := stopped(t, mine, b.mine, sent, safe)
		t.Logf("%d ticks were sent, %d of them were known to be on disk; the session has %d", sent, safe, processed)
	})
	t.Run("another user's too, which the first one cannot see", func(t *testing.T) {
		mine.t, theirs.t = t, t
		stopped(t, theirs, b.theirs, sent, safe)
		require.Equal(t, "session_not_found", mine.answer("session_status", map[string]any{"session_id": b.theirs})["error_code"])
	})
	t.Run("a session that had ended is as it was", func(t *testing.T) {
		mine.t = t
		require.Equal(t, b.results, mine.results(b.finished))
		require.Equal(t, "finished", mine.session(b.finished)["reason"])
	})
	t.Run("a collection that had ended is as it was", func(t *testing.T) {
		mine.t = t
		status := mine.ask("collection_status", map[string]any{"collection_id": b.past})
		for _, name := range []string{"state", "reason", "records_collected", "bytes", "ended_at"} {
			require.Equal(t, b.pastStatus[name], status[name], name)
		}
	})
	t.Run("a collection that ran is stopped, with its whole rows", func(t *testing.T) {
		mine.t = t
		recovered(t, mine, b.recording, file, list, sent, safe)
	})
	t.Run("the same start makes a new session", func(t *testing.T) {
		mine.t = t
		started := mine.ask("session_start", map[string]any{"session_type": "paper", "strategy_config": map[string]any{"trend": []string{symbol}}})
		require.Equal(t, false, started["reused"])
		require.NotEqual(t, b.mine, started["session_id"])
	})
}

// prepare has a collection and a backtest that have ended, and starts a collection and two users' paper sessions.
func prepare(t *testing.T, e *scenario.Engine, list []tick) (b before) {
	t.Helper()
	mine, theirs := connect(t, e, "mine"), connect(t, e, "theirs")
	text, err := os.ReadFile(trend().Strategy)
	require.NoError(t, err)
	mine.ask("upsert_strategy", map[string]any{"strategy_config": json.RawMessage(text)})

	b.past = mine.ask("collection_start", map[string]any{"symbols": []string{symbol}})["collection_id"].(string)
	var payloads []map[string]any
	for _, one := range list[:200] {
		payloads = append(payloads, one.payload)
	}
	require.NoError(t, publish(t.Context(), e, payloads...))
	b.pastStatus = mine.ask("collection_stop", map[string]any{"collection_id": b.past})
	require.Equal(t, 200, count(t, b.pastStatus["records_collected"]))
	b.finished = mine.backtest(b.past)
	b.results = mine.results(b.finished)
	require.Equal(t, 200, count(t, b.results["metrics"].(map[string]any)["ticks_processed"]))

	b.recording = mine.ask("collection_start", map[string]any{"symbols": []string{symbol}})["collection_id"].(string)
	paper := map[string]any{"session_type": "paper", "strategy_config": map[string]any{"trend": []string{symbol}}}
	b.mine = mine.ask("session_start", paper)["session_id"].(string)
	b.theirs = theirs.ask("session_start", paper)["session_id"].(string)
	return b
}

// backtest runs the strategy on a collection to its end.
func (u *user) backtest(collection string) (id string) {
	u.t.Helper()
	id = u.ask("session_start", map[string]any{
		"session_type": "backtest", "strategy_config": map[string]any{"trend": []string{symbol}}, "config": map[string]any{"collection_id": collection},
	})["session_id"].(string)
	require.Eventually(u.t, func() bool { return u.session(id)["state"] == "stopped" }, patience, 5*time.Millisecond)
	return id
}

// settled waits until everything that was published is on disk, as the engine itself tells.
func settled(t *testing.T, e *scenario.Engine, recording string, sent int) {
	t.Helper()
	mine := connect(t, e, "mine")
	require.Eventually(t, func() bool {
		rows := count(t, mine.ask("collection_status", map[string]any{"collection_id": recording})["records_collected"])
		resp, err := http.Get("http://" + e.Admin + "/metrics")
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return rows == sent && strings.Contains(string(text), "\nwse_sessions_unsynced 0\n")
	}, patience, 5*time.Millisecond)
}

// steadily publishes ticks one by one, kills the engine in the middle, and goes on until it no longer answers. It returns how many
// ticks were sent, and how many of them must have been kept.
func steadily(t *testing.T, e *scenario.Engine, list []tick, recording string) (sent, safe int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	steady := time.NewTicker(pace)
	defer steady.Stop()
	for range steady.C {
		switch sent {
		case settledAt:
			settled(t, e, recording, sent)
		case killedAt:
			require.NoError(t, e.Signal(syscall.SIGKILL))
		}
		sent++ // it may be taken even if nobody says so
		if err := publish(ctx, e, list[sent-1].payload); err != nil {
			break
		}
		require.Less(t, sent, len(list)-1, "the engine lives")
	}
	require.GreaterOrEqual(t, sent, killedAt)
	return sent, settledAt
}

// stopped looks at a session that ran, and compares it with a computation up to its last tick, which it returns.
func stopped(t *testing.T, u *user, id string, sent, safe int) int {
	t.Helper()
	status, results := u.session(id), u.results(id)
	require.Equal(t, "stopped", status["state"])
	require.Equal(t, "engine_restarted", status["reason"])
	metrics := results["metrics"].(map[string]any)
	require.Equal(t, metrics, status["metrics"])
	processed := count(t, metrics["ticks_processed"])
	require.LessOrEqual(t, processed, sent)
	require.GreaterOrEqual(t, processed, safe)
	require.Positive(t, count(t, metrics["trades"]), "there is something to lose")
	r := trend()
	r.Ticks = &processed
	agree(t, differences("results", results, recomputed(t, r)["session_results"]))
	for _, s := range status["strategies"].([]any) {
		require.Equal(t, "inactive", s.(map[string]any)["state"])
	}
	return processed
}

// tear leaves the beginning of a row at the end of a file, as a crash in the middle of a write does.
func tear(t *testing.T, file, row string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString(row[:len(row)/2])
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// recovered looks at a collection that ran: its rows are the first ones that were sent, and a backtest reads them.
func recovered(t *testing.T, u *user, id, file string, list []tick, sent, safe int) {
	t.Helper()
	status := u.ask("collection_status", map[string]any{"collection_id": id})
	require.Equal(t, "stopped", status["state"])
	require.Equal(t, "engine_restarted", status["reason"])
	rows := count(t, status["records_collected"])
	require.LessOrEqual(t, rows, sent)
	require.GreaterOrEqual(t, rows, safe)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	want := []string{"timestamp,price,volume,quote_volume"}
	for _, one := range list[:rows] {
		want = append(want, one.row)
	}
	require.Equal(t, strings.Join(want, "\n")+"\n", string(text))
	r := trend()
	r.Ticks = &rows
	agree(t, differences("results", u.results(u.backtest(id)), recomputed(t, r)["session_results"]))
}

package admin_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading"
)

// desk is trading with one session.
type desk struct{}

func session() *message.Session {
	return &message.Session{ID: "exec_1", Type: "paper", State: "running", Owner: "u1", Performance: message.Performance{OrdersFilled: 3, RealizedPnL: "12.5", Equity: "1"}}
}

func (desk) List(_ context.Context, user string, most int) ([]*message.Session, error) {
	if user == "u2" || most == 0 {
		return nil, nil
	}
	return []*message.Session{session()}, nil
}

func (desk) Running(context.Context) []*message.Session { return []*message.Session{session()} }

func (desk) Stats() trading.Stats {
	return trading.Stats{Sessions: map[string]int{"paper": 1}, Started: 4, TicksDropped: 2, Unsynced: 7}
}

func TestSessionsAreListedAsProtocolV1TellsOfThem(t *testing.T) {
	a := serve(t, config())
	got := a.get("/api/v1/sessions?user=u1").json()
	require.Equal(t, "sessions_list", got["status"])
	first := got["sessions"].([]any)[0].(map[string]any)
	require.Equal(t, "exec_1", first["session_id"])
	require.Equal(t, 12.5, first["metrics"].(map[string]any)["realized_pnl"])
	require.Equal(t, []any{}, a.get("/api/v1/sessions?user=u2").json()["sessions"])
	a.get("/api/v1/sessions?id=x").problem(400, "BAD_REQUEST")
}

func TestMetricsHaveTheFiguresOfSessionsThatRun(t *testing.T) {
	text := serve(t, config()).get("/metrics").body
	for _, line := range []string{
		`wse_sessions{session_type="paper"} 1`, "wse_sessions_started_total 4", "wse_sessions_unsynced 7", `wse_session_ticks_lost_total{reason="queue_full"} 2`,
		`wse_session_orders_filled_total{session_id="exec_1",session_type="paper"} 3`,
		`wse_session_realized_pnl{session_id="exec_1",session_type="paper"} 12.5`,
	} {
		require.Contains(t, string(text), line)
	}
}

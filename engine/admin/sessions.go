package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/dialect/wsapi"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading"
)

// Sessions tells of trading sessions. All of it may block until ctx ends.
type Sessions interface {
	// List returns a user's sessions, or everybody's where user is "", those that run first, the newest first.
	List(ctx context.Context, user string, most int) ([]*message.Session, error)
	// Running returns the sessions that run and answer while ctx lasts.
	Running(ctx context.Context) []*message.Session
	Stats() trading.Stats
}

var _ Sessions = (*trading.Trading)(nil)

// sessionsAskedFor is how long a scrape of the metrics waits for sessions at most: one that is busy is left out.
const sessionsAskedFor = time.Second

// sessions lists sessions, in the words of protocol v1.
func (s *Server) sessions(w http.ResponseWriter, r *http.Request) {
	values, limit, ok := s.listing(w, r, "user")
	if !ok {
		return
	}
	list, err := s.deps.Sessions.List(r.Context(), values.Get("user"), limit)
	if err != nil {
		s.fail(w, r, err, nil)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	reply := &message.Reply{TimeMS: time.Now().UnixMilli(), Body: &message.SessionList{Sessions: list}}
	_, _ = w.Write(wsapi.Dialect{}.AppendReply(nil, reply)) // the client may be gone
}

// sessions makes metrics of sessions: what all did, and of each that runs the figures that its owner is told.
func (e emitter) sessions(st trading.Stats, running []*message.Session) {
	for kind, n := range st.Sessions {
		e.gauge("wse_sessions", "Trading sessions that run.", float64(n), label{"session_type", kind})
	}
	e.gauge("wse_strategies_watching", "Strategies that were activated without a session.", float64(st.Watches))
	e.gauge("wse_sessions_kept", "Sessions that ended and can be asked about.", float64(st.Kept))
	e.gauge("wse_sessions_unsynced", "Sessions of which something is not on disk yet, and would be lost in a crash.", float64(st.Unsynced))
	e.counter("wse_sessions_started_total", "Sessions started.", st.Started)
	e.counter("wse_sessions_failed_total", "Sessions and watching strategies that ended by an error.", st.Failed)
	e.counter("wse_session_checkpoints_failed_total", "Writes of sessions to disk that failed and were tried again.", st.CheckpointsBad)
	e.counter("wse_session_unpublished_total", "What sessions had to say and could not be published.", st.Unpublished)
	e.counter("wse_session_reports_refused_total", "Reports of executions that could not be booked.", st.ReportsBad)
	e.counter("wse_session_market_interruptions_total", "Markets whose ticks did not go on where they stopped.", st.Interruptions)
	e.counter("wse_session_reports_reread_total", "Readings of an owner's order events for reports that a live session may have missed.", st.Rereads)
	e.counters("wse_session_ticks_lost_total", "Ticks that no session saw, by why.", "reason", map[string]uint64{
		"invalid": st.TicksInvalid, "queue_full": st.TicksDropped, "paused": st.TicksSkipped,
	})
	for _, s := range running {
		who := []label{{"session_id", s.ID}, {"session_type", s.Type}}
		p := &s.Performance
		for name, v := range map[string]uint64{
			"ticks_processed": p.TicksProcessed, "signals_detected": p.SignalsDetected, "orders_placed": p.OrdersPlaced,
			"orders_filled": p.OrdersFilled, "orders_rejected": p.OrdersRejected, "orders_cancelled": p.OrdersCanceled, "trades": p.Trades,
		} {
			e.counter("wse_session_"+name+"_total", "Of a session that runs: "+name+", as its results say.", v, who...)
		}
		for name, v := range map[string]message.Decimal{
			"realized_pnl": p.RealizedPnL, "unrealized_pnl": p.UnrealizedPnL, "fees": p.Fees, "equity": p.Equity, "max_drawdown": p.MaxDrawdown, "net_pnl": p.NetPnL,
		} {
			f, _ := strconv.ParseFloat(string(v), 64) // empty is 0
			e.gauge("wse_session_"+name, "Of a session that runs: "+name+" in quote currency, as its results say.", f, who...)
		}
		e.gauge("wse_session_win_rate", "Of a session that runs: win_rate, as its results say.", p.WinRate, who...)
	}
}

package wsapi

import (
	"math"
	"strconv"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// writeSession writes the answers about sessions.
func writeSession(w *dialect.Writer, body message.ReplyBody) bool {
	switch b := body.(type) {
	case *message.SessionStarted:
		writeStarted(w, b)
	case *message.SessionChanged:
		w.String("session_id", b.Session.ID)
		w.Key("data")
		writeSessionData(w, b.Session)
	case *message.SessionStatus:
		if b.Session != nil {
			w.String("session_id", b.Session.ID)
			for _, key := range [...]string{"session_data", "data"} { // known clients read either
				w.Key(key)
				writeSessionData(w, b.Session)
			}
		}
	case *message.SessionList:
		w.Begin("sessions", '[')
		for _, s := range b.Sessions {
			w.Comma()
			writeSessionData(w, s)
		}
		w.End(']')
	case *message.ResultsAnswer:
		writeResults(w, b)
	default:
		return false
	}
	return true
}

func writeStarted(w *dialect.Writer, b *message.SessionStarted) {
	w.String("session_id", b.Session.ID)
	w.String("session_type", b.Session.Type)
	w.Begin("strategy_config", '{')
	for i, s := range b.Session.Strategies {
		if i == 0 || b.Session.Strategies[i-1].Strategy != s.Strategy {
			if i > 0 {
				w.End(']')
			}
			w.Begin(s.Strategy, '[')
		}
		w.Comma()
		w.Dst = jsonscan.AppendQuoted(w.Dst, s.Symbol)
	}
	if len(b.Session.Strategies) > 0 {
		w.End(']')
	}
	w.End('}')
	dialect.WriteTexts(w, "symbols", b.Session.Symbols)
	w.Begin("activation_results", '[')
	for i := range b.Activations {
		a := &b.Activations[i]
		w.Open('{')
		w.String("strategy_name", a.Strategy)
		w.String("symbol", a.Symbol)
		w.Bool("success", a.Reason == "")
		w.String("plugin", a.Plugin)
		if a.Reason != "" {
			w.String("error", a.Reason)
		}
		w.End('}')
	}
	w.End(']')
	w.Bool("reused", b.Reused)
}

func writeSessionData(w *dialect.Writer, s *message.Session) {
	w.Dst = append(w.Dst, '{')
	w.String("session_id", s.ID)
	w.String("session_type", s.Type)
	w.String("status", s.State)
	w.String("state", s.State)
	if s.Reason != "" {
		w.String("reason", s.Reason)
	}
	w.String("owner", s.Owner)
	dialect.WriteTexts(w, "symbols", s.Symbols)
	w.Begin("strategies", '[')
	for i := range s.Strategies {
		w.Comma()
		writeState(w, &s.Strategies[i])
	}
	w.End(']')
	if s.Source != "" {
		w.String("collection_id", s.Source)
	}
	if s.Type == "backtest" {
		writeFloat(w, "progress", s.Progress)
	}
	if len(s.Config) > 0 {
		w.Raw("config", s.Config)
	}
	w.Time("created_at", s.CreatedMS)
	if s.EndedMS != 0 {
		w.Time("ended_at", s.EndedMS)
	}
	w.Key("metrics")
	writePerformance(w, &s.Performance)
	w.End('}')
}

// writePerformance writes the figures of a session, a symbol or a strategy; all answers have them under the same names.
func writePerformance(w *dialect.Writer, p *message.Performance) {
	w.Dst = append(w.Dst, '{')
	for _, n := range [...]struct {
		key   string
		value uint64
	}{
		{"ticks_processed", p.TicksProcessed}, {"ticks_out_of_order", p.TicksOutOfOrder}, {"signals_detected", p.SignalsDetected},
		{"orders_placed", p.OrdersPlaced}, {"orders_filled", p.OrdersFilled}, {"orders_rejected", p.OrdersRejected},
		{"orders_cancelled", p.OrdersCanceled}, {"trades", p.Trades}, {"winning_trades", p.Wins}, {"losing_trades", p.Losses},
	} {
		w.Uint(n.key, n.value)
	}
	writeFloat(w, "win_rate", p.WinRate)
	writeDecimal(w, "realized_pnl", p.RealizedPnL)
	writeDecimal(w, "unrealized_pnl", p.UnrealizedPnL)
	writeDecimal(w, "fees", p.Fees)
	writeDecimal(w, "net_pnl", p.NetPnL)
	writeDecimal(w, "max_drawdown", p.MaxDrawdown)
	writeFloat(w, "max_drawdown_pct", p.MaxDrawdownPct)
	if p.Equity != "" {
		w.Uint("ticks_invalid", p.TicksInvalid)
		writeDecimal(w, "initial_balance", p.InitialBalance)
		writeDecimal(w, "balance", p.Balance)
		writeDecimal(w, "equity", p.Equity)
		writeRatio(w, "sharpe", p.Sharpe)
		writeRatio(w, "sortino", p.Sortino)
	}
	w.End('}')
}

func writeResults(w *dialect.Writer, b *message.ResultsAnswer) {
	w.String("request_type", b.RequestType)
	w.String("session_id", b.SessionID)
	if b.Symbol != "" {
		w.String("symbol", b.Symbol)
	}
	if b.Strategy != "" {
		w.String("strategy", b.Strategy)
	}
	r := b.Results
	w.Begin("data", '{')
	w.String("session_id", b.SessionID)
	w.Key("metrics")
	writePerformance(w, &r.Performance)
	writeParts(w, "symbols", r.BySymbol)
	writeParts(w, "strategies", r.ByStrategy)
	writePositions(w, r.Positions)
	writeTrades(w, r.Trades)
	w.Begin("rejections", '{')
	for _, one := range r.Rejections {
		w.Uint(one.Reason, one.Count)
	}
	w.End('}')
	if len(r.Equity) > 0 {
		w.Begin("equity_curve", '[')
		for _, p := range r.Equity {
			w.Open('{')
			w.Time("timestamp", p.TimeMS)
			writeDecimal(w, "equity", p.Equity)
			w.End('}')
		}
		w.End(']')
	}
	w.End('}')
}

func writeParts(w *dialect.Writer, key string, parts []message.PartResults) {
	if len(parts) == 0 {
		return
	}
	w.Begin(key, '{')
	for i := range parts {
		w.Key(parts[i].Name)
		writePerformance(w, &parts[i].Performance)
	}
	w.End('}')
}

func writePositions(w *dialect.Writer, positions []message.Position) {
	w.Begin("positions", '[')
	for i := range positions {
		p := &positions[i]
		w.Open('{')
		w.String("strategy", p.Strategy)
		w.String("symbol", p.Symbol)
		writeDecimal(w, "quantity", p.Quantity)
		writeDecimal(w, "avg_price", p.AveragePrice)
		writeDecimal(w, "last_price", p.LastPrice)
		writeDecimal(w, "unrealized_pnl", p.UnrealizedPnL)
		w.End('}')
	}
	w.End(']')
}

func writeTrades(w *dialect.Writer, trades []message.Trade) {
	w.Begin("trades_list", '[')
	for i := range trades {
		t := &trades[i]
		w.Open('{')
		w.String("strategy", t.Strategy)
		w.String("symbol", t.Symbol)
		w.String("side", t.Side)
		writeDecimal(w, "quantity", t.Quantity)
		writeDecimal(w, "entry_price", t.EntryPrice)
		writeDecimal(w, "exit_price", t.ExitPrice)
		w.Time("entry_time", t.EntryMS)
		w.Time("exit_time", t.ExitMS)
		writeDecimal(w, "realized_pnl", t.RealizedPnL)
		writeDecimal(w, "fees", t.Fees)
		writeDecimal(w, "net_pnl", t.Net)
		w.String("reason", t.Reason)
		w.End('}')
	}
	w.End(']')
}

// writeDecimal writes a decimal as a bare number.
func writeDecimal(w *dialect.Writer, key string, d message.Decimal) {
	w.Key(key)
	if d == "" {
		d = "0"
	}
	w.Dst = append(w.Dst, d...)
}

// writeFloat writes a number; one that JSON cannot write is null.
func writeFloat(w *dialect.Writer, key string, f float64) {
	w.Key(key)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.Dst = append(w.Dst, "null"...)
		return
	}
	w.Dst = strconv.AppendFloat(w.Dst, f, 'f', -1, 64)
}

// writeRatio writes a number that may not be known.
func writeRatio(w *dialect.Writer, key string, f *float64) {
	if f == nil {
		w.Raw(key, nil)
		return
	}
	writeFloat(w, key, *f)
}

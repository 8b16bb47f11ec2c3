package wsapi

import (
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
)

// writeStrategy writes the answers about strategies.
func writeStrategy(w *dialect.Writer, body message.ReplyBody) bool {
	switch b := body.(type) {
	case *message.StrategiesList:
		w.Begin("strategies", '[')
		for i := range b.Strategies {
			w.Comma()
			writeStrategyData(w, &b.Strategies[i])
		}
		w.End(']')
	case *message.StrategyActivated:
		writeStateFields(w, &b.State)
	case *message.StrategyStates:
		writeStates(w, b)
	case *message.StrategyValidation:
		w.Bool("valid", b.Valid)
		writeFaults(w, "errors", b.Errors)
		writeFaults(w, "warnings", b.Warnings)
	case *message.StrategyUpserted:
		w.String("strategy_name", b.Strategy)
		w.Bool("created", b.Created)
		writeFaults(w, "warnings", b.Warnings)
	default:
		return false
	}
	return true
}

func writeStrategyData(w *dialect.Writer, s *message.Strategy) {
	w.Dst = append(w.Dst, '{')
	w.String("strategy_name", s.Name)
	w.String("name", s.Name)
	writeID(w, "author", s.Author)
	w.Time("updated_at", s.UpdatedMS)
	w.String("sha256", s.SHA256)
	dialect.WriteTexts(w, "active_symbols", s.Active)
	w.Raw("strategy_config", s.Config)
	w.End('}')
}

// writeStates writes the states of strategies: of one by symbol, of all by strategy.
func writeStates(w *dialect.Writer, b *message.StrategyStates) {
	if b.Strategy != "" {
		w.String("strategy_name", b.Strategy)
	}
	for _, key := range [...]string{"strategies", "data"} { // known clients read either
		w.Begin(key, '[')
		for i := range b.States {
			w.Comma()
			writeState(w, &b.States[i])
		}
		w.End(']')
	}
}

func writeState(w *dialect.Writer, s *message.StrategyState) {
	w.Dst = append(w.Dst, '{')
	writeStateFields(w, s)
	w.End('}')
}

func writeStateFields(w *dialect.Writer, s *message.StrategyState) {
	w.String("strategy_name", s.Strategy)
	w.String("symbol", s.Symbol)
	w.String("state", s.State)
	if s.Since != 0 {
		w.Time("since", s.Since)
	}
	writeID(w, "session_id", s.SessionID)
	if s.Plugin != "" {
		w.String("plugin", s.Plugin)
	}
	if s.Reason != "" {
		w.String("reason", s.Reason)
	}
}

func writeFaults(w *dialect.Writer, key string, faults []message.Fault) {
	w.Begin(key, '[')
	for i := range faults {
		w.Open('{')
		w.String("path", faults[i].Path)
		w.String("message", faults[i].Message)
		w.End('}')
	}
	w.End(']')
}

// writeCollection writes the answers about collections.
func writeCollection(w *dialect.Writer, body message.ReplyBody) bool {
	var c *message.Collection
	switch b := body.(type) {
	case *message.CollectionStarted:
		c = b.Collection
	case *message.CollectionStopped:
		c = b.Collection
	case *message.CollectionStatus:
		c = b.Collection
	default:
		return false
	}
	if c == nil {
		return true
	}
	w.String("collection_id", c.ID)
	dialect.WriteTexts(w, "symbols", c.Symbols)
	if c.Duration > 0 {
		writeFloat(w, "duration", c.Duration.Seconds())
	} else {
		w.Raw("duration", nil)
	}
	w.String("state", c.State)
	if c.Reason != "" {
		w.String("reason", c.Reason)
	}
	w.Time("started_at", c.StartedMS)
	if c.EndedMS != 0 {
		w.Time("ended_at", c.EndedMS)
	}
	w.Uint("records_collected", c.Records)
	w.Uint("records_rejected", c.Rejected)
	w.Uint("records_dropped", c.Dropped)
	w.Uint("interruptions", c.Interruptions)
	w.Int("bytes", c.Bytes)
	w.Begin("records_by_symbol", '{')
	for _, symbol := range c.Symbols {
		w.Uint(symbol, c.BySymbol[symbol])
	}
	w.End('}')
	return true
}

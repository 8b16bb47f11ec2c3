package wsapi

import (
	"bytes"
	"math"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Decode reads one message: a JSON object with a type. Text and binary frames are read alike. The request is never nil; with
// an error it holds the id where it could be read. An id is told back as it came, text or number, and does not make a
// message with the same id a repeat: clients of this protocol count from one, or use one id for all.
func (Dialect) Decode(data []byte, _ bool) (*message.Request, error) {
	req := &message.Request{}
	if err := jsonscan.Valid(data, depthMax); err != nil {
		return req, message.Errorf(message.CodeInvalidMessage, "the message is no JSON: %v", err)
	}
	if data = bytes.TrimSpace(data); jsonscan.KindOf(data) != jsonscan.KindObject {
		return req, message.Errorf(message.CodeInvalidArgument, "the message must be a JSON object with a type, not %s", jsonscan.KindOf(data).String())
	}
	var all faults
	f := all.members("", data)
	req.CID = f.id()
	req.Type = f.required("type", typeBytesMax)
	if req.Type != "" {
		req.Body = decodeBody(req.Type, f)
	}
	if req.Type != "" && req.Body == nil {
		all.add("type", "%q is not one of the protocol's requests", cut(req.Type))
	}
	if err := all.err(); err != nil {
		req.Body = nil
		return req, err
	}
	return req, nil
}

// id returns the request's id as it is spelled, quotes and all.
func (f *fields) id() string {
	raw := f.get("id")
	if raw == nil {
		return ""
	}
	switch kind := jsonscan.KindOf(raw); {
	case kind != jsonscan.KindString && kind != jsonscan.KindNumber:
		f.faults.add("id", "must be a string or a number, not %s", jsonscan.KindOf(raw).String())
	case len(raw) > idBytesMax:
		f.faults.add("id", "has %d bytes, at most %d are allowed", len(raw), idBytesMax)
	default:
		return string(raw)
	}
	return ""
}

// decodeBody reads what a request of type t asks (PROTOCOL §3.2–3.3); nil: there is no such type.
func decodeBody(t string, f *fields) message.Body {
	switch t {
	case "handshake":
		return &message.Handshake{
			Version: f.text("version", nameBytesMax), ClientID: f.text("client_id", idBytesMax), Capabilities: f.texts("capabilities"),
		}
	case "heartbeat", "ping":
		return &message.Ping{}
	case "auth":
		return &message.Authenticate{Token: f.required("token", tokenBytesMax)}
	case "refresh":
		return &message.RefreshToken{Token: f.required("refresh_token", tokenBytesMax)}
	case "subscribe", "unsubscribe":
		return decodeStream(f, t == "unsubscribe")
	case "results_request":
		return &message.ResultsRequest{
			RequestType: f.text("request_type", nameBytesMax), SessionID: f.name("session_id", nameBytesMax, false),
			Symbol: f.name("symbol", symbolBytes, false), Strategy: f.name("strategy", nameBytesMax, false),
		}
	}
	if body := decodeSession(t, f); body != nil {
		return body
	}
	if body := decodeStrategy(t, f); body != nil {
		return body
	}
	return decodeCollection(t, f)
}

func decodeStream(f *fields, leave bool) message.Body {
	b := &message.StreamRequest{Stream: f.required("stream", nameBytesMax), Params: f.object("params"), Leave: leave}
	if b.Stream != "" && !isStream(b.Stream) {
		f.faults.add("stream", "must be market_data, indicators, signals, orders, positions, portfolio, execution_status or system_health, not %q", cut(b.Stream))
	}
	if b.Params != nil {
		params := f.faults.members("params.", b.Params)
		b.Symbols = params.symbols("symbols")
		if one := params.name("symbol", symbolBytes, false); one != "" {
			b.Symbols = append(b.Symbols, one)
		}
	}
	return b
}

func isStream(s string) bool {
	switch s {
	case message.StreamMarketData, message.StreamIndicators, message.StreamSignals, message.StreamOrders,
		message.StreamPositions, message.StreamPortfolio, message.StreamExecutionStatus, message.StreamSystemHealth:
		return true
	}
	return false
}

// decodeSession reads the requests about sessions. A missing session_type or strategy_config is for their handler to refuse:
// each has a code of its own.
func decodeSession(t string, f *fields) message.Body {
	switch t {
	case "session_start":
		return &message.SessionStart{
			SessionType: f.text("session_type", nameBytesMax), StrategyConfig: f.object("strategy_config"), Config: f.object("config"),
		}
	case "session_stop":
		return &message.SessionChange{Change: message.SessionStop, SessionID: f.name("session_id", nameBytesMax, true)}
	case "session_pause":
		return &message.SessionChange{Change: message.SessionPause, SessionID: f.name("session_id", nameBytesMax, true)}
	case "session_resume":
		return &message.SessionChange{Change: message.SessionResume, SessionID: f.name("session_id", nameBytesMax, true)}
	case "session_status":
		return &message.SessionQuery{SessionID: f.name("session_id", nameBytesMax, false)}
	}
	return nil
}

func decodeStrategy(t string, f *fields) message.Body {
	switch t {
	case "get_strategies":
		return &message.StrategiesRequest{}
	case "activate_strategy", "deactivate_strategy":
		return &message.StrategyActivation{
			Strategy: f.required("strategy_name", nameBytesMax), Symbol: f.name("symbol", symbolBytes, true),
			Deactivate: t == "deactivate_strategy",
		}
	case "get_strategy_status":
		return &message.StrategyQuery{Strategy: f.text("strategy_name", nameBytesMax), Symbol: f.name("symbol", symbolBytes, false)}
	case "validate_strategy_config", "upsert_strategy":
		b := &message.StrategyConfig{Config: f.object("strategy_config"), Save: t == "upsert_strategy"}
		if b.Config == nil && f.faultless("strategy_config") {
			f.faults.add("strategy_config", "is required: the strategy's configuration, an object")
		}
		return b
	}
	return nil
}

func decodeCollection(t string, f *fields) message.Body {
	switch t {
	case "collection_start":
		b := &message.CollectionStart{Symbols: f.symbols("symbols"), Duration: f.duration("duration")}
		if len(b.Symbols) == 0 && len(f.faults.list) == 0 {
			f.faults.add("symbols", "is required: an array of at least one symbol")
		}
		return b
	case "collection_stop":
		return &message.CollectionStop{CollectionID: f.name("collection_id", nameBytesMax, true)}
	case "collection_status":
		return &message.CollectionQuery{CollectionID: f.name("collection_id", nameBytesMax, false)}
	}
	return nil
}

// duration reads seconds, or a text such as 90s, 15m, 1h or 2d; 0 where there is none.
func (f *fields) duration(name string) time.Duration {
	const want = "must be a number of seconds from 1 to 1e9, or a text such as 90s, 15m, 1h or 2d"
	raw := f.get(name)
	if raw == nil {
		return 0
	}
	var d time.Duration
	switch jsonscan.KindOf(raw) {
	case jsonscan.KindNumber:
		if seconds, err := jsonscan.Float(raw); err == nil && seconds > 0 && seconds <= 1e9 && !math.IsNaN(seconds) {
			d = time.Duration(seconds * float64(time.Second))
		}
	case jsonscan.KindString:
		d = parseDuration(raw)
	}
	if d < time.Second || d > 1e9*time.Second {
		f.faults.add(f.path+name, want)
		return 0
	}
	return d
}

// parseDuration reads what time.ParseDuration does, and days; 0 is a fault.
func parseDuration(raw []byte) time.Duration {
	s, err := jsonscan.String(raw)
	if err != nil || len(s) > nameBytesMax {
		return 0
	}
	times := time.Duration(1)
	if n := len(s); n > 1 && s[n-1] == 'd' {
		s, times = s[:n-1]+"h", 24
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > 1e9*time.Second {
		return 0
	}
	return d * times
}

package wsapi

import (
	"strings"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

const (
	topicMarketData   = "stream:market_data:"
	topicSystemHealth = "stream:system_health:"
)

// AppendPublication writes a numbered envelope as the message of the stream that it belongs to (PROTOCOL §3.3). It has no
// id: ids are of requests. The payload is spliced in as it is.
func (d Dialect) AppendPublication(dst []byte, env *message.Envelope) []byte {
	if env.Notice != nil {
		return d.AppendReply(dst, &message.Reply{ID: env.ID, TimeMS: env.TimeMS, Body: env.Notice})
	}
	return appendData(dst, env, "")
}

// appendData writes an envelope. A session's id that is not empty stands in where the payload has none: a seed has one.
func appendData(dst []byte, env *message.Envelope, session string) []byte {
	stream, inner := streamOf(env)
	switch stream {
	case message.StreamMarketData, message.StreamSystemHealth: // shared: no session, so that nothing has to be looked for
		w := dialect.Writer{Dst: appendHead(dst, "data", env.TimeMS, "")}
		w.String("stream", stream)
		writeID(&w, "session_id", session)
		w.Raw(inner, orEmpty(env.Payload))
		w.End('}')
		return w.Dst
	}
	own, part := partsOf(env.Payload, inner)
	kind := "data"
	switch stream {
	case message.StreamSignals:
		kind = "signal"
	case streamAlert:
		kind, stream = "alert", ""
	}
	w := dialect.Writer{Dst: appendHead(dst, kind, env.TimeMS, "")}
	if stream != "" {
		w.String("stream", stream)
	}
	if own == nil {
		writeID(&w, "session_id", session)
	} else {
		w.Raw("session_id", own)
	}
	if part == nil {
		part = orEmpty(env.Payload)
	}
	switch kind {
	case "signal", "alert":
		w.Raw(kind, part)
	default:
		if stream == message.StreamIndicators {
			w.Raw("indicators", part)
			part = orEmpty(env.Payload)
		} else {
			w.String("event", env.Type)
		}
		w.Raw("data", part)
	}
	w.End('}')
	return w.Dst
}

// streamAlert stands for publications that are alerts, whatever stream brought them.
const streamAlert = "alert"

// streamOf returns the stream that an envelope belongs to, and the member of its payload that the stream shows; for streams
// that show all of it the member under which it is shown.
func streamOf(env *message.Envelope) (stream, inner string) {
	topic := string(env.Topic)
	switch {
	case strings.HasPrefix(topic, topicMarketData):
		return message.StreamMarketData, "market_data"
	case strings.HasPrefix(topic, topicSystemHealth):
		return message.StreamSystemHealth, "data"
	}
	switch env.Type {
	case message.TypeSignal:
		return message.StreamSignals, "signal"
	case message.TypeAlert:
		return streamAlert, "alert"
	case message.TypeIndicators:
		return message.StreamIndicators, "indicators"
	case message.TypeExecutionStatus:
		return message.StreamExecutionStatus, "execution_status"
	}
	switch topic[strings.LastIndexByte(topic, ':')+1:] {
	case "order_events":
		return message.StreamOrders, "order"
	case "position_events":
		return message.StreamPositions, "position"
	case "portfolio_events":
		return message.StreamPortfolio, "portfolio"
	}
	return message.StreamExecutionStatus, ""
}

// streamsOn returns the streams that a topic brings, and for a shared one what it is of.
func streamsOn(topic message.Topic) (streams []string, name string) {
	all := string(topic)
	if name, ok := strings.CutPrefix(all, topicMarketData); ok {
		return []string{message.StreamMarketData}, name
	}
	if name, ok := strings.CutPrefix(all, topicSystemHealth); ok {
		return []string{message.StreamSystemHealth}, name
	}
	switch all[strings.LastIndexByte(all, ':')+1:] {
	case "order_events":
		return []string{message.StreamOrders}, ""
	case "position_events":
		return []string{message.StreamPositions}, ""
	case "portfolio_events":
		return []string{message.StreamPortfolio}, ""
	}
	return []string{message.StreamIndicators, message.StreamSignals, message.StreamExecutionStatus}, ""
}

// partsOf finds the session's id in a payload and the member that is wanted; nil where there is none.
func partsOf(payload []byte, inner string) (session, part []byte) {
	for it := jsonscan.Members(payload); len(payload) > 0 && it.Next(); {
		switch string(it.Key()) {
		case "session_id":
			session = it.Value()
		case inner:
			part = it.Value()
		}
	}
	return session, part
}

// appendSeed writes one of the messages that follow a subscription: the last publication again, or one that says that there
// was none (PROTOCOL §3.3).
func appendSeed(dst []byte, timeMS int64, b *message.Seed) []byte {
	if b.Last != nil {
		return appendData(dst, b.Last, b.SessionID)
	}
	kind := "data"
	if b.Stream == message.StreamSignals {
		kind = "signal"
	}
	w := dialect.Writer{Dst: appendHead(dst, kind, timeMS, "")}
	w.String("stream", b.Stream)
	writeID(&w, "session_id", b.SessionID)
	w.Bool("seed", true)
	switch b.Stream {
	case message.StreamMarketData:
		w.Begin("market_data", '{')
		writeID(&w, "symbol", b.Symbol)
		for _, key := range [...]string{"price", "volume", "quote_volume"} {
			w.Int(key, 0)
		}
		w.Int("timestamp", timeMS)
		w.End('}')
	case message.StreamSignals:
		w.Begin("signal", '{')
		w.String("type", "none")
		w.Raw("strategy", nil)
		writeID(&w, "symbol", b.Symbol)
		w.Int("timestamp", timeMS)
		w.Raw("indicators_snapshot", []byte("{}"))
		w.Int("confidence", 0)
		w.Int("price", 0)
		w.End('}')
	case message.StreamIndicators:
		seedIndicators(&w, b.Symbol, timeMS)
	default:
		w.Begin("data", '{')
		writeID(&w, "symbol", b.Symbol)
		w.Int("price", 0)
		w.Int("timestamp", timeMS)
		w.End('}')
	}
	w.End('}')
	return w.Dst
}

func seedIndicators(w *dialect.Writer, symbol string, timeMS int64) {
	w.Begin("indicators", '[')
	w.Open('{')
	w.String("name", "PRICE")
	w.Int("value", 0)
	writeID(w, "symbol", symbol)
	w.Int("timestamp", timeMS)
	dialect.WriteTexts(w, "used_by_strategies", []string(nil))
	w.End('}')
	w.End(']')
	w.Begin("data", '{')
	writeID(w, "symbol", symbol)
	w.Int("price", 0)
	w.End('}')
}

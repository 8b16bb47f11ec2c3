package trading

import (
	"context"
	"encoding/json"
	"math"
	"strconv"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
	"github.com/wse-engine/wse/engine/trading/market"
)

// outbox takes what happens in a run, which must not wait, and publishes it between two calls into the run.
type outbox struct {
	o     *opened
	queue []outgoing
}

// outgoing is a publication that waits.
type outgoing struct {
	topicType, kind string
	payload         any
}

var _ execution.Sink = (*outbox)(nil)

// Wants implements [execution.Sink].
func (b *outbox) Wants() execution.Kinds { return execution.AllKinds }

// Emit implements [execution.Sink].
func (b *outbox) Emit(e *execution.Event) {
	if e.TimeMS == 0 { // there was no tick yet
		e.TimeMS = b.o.trading.now().UnixMilli()
	}
	topicType, kind, payload := b.spell(e)
	b.queue = append(b.queue, outgoing{topicType, kind, payload})
}

// publish publishes what waits.
func (b *outbox) publish(ctx context.Context) {
	for _, out := range b.queue {
		b.o.trading.publish(ctx, b.o.session, out.topicType, out.kind, out.payload)
	}
	clear(b.queue)
	b.queue = b.queue[:0]
}

// spell returns where an event goes and what is said of it (PROTOCOL §3.3).
func (b *outbox) spell(e *execution.Event) (topicType, kind string, payload any) {
	id := b.o.session.sessionID()
	switch e.Kind {
	case execution.KindIndicators:
		return automationEvents, message.TypeIndicators, spellIndicators(id, e)
	case execution.KindSignal:
		return automationEvents, message.TypeSignal, signalPayload{id, spellSignal(e)}
	case execution.KindState:
		return automationEvents, message.TypeExecutionStatus, statusPayload{id, executionStatus{
			Strategy: e.Strategy, Symbol: e.Symbol, State: e.State, Reason: e.Reason, Timestamp: e.TimeMS,
		}}
	case execution.KindAlert:
		return automationEvents, message.TypeAlert, alertPayload{id, alert{
			Type: e.Alert, Strategy: e.Strategy, Symbol: e.Symbol, Message: alertText(e), Timestamp: e.TimeMS,
		}}
	case execution.KindOrder:
		kind, o := spellOrder(e)
		return orderEvents, kind, orderPayload{id, o}
	case execution.KindPosition:
		p := &e.Position
		return positionEvents, message.TypePosition, positionPayload{id, position{
			Strategy: e.Strategy, Symbol: e.Symbol, Quantity: amountOf(p.Quantity), AveragePrice: numberOf(p.AveragePrice.Decimal()),
			UnrealizedPnL: amountOf(p.Unrealized), RealizedPnL: amountOf(p.Realized), Timestamp: e.TimeMS,
		}}
	default:
		p := &e.Portfolio
		return portfolioEvents, message.TypePortfolio, portfolioPayload{id, portfolio{
			Equity: amountOf(p.Equity), Balance: amountOf(p.Balance), RealizedPnL: amountOf(p.Realized),
			UnrealizedPnL: amountOf(p.Unrealized), Fees: amountOf(p.Fees), Timestamp: e.TimeMS,
		}}
	}
}

// spellIndicators writes {session_id, strategy, symbol, timestamp, indicators: [{name, value, symbol, timestamp,
// used_by_strategies}]}. Nearly all that sessions publish are indicators, and encoding/json takes more than twice as long (BenchmarkIndicators).
func spellIndicators(id *string, e *execution.Event) json.RawMessage {
	d := make([]byte, 0, 160+len(e.Indicators)*(96+len(e.Symbol)+len(e.Strategy)))
	d = append(d, `{"session_id":`...)
	if id == nil {
		d = append(d, "null"...)
	} else {
		d = jsonscan.AppendQuoted(d, *id)
	}
	d = jsonscan.AppendQuoted(append(d, `,"strategy":`...), e.Strategy)
	d = jsonscan.AppendQuoted(append(d, `,"symbol":`...), e.Symbol)
	d = strconv.AppendInt(append(d, `,"timestamp":`...), e.TimeMS, 10)
	d = append(d, `,"indicators":[`...)
	separator := ""
	for _, one := range e.Indicators {
		if math.IsNaN(one.Value) || math.IsInf(one.Value, 0) {
			continue
		}
		d = jsonscan.AppendQuoted(append(append(d, separator...), `{"name":`...), one.Name)
		d = market.AppendNumber(append(d, `,"value":`...), one.Value)
		d = jsonscan.AppendQuoted(append(d, `,"symbol":`...), e.Symbol)
		d = strconv.AppendInt(append(d, `,"timestamp":`...), e.TimeMS, 10)
		d = append(jsonscan.AppendQuoted(append(d, `,"used_by_strategies":[`...), e.Strategy), "]}"...)
		separator = ","
	}
	return append(d, "]}"...)
}

func spellSignal(e *execution.Event) signal {
	s := signal{Type: e.SignalType, Strategy: e.Strategy, Symbol: e.Symbol, Timestamp: e.TimeMS, Indicators: json.RawMessage("{}")}
	if len(e.Snapshot) > 0 {
		s.Indicators = append(json.RawMessage(nil), e.Snapshot...)
	}
	if e.HasConfidence {
		confidence := e.Confidence
		s.Confidence = &confidence
	}
	return s
}

func alertText(e *execution.Event) string {
	if e.Reason != "" {
		return e.Reason
	}
	return e.Alert
}

func spellOrder(e *execution.Event) (kind string, _ order) {
	from := e.Order
	o := order{
		OrderID: from.ID, Strategy: e.Strategy, Symbol: e.Symbol, Side: sideOf(from.Sell), Type: "market", Status: from.Status.String(),
		Reason: from.Reason, Timestamp: e.TimeMS,
	}
	if from.Limit.Known() {
		o.Type, o.Price = "limit", numberOf(from.Limit.Decimal())
	}
	if from.Quantity != 0 {
		o.Quantity = amountOf(from.Quantity)
	}
	if from.Notional != 0 {
		o.Notional = amountOf(from.Notional)
	}
	if from.FillQuantity != 0 {
		o.FilledQuantity, o.FillPrice, o.Fee = amountOf(from.FilledQuantity), numberOf(from.FillPrice.Decimal()), amountOf(from.Fee)
	}
	switch from.Status {
	case execution.Placed:
		return message.TypeOrderPlaced, o
	case execution.Rejected:
		return message.TypeOrderRejected, o
	case execution.Cancelled:
		return message.TypeOrderCancelled, o
	default:
		return message.TypeOrderFilled, o
	}
}

func sideOf(sell bool) string {
	if sell {
		return "sell"
	}
	return "buy"
}

func amountOf(a ledger.Amount) json.Number { return json.Number(a.String()) }

// intend hands an order of a live session to whoever carries it out. Where that does not work the order is refused.
func (o *opened) intend(i execution.Intent) error {
	_, out := spellOrder(&execution.Event{Strategy: i.Strategy, Symbol: i.Symbol, TimeMS: i.TimeMS, Order: &i.Order})
	out.Status = "intended"
	if i.Cancel {
		out.Status = "cancel_intended"
	}
	env, err := o.session.envelope(orderEvents, message.TypeOrderIntent, orderPayload{o.session.sessionID(), out}, o.trading.now())
	if err != nil {
		return err
	}
	return o.trading.deps.Publisher.Intend(o.ctx, &message.Event{
		Type: message.TypeOrderIntent, Payload: env.Payload, UserID: o.session.owner, Topic: env.Topic, TimeMS: o.trading.now().UnixMilli(),
	})
}

package trading

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// What sessions publish on their owner's topics (PROTOCOL §3.3). session_id is null for what runs without a session.
type (
	signalPayload struct {
		SessionID *string `json:"session_id"`
		Signal    signal  `json:"signal"`
	}
	signal struct {
		Type       string          `json:"type"`
		Strategy   string          `json:"strategy"`
		Symbol     string          `json:"symbol"`
		Timestamp  int64           `json:"timestamp"`
		Indicators json.RawMessage `json:"indicators_snapshot"`
		Confidence *float64        `json:"confidence"`
	}
	statusPayload struct {
		SessionID *string         `json:"session_id"`
		Status    executionStatus `json:"execution_status"`
	}
	executionStatus struct {
		Strategy     string `json:"strategy,omitempty"`
		Symbol       string `json:"symbol,omitempty"`
		State        string `json:"state,omitempty"`         // of the strategy
		SessionState string `json:"session_state,omitempty"` // of the session
		Reason       string `json:"reason,omitempty"`
		Timestamp    int64  `json:"timestamp"`
	}
	alertPayload struct {
		SessionID *string `json:"session_id"`
		Alert     alert   `json:"alert"`
	}
	alert struct {
		Type      string `json:"type"` // emergency_exit, budget_cap_exceeded, session_error, market_data_interrupted or reports_interrupted
		Strategy  string `json:"strategy,omitempty"`
		Symbol    string `json:"symbol,omitempty"`
		Message   string `json:"message"`
		Timestamp int64  `json:"timestamp"`
	}
	orderPayload struct {
		SessionID *string `json:"session_id"`
		Order     order   `json:"order"`
	}
	order struct {
		OrderID        string      `json:"order_id"`
		Strategy       string      `json:"strategy"`
		Symbol         string      `json:"symbol"`
		Side           string      `json:"side"`
		Type           string      `json:"order_type"`
		Quantity       json.Number `json:"quantity,omitempty"`
		Notional       json.Number `json:"notional,omitempty"`
		Price          json.Number `json:"price,omitempty"`
		Status         string      `json:"status"`
		FilledQuantity json.Number `json:"filled_quantity,omitempty"`
		FillPrice      json.Number `json:"fill_price,omitempty"`
		Fee            json.Number `json:"fee,omitempty"`
		Reason         string      `json:"reason,omitempty"`
		Timestamp      int64       `json:"timestamp"`
	}
	positionPayload struct {
		SessionID *string  `json:"session_id"`
		Position  position `json:"position"`
	}
	position struct {
		Strategy      string      `json:"strategy"`
		Symbol        string      `json:"symbol"`
		Quantity      json.Number `json:"quantity"`
		AveragePrice  json.Number `json:"avg_price"`
		UnrealizedPnL json.Number `json:"unrealized_pnl"`
		RealizedPnL   json.Number `json:"realized_pnl"`
		Timestamp     int64       `json:"timestamp"`
	}
	portfolioPayload struct {
		SessionID *string   `json:"session_id"`
		Portfolio portfolio `json:"portfolio"`
	}
	portfolio struct {
		Equity        json.Number `json:"equity"`
		Balance       json.Number `json:"balance"`
		RealizedPnL   json.Number `json:"realized_pnl"`
		UnrealizedPnL json.Number `json:"unrealized_pnl"`
		Fees          json.Number `json:"fees"`
		Timestamp     int64       `json:"timestamp"`
	}
)

// The owner's topics.
const (
	automationEvents = "automation_events"
	orderEvents      = "order_events"
	positionEvents   = "position_events"
	portfolioEvents  = "portfolio_events"
)

// publish gives a session's owner a payload on one of his topics. What cannot be published is logged: the session's own books
// do not depend on who hears of them.
func (t *Trading) publish(ctx context.Context, s *session, topicType, kind string, payload any) {
	env, err := s.envelope(topicType, kind, payload, t.now())
	if err == nil {
		err = t.deps.Publisher.Publish(ctx, env)
	}
	if err != nil {
		t.counts.unpublished.Add(1)
		t.log.Warn("a session's publication was not made", "session", s.id, "type", kind, "error", err)
	}
}

func (s *session) envelope(topicType, kind string, payload any, now time.Time) (*message.Envelope, error) {
	topic, err := message.UserTopic(s.owner, topicType)
	if err != nil {
		return nil, err
	}
	raw, written := payload.(json.RawMessage)
	if !written {
		if raw, err = json.Marshal(payload); err != nil {
			return nil, err
		}
	}
	return &message.Envelope{Type: kind, Topic: topic, Payload: raw, TimeMS: now.UnixMilli(), Category: message.CategoryOf(kind)}, nil
}

// sessionID is what a payload of the session says: null for a watch.
func (s *session) sessionID() *string {
	if s.plan.kind == watch {
		return nil
	}
	return &s.id
}

// tell publishes that a session is in another state now, and where it failed an alert.
func (t *Trading) tell(ctx context.Context, s *session, state, reason string) {
	if s.plan.kind == watch && state != failed {
		return
	}
	now := t.now().UnixMilli()
	t.publish(ctx, s, automationEvents, message.TypeExecutionStatus, statusPayload{
		s.sessionID(), executionStatus{SessionState: state, Reason: reason, Timestamp: now},
	})
	if state == failed {
		t.publish(ctx, s, automationEvents, message.TypeAlert, alertPayload{
			s.sessionID(), alert{Type: "session_error", Message: reason, Timestamp: now},
		})
	}
}

func numberOf(d message.Decimal) json.Number {
	if d == "" {
		return "0"
	}
	return json.Number(d)
}

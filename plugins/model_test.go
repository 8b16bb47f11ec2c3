package plugins_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/wse-engine/wse/engine/message"
)

// The configuration of a strategy, as the model reads it and the plugin is given it.
type (
	condition struct {
		ID          string  `json:"id"`
		IndicatorID string  `json:"indicatorId"`
		Operator    string  `json:"operator"`
		Value       float64 `json:"value"`
	}
	section struct {
		Conditions []condition `json:"conditions"`
	}
	offset struct {
		Enabled       bool    `json:"enabled"`
		OffsetPercent float64 `json:"offsetPercent"`
	}
	modelConfig struct {
		Name      string  `json:"strategy_name"`
		Direction string  `json:"direction"`
		S1        section `json:"s1_signal"`
		O1        struct {
			section
			TimeoutSeconds float64 `json:"timeoutSeconds"`
		} `json:"o1_cancel"`
		Z1 struct {
			section
			PositionSize struct {
				Type  string  `json:"type"`
				Value float64 `json:"value"`
			} `json:"positionSize"`
			StopLoss   *offset `json:"stopLoss,omitempty"`
			TakeProfit *offset `json:"takeProfit,omitempty"`
			Leverage   float64 `json:"leverage"`
		} `json:"z1_entry"`
		ZE1       section `json:"ze1_close"`
		Emergency struct {
			section
			CooldownMinutes float64 `json:"cooldownMinutes"`
			Actions         struct {
				CancelPending bool `json:"cancelPending"`
				ClosePosition bool `json:"closePosition"`
				LogEvent      bool `json:"logEvent"`
			} `json:"actions"`
		} `json:"emergency_exit"`
		Limits *struct {
			BasePositionPct float64 `json:"base_position_pct"`
			MaxLeverage     float64 `json:"max_leverage"`
			Min             float64 `json:"min_position_size_usdt"`
			Max             float64 `json:"max_position_size_usdt"`
		} `json:"global_limits,omitempty"`
	}
)

func (c *modelConfig) json() string {
	doc, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(doc)
}

// model is strategy/README.md in Go: slow and plain.
type model struct {
	cfg      *modelConfig
	parsed   map[string]indicatorID
	seen     naive
	state    string
	interval float64
	report   float64 // when indicators were reported last; NaN: never

	equity, position    float64
	paid, bought        float64 // of the entry's fills: price × quantity, and quantity
	signalled, until    float64
	orders, entry, exit int // how many; the numbers of those that wait
	filling             int // the last entry
	cancelling          bool
	mustBeFalse         bool // S1, before the next signal
	emergencyOver       bool // the conditions of the last one have been false
	retryAt, retryAfter float64
	out                 []message.StrategyAction
	at                  int
}

func newModel(cfg *modelConfig, equity, position, interval float64) *model {
	return &model{cfg: cfg, state: "inactive", parsed: map[string]indicatorID{}, interval: interval, report: math.NaN(), equity: equity, position: position,
		emergencyOver: true, retryAt: math.Inf(-1)}
}

func (m *model) now() int { return len(m.seen.t) - 1 }

func (m *model) value(id string) float64 {
	x, known := m.parsed[id]
	if !known {
		x = parseID(id)
		m.parsed[id] = x
	}
	return m.seen.at(x, m.now())
}

func (c condition) holds(v float64) bool {
	return map[string]bool{">": v > c.Value, "<": v < c.Value, ">=": v >= c.Value, "<=": v <= c.Value, "==": v == c.Value,
		"!=": v != c.Value && !math.IsNaN(v)}[c.Operator]
}

func (m *model) holds(s section) bool {
	for _, c := range s.Conditions {
		if !c.holds(m.value(c.IndicatorID)) {
			return false
		}
	}
	return len(s.Conditions) > 0
}

func (m *model) say(a message.StrategyAction) {
	a.At = m.at
	m.out = append(m.out, a)
}

func (m *model) become(state string) {
	m.state = state
	m.say(message.StrategyAction{Kind: message.ActionState, State: state})
}

// tick takes up a tick and returns what is said to it.
func (m *model) tick(t message.StrategyTick, at int) []message.StrategyAction {
	m.out, m.at = nil, at
	if !(t.Price > 0 && t.Price <= 1e15) || len(m.seen.t) > 0 && t.TimeMS < m.seen.t[m.now()] {
		return nil
	}
	if t.Volume < 0 || t.Volume > 1e18 {
		t.Volume = 0
	}
	m.seen.t, m.seen.p, m.seen.v = append(m.seen.t, t.TimeMS), append(m.seen.p, t.Price), append(m.seen.v, t.Volume)
	m.seen.averages = map[string][]float64{}
	if m.interval > 0 && !(t.TimeMS < m.report+m.interval) {
		for _, id := range m.cfg.ids() {
			if v := m.value(id); !math.IsNaN(v) {
				m.say(message.StrategyAction{Kind: message.ActionIndicator, Name: id, Value: v})
				m.report = t.TimeMS
			}
		}
	}
	m.move(t.TimeMS)
	return m.out
}

// ids are the indicators in the order of the sections.
func (c *modelConfig) ids() (list []string) {
	seen := map[string]bool{}
	for _, s := range []section{c.S1, c.O1.section, c.Z1.section, c.ZE1, c.Emergency.section} {
		for _, x := range s.Conditions {
			if !seen[x.IndicatorID] {
				list = append(list, x.IndicatorID)
			}
			seen[x.IndicatorID] = true
		}
	}
	return list
}

func (m *model) move(now float64) {
	emergency := m.holds(m.cfg.Emergency.section)
	switch m.state {
	case "inactive", "signal_cancelled", "exited":
		if m.position != 0 {
			m.become("position_active")
			break
		}
		m.become("monitoring")
	case "emergency_exit":
		m.emergencyOver = m.emergencyOver || !emergency
		if !m.recovered(now) {
			return
		}
	}
	if m.state == "monitoring" {
		if !m.holds(m.cfg.S1) {
			m.mustBeFalse = false
		} else if !m.mustBeFalse && !emergency {
			m.signal(now)
			m.undecided(now)
		}
		return
	}
	if !emergency {
		m.emergencyOver = true
	} else if m.emergencyOver {
		m.emergency(now)
		return
	}
	switch m.state {
	case "signal_detected":
		m.undecided(now)
	case "entry_evaluation":
		if m.entry != 0 && !m.cancelling && m.expired(now) {
			m.cancel()
		}
	case "position_active":
		if why := m.reason(); why != "" && m.mayClose(now) {
			m.become("close_order_evaluation")
			m.close(why)
		}
	}
}

func (m *model) signal(now float64) {
	a := message.StrategyAction{Kind: message.ActionSignal, SignalType: "BUY", HasConfidence: true}
	if m.cfg.Direction == "SHORT" {
		a.SignalType = "SELL"
	}
	total := 0.0
	for _, c := range m.cfg.S1.Conditions {
		v := m.value(c.IndicatorID)
		switch most := math.Max(math.Abs(v), math.Abs(c.Value)); {
		case c.Operator == "==" || c.Operator == "!=":
			total++
		case most > 0:
			total += math.Min(1, math.Abs(v-c.Value)/most)
		}
	}
	a.Confidence = 0.5 + 0.5*total/float64(len(m.cfg.S1.Conditions))
	snapshot := map[string]float64{}
	for _, id := range m.cfg.ids() {
		if v := m.value(id); !math.IsNaN(v) {
			snapshot[id] = v
		}
	}
	a.Indicators, _ = json.Marshal(snapshot)
	m.say(a)
	m.signalled, m.emergencyOver = now, true
	m.become("signal_detected")
}

func (m *model) expired(now float64) bool {
	timeout := m.cfg.O1.TimeoutSeconds * 1000
	return timeout > 0 && now-m.signalled >= timeout || m.holds(m.cfg.O1.section)
}

// undecided is a signal that waits for the entry.
func (m *model) undecided(now float64) {
	switch {
	case m.expired(now):
		m.nothing()
	case m.holds(m.cfg.Z1.section):
		m.become("entry_evaluation")
		size := m.size()
		if size <= 0 || m.cfg.Limits != nil && size < m.cfg.Limits.Min {
			m.nothing()
			return
		}
		m.orders++
		m.entry, m.filling, m.cancelling, m.paid, m.bought = m.orders, m.orders, false, 0, 0
		m.say(message.StrategyAction{Kind: message.ActionOrder, ID: fmt.Sprintf("entry-%d", m.orders), Side: m.side(m.cfg.Direction != "SHORT"),
			Notional: size, OrderType: "market", Reason: "z1_entry"})
	}
}

func (m *model) nothing() {
	m.mustBeFalse = true
	m.become("signal_cancelled")
}

func (m *model) size() float64 {
	leverage, limits := m.cfg.Z1.Leverage, m.cfg.Limits
	if limits != nil {
		leverage = math.Min(leverage, limits.MaxLeverage)
	}
	size := m.cfg.Z1.PositionSize.Value
	if m.cfg.Z1.PositionSize.Type == "percentage" {
		size = m.equity * size / 100 * leverage
	}
	if limits != nil {
		size = math.Min(math.Min(size, limits.Max), m.equity*limits.BasePositionPct*leverage)
	}
	return size
}

func (m *model) side(buys bool) string { return map[bool]string{true: "buy", false: "sell"}[buys] }

func (m *model) cancel() {
	m.cancelling = true
	m.say(message.StrategyAction{Kind: message.ActionCancel, ID: fmt.Sprintf("entry-%d", m.entry)})
}

// reason is why the position should be closed now.
func (m *model) reason() string {
	if m.bought == 0 {
		m.paid, m.bought = m.seen.p[m.now()]*math.Abs(m.position), math.Abs(m.position)
	}
	better := (m.seen.p[m.now()]/(m.paid/m.bought) - 1) * 100
	if m.position < 0 {
		better = -better
	}
	const hair = 1e-9 // the model computes the other way round
	switch sl, tp := m.cfg.Z1.StopLoss, m.cfg.Z1.TakeProfit; {
	case sl != nil && sl.Enabled && better <= -sl.OffsetPercent+hair:
		return "stop_loss"
	case tp != nil && tp.Enabled && better >= tp.OffsetPercent-hair:
		return "take_profit"
	case m.holds(m.cfg.ZE1):
		return "ze1_close"
	}
	return ""
}

func (m *model) mayClose(now float64) bool { return m.position != 0 && m.exit == 0 && now >= m.retryAt }

func (m *model) close(why string) {
	m.orders++
	m.exit = m.orders
	m.say(message.StrategyAction{Kind: message.ActionOrder, ID: fmt.Sprintf("exit-%d", m.orders), Side: m.side(m.position < 0),
		Quantity: math.Abs(m.position), OrderType: "market", Reason: why})
}

func (m *model) emergency(now float64) {
	m.emergencyOver, m.mustBeFalse = false, true
	m.until = now + m.cfg.Emergency.CooldownMinutes*60000
	m.become("emergency_exit")
	if m.cfg.Emergency.Actions.CancelPending && m.entry != 0 && !m.cancelling {
		m.cancel()
	}
	if m.cfg.Emergency.Actions.ClosePosition && m.mayClose(now) {
		m.close("emergency_exit")
	}
}

// recovered goes on with an emergency and reports whether it is over.
func (m *model) recovered(now float64) bool {
	switch closes := m.cfg.Emergency.Actions.ClosePosition; {
	case m.position != 0 && closes:
		if m.mayClose(now) {
			m.close("emergency_exit")
		}
		return false
	case m.position != 0:
		if why := m.reason(); why != "" && m.mayClose(now) {
			m.close(why)
			return false
		}
	}
	if m.entry != 0 || m.exit != 0 || now < m.until {
		return false
	}
	m.become(map[bool]string{true: "monitoring", false: "position_active"}[m.position == 0])
	return true
}

// event is what became of an order.
type event struct {
	kind, id        string
	quantity, price float64
}

// update takes what happened and returns what is said to it.
func (m *model) update(events []event, position, equity float64) []message.StrategyAction {
	m.out, m.at = nil, 0
	for _, e := range events {
		var number int
		kind, text, _ := strings.Cut(e.id, "-")
		_, _ = fmt.Sscan(text, &number)
		switch {
		case e.kind == "fill" && kind == "entry" && number == m.filling:
			m.paid, m.bought = m.paid+e.price*e.quantity, m.bought+e.quantity
			if m.entry == number {
				m.entry = 0
			}
		case e.kind != "fill" && kind == "entry" && number == m.entry:
			m.entry = 0
		case e.kind != "fill" && kind == "exit" && number == m.exit:
			m.exit = 0
			m.retryAfter = math.Min(60000, math.Max(1000, 2*m.retryAfter))
			m.retryAt = m.seen.t[m.now()] + m.retryAfter
		}
	}
	m.position, m.equity = position, equity
	m.settle()
	return m.out
}

func (m *model) settle() {
	if m.position == 0 {
		m.exit, m.retryAfter, m.retryAt = 0, 0, math.Inf(-1)
		if m.entry == 0 {
			m.paid, m.bought = 0, 0
		}
		switch {
		case m.state == "position_active" || m.state == "close_order_evaluation":
			m.become("exited")
		case m.state == "entry_evaluation" && m.entry == 0:
			m.nothing()
		}
		return
	}
	switch m.state {
	case "inactive", "emergency_exit", "position_active":
	case "close_order_evaluation":
		if m.exit == 0 {
			m.become("position_active")
		}
	default:
		m.become("position_active")
	}
	if m.bought == 0 && m.state != "inactive" {
		m.paid, m.bought = m.seen.p[m.now()]*math.Abs(m.position), math.Abs(m.position)
	}
}

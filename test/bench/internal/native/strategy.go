package native

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/execution"
)

// StrategyConfig is the strategy that [Strategy] runs, as the stock plugin reads it: five conditions on four indicators, an
// order in some hundreds of ticks on a random walk.
const StrategyConfig = `{"strategy_name":"bench","s1_signal":{"conditions":[` +
	`{"id":"low","indicatorId":"RSI_14","operator":"<","value":28},` +
	`{"id":"busy","indicatorId":"VOLUME_SURGE_RATIO_20","operator":">","value":1.85}]},` +
	`"o1_cancel":{"timeoutSeconds":60,"conditions":[]},` +
	`"z1_entry":{"conditions":[{"id":"any","indicatorId":"PRICE","operator":">","value":0},` +
	`{"id":"known","indicatorId":"EMA_50","operator":">","value":0}],"positionSize":{"type":"fixed","value":100},` +
	`"stopLoss":{"enabled":true,"offsetPercent":1},"takeProfit":{"enabled":true,"offsetPercent":2}},` +
	`"ze1_close":{"conditions":[{"id":"high","indicatorId":"RSI_14","operator":">","value":72}]},` +
	`"emergency_exit":{"conditions":[],"cooldownMinutes":0,"actions":{"cancelPending":true,"closePosition":true,"logEvent":false}}}`

// The numbers of StrategyConfig.
const (
	rsiPeriod, surgePeriod, emaPeriod = 14, 20, 50
	entryNotional, timeoutMS          = 100, 60_000
)

// The states of plugins/strategy/README.md that StrategyConfig can reach.
const (
	inactive = iota
	monitoring
	signalDetected
	signalCancelled
	entryEvaluation
	positionActive
	closeOrderEvaluation
	exited
)

// stateName spells them.
func stateName(state int) string {
	return [...]string{"inactive", "monitoring", "signal_detected", "signal_cancelled", "entry_evaluation", "position_active",
		"close_order_evaluation", "exited"}[state]
}

// Strategy does what the stock strategy does with StrategyConfig, in Go: the same rules in the same order, and sums that round
// alike, so that both trade alike to the last cent. It has one handle.
type Strategy struct {
	// The indicators: as plugins/indicators/README.md has them.
	ticks                   int
	time, price             float64
	gain, loss, rsi         float64
	volumes                 [surgePeriod]float64
	volumeSum, volumeLost   float64 // and what rounding took from the sum
	surge                   float64
	ema                     float64
	rises, seen, inEMA, pos int // how far the windows are filled, and where volumes goes on

	// The machine.
	state                   int
	position                float64
	stop, profit            float64
	signalMS                float64
	orders                  int
	entering, exiting       int
	blocked                 bool
	entryPrice, entryAmount float64

	out        []message.StrategyAction
	indicators []byte
}

var _ execution.Strategy = (*Strategy)(nil)

// NewStrategy returns one that has seen no tick.
func NewStrategy() *Strategy { return &Strategy{rsi: math.NaN(), surge: math.NaN()} }

// Open implements [execution.Strategy]. It does not read the configuration.
func (s *Strategy) Open(context.Context, []byte) error { return nil }

// Ticks implements [execution.Strategy].
func (s *Strategy) Ticks(_ context.Context, _ uint32, ticks []message.StrategyTick) (int, []message.StrategyAction, error) {
	s.out, s.indicators = s.out[:0], s.indicators[:0]
	for i := range ticks {
		t := &ticks[i]
		if !(t.Price > 0) || s.ticks > 0 && t.TimeMS < s.time {
			continue
		}
		s.add(t)
		if s.move(i) {
			return i + 1, s.out, nil
		}
	}
	return len(ticks), s.out, nil
}

// add takes a tick into the indicators.
func (s *Strategy) add(t *message.StrategyTick) {
	change := t.Price - s.price
	s.time, s.price = t.TimeMS, t.Price
	if s.ticks++; s.ticks > 1 {
		s.addChange(max(change, 0), max(-change, 0))
	}
	if s.inEMA == emaPeriod {
		s.ema += float64(2.0 / (emaPeriod + 1) * (t.Price - s.ema))
	} else {
		s.ema += t.Price
		if s.inEMA++; s.inEMA == emaPeriod {
			s.ema /= emaPeriod
		}
	}
	if s.seen == surgePeriod {
		s.surge = t.Volume / ((s.volumeSum + s.volumeLost) / surgePeriod)
	}
	s.addVolume(t.Volume)
	if s.seen == surgePeriod {
		s.addVolume(-s.volumes[s.pos])
	} else {
		s.seen++
	}
	s.volumes[s.pos] = t.Volume
	if s.pos++; s.pos == surgePeriod {
		s.pos = 0
	}
}

// addChange takes what a price rose or fell into Wilder's averages.
func (s *Strategy) addChange(gain, loss float64) {
	if s.rises == rsiPeriod {
		s.gain = (float64(s.gain*(rsiPeriod-1)) + gain) / rsiPeriod
		s.loss = (float64(s.loss*(rsiPeriod-1)) + loss) / rsiPeriod
	} else {
		s.gain += gain
		s.loss += loss
		if s.rises++; s.rises < rsiPeriod {
			return
		}
		s.gain /= rsiPeriod
		s.loss /= rsiPeriod
	}
	s.rsi = 50
	if both := s.gain + s.loss; both != 0 {
		s.rsi = 100 * s.gain / both
	}
}

func (s *Strategy) addVolume(v float64) {
	before := s.volumeSum
	after := before + v
	taken := after - before
	s.volumeSum = after
	s.volumeLost += (before - (after - taken)) + (v - taken)
}

func (s *Strategy) signals() bool { return s.rsi < 28 && s.surge > 1.85 }
func (s *Strategy) enters() bool  { return s.price > 0 && s.inEMA == emaPeriod && s.ema > 0 }

// move is the machine of plugins/strategy/README.md. It reports whether something was ordered.
func (s *Strategy) move(at int) bool {
	switch s.state {
	case inactive, signalCancelled, exited:
		s.become(monitoring, at)
		return s.watch(at)
	case monitoring:
		return s.watch(at)
	case signalDetected:
		return s.decide(at)
	case positionActive:
		return s.guard(at)
	}
	return false
}

func (s *Strategy) watch(at int) bool {
	if !s.signals() {
		s.blocked = false
		return false
	}
	if s.blocked {
		return false
	}
	s.signalMS = s.time
	s.say(message.StrategyAction{Kind: message.ActionSignal, At: at, SignalType: "BUY", Confidence: s.confidence(), HasConfidence: true, Indicators: s.snapshot()})
	s.become(signalDetected, at)
	return s.decide(at)
}

func (s *Strategy) confidence() float64 {
	low, busy := (28-s.rsi)/28, (s.surge-1.85)/s.surge
	return 0.5 + 0.5*(min(low, 1)+min(busy, 1))/2
}

// snapshot writes the indicators that have a value.
func (s *Strategy) snapshot() []byte {
	begin := len(s.indicators)
	d := strconv.AppendFloat(append(s.indicators, `{"RSI_14":`...), s.rsi, 'g', -1, 64)
	d = strconv.AppendFloat(append(d, `,"VOLUME_SURGE_RATIO_20":`...), s.surge, 'g', -1, 64)
	d = strconv.AppendFloat(append(d, `,"PRICE":`...), s.price, 'g', -1, 64)
	if s.inEMA == emaPeriod {
		d = strconv.AppendFloat(append(d, `,"EMA_50":`...), s.ema, 'g', -1, 64)
	}
	s.indicators = append(d, '}')
	return s.indicators[begin:]
}

func (s *Strategy) decide(at int) bool {
	if s.time-s.signalMS >= timeoutMS {
		s.drop(at)
		return false
	}
	if !s.enters() {
		return false
	}
	s.become(entryEvaluation, at)
	s.orders++
	s.entering, s.entryAmount = s.orders, 0
	s.say(message.StrategyAction{Kind: message.ActionOrder, At: at, ID: "entry-" + strconv.Itoa(s.orders), Side: "buy", OrderType: "market",
		Notional: entryNotional, Reason: "z1_entry"})
	return true
}

func (s *Strategy) drop(at int) {
	s.blocked = true
	s.become(signalCancelled, at)
}

func (s *Strategy) guard(at int) bool {
	reason := ""
	switch {
	case s.price <= s.stop:
		reason = "stop_loss"
	case s.price >= s.profit:
		reason = "take_profit"
	case s.rsi > 72:
		reason = "ze1_close"
	default:
		return false
	}
	s.become(closeOrderEvaluation, at)
	s.orders++
	s.exiting = s.orders
	s.say(message.StrategyAction{Kind: message.ActionOrder, At: at, ID: "exit-" + strconv.Itoa(s.orders), Side: "sell", OrderType: "market",
		Quantity: s.position, Reason: reason})
	return true
}

func (s *Strategy) become(state, at int) {
	s.state = state
	s.say(message.StrategyAction{Kind: message.ActionState, At: at, State: stateName(state)})
}

func (s *Strategy) say(a message.StrategyAction) { s.out = append(s.out, a) }

var errUnforeseen = errors.New("native: an event that the benchmark's markets do not have")

// Update implements [execution.Strategy].
func (s *Strategy) Update(_ context.Context, doc []byte) ([]message.StrategyAction, error) {
	s.out, s.indicators = s.out[:0], s.indicators[:0]
	for it := jsonscan.Members(doc); it.Next(); {
		var err error
		switch string(it.Key()) {
		case "position":
			s.position, err = jsonscan.Float(it.Value())
		case "events":
			for events := jsonscan.Elements(it.Value()); err == nil && events.Next(); {
				err = s.happened(events.Value())
			}
		}
		if err != nil {
			return nil, err
		}
	}
	s.settle()
	return s.out, nil
}

// happened takes note of a fill. An order of this strategy can be neither cancelled nor, with a balance that lasts, rejected.
func (s *Strategy) happened(event []byte) (err error) {
	var quantity, price float64
	entry := false
	for it := jsonscan.Members(event); it.Next() && err == nil; {
		switch string(it.Key()) {
		case "kind":
			if string(it.Value()) != `"fill"` {
				return fmt.Errorf("%w: %s", errUnforeseen, event)
			}
		case "id":
			entry = string(it.Value()) == `"entry-`+strconv.Itoa(s.entering)+`"`
		case "quantity":
			quantity, err = jsonscan.Float(it.Value())
		case "price":
			price, err = jsonscan.Float(it.Value())
		}
	}
	if entry {
		s.entering, s.entryPrice, s.entryAmount = 0, price, quantity
	}
	return err
}

// settle brings the machine to where the position says that it is.
func (s *Strategy) settle() {
	switch {
	case s.position == 0:
		s.exiting = 0
		if s.state == positionActive || s.state == closeOrderEvaluation {
			s.become(exited, 0)
		}
	case s.state == closeOrderEvaluation && s.exiting == 0:
		s.become(positionActive, 0)
	case s.state == entryEvaluation:
		s.become(positionActive, 0)
	}
	s.stop, s.profit = s.entryPrice*(1-1.0/100), s.entryPrice*(1+2.0/100)
}

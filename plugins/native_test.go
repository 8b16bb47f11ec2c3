package plugins_test

import (
	"math"

	"github.com/wse-engine/wse/engine/message"
)

// native is what the stock strategy does, written in Go: a list of indicators that each take up a tick, conditions that look at
// their values through addresses, and the machine. It knows the indicators of typicalStrategy and no emergency. The plugin's
// speed is compared with it.
type native struct {
	series nativeSeries

	state                   int
	s1, z1, ze1             []nativeCheck
	timeout, size           float64
	stopLoss, takeProfit    float64 // percent
	signalled, stop, profit float64
	position                float64
	blocked                 bool
}

// nativeSeries is the history that indicators share, and the indicators.
type nativeSeries struct {
	indicators          []nativeIndicator
	volumes             []float64 // a ring
	count               int
	time, price, volume float64
	before              float64
}

type nativeIndicator interface{ update(s *nativeSeries) }

// The indicators, as indicators/series.ts has them.
type (
	nativeEMA struct {
		n, filled          int
		sum, value, weight float64
	}
	nativeRSI struct {
		n, filled                 int
		gain, loss, value, weight float64
	}
	nativeSurge struct {
		n, filled, nonzero int
		sum, lost, value   float64
	}
)

type nativeCheck struct {
	value  *float64
	truths int
	limit  float64
}

const (
	nativeMonitoring = iota
	nativeSignal
	nativeEntry
	nativePosition
	nativeClose
)

// newNative is typicalStrategy.
func newNative() *native {
	rsi := &nativeRSI{n: 14, weight: 1.0 / 14, value: math.NaN()}
	surge := &nativeSurge{n: 20, value: math.NaN()}
	ema := &nativeEMA{n: 50, weight: 2.0 / 51, value: math.NaN()}
	s := &native{timeout: 60_000, size: 100, stopLoss: 1, takeProfit: 2}
	s.series = nativeSeries{indicators: []nativeIndicator{rsi, surge, ema}, volumes: make([]float64, 32), time: math.NaN()}
	s.s1 = []nativeCheck{{&rsi.value, 1, 30}, {&surge.value, 4, 1.5}}
	s.z1 = []nativeCheck{{&s.series.price, 4, 0}}
	s.ze1 = []nativeCheck{{&ema.value, 1, 1}}
	return s
}

func bit(b bool, n int) int {
	if b {
		return n
	}
	return 0
}

func nativeHolds(list []nativeCheck) bool {
	for i := range list {
		c := &list[i]
		x := *c.value
		if (bit(x < c.limit, 1)|bit(x == c.limit, 2)|bit(x > c.limit, 4))&c.truths == 0 {
			return false
		}
	}
	return len(list) > 0
}

func (s *nativeSeries) add(time, price, volume float64) {
	s.volumes[s.count&(len(s.volumes)-1)] = volume
	s.before = s.price
	s.time, s.price, s.volume = time, price, volume
	for _, x := range s.indicators {
		x.update(s)
	}
	s.count++
}

func (x *nativeEMA) update(s *nativeSeries) {
	if x.filled == x.n {
		x.value += x.weight * (s.price - x.value)
		return
	}
	x.filled++
	if x.sum += s.price; x.filled == x.n {
		x.value = x.sum / float64(x.n)
	}
}

func (x *nativeRSI) update(s *nativeSeries) {
	if s.count == 0 {
		return
	}
	change := s.price - s.before
	gain, loss := max(change, 0), max(-change, 0)
	if x.filled == x.n {
		x.gain += x.weight * (gain - x.gain)
		x.loss += x.weight * (loss - x.loss)
		if x.gain < 1e-150 && x.loss < 1e-150 {
			x.gain, x.loss = 0, 0
		}
	} else {
		x.filled++
		x.gain, x.loss = x.gain+gain, x.loss+loss
		if x.filled != x.n {
			return
		}
		x.gain, x.loss = x.gain/float64(x.n), x.loss/float64(x.n)
	}
	if both := x.gain + x.loss; both == 0 {
		x.value = 50
	} else {
		x.value = 100 * x.gain / both
	}
}

func (x *nativeSurge) plus(v float64) {
	after := x.sum + v
	taken := after - x.sum
	x.lost += (x.sum - (after - taken)) + (v - taken)
	x.sum = after
}

func (x *nativeSurge) update(s *nativeSeries) {
	full := x.filled == x.n
	if full {
		x.value = math.NaN()
		if x.nonzero > 0 {
			x.value = s.volume * float64(x.n) / (x.sum + x.lost)
		}
	}
	x.plus(s.volume)
	x.nonzero += bit(s.volume != 0, 1)
	if full {
		old := s.volumes[(s.count-x.n)&(len(s.volumes)-1)]
		x.plus(-old)
		x.nonzero -= bit(old != 0, 1)
	} else {
		x.filled++
	}
	if x.nonzero == 0 {
		x.sum, x.lost = 0, 0
	}
}

// tick returns what is ordered: the notional of an entry, the quantity of a close with a minus, 0 for nothing.
func (s *native) tick(t *message.StrategyTick) float64 {
	if !(t.Price > 0 && t.Price <= 1e15) || t.TimeMS < s.series.time {
		return 0
	}
	volume := t.Volume
	if !(volume >= 0 && volume <= 1e18) {
		volume = 0
	}
	s.series.add(t.TimeMS, t.Price, volume)
	switch s.state {
	case nativeMonitoring:
		if !nativeHolds(s.s1) {
			s.blocked = false
			return 0
		}
		if s.blocked {
			return 0
		}
		s.state, s.signalled = nativeSignal, t.TimeMS
		return s.decide(t)
	case nativeSignal:
		return s.decide(t)
	case nativePosition:
		if price := t.Price; price <= s.stop || price >= s.profit || nativeHolds(s.ze1) {
			s.state = nativeClose
			return -s.position
		}
	}
	return 0
}

func (s *native) decide(t *message.StrategyTick) float64 {
	if t.TimeMS-s.signalled >= s.timeout {
		s.state, s.blocked = nativeMonitoring, true
		return 0
	}
	if !nativeHolds(s.z1) {
		return 0
	}
	s.state = nativeEntry
	return s.size
}

// filled tells of a fill.
func (s *native) filled(position, price float64) {
	s.position = position
	if position == 0 {
		s.state = nativeMonitoring
		return
	}
	s.state = nativePosition
	s.stop, s.profit = price*(1-s.stopLoss/100), price*(1+s.takeProfit/100)
}

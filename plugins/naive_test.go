package plugins_test

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wse-engine/wse/engine/message"
)

// naive computes indicators from their definitions in indicators/README.md, each value from the ticks themselves: what is a
// window is looked at whole, and only what is defined by its own last value goes tick by tick.
type naive struct {
	t, p, v  []float64
	averages map[string][]float64 // of those that go tick by tick
}

func newNaive(ticks []message.StrategyTick) *naive {
	n := &naive{averages: map[string][]float64{}}
	for _, tick := range ticks {
		n.t, n.p, n.v = append(n.t, tick.TimeMS), append(n.p, tick.Price), append(n.v, tick.Volume)
	}
	return n
}

// indicatorID is an indicatorId taken apart, with the defaults filled in.
type indicatorID struct {
	name      string
	param     []float64
	component string
}

// defaults are the parameters of each indicator.
func defaults() map[string][]float64 {
	return map[string][]float64{"PRICE": nil, "VOLUME": nil, "SMA": {20}, "EMA": {20}, "RSI": {14}, "MACD": {12, 26, 9}, "BOLLINGER_BANDS": {20, 2},
		"ATR": {14}, "VWAP": {0}, "TWPA": {20}, "VOLATILITY": {20}, "PRICE_VELOCITY": {10}, "PRICE_MOMENTUM": {10}, "PRICE_CHANGE_PCT": {10},
		"PUMP_MAGNITUDE_PCT": {20}, "VOLUME_SURGE_RATIO": {20}, "HIGHEST": {20}, "LOWEST": {20}, "SPREAD_PCT": {50}}
}

var idForm = regexp.MustCompile(`^([A-Z]+(?:_[A-Z]+)*)((?:_\d+(?:\.\d+)?)*|\([^)]*\))(?:\.([A-Z_]+))?$`) // read-only

// parseID takes an id apart that is one.
func parseID(id string) indicatorID {
	m := idForm.FindStringSubmatch(strings.ToUpper(id))
	x := indicatorID{name: m[1], component: m[3], param: slices.Clone(defaults()[m[1]])}
	for i, text := range strings.FieldsFunc(m[2], func(r rune) bool { return strings.ContainsRune("_(), ", r) }) {
		x.param[i], _ = strconv.ParseFloat(text, 64)
	}
	return x
}

// at is the indicator's value with tick i the last, NaN where it has none.
func (s *naive) at(x indicatorID, i int) float64 {
	n, p := 0, s.p
	if len(x.param) > 0 {
		n = int(x.param[0])
	}
	ready := func(first int) bool { return i >= first }
	switch {
	case x.name == "PRICE":
		return p[i]
	case x.name == "VOLUME":
		return s.v[i]
	case x.name == "SMA" && ready(n-1):
		return mean(p[i-n+1 : i+1])
	case x.name == "EMA":
		return s.average(x, s.ema)[i]
	case x.name == "RSI":
		return s.average(x, s.rsi)[i]
	case x.name == "ATR":
		return s.average(x, s.atr)[i]
	case x.name == "MACD":
		return s.average(x, s.macd)[i]
	case x.name == "BOLLINGER_BANDS" && ready(n-1):
		return bands(p[i-n+1:i+1], x)
	case x.name == "VWAP" && ready(n-1):
		from := 0
		if n > 0 {
			from = i - n + 1
		}
		return quotient(dot(p[from:i+1], s.v[from:i+1]), sum(s.v[from:i+1]))
	case x.name == "VOLUME_SURGE_RATIO" && ready(n):
		return quotient(s.v[i], mean(s.v[i-n:i]))
	case x.name == "HIGHEST" && ready(n-1):
		return slices.Max(p[i-n+1 : i+1])
	case x.name == "LOWEST" && ready(n-1):
		return slices.Min(p[i-n+1 : i+1])
	case x.name == "PUMP_MAGNITUDE_PCT" && ready(n-1):
		lowest := slices.Min(p[i-n+1 : i+1])
		return 100 * (p[i] - lowest) / lowest
	}
	return s.change(x, n, i)
}

// change is at for what compares with a tick of the past.
func (s *naive) change(x indicatorID, n, i int) float64 {
	p := s.p
	if i < n || x.name == "SPREAD_PCT" && i < n+1 {
		return math.NaN()
	}
	switch x.name {
	case "TWPA":
		return s.twpa(n, i)
	case "VOLATILITY":
		var returns []float64
		for k := i - n + 1; k <= i; k++ {
			returns = append(returns, math.Log(p[k]/p[k-1]))
		}
		return 100 * math.Sqrt(squares(returns)/float64(n-1))
	case "PRICE_VELOCITY":
		return quotient(100*(p[i]-p[i-n])/p[i-n], (s.t[i]-s.t[i-n])/1000)
	case "PRICE_MOMENTUM":
		return p[i] - p[i-n]
	case "PRICE_CHANGE_PCT":
		return 100 * (p[i] - p[i-n]) / p[i-n]
	case "SPREAD_PCT":
		return s.spread(n, i)
	}
	return math.NaN()
}

func (s *naive) twpa(n, i int) float64 {
	total := 0.0
	for k := i - n + 1; k <= i; k++ {
		total += s.p[k-1] * (s.t[k] - s.t[k-1])
	}
	if s.t[i] == s.t[i-n] {
		return s.p[i]
	}
	return total / (s.t[i] - s.t[i-n])
}

func (s *naive) spread(n, i int) float64 {
	var a, b, ab []float64
	for k := i - n + 1; k <= i; k++ {
		a, b = append(a, s.p[k]-s.p[k-1]), append(b, s.p[k-1]-s.p[k-2])
	}
	for k := range a {
		ab = append(ab, a[k]*b[k])
	}
	covariance := mean(ab) - mean(a)*mean(b)
	return 200 * math.Sqrt(max(0, -covariance)) / s.p[i]
}

// average keeps what goes tick by tick, so that it is computed once.
func (s *naive) average(x indicatorID, compute func(x indicatorID) []float64) []float64 {
	key := x.name + x.component + strconv.FormatFloat(x.param[0], 'g', -1, 64)
	for _, p := range x.param[1:] {
		key += "," + strconv.FormatFloat(p, 'g', -1, 64)
	}
	if s.averages[key] == nil {
		s.averages[key] = compute(x)
	}
	return s.averages[key]
}

func (s *naive) ema(x indicatorID) []float64 {
	return exponential(s.p, int(x.param[0]), 2/(x.param[0]+1))
}

func (s *naive) atr(x indicatorID) []float64 {
	ranges := []float64{math.NaN()}
	for i := 1; i < len(s.p); i++ {
		ranges = append(ranges, math.Abs(s.p[i]-s.p[i-1]))
	}
	return exponential(ranges, int(x.param[0]), 1/x.param[0])
}

func (s *naive) rsi(x indicatorID) []float64 {
	gains, losses := []float64{math.NaN()}, []float64{math.NaN()}
	for i := 1; i < len(s.p); i++ {
		d := s.p[i] - s.p[i-1]
		gains, losses = append(gains, max(d, 0)), append(losses, max(-d, 0))
	}
	n, weight := int(x.param[0]), 1/x.param[0]
	gains, losses = exponential(gains, n, weight), exponential(losses, n, weight)
	for i := range gains {
		if gains[i] < 1e-150 && losses[i] < 1e-150 { // both have decayed to nothing
			gains[i] = 50
		} else {
			gains[i] = 100 * gains[i] / (gains[i] + losses[i])
		}
	}
	return gains
}

func (s *naive) macd(x indicatorID) []float64 {
	fast := s.ema(x)
	slow := exponential(s.p, int(x.param[1]), 2/(x.param[1]+1))
	for i := range fast {
		fast[i] -= slow[i]
	}
	if x.component == "" || x.component == "LINE" {
		return fast
	}
	signal := exponential(fast, int(x.param[2]), 2/(x.param[2]+1))
	if x.component == "HISTOGRAM" {
		for i := range signal {
			signal[i] = fast[i] - signal[i]
		}
	}
	return signal
}

// exponential is the moving average that begins with the mean of the first n values that there are.
func exponential(values []float64, n int, weight float64) []float64 {
	out := make([]float64, len(values))
	first := 0
	for first < len(values) && math.IsNaN(values[first]) {
		first++
	}
	for i := range out {
		switch {
		case i < first+n-1:
			out[i] = math.NaN()
		case i == first+n-1:
			out[i] = mean(values[first : i+1])
		default:
			out[i] = out[i-1] + weight*(values[i]-out[i-1])
		}
	}
	return out
}

func bands(window []float64, x indicatorID) float64 {
	middle := mean(window)
	width := x.param[1] * math.Sqrt(squares(window)/float64(len(window)))
	switch x.component {
	case "MIDDLE":
		return middle
	case "UPPER":
		return middle + width
	case "LOWER":
		return middle - width
	}
	if slices.Min(window) == slices.Max(window) {
		return 0.5
	}
	return (window[len(window)-1] - middle + width) / (2 * width)
}

// squares is the sum of squares of the differences from the mean, which is taken out first.
func squares(values []float64) float64 {
	middle, total := mean(values), 0.0
	for _, v := range values {
		total += (v - middle) * (v - middle)
	}
	return total
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

func mean(values []float64) float64 { return sum(values) / float64(len(values)) }

func dot(a, b []float64) (total float64) {
	for i := range a {
		total += a[i] * b[i]
	}
	return total
}

// quotient has no value where it would divide by nothing.
func quotient(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

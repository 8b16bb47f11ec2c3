package ledger

import (
	"math"

	"github.com/wse-engine/wse/engine/message"
)

// drawdown follows equity down from its peaks.
type drawdown struct {
	Peak    Amount  `json:"peak"`
	Current Amount  `json:"current"` // the largest fall since that peak
	Worst   Amount  `json:"worst"`   // the largest one of all
	Percent float64 `json:"percent"` // the largest one in percent of the peak before it
}

// look takes the next value of equity. Dividing is left to the falls that are deeper than any since the peak.
func (d *drawdown) look(equity Amount) {
	if equity >= d.Peak {
		d.Peak, d.Current = equity, 0
		return
	}
	fall := d.Peak - equity
	if fall <= d.Current && fall >= 0 {
		return
	}
	if fall < 0 { // over the whole range: the peak is above 0 and equity far below
		fall = AmountMax
	}
	d.Current = fall
	d.Worst = max(d.Worst, fall)
	d.Percent = max(d.Percent, 100*float64(fall)/float64(d.Peak))
}

// clock is the session's time by its ticks, and what is kept at the turn of its intervals: the equity curve and daily returns.
type clock struct {
	nowMS      float64 // latest time of any accepted tick
	next       float64 // when an interval or a day ends: the one comparison that a tick costs
	intervalMS int64
	interval   int64 // number of the current one since 1970; -1 before the first tick
	day        int64
	points     []point
	most       int
	daily      daily
}

// point is one of the equity curve.
type point struct {
	timeMS int64
	equity Amount
}

const (
	firstIntervalMS = 1000
	dayMS           = 24 * 60 * 60 * 1000
)

func (c *clock) reset(config Config) {
	*c = clock{intervalMS: firstIntervalMS, interval: -1, most: config.EquityPointsMax, daily: daily{Last: config.InitialBalance}}
}

// turn is called with the equity before the first tick of a new interval or day.
func (c *clock) turn(timeMS float64, equity Amount) {
	t := int64(timeMS)
	if c.interval >= 0 {
		if day := t / dayMS; day != c.day {
			c.daily.end(equity, day-c.day)
		}
		if t/c.intervalMS != c.interval {
			c.push(point{timeMS: int64(c.nowMS), equity: equity}, t)
		}
	}
	c.enter(t)
}

// enter makes the interval and the day of t the current ones. Both always are those of nowMS, too.
func (c *clock) enter(t int64) {
	c.interval, c.day = t/c.intervalMS, t/dayMS
	c.next = float64(min((c.interval+1)*c.intervalMS, (c.day+1)*dayMS))
}

// push appends a point, and makes the intervals longer when there are too many with that of the time now, which curve adds.
func (c *clock) push(p point, now int64) {
	if c.points == nil {
		c.points = make([]point, 0, c.most)
	}
	c.put(p)
	for len(c.points) >= c.most && (len(c.points) > c.most || !c.together(c.points[len(c.points)-1].timeMS, now)) {
		c.intervalMS *= 2
		kept := c.points
		c.points = c.points[:0]
		for _, q := range kept {
			c.put(q)
		}
	}
}

// put appends a point, in the place of the last one where both are in one interval.
func (c *clock) put(p point) {
	if n := len(c.points); n > 0 && c.together(c.points[n-1].timeMS, p.timeMS) {
		c.points[n-1] = p
		return
	}
	c.points = append(c.points, p)
}

// together reports whether two times are in one interval.
func (c *clock) together(a, b int64) bool { return a/c.intervalMS == b/c.intervalMS }

// curve returns the points with the interval that has not ended.
func (c *clock) curve(equity Amount) []message.EquityPoint {
	if c.interval < 0 {
		return nil
	}
	out := make([]message.EquityPoint, 0, len(c.points)+1)
	for _, p := range c.points {
		out = append(out, message.EquityPoint{TimeMS: p.timeMS, Equity: p.equity.Decimal()})
	}
	last := message.EquityPoint{TimeMS: int64(c.nowMS), Equity: equity.Decimal()}
	if n := len(out); n > 0 && c.together(out[n-1].TimeMS, last.TimeMS) {
		out[n-1] = last
		return out
	}
	return append(out, last)
}

// daily sums up the returns of days.
type daily struct {
	Last     Amount  `json:"last"` // equity at the end of the day before
	Days     int64   `json:"days"` // that have ended
	Sum      float64 `json:"sum"`
	Squares  float64 `json:"squares"`
	Downside float64 `json:"downside"` // squares of the returns below 0
	Ruined   bool    `json:"ruined"`   // a day ended with nothing, so that there is nothing to compare the next one with
}

// end takes the equity at the end of a day, after which days−1 days without ticks have passed.
func (d *daily) end(equity Amount, days int64) {
	if d.Last <= 0 || equity <= 0 {
		d.Ruined = true
	} else {
		r := float64(equity)/float64(d.Last) - 1
		d.Sum += r
		d.Squares += r * r
		if r < 0 {
			d.Downside += r * r
		}
	}
	d.Days += days
	d.Last = equity
}

// ratios returns Sharpe and Sortino with a last day that ends with equity; nil where there is none.
func (d daily) ratios(equity Amount) (sharpe, sortino *float64) {
	d.end(equity, 1)
	if d.Ruined || d.Days < 2 {
		return nil, nil
	}
	n := float64(d.Days)
	mean := d.Sum / n
	if variance := (d.Squares - n*mean*mean) / (n - 1); variance > 1e-12*d.Squares/n { // less is the error of the subtraction
		sharpe = finite(mean / math.Sqrt(variance) * math.Sqrt(365))
	}
	if d.Downside > 0 {
		sortino = finite(mean / math.Sqrt(d.Downside/n) * math.Sqrt(365))
	}
	return sharpe, sortino
}

func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// Package figure turns measurements into the table of the benchmarks: series, their statistics, ratios, targets, and the
// rule that a figure without its peer from the same run is none.
//
// Ownership: everything here is plain data, used by one goroutine.
package figure

import (
	"math"
	"slices"
)

// Series is what one server measured in one row, a value per repetition, or per publication where latencies are meant.
type Series struct {
	Name   string
	Values []float64
}

// Statistic reduces a series to the value a figure compares.
type Statistic struct {
	Name string
	of   func(sorted []float64) float64
}

// Minimum is for CPU times: what else runs on the machine only ever adds to them.
func Minimum() Statistic {
	return Statistic{"min", func(v []float64) float64 { return v[0] }}
}

// Median is for what scatters both ways.
func Median() Statistic { return Quantile("median", 0.5) }

// Quantile is for latencies: the smallest value that at least the share q of the series does not exceed.
func Quantile(name string, q float64) Statistic {
	return Statistic{name, func(v []float64) float64 {
		return v[max(0, int(math.Ceil(q*float64(len(v))))-1)]
	}}
}

// Of returns the statistic of a series, NaN for an empty one.
func (s Statistic) Of(series Series) float64 {
	if len(series.Values) == 0 {
		return math.NaN()
	}
	return s.of(slices.Sorted(slices.Values(series.Values)))
}

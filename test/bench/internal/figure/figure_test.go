package figure_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/bench/internal/figure"
)

func series(name string, values ...float64) figure.Series {
	return figure.Series{Name: name, Values: values}
}

func TestStatisticsOfASeries(t *testing.T) {
	hundred := figure.Series{}
	for i := range 100 {
		hundred.Values = append(hundred.Values, float64(100-i))
	}
	for _, c := range []struct {
		name string
		stat figure.Statistic
		of   figure.Series
		want float64
	}{
		{"the minimum of one", figure.Minimum(), series("", 3), 3},
		{"the minimum does not need order", figure.Minimum(), series("", 3, 1, 2), 1},
		{"the median of an odd number", figure.Median(), series("", 9, 1, 5), 5},
		{"the median of an even number is the lower one", figure.Median(), series("", 4, 1, 3, 2), 2},
		{"p99 of a hundred is the 99th", figure.Quantile("p99", 0.99), hundred, 99},
		{"p99 of few is the largest", figure.Quantile("p99", 0.99), series("", 1, 2, 3), 3},
		{"the quantile 0 is the smallest", figure.Quantile("p0", 0), hundred, 1},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, c.stat.Of(c.of)) })
	}
	require.True(t, math.IsNaN(figure.Minimum().Of(figure.Series{})))
}

func TestAFigureMeetsItsTargets(t *testing.T) {
	for _, c := range []struct {
		name                     string
		ours, peer, ratio, value float64
		met                      bool
	}{
		{"ratio met", 11, 10, 1.2, 0, true},
		{"ratio met to the point", 12, 10, 1.2, 0, true},
		{"ratio missed", 13, 10, 1.2, 0, false},
		{"value met", 1.4, 1, 0, 1.5, true},
		{"value missed although the peer is worse", 1.6, 20, 0, 1.5, false},
		{"both have to be met", 1.4, 1, 1.2, 1.5, false},
		{"no target cannot be missed", 100, 1, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := figure.Figure{Name: "f", Ours: series("wse", c.ours), Peer: series("p", c.peer), Statistic: figure.Minimum(), RatioMax: c.ratio, ValueMax: c.value}
			require.NoError(t, f.Check())
			require.Equal(t, c.met, f.Met())
		})
	}
}

func TestARowWithoutItsPeerFailsAndIsNamed(t *testing.T) {
	good := figure.Figure{Name: "good", Ours: series("wse", 1), Peer: series("bare", 1), Statistic: figure.Minimum()}
	for _, c := range []struct {
		name  string
		row   string
		add   []figure.Figure
		err   error
		wants string
	}{
		{"the peer measured nothing", "r", []figure.Figure{{Name: "cpu", Ours: series("wse", 1), Peer: series("gorilla"), Statistic: figure.Minimum()}}, nil, `row "cpu": gorilla did not run`},
		{"there is no peer at all", "r", []figure.Figure{{Name: "cpu", Ours: series("wse", 1), Statistic: figure.Minimum()}}, nil, `row "cpu": its peer did not run`},
		{"wse measured nothing", "r", []figure.Figure{{Name: "cpu", Ours: series("wse"), Peer: series("bare", 1), Statistic: figure.Minimum()}}, nil, `row "cpu": wse did not run`},
		{"not a number", "r", []figure.Figure{{Name: "cpu", Ours: series("wse", 1), Peer: series("bare", math.NaN()), Statistic: figure.Minimum()}}, nil, `row "cpu": bare measured no number`},
		{"the row failed", "r", nil, errors.New("the peer did not start"), `row "r": the peer did not start`},
		{"the row measured nothing", "r", nil, nil, `row "r": measured nothing`},
		{"the row was left out", "other", []figure.Figure{good}, nil, `row "r": did not run`},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := &figure.Report{Planned: []string{"r"}}
			report.Add(c.row, c.add, c.err)
			require.ErrorContains(t, report.Check(), c.wants)
		})
	}
	report := &figure.Report{Planned: []string{"r"}}
	report.Add("r", []figure.Figure{good}, nil)
	require.NoError(t, report.Check())
}

func TestTheTableShowsEveryFigureWithItsPeerRatioAndTarget(t *testing.T) {
	report := &figure.Report{}
	report.Add("r", []figure.Figure{
		{Name: "cpu", Unit: "µs", Ours: series("wse", 5.5, 5), Peer: series("bare loop", 5, 6), Statistic: figure.Minimum(), RatioMax: 1.2, Note: "net of HTTP"},
		{Name: "memory", Unit: "KiB", Ours: series("wse", 2), Peer: series("gorilla", 17), Statistic: figure.Median(), ValueMax: 1.5},
		{Name: "p50", Unit: "ms", Ours: series("wse", 123.4), Peer: series("bare loop", 0.005), Statistic: figure.Median()},
		{Name: "gone", Unit: "ms", Ours: series("wse", 1), Peer: series("late"), Statistic: figure.Median(), RatioMax: 2},
	}, nil)
	require.Equal(t, `| figure | wse | beside | | ratio | target | met |
|---|---:|---|---:|---:|---|---|
| cpu (net of HTTP) | 5.00 µs | bare loop | 5.00 | 1.00 | ≤ 1.2 × | yes |
| memory | 2.00 KiB | gorilla | 17.0 | 0.12 | ≤ 1.50 KiB | **no** |
| p50 | 123 ms | bare loop | 0.005 | 24680 | – | – |
| gone | | late | | | ≤ 2 × | **not measured** |
`, report.Markdown())
	require.Equal(t, []string{"memory"}, report.Missed())
	require.Contains(t, report.Raw(), "min 5.00  median 5.00  of 5.50 5.00")
	require.Contains(t, report.Raw(), "did not run")
}

func TestAnOriginNamesCommitDateGoAndCPU(t *testing.T) {
	o, err := figure.Here()
	if err != nil {
		t.Skip("not in a git checkout: ", err)
	}
	require.Regexp(t, `^commit [0-9a-f]{12}(\+changes)?, \d{4}-\d\d-\d\d \d\d:\d\d UTC, go\S+, \d+ × .+, Linux .+`, o.String())
}

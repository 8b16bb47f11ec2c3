package figure

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Figure is a line of the table: what wse measured beside what a peer measured in the same run.
type Figure struct {
	Name      string
	Unit      string
	Ours      Series
	Peer      Series
	Statistic Statistic
	// RatioMax is the target for ours ÷ peer's, ValueMax the one for ours; 0: none.
	RatioMax, ValueMax float64
	// ZeroMax is the target that ours is zero.
	ZeroMax bool
	// Note says in a few words what the line alone does not.
	Note string
}

// ErrNoPeer marks a figure that has no peer, or nothing of our own, from the same run.
var ErrNoPeer = errors.New("did not run in this run, so there is no figure")

// Check returns an error that names the figure and what is missing of it.
func (f Figure) Check() error {
	for _, s := range []Series{f.Ours, f.Peer} {
		if len(s.Values) == 0 {
			name := s.Name
			if name == "" {
				name = "its peer"
			}
			return fmt.Errorf("row %q: %s %w", f.Name, name, ErrNoPeer)
		}
		if v := f.Statistic.Of(s); math.IsNaN(v) {
			return fmt.Errorf("row %q: %s measured no number", f.Name, s.Name)
		}
	}
	return nil
}

// Ratio is ours ÷ the peer's; two zeros are alike.
func (f Figure) Ratio() float64 {
	ours, peer := f.Statistic.Of(f.Ours), f.Statistic.Of(f.Peer)
	if ours == peer {
		return 1
	}
	return ours / peer
}

// Met reports whether every target of the figure is met; a figure without one has nothing to miss.
func (f Figure) Met() bool {
	return f.Check() == nil && (f.RatioMax == 0 || f.Ratio() <= f.RatioMax) &&
		(f.ValueMax == 0 || f.Statistic.Of(f.Ours) <= f.ValueMax) && (!f.ZeroMax || f.Statistic.Of(f.Ours) == 0)
}

func (f Figure) targetless() bool { return f.RatioMax == 0 && f.ValueMax == 0 && !f.ZeroMax }

func (f Figure) target() string {
	var parts []string
	if f.RatioMax > 0 {
		parts = append(parts, fmt.Sprintf("≤ %.2g ×", f.RatioMax))
	}
	if f.ValueMax > 0 {
		parts = append(parts, "≤ "+number(f.ValueMax)+" "+f.Unit)
	}
	if f.ZeroMax {
		parts = append(parts, "0")
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, ", ")
}

func (f Figure) verdict() string {
	switch {
	case f.targetless():
		return "–"
	case f.Met():
		return "yes"
	default:
		return "**no**"
	}
}

// number writes three significant digits, which is more than the measurements hold.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		return "never"
	case a != 0 && a < 0.01:
		return fmt.Sprintf("%.2g", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// Report is the outcome of a run.
type Report struct {
	Planned []string // every row that was to run
	Figures []Figure
	Errors  []error // rows that failed, each naming its row
	ran     map[string]bool
}

// Add records what a row measured, or why it did not.
func (r *Report) Add(row string, figures []Figure, err error) {
	if r.ran == nil {
		r.ran = make(map[string]bool)
	}
	r.ran[row] = true
	if err != nil {
		r.Errors = append(r.Errors, fmt.Errorf("row %q: %w", row, err))
		return
	}
	if len(figures) == 0 {
		r.Errors = append(r.Errors, fmt.Errorf("row %q: measured nothing", row))
	}
	r.Figures = append(r.Figures, figures...)
}

// Check returns all that makes the run void: a row that failed or was left out, a figure without its peer. A missed
// target does not: it is in the table for everybody to see.
func (r *Report) Check() error {
	errs := append([]error(nil), r.Errors...)
	for _, row := range r.Planned {
		if !r.ran[row] {
			errs = append(errs, fmt.Errorf("row %q: did not run", row))
		}
	}
	for _, f := range r.Figures {
		errs = append(errs, f.Check())
	}
	return errors.Join(errs...)
}

// Missed returns the names of the figures that miss their target.
func (r *Report) Missed() []string {
	var names []string
	for _, f := range r.Figures {
		if f.Check() == nil && !f.Met() {
			names = append(names, f.Name)
		}
	}
	return names
}

// Markdown returns the table.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString("| figure | wse | beside | | ratio | target | met |\n|---|---:|---|---:|---:|---|---|\n")
	for _, f := range r.Figures {
		name := f.Name
		if f.Note != "" {
			name += " (" + f.Note + ")"
		}
		if f.Check() != nil {
			fmt.Fprintf(&b, "| %s | | %s | | | %s | **not measured** |\n", name, f.Peer.Name, f.target())
			continue
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s | %s | %s |\n", name, number(f.Statistic.Of(f.Ours)), f.Unit,
			f.Peer.Name, number(f.Statistic.Of(f.Peer)), number(f.Ratio()), f.target(), f.verdict())
	}
	return b.String()
}

// Raw returns every series of every figure: all values of short ones, the quantiles of long ones.
func (r *Report) Raw() string {
	var b strings.Builder
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "%s [%s], compared by %s\n", f.Name, f.Unit, f.Statistic.Name)
		for _, s := range []Series{f.Ours, f.Peer} {
			fmt.Fprintf(&b, "  %-28s %s\n", s.Name, s.describe())
		}
	}
	return b.String()
}

// valuesShownMax is how long a series may be to be written out.
const valuesShownMax = 12

func (s Series) describe() string {
	if len(s.Values) == 0 {
		return "did not run"
	}
	if len(s.Values) <= valuesShownMax {
		parts := make([]string, len(s.Values))
		for i, v := range s.Values {
			parts[i] = number(v)
		}
		return "min " + number(Minimum().Of(s)) + "  median " + number(Median().Of(s)) + "  of " + strings.Join(parts, " ")
	}
	return fmt.Sprintf("n %d  min %s  p50 %s  p90 %s  p99 %s  max %s", len(s.Values), number(Minimum().Of(s)),
		number(Median().Of(s)), number(Quantile("p90", 0.9).Of(s)), number(Quantile("p99", 0.99).Of(s)),
		number(Quantile("max", 1).Of(s)))
}

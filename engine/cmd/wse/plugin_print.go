package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// pluginState is a plugin as the engine lists it.
type pluginState struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	SHA256      string            `json:"sha256"`
	Path        string            `json:"path"`
	Kinds       []string          `json:"kinds"`
	Bind        []string          `json:"bind"`
	OnError     string            `json:"on_error"`
	Bytes       int               `json:"bytes"`
	Instances   int               `json:"instances"`
	Strategies  int               `json:"strategies"`
	Earlier     int               `json:"strategies_earlier"`
	Since       time.Time         `json:"since"`
	How         string            `json:"how"`
	Who         string            `json:"who"`
	Breaker     string            `json:"breaker"`
	Calls       map[string]uint64 `json:"calls"`
	Recorded    int               `json:"recorded"`
	DeadLetters uint64            `json:"dead_letters"`
}

// pluginDetail is a plugin as the engine shows it.
type pluginDetail struct {
	pluginState
	Versions []pluginVersion `json:"versions"`
	Shadow   *shadowState    `json:"shadow"`
	Cluster  *clusterVersion `json:"cluster"`
}

// pluginVersion is a kept version.
type pluginVersion struct {
	Version string    `json:"version"`
	Bytes   int       `json:"bytes"`
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`
	How     string    `json:"how"`
	Serving bool      `json:"serving"`
}

// pluginChange is what became of a swap or a rollback.
type pluginChange struct {
	Plugin string       `json:"plugin"`
	From   string       `json:"from"`
	To     string       `json:"to"`
	How    string       `json:"how"`
	Who    string       `json:"who"`
	Shadow *shadowState `json:"shadow"`
}

// The phases of a shadow.
const (
	phaseRunning = "running"
	phaseSwapped = "swapped"
	phaseEnded   = "ended"
)

// shadowState is how a shadow stands.
type shadowState struct {
	Candidate  string     `json:"candidate"`
	Phase      string     `json:"phase"`
	Reason     string     `json:"reason"`
	Started    time.Time  `json:"started"`
	Comparison comparison `json:"comparison"`
}

// String tells of the shadow in one line.
func (s *shadowState) String() string {
	text := fmt.Sprintf("of %s since %s: %s", s.Candidate, moment(s.Started), s.Phase)
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// comparison is what two versions said of the same events.
type comparison struct {
	Plugin      string       `json:"plugin"`
	Serving     string       `json:"serving"`
	Candidate   string       `json:"candidate"`
	Compared    int          `json:"compared"`
	Same        int          `json:"same"`
	Different   int          `json:"different"`
	Failed      int          `json:"failed"`
	Skipped     int          `json:"skipped"`
	Differences []difference `json:"differences"`
}

type difference struct {
	Hook      string `json:"hook"`
	Input     string `json:"input"`
	Serving   said   `json:"serving"`
	Candidate said   `json:"candidate"`
	Diff      string `json:"diff"`
}

type said struct {
	Verdict string `json:"verdict"`
	Data    string `json:"data"`
	Error   string `json:"error"`
	Fuel    int64  `json:"fuel"`
}

// figures are the comparison's counts.
func (c *comparison) figures() string {
	text := fmt.Sprintf("%d compared, %d same, %d different, %d failed", c.Compared, c.Same, c.Different, c.Failed)
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.Skipped)
	}
	return text
}

// errDiffers means that a candidate answers otherwise than what serves. Everything is said already when it is returned.
var errDiffers = errors.New("the candidate differs from what serves")

// verdict is nil where all answers were the same.
func (c *comparison) verdict() error {
	if c.Different+c.Failed > 0 {
		return errDiffers
	}
	return nil
}

// by tells how a version came about and who made it.
func by(how, who string) string { return strings.TrimSpace(how + " " + who) }

// strategies tells how many strategies run on the plugin, and how many of them on versions that served before.
func (p *pluginState) strategies() string {
	switch {
	case p.Earlier > 0:
		return fmt.Sprintf("%d, %d on earlier versions", p.Strategies+p.Earlier, p.Earlier)
	case slices.Contains(p.Kinds, "strategy"):
		return fmt.Sprint(p.Strategies)
	default:
		return "-"
	}
}

func (g *globals) printPlugins(list []pluginState) error {
	if len(list) == 0 {
		return g.printf("no plugin serves\n")
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tVERSION\tKINDS\tBIND\tBREAKER\tINSTANCES\tSTRATEGIES\tSINCE\tBY")
	for _, p := range list {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", p.Name, p.Version, strings.Join(p.Kinds, ","), strings.Join(p.Bind, ","),
			p.Breaker, p.Instances, p.strategies(), moment(p.Since), by(p.How, p.Who))
	}
	return w.Flush()
}

func (g *globals) printPlugin(p *pluginDetail) error {
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	calls := make([]string, 0, len(p.Calls))
	for _, outcome := range slices.Sorted(maps.Keys(p.Calls)) {
		calls = append(calls, fmt.Sprintf("%s %d", outcome, p.Calls[outcome]))
	}
	shadow := "none"
	if p.Shadow != nil {
		shadow = p.Shadow.String() + ", " + p.Shadow.Comparison.figures()
	}
	rows := [][2]string{
		{"plugin", p.Name},
		{"serving", p.Version + " since " + moment(p.Since) + ", " + by(p.How, p.Who)},
		{"module", fmt.Sprintf("%s, %d bytes, sha256 %s", p.Path, p.Bytes, p.SHA256)},
		{"kinds", strings.Join(p.Kinds, ", ")},
		{"bound to", strings.Join(p.Bind, ", ")},
		{"on error", p.OnError},
		{"breaker", p.Breaker},
		{"instances", fmt.Sprint(p.Instances)},
		{"strategies", p.strategies()},
		{"calls", cmp.Or(strings.Join(calls, ", "), "none")},
		{"recorded", fmt.Sprintf("%d events to try a candidate on", p.Recorded)},
		{"dead letters", fmt.Sprintf("%d since the start", p.DeadLetters)},
		{"shadow", shadow},
	}
	if p.Cluster != nil {
		rows = append(rows, [2]string{"cluster", p.Cluster.String()})
	}
	for _, row := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	_, _ = fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w, "  VERSION\tTIME\tBY\tBYTES")
	for _, v := range p.Versions {
		mark := " "
		if v.Serving {
			mark = "*"
		}
		_, _ = fmt.Fprintf(w, "%s %s\t%s\t%s\t%d\n", mark, v.Version, moment(v.Time), by(v.How, v.Who), v.Bytes)
	}
	return w.Flush()
}

// printChange prints from which version to which a plugin went.
func (o *operation) printChange(answer []byte) error {
	g := o.globals
	var c pluginChange
	if err := understand(answer, &c); err != nil || o.asJSON {
		return errors.Join(g.printAnswer(answer), err)
	}
	if c.From == c.To {
		return g.printf("%s: %s serves already, and nothing was changed\n", c.Plugin, c.To)
	}
	return g.printf("%s: %s → %s (%s)\n", c.Plugin, c.From, c.To, by(c.How, c.Who))
}

// printComparison prints the figures, and the differences from the first one not shown yet on.
func (g *globals) printComparison(c *comparison, shown int) error {
	if err := g.printf("%s: %s beside %s, which serves: %s\n", c.Plugin, c.Candidate, c.Serving, c.figures()); err != nil {
		return err
	}
	for i := shown; i < len(c.Differences); i++ {
		if err := g.printDifference(i, &c.Differences[i]); err != nil {
			return err
		}
	}
	if more := c.Different + c.Failed - len(c.Differences); more > 0 {
		return g.printf("\n%d more are not shown\n", more)
	}
	return nil
}

// printDifference prints the i-th difference.
func (g *globals) printDifference(i int, d *difference) error {
	return g.printf("\n%d. %s of %s\n   serving %s, candidate %s\n%s", i+1, d.Hook, d.Input, d.Serving.String(), d.Candidate.String(),
		indent(d.Diff))
}

// String tells how a version answered, without the answer.
func (s *said) String() string {
	text := fmt.Sprintf("%s (fuel %d)", s.Verdict, s.Fuel)
	if s.Error != "" {
		text += ": " + brief(s.Error)
	}
	return text
}

// indent sets lines apart from those around them.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("   " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
)

// runBatch is how many ticks go into a call at most; what a strategy says does not depend on it.
const runBatch = 4096

// stepped is a step of a strategy as JSON.
type stepped struct {
	Step  string `json:"step"` // open, ticks or update
	Ticks int    `json:"ticks,omitempty"`
	called
}

// runSteps tells a strategy the steps that raw lists, and prints what it says to each. The error is that of the first that
// fails, which is the last then.
func (a *authoring) runSteps(cmd *cobra.Command, t *target, p *plugin.Workpiece, raw []byte) error {
	steps, err := vector.ParseSteps("standard input", raw)
	if err != nil {
		return misused(cmd, "%w (sdk/tck/README.md describes them)", err)
	}
	all := []stepped{}
	for i := range steps {
		s := &steps[i]
		got, err := p.Step(s, runBatch)
		if err != nil {
			return t.refused(err)
		}
		err = t.failed(fmt.Sprintf("step %d, %s", i+1, s.Does()), got)
		if !a.asJSON {
			a.row("step", "%s", stepName(s))
			if printed := a.printAnswer(vector.Strategy, got); printed != nil {
				return printed
			}
		}
		one := stepped{Step: s.Does(), Ticks: len(s.Ticks), called: calledOf(t, vector.Strategy, got)}
		all = append(all, one)
		if err != nil {
			return errors.Join(a.printSteps(all), err)
		}
	}
	return a.printSteps(all)
}

func stepName(s *vector.Step) string {
	if n := len(s.Ticks); n > 0 {
		return fmt.Sprintf("%d ticks", n)
	}
	return s.Does()
}

func (a *authoring) printSteps(all []stepped) error {
	if !a.asJSON {
		return nil
	}
	return a.printJSON(struct {
		Steps []stepped `json:"steps"`
	}{all})
}

// benchTicks is how many ticks a round of a strategy's measurement begins with.
const benchTicks = 4096

// traded is the figures of a strategy, as JSON. Times are nanoseconds a tick, of updates a call.
type traded struct {
	Name        string  `json:"name"`
	Hook        string  `json:"hook"`
	Ticks       int     `json:"ticks"` // a round
	MinNS       float64 `json:"min_ns"`
	MedianNS    float64 `json:"median_ns"`
	FloorNS     float64 `json:"floor_median_ns"`
	Ratio       float64 `json:"ratio"` // of the medians
	TicksPerS   float64 `json:"ticks_per_s"`
	Fuel        float64 `json:"fuel"` // a tick
	Orders      int     `json:"orders"`
	Updates     int     `json:"updates"`
	UpdateNS    float64 `json:"update_ns"`
	MemoryBytes int     `json:"memory_bytes"`
}

// measureStrategy gives a strategy, and in turn one that does nothing, a random walk of ticks.
func (m *measuring) measureStrategy(ctx context.Context, w *plugin.Workbench, p *plugin.Workpiece, j job) (traded, error) {
	floor, err := w.FloorStrategy(ctx)
	if err != nil {
		return traded{}, err
	}
	defer floor.Close()
	if err := p.Configure(j.config); err != nil {
		return traded{}, err
	}
	ticks, slice := plugin.WalkTicks(benchTicks, 1), m.time/(2*rounds)
	one, err := p.Trade(j.doc, ticks, runBatch)
	if err != nil {
		return traded{}, err
	}
	if took := one.TicksTime + one.UpdatesTime; took > 0 && took < slice {
		ticks = plugin.WalkTicks(benchTicks*int(min(slice/took, 256)), 1)
	}
	out := traded{Name: j.name, Hook: vector.Strategy, Ticks: len(ticks)}
	var owns, bares, updates []float64
	for range rounds {
		if ctx.Err() != nil {
			return traded{}, errors.New("interrupted")
		}
		own, err := p.Trade(j.doc, ticks, runBatch)
		if err != nil {
			return traded{}, err
		}
		bare, err := floor.Trade(j.doc, ticks, runBatch)
		if err != nil {
			return traded{}, err
		}
		n := float64(len(ticks))
		owns, bares = append(owns, float64(own.TicksTime)/n), append(bares, float64(bare.TicksTime)/n)
		if own.Updates > 0 {
			updates = append(updates, float64(own.UpdatesTime)/float64(own.Updates))
		}
		out.Fuel, out.Orders, out.Updates, out.MemoryBytes = float64(own.Fuel)/n, own.Orders, own.Updates, own.MemoryBytes
	}
	slices.Sort(owns)
	slices.Sort(bares)
	slices.Sort(updates)
	out.MinNS, out.MedianNS, out.FloorNS = owns[0], owns[rounds/2], bares[rounds/2]
	out.Ratio, out.TicksPerS = out.MedianNS/out.FloorNS, float64(time.Second)/out.MedianNS
	if len(updates) > 0 {
		out.UpdateNS = updates[len(updates)/2]
	}
	return out, nil
}

// runStrategies measures the strategies of jobs.
func (m *measuring) runStrategies(ctx context.Context, t *target, w *plugin.Workbench, p *plugin.Workpiece, jobs []job) error {
	head := fmt.Sprintf("%10s %10s %8s %12s %9s %8s %10s", "min ns", "median ns", "× floor", "ticks/s", "fuel", "orders", "update ns")
	return measureAll(m, t, jobs, head, func(j job) (traded, error) { return m.measureStrategy(ctx, w, p, j) }, func(one traded) string {
		return fmt.Sprintf("%10.1f %10.1f %8.2f %12s %9.0f %8d %10.0f  %s (%s, a tick)", one.MinNS, one.MedianNS, one.Ratio,
			grouped(int64(one.TicksPerS)), one.Fuel, one.Orders, one.UpdateNS, one.Name, one.Hook)
	})
}

// strategyJobs returns the strategies to be measured: of each vector what it opens first, or standard input.
func (m *measuring) strategyJobs(cmd *cobra.Command, path string, t *target) ([]job, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		doc, err := readAll(cmd.Context(), m.in)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return []job{{name: "standard input", hook: vector.Strategy, doc: doc, config: t.specimen.Config}}, nil
	}
	list, err := vector.Read(t.vectors())
	if err != nil {
		return nil, err
	}
	var jobs []job
	seen := map[string]bool{}
	for _, v := range list {
		if v.Hook != vector.Strategy || v.Steps[0].Open == nil || v.Steps[0].Want != vector.Yes {
			continue
		}
		j := job{name: v.Name, hook: v.Hook, doc: v.Steps[0].Document(), config: t.specimen.Config}
		if v.Config != nil {
			j.config = v.Configuration()
		}
		if same := string(j.doc) + "\n" + string(j.config); !seen[same] {
			seen[same] = true
			jobs = append(jobs, j)
		}
	}
	if len(jobs) == 0 {
		err = fmt.Errorf("%s: no vector of these opens a strategy", t.dir)
	}
	return jobs, err
}

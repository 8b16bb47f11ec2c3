package main

import (
	"bytes"
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

// measuring are the flags of plugin bench.
type measuring struct {
	authoring
	hook string
	time time.Duration
}

func newPluginBench(g *globals) *cobra.Command {
	m := &measuring{authoring: authoring{globals: g}}
	cmd := &cobra.Command{
		Use:   "bench DIR|FILE",
		Short: "Measure what a call takes",
		Long: `Call a hook again and again and print what a call takes, in time and in fuel, and how many times the floor that
is: a guest that does nothing but take the same document and answer as many bytes. The floor is measured in turn with
the plugin, so that the ratio means something on a busy machine as well. FILE is measured with the document on
standard input; DIR, a directory with plugin.wasm and vectors/*.json in it, with each of its vectors that is answered.

A strategy is measured by the tick: it is opened with the document, or with what its vectors open, and given a random
walk of prices. What it orders is filled at once, at the price of its tick.`,
		Example: `  wse plugin bench plugin.wasm --hook transform < event.json
  wse plugin bench . --time 2s --json
  wse plugin bench plugin.wasm --hook strategy < open.json`,
		Args: exactly("DIR|FILE"),
	}
	m.flags(cmd)
	cmd.Flags().StringVar(&m.hook, "hook", "", "transform, transform_batch, authorize, validate or strategy (default: the only one that the module has)")
	cmd.Flags().DurationVar(&m.time, "time", time.Second, "how long to measure each document")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if m.time < time.Millisecond || m.time > time.Hour {
			return misused(cmd, "--time: %v must be from 1ms to 1h", m.time)
		}
		t, err := m.target(cmd, args[0])
		if err != nil {
			return err
		}
		return t.opened(cmd.Context(), func(w *plugin.Workbench, p *plugin.Workpiece) error {
			if m.hook == vector.Strategy || m.hook == "" && slices.Equal(p.Hooks(), []string{vector.Strategy}) {
				jobs, err := m.strategyJobs(cmd, args[0], t)
				if err != nil {
					return err
				}
				return m.runStrategies(cmd.Context(), t, w, p, jobs)
			}
			jobs, err := m.jobs(cmd, args[0], t, p)
			if err != nil {
				return err
			}
			return m.run(cmd.Context(), t, w, p, jobs)
		})
	}
	return cmd
}

// job is one document to be measured.
type job struct {
	name, hook string
	doc        []byte
	config     []byte
}

// jobs returns what is to be measured: the vectors of a directory, or standard input.
func (m *measuring) jobs(cmd *cobra.Command, path string, t *target, p *plugin.Workpiece) ([]job, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return m.vectorJobs(t)
	}
	hook, err := chooseHook(cmd, p, m.hook)
	if err != nil {
		return nil, err
	}
	doc, err := readAll(cmd.Context(), m.in)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if doc, err = hookDocument(cmd, hook, doc); err != nil {
		return nil, err
	}
	return []job{{name: "standard input", hook: hook, doc: doc, config: t.specimen.Config}}, nil
}

func (m *measuring) vectorJobs(t *target) ([]job, error) {
	list, err := vector.Read(t.vectors())
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, v := range list {
		answered := v.Wants != nil || slices.Contains([]string{vector.No, vector.Yes, vector.Data}, v.Want)
		if !answered || v.Hook == vector.Configure || m.hook != "" && v.Hook != m.hook {
			continue
		}
		j := job{name: v.Name, hook: v.Hook, doc: v.Document(), config: t.specimen.Config}
		if v.Config != nil {
			j.config = v.Configuration()
		}
		jobs = append(jobs, j)
	}
	if len(jobs) == 0 {
		err = fmt.Errorf("%s: no vector of these is answered", t.dir)
	}
	return jobs, err
}

// measured is the figures of one document, as JSON. Times are nanoseconds a call.
type measured struct {
	Name        string  `json:"name"`
	Hook        string  `json:"hook"`
	InBytes     int     `json:"in_bytes"`
	OutBytes    int     `json:"out_bytes"`
	Calls       int     `json:"calls"`
	MinNS       float64 `json:"min_ns"`
	MedianNS    float64 `json:"median_ns"`
	FloorMinNS  float64 `json:"floor_min_ns"`
	FloorNS     float64 `json:"floor_median_ns"`
	Ratio       float64 `json:"ratio"` // of the medians
	Fuel        int64   `json:"fuel"`
	MemoryBytes int     `json:"memory_bytes"`
}

func (m *measuring) run(ctx context.Context, t *target, w *plugin.Workbench, p *plugin.Workpiece, jobs []job) error {
	head := fmt.Sprintf("%10s %10s %8s %12s %9s %9s", "min ns", "median ns", "× floor", "fuel", "bytes in", "bytes out")
	return measureAll(m, t, jobs, head, func(j job) (measured, error) { return m.measure(ctx, w, p, j) }, func(one measured) string {
		return fmt.Sprintf("%10.0f %10.0f %8.2f %12s %9s %9s  %s (%s)", one.MinNS, one.MedianNS, one.Ratio, grouped(one.Fuel),
			grouped(one.InBytes), grouped(one.OutBytes), one.Name, one.Hook)
	})
}

// measureAll measures jobs one after the other and prints their figures: a line for each below head as it comes, or all as JSON.
func measureAll[T any](m *measuring, t *target, jobs []job, head string, measure func(job) (T, error), line func(T) string) error {
	all := make([]T, 0, len(jobs))
	for i, j := range jobs {
		one, err := measure(j)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", t.file, j.name, err)
		}
		all = append(all, one)
		if m.asJSON {
			continue
		}
		if i == 0 {
			_ = m.printf("%s\n", head)
		}
		_ = m.printf("%s\n", line(one))
	}
	if m.asJSON {
		return m.printJSON(struct {
			File    string `json:"file"`
			Results []T    `json:"results"`
		}{t.file, all})
	}
	return nil
}

// rounds is how often plugin and floor take turns.
const rounds = 20

// measure lets the plugin and the floor take turns, each for half of the time.
func (m *measuring) measure(ctx context.Context, w *plugin.Workbench, p *plugin.Workpiece, j job) (measured, error) {
	if err := p.Configure(j.config); err != nil {
		return measured{}, err
	}
	got, err := p.Call(j.hook, j.doc)
	if err != nil {
		return measured{}, err
	}
	if err := (&target{file: j.hook}).failed(j.hook, got); err != nil {
		return measured{}, errors.New(got.String())
	}
	floor, err := w.Floor(ctx, j.hook, len(j.doc), len(got.Data))
	if err != nil {
		return measured{}, err
	}
	defer floor.Close()
	doc := bytes.Clone(j.doc)
	slice := m.time / (2 * rounds)
	own, err := calibrated(p, j.hook, doc, slice)
	if err != nil {
		return measured{}, err
	}
	bare, err := calibrated(floor, j.hook, doc, slice)
	if err != nil {
		return measured{}, err
	}
	var owns, bares []float64
	for range rounds {
		if ctx.Err() != nil {
			return measured{}, errors.New("interrupted")
		}
		a, err := own.round()
		if err != nil {
			return measured{}, err
		}
		b, err := bare.round()
		if err != nil {
			return measured{}, err
		}
		owns, bares = append(owns, a), append(bares, b)
	}
	slices.Sort(owns)
	slices.Sort(bares)
	return measured{Name: j.name, Hook: j.hook, InBytes: len(doc), OutBytes: len(got.Data), Calls: own.n * rounds,
		MinNS: owns[0], MedianNS: owns[rounds/2], FloorMinNS: bares[0], FloorNS: bares[rounds/2], Ratio: owns[rounds/2] / bares[rounds/2],
		Fuel: own.fuel, MemoryBytes: got.MemoryBytes}, nil
}

// meter calls one guest a fixed number of times a round.
type meter struct {
	p    *plugin.Workpiece
	hook string
	doc  []byte
	n    int
	fuel int64
}

// calibrated chooses the number of calls that take about as long as slice. That warms the guest up as well.
func calibrated(p *plugin.Workpiece, hook string, doc []byte, slice time.Duration) (*meter, error) {
	m := &meter{p: p, hook: hook, doc: doc, n: 1}
	for {
		took, fuel, err := p.Time(hook, doc, m.n)
		if err != nil {
			return nil, err
		}
		if m.fuel = fuel; took >= slice/2 || m.n >= 1<<24 {
			m.n = max(1, int(float64(m.n)*float64(slice)/float64(max(took, 1))))
			return m, nil
		}
		m.n *= 2
	}
}

// round returns nanoseconds a call.
func (m *meter) round() (float64, error) {
	took, fuel, err := m.p.Time(m.hook, m.doc, m.n)
	m.fuel = fuel
	return float64(took) / float64(m.n), err
}

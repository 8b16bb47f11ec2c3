package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
	"github.com/wse-engine/wse/sdk/tck"
)

// checking are the flags of plugin test.
type checking struct {
	authoring
	vectors string
	kit     bool
	exact   bool
	verbose bool
}

func newPluginTest(g *globals) *cobra.Command {
	t := &checking{authoring: authoring{globals: g}}
	cmd := &cobra.Command{
		Use:   "test DIR|FILE",
		Short: "Run the vectors of a plugin",
		Long: `Run the vectors of a plugin, cases with an input, what the plugin must make of it, and what that may cost in
fuel, and print what differs. DIR is a directory with plugin.wasm and vectors/*.json in it. The format is described
in sdk/tck/README.md. Exit code 1 means that a vector failed, or that the engine would refuse the module.`,
		Example: `  wse plugin test .
  wse plugin test plugin.wasm --vectors more.json --config plugin.yaml
  wse plugin test plugin.wasm --tck`,
		Args: exactly("DIR|FILE"),
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&t.vectors, "vectors", "", "`PATH` of a file or directory of vectors (default vectors, beside the module or above it)")
	cmd.Flags().BoolVar(&t.kit, "tck", false, "run the compatibility kit for SDKs instead of vectors")
	cmd.Flags().BoolVar(&t.exact, "exact", false, "compare data byte by byte, not as JSON")
	cmd.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "print the vectors that pass as well, with fuel and time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := t.target(cmd, args[0])
		if err != nil {
			return err
		}
		if t.kit && (t.vectors != "" || t.configFile != "" || t.limits != (plugin.Limits{})) {
			return misused(cmd, "--tck: the kit has vectors, configurations and limits of its own")
		}
		return t.run(cmd.Context(), target)
	}
	return cmd
}

// tested is what came of all vectors, as JSON.
type tested struct {
	File    string    `json:"file"`
	Vectors int       `json:"vectors"`
	Failed  int       `json:"failed"`
	Results []outcome `json:"results"`
}

type outcome struct {
	Name       string `json:"name"`
	Hook       string `json:"hook,omitempty"`
	OK         bool   `json:"ok"`
	Result     string `json:"result,omitempty"`
	Difference string `json:"difference,omitempty"`
	Fuel       int64  `json:"fuel"`
	NS         int64  `json:"ns"`
}

func (t *checking) run(ctx context.Context, target *target) error {
	begin, sum := time.Now(), tested{File: target.file, Results: []outcome{}}
	report := func(o tck.Outcome) {
		sum.Vectors++
		one := outcome{Name: o.Name, Hook: o.Hook, OK: o.Err == nil, Result: o.Called.Said, Fuel: o.Called.Fuel, NS: o.Called.Time.Nanoseconds()}
		if o.Err != nil {
			sum.Failed++
			one.Difference = o.Err.Error()
		}
		if sum.Results = append(sum.Results, one); !t.asJSON {
			t.printOutcome(one)
		}
	}
	err := workbench(func(w *plugin.Workbench) error {
		if t.kit {
			return tck.Run(ctx, w, target.specimen, report)
		}
		return t.runVectors(ctx, w, target, report)
	})
	if err != nil {
		return target.refused(err)
	}
	if t.asJSON {
		err = t.printJSON(sum)
	} else {
		err = t.printf("%s: %d of %d passed in %s\n", target.file, sum.Vectors-sum.Failed, sum.Vectors, lasted(time.Since(begin)))
	}
	if err == nil && sum.Failed > 0 {
		err = fmt.Errorf("%s: %d of %d failed", target.file, sum.Failed, sum.Vectors)
	}
	return err
}

func (t *checking) runVectors(ctx context.Context, w *plugin.Workbench, target *target, report func(tck.Outcome)) error {
	list, err := t.read(target)
	if err != nil {
		return err
	}
	p, err := w.Open(ctx, target.specimen)
	if err != nil {
		return err
	}
	defer p.Close()
	for _, v := range list {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if t.exact {
			v = v.Exact()
		}
		got, err := p.Check(&v)
		report(tck.Outcome{Name: v.Name, Hook: v.Hook, Called: got, Err: err})
	}
	return nil
}

func (t *checking) read(target *target) ([]vector.Vector, error) {
	path := t.vectors
	if path == "" {
		path = target.vectors()
	}
	list, err := vector.Read(path)
	if errors.Is(err, fs.ErrNotExist) && t.vectors == "" {
		return nil, fmt.Errorf("%s: there are no vectors beside it (%s); name them with --vectors", target.file, path)
	}
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: holds no vectors", path)
	}
	return list, err
}

func (t *checking) printOutcome(o outcome) {
	name := o.Name
	if o.Hook != "" {
		name += " (" + o.Hook + ")"
	}
	switch {
	case !o.OK:
		_ = t.printf("FAIL  %s\n      %s\n", name, strings.ReplaceAll(o.Difference, "\n", "\n      "))
	case t.verbose:
		_ = t.printf("ok    %s: %s, fuel %s, %s\n", name, o.Result, grouped(o.Fuel), lasted(time.Duration(o.NS)))
	}
}

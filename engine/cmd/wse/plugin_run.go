package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
)

func newPluginRun(g *globals) *cobra.Command {
	a := &authoring{globals: g}
	var hook string
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Call a hook of a module with a document",
		Long: `Call one hook with the document on standard input, and print the answer, and what the call used. The answer is
held to the contract as the engine does. Exit code 1 means that the guest trapped, ran out of fuel, answered
with an error, or answered what is no answer; which, and where in the guest, is on standard error.
transform_batch takes a JSON array of documents, strategy an array of steps as vectors have them (open, ticks, update),
which it is told one after the other. FILE may be a directory with plugin.wasm in it, or stock:NAME.`,
		Example: `  wse plugin run plugin.wasm --hook transform < event.json
  wse plugin run plugin.wasm --hook strategy < steps.json
  echo '{"type":"OrderFilled","payload":{},"user_id":"u1"}' | wse plugin run . --config plugin.yaml`,
		Args: exactly("FILE"),
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&hook, "hook", "", "transform, transform_batch, authorize, validate or strategy (default: the only one that the module has)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := a.target(cmd, args[0])
		if err != nil {
			return err
		}
		return t.opened(cmd.Context(), func(_ *plugin.Workbench, p *plugin.Workpiece) error {
			hook, err := chooseHook(cmd, p, hook)
			if err != nil {
				return err
			}
			doc, err := readAll(cmd.Context(), g.in)
			if err != nil {
				return fmt.Errorf("standard input: %w", err)
			}
			if hook == vector.Strategy {
				return a.runSteps(cmd, t, p, doc)
			}
			if doc, err = hookDocument(cmd, hook, doc); err != nil {
				return err
			}
			got, err := p.Call(hook, doc)
			if err != nil {
				return t.refused(err)
			}
			if err := a.printCalled(t, hook, got); err != nil {
				return err
			}
			return t.failed(hook, got)
		})
	}
	return cmd
}

// chooseHook returns the hook that a flag names, or the only one that there is to choose.
func chooseHook(cmd *cobra.Command, p *plugin.Workpiece, hook string) (string, error) {
	has := p.Hooks()
	if hook != "" {
		if !slices.Contains(has, hook) {
			return "", misused(cmd, "--hook: the module does not export %s; it has %s", hook, strings.Join(has, ", "))
		}
		return hook, nil
	}
	single := slices.DeleteFunc(has, func(h string) bool { return h == vector.TransformBatch })
	if len(single) != 1 {
		return "", misused(cmd, "--hook is missing; the module has %s", strings.Join(p.Hooks(), ", "))
	}
	return single[0], nil
}

// hookDocument makes the binary document of a batch from a JSON array; all other documents are as they are, without the end of
// their last line.
func hookDocument(cmd *cobra.Command, hook string, doc []byte) ([]byte, error) {
	doc = bytes.TrimRight(doc, "\r\n")
	if hook != vector.TransformBatch {
		return doc, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, misused(cmd, "standard input: transform_batch takes a JSON array of documents: %v", err)
	}
	docs := make([][]byte, len(list))
	for i, raw := range list {
		docs[i] = raw
	}
	return vector.AppendBatch(nil, docs), nil
}

// failed is the error of a call that gave no usable answer.
func (t *target) failed(hook string, got plugin.Called) error {
	switch got.Said {
	case vector.No, vector.Yes, vector.Data:
		return nil
	}
	return fmt.Errorf("%s: %s: %s", t.file, hook, got.Got)
}

// called is a call as JSON.
type called struct {
	File        string             `json:"file"`
	Hook        string             `json:"hook"`
	Result      string             `json:"result"`
	Data        json.RawMessage    `json:"data,omitempty"`        // where the answer is JSON
	DataBase64  []byte             `json:"data_base64,omitempty"` // where it is not
	Answers     []called           `json:"answers,omitempty"`     // of a batch
	Error       string             `json:"error,omitempty"`
	Fuel        int64              `json:"fuel"`
	NS          int64              `json:"ns"`
	MemoryBytes int                `json:"memory_bytes"`
	Log         []string           `json:"log"`
	Metrics     map[string]float64 `json:"metrics"`
}

func (a *authoring) printCalled(t *target, hook string, got plugin.Called) error {
	if !a.asJSON {
		return a.printAnswer(hook, got)
	}
	c := calledOf(t, hook, got)
	if answers, err := vector.SplitBatch(got.Data); hook == vector.TransformBatch && got.Said == vector.Data && err == nil {
		c.DataBase64, c.Answers = nil, []called{}
		for _, one := range answers {
			part := called{File: t.file, Hook: vector.Transform, Log: []string{}, Metrics: map[string]float64{}}
			part.answer(one)
			c.Answers = append(c.Answers, part)
		}
	}
	return a.printJSON(c)
}

// calledOf is a call as JSON.
func calledOf(t *target, hook string, got plugin.Called) called {
	c := called{File: t.file, Hook: hook, Fuel: got.Fuel, NS: got.Time.Nanoseconds(), MemoryBytes: got.MemoryBytes, Log: got.Log, Metrics: got.Metrics}
	if c.Log == nil {
		c.Log = []string{}
	}
	c.answer(got.Got)
	return c
}

func (c *called) answer(got vector.Got) {
	c.Result, c.Error = got.Said, got.Error
	if json.Valid(got.Data) {
		c.Data = got.Data
	} else {
		c.DataBase64 = got.Data
	}
}

// printAnswer prints the answer as it is, on lines of its own, and what the call used.
func (a *authoring) printAnswer(hook string, got plugin.Called) error {
	answers := []vector.Got{got.Got}
	if split, err := vector.SplitBatch(got.Data); hook == vector.TransformBatch && got.Said == vector.Data && err == nil {
		a.row("result", "data, %d answers", len(split))
		answers = split
	}
	for _, one := range answers {
		if one.Said == vector.Error && len(answers) > 1 {
			a.row("result", "error: %s", one.Error)
		} else {
			a.row("result", "%s", one.Said)
		}
		if one.Said == vector.Data || len(one.Data) > 0 {
			if err := a.printf("%s\n", one.Data); err != nil {
				return err
			}
		}
	}
	for _, line := range got.Log {
		a.row("log", "%s", line)
	}
	for _, name := range slices.Sorted(maps.Keys(got.Metrics)) {
		a.row("metric", "%s %v", name, got.Metrics[name])
	}
	a.row("fuel", "%s", grouped(got.Fuel))
	a.row("time", "%s", lasted(got.Time))
	a.row("memory", "%s", sized(got.MemoryBytes))
	return nil
}

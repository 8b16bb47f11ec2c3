package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/plugin/vector"
)

// checkVectors takes the step vectors: the operator's cases, in instances of their own, so that neither counters nor the
// guest's state know of it. The first case that fails is the reason.
func (h *Host) checkVectors(ctx context.Context, s *source) error {
	if s.cfg.Vectors == "" {
		return nil
	}
	cases, err := vector.Read(h.path(s.cfg.Vectors))
	if err != nil {
		return failed(s.cfg.Name, StepVectors, err)
	}
	specimen := Specimen{Name: s.cfg.Name, Module: s.wasm, Config: s.json, Limits: s.cfg.Limits}
	if h.deps.NewAnswer != nil {
		specimen.Answer = h.deps.NewAnswer()
	}
	p, err := NewWorkbench(h.deps.DataDir).Open(ctx, specimen)
	if err != nil {
		return err
	}
	defer p.Close()
	for i := range cases {
		if err := ctx.Err(); err != nil {
			return failed(s.cfg.Name, StepVectors, err)
		}
		if _, err := p.Check(&cases[i]); err != nil {
			return failed(s.cfg.Name, StepVectors, fmt.Errorf("%q, case %d of %d: %w", cases[i].Name, i+1, len(cases), inner(err)))
		}
	}
	return nil
}

// inner is what is wrong, without the plugin and step that a *LoadError begins with.
func inner(err error) error {
	var le *LoadError
	if errors.As(err, &le) {
		return fmt.Errorf("%s: %w", le.Step, le.Err)
	}
	return err
}

package plugin

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/sdk/abi"
)

// tester is an instance of a version that documents are tried on. No counter, breaker, cache or recorder of the version
// knows of it, and none of the version's own instances is taken. It belongs to one goroutine.
type tester struct {
	v      *version
	in     *instance // nil: one has to be made
	answer Answer    // reads what transform says; nil: any JSON is taken
}

// tester returns one for v, which its caller holds until the tester is closed.
func (h *Host) tester(v *version) *tester {
	t := &tester{v: v}
	if h.deps.NewAnswer != nil {
		t.answer = h.deps.NewAnswer()
	}
	return t
}

// say runs hook h on doc, when there is a processor left for what can wait. What it says is a copy. The error is that of
// ctx, and then it was not run.
func (t *tester) say(ctx context.Context, h hook, doc []byte) (*heard, error) {
	switch most := t.v.cfg.Limits.InKiB << 10; {
	case !t.v.has[h]:
		return &heard{outcome: OutcomeViolation, text: "the module does not export " + h.export()}, nil
	case len(doc) > most:
		return &heard{outcome: OutcomeTooLarge, text: fmt.Sprintf("a document of %d bytes, at most %d are allowed (in_kib)", len(doc), most)}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !t.v.host.gate.enter(ctx, math.MaxInt64) {
		return nil, ctx.Err()
	}
	defer t.v.host.gate.leave()
	return t.run(h, doc), nil
}

func (t *tester) run(h hook, doc []byte) *heard {
	if t.in == nil {
		var err error
		if t.in, err = t.v.newInstance(); err != nil {
			return &heard{outcome: OutcomeTrap, text: err.Error()}
		}
	}
	view, kind, f := t.in.call(h, doc)
	if f == nil && kind == abi.Data {
		if err := t.read(h, view); err != nil {
			f = &fault{Violation, "the answer of " + h.export() + ": " + err.Error()}
		}
	}
	s := &heard{fuel: t.in.used}
	if f == nil {
		s.outcome, s.data = Outcome(kind), bytes.Clone(view) // No, Yes and Data are OutcomeNo, OutcomeYes and OutcomeData
		return s
	}
	s.outcome, s.text = f.kind.outcome(), f.text
	if f.kind != Guest {
		t.close()
	}
	return s
}

// both has two testers say what they make of doc.
func both(ctx context.Context, serving, candidate *tester, h hook, doc []byte) (a, b *heard, err error) {
	if a, err = serving.say(ctx, h, doc); err == nil {
		b, err = candidate.say(ctx, h, doc)
	}
	return a, b, err
}

// read holds an answer to the contract, as the hook's callers do.
func (t *tester) read(h hook, view []byte) error {
	var answer Answer
	switch h {
	case hookAuthorize:
		answer = &Verdict{}
	case hookValidate:
		answer = &Validation{}
	default:
		if answer = t.answer; answer == nil {
			return jsonscan.Valid(view, jsonscan.DepthMax)
		}
	}
	return answer.Read(view)
}

// close lets go of the instance; say makes another.
func (t *tester) close() {
	if t.in != nil {
		t.in.close()
		t.v.ready.Add(-1)
		t.in = nil
	}
}

// difference shows a document and what two versions said of it.
func difference(h hook, doc []byte, serving, candidate *version, a, b *heard) Difference {
	return Difference{
		Hook: h.kind(), Input: shown(doc), Serving: a.said(), Candidate: b.said(),
		Diff: unified(serving.id, candidate.id, h, a, b),
	}
}

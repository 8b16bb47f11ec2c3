package plugin

import (
	"context"
	"fmt"
)

// Try makes c ready aside and runs it over the documents that are recorded of the plugin, beside the version that serves,
// each on an instance made for it: nothing that serves is called, counted or changed. The documents come without what
// [Record] redacts, and in the order in which they came.
//
// It blocks for the loading of c and then for at most the fuel of both versions for each document; before each call it
// waits until there is a processor that nobody else needs. Where ctx ends before, the error says so and the Comparison holds what was compared until then. Other
// errors: those of [Host.Swap], and [ErrNothingRecorded].
func (h *Host) Try(ctx context.Context, name string, c Candidate) (Comparison, error) {
	r, err := h.candidate(ctx, name, c)
	if err != nil {
		return Comparison{}, err
	}
	defer r.release()
	out := Comparison{Plugin: name, Serving: r.over.id, Candidate: r.version.id}
	docs := r.seat.watch.recorded()
	switch {
	case !r.over.pooled():
		return out, fmt.Errorf("plugin/%s: %w", name, ErrStateful)
	case len(docs) == 0:
		return out, fmt.Errorf("plugin/%s: %w", name, ErrNothingRecorded)
	}
	serving, candidate := h.tester(r.over), h.tester(r.version)
	defer serving.close()
	defer candidate.close()
	for i, d := range docs {
		a, b, err := both(ctx, serving, candidate, d.hook, d.doc)
		if err != nil {
			out.Skipped = len(docs) - i
			return out, fmt.Errorf("plugin/%s: %d of %d recorded events were tried: %w", name, i, len(docs), err)
		}
		out.add(relate(d.hook, a, b), func() Difference { return difference(d.hook, d.doc, r.over, r.version, a, b) })
	}
	return out, nil
}

package ingest

import (
	"context"
	"slices"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Attempt is one handing-in of an event. The zero value is the first one; what a later one has is for its envelopes alone:
// plugins are given the very document that they were given before.
type Attempt struct {
	ID     string   // for an event without one; empty: one is made when it is needed
	TimeMS int64    // for an event without one, Unix milliseconds; 0: now
	Done   []Result // envelopes that were published before
}

// before returns what became of an envelope in an earlier attempt. The broker would tell a duplicate as well, but only for
// as long as it remembers ids.
func (a *Attempt) before(env *message.Envelope) (Result, bool) {
	i := slices.IndexFunc(a.Done, func(r Result) bool { return r.ID == env.ID && r.Topic == env.Topic })
	if i < 0 {
		return Result{}, false
	}
	r := a.Done[i]
	r.Status = Duplicate
	return r, true
}

// DeadLetterIDs returns the ids of the dead letters that q chooses, in the order to replay them in: those that failed least
// often first, so that some that fail always do not stand before the others, and of these the oldest. It neither blocks nor
// fails.
func (in *Ingest) DeadLetterIDs(_ context.Context, q LetterQuery) ([]string, error) {
	type candidate struct {
		id       string
		attempts int
	}
	l := &in.letters
	l.mu.Lock()
	list := make([]candidate, 0, l.order.Len())
	for at := l.order.Back(); at != nil; at = at.Prev() {
		if e := at.Value.(*letter); q.holds(e.Plugin) {
			list = append(list, candidate{e.ID, e.Attempts})
		}
	}
	l.mu.Unlock()
	slices.SortStableFunc(list, func(a, b candidate) int { return a.attempts - b.attempts })
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.id
	}
	return ids, nil
}

// ReplayDeadLetter hands a dead letter's event in again as it was, through the plugins that serve now. It leaves the dead
// letters when it was published or a plugin decided to drop it. When it fails again, whatever on_error says, it stays with
// the new reason; the error is a [*message.Error] and the results are those of the envelopes published before it, which
// another replay does not publish again. The error [ErrReplaying] means that somebody else is at it, [ErrNoLetter] that it
// is not there. It blocks as [Ingest.PublishEvent] does.
func (in *Ingest) ReplayDeadLetter(ctx context.Context, id string) ([]Result, error) {
	l := &in.letters
	l.mu.Lock()
	_, e, err := l.find(id)
	if err != nil {
		l.mu.Unlock()
		return nil, err
	}
	e.busy = true
	a := Attempt{ID: e.EventID, TimeMS: e.Time.UnixMilli(), Done: slices.Clone(e.done)}
	l.mu.Unlock()

	results, decision, err := in.Again(ctx, &e.event, a)

	l.mu.Lock()
	defer l.mu.Unlock()
	e.busy = false
	if err == nil {
		l.remove(l.byID[id]) // a letter that is busy is neither dropped nor evicted
		l.stats.Replayed++
		return results, nil
	}
	for _, r := range results {
		if r.Status == Published {
			e.done = append(e.done, r)
		}
	}
	e.done = e.done[max(0, len(e.done)-in.cfg.EnvelopesPerEventMax):]
	l.stats.ReplayFail++
	l.stats.BytesKept -= e.weight
	if decision.Plugin == "" { // it is not a plugin that failed now
		decision = Decision{Plugin: e.Plugin, Version: e.Version}
	}
	e.fail(decision, err.Error(), time.Now())
	l.stats.BytesKept += e.weight
	l.trim(e)
	return results, err
}

// Again is [Ingest.PublishEvent] for an event that was handed in before, and without the policies of on_error: a failure is an
// error, a [*message.Error]. The decision names the plugin that failed, if one did. The results are those of the envelopes that
// were published, those of before among them as duplicates.
func (in *Ingest) Again(ctx context.Context, ev *message.Event, a Attempt) ([]Result, Decision, error) {
	s := in.scratch.Get().(*scratch)
	defer in.put(s)
	decision, fault := in.transform(ctx, ev, s)
	if fault != nil {
		e := message.Errorf(message.CodePluginUnavailable, "%s", fault)
		if decision.Plugin == "" {
			e = in.unasked(ev, fault)
		}
		return nil, decision, e
	}
	results, err := in.decided(ctx, ev, &a, decision, s)
	return results, decision, err
}

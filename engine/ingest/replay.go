package ingest

import (
	"context"
	"slices"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// attempt is one handing-in of an event. The zero value is the first one; what a later one has is for its envelopes alone:
// plugins are given the very document that they were given before.
type attempt struct {
	id     string   // for an event without one; empty: one is made when it is needed
	timeMS int64    // for an event without one; 0: now
	done   []Result // envelopes that were published before
}

// before returns what became of an envelope in an earlier attempt. The broker would tell a duplicate as well, but only for
// as long as it remembers ids.
func (a *attempt) before(env *message.Envelope) (Result, bool) {
	i := slices.IndexFunc(a.done, func(r Result) bool { return r.ID == env.ID && r.Topic == env.Topic })
	if i < 0 {
		return Result{}, false
	}
	r := a.done[i]
	r.Status = Duplicate
	return r, true
}

// DeadLetterIDs returns the ids of the dead letters, of one plugin where plugin is not empty, in the order to replay them
// in: those that failed least often first, so that some that fail always do not stand before the others, and of these the
// oldest.
func (in *Ingest) DeadLetterIDs(plugin string) []string {
	type candidate struct {
		id       string
		attempts int
	}
	l := &in.letters
	l.mu.Lock()
	list := make([]candidate, 0, l.order.Len())
	for at := l.order.Back(); at != nil; at = at.Prev() {
		if e := at.Value.(*letter); plugin == "" || e.Plugin == plugin {
			list = append(list, candidate{e.ID, e.Attempts})
		}
	}
	l.mu.Unlock()
	slices.SortStableFunc(list, func(a, b candidate) int { return a.attempts - b.attempts })
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.id
	}
	return ids
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
	a := attempt{id: e.EventID, timeMS: e.Time.UnixMilli(), done: slices.Clone(e.done)}
	l.mu.Unlock()

	results, decision, err := in.again(ctx, &e.event, &a)

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

// again is PublishEvent without the policies of on_error: a failure is an error.
func (in *Ingest) again(ctx context.Context, ev *message.Event, a *attempt) ([]Result, Decision, error) {
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
	results, err := in.decided(ctx, ev, a, decision, s)
	return results, decision, err
}

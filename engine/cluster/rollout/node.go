package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/plugin"
)

// The subjects on the bus. All of them may be asked again.
const (
	subjectPrepare = "plugins.prepare" // make a version ready, or say how far that is
	subjectAbandon = "plugins.abandon" // give it up
	subjectFollow  = "plugins.follow"  // look at what the cluster wants, and say whether it serves
)

// ask is the body of all questions.
type ask struct {
	Change  string     `json:"change"`
	Plugin  string     `json:"plugin"`
	How     plugin.How `json:"how"`
	Version *version   `json:"version,omitempty"` // to prepare
	Number  int64      `json:"number,omitempty"`  // of the record to follow
}

func readAsk(body []byte) (a ask, err error) {
	if err = json.Unmarshal(body, &a); err == nil && (a.Change == "" || a.Plugin == "") {
		err = errors.New("it names no change or no plugin")
	}
	if err != nil {
		return a, fmt.Errorf("a question about plugins is not understood; the node that asks may be of another version: %w", err)
	}
	return a, nil
}

// task is a version that is being made ready, or held.
type task struct {
	ask      ask
	done     chan struct{} // closed when it is held or refused
	prepared *plugin.Prepared
	err      error
}

// abandon gives up what is held, once it is.
func (t *task) abandon() {
	if t == nil {
		return
	}
	<-t.done
	if t.prepared != nil {
		t.prepared.Abandon()
	}
}

// answerWithin is how long an answer waits for the work to end before it says that it goes on; the coordinator asks again then.
const answerWithin = time.Second

// patience is a channel that closes when an answer has to be given, which is some time before nobody waits for it any more.
func patience(ctx context.Context) (<-chan struct{}, context.CancelFunc) {
	within := answerWithin
	if until, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(until)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	return ctx.Done(), cancel
}

// onPrepare begins to make a version ready, unless that has begun, and tells how it stands.
func (r *Rollout) onPrepare(ctx context.Context, _ string, body []byte) ([]byte, error) {
	a, err := readAsk(body)
	if err == nil && a.Version == nil {
		err = errors.New("a question about plugins names no version")
	}
	if err != nil {
		return nil, err
	}
	t, err := r.begun(ctx, &a)
	if err != nil {
		return nil, err
	}
	enough, cancel := patience(ctx)
	defer cancel()
	answer := NodeReport{State: StateWorking, Serving: r.servingOf(a.Plugin)}
	select {
	case <-enough:
	case <-t.done:
		if answer.State = StateReady; t.err != nil {
			answer.State, answer.Reason = StateRefused, t.err.Error()
			var load *plugin.LoadError
			if errors.As(t.err, &load) {
				answer.Step, answer.Reason = load.Step, fmt.Sprint(load.Err)
			}
		}
	}
	return json.Marshal(&answer)
}

// begun returns the task of a change. Only the change that is under way gets one; it takes the place of the one before, whose time is
// over then.
func (r *Rollout) begun(ctx context.Context, a *ask) (*task, error) {
	r.mu.Lock()
	t := r.task
	r.mu.Unlock()
	if t != nil && t.ask.Change == a.Change {
		return t, nil
	}
	current, err := r.shelf.underWay(ctx, a.Change)
	if err != nil {
		return nil, err
	}
	if !current {
		return nil, fmt.Errorf("the change %s is not under way any more", a.Change)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.task; t != nil && t.ask.Change == a.Change { // by a question that came again
		return t, nil
	}
	if r.ctx == nil {
		return nil, errors.New("the node is starting or stopping")
	}
	old := r.task
	t = &task{ask: *a, done: make(chan struct{})}
	r.task = t
	run := r.ctx
	r.work.Go(func() {
		old.abandon()
		ctx, cancel := context.WithTimeout(run, r.cfg.PrepareTimeout)
		defer cancel()
		t.prepared, t.err = r.prepare(ctx, a)
		close(t.done)
	})
	return t, nil
}

// prepare makes a version ready.
func (r *Rollout) prepare(ctx context.Context, a *ask) (*plugin.Prepared, error) {
	if d, err := r.host.Detail(a.Plugin); err == nil && d.Shadow != nil && d.Shadow.Phase == plugin.PhaseRunning {
		return nil, fmt.Errorf("plugin/%s: %w", a.Plugin, plugin.ErrShadowing)
	}
	b, err := r.shelf.fetch(ctx, a.Plugin, a.Version)
	if err != nil {
		return nil, err
	}
	return r.host.Prepare(ctx, a.Plugin, b, r.cfg.lease())
}

// onAbandon gives up what is held for a change.
func (r *Rollout) onAbandon(_ context.Context, _ string, body []byte) ([]byte, error) {
	a, err := readAsk(body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.task; t != nil && t.ask.Change == a.Change && r.ctx != nil {
		r.task = nil
		r.work.Go(t.abandon)
	}
	return []byte("{}"), nil
}

// claimTask returns what is held for a change, which belongs to the caller then, or nil.
func (r *Rollout) claimTask(ctx context.Context, change string) *plugin.Prepared {
	r.mu.Lock()
	t := r.task
	if t == nil || t.ask.Change != change {
		t = nil
	} else {
		r.task = nil
	}
	r.mu.Unlock()
	if t == nil {
		return nil
	}
	select {
	case <-t.done:
		return t.prepared
	case <-ctx.Done():
		return nil
	}
}

// onFollow looks at what the cluster wants and tells whether it serves.
func (r *Rollout) onFollow(ctx context.Context, _ string, body []byte) ([]byte, error) {
	a, err := readAsk(body)
	if err != nil {
		return nil, err
	}
	enough, cancel := patience(ctx)
	defer cancel()
	for {
		r.mu.Lock()
		running, seen := r.ctx != nil, r.seen
		r.mu.Unlock()
		if !running {
			return nil, errors.New("the node is starting or stopping")
		}
		if answer := r.stands(&a); answer.State != StateWorking {
			return json.Marshal(&answer)
		}
		r.wake()
		select {
		case <-seen:
		case <-enough:
			answer := r.stands(&a)
			return json.Marshal(&answer)
		}
	}
}

// stands tells how this node stands to a record, or to a newer one of the same plugin.
func (r *Rollout) stands(a *ask) NodeReport {
	serving := r.serving()
	answer := NodeReport{State: StateWorking, Serving: serving[a.Plugin].Version}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, f := r.known[a.Plugin], r.faults[a.Plugin]
	if rec.Number < a.Number {
		if r.failed != nil {
			answer.Reason = r.failed.Error()
		}
		return answer
	}
	p, ok := serving[a.Plugin]
	switch v := rec.wanted(); {
	case v == nil:
		answer.State = StateReleased
	case ok && v.servedBy(&p):
		answer.State = StateSwitched
	case f.wait > 0: // it was tried
		answer.State, answer.Reason = StateRefused, f.err.Error()
	}
	return answer
}

func (r *Rollout) servingOf(name string) string {
	p := r.serving()[name]
	return p.Version
}

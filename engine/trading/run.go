package trading

import (
	"context"
	"errors"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// run is a session's goroutine, from its start to its end.
func (t *Trading) run(ctx context.Context, s *session, o *opened) {
	t.tell(ctx, s, running, "")
	var err error
	if o.reader != nil {
		err = t.replay(ctx, s, o)
	} else {
		err = t.follow(ctx, s, o)
	}
	t.finish(ctx, s, o, err)
}

// over reports that a session is to end, or that ctx has ended.
func (s *session) over(ctx context.Context) bool {
	state, _, _, _ := s.current()
	return ctx.Err() != nil || state == stopping
}

// follow runs a paper or live session on what is published.
func (t *Trading) follow(ctx context.Context, s *session, o *opened) error {
	checkpoint := time.NewTicker(t.cfg.Checkpoint)
	defer checkpoint.Stop()
	for !s.over(ctx) {
		select {
		case <-ctx.Done():
		case f := <-s.do: // behind what was published before it was asked
			err := o.catchUp(ctx)
			f() // somebody waits for it, whatever came of that
			if err != nil {
				return err
			}
		case <-checkpoint.C:
			if s.changed.Load() {
				t.keep(s)
			}
			t.share(s)
		case <-o.inbox.ready:
			if err := o.catchUp(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// catchUp takes in what has come for a session that follows the market.
func (o *opened) catchUp(ctx context.Context) error {
	was := o.session.changed.Swap(true) // before anything is taken out: Stats finds it here or there
	ticks, reports := o.inbox.empty(o.spare)
	o.spare = ticks
	if len(ticks)+len(reports) == 0 {
		o.session.changed.Store(was)
	}
	o.tellGaps(ctx)
	if err := o.reports(ctx, reports); err != nil {
		return err
	}
	if state, _, _, _ := o.session.current(); state == paused {
		o.trading.counts.skipped.Add(uint64(len(ticks)))
		return nil
	}
	return o.ticks(ctx, ticks)
}

// errOver ends a replay whose session is to end.
var errOver = errors.New("trading: the session is to end")

// replay runs a backtest on a collection.
func (t *Trading) replay(ctx context.Context, s *session, o *opened) error {
	pace := newPace(s.plan.options.acceleration)
	kept := t.now()
	for o.reader.Next() {
		for batch := o.reader.Ticks(); len(batch) > 0; {
			due, err := t.await(ctx, s, pace, batch)
			if errors.Is(err, errOver) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := o.ticks(ctx, batch[:due]); err != nil {
				return err
			}
			s.changed.Store(true)
			batch = batch[due:]
			s.advance(o.reader.Progress())
			if now := t.now(); now.Sub(kept) >= t.cfg.Checkpoint {
				kept = now
				t.keep(s)
			}
		}
	}
	if err := o.reader.Err(); err != nil {
		return &message.Error{Code: message.CodeCommandFailed, Message: "the collection cannot be read on: " + reasonOf(err), Err: err}
	}
	s.advance(1)
	return nil
}

// advance notes how far a backtest has come.
func (s *session) advance(progress float64) {
	s.mu.Lock()
	s.progress = progress
	s.mu.Unlock()
}

// await does what waits for the session's goroutine, waits while the session is paused or the first tick of batch is not due,
// and returns how many ticks are.
func (t *Trading) await(ctx context.Context, s *session, p *pace, batch []message.Tick) (due int, err error) {
	for {
		select {
		case f := <-s.do:
			f()
			continue
		default:
		}
		if s.over(ctx) {
			return 0, errOver
		}
		state, _, _, _ := s.current()
		wait := time.Duration(-1)
		if state == paused {
			p.rest(t.now())
		} else if due, wait = p.due(batch, t.now()); due > 0 {
			return due, nil
		}
		if err := s.pass(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// pass waits until there is something to do, or for a time that is not negative.
func (s *session) pass(ctx context.Context, wait time.Duration) error {
	var timer <-chan time.Time
	if wait >= 0 {
		one := time.NewTimer(wait)
		defer one.Stop()
		timer = one.C
	}
	select {
	case <-ctx.Done():
		return errOver
	case f := <-s.do:
		f()
	case <-timer:
	}
	return nil
}

// pace lets ticks through in the time that lay between them, a factor faster.
type pace struct {
	factor float64 // 0: at once
	begun  time.Time
	first  int64     // the time of the tick that was due then; Unix milliseconds
	rested time.Time // since when it rests; zero: it does not
}

// maxWaitMS is the longest time that a session waits without looking whether it still has to.
const maxWaitMS = 60_000

func newPace(factor float64) *pace { return &pace{factor: factor} }

// rest has time stand still until due is asked again.
func (p *pace) rest(now time.Time) {
	if p.rested.IsZero() {
		p.rested = now
	}
}

// due returns how many ticks are due, and where none is how long the first one has to wait.
func (p *pace) due(batch []message.Tick, now time.Time) (n int, wait time.Duration) {
	if p.factor == 0 {
		return len(batch), 0
	}
	if p.begun.IsZero() {
		p.begun, p.first = now, batch[0].TimeMS
	} else if !p.rested.IsZero() {
		p.begun = p.begun.Add(now.Sub(p.rested))
	}
	p.rested = time.Time{}
	elapsed := float64(now.Sub(p.begun)) / float64(time.Millisecond)
	for ; n < len(batch); n++ {
		if missing := float64(batch[n].TimeMS-p.first)/p.factor - elapsed; missing > 0 {
			return n, time.Duration(min(missing, maxWaitMS) * float64(time.Millisecond))
		}
	}
	return n, 0
}

// finish ends a session: pending orders are cancelled, its document is written, and it is on the list of those that ended.
func (t *Trading) finish(ctx context.Context, s *session, o *opened, failure error) {
	state, reason := stopped, reasonFinished
	switch current, why, _, _ := s.current(); {
	case failure != nil && ctx.Err() == nil:
		state, reason = failed, message.AsError(failure).Message
	case current == stopping:
		reason = why
	case ctx.Err() != nil:
		reason = reasonRestarted
	}
	ctx = context.WithoutCancel(ctx)
	if err := o.finish(ctx); err != nil {
		t.log.Warn("what a session held could not be closed", "session", s.id, "error", err)
	}
	ended := t.now()
	if ended.Before(s.created) { // which may be ahead of the clock
		ended = s.created
	}
	s.mu.Lock()
	s.state, s.reason, s.ended = state, reason, ended
	s.mu.Unlock()
	t.keep(s)
	if s.plan.kind != watch {
		t.retire(s)
	}
	if err := o.close(); err != nil {
		t.log.Warn("closing a session", "session", s.id, "error", err)
	}
	t.tell(ctx, s, state, reason)
	if state == failed {
		t.counts.failed.Add(1)
		t.log.Warn("a session failed", "session", s.id, "owner", s.owner, "error", failure)
	}
	t.release(s)
	t.remove(s)
	t.resumeWatches(ctx, s)
	close(s.done)
}

package trading

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// The states of a session (PROTOCOL §3.4).
const (
	starting = "starting"
	running  = "running"
	paused   = "paused"
	stopping = "stopping"
	stopped  = "stopped"
	failed   = "error"
)

// Reasons why a session ended.
const (
	reasonRequested = "requested"
	reasonReplaced  = "replaced"
	reasonFinished  = "finished"
	reasonRestarted = "engine_restarted"
)

// watch is the type of what runs for a strategy that was activated without a session. Clients never see it.
const watch = "watch"

// session is a trading session that runs, or is about to. Once it has ended only its document is left.
type session struct {
	id      string
	owner   string
	plan    *plan
	created time.Time

	// ready is closed once the session runs or could not be started, and then refused says why not.
	ready   chan struct{}
	refused error

	// opened is what runs; nil before it was opened. Set by launch, then the session's goroutine's.
	opened      *opened
	admin       bool                 // its owner may use what is others'
	activations []message.Activation // how the strategies started; fixed once ready is closed
	inbox       *inbox               // nil for a backtest; fixed

	changed atomic.Bool // since its document was last handed to the checkpoints
	reshare atomic.Bool // other nodes are to be told of it again
	shared  sharing     // set by launch, then the session's goroutine's

	do   chan func()   // for the session's goroutine, between two batches of ticks
	done chan struct{} // closed when that has ended

	mu       sync.Mutex
	state    string    // guarded by mu
	reason   string    // guarded by mu
	ended    time.Time // guarded by mu
	progress float64   // of a backtest; guarded by mu
}

func (t *Trading) newSession(owner string, p *plan) *session {
	now := t.begins()
	s := &session{
		id: newID(now), owner: owner, plan: p, created: now, state: starting,
		ready: make(chan struct{}), do: make(chan func()), done: make(chan struct{}),
	}
	if p.kind != backtest {
		s.inbox = newInbox(t.cfg.QueueTicksMax)
	}
	return s
}

// clockAhead is how far the beginning of a session may be ahead of the clock. Where it would be further the clock was turned back.
const clockAhead = time.Second

// begins returns when a session begins: in a later millisecond than every other one of this node, since by the milliseconds, which
// are kept and told, the newest is found.
func (t *Trading) begins() time.Time {
	for {
		now, last := t.now(), t.begun.Load()
		if ms := now.UnixMilli(); ms <= last && last-ms < clockAhead.Milliseconds() {
			now = time.UnixMilli(last + 1)
		}
		if t.begun.CompareAndSwap(last, now.UnixMilli()) {
			return now
		}
	}
}

// setState changes what the session says of itself.
func (s *session) setState(state, reason string) {
	s.mu.Lock()
	s.state, s.reason = state, reason
	s.mu.Unlock()
}

// ending reports that the session stops or has ended: nobody can be given it any more.
func (s *session) ending() bool {
	state, _, _, _ := s.current()
	return state == stopping || state == stopped || state == failed
}

// current returns what the session says of itself.
func (s *session) current() (state, reason string, progress float64, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.reason, s.progress, s.ended
}

// call runs f on the session's goroutine and waits until it has. It returns false where the session has ended.
func (s *session) call(ctx context.Context, f func()) (bool, error) {
	finished := make(chan struct{})
	select {
	case s.do <- func() { defer close(finished); f() }:
	case <-s.done:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-finished:
		return true, nil
	case <-s.done: // f was the last thing it did
		return true, nil
	}
}

// awaitReady waits until the session runs, and returns why it does not.
func (s *session) awaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return s.refused
	case <-ctx.Done():
		return message.Errorf(message.CodeUnavailable, "the session is still being started; ask again")
	}
}

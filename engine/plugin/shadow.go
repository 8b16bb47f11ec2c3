package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Shadow asks for a swap that is proven first: for a while the candidate is given what the serving version is given, the
// serving version's answers count, and the differences are counted and shown. The zero value asks for none.
type Shadow struct {
	// Events is after how many compared events it ends, For after how much time: whichever comes first, 0 for never.
	Events int
	For    time.Duration
	// Only compares, and leaves what serves as it is.
	Only bool
	// DifferencesMax is how many answers may differ; one more abandons the swap. Below zero any number may. With Only there is
	// nothing to abandon, and they are only counted.
	DifferencesMax int
}

// Bounds of [Shadow]: a shadow costs as much as what serves, and an end that never comes is nobody's intention.
const (
	shadowEventsMax = 1 << 30
	shadowForMax    = 7 * 24 * time.Hour
)

// Validate says what is wrong with a shadow that is to run.
func (s Shadow) Validate() error {
	switch {
	case s.Events < 0 || s.Events > shadowEventsMax:
		return fmt.Errorf("events: %d must be between 0 (no bound) and %d", s.Events, shadowEventsMax)
	case s.For < 0 || s.For > shadowForMax:
		return fmt.Errorf("for: %v must be between 0 (no bound) and %v", s.For, shadowForMax)
	case s.Events == 0 && s.For == 0:
		return errors.New("it has no end: say after how many events or how much time")
	}
	return nil
}

// Phase is how far a shadow is.
type Phase string

// The phases.
const (
	PhaseRunning   Phase = "running"
	PhaseSwapped   Phase = "swapped"   // it came to its end, and the candidate serves
	PhaseAbandoned Phase = "abandoned" // what served serves on, for a reason
	PhaseEnded     Phase = "ended"     // it came to its end, and was only to compare
)

// ShadowState is what is known of a shadow.
type ShadowState struct {
	Candidate  string // its version
	Who        string
	Phase      Phase
	Reason     string // why it was abandoned
	Started    time.Time
	Ended      time.Time // zero while it runs
	Comparison Comparison
}

// shadowing is a shadow that runs: a queue that the calls of the serving version fill without ever waiting for it, and one
// goroutine that empties it.
type shadowing struct {
	host   *Host
	ready  *ready // held until the goroutine ends
	plan   Shadow
	who    string
	redact []string
	wake   chan struct{}   // holds one: there is something in the queue
	ctx    context.Context // ends when the shadow is to be abandoned; its cause says why
	stop   context.CancelCauseFunc
	done   chan struct{} // closed when state is final

	mu     sync.Mutex
	queue  ring        // guarded by mu; itemsMax is 0 once nobody empties it
	missed int         // guarded by mu; documents that found the queue full
	state  ShadowState // guarded by mu

	comparison         Comparison // belongs to the goroutine
	serving, candidate *tester    // belong to the goroutine
}

// shadow lets r run beside what serves. It takes over r, which is released when the shadow has ended, or before it returns
// an error. The error is [ErrShadowing], [ErrChanged], [ErrUnknownPlugin], or [ErrClosed].
func (h *Host) shadow(r *ready, plan Shadow, who string) (Change, error) {
	s := &shadowing{
		host: h, ready: r, plan: plan, who: who, redact: r.source.cfg.Record.Redact,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		queue:      ring{itemsMax: h.deps.Lifecycle.ShadowQueueKiB, bytesMax: h.deps.Lifecycle.ShadowQueueKiB << 10},
		comparison: Comparison{Plugin: r.seat.name, Serving: r.over.id, Candidate: r.version.id},
		serving:    h.tester(r.over), candidate: h.tester(r.version),
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	now := time.Now()
	s.state = ShadowState{Candidate: r.version.id, Who: who, Phase: PhaseRunning, Started: now, Comparison: s.comparison}
	c := Change{Plugin: r.seat.name, From: r.over.id, How: HowSwap, Who: who, Time: now, Generation: r.seat.generation.Load()}
	if err := h.cast(s); err != nil {
		r.release()
		return Change{}, h.refused(r.seat.name, HowSwap, who, err)
	}
	h.tell(Notice{Plugin: r.seat.name, Version: r.version.id, Text: "shadow begun", From: r.over.id, How: HowSwap, Who: who})
	go s.run()
	return c, nil
}

// cast makes s the shadow of what serves.
func (h *Host) cast(s *shadowing) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.current(s.ready); err != nil {
		return err
	}
	w := &s.ready.seat.watch
	if !w.shadow.CompareAndSwap(nil, s) {
		return fmt.Errorf("plugin/%s: %w", s.ready.seat.name, ErrShadowing)
	}
	w.last.Store(nil)
	h.shadows.Add(1)
	return nil
}

// CancelShadow ends the shadow of a plugin; what serves serves on. It returns when the shadow has ended. The error is
// [ErrNoShadow], also where it ended by itself meanwhile, [ErrUnknownPlugin] or [ErrClosed].
func (h *Host) CancelShadow(name, who string) error {
	e, _, err := h.hold(name)
	if err != nil {
		return err
	}
	defer e.release()
	none := fmt.Errorf("plugin/%s: %w", name, ErrNoShadow)
	s := e.seat.watch.shadow.Load()
	if s == nil {
		return none
	}
	cancelled := errors.New("cancelled")
	if who != "" {
		cancelled = fmt.Errorf("cancelled by %s", who)
	}
	s.stop(cancelled)
	<-s.done
	if state := s.snapshot(); state.Phase != PhaseAbandoned {
		return none
	}
	return nil
}

// overtaken stops the shadow that runs, if any, unless it is the one of r itself.
func (w *watch) overtaken(r *ready, why error) {
	if s := w.shadow.Load(); s != nil && s.ready != r {
		s.stop(why)
	}
}

func (s *shadowing) snapshot() ShadowState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	state.Comparison.Skipped = s.missed
	return state
}

// offer is called with what the serving version was given and said. It copies both or, where the queue is full, counts.
func (s *shadowing) offer(v *version, it item, doc, said []byte) {
	if v != s.ready.over {
		return // a call that began before the last swap
	}
	s.mu.Lock()
	fits := s.queue.fits(len(doc) + len(said))
	if fits {
		s.queue.push(it, doc, said)
	} else if s.queue.itemsMax > 0 {
		s.missed++
	}
	s.mu.Unlock()
	if fits {
		s.signal()
	}
}

func (s *shadowing) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run compares until the shadow ends, and then lets the candidate serve or go.
func (s *shadowing) run() {
	defer s.host.shadows.Done()
	defer s.stop(nil)
	phase, err := s.compareAll()
	s.mu.Lock()
	s.queue = ring{}
	s.mu.Unlock()
	s.serving.close()
	s.candidate.close()
	failed := err // not what the operators did, nor what install tells of itself
	if err == nil {
		err = context.Cause(s.ctx)
	}
	if err == nil && phase == PhaseSwapped {
		_, err = s.host.install(s.ready, HowSwap, s.who)
	}
	s.ready.release()
	s.end(phase, err, failed)
}

// end makes the state final and tells of it. From then on another shadow may run.
func (s *shadowing) end(phase Phase, err, failed error) {
	state := s.snapshot()
	state.Phase, state.Ended = phase, time.Now()
	if err != nil {
		state.Phase, state.Reason = PhaseAbandoned, err.Error()
	}
	w := &s.ready.seat.watch
	w.last.Store(&state)
	w.shadow.Store(nil)
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	c := &state.Comparison
	text := fmt.Sprintf("shadow %s after %d events: %d same, %d different, %d failed, %d skipped",
		state.Phase, c.Compared, c.Same, c.Different, c.Failed, c.Skipped)
	if err != nil && failed == nil {
		text += "; " + state.Reason
	}
	s.host.tell(Notice{Plugin: c.Plugin, Version: c.Candidate, From: c.Serving, Text: text, How: HowSwap, Who: s.who, Err: failed})
	close(s.done)
}

// compareAll compares what comes until the shadow is over, or told to stop, and returns how it is to end. An error says how
// the candidate is not good enough.
func (s *shadowing) compareAll() (Phase, error) {
	var over <-chan time.Time
	if s.plan.For > 0 {
		t := time.NewTimer(s.plan.For)
		defer t.Stop()
		over = t.C
	}
	var both []byte
	for {
		select {
		case <-s.ctx.Done():
			return PhaseAbandoned, nil
		case <-over:
			return s.proven(), nil
		case <-s.wake:
		}
		it, ok := item{}, false
		if it, both, ok = s.next(both[:0]); !ok {
			continue
		}
		if err := s.compare(it, both); err != nil {
			return PhaseAbandoned, err
		}
		if s.plan.Events > 0 && s.comparison.Compared >= s.plan.Events {
			return s.proven(), nil
		}
	}
}

func (s *shadowing) proven() Phase {
	if s.plan.Only {
		return PhaseEnded
	}
	return PhaseSwapped
}

// next takes a document from the queue, and wakes the goroutine again where it is not the last.
func (s *shadowing) next(buf []byte) (it item, both []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.count == 0 {
		return it, buf, false
	}
	it, both = s.queue.pop(buf)
	if s.queue.count > 0 {
		s.signal()
	}
	return it, both, true
}

// compare runs the candidate on one document. The error says why the shadow is to be abandoned.
func (s *shadowing) compare(it item, both []byte) error {
	doc, said := both[:it.doc], both[it.doc:]
	a := &heard{outcome: it.outcome, fuel: it.fuel}
	if a.answered() {
		a.data = said
	} else {
		a.text = string(said)
	}
	b, err := s.candidate.say(s.ctx, it.hook, doc)
	if err != nil {
		return nil // it was told to stop
	}
	r := relate(it.hook, a, b)
	s.comparison.add(r, func() Difference { return s.show(it.hook, doc, a, b) })
	s.mu.Lock()
	s.state.Comparison = s.comparison
	s.mu.Unlock()
	c := &s.comparison
	switch most := s.plan.DifferencesMax; {
	case r == failing:
		why := ""
		if len(s.redact) == 0 {
			why, _, _ = strings.Cut(": "+b.text, "\n") // without the stack, which the difference has
		}
		return fmt.Errorf("the candidate failed where %s answers %s: %s%s", c.Serving, a.outcome, b.outcome, why)
	case !s.plan.Only && most >= 0 && c.Different > most:
		return fmt.Errorf("%d answers differ, at most %d may (differences_max)", c.Different, most)
	}
	return nil
}

// show makes a difference of a document and what two versions said of it. Where members are redacted, what both versions
// say of the document without them is shown: an answer may hold a secret under another name, or inside a text.
func (s *shadowing) show(h hook, doc []byte, a, b *heard) Difference {
	if len(s.redact) == 0 {
		return difference(h, doc, s.ready.over, s.ready.version, a, b)
	}
	hidden := Difference{
		Hook: h.kind(), Serving: Said{Verdict: a.outcome.String(), Fuel: a.fuel}, Candidate: Said{Verdict: b.outcome.String(), Fuel: b.fuel},
		Diff: "(not shown: the versions differ by what redacted members hold)",
	}
	clean, ok := redact(nil, doc, s.redact)
	if !ok {
		return hidden
	}
	x, y, err := both(s.ctx, s.serving, s.candidate, h, clean)
	if err != nil || relate(h, x, y) == same {
		hidden.Input = shown(clean)
		return hidden
	}
	return difference(h, clean, s.ready.over, s.ready.version, x, y)
}

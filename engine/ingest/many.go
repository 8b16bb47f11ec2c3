package ingest

import (
	"context"
	"errors"
	"runtime"

	"github.com/wse-engine/wse/engine/message"
)

// Outcome is what became of one of several events, as [Ingest.PublishEvent] returns it.
type Outcome struct {
	Results []Result
	Err     error
}

// Question asks what an event becomes, and takes the answer. See [Transformer.TransformAll].
type Question struct {
	Type   string  // the event's
	Doc    []byte  // only read
	Answer *Answer // reads what the plugin says

	Decision Decision
	Err      error
}

// Events are transformed in parts, several parts at a time. A part is large enough for the largest batch that plugins take
// by default, twice, and so small that the first ones are published soon.
const (
	partEventsMin = 16
	partEventsMax = 128
)

// PublishEvents does for each of events, in their order, what [Ingest.PublishEvent] does for one. They are transformed side
// by side, by as many instances as plugins have, and published one after the other: the order within each topic is that of
// events. An event that fails holds up none of the others. There are as many outcomes as events.
func (in *Ingest) PublishEvents(ctx context.Context, events []*message.Event) []Outcome {
	return in.publishMany(ctx, len(events), func(i int) (*message.Event, error) { return events[i], nil }, false)
}

// ErrHeld is what becomes of the events behind one that could not be taken, see [Ingest.PublishRun].
var ErrHeld = errors.New("ingest: waits behind an event that could not be taken")

// PublishRun is [Ingest.PublishEvents] for n events whose order must outlive a failure. Event provides them, an error being that
// one's outcome; it is called once for each, on any goroutine. Where one fails for a reason of the moment ([Passing]), no envelope
// of those behind it that have a topic in common with it is published, nor of those behind these, and their outcome is [ErrHeld].
// Those with no topic in common may be held or published. To hand in that one and all that are held again, in order, keeps the
// order within each topic.
func (in *Ingest) PublishRun(ctx context.Context, n int, event func(i int) (*message.Event, error)) []Outcome {
	return in.publishMany(ctx, n, event, true)
}

// PublishEventsJSON is [Ingest.PublishEvents] for events that are to be parsed; see [Ingest.ParseEvent].
func (in *Ingest) PublishEventsJSON(ctx context.Context, raws [][]byte) []Outcome {
	return in.publishMany(ctx, len(raws), func(i int) (*message.Event, error) {
		ev, err := in.ParseEvent(raws[i])
		if err != nil {
			in.counters.refused.Add(1)
		}
		return ev, err
	}, false)
}

// publishMany publishes n events, which event provides; it is called on any goroutine, once for each. What is transformed and
// not yet published is bounded: no more parts are begun than there are processors, and one more while that is published. With run
// nothing is published behind a failure of the moment.
func (in *Ingest) publishMany(ctx context.Context, n int, event func(i int) (*message.Event, error), run bool) []Outcome {
	outcomes := make([]Outcome, n)
	processors := runtime.GOMAXPROCS(0)
	size := min(max((n+processors-1)/processors, partEventsMin), partEventsMax)
	if n <= size {
		in.publishPart(ctx, in.transformPart(ctx, 0, n, event), outcomes, run, false)
		return outcomes
	}
	parts := (n + size - 1) / size
	ready := make([]chan part, min(parts, processors+1))
	for i := range ready {
		ready[i] = make(chan part, 1)
	}
	begin := func(i int) {
		go func() {
			ready[i%len(ready)] <- in.transformPart(ctx, i*size, min((i+1)*size, n), event)
		}()
	}
	for i := range ready {
		begin(i)
	}
	held := false
	for i := range parts {
		p := <-ready[i%len(ready)]
		if next := i + len(ready); next < parts {
			begin(next)
		}
		held = in.publishPart(ctx, p, outcomes, run, held)
	}
	return outcomes
}

// part is a run of events on their way.
type part struct {
	first  int
	events []underway
}

// underway is an event that is parsed, and transformed where it could be.
type underway struct {
	ev       *message.Event
	s        *scratch // nil where the event is refused
	decision Decision
	err      error // why it is refused, or what the plugin failed with
}

// transformPart prepares the events from first up to last, and asks the plugins about all of them.
func (in *Ingest) transformPart(ctx context.Context, first, last int, event func(i int) (*message.Event, error)) part {
	p := part{first, make([]underway, last-first)}
	questions := make([]Question, 0, len(p.events))
	for i := range p.events {
		u := &p.events[i]
		if u.ev, u.err = event(first + i); u.err != nil {
			continue
		}
		if u.err = in.check(u.ev); u.err != nil {
			continue
		}
		u.s = in.scratch.Get().(*scratch)
		if in.transformer != nil {
			u.s.doc = appendEvent(u.s.doc[:0], u.ev)
			questions = append(questions, Question{Type: u.ev.Type, Doc: u.s.doc, Answer: &u.s.answer})
		}
	}
	if len(questions) == 0 {
		return p
	}
	in.transformer.TransformAll(ctx, questions)
	next := 0
	for i := range p.events {
		if u := &p.events[i]; u.s != nil {
			u.decision, u.err = questions[next].Decision, questions[next].Err
			next++
		}
	}
	return p
}

// publishPart does what the plugins decided about the events of p, in the order of each topic. With run it ends at a failure of
// the moment, or where it is held already, and reports whether it did.
func (in *Ingest) publishPart(ctx context.Context, p part, outcomes []Outcome, run, held bool) bool {
	if in.abreast > 1 && !held {
		return in.publishAbreast(ctx, p, outcomes[p.first:], run)
	}
	for i := range p.events {
		u, o := &p.events[i], &outcomes[p.first+i]
		switch {
		case held:
			o.Err = ErrHeld
		case u.s == nil:
			o.Err = u.err
		default:
			o.Results, o.Err = in.settle(ctx, u.ev, u.s, u.decision, u.err)
			held = run && Passing(o.Err)
		}
		in.end(u)
	}
	return held
}

// end gives back what an event needed.
func (in *Ingest) end(u *underway) {
	if u.s != nil {
		in.put(u.s)
	}
	*u = underway{}
}

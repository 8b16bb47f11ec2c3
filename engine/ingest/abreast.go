package ingest

import (
	"context"
	"sync"

	"github.com/wse-engine/wse/engine/message"
)

// place is where an event stands among those that are published side by side.
type place struct {
	behind []*place      // those before it that it has a topic in common with
	done   chan struct{} // closed when it is published or will not be
	held   bool          // it is not published, nor is what stands behind it; set before done is closed
}

// queues are the last places of each topic.
type queues struct {
	last    map[string]*place
	barrier *place // the last event of which nobody knows what topics it is for, if for any
}

// stand puts an event behind those that it has to wait for.
func (q *queues) stand(u *underway) *place {
	p := &place{done: make(chan struct{})}
	if q.barrier != nil {
		p.behind = append(p.behind, q.barrier)
	}
	join := func(topic string) {
		if before := q.last[topic]; before != nil && before != p {
			p.behind = append(p.behind, before)
		}
		q.last[topic] = p
	}
	switch {
	case u.err != nil && (u.decision.Plugin == "" || u.decision.OnError == OnErrorDeadLetter): // it may have to come again
		for _, before := range q.last {
			p.behind = append(p.behind, before)
		}
		q.barrier = p
	case u.err != nil || u.decision.Verdict == Drop:
	case u.decision.Verdict == Data:
		for i := range u.s.answer.drafts {
			join(string(u.s.answer.drafts[i].topic))
		}
	case u.ev.Topic != "":
		join(string(u.ev.Topic))
	default:
		if topic, err := message.UserTopic(u.ev.UserID, "events"); err == nil {
			join(string(topic))
		}
	}
	return p
}

// wait waits for those before p, and reports whether p has to be held.
func (p *place) wait() bool {
	for _, before := range p.behind {
		<-before.done
		p.held = p.held || before.held
	}
	p.behind = nil // so that a place keeps no chain of others
	return p.held
}

// publishAbreast is publishPart with several events at a time. An event begins when all before it have begun, and waits for those
// that it has a topic in common with: they are all under way, so that none waits for ever.
func (in *Ingest) publishAbreast(ctx context.Context, p part, outcomes []Outcome, run bool) (held bool) {
	q := queues{last: make(map[string]*place, len(p.events))}
	places := make([]*place, 0, len(p.events))
	room := make(chan struct{}, in.abreast)
	var all sync.WaitGroup
	for i := range p.events {
		u, o := &p.events[i], &outcomes[i]
		if u.s == nil {
			o.Err = u.err
			continue
		}
		at := q.stand(u)
		places = append(places, at)
		room <- struct{}{}
		all.Go(func() {
			if at.wait() {
				o.Err = ErrHeld
			} else {
				o.Results, o.Err = in.settle(ctx, u.ev, u.s, u.decision, u.err)
				at.held = run && Passing(o.Err)
			}
			in.end(u)
			close(at.done)
			<-room
		})
	}
	all.Wait()
	for _, at := range places {
		held = held || at.held
	}
	return held
}

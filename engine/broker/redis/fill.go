package redis

import (
	"context"
	"errors"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// begin takes t out of its queue and returns its question, unless there is none of that kind.
func (t *followed) begin(looking bool) (question, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queued = false
	what := t.course.wants()
	switch {
	case t.gone || what == nothing:
		return question{}, false
	case looking != (what == look):
		t.queued = true
		t.enqueue(what)
		return question{}, false
	}
	return t.course.ask(), true
}

// end takes what came of a question: the answer, by take, or an error.
func (t *followed) end(q question, err error, take func(c *course)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return
	}
	if err != nil {
		t.failed(q, err)
		return
	}
	t.since, t.fails, t.fault = time.Time{}, 0, nil // what there is to ask again, it begins to ask now
	take(&t.course)
	t.pursue()
}

// failed has the question asked again. mu is held.
func (t *followed) failed(q question, err error) {
	t.course.fail(q)
	t.fails++
	if !outage(err) {
		if t.fault == nil {
			t.f.b.log.Warn("a followed topic cannot be read; it is tried again", "topic", t.topic, "error", err)
		}
		t.fault = err
	}
	t.pursue()
}

// outage reports whether err says that Redis cannot be reached, and nothing of the topic.
func outage(err error) bool {
	return errors.Is(err, broker.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// look asks where topics stand, many at a time, until ctx ends.
func (f *follower) look(ctx context.Context) {
	for ctx.Err() == nil {
		var topics []*followed
		var names []message.Topic
		var questions []question
		for _, t := range f.looks.take(ctx, lookBatch) {
			if q, ok := t.begin(true); ok {
				topics, names, questions = append(topics, t), append(names, t.topic), append(questions, q)
			}
		}
		answers, err := f.positions(ctx, names)
		for i, t := range topics {
			at, err := position{}, err
			if err == nil {
				at, err = answers[i], answers[i].err
			}
			t.end(questions[i], err, func(c *course) { c.compare(questions[i], place{at.epoch, at.offset}) })
		}
	}
}

func (f *follower) positions(ctx context.Context, names []message.Topic) ([]position, error) {
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	answers, err := f.b.positions(ctx, names)
	if err == nil && len(answers) != len(names) {
		err = errors.New("broker/redis: as many positions as topics were asked for")
	}
	if len(answers) == len(names) { // what is known of some is good although the others took too long
		for i := range answers {
			if answers[i].epoch == 0 && answers[i].err == nil {
				answers[i].err = err
			}
		}
		err = nil
	}
	return answers, err
}

// fill reads histories for courses, one after the other, until ctx ends.
func (f *follower) fill(ctx context.Context) {
	for ctx.Err() == nil {
		for _, t := range f.reads.take(ctx, 1) {
			if q, ok := t.begin(false); ok {
				h, epoch, err := f.read(ctx, t, q.query())
				q.onWay = !t.class.KeepsHistory() && f.doubled(t)
				t.end(q, err, func(c *course) { c.answer(q, h, epoch) })
			}
		}
	}
}

// doubled reports whether two connections bring t, its own and the one of patterns, and one of them has only just begun to. What that
// one does not bring any more the other may be about to, so that nothing is missing yet; a connection that is later than silenceMax is
// given up.
func (f *follower) doubled(t *followed) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t.mu.Lock()
	joined, parted := time.Since(t.joined) < silenceMax, t.parted
	t.mu.Unlock()
	switch {
	case t.own == nil:
		return false
	case joined && parted: // the pattern may be left by now, and what it brought still be on its way
		return true
	}
	for _, p := range f.patterns {
		if p.confirmed && (joined || time.Since(p.begun) < silenceMax) && p.name.Matches(t.topic) {
			return true
		}
	}
	return false
}

// read reads a topic's history, with the epoch also where the class keeps none. That epoch is asked for before: if it changes
// in between, the next publication shows it.
func (f *follower) read(ctx context.Context, t *followed, q broker.Query) (broker.History, message.Epoch, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var epoch message.Epoch
	if !t.class.KeepsHistory() {
		at, err := f.positions(ctx, []message.Topic{t.topic})
		if err == nil {
			err = at[0].err
		}
		if err != nil {
			return broker.History{}, 0, err
		}
		epoch = at[0].epoch
	}
	h, err := f.b.read(ctx, t.topic, q)
	if h.Position.Epoch != 0 {
		epoch = h.Position.Epoch
	}
	return h, epoch, err
}

// check compares all followed topics with Redis again and again, until ctx ends: inside a Cluster a publication may get lost on
// its way from one server to another, and a forgery is found out where no publication follows it. The topics' keys live on by it.
func (f *follower) check(ctx context.Context) {
	for ctx.Err() == nil {
		all := f.all()
		batches := max(1, (len(all)+lookBatch-1)/lookBatch)
		pause := f.b.cfg.CheckInterval / time.Duration(batches)
		for i := range batches {
			if !sleep(ctx, pause) {
				return
			}
			f.checkBatch(ctx, all[i*len(all)/batches:(i+1)*len(all)/batches])
		}
	}
}

func (f *follower) all() []*followed {
	f.mu.RLock()
	defer f.mu.RUnlock()
	all := make([]*followed, 0, len(f.topics))
	for _, t := range f.topics {
		all = append(all, t)
	}
	return all
}

// checkBatch compares topics, and those that seem to be behind once more after a while.
func (f *follower) checkBatch(ctx context.Context, topics []*followed) {
	names, questions := make([]message.Topic, len(topics)), make([]question, len(topics))
	for i, t := range topics {
		t.mu.Lock()
		names[i], questions[i] = t.topic, t.course.glance()
		t.mu.Unlock()
	}
	answers, err := f.positions(ctx, names)
	if err != nil {
		return // whoever has to know is told by other means
	}
	behind := map[*followed]place{}
	for i, t := range topics {
		switch at := (place{answers[i].epoch, answers[i].offset}); {
		case answers[i].err != nil && !outage(answers[i].err):
			t.demand(look) // so that it is known for faulty, and asked about until it is not
		case answers[i].err == nil && t.glanced(questions[i], at):
			behind[t] = at
		}
	}
	if len(behind) == 0 || !sleep(ctx, behindPatience) {
		return
	}
	for t, at := range behind {
		t.mu.Lock()
		reached := t.course.reached(at)
		t.mu.Unlock()
		if !reached {
			t.demand(fill)
		}
	}
}

// demand has somebody ask about t.
func (t *followed) demand(what inquiry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.gone {
		t.course.demand(what)
		t.pursue()
	}
}

func (t *followed) glanced(q question, at place) (behind bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return false
	}
	behind = t.course.behind(q, at)
	t.pursue()
	return behind
}

// sleep reports false as soon as ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

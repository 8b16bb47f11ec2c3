package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// pattern is a pattern that this node follows.
type pattern struct {
	name message.Topic
	glob string // as Redis subscribes to it

	confirmed bool          // guarded by follower.mu; on the connection of now
	settled   bool          // guarded by follower.mu; what is heard of a topic for the first time is where it begins
	joined    bool          // guarded by follower.mu; it was settled once
	ending    bool          // guarded by follower.mu; nobody wants it, and what it carried is being subscribed to by name
	since     time.Time     // guarded by follower.mu; by Redis's clock, when that was or a little before
	begun     time.Time     // guarded by follower.mu; when it was confirmed the last time
	cuts      int           // guarded by follower.mu; how often its connection ended
	ready     chan struct{} // closed when it is joined, or left before
}

// interrupted reports whether it is yet to be found out what p missed. follower.mu is held.
func (p *pattern) interrupted() bool { return p.joined && !p.settled }

func channelOf(topic message.Topic) string { return redis.Prefix + string(topic) }

// setInterest implements SetInterest for topics and patterns whose form is right.
func (f *follower) setInterest(ctx context.Context, topic message.Topic, interested bool) error {
	if !interested {
		f.loseInterest(topic)
		return nil
	}
	if topic.IsPattern() {
		if err := f.join(ctx, topic, f.wantPattern); err != nil {
			return err
		}
		return f.dateJoin(ctx, topic)
	}
	return f.join(ctx, topic, f.wantTopic)
}

// join has want begin the following of a topic and waits until all that it returns is settled, as long as a publication would wait.
func (f *follower) join(ctx context.Context, topic message.Topic, want func(message.Topic) ([]<-chan struct{}, error)) error {
	settled, err := want(topic)
	ctx, cancel := context.WithTimeout(ctx, f.b.cfg.PublishWait)
	defer cancel()
	for _, c := range settled {
		select {
		case <-c:
		case <-ctx.Done():
			err = fmt.Errorf("broker/redis: %s cannot be followed now: %w", topic, errUnavailable(f.explain(topic, ctx.Err())))
		case <-f.b.closing:
			err = broker.ErrClosed
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = f.faultOf(topic)
	}
	if err != nil {
		f.loseInterest(topic)
	}
	return err
}

// explain adds to err why the connection that would bring a topic or pattern is not there, if that is so.
func (f *follower) explain(topic message.Topic, err error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t := f.topics[topic]
	switch {
	case t != nil && t.own != nil:
		return t.own.explain(err)
	case len(f.plain) > 0: // a pattern brings it
		return f.plain[0].explain(err)
	}
	return err
}

// errUnavailable joins what ended a wait with why it had to be waited.
func errUnavailable(err error) error { return fmt.Errorf("%w: %w", broker.ErrUnavailable, err) }

// faultOf returns why a topic cannot be followed although Redis is there.
func (f *follower) faultOf(topic message.Topic) error {
	t := f.lookup(topic)
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.course.known || t.course.floored {
		return nil
	}
	return t.fault
}

// wantTopic follows a topic by name and returns what there is to wait for.
func (f *follower) wantTopic(topic message.Topic) ([]<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, leaves := f.leaving[topic]
	delete(f.leaving, topic)
	topic = message.Topic(strings.Clone(string(topic))) // the caller's may be a piece of something large
	t := f.topics[topic]
	switch {
	case t == nil:
		t = f.add(topic)
	case !leaves:
		f.seen--
	}
	t.wanted = true
	by := f.carrier(topic)
	switch {
	case t.own != nil:
		return []<-chan struct{}{t.settled}, nil
	case by == nil:
		f.own(t)
		return []<-chan struct{}{t.settled}, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carry(by)
	if by.settled { // else it is asked for when the pattern is settled
		t.course.demand(look)
		t.pursue()
	}
	return []<-chan struct{}{by.ready, t.settled}, nil
}

// own has a connection subscribe to t by name. f.mu is held.
func (f *follower) own(t *followed) {
	if t.own = f.subscriberOf(t.topic); t.own == f.shards.nowhere {
		f.shards.ring()
	}
	t.own.want(channelOf(t.topic), false, t.confirmed)
}

// carry makes t begin with what a pattern brings. mu is held, as is follower.mu.
func (t *followed) carry(by *pattern) {
	if t.course.known || t.course.floored {
		return
	}
	t.course.open, t.orphan = by.settled, !by.settled
	if t.course.open {
		for _, m := range t.course.release() {
			t.course.take(m)
		}
	}
}

// carrier returns a pattern that brings a topic anyway. Where one was interrupted it is that, since what it missed may be before what
// any other brings; otherwise one that is settled, if there is one. f.mu is held.
func (f *follower) carrier(topic message.Topic) (best *pattern) {
	for _, p := range f.patterns {
		switch {
		case p.ending || !p.name.Matches(topic):
		case p.interrupted():
			return p
		case best == nil || p.settled:
			best = p
		}
	}
	return best
}

// bringer returns a carrier, or one that ends: as long as it has not, it may be wanted again and must not bring twice what it brought
// before. f.mu is held.
func (f *follower) bringer(topic message.Topic) *pattern {
	if p := f.carrier(topic); p != nil {
		return p
	}
	for _, p := range f.patterns {
		if p.name.Matches(topic) {
			return p
		}
	}
	return nil
}

// wantPattern follows a pattern and returns what there is to wait for: its own confirmation, and that of topics that are being
// joined by name, since what is published once the pattern is joined must not count as before their beginning.
func (f *follower) wantPattern(name message.Topic) ([]<-chan struct{}, error) {
	if f.b.cfg.Sharded && !f.b.cfg.PlainCopy {
		return nil, fmt.Errorf("broker/redis: %w: sharded Pub/Sub has none; plain_copy: true makes them possible", broker.ErrPattern)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.leaving, name)
	p := f.patterns[name]
	if p == nil {
		name = message.Topic(strings.Clone(string(name)))
		p = &pattern{name: name, glob: channelOf(name), ready: make(chan struct{})}
		f.patterns[name] = p
		f.plain[0].want(p.glob, true, func() { f.patternConfirmed(p) })
	}
	p.ending = false
	wait := []<-chan struct{}{p.ready}
	for topic, t := range f.topics {
		if t.own != nil && name.Matches(topic) {
			wait = append(wait, t.settled)
		}
	}
	return wait, nil
}

// dateJoin asks for the time at which a pattern is joined, which is what it must get everything from after an interruption.
func (f *follower) dateJoin(ctx context.Context, name message.Topic) error {
	f.mu.RLock()
	p := f.patterns[name]
	dated := p == nil || !p.since.IsZero()
	f.mu.RUnlock()
	if dated {
		return nil
	}
	now, err := f.time(ctx)
	if err != nil {
		f.loseInterest(name)
		return fmt.Errorf("broker/redis: %s cannot be followed now: %w", name, errUnavailable(err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.since.IsZero() {
		p.since = now
	}
	return nil
}

// loseInterest has a topic or pattern followed no longer than linger.
func (f *follower) loseInterest(topic message.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[topic]; t != nil && t.wanted {
		t.wanted = false
	} else if f.patterns[topic] == nil {
		return
	}
	f.leaving[topic] = time.Now().Add(f.b.cfg.Linger)
}

// leave ends the following of what nobody has wanted for long enough.
func (f *follower) leave(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, at := range f.leaving {
		if at.After(now) {
			continue
		}
		delete(f.leaving, name)
		if t := f.topics[name]; t != nil && !t.wanted {
			f.leaveTopic(t)
		} else if p := f.patterns[name]; p != nil {
			f.leavePattern(p)
		}
	}
}

// leaveTopic unsubscribes from t. Where a pattern carries it, it goes on being known. f.mu is held.
func (f *follower) leaveTopic(t *followed) {
	if t.own != nil {
		t.own.drop(channelOf(t.topic))
		t.own = nil
	}
	by := f.bringer(t.topic)
	if by == nil {
		f.remove(t)
		return
	}
	f.seen++
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carry(by) // where it was never confirmed by name
	t.pursue()
}

// endingWait is how long a pattern goes on bringing topics while they are subscribed to by name, so that nothing is missed between; it
// is as long again where they are not yet.
const endingWait = time.Second

// leavePattern unsubscribes from p, as soon as what it carried and is wanted by name is brought by its name. f.mu is held.
func (f *follower) leavePattern(p *pattern) {
	first := !p.ending
	p.ending = true
	if first && f.disown(p) || !first && f.needed(p) {
		f.leaving[p.name] = time.Now().Add(endingWait)
		return
	}
	delete(f.patterns, p.name)
	f.forgetAll(p)
	f.plain[0].drop(p.glob)
	if !p.joined {
		close(p.ready) // who waited for it to bring a topic is told by the topic itself
	}
}

// disown has the topics that only p carried subscribed to where somebody wants them, and reports whether there are such. f.mu is held.
func (f *follower) disown(p *pattern) (wanted bool) {
	for topic, t := range f.topics {
		if t.own != nil || !p.name.Matches(topic) || f.carrier(topic) != nil {
			continue
		}
		if _, leaves := f.leaving[topic]; t.wanted || leaves {
			wanted = true
			t.keep()
			f.own(t)
		}
	}
	return wanted
}

// needed reports whether nothing but p, which ends, brings a topic that is to be subscribed to by name. f.mu is held.
func (f *follower) needed(p *pattern) bool {
	for topic, t := range f.topics {
		if t.own != nil && p.name.Matches(topic) && !t.own.brings(channelOf(topic)) && f.carrier(topic) == nil {
			return true
		}
	}
	return false
}

// forgetAll forgets the topics that are known through p alone, which is gone. f.mu is held.
func (f *follower) forgetAll(p *pattern) {
	for topic, t := range f.topics {
		if _, leaves := f.leaving[topic]; t.own == nil && !t.wanted && !leaves && p.name.Matches(topic) && f.bringer(topic) == nil {
			f.seen--
			f.remove(t)
		}
	}
}

// keep has t begin where it stood when it was joined, if nothing has been heard of it yet: it is a pattern's no longer.
func (t *followed) keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.course.open, t.orphan = false, false
	t.joined, t.parted = time.Time{}, true
}

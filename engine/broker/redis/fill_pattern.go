package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// Sizes and paces of making up for an interruption of patterns.
const (
	scanCount  = 1000                   // keys that a server looks at for one step of a scan
	scanRetry  = 500 * time.Millisecond // after a scan that failed
	markMargin = 5 * time.Second        // by how much the clocks of servers may differ
	victims    = 16                     // topics of which the one is forgotten that was not heard of for longest
)

// see begins the following of a topic that a pattern brought for the first time, unless it is none.
func (f *follower) see(topic message.Topic, glob string) *followed {
	if _, err := message.ParseTopic(string(topic)); err != nil {
		f.tally.malformed.Add(1)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[topic]; t != nil {
		return t
	}
	by, brought := f.carrier(topic), f.patterns[message.Topic(glob[len(redis.Prefix):])]
	if by == nil || brought == nil {
		return nil // its last subscriber left meanwhile
	}
	if !brought.joined {
		return nil // it comes for another subscriber of the pattern, who has left: for this one the confirmation is the beginning
	}
	return f.addSeen(topic, by)
}

// addSeen adds a topic that is known through a pattern alone. f.mu is held.
func (f *follower) addSeen(topic message.Topic, by *pattern) *followed {
	if f.seen >= f.b.cfg.PatternTopicsMax {
		f.forget()
	}
	t := f.add(topic)
	f.seen++
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carry(by)
	return t
}

// forget drops a topic that is known through a pattern alone: of some, the one that was not heard of for longest. f.mu is held.
func (f *follower) forget() {
	var coldest *followed
	looked := 0
	for topic, t := range f.topics {
		if _, leaves := f.leaving[topic]; t.wanted || leaves || t.own != nil || !t.idle() {
			continue
		}
		if coldest == nil || t.used.Load() < coldest.used.Load() {
			coldest = t
		}
		if looked++; looked == victims {
			break
		}
	}
	if coldest != nil {
		f.seen--
		f.forgotten = max(f.forgotten, coldest.used.Load())
		f.remove(coldest)
	}
}

// idle reports whether there is nothing to ask about t.
func (t *followed) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since.IsZero() && !t.orphan
}

// unsettle says that the connection which brings patterns is another one from now on.
func (f *follower) unsettle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.patterns {
		p.confirmed, p.settled = false, false
		p.cuts++
	}
}

// patternConfirmed says that a pattern's publications will be heard from now on. What was missed of one that was joined before is
// for the scan to find.
func (f *follower) patternConfirmed(p *pattern) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.patterns[p.name] != p {
		return // it was left meanwhile
	}
	p.confirmed, p.begun = true, time.Now()
	if p.joined {
		select {
		case f.scans <- struct{}{}:
		default:
		}
		return
	}
	p.joined, p.settled = true, true
	close(p.ready)
	for topic, t := range f.topics {
		if t.own == nil && p.name.Matches(topic) {
			t.adopt(f.bringer(topic)) // p itself may be ending
		}
	}
}

// adopt begins a topic that was joined by name before the pattern that carries it, unless another that does was interrupted.
// follower.mu is held.
func (t *followed) adopt(by *pattern) {
	t.mu.Lock()
	t.carry(by)
	t.mu.Unlock()
	t.confirmed()
}

// interruption is a pattern that has to be made up for.
type interruption struct {
	*pattern
	cuts  int
	since time.Time // what was published before, by Redis's clock, is not missing
}

// interruptions returns the patterns that were confirmed after an interruption. Blind says that topics were forgotten which may
// have been heard of since then.
func (f *follower) interruptions() (list []interruption, blind bool) {
	if len(f.plain) == 0 {
		return nil, false
	}
	s := f.plain[0]
	s.mu.Lock()
	at := s.mark
	s.mu.Unlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, p := range f.patterns {
		if p.confirmed && !p.settled {
			since := at.theirs.Add(-markMargin)
			if p.since.After(since) {
				since = p.since
			}
			list = append(list, interruption{p, p.cuts, since})
		}
	}
	return list, f.forgotten >= at.ours.Add(-markMargin).UnixNano()
}

// scan makes up for interruptions of patterns until ctx ends.
func (f *follower) scan(ctx context.Context) {
	var orphans []orphan
	for ctx.Err() == nil {
		var retry <-chan time.Time
		if list, blind := f.interruptions(); len(list) > 0 {
			found, err := f.findAfter(ctx, list)
			if err != nil {
				f.b.log.Warn("what patterns missed cannot be found out; it is tried again", "error", err)
				retry = time.After(scanRetry)
			} else {
				orphans = append(orphans, f.settle(list, found, blind)...)
			}
		}
		if orphans = f.place(ctx, orphans); len(orphans) > 0 {
			retry = time.After(scanRetry)
		}
		select {
		case <-ctx.Done():
		case <-f.scans:
		case <-retry:
		}
	}
}

// findAfter has the topics looked at that patterns brought before, and finds those that it does not know and that were published
// to since the interruption.
func (f *follower) findAfter(ctx context.Context, list []interruption) ([]message.Topic, error) {
	match, since := "{"+redis.Prefix+"*}:m", list[0].since
	if len(list) == 1 {
		match = "{" + list[0].glob + "}:m"
	}
	for _, p := range list {
		if p.since.Before(since) {
			since = p.since
		}
	}
	for _, t := range f.all() {
		if f.carried(t, list) {
			t.confirmed()
		}
	}
	found := make(chan []message.Topic)
	var all []message.Topic
	done := make(chan struct{})
	go func() {
		defer close(done)
		for topics := range found {
			all = append(all, topics...)
		}
	}()
	err := f.b.client.EachPrimary(ctx, func(ctx context.Context, primary *goredis.Client) error {
		return scanPrimary(ctx, primary, match, since, func(topics []message.Topic) { found <- topics })
	})
	close(found)
	<-done
	return all, err
}

// carried reports whether one of the interrupted patterns brings t.
func (f *follower) carried(t *followed, list []interruption) bool {
	f.mu.RLock()
	own := t.own != nil
	f.mu.RUnlock()
	return !own && matchesAny(list, t.topic)
}

func matchesAny(list []interruption, topic message.Topic) bool {
	for _, p := range list {
		if p.name.Matches(topic) {
			return true
		}
	}
	return false
}

// scanPrimary calls found with the topics of a server that were published to since the given time.
func scanPrimary(ctx context.Context, primary *goredis.Client, match string, since time.Time, found func([]message.Topic)) error {
	cursor := uint64(0)
	for {
		keys, next, err := primary.Scan(ctx, cursor, match, scanCount).Result()
		if err != nil {
			return err
		}
		times := make([]*goredis.StringCmd, len(keys))
		_, err = primary.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for i, key := range keys {
				times[i] = pipe.HGet(ctx, key, "t")
			}
			return nil
		})
		if err != nil && !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "WRONGTYPE") && !goredis.HasErrorPrefix(err, "MOVED") {
			return err
		}
		var topics []message.Topic
		for i, key := range keys {
			name := strings.TrimSuffix(strings.TrimPrefix(key, "{"+redis.Prefix), "}:m")
			at, err := strconv.ParseInt(times[i].Val(), 10, 64)
			if topic, wrong := message.ParseTopic(name); err == nil && wrong == nil && !time.UnixMicro(at).Before(since) {
				topics = append(topics, topic)
			}
		}
		if found(topics); next == 0 {
			return nil
		}
		cursor = next
	}
}

// orphan is a topic that was heard of for the first time after an interruption.
type orphan struct {
	*followed
	since time.Time
	blind bool // publications since then may have been delivered, and nobody knows
}

// settle takes the result of a scan, and returns the topics whose beginning is to be found out.
func (f *follower) settle(list []interruption, found []message.Topic, blind bool) (orphans []orphan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := func(topic message.Topic) (longest *interruption) {
		for i, p := range list {
			if p.cuts == p.pattern.cuts && f.patterns[p.name] == p.pattern && p.name.Matches(topic) &&
				(longest == nil || p.since.Before(longest.since)) {
				longest = &list[i]
			}
		}
		return longest
	}
	for _, topic := range found {
		if p := of(topic); p != nil && f.topics[topic] == nil {
			f.addSeen(topic, p.pattern)
		}
	}
	for topic, t := range f.topics {
		if p := of(topic); p != nil && t.own == nil && t.homeless() {
			orphans = append(orphans, orphan{t, p.since, blind})
		}
	}
	for _, p := range list {
		if p.cuts == p.pattern.cuts {
			p.settled = true
		}
	}
	return orphans
}

// homeless reports whether t waits for its beginning, and takes note of when that began.
func (t *followed) homeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orphan && t.since.IsZero() {
		t.since = time.Now()
	}
	return t.orphan
}

// place finds out where orphans begin and returns those for which that failed.
func (f *follower) place(ctx context.Context, orphans []orphan) (rest []orphan) {
	for len(orphans) > 0 && ctx.Err() == nil {
		batch := orphans[:min(len(orphans), lookBatch)]
		orphans = orphans[len(batch):]
		names := make([]message.Topic, len(batch))
		for i, o := range batch {
			names[i] = o.topic
		}
		answers, err := f.positions(ctx, names)
		for i, o := range batch {
			wrong := err
			if err == nil {
				wrong = answers[i].err
			}
			if wrong == nil {
				wrong = f.placeOne(ctx, o, answers[i])
			}
			if wrong != nil && o.unplaced(wrong) {
				rest = append(rest, o)
			}
		}
	}
	return append(rest, orphans...)
}

// unplaced takes note of why it is not known where t begins. It reports false where that does not matter any more.
func (t *followed) unplaced(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !outage(err) {
		t.fault = err
	}
	return t.orphan && !t.gone
}

// placeOne has an orphan begin after what was published before the interruption, where the history says what that is.
func (f *follower) placeOne(ctx context.Context, o orphan, at position) error {
	after, told := place{at.epoch, at.offset}, true
	if !at.at.Before(o.since) {
		if told = !o.blind && o.class.KeepsHistory(); told {
			texts, err := f.b.client.Do().LRange(ctx, "{"+channelOf(o.topic)+"}:h", 0, -1).Result()
			switch {
			case faultOf(err) == faultFinal:
				return fmt.Errorf("broker/redis: the history of %s: %w", o.topic, err)
			case err != nil:
				return errUnavailable(err)
			}
			after, told = beforeTime(texts, o.since, at.epoch)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.orphan || o.gone {
		return nil
	}
	o.orphan, o.fault = false, nil
	if told {
		o.course.start(after)
	} else {
		o.course.demand(anew)
	}
	o.pursue()
	return nil
}

// beforeTime returns the place before the first publication of a history that was numbered at the given time or later. It is not
// told where the history does not reach back so far, or another epoch began since then.
func beforeTime(texts []string, since time.Time, epoch message.Epoch) (after place, told bool) {
	first := len(texts)
	for first > 0 {
		at, ok := readTime(texts[first-1])
		if !ok {
			return after, false
		}
		if at.Before(since) {
			break
		}
		first--
	}
	if first == len(texts) {
		return after, false
	}
	for _, text := range texts[max(0, first-1):] {
		if at, ok := readPlace(text); !ok || at.epoch != epoch {
			return after, false
		}
	}
	at, _ := readPlace(texts[first])
	at.seq--
	return at, first > 0 || at.seq == 0
}

// readTime reads when a publication was numbered.
func readTime(text string) (time.Time, bool) {
	if !numbered([]byte(text)) {
		return time.Time{}, false
	}
	it := jsonscan.Members([]byte(text))
	for it.Next() {
		if string(it.Key()) == "at" {
			micros, err := jsonscan.Int(it.Value())
			return time.UnixMicro(micros), err == nil
		}
	}
	return time.Time{}, false
}

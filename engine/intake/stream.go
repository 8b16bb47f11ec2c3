package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
)

// group is the consumer group of the engine.
const group = "wse"

const (
	idleWait   = 500 * time.Millisecond // how long Redis is asked to wait for an entry at a time
	retryFirst = 50 * time.Millisecond  // after what could not be published
	retryMost  = 2 * time.Second
	careEvery  = 10 * time.Second // for what is behind in a stream, and what has been in it for too long
	askAround  = 5 * time.Second  // for commands that do not say themselves how long they take
	pageSize   = 100              // pending entries that are looked at together
)

// stream reads one stream while this node has its lease.
type stream struct {
	in     *Intake
	name   string
	lease  *lease
	report func(err error)
	counts streamCounters

	mu     sync.Mutex
	behind behind // guarded by mu
}

func newStream(in *Intake, name string) *stream {
	return &stream{
		in: in, name: name, report: in.reporter("reading " + name),
		lease: in.lease("{"+name+"}:lease", "{"+name+"}:fence", "the lease of "+name),
	}
}

// work reads until its turn is over.
func (s *stream) work(ctx context.Context, t *term) {
	defer s.forget()
	pause := retryFirst
	for ctx.Err() == nil && t.lasts() {
		read, err := s.read(ctx, t)
		if ctx.Err() != nil || errors.Is(err, errLost) {
			return
		}
		s.report(err)
		if pause = min(2*pause, retryMost); read {
			pause = retryFirst
		}
		wait(ctx, pause)
	}
}

// read makes sure of the group, finishes what others began, and reads what is new until something goes wrong. It reports whether it
// came to read what is new.
func (s *stream) read(ctx context.Context, t *term) (bool, error) {
	err := s.in.scripts.group.Run(ctx, s.in.do, []string{s.name, s.doneKey()}).Err()
	if err != nil && !goredis.HasErrorPrefix(err, "BUSYGROUP") {
		return false, s.explain(err)
	}
	if err := s.claimAll(ctx, t); err != nil {
		return false, s.explain(err)
	}
	s.report(nil)
	caring := time.Now().Add(-careEvery)
	done := ""
	for ctx.Err() == nil && t.lasts() {
		if time.Since(caring) >= careEvery {
			caring = time.Now()
			if err := s.care(ctx); err != nil {
				return true, s.explain(err)
			}
		}
		entries, err := s.take(ctx, done)
		if err != nil {
			return true, s.explain(err)
		}
		done = ""
		if len(entries) == 0 {
			if err := s.await(ctx); err != nil {
				return true, s.explain(err)
			}
			continue
		}
		s.counts.consumed.Add(uint64(len(entries)))
		if s.process(ctx, t, entries) {
			done = entries[len(entries)-1].id
		}
	}
	return true, nil
}

// doneKey is the key of the last entry that is done, as all before it are.
func (s *stream) doneKey() string { return "{" + s.name + "}:done" }

// explain says what an error of Redis means.
func (s *stream) explain(err error) error {
	switch {
	case strings.Contains(err.Error(), "LEASELOST"):
		return errLost
	case isWrongType(err):
		return fmt.Errorf("%s is no stream of Redis; delete or rename it, or take it from broker.redis.intake.streams: %w", s.name, err)
	}
	return err
}

// take reads new entries. All up to the one called done are done; "" says nothing.
func (s *stream) take(ctx context.Context, done string) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, askAround)
	defer cancel()
	answer, err := s.in.scripts.take.Run(ctx, s.in.do, []string{s.lease.key, s.name, s.doneKey()}, s.lease.holder, s.in.node, s.in.cfg.BatchMax, done).Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	return readStreams(answer), err
}

// await waits until there is a new entry, or for a moment.
func (s *stream) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, idleWait+askAround)
	defer cancel()
	groups, err := s.in.do.XInfoGroups(ctx, s.name).Result()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Name != group {
			continue
		}
		err := s.in.do.XRead(ctx, &goredis.XReadArgs{Streams: []string{s.name, g.LastDeliveredID}, Count: 1, Block: idleWait}).Err()
		if errors.Is(err, goredis.Nil) {
			return nil
		}
		return err
	}
	return fmt.Errorf("the group %s of %s is gone", group, s.name)
}

// claimAll processes what is pending, the oldest first and one after the other: the one among them that readers die of is then the
// only one whose deliveries rise.
func (s *stream) claimAll(ctx context.Context, t *term) error {
	for from := "-"; ctx.Err() == nil && t.lasts(); {
		page, err := s.in.do.XPendingExt(ctx, &goredis.XPendingExtArgs{Stream: s.name, Group: group, Start: from, End: "+", Count: pageSize}).Result()
		if err != nil {
			return err
		}
		for i := range page {
			if err := s.claim(ctx, t, &page[i]); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return s.forgetReaders(ctx)
		}
		from = "(" + page[len(page)-1].ID
	}
	return ctx.Err()
}

// claim takes over one pending entry and processes it.
func (s *stream) claim(ctx context.Context, t *term, p *goredis.XPendingExt) error {
	deliveries := p.RetryCount
	if p.Consumer != s.in.node {
		deliveries++
		s.counts.claims.Add(1)
	}
	answer, err := s.in.scripts.claim.Run(ctx, s.in.do, []string{s.lease.key, s.name}, s.lease.holder, s.in.node, deliveries, p.ID).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		return err
	}
	entries := readEntries(answer)
	if len(entries) == 0 {
		return nil
	}
	s.counts.consumed.Add(1)
	if int(p.RetryCount) >= s.in.cfg.DeliveriesMax && p.Consumer != s.in.node {
		s.bury(ctx, t, &entries[0], fmt.Errorf("it was handed to %d readers, and each of them ended before it was done", p.RetryCount))
		return ctx.Err()
	}
	s.process(ctx, t, entries)
	return ctx.Err()
}

// forgetReaders deletes the other consumers of the group: all that they had is claimed.
func (s *stream) forgetReaders(ctx context.Context) error {
	readers, err := s.in.do.XInfoConsumers(ctx, s.name, group).Result()
	if err != nil {
		return err
	}
	for _, r := range readers {
		if r.Name != s.in.node && r.Pending == 0 {
			if err := s.in.do.XGroupDelConsumer(ctx, s.name, group, r.Name).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// process publishes entries, those of one topic in their order, and acknowledges them, until all are done or the turn is over. It
// reports whether all are done.
func (s *stream) process(ctx context.Context, t *term, entries []entry) bool {
	through := s.in.ingest.Through(&turn{broker: s.in.broker, term: t}).Abreast(s.in.cfg.PublishAbreast)
	for pause := retryFirst; ; {
		outcomes := through.PublishRun(ctx, len(entries), func(i int) (*message.Event, error) { return s.event(&entries[i]) })
		done, left, passing := s.settle(ctx, entries, outcomes)
		if !s.acknowledge(ctx, t, done) {
			return false
		}
		if len(left) == 0 {
			return true
		}
		if ctx.Err() != nil || !t.lasts() {
			return false // they are pending: who has the next turn claims them
		}
		s.counts.retries.Add(1)
		s.report(passing)
		s.absolve(ctx, left[0].id)
		if pause = min(2*pause, retryMost); len(done) > 0 {
			pause = retryFirst
		}
		entries = left
		wait(ctx, pause)
	}
}

// event reads the event of an entry. One without an id gets the entry's, so that it becomes nothing twice.
func (s *stream) event(e *entry) (*message.Event, error) {
	doc, fault := e.document()
	if fault != nil {
		return nil, fault
	}
	ev, err := s.in.ingest.ParseEvent(doc)
	if err != nil {
		return nil, err
	}
	if ev.ID == "" {
		ev.ID = idOf(s.name, e.id)
	}
	return ev, nil
}

// settle counts what became of entries, and makes dead letters of those that failed for good. It returns those that are done and, in
// their order, those that are left, and why the first of them is.
func (s *stream) settle(ctx context.Context, entries []entry, outcomes []ingest.Outcome) (done, left []entry, passing error) {
	for i, o := range outcomes {
		err := o.Err
		if err != nil && !ingest.Passing(err) && !errors.Is(err, ingest.ErrHeld) {
			err = s.letter(ctx, &entries[i], err)
		}
		if err != nil {
			passing = cmp.Or(passing, err)
			left = append(left, entries[i])
			continue
		}
		s.counts.add(o.Results)
		done = append(done, entries[i])
	}
	if passing == nil {
		s.report(nil)
	}
	return done, left, passing
}

// letter makes an entry a dead letter.
func (s *stream) letter(ctx context.Context, e *entry, reason error) error {
	doc, _ := e.document()
	k := letter{channel: channelName(s.name), kind: kindEvent, from: s.name + " " + e.id, source: idOf(s.name, e.id)}
	k.event = ingest.Letter{EventID: idOf(s.name, e.id), Reason: reason.Error(), Document: doc}
	if ev, err := s.in.ingest.ParseEvent(doc); err == nil {
		k.event.Event = ev.Type
		if ev.ID != "" {
			k.event.EventID = ev.ID
		}
	}
	if _, err := s.in.letters.keep(ctx, k); err != nil {
		return err
	}
	s.counts.letters.Add(1)
	return nil
}

// bury makes an entry a dead letter and acknowledges it, however often it takes.
func (s *stream) bury(ctx context.Context, t *term, e *entry, reason error) {
	for ctx.Err() == nil && t.lasts() {
		err := s.letter(ctx, e, reason)
		if err == nil {
			s.acknowledge(ctx, t, []entry{*e})
			return
		}
		s.report(err)
		wait(ctx, retryMost)
	}
}

// acknowledge says that entries are done, again and again while the turn lasts: what is not acknowledged is published again, and
// comes to nothing, only as long as its id is remembered.
func (s *stream) acknowledge(ctx context.Context, t *term, entries []entry) bool {
	if len(entries) == 0 {
		return true
	}
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].id
	}
	for durable := context.WithoutCancel(ctx); ; {
		asking, cancel := context.WithTimeout(durable, askAround)
		err := s.in.do.XAck(asking, s.name, group, ids...).Err()
		cancel()
		if err == nil {
			return true
		}
		s.report(err)
		if ctx.Err() != nil || !t.lasts() {
			return false
		}
		wait(ctx, retryFirst)
	}
}

// absolve notes that nobody died of an entry: it could not be published, for which it is not to blame.
func (s *stream) absolve(ctx context.Context, id string) {
	asking, cancel := context.WithTimeout(ctx, askAround)
	defer cancel()
	_ = s.in.scripts.claim.Run(asking, s.in.do, []string{s.lease.key, s.name}, s.lease.holder, s.in.node, 1, id).Err() // else it is one death too many
}

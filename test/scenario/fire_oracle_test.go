package scenario

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is right under fire, apart from how it is brought about: what a topic's subscriber may see next, and that all who
// see a publication see the same one.

// place is where a topic is read to. run is the engine process that numbered it: the epoch of a topic without history is
// that of none, whichever process it was.
type place struct {
	run   int
	epoch string
	seq   uint64
}

// noEpoch is the epoch of a topic that keeps no history, and of no topic that does.
const noEpoch = "00000000"

func (p place) next() place    { p.seq++; return p }
func (p place) String() string { return fmt.Sprintf("%s:%d of engine %d", p.epoch, p.seq, p.run) }

// recovery is what the answer to a subscription says of a topic for which it had a position.
type recovery struct {
	Epoch     string
	Offset    uint64
	Recovered bool
	Count     uint64
}

// follower checks what one connection sees of one topic (PROTOCOL §2.5): a subscription is answered, then comes what is
// missed or a snapshot and what follows it, then the end mark, and from there on every publication, once and in order.
type follower struct {
	topic string
	size  uint64 // publications that the topic's class keeps
	asked *place // nil where no position was asked for
	state int    // joining, syncing, live
	known bool   // at is where the client is
	at    place
	end   *place // what the end mark has to have brought the client to, where the answer tells it
	count uint64 // publications between the answer and the end mark
}

const (
	joining = iota
	syncing
	live
)

// answered takes the answer to the subscription; r is nil where no position was asked for.
func (f *follower) answered(run int, r *recovery) error {
	f.state = syncing
	if (r == nil) != (f.asked == nil) {
		return fmt.Errorf("%s: recovery asked for: %v, answered: %v", f.topic, f.asked != nil, r != nil)
	}
	if r == nil {
		return nil
	}
	f.end = &place{run, r.Epoch, r.Offset}
	was := *f.asked
	switch same := was.epoch == r.Epoch && was.run == run; {
	case r.Recovered && (!same || r.Offset-was.seq != r.Count || r.Epoch == noEpoch):
		return fmt.Errorf("%s: recovered from %v with %+v", f.topic, was, *r)
	case r.Recovered:
		f.at, f.known = was, true
	case r.Epoch == noEpoch || was.epoch == noEpoch:
	case same && (was.seq > r.Offset || r.Offset-was.seq <= f.size):
		return fmt.Errorf("%s: %v could be recovered from, and was not: %+v", f.topic, was, *r)
	case !same && was.run == run:
		return fmt.Errorf("%s: the epoch changed from %v to %+v in one engine", f.topic, was, *r)
	}
	return nil
}

// publication takes one that came.
func (f *follower) publication(p place, kind string) error {
	switch {
	case f.state == joining:
		return fmt.Errorf("%s: %v came before the answer", f.topic, p)
	case f.known && p != f.at.next():
		return fmt.Errorf("%s: %v came after %v (state %d)", f.topic, p, f.at, f.state)
	case f.state == syncing && !f.known && !strings.Contains(kind, "snapshot"):
		return fmt.Errorf("%s: the initial sync begins with %q, %v", f.topic, kind, p)
	case f.state == syncing && f.end != nil && p.seq > f.end.seq:
		return fmt.Errorf("%s: %v came before the end mark, and the answer said %v", f.topic, p, *f.end)
	}
	f.at, f.known = p, true
	f.count++
	return nil
}

// complete takes the end mark.
func (f *follower) complete() error {
	f.state = live
	switch {
	case f.end == nil:
	case !f.known:
		f.at, f.known = *f.end, true
	case f.at != *f.end:
		return fmt.Errorf("%s: the answer said %v, and the end mark came at %v", f.topic, *f.end, f.at)
	}
	return nil
}

// checkSync checks the history that a sync_request was answered with: everything after last, as far as it is kept, up to
// where the client was when it asked, at least.
func checkSync(topic string, size, last uint64, asked place, got []place) error {
	if len(got) == 0 {
		if asked.seq > last {
			return fmt.Errorf("%s: nothing came for what follows %d, and the client is at %v", topic, last, asked)
		}
		return nil
	}
	for i, p := range got[1:] {
		if p != got[i].next() {
			return fmt.Errorf("%s: %v came after %v in what was asked for", topic, p, got[i])
		}
	}
	switch first, end := got[0], got[len(got)-1]; {
	case first.run != asked.run || first.epoch != asked.epoch:
		return fmt.Errorf("%s: %v came for %v", topic, first, asked)
	case first.seq <= last, first.seq > last+1 && uint64(len(got)) < size:
		return fmt.Errorf("%s: %d publications came from %v on for what follows %d", topic, len(got), first, last)
	case end.seq < asked.seq:
		return fmt.Errorf("%s: history ends at %v, and the client was at %v", topic, end, asked)
	}
	return nil
}

// ledger is what is known of all topics: which publication has which number. Publishers put in what they are answered,
// and every client what it sees.
type ledger struct {
	mu     sync.Mutex
	moved  sync.Cond
	ids    map[string]map[place]string // by topic; guarded by mu
	places map[string]place            // by topic, engine and id; guarded by mu
	last   map[string]place            // by topic, the highest of the newest engine; guarded by mu
	total  int                         // publications known; guarded by mu
	over   bool                        // nobody publishes any more; guarded by mu
}

func newLedger() *ledger {
	l := &ledger{ids: make(map[string]map[place]string), places: make(map[string]place), last: make(map[string]place)}
	l.moved.L = &l.mu
	return l
}

// record says that the publication with an id has a place, which nobody may contradict.
func (l *ledger) record(topic string, p place, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.ids[topic][p]; ok {
		if before != id {
			return fmt.Errorf("%s: %v is %q to one and %q to another", topic, p, before, id)
		}
		return nil
	}
	key := fmt.Sprintf("%s %d %s", topic, p.run, id)
	if before, ok := l.places[key]; ok {
		return fmt.Errorf("%s: %q was published twice, at %v and %v", topic, id, before, p)
	}
	if l.ids[topic] == nil {
		l.ids[topic] = make(map[place]string)
	}
	l.ids[topic][p], l.places[key] = id, p
	if at := l.last[topic]; p.run > at.run || p.run == at.run && p.seq > at.seq {
		l.last[topic] = p
	}
	l.total++
	l.moved.Broadcast()
	return nil
}

// wait returns when n publications more are known, or nobody publishes any more.
func (l *ledger) wait(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n += l.total; l.total < n && !l.over; {
		l.moved.Wait()
	}
}

// close says that nobody publishes any more.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.moved.Broadcast()
}

// end returns the last place known of a topic.
func (l *ledger) end(topic string) place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[topic]
}

// holes tells which numbers of an engine's nobody knows of, though a later one is known.
func (l *ledger) holes(run int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for topic, known := range l.ids {
		for p := range known {
			before := p
			if before.seq--; p.run == run && before.seq > 0 && known[before] == "" {
				errs = append(errs, fmt.Errorf("%s: nobody knows of the publication before %v", topic, p))
			}
		}
	}
	return errors.Join(errs...)
}

// seen is a step of a made-up connection: a publication's number and type, or, with seq 0, the end mark.
type seen struct {
	seq  uint64
	kind string
}

// TestTheFollowerOfATopicToldFromOneThatLostItsWay keeps the oracle honest: it has to find each kind of fault.
func TestTheFollowerOfATopicToldFromOneThatLostItsWay(t *testing.T) {
	run := func(asked *place, r *recovery, steps ...seen) error {
		f := &follower{topic: "t", size: 5, asked: asked}
		if err := f.answered(1, r); err != nil {
			return err
		}
		for _, s := range steps {
			err := f.complete
			if s.seq > 0 {
				err = func() error { return f.publication(place{1, "e", s.seq}, s.kind) }
			}
			if err := err(); err != nil {
				return err
			}
		}
		return nil
	}
	at := func(seq uint64) *place { return &place{1, "e", seq} }
	mark := seen{}
	update := func(seq uint64) seen { return seen{seq, "update"} }
	snapshot := func(seq uint64) seen { return seen{seq, "a_snapshot"} }

	yes := &recovery{"e", 3, true, 2}
	require.NoError(t, run(at(1), yes, update(2), update(3), mark, update(4)))
	require.ErrorContains(t, run(at(1), yes, update(3)), "e:3 of engine 1 came after e:1", "one was left out of the replay")
	require.ErrorContains(t, run(at(1), yes, update(2), update(2)), "came after", "one came twice")
	require.ErrorContains(t, run(at(1), yes, update(2), mark), "the end mark came at e:2")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), update(4)), "before the end mark")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, update(5)), "came after", "a gap between replay and live")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, update(3)), "came after", "doubled between replay and live")
	require.ErrorContains(t, run(at(1), &recovery{"e", 4, true, 2}), "recovered from")
	require.ErrorContains(t, run(&place{0, "d", 1}, yes), "recovered from", "of another epoch")

	no := &recovery{"e", 9, false, 0}
	require.NoError(t, run(at(1), no, snapshot(8), update(9), mark, update(10)))
	require.NoError(t, run(at(1), no, mark, update(10)), "nothing is retained")
	require.NoError(t, run(&place{0, "d", 8}, no, mark, update(10)), "the engine was started again")
	require.ErrorContains(t, run(at(1), no, update(8)), "begins with")
	require.ErrorContains(t, run(at(1), no, snapshot(7), update(9)), "came after", "a gap behind the snapshot")
	require.ErrorContains(t, run(at(1), no, snapshot(8), mark), "the end mark came at")
	require.ErrorContains(t, run(at(1), no, mark, update(11)), "came after", "a gap where nothing was sent")
	require.ErrorContains(t, run(at(5), no), "could be recovered from")
	require.ErrorContains(t, run(at(10), no), "could be recovered from", "the numbering went back")
	require.ErrorContains(t, run(&place{1, "d", 8}, no), "the epoch changed")
	require.ErrorContains(t, run(nil, no), "recovery asked for: false")

	require.NoError(t, run(nil, nil, snapshot(2), update(3), mark, update(4)))
	require.NoError(t, run(nil, nil, mark, update(7), update(8)))
	require.ErrorContains(t, run(nil, nil, mark, update(7), update(9)), "came after")
	require.ErrorContains(t, (&follower{}).publication(*at(1), "update"), "before the answer")
}

// TestTheAnswerToASyncRequestToldFromAWrongOne does the same for what a sync_request is answered with.
func TestTheAnswerToASyncRequestToldFromAWrongOne(t *testing.T) {
	places := func(seqs ...uint64) (all []place) {
		for _, seq := range seqs {
			all = append(all, place{1, "e", seq})
		}
		return all
	}
	at := place{1, "e", 7}
	require.NoError(t, checkSync("t", 5, 5, at, places(6, 7, 8)))
	require.NoError(t, checkSync("t", 5, 1, at, places(4, 5, 6, 7, 8)), "the rest is not kept any more")
	require.NoError(t, checkSync("t", 5, 7, at, nil))
	require.Error(t, checkSync("t", 5, 6, at, nil))
	require.Error(t, checkSync("t", 5, 5, at, places(6, 8)))
	require.Error(t, checkSync("t", 5, 5, at, places(6)))
	require.Error(t, checkSync("t", 5, 5, at, places(5, 6, 7)))
	require.Error(t, checkSync("t", 5, 4, at, places(6, 7, 8)))
	require.Error(t, checkSync("t", 5, 5, place{2, "f", 7}, places(6, 7)))
}

// TestTheLedgerTellsWhatNobodyMayContradict does the same for what all of them see together.
func TestTheLedgerTellsWhatNobodyMayContradict(t *testing.T) {
	l := newLedger()
	require.NoError(t, l.record("t", place{1, "e", 1}, "a"))
	require.NoError(t, l.record("t", place{1, "e", 1}, "a"))
	require.Error(t, l.record("t", place{1, "e", 1}, "b"), "two at one place")
	require.Error(t, l.record("t", place{1, "e", 2}, "a"), "one at two places")
	require.NoError(t, l.record("t", place{2, "f", 2}, "a"), "in another engine")
	require.Equal(t, place{2, "f", 2}, l.end("t"))
	require.ErrorContains(t, l.holes(2), "before f:2 of engine 2")
	require.NoError(t, l.record("t", place{2, "f", 1}, "c"))
	require.NoError(t, l.holes(2))
}

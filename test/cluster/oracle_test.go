package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is right, apart from how it is brought about: what a subscriber may see next of a topic, and that all who see a publication
// see the same one.

// place is where a topic is read to.
type place struct {
	epoch string
	seq   uint64
}

// noEpoch is the epoch of a topic that keeps no history, and of no topic that does.
const noEpoch = "00000000"

func (p place) next() place    { p.seq++; return p }
func (p place) String() string { return fmt.Sprintf("%s:%d", p.epoch, p.seq) }

// recovery is what is told of a topic: in the answer to a subscription, or by itself when it could not be kept going.
type recovery struct {
	Epoch     string
	Offset    uint64
	Recovered bool
	Count     uint64
}

func (r recovery) place() place { return place{r.Epoch, r.Offset} }

// follower checks what one connection sees of one topic: a subscription is answered, then comes what is missed, or a snapshot
// and what follows it, then the end mark, and from there on every publication once and in order, until the client is told
// that the topic begins anew.
type follower struct {
	topic string
	kept  uint64 // publications that the topic's class keeps
	asked place
	state int  // joining, syncing, live
	known bool // at is where the client is
	at    place
	end   place // what the end mark has to have brought the client to
	told  int   // how often it was told that publications may be missing
	loose bool  // somebody forges numbers: what was seen last may be beyond the truth
}

const (
	joining = iota
	syncing
	live
)

// answered takes the answer to the subscription.
func (f *follower) answered(r recovery) error {
	f.state, f.end = syncing, r.place()
	switch same := f.asked.epoch == r.Epoch && r.Epoch != noEpoch; {
	case r.Recovered && (!same || r.Offset-f.asked.seq != r.Count):
		return fmt.Errorf("%s: recovered from %v with %+v", f.topic, f.asked, r)
	case r.Recovered:
		f.at, f.known = f.asked, true
	case same && !f.loose && (f.asked.seq > r.Offset || r.Offset-f.asked.seq <= f.kept):
		return fmt.Errorf("%s: %v could be recovered from, and was not: %+v", f.topic, f.asked, r)
	case f.asked.epoch != noEpoch:
		f.told++
	}
	return nil
}

// restarted takes what comes unasked where the node lost its way.
func (f *follower) restarted(r recovery) error {
	switch {
	case f.state == joining:
		return fmt.Errorf("%s: begins anew with %+v before the subscription is answered", f.topic, r)
	case r.Recovered:
		return fmt.Errorf("%s: begins anew and says that nothing is missing: %+v", f.topic, r)
	case f.known && !f.loose && f.at.epoch == r.Epoch && r.Epoch != noEpoch && r.Offset < f.at.seq:
		return fmt.Errorf("%s: went back from %v to %+v", f.topic, f.at, r)
	}
	f.state, f.known, f.end = syncing, false, r.place()
	f.told++
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
	case f.state == syncing && (p.epoch != f.end.epoch || p.seq > f.end.seq):
		return fmt.Errorf("%s: %v came before the end mark, and %v was said", f.topic, p, f.end)
	}
	f.at, f.known = p, true
	return nil
}

// complete takes the end mark.
func (f *follower) complete() error {
	switch {
	case f.state == joining:
		return fmt.Errorf("%s: the end mark came before the answer", f.topic)
	case !f.known:
		f.at, f.known = f.end, true
	case f.state == syncing && f.at != f.end:
		return fmt.Errorf("%s: %v was said, and the end mark came at %v", f.topic, f.end, f.at)
	}
	f.state = live
	return nil
}

// ledger is what is known of all topics: which publication has which number. Publishers put in what they are answered, and
// every subscriber what it sees.
type ledger struct {
	mu       sync.Mutex
	ids      map[string]map[place]string // by topic; guarded by mu
	places   map[string]place            // by topic, epoch and id; guarded by mu
	foreign  map[string]bool             // ids that nobody published properly; guarded by mu
	accepted int                         // guarded by mu
}

func newLedger() *ledger {
	return &ledger{ids: make(map[string]map[place]string), places: make(map[string]place), foreign: make(map[string]bool)}
}

// record says that the publication with an id has a place, which nobody may contradict. Places of topics that show no epoch are not
// told apart when the numbers begin anew, and are not kept.
func (l *ledger) record(topic string, p place, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.epoch == noEpoch || l.foreign[id] {
		return nil
	}
	if before, ok := l.ids[topic][p]; ok {
		if before != id && !l.foreign[before] {
			return fmt.Errorf("%s: %v is %q to one and %q to another", topic, p, before, id)
		}
		return nil
	}
	key := fmt.Sprintf("%s %s %s", topic, p.epoch, id)
	if before, ok := l.places[key]; ok {
		return fmt.Errorf("%s: %q was published twice, at %v and %v", topic, id, before, p)
	}
	if l.ids[topic] == nil {
		l.ids[topic] = make(map[place]string)
	}
	l.ids[topic][p], l.places[key] = id, p
	return nil
}

// forge says that an id is that of a publication which imitates a node's.
func (l *ledger) forge(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.foreign[id] = true
}

// accept records what a publisher was answered.
func (l *ledger) accept(topic string, p place, id string) error {
	l.mu.Lock()
	l.accepted++
	l.mu.Unlock()
	return l.record(topic, p, id)
}

// seen is a step of a made-up connection: a publication's number and type, or, with seq 0, the end mark, or being told.
type seen struct {
	seq  uint64
	kind string
	told *recovery
}

// TestTheFollowerOfATopicToldFromOneThatLostItsWay keeps the oracle honest: it has to find each kind of fault.
func TestTheFollowerOfATopicToldFromOneThatLostItsWay(t *testing.T) {
	run := func(asked place, r recovery, steps ...seen) error {
		f := &follower{topic: "t", kept: 5, asked: asked}
		if err := f.answered(r); err != nil {
			return err
		}
		for _, s := range steps {
			err := error(nil)
			switch {
			case s.told != nil:
				err = f.restarted(*s.told)
			case s.seq == 0:
				err = f.complete()
			default:
				err = f.publication(place{f.end.epoch, s.seq}, s.kind)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	at := func(seq uint64) place { return place{"e", seq} }
	mark := seen{}
	update := func(seq uint64) seen { return seen{seq: seq, kind: "update"} }
	snapshot := func(seq uint64) seen { return seen{seq: seq, kind: "a_snapshot"} }
	told := func(epoch string, seq uint64) seen { return seen{told: &recovery{Epoch: epoch, Offset: seq}} }

	yes := recovery{"e", 3, true, 2}
	require.NoError(t, run(at(1), yes, update(2), update(3), mark, update(4)))
	require.ErrorContains(t, run(at(1), yes, update(3)), "e:3 came after e:1", "one was left out of the replay")
	require.ErrorContains(t, run(at(1), yes, update(2), update(2)), "came after", "one came twice")
	require.ErrorContains(t, run(at(1), yes, update(2), mark), "the end mark came at e:2")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), update(4)), "before the end mark")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, update(5)), "came after", "a gap between replay and live")
	require.ErrorContains(t, run(at(1), recovery{"e", 4, true, 2}), "recovered from")
	require.ErrorContains(t, run(place{"d", 1}, yes), "recovered from", "of another epoch")

	no := recovery{"e", 9, false, 0}
	require.NoError(t, run(at(1), no, snapshot(8), update(9), mark, update(10)))
	require.NoError(t, run(place{"d", 8}, no, mark, update(10)), "another epoch")
	require.ErrorContains(t, run(at(1), no, update(8)), "begins with")
	require.ErrorContains(t, run(at(1), no, snapshot(7), update(9)), "came after", "a gap behind the snapshot")
	require.ErrorContains(t, run(at(5), no), "could be recovered from")
	require.ErrorContains(t, run(at(10), no), "could be recovered from", "the numbering went back")

	require.NoError(t, run(at(1), yes, update(2), update(3), mark, told("e", 9), snapshot(9), mark, update(10)), "told of a gap")
	require.NoError(t, run(at(1), yes, update(2), update(3), mark, told("f", 1), mark, update(2)), "told of another epoch")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, told("e", 2)), "went back")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, told("e", 9), mark, update(11)), "came after")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, told("e", 9), update(10)), "begins with")
	require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, seen{told: &recovery{"e", 4, true, 1}}), "nothing is missing")
	require.ErrorContains(t, (&follower{}).restarted(no), "before the subscription")
	require.ErrorContains(t, (&follower{}).publication(at(1), "update"), "before the answer")
}

// TestTheLedgerTellsWhatNobodyMayContradict does the same for what all of them see together.
func TestTheLedgerTellsWhatNobodyMayContradict(t *testing.T) {
	l := newLedger()
	require.NoError(t, l.record("t", place{"e", 1}, "a"))
	require.NoError(t, l.record("t", place{"e", 1}, "a"))
	require.ErrorContains(t, l.record("t", place{"e", 1}, "b"), "to another", "two at one place")
	require.ErrorContains(t, l.record("t", place{"e", 2}, "a"), "published twice", "one at two places")
	require.NoError(t, l.record("t", place{"f", 2}, "a"), "in another epoch")
	l.forge("x")
	require.NoError(t, l.record("t", place{"f", 2}, "x"))
}

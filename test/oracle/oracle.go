// Package oracle says what is right, apart from how it is brought about: what a subscriber may see next of a topic, and that all
// who see a publication see the same one. Tests in which things happen at random are judged by it.
//
// Ownership: a [Follower] belongs to one goroutine; a [Ledger] is for all of them.
package oracle

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Place is where a topic is read to.
type Place struct {
	Run   int // the engine process that keeps the topic, counted from 1; 0: it is kept elsewhere, and may begin anew at any time
	Epoch string
	Seq   uint64
}

// NoEpoch is the epoch of a topic that keeps no history, and of no topic that does.
const NoEpoch = "00000000"

// Next returns the place of the publication that follows.
func (p Place) Next() Place { p.Seq++; return p }

// String implements fmt.Stringer.
func (p Place) String() string {
	text := fmt.Sprintf("%s:%d", p.Epoch, p.Seq)
	if p.Run > 0 {
		text += fmt.Sprintf(" of engine %d", p.Run)
	}
	return text
}

// Recovery is what is told of a topic: in the answer to a subscription, or by itself when it could not be kept going.
type Recovery struct {
	Epoch     string
	Offset    uint64
	Recovered bool
	Count     uint64
}

// Follower checks what one connection sees of one topic (PROTOCOL §2.5): a subscription is answered, then comes what is missed, or
// a snapshot and what follows it, then the end mark, and from there on every publication once and in order, until the client is
// told that the topic begins anew.
type Follower struct {
	Topic string
	Kept  uint64 // publications that the topic's class keeps
	Asked *Place // nil where no position was asked for
	Loose bool   // somebody forges numbers: what was seen last may be beyond the truth

	At    Place // where the client is
	Known bool  // At is
	Told  int   // how often it was told that publications may be missing
	state state
	end   *Place // what the end mark has to have brought the client to, where the answer tells it
}

type state int

const (
	joining state = iota
	syncing
	live
)

// Joined returns a follower of a topic that a pattern brought: it is live, and nobody knows where.
func Joined(topic string, kept uint64) *Follower {
	return &Follower{Topic: topic, Kept: kept, state: live}
}

// Live reports whether the end mark has come.
func (f *Follower) Live() bool { return f.state == live }

// Answered takes the answer to the subscription by an engine, as in [Place]; r is nil where it tells nothing of a position.
func (f *Follower) Answered(run int, r *Recovery) error {
	f.state = syncing
	if (r == nil) != (f.Asked == nil) {
		return fmt.Errorf("%s: recovery asked for: %v, answered: %v", f.Topic, f.Asked != nil, r != nil)
	}
	if r == nil {
		return nil
	}
	f.end = &Place{run, r.Epoch, r.Offset}
	was, kept := *f.Asked, f.Asked.Epoch != NoEpoch && r.Epoch != NoEpoch
	switch same := kept && was.Epoch == r.Epoch && was.Run == run; {
	case r.Recovered && (!same || r.Offset-was.Seq != r.Count):
		return fmt.Errorf("%s: recovered from %v with %+v", f.Topic, was, *r)
	case r.Recovered:
		f.At, f.Known = was, true
	case same && !f.Loose && (was.Seq > r.Offset || r.Offset-was.Seq <= f.Kept):
		return fmt.Errorf("%s: %v could be recovered from, and was not: %+v", f.Topic, was, *r)
	case kept && !same && run > 0 && was.Run == run:
		return fmt.Errorf("%s: the epoch changed from %v to %+v in one engine", f.Topic, was, *r)
	case was.Epoch != NoEpoch:
		f.Told++
	}
	return nil
}

// Restarted takes what comes unasked where a node lost its way to where the topic is kept.
func (f *Follower) Restarted(r Recovery) error {
	switch {
	case f.state == joining:
		return fmt.Errorf("%s: begins anew with %+v before the subscription is answered", f.Topic, r)
	case r.Recovered:
		return fmt.Errorf("%s: begins anew and says that nothing is missing: %+v", f.Topic, r)
	case f.Known && !f.Loose && f.At.Epoch == r.Epoch && r.Epoch != NoEpoch && r.Offset < f.At.Seq:
		return fmt.Errorf("%s: went back from %v to %+v", f.Topic, f.At, r)
	}
	f.state, f.Known, f.end = syncing, false, &Place{Epoch: r.Epoch, Seq: r.Offset}
	f.Told++
	return nil
}

// Publication takes one that came.
func (f *Follower) Publication(p Place, kind string) error {
	switch {
	case f.state == joining:
		return fmt.Errorf("%s: %v came before the answer", f.Topic, p)
	case f.Known && p != f.At.Next():
		return fmt.Errorf("%s: %v came after %v (live: %v)", f.Topic, p, f.At, f.Live())
	case f.state == syncing && !f.Known && !strings.Contains(kind, "snapshot"):
		return fmt.Errorf("%s: the initial sync begins with %q, %v", f.Topic, kind, p)
	case f.state == syncing && f.end != nil && (p.Run != f.end.Run || p.Epoch != f.end.Epoch || p.Seq > f.end.Seq):
		return fmt.Errorf("%s: %v came before the end mark, and %v was said", f.Topic, p, *f.end)
	}
	f.At, f.Known = p, true
	return nil
}

// Complete takes the end mark.
func (f *Follower) Complete() error {
	switch {
	case f.state == joining:
		return fmt.Errorf("%s: the end mark came before the answer", f.Topic)
	case f.end == nil:
	case !f.Known:
		f.At, f.Known = *f.end, true
	case f.state == syncing && f.At != *f.end:
		return fmt.Errorf("%s: %v was said, and the end mark came at %v", f.Topic, *f.end, f.At)
	}
	f.state = live
	return nil
}

// Ledger is what is known of all topics: which publication has which number. Publishers put in what they are answered, and every
// client what it sees.
type Ledger struct {
	mu      sync.Mutex
	ids     map[string]map[Place]string // by topic; guarded by mu
	places  map[publication]Place       // guarded by mu
	foreign map[string]bool             // ids that nobody published properly; guarded by mu
}

// publication is one that has a single place: as long as an engine lives, or an epoch lasts that is not an engine's.
type publication struct {
	topic, epoch, id string
	run              int
}

// NewLedger returns a ledger that knows of nothing.
func NewLedger() *Ledger {
	return &Ledger{ids: make(map[string]map[Place]string), places: make(map[publication]Place), foreign: make(map[string]bool)}
}

// Record says that the publication with an id has a place, which nobody may contradict, and reports whether that is new. Places of
// topics that show no epoch and are no engine's are not told apart when the numbers begin anew, and are not kept.
func (l *Ledger) Record(topic string, p Place, id string) (isNew bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Run == 0 && p.Epoch == NoEpoch || l.foreign[id] {
		return false, nil
	}
	if before, ok := l.ids[topic][p]; ok {
		if before != id && !l.foreign[before] {
			return false, fmt.Errorf("%s: %v is %q to one and %q to another", topic, p, before, id)
		}
		return false, nil
	}
	key := publication{topic: topic, id: id, run: p.Run}
	if p.Run == 0 {
		key.epoch = p.Epoch
	}
	if before, ok := l.places[key]; ok {
		return false, fmt.Errorf("%s: %q was published twice, at %v and %v", topic, id, before, p)
	}
	if l.ids[topic] == nil {
		l.ids[topic] = make(map[Place]string)
	}
	l.ids[topic][p], l.places[key] = id, p
	return true, nil
}

// Forge says that an id is that of a publication which imitates a node's.
func (l *Ledger) Forge(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.foreign[id] = true
}

// Knows reports whether a publication has a place.
func (l *Ledger) Knows(topic, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, known := range l.ids[topic] {
		if known == id {
			return true
		}
	}
	return false
}

// Holes tells which numbers of an engine's nobody knows of, though a later one is known.
func (l *Ledger) Holes(run int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for topic, known := range l.ids {
		for p := range known {
			before := p
			if before.Seq--; p.Run == run && before.Seq > 0 && known[before] == "" {
				errs = append(errs, fmt.Errorf("%s: nobody knows of the publication before %v", topic, p))
			}
		}
	}
	return errors.Join(errs...)
}

package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/wse-engine/wse/test/oracle"
)

// subscriber is a client that comes and goes, and knows where it read to.
type subscriber struct {
	name, user, form string
	rng              *rand.Rand
	world            *world
	topics           []string // that it names
	wild             []string // patterns that it names besides
	at               map[string]oracle.Place

	*session // nil while it is away
	follows  map[string]*oracle.Follower
	wildLive bool              // the patterns are subscribed to
	asked    map[string]*asked // subscriptions under way, by id
	members  uint64            // the version of the last presence notice
	got      int               // publications since it connected
	last     map[string]bool   // topics whose last publication came
}

// asked is a subscription under way.
type asked struct {
	topics []string
	wild   bool // and the patterns
}

// closes reports whether an end mark follows the answer: where the class of one of the topics retains snapshots.
func (a *asked) closes() bool {
	return a.wild || slices.ContainsFunc(a.topics, func(t string) bool { return !strings.HasPrefix(t, "public:") })
}

// fireTopic returns the topic of a publication; those of topics without history have it in the payload only.
func fireTopic(m *said) (topic string, err error) {
	if m.Tp == "" {
		var p struct{ In string }
		err := json.Unmarshal(m.P, &p)
		return p.In, err
	}
	if m.O != m.Seq || !bytes.Contains(m.P, []byte(`"in":"`+m.Tp+`"`)) {
		return "", fmt.Errorf("a publication came as %q %d: %+v", m.Tp, m.O, m)
	}
	return m.Tp, nil
}

// take checks a message and acts on it.
func (s *subscriber) take(m *said) error {
	switch {
	case m.Seq > 0:
		return s.publication(m)
	case m.T == "subscription_update":
		return s.answered(m)
	case m.T == "snapshot_complete":
		return s.complete(m)
	case m.T == "error":
		return fmt.Errorf("an error came: %s", m.P)
	case strings.HasPrefix(m.T, "presence_") && m.T != "presence_update_response":
		return s.notice(m)
	}
	return nil
}

func (s *subscriber) publication(m *said) error {
	topic, err := fireTopic(m)
	if err != nil {
		return err
	}
	p := s.placeOf(m)
	if err := s.world.ledger.record(topic, p, m.ID); err != nil {
		return err
	}
	s.got++
	f := s.follows[topic]
	if f == nil {
		if !s.wildLive || !s.wanted(topic) {
			return fmt.Errorf("%s: %v came, which is not subscribed to", topic, p)
		}
		f = oracle.Joined(topic, fireKept)
		s.follows[topic] = f
	}
	if err := f.Publication(p, m.T); err != nil {
		return err
	}
	s.at[topic] = f.At
	s.last[topic] = s.last[topic] || m.T == fireLast
	return nil
}

// wanted reports whether one of the patterns covers a topic.
func (s *subscriber) wanted(topic string) bool {
	return slices.ContainsFunc(s.wild, func(w string) bool { return strings.HasPrefix(topic, strings.TrimSuffix(w, "*")) })
}

func (s *subscriber) placeOf(m *said) oracle.Place {
	p := oracle.Place{Run: s.run.n, Epoch: m.E, Seq: m.Seq}
	if p.Epoch == "" {
		p.Epoch = oracle.NoEpoch
	}
	return p
}

// notice checks that nothing of who comes and goes is missed. Where the room was empty for a moment its versions go on from the
// clock, in microseconds: far ahead.
func (s *subscriber) notice(m *said) error {
	var p struct{ Version uint64 }
	if err := json.Unmarshal(m.P, &p); err != nil {
		return err
	}
	if s.members != 0 && p.Version != s.members+1 && p.Version < s.members+1000 {
		return fmt.Errorf("%s: version %d of the members came after %d", fireRoom, p.Version, s.members)
	}
	s.members = p.Version
	return nil
}

// subscribe asks for topics, each from where it was read to where that is known, and does not wait.
func (s *subscriber) subscribe(topics []string, wild bool) error {
	type position struct {
		Epoch  string `json:"epoch"`
		Offset uint64 `json:"offset"`
	}
	recover := make(map[string]position)
	for _, topic := range topics {
		f := &oracle.Follower{Topic: topic, Kept: fireKept}
		at, ok := s.at[topic]
		if !ok && s.rng.IntN(2) == 0 { // asked for all the same, the answer tells where live delivery begins
			at, ok = oracle.Place{Epoch: oracle.NoEpoch}, true
		}
		if ok {
			f.Asked = &at
			recover[topic] = position{at.Epoch, at.Seq}
		}
		s.follows[topic] = f
	}
	names := slices.Clone(topics)
	if wild {
		names = append(names, s.wild...)
	}
	s.rng.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	id, err := s.send("subscription_update", map[string]any{
		"action": "subscribe", "topics": names, "recover": len(recover) > 0, "recovery": recover,
	})
	s.asked[id] = &asked{topics: topics, wild: wild}
	return err
}

func (s *subscriber) answered(m *said) error {
	a := s.asked[m.CID]
	if a == nil {
		return nil // to something else
	}
	var p struct {
		Success  bool
		Recovery map[string]*oracle.Recovery
	}
	if err := json.Unmarshal(m.P, &p); err != nil {
		return err
	}
	if !p.Success {
		return fmt.Errorf("subscribing to %v: %s", a.topics, m.P)
	}
	for _, topic := range a.topics {
		f, r := s.follows[topic], p.Recovery[topic]
		if err := f.Answered(s.run.n, r); err != nil {
			return err
		}
		s.world.count(s.run.n, f, r)
	}
	if !a.closes() {
		return s.complete(m)
	}
	return nil
}

func (s *subscriber) complete(m *said) error {
	a := s.asked[m.CID]
	if a == nil {
		return nil // to something else
	}
	for _, topic := range a.topics {
		f := s.follows[topic]
		if err := f.Complete(); err != nil {
			return err
		}
		if f.Known {
			s.at[topic] = f.At
		}
	}
	s.wildLive = s.wildLive || a.wild
	delete(s.asked, m.CID)
	return nil
}

// until reads until done says so of the last message; it is asked before the first one too, with nil.
func (s *subscriber) until(done func(m *said) bool) error {
	for m := (*said)(nil); !done(m); {
		var err error
		if m, err = s.next(); err == nil {
			err = s.take(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settled reads until every subscription under way is live.
func (s *subscriber) settled() error {
	return s.until(func(*said) bool { return len(s.asked) == 0 })
}

// come connects, subscribes to everything, and reads until all of it is live.
func (s *subscriber) come(run *engineRun) (err error) {
	if s.session, err = dialUnderFire(run, s.user, s.form, ""); err != nil {
		return err
	}
	s.follows, s.asked = make(map[string]*oracle.Follower), make(map[string]*asked)
	s.members, s.got, s.wildLive = 0, 0, false
	if s.wild == nil && len(s.topics) > 1 && s.rng.IntN(2) == 0 { // two requests under way at a time
		if err = s.subscribe(s.topics[:1], false); err == nil {
			err = s.subscribe(s.topics[1:], false)
		}
	} else {
		err = s.subscribe(s.topics, s.wild != nil)
	}
	if err != nil {
		return err
	}
	return s.settled()
}

// read reads n publications.
func (s *subscriber) read(n int) error {
	s.world.hungry.Add(1)
	defer s.world.hungry.Add(-1)
	n += s.got
	return s.until(func(*said) bool { return s.got >= n })
}

// again leaves a topic and comes back to it on the same connection: between the two answers nothing of it may come.
func (s *subscriber) again(topic string) error {
	id, err := s.send("subscription_update", map[string]any{"action": "unsubscribe", "topics": []string{topic}})
	if err != nil {
		return err
	}
	if err := s.until(func(m *said) bool { return m != nil && m.T == "subscription_update" && m.CID == id }); err != nil {
		return err
	}
	delete(s.follows, topic)
	if err := s.subscribe([]string{topic}, false); err != nil {
		return err
	}
	return s.settled()
}

// resync asks for what follows a place. The answer stands together before its end mark: before it comes what was live.
func (s *subscriber) resync(topic string, from oracle.Place) error {
	asked := oracle.Place{Run: from.Run, Epoch: from.Epoch}
	if f := s.follows[topic]; f.Known {
		asked = f.At
	}
	id, err := s.send("sync_request", map[string]any{
		"topics": []string{topic}, "include_history": true, "include_snapshots": s.rng.IntN(2) == 0, "last_sequence": from.Seq,
	})
	if err != nil {
		return err
	}
	var before []*said
	for {
		m, err := s.next()
		switch {
		case err != nil:
			return err
		case m.Seq > 0:
			before = append(before, m)
		case m.CID != id:
			err = s.take(m)
		case m.T != "snapshot_complete":
			err = fmt.Errorf("%s: the answer to a sync_request is %q: %s", topic, m.T, m.P)
		default:
			return s.synced(topic, from.Seq, asked, before, m)
		}
		if err != nil {
			return err
		}
	}
}

// synced takes the end mark of a sync_request, and the publications that came before it.
func (s *subscriber) synced(topic string, last uint64, asked oracle.Place, before []*said, end *said) error {
	var p struct {
		Snapshots int `json:"snapshots_sent"`
		Details   struct {
			History int `json:"history_sent"`
		}
	}
	if err := json.Unmarshal(end.P, &p); err != nil {
		return err
	}
	first := len(before) - p.Details.History
	if first < p.Snapshots {
		return fmt.Errorf("%s: %d publications came before %s", topic, len(before), end.P)
	}
	for _, m := range before[:first-p.Snapshots] {
		if err := s.publication(m); err != nil {
			return err
		}
	}
	var history []oracle.Place
	for _, m := range before[first-p.Snapshots:] {
		name, err := fireTopic(m)
		if err == nil && name != topic {
			err = fmt.Errorf("%s: %q came in its history", topic, name)
		}
		if err == nil {
			err = s.world.ledger.record(topic, s.placeOf(m), m.ID)
		}
		if err != nil {
			return err
		}
		history = append(history, s.placeOf(m))
	}
	return checkSync(topic, fireKept, last, asked, history[p.Snapshots:])
}

// goodbye closes the connection politely, and reads what still comes.
func (s *subscriber) goodbye() error {
	if err := s.c.close(1000); err != nil && !s.run.over() {
		return err
	}
	err := s.until(func(*said) bool { return false })
	s.c.shut()
	if errors.Is(err, closedWith(1000)) {
		return nil
	}
	return err
}

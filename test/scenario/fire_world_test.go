package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws"

	"github.com/wse-engine/wse/test/oracle"
)

// world is one run of the test: an engine under fire, who publishes, who reads, and who attacks. Everything that anybody
// chooses follows from the seed; what becomes of it depends on when, too.
type world struct {
	ctx    context.Context
	seed   uint64
	stage  *stage
	ledger *ledger
	note   func(format string, args ...any) // tells what has happened

	recovered, tooLate, otherEpoch, fresh atomic.Int64 // how subscriptions went
	hungry                                atomic.Int64 // who waits for publications

	mu       sync.Mutex
	moved    sync.Cond
	lives    int                 // connections that clients came and went with; guarded by mu
	wave     int                 // how often all clients were dropped at once; guarded by mu
	cut      chan struct{}       // closed when the network fails for all; guarded by mu
	inside   map[*subscriber]int // who has come to stay, in which wave at last; guarded by mu
	attacked map[string]int      // by attack; guarded by mu
	calm     bool                // nobody publishes or attacks any more; guarded by mu
	faults   []error             // guarded by mu
}

func newWorld(ctx context.Context, seed uint64, s *stage) *world {
	w := &world{
		ctx: ctx, seed: seed, stage: s, ledger: newLedger(),
		cut: make(chan struct{}), inside: make(map[*subscriber]int), attacked: make(map[string]int),
	}
	w.moved.L = &w.mu
	return w
}

// rng returns the choices of the n-th of some kind.
func (w *world) rng(kind string, n int) *rand.Rand {
	stream := uint64(n)
	for _, c := range []byte(kind) {
		stream = stream*257 + uint64(c) + 1
	}
	return rand.New(rand.NewPCG(w.seed, stream))
}

// fail keeps an error and ends everything: the first one is what counts.
func (w *world) fail(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	first := len(w.faults) == 0
	w.faults = append(w.faults, err)
	w.calm = true
	w.moved.Broadcast()
	w.mu.Unlock()
	if first {
		w.ledger.close()
		w.stage.abandon()
	}
}

// fault returns what went wrong first, with what followed from that, nil where nothing did.
func (w *world) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.faults[:min(3, len(w.faults))]...)
}

// quiet reports that nobody publishes or attacks any more.
func (w *world) quiet() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm
}

// change changes the state under its lock, and tells who waits for it.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.moved.Broadcast()
}

// await waits until the state is as ok says, or something went wrong.
func (w *world) await(ok func() bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !ok() && len(w.faults) == 0 {
		w.moved.Wait()
	}
	return len(w.faults) == 0
}

// count counts how a subscription to a topic with history went.
func (w *world) count(run int, f *oracle.Follower, r *oracle.Recovery) {
	switch {
	case r != nil && r.Epoch == oracle.NoEpoch:
	case r == nil || f.Asked.Epoch == oracle.NoEpoch:
		w.fresh.Add(1)
	case r.Recovered:
		w.recovered.Add(1)
	case f.Asked.Run == run:
		w.tooLate.Add(1)
	default:
		w.otherEpoch.Add(1)
	}
}

// newSubscriber makes the n-th subscriber: whose it is, the form it takes messages in, and what it is subscribed to.
func (w *world) newSubscriber(n int) *subscriber {
	rng := w.rng("subscriber", n)
	forms := Encodings()
	s := &subscriber{
		name: "subscriber " + strconv.Itoa(n), rng: rng, world: w, form: forms[rng.IntN(len(forms))], at: make(map[string]oracle.Place), last: make(map[string]bool),
	}
	all := fireShared()
	if n%5 == 0 { // nobody else is this user: that it comes and goes is told in the room
		s.user = "solo" + strconv.Itoa(n)
	} else {
		s.user = fireUsers()[n%2]
		all = append(all, fireOwn(s.user)...)
		switch rng.IntN(4) {
		case 0:
			s.wild = []string{"user:" + s.user + ":*"}
		case 1:
			s.wild = []string{"stream:market_data:*", "user:" + s.user + ":*"}
		}
	}
	rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	s.topics = all[:1+rng.IntN(2)]
	if n%8 == 0 { // all of them in one request, which takes its time: more is published meanwhile
		s.topics = all
	}
	if n%5 == 0 || rng.IntN(8) == 0 {
		s.topics = append(s.topics, fireRoom)
	}
	return s
}

// play has a subscriber come and go, and at last come to stay.
func (s *subscriber) play(lives int) error {
	for lives > 0 {
		run := s.world.stage.serving()
		if run == nil {
			return nil
		}
		err := s.live(run)
		err = s.explain(err)
		if s.session != nil {
			s.reset()
			s.session = nil
		}
		switch {
		case errors.Is(err, errEnded):
			continue
		case err != nil:
			return err
		}
		lives--
		s.world.change(func() { s.world.lives++ })
		s.away(s.rng.IntN(2) * s.rng.IntN(150)) // at times for longer than history reaches
	}
	return s.stay()
}

// away waits while n publications are made.
func (s *subscriber) away(n int) {
	s.world.hungry.Add(1)
	defer s.world.hungry.Add(-1)
	s.world.ledger.wait(n)
}

// explain adds to an error who had it, and what came before it.
func (s *subscriber) explain(err error) error {
	if err == nil || errors.Is(err, errEnded) || errors.Is(err, errCut) {
		return err
	}
	err = fmt.Errorf("%s of %s, %s, with %v and %v: %w", s.name, s.user, s.form, s.topics, s.wild, err)
	if s.session != nil {
		err = fmt.Errorf("%w; before that:\n  %s", err, strings.Join(s.came, "\n  "))
	}
	return err
}

// live is one connection, from coming to going.
func (s *subscriber) live(run *engineRun) error {
	before := make(map[string]oracle.Place)
	if s.rng.IntN(4) == 0 { // come back by sync_request: the subscription says nothing of where it was
		before, s.at = s.at, make(map[string]oracle.Place)
	}
	if err := s.come(run); err != nil {
		return err
	}
	for topic, at := range before {
		if slices.Contains(s.topics, topic) && at.Run == run.n && at.Epoch != oracle.NoEpoch {
			if err := s.resync(topic, at); err != nil {
				return err
			}
		}
	}
	for range s.rng.IntN(4) {
		if err := s.act(); err != nil {
			return err
		}
	}
	return s.leave()
}

// act does one thing that clients do.
func (s *subscriber) act() error {
	topic := s.topics[s.rng.IntN(len(s.topics))]
	f := s.follows[topic]
	kept := topic != fireNews && topic != fireRoom
	switch s.rng.IntN(6) {
	case 0:
		if kept && s.wild == nil {
			return s.again(topic)
		}
	case 1:
		if kept && f.Known {
			from := f.At
			from.Seq -= min(from.Seq, s.rng.Uint64N(2*fireKept))
			return s.resync(topic, from)
		}
	case 2:
		if topic == fireRoom {
			_, err := s.send("presence_update", map[string]any{"topic": topic, "data": map[string]any{"mood": s.got}})
			return err
		}
	}
	return s.read(s.rng.IntN(12))
}

// leave ends the connection in one of the ways in which connections end.
func (s *subscriber) leave() error {
	switch s.rng.IntN(4) {
	case 0:
		return s.goodbye()
	case 1: // in the middle of a frame
		_ = s.c.frame(ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: 100}, []byte(`{"t":"subscr`))
	case 2: // with a request under way
		_, _ = s.send("subscription_update", map[string]any{"action": "subscribe", "topics": []string{"sync_progress"}})
	}
	s.reset()
	return nil
}

// stay comes back and reads on, through whatever happens to the engine and the network, until the last publication of
// everything that it is subscribed to. Then it leaves.
func (s *subscriber) stay() error {
	for {
		run, wave, cut := s.world.stage.serving(), 0, (chan struct{})(nil)
		if run == nil {
			return nil
		}
		s.world.change(func() { wave, cut = s.world.wave, s.world.cut })
		err := s.come(run)
		if err == nil {
			s.world.change(func() { s.world.inside[s] = wave })
			s.cut = cut
			err = s.until(func(*said) bool { return s.finished() })
		}
		err = s.explain(err)
		if err == nil {
			return s.goodbye()
		}
		if s.session != nil {
			s.reset()
			s.session = nil
		}
		if !errors.Is(err, errEnded) && !errors.Is(err, errCut) {
			return err
		}
	}
}

// finished reports whether the last publication of everything subscribed to has come.
func (s *subscriber) finished() bool {
	for _, topic := range s.topics {
		if topic != fireRoom && !s.last[topic] {
			return false
		}
	}
	for _, topic := range firePublished() {
		if s.wanted(topic) && !s.last[topic] {
			return false
		}
	}
	return true
}

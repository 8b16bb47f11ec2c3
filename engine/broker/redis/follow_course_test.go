package redis

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// world is a model of everything around one course: a server that numbers and keeps, a channel that brings in order what was
// published while it was whole, and a sink that checks what it is told.
type world struct {
	t      testing.TB
	keep   int // publications kept; 0: no history
	course *course
	trace  strings.Builder

	epoch  message.Epoch
	epoch0 message.Epoch // the last one given out
	log    []*message.Envelope
	ids    int
	truth  map[string]bool // texts that the server has numbered

	cuts, forgeries int

	whole bool
	queue []string // "!" stands for the confirmation of a subscription

	put    *question // under way
	done   bool      // the server has answered put
	answer broker.History
	at     place

	joined   bool // interest in the topic was confirmed
	since    int  // ids from here on have to arrive
	segment  []*message.Envelope
	begin    place
	begun    bool
	restarts int
	lives    int // epochs that the server has given out after the first
	got      map[string]int
}

func newWorld(t testing.TB, keep int, open bool) *world {
	w := &world{t: t, keep: keep, epoch: 1, epoch0: 1, truth: map[string]bool{}, got: map[string]int{}}
	w.course = &course{out: w, tally: &tally{heldBytesMax: 1 << 10}, seed: maphash.MakeSeed(), open: open}
	w.connect()
	return w
}

func (w *world) decode(raw string) (*message.Envelope, error) {
	env := &message.Envelope{}
	if _, err := fmt.Sscanf(raw, "%d/%d/%s", &env.Epoch, &env.Seq, &env.ID); err != nil {
		return nil, err
	}
	return env, nil
}

func text(env *message.Envelope) string { return fmt.Sprintf("%d/%d/%s", env.Epoch, env.Seq, env.ID) }

func (w *world) deliver(env *message.Envelope) {
	fmt.Fprintf(&w.trace, " [%s]", text(env))
	if !w.begun {
		w.begun, w.begin = true, place{env.Epoch, env.Seq - 1}
	}
	require.Equal(w.t, w.begin.seq+uint64(len(w.segment))+1, env.Seq, w)
	w.segment = append(w.segment, env)
	w.got[env.ID]++
}

func (w *world) restart(h broker.History) {
	fmt.Fprintf(&w.trace, " [restart %d/%d]", h.Position.Epoch, h.Position.Offset)
	w.restarts++
	w.begun, w.begin, w.segment = true, place{0, h.Position.Offset}, nil
}

func (w *world) String() string { return w.trace.String() }

func (w *world) publish() {
	w.ids++
	env := &message.Envelope{Seq: uint64(len(w.log)) + 1, Epoch: w.epoch, ID: fmt.Sprintf("p%d", w.ids)}
	w.log = append(w.log, env)
	w.truth[text(env)] = true
	if w.whole {
		w.queue = append(w.queue, text(env))
	}
}

// forge puts a publication on the channel that the server has not numbered.
func (w *world) forge(epoch message.Epoch, seq uint64, garbage bool) {
	w.ids++
	raw := text(&message.Envelope{Seq: seq, Epoch: epoch, ID: fmt.Sprintf("f%d", w.ids)})
	if w.whole && seq > 0 {
		w.forgeries++
		if garbage {
			raw = fmt.Sprintf("%d/%d", epoch, seq)
		}
		w.queue = append(w.queue, raw)
	}
}

func (w *world) cut() {
	w.cuts++
	w.whole, w.queue = false, nil
}

func (w *world) connect() {
	if !w.whole {
		w.whole = true
		w.queue = append(w.queue, "!")
	}
}

// lose begins a new life of the topic, without its last publications.
func (w *world) lose(n int) {
	w.epoch0++
	w.lives++
	w.epoch = w.epoch0
	w.log = append([]*message.Envelope(nil), w.log[:max(0, len(w.log)-n)]...)
	for i, env := range w.log { // what is read is of the topic's epoch of now
		again := *env
		again.Epoch = w.epoch
		w.log[i] = &again
		w.truth[text(&again)] = true
	}
}

func (w *world) bring() {
	if len(w.queue) == 0 {
		return
	}
	raw := w.queue[0]
	w.queue = w.queue[1:]
	if raw == "!" {
		if !w.joined {
			w.joined, w.since = true, w.ids
			w.course.demand(look)
		} else {
			w.course.interrupt()
		}
		return
	}
	var at place
	_, err := fmt.Sscanf(raw, "%d/%d", &at.epoch, &at.seq)
	require.NoError(w.t, err)
	w.course.hear(at, raw)
}

func (w *world) ask() {
	if w.put == nil && w.course.wants() != nothing {
		q := w.course.ask()
		w.put, w.done = &q, false
	}
}

// serve has the server answer the question, which does not get there yet.
func (w *world) serve() {
	if w.put == nil || w.done {
		return
	}
	w.done = true
	w.at = place{w.epoch, uint64(len(w.log))}
	q := w.put.query()
	kept := w.log[max(0, len(w.log)-w.keep):]
	w.answer = broker.History{Position: broker.Position{Epoch: w.epoch, Offset: uint64(len(w.log))}}
	if w.keep == 0 {
		w.answer.Position.Epoch = 0
		return
	}
	missing := len(w.log) - int(q.After.Offset)
	if q.Recover && q.After.Epoch == w.epoch && missing >= 0 && missing <= len(kept) {
		w.answer.Recovered = true
		kept = kept[len(kept)-missing:]
	}
	w.answer.Publications = append([]*message.Envelope(nil), kept...)
}

func (w *world) arrive() {
	if w.put == nil || !w.done {
		return
	}
	q := *w.put
	w.put = nil
	if q.inquiry == look {
		w.course.compare(q, w.at)
	} else {
		w.course.answer(q, w.answer, w.at.epoch)
	}
}

func (w *world) fail() {
	if w.put != nil {
		w.course.fail(*w.put)
		w.put = nil
	}
}

// rest lets everything come to its end and checks what the sink has by then.
func (w *world) rest() {
	w.connect()
	for range 3 {
		for n := 0; len(w.queue) > 0 || w.put != nil || w.course.wants() != nothing; n++ {
			require.Less(w.t, n, 1000, "it does not come to rest: %v", w)
			for len(w.queue) > 0 {
				w.bring()
			}
			w.ask()
			w.serve()
			w.arrive()
		}
		q := w.course.glance()
		if w.course.behind(q, place{w.epoch, uint64(len(w.log))}) {
			w.course.demand(fill)
		}
	}
	c := w.course
	require.Zero(w.t, c.tally.held.Load(), w)
	require.Zero(w.t, c.tally.heldBytes.Load(), w)
	if !c.known {
		require.True(w.t, c.open && c.floored && c.floor == place{w.epoch, uint64(len(w.log))}, w)
		return
	}
	require.Equal(w.t, place{w.epoch, uint64(len(w.log))}, c.last, w)
	for _, env := range w.segment {
		if w.forgeries > 0 && w.cuts > 0 { // a forgery of the next number is not found out where what bears it is never heard
			break
		}
		require.Equal(w.t, w.log[env.Seq-1].ID, env.ID, "what was delivered since the last restart is what the topic has: %v", w)
	}
}

// step is one of the things that can happen.
func (w *world) step(i int, rng func(n int) int) {
	w.trace.WriteString(" " + [...]string{"publish", "bring", "ask", "serve", "arrive", "cut", "connect", "fail", "lose", "forge", "garbage"}[i])
	switch i {
	case 0:
		w.publish()
	case 1:
		w.bring()
	case 2:
		w.ask()
	case 3:
		w.serve()
	case 4:
		w.arrive()
	case 5:
		w.cut()
	case 6:
		w.connect()
	case 7:
		w.fail()
	case 8:
		w.lose(rng(len(w.log) + 1))
	default:
		w.forge([]message.Epoch{w.epoch, w.epoch, 1000}[rng(3)], uint64(max(0, len(w.log)-1+rng(4))), i == 10)
	}
}

const (
	honest   = 8  // steps below it lose nothing but connections
	truthful = 9  // and below it forge nothing
	anything = 11 // in all
)

// join does what whoever follows the topic waits for.
func (w *world) join() {
	w.bring()
	w.ask()
	w.serve()
	w.arrive()
}

// exactlyOnce checks a world without forgeries and losses of the server whose history is long enough.
func (w *world) exactlyOnce() {
	require.Zero(w.t, w.restarts, w)
	for id := w.since + 1; id <= w.ids; id++ {
		require.Equal(w.t, 1, w.got[fmt.Sprintf("p%d", id)], "p%d: %v", id, w)
	}
}

func TestWhateverHappensToTheConnectionsEverythingIsDeliveredOnceAndInOrder(t *testing.T) {
	t.Parallel() // most of it is waiting
	for _, open := range []bool{false, true} {
		forAll(honest, 5, func(steps []int) {
			w := newWorld(t, 1000, open)
			w.join()
			for _, i := range steps {
				w.step(i, nil)
			}
			w.rest()
			if !open || w.course.known {
				w.exactlyOnce()
			}
		})
	}
}

// forAll calls f with every sequence of n steps.
func forAll(steps, n int, f func([]int)) {
	sequence := make([]int, n)
	for {
		f(sequence)
		i := 0
		for ; i < n; i++ {
			if sequence[i]++; sequence[i] < steps {
				break
			}
			sequence[i] = 0
		}
		if i == n {
			return
		}
	}
}

func TestInLongRunsOfAccidentsNothingIsLostUntold(t *testing.T) {
	t.Parallel() // most of it is waiting
	for _, steps := range []int{honest, truthful, anything} {
		for _, keep := range []int{0, 3, 1000} {
			t.Run(fmt.Sprintf("%d kinds of accidents, %d kept", steps, keep), func(t *testing.T) {
				for seed := range uint64(4000) {
					rng := rand.New(rand.NewPCG(seed, uint64(steps*10_000+keep)))
					w := newWorld(t, keep, seed%4 == 3)
					fmt.Fprintf(&w.trace, "seed %d:", seed)
					w.join()
					for range 60 {
						i := likely(rng, steps)
						if i == 5 && steps == anything && seed%2 == 0 {
							continue // no cuts, so that every forgery is found out
						}
						w.step(i, rng.IntN)
					}
					w.rest()
					if steps == honest && keep == 1000 && w.course.known {
						w.exactlyOnce()
					}
					if steps == truthful && keep == 1000 {
						require.LessOrEqual(t, w.restarts, w.lives, w)
					}
				}
			})
		}
	}
}

// likely draws a step: accidents less often than what makes things go on.
func likely(rng *rand.Rand, steps int) int {
	if rng.IntN(3) > 0 {
		return rng.IntN(5)
	}
	return rng.IntN(steps)
}

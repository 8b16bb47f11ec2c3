package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/oracle"
)

const (
	fireSubscribers = 200
	firePublishers  = 2
	fireHostile     = 2
	fireLives       = 1 // of each subscriber before it comes to stay
)

// TestUnderFire has many clients come and go, at random, while publishers publish to everything that they follow, others
// attack, and the engine is restarted and killed: every client sees every publication of a topic once and in order, or is told
// that it cannot (PROTOCOL §2.5). WSE_FIRE_SEED repeats the choices of a run, WSE_FIRE_FOR=10m goes on with others for so long.
func TestUnderFire(t *testing.T) {
	program := build(t)
	seed := rand.Uint64()
	if text := os.Getenv("WSE_FIRE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	var length time.Duration
	if text := os.Getenv("WSE_FIRE_FOR"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	for begin, round := time.Now(), 0; round == 0 || time.Since(begin) < length; round++ {
		for _, poller := range pollers() {
			t.Run(fmt.Sprintf("%s/%d", poller, seed), func(t *testing.T) { underFire(t, program, poller, seed) })
			if t.Failed() {
				t.Fatalf("to repeat the choices: WSE_FIRE_SEED=%d", seed)
			}
		}
		seed++
	}
}

func underFire(t *testing.T, program, poller string, seed uint64) {
	s := newStage(t, program, poller)
	defer s.abandon()
	w := newWorld(t.Context(), seed, s)
	begin := time.Now()
	w.note = func(format string, args ...any) {
		t.Logf("%6s: %s", time.Since(begin).Round(10*time.Millisecond), fmt.Sprintf(format, args...))
	}
	if err := w.conduct(); err != nil {
		w.fail(err)
	}
	if err := w.fault(); err != nil {
		t.Fatalf("%v\nThe engine printed:\n%s", err, s.lastWords())
	}
	require.NoError(t, w.ledger.Holes(s.n))
	t.Logf("%d publications, %d subscriptions recovered, %d too late, %d of another engine's epoch, %d new, attacks %v", w.ledger.total,
		w.recovered.Load(), w.tooLate.Load(), w.otherEpoch.Load(), w.fresh.Load(), w.attacked)
	for what, n := range map[string]int64{
		"recovered": w.recovered.Load(), "too late": w.tooLate.Load(), "of another epoch": w.otherEpoch.Load(), "new": w.fresh.Load(),
	} {
		require.Positive(t, n, "no subscription was %s", what)
	}
}

// conduct is what happens, in order.
func (w *world) conduct() error {
	var subscribers, others sync.WaitGroup
	defer func() {
		w.change(func() { w.calm = true })
		w.ledger.close()
		others.Wait()
		subscribers.Wait()
	}()
	last := &publisher{world: w, name: "last", rng: w.rng("last", 0), n: make(map[string]int)}
	w.cast(&subscribers, &others)
	total := fireSubscribers * fireLives

	// While they come and go the engine drains and is started again, and later is killed.
	for i, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if !w.await(func() bool { return w.lives >= (i+1)*total/3 }) {
			return errAbandoned
		}
		w.note("lives of %d and more have ended", (i+1)*total/3)
		if err := w.stage.restart(how); err != nil {
			return err
		}
		w.note("restarted")
	}
	if !w.await(w.everybody) {
		return errAbandoned
	}
	w.note("all have come to stay")

	// The network fails for all at once, and then the engine is restarted. All come back at once.
	w.change(func() {
		w.wave++
		close(w.cut)
		w.cut = make(chan struct{})
	})
	if !w.await(w.everybody) {
		return errAbandoned
	}
	w.note("all are back from the cut")
	w.change(func() { w.wave++ })
	if err := w.stage.restart(syscall.SIGTERM); err != nil {
		return err
	}
	w.note("restarted")
	if !w.await(func() bool { return w.everybody() && len(w.attacked) == len(assaults()) }) {
		return errAbandoned
	}
	w.note("all are back from the restart")

	// The end: the last publication of each topic reaches everybody, who then leaves. Nothing stays behind.
	w.change(func() { w.calm = true })
	w.ledger.close()
	others.Wait()
	if err := last.finish(); err != nil {
		return err
	}
	subscribers.Wait()
	w.note("all have left")
	if err := w.nothingLeft(); err != nil {
		return err
	}
	return w.stage.stop(syscall.SIGTERM)
}

// everybody reports whether all subscribers have come to stay since the last wave. mu is held.
func (w *world) everybody() bool {
	n := 0
	for _, wave := range w.inside {
		if wave == w.wave {
			n++
		}
	}
	return n == fireSubscribers
}

// cast starts everybody.
func (w *world) cast(subscribers, others *sync.WaitGroup) {
	for n := range fireSubscribers {
		s := w.newSubscriber(n)
		subscribers.Go(func() { w.fail(s.play(fireLives)) })
	}
	for n := range firePublishers {
		p := &publisher{world: w, name: fmt.Sprintf("p%d", n), rng: w.rng("publisher", n), n: make(map[string]int)}
		p.http = http.Client{Timeout: patience, Transport: &http.Transport{MaxConnsPerHost: 1}} // none is opened and not used: the engine's end would wait for it
		others.Go(func() { w.fail(p.run()) })
	}
	for n := range fireHostile {
		h := &hostile{session: &session{}, world: w, user: "eve" + strconv.Itoa(n), rng: w.rng("hostile", n)}
		others.Go(func() { w.fail(h.play()) })
	}
	for n, user := range fireUsers() {
		s := &speaker{subscriber: subscriber{
			name: "speaker", user: user, form: Encodings()[n], rng: w.rng("speaker", n), world: w,
			topics: fireOwn(user)[2:], at: make(map[string]oracle.Place), last: make(map[string]bool),
		}}
		others.Go(func() { w.fail(s.run()) })
	}
}

// nothingLeft waits until the engine has forgotten everybody.
func (w *world) nothingLeft() error {
	r := NewRunner(w.stage.serving().Engine)
	r.vars = make(vars)
	for _, want := range []string{
		`/api/v1/connections => 200 {"total":0}`,
		`/api/v1/presence?topic=` + fireRoom + ` => 200 {"count":0}`,
	} {
		if err := r.until(Step{Rest: "get " + want}); err != nil {
			return err
		}
	}
	var topics struct {
		Topics []struct {
			Topic       string
			Subscribers int
		}
	}
	run := w.stage.serving()
	response, err := http.Get("http://" + run.Admin + "/api/v1/topics")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := decodeAnswer(response, &topics); err != nil {
		return err
	}
	var errs []error
	for _, topic := range topics.Topics {
		if topic.Subscribers != 0 {
			errs = append(errs, fmt.Errorf("%s still has %d subscribers", topic.Topic, topic.Subscribers))
		}
	}
	return errors.Join(errs...)
}

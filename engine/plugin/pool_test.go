package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// lettersHost opens a host with one plugin of wasmtest.Letters that has been called once.
func lettersHost(t testing.TB, batch bool, limits Limits) *Host {
	t.Helper()
	h, err := New(Configs{{Name: "x", Path: "stock:x", Limits: limits}},
		Deps{DataDir: t.TempDir(), Stock: func(string) ([]byte, bool) { return w.Letters(batch).Bytes(), true }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	_, err = h.Transform(t.Context(), "y", []byte("y"), discard{})
	require.NoError(t, err)
	return h
}

func (h *Host) only() *version { return h.cur.Load().entries[0].version }

// occupy takes every instance out of the pool, and returns what puts them back.
func occupy(t testing.TB, v *version) (release func()) {
	t.Helper()
	var all []*instance
	for range v.cfg.Limits.Instances {
		in, ok := v.pool.take()
		require.True(t, ok)
		all = append(all, in)
	}
	return func() {
		for _, in := range all {
			v.pool.give(in)
		}
	}
}

// until waits for something that other goroutines are about to do.
func until(t testing.TB, what func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !what(); runtime.Gosched() {
		require.True(t, time.Now().Before(end), "never came true")
	}
}

// text is an Answer that keeps what it read.
type text []byte

func (k *text) Read(doc []byte) error { *k = append((*k)[:0], doc...); return nil }

// callers starts n calls with documents of their own, all of which wait, and returns what collects their answers.
func callers(t testing.TB, h *Host, n int, doc func(i int) string) (collect func() (answers []string, errs []error)) {
	t.Helper()
	v := h.only()
	answers, errs := make([]string, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var said text
			_, errs[i] = h.Transform(context.Background(), "E", []byte(doc(i)), &said)
			answers[i] = string(said)
		})
		until(t, func() bool { return v.pool.waits() == i+1 })
	}
	return func() ([]string, []error) { wg.Wait(); return answers, errs }
}

func TestEvents_that_found_all_instances_busy_are_asked_about_together(t *testing.T) {
	for _, c := range []struct {
		name               string
		instances, waiting int
		batch              bool
		batches, events    uint64
	}{
		{"one instance takes all", 1, 20, true, 1, 20},
		{"as many as a batch holds", 1, 100, true, 2, 100},
		{"several take a share each", 4, 20, true, 4, 20},
		{"one alone is no batch", 1, 1, true, 0, 0},
		{"without the hook", 1, 20, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := lettersHost(t, c.batch, Limits{Instances: c.instances, InstanceWait: time.Minute})
			release := occupy(t, h.only())
			collect := callers(t, h, c.waiting, func(i int) string { return fmt.Sprint("d", i) })
			release()
			answers, errs := collect()
			for i := range answers {
				require.NoError(t, errs[i])
				require.Equal(t, fmt.Sprint("d", i), answers[i])
			}
			s := h.Stats()[0]
			if c.instances == 1 {
				require.Equal(t, []uint64{c.batches, c.events}, []uint64{s.Batches, s.BatchEvents})
			} else {
				require.InDelta(t, c.batches, s.Batches, 2, "who leads first and how many wait by then is the scheduler's")
			}
			require.Equal(t, uint64(c.waiting), s.Hooks[0].Calls[OutcomeData])
		})
	}
}

func TestOf_events_that_waited_together_only_the_one_at_fault_fails(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute, BreakerTraps: 2})
	release := occupy(t, h.only())
	collect := callers(t, h, 9, func(i int) string { return string("ddndtdddn"[i]) + fmt.Sprint(i) })
	release()
	answers, errs := collect()
	require.Equal(t, []string{"d0", "d1", "", "d3", "", "d5", "d6", "d7", ""}, answers)
	for i, err := range errs {
		require.Equal(t, i == 4, err != nil, "%d: %v", i, err)
	}
	s := h.Stats()[0]
	require.Equal(t, []uint64{0, 1, 1}, []uint64{s.Batches, s.BatchesFailed, s.Hooks[0].Calls[OutcomeTrap]})
}

func TestA_wait_ends_with_its_context_and_with_instance_wait(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute})
	v := h.only()
	release := occupy(t, v)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := h.Transform(ctx, "d", []byte("d"), discard{})
		failed <- err
	}()
	until(t, func() bool { return v.pool.waits() == 1 })
	second := make(chan string)
	go func() {
		var said text
		_, err := h.Transform(context.Background(), "d", []byte("d2"), &said)
		second <- fmt.Sprint(string(said), err)
	}()
	until(t, func() bool { return v.pool.waits() == 2 })
	cancel()
	var ce *CallError
	require.ErrorAs(t, <-failed, &ce)
	require.Equal(t, Busy, ce.Kind)
	release()
	require.Equal(t, "d2<nil>", <-second, "who waited behind it is served")

	h = lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Millisecond})
	defer occupy(t, h.only())()
	_, err := h.Transform(t.Context(), "d", []byte("d"), discard{})
	require.ErrorContains(t, err, "busy: all 1 instances are busy (instances)")
	require.Zero(t, h.only().pool.waits())
}

func TestMore_than_waiting_max_calls_are_refused_at_once(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute, WaitingMax: 3})
	release := occupy(t, h.only())
	collect := callers(t, h, 3, func(int) string { return "d" })
	_, err := h.Transform(t.Context(), "d", []byte("d"), discard{})
	require.ErrorContains(t, err, "3 calls wait for one of its 1 instances already (waiting_max, instances)")
	all := []Event{{Type: "d", Doc: []byte("d"), Answer: discard{}}, {Type: "d", Doc: []byte("d"), Answer: discard{}}}
	h.TransformAll(t.Context(), all)
	for _, ev := range all {
		require.ErrorContains(t, ev.Err, "waiting_max")
	}
	release()
	_, errs := collect()
	require.NoError(t, errors.Join(errs...))
}

func TestClose_waits_for_events_that_wait(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute})
	v := h.only()
	release := occupy(t, v)
	collect := callers(t, h, 5, func(i int) string { return fmt.Sprint("d", i) })
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	until(t, func() bool {
		free := h.mu.TryLock() // Close holds it
		if free {
			h.mu.Unlock()
		}
		return !free
	})
	release()
	answers, errs := collect()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []string{"d0", "d1", "d2", "d3", "d4"}, answers)
	require.NoError(t, <-closed)
}

func TestEvents_that_wait_while_the_plugin_is_swapped_are_answered_once_by_the_version_they_waited_for(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute})
	old := h.only()
	release := occupy(t, old)
	collect := callers(t, h, 30, func(i int) string { return fmt.Sprint("d", i) })
	limits := Limits{Instances: 2, InstanceWait: time.Minute}
	swapped := make(chan error)
	go func() { swapped <- h.Reload(t.Context(), Configs{{Name: "x", Path: "stock:x", Limits: limits}}) }()
	until(t, func() bool { return h.only() != old })
	var said text
	_, err := h.Transform(t.Context(), "d", []byte("dnew"), &said)
	require.NoError(t, err)
	require.Equal(t, "dnew", string(said), "nobody waits for the old one's queue")
	release()
	answers, errs := collect()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, <-swapped)
	for i, answer := range answers {
		require.Equal(t, fmt.Sprint("d", i), answer)
	}
	require.Equal(t, uint64(30), old.counters[hookTransform].calls[OutcomeData].Load())
	require.Equal(t, uint64(1), h.only().counters[hookTransform].calls[OutcomeData].Load())
}

func TestSlow_calls_pass_a_gate_and_others_do_not(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 2, InstanceWait: time.Millisecond, BreakerTraps: 1})
	v := h.only()
	_, err := h.Transform(t.Context(), "s", []byte("s"), discard{})
	require.NoError(t, err, "the first one is not known to be slow")
	require.True(t, v.slow(hookTransform))
	for range cap(h.gate) {
		require.True(t, h.gate.enter(t.Context(), 0))
	}
	_, err = h.Transform(t.Context(), "d", []byte("d"), discard{})
	var ce *CallError
	require.ErrorAs(t, err, &ce)
	require.Equal(t, Busy, ce.Kind)
	require.Contains(t, ce.Text, "slow_fuel")
	require.Len(t, v.pool.free, 2, "the instance is free again")
	require.Equal(t, "closed", v.breaker.state())
	h.gate.leave()
	for i := 0; v.slow(hookTransform); i++ {
		_, err = h.Transform(t.Context(), "d", []byte("d"), discard{})
		require.NoError(t, err)
		require.Less(t, i, 200, "it is forgotten")
	}
	require.True(t, h.gate.enter(t.Context(), 0))
	_, err = h.Transform(t.Context(), "d", []byte("d"), discard{})
	require.NoError(t, err, "what is not slow does not wait for what is")
	for range cap(h.gate) {
		h.gate.leave()
	}
}

func TestAn_event_that_turns_out_slow_is_not_asked_about_with_others(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute})
	_, err := h.Transform(t.Context(), "s", []byte("s"), discard{})
	require.NoError(t, err)
	release := occupy(t, h.only())
	collect := callers(t, h, 5, func(int) string { return "d" })
	release()
	_, errs := collect()
	require.NoError(t, errors.Join(errs...))
	require.Zero(t, h.Stats()[0].Batches)
}

func TestA_queue_is_drained_in_the_order_of_arrival(t *testing.T) {
	h := lettersHost(t, false, Limits{Instances: 1, InstanceWait: time.Minute})
	release := occupy(t, h.only())
	var mu sync.Mutex
	var order []int
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := h.Transform(context.Background(), "d", []byte("d"), answerFunc(func([]byte) error {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				return nil
			}))
			if err != nil {
				t.Error(err)
			}
		})
		until(t, func() bool { return h.only().pool.waits() == i+1 })
	}
	release()
	wg.Wait()
	require.True(t, slices.IsSorted(order), "%v", order)
}

type answerFunc func([]byte) error

func (f answerFunc) Read(doc []byte) error { return f(doc) }

func TestWaiting_allocates_nothing(t *testing.T) {
	h := lettersHost(t, true, Limits{Instances: 1, InstanceWait: time.Minute})
	v := h.only()
	doc, said := []byte("d"), text(make([]byte, 0, 8))
	ask, asked := make(chan struct{}), make(chan error)
	go func() {
		for range ask {
			_, err := h.Transform(context.Background(), "d", doc, &said)
			asked <- err
		}
	}()
	defer close(ask)
	allocs := testing.AllocsPerRun(100, func() {
		in, _ := v.pool.take()
		ask <- struct{}{}
		for v.pool.waits() == 0 {
			runtime.Gosched()
		}
		v.pool.give(in)
		if err := <-asked; err != nil {
			panic(err)
		}
	})
	if !RaceDetector { // which makes sync.Pool forget things at random
		require.Zero(t, allocs)
	}
}

func TestUnder_load_swaps_traps_and_cancelled_waits_every_event_has_its_own_answer_once(t *testing.T) {
	limits := Limits{Instances: 2, InstanceWait: time.Minute, BreakerTraps: 1 << 20}
	h := lettersHost(t, true, limits)
	stop := make(chan struct{})
	var swaps, callers sync.WaitGroup
	swaps.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			limits.Instances = 1 + i%3
			if err := h.Reload(context.Background(), Configs{{Name: "x", Path: "stock:x", Limits: limits}}); err != nil {
				t.Error(err)
			}
		}
	})
	for g := range 8 {
		callers.Go(func() {
			for i := range 400 {
				doc := fmt.Sprintf("%c-%d-%d", "ddddddddbt"[(g+i)%10], g, i)
				ctx, cancel := context.WithCancel(context.Background())
				if i%5 == 0 {
					cancel() // counts only where it has to wait
				}
				reads, said := 0, ""
				answer := answerFunc(func(b []byte) error { reads++; said = string(b); return nil })
				if i%3 == 0 {
					all := []Event{{Type: "d", Doc: []byte(doc), Answer: answer}, {Type: "d", Doc: []byte("dother"), Answer: discard{}}}
					h.TransformAll(ctx, all)
					check(t, doc, said, all[0].Err)
				} else {
					_, err := h.Transform(ctx, "d", []byte(doc), answer)
					check(t, doc, said, err)
				}
				if reads > 2 {
					t.Errorf("%s: read %d times", doc, reads)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	close(stop)
	swaps.Wait()
}

// check requires that doc was answered, or that it failed for a reason of its own.
func check(t *testing.T, doc, said string, err error) {
	var ce *CallError
	switch {
	case err == nil && said == doc && doc[0] != 't':
	case errors.As(err, &ce) && (ce.Kind == Busy || doc[0] == 't' && ce.Kind == Trap):
	default:
		t.Errorf("%s: %q %v", doc, said, err)
	}
}

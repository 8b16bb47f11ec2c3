package plugin_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// events makes one event of each text, in order; its type is its first letter.
func events(docs ...string) []plugin.Event {
	out := make([]plugin.Event, len(docs))
	for i, doc := range docs {
		out[i] = plugin.Event{Type: doc[:1], Doc: []byte(doc), Answer: new(keeper)}
	}
	return out
}

// outcome is what became of an event, to compare.
func outcome(d plugin.Decision, err error, answer plugin.Answer) string {
	switch {
	case err != nil:
		text, _, _ := strings.Cut(err.Error(), "\n")
		return text
	case d.Fate == plugin.Answered:
		return fmt.Sprintf("%s: %s", d.Plugin, answer.(*keeper).doc)
	default:
		return fmt.Sprintf("%s: fate %d", d.Plugin, d.Fate)
	}
}

func outcomes(events []plugin.Event) (out []string) {
	for _, ev := range events {
		out = append(out, outcome(ev.Decision, ev.Err, ev.Answer))
	}
	return out
}

// warm has every plugin that is bound to *y called once: nothing is expected of a guest that was never called.
func warm(t testing.TB, h *plugin.Host) {
	t.Helper()
	_, _, err := transform(t, h, "y", "y")
	require.NoError(t, err)
}

func TestTransformAll_asks_about_all_events_in_one_call(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "letters", w.Letters(true)))
	warm(t, h)
	all := events("d1", "n", "d2", "y", "e wrong", "d3")
	h.TransformAll(t.Context(), all)
	version := h.List()[0].Version
	require.Equal(t, []string{"letters: d1", "letters: fate 1", "letters: d2", ": fate 0",
		"plugin/letters@" + version + ": guest: e wrong", "letters: d3"}, outcomes(all))
	s := h.Stats()[0]
	require.Equal(t, []uint64{1, 6, 0}, []uint64{s.Batches, s.BatchEvents, s.BatchesFailed})
	require.Equal(t, [plugin.Outcomes]uint64{plugin.OutcomeNo: 1, plugin.OutcomeYes: 2, plugin.OutcomeData: 3, plugin.OutcomeError: 1}, s.Hooks[0].Calls)
	var calls uint64
	for _, n := range s.Hooks[0].Fuel.Counts {
		calls += n
	}
	require.Equal(t, uint64(7), calls, "fuel is counted for each event")
}

func TestTransformAll_says_of_each_event_what_Transform_says(t *testing.T) {
	f := newFixture(t)
	var cfgs plugin.Configs
	for i, bind := range [][]string{{"y", "d", "t"}, {"*"}, {"y", "n", "v", "b"}} {
		c := f.add(t, fmt.Sprint("letters", i), w.Letters(i != 0))
		c.Bind, c.Limits.BreakerTraps, c.Limits.InKiB = bind, 1<<20, 4
		cfgs = append(cfgs, c)
	}
	single, many := f.open(t, cfgs...), f.open(t, cfgs...)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		var docs []string
		for range 1 + random.IntN(150) {
			kind := "yyynnddddde"
			if round%2 == 1 {
				kind += "tvbl"
			}
			docs = append(docs, kind[random.IntN(len(kind)):][:1]+strings.Repeat("x", random.IntN(200)+random.IntN(101)/100*4000))
		}
		all := events(docs...)
		many.TransformAll(t.Context(), all)
		for i, ev := range all {
			answer := new(keeper)
			d, err := single.Transform(t.Context(), ev.Type, ev.Doc, answer)
			require.Equal(t, outcome(d, err, answer), outcome(ev.Decision, ev.Err, ev.Answer), "event %d, %.40q", i, docs[i])
		}
	}
	stats := many.Stats()
	require.Zero(t, stats[0].Batches, "a plugin without the hook is asked about one event at a time")
	require.Positive(t, stats[1].Batches)
	require.Positive(t, stats[1].BatchesFailed)
	require.Positive(t, stats[1].Hooks[0].Calls[plugin.OutcomeTooLarge])
	for i, s := range single.Stats() {
		require.Equal(t, s.Hooks[0].Calls, stats[i].Hooks[0].Calls, "plugin %d", i)
	}
}

func TestTransformAll_an_event_at_fault_costs_the_others_nothing_but_time(t *testing.T) {
	for kind, want := range map[string]plugin.Failure{"t": plugin.Trap, "l": plugin.OutOfFuel, "v": plugin.Violation} {
		t.Run(kind, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "letters", w.Letters(true))
			cfg.OnError, cfg.Limits.BreakerTraps = plugin.Deny, 2
			h := f.open(t, cfg)
			warm(t, h)
			all := events("d1", "d2", kind, "n", "d3")
			h.TransformAll(t.Context(), all)
			require.Equal(t, want, callError(t, all[2].Err).Kind)
			require.Equal(t, plugin.Deny, callError(t, all[2].Err).Policy)
			all[2] = events("n")[0]
			require.Equal(t, []string{"letters: d1", "letters: d2", ": fate 0", "letters: fate 1", "letters: d3"}, outcomes(all))
			s := h.Stats()[0]
			require.Equal(t, uint64(1), s.BatchesFailed)
			require.Equal(t, "closed", s.Breaker, "one event failed, not two")
		})
	}
}

func TestTransformAll_an_answer_that_its_reader_refuses_fails_that_event_alone(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "letters", w.Letters(true)))
	warm(t, h)
	all := events("d1", "d2", "d3")
	all[1].Answer = &keeper{wrong: fmt.Errorf("not that")}
	h.TransformAll(t.Context(), all)
	require.Equal(t, plugin.Violation, callError(t, all[1].Err).Kind)
	require.ErrorContains(t, all[1].Err, "the answer of wse_transform: not that")
	require.NoError(t, all[0].Err)
	require.Equal(t, "letters: d3", outcomes(all)[2])
}

func TestTransformAll_a_batch_hook_that_always_fails_is_tried_less_and_less_and_the_log_says_why(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "letters", w.Letters(true)))
	warm(t, h)
	const rounds, each = 100, 64
	for range rounds {
		all := events(strings.Split(strings.Repeat("b ", each)[:2*each-1], " ")...)
		h.TransformAll(t.Context(), all)
		for _, ev := range all {
			require.NoError(t, ev.Err)
		}
	}
	s := h.Stats()[0]
	require.Zero(t, s.Batches)
	require.InDelta(t, 7, s.BatchesFailed, 1, "64, 128, 256 … events run alone after each")
	require.Contains(t, f.logs[0], "letters: a batch of 64 events failed, and they are run one by one: trap: unreachable")
	warm(t, h)
}

// batchSaying is a plugin whose batch hook gives a fixed result or answer.
func batchSaying(result []byte, answer []byte) w.Module {
	return w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), w.Hook("wse_transform_batch", result)},
		Data:  []w.Data{{At: 1024, Bytes: answer}},
	})
}

func TestTransformAll_takes_no_batch_answer_that_is_not_to_the_letter(t *testing.T) {
	for _, c := range []struct {
		name         string
		result, doc  []byte
		want         string
		keepInstance bool
	}{
		{"no", w.I64Const(0), nil, "returned 0x0", false},
		{"yes", w.I64Const(1), nil, "returned 0x1", false},
		{"an error", w.I64Const(-1<<63 | 7), nil, "guest: error 7", true},
		{"nothing", w.Pack(1024, 3), []byte{2, 0, 0}, "3 bytes, which is no number of events", false},
		{"too few", w.Pack(1024, 12), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "answers to 1 events, 2 were asked about", false},
		{"cut between", w.Pack(1024, 12), []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "ends before answer 1", false},
		{"cut inside", w.Pack(1024, 12), []byte{2, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255}, "ends inside answer 0", false},
		{"a tag that is none", w.Pack(1024, 12), []byte{2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}, "answer 0: tag 4 is none", false},
		{"no with bytes", w.Pack(1024, 13), []byte{2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9}, "answer 0: no with 1 bytes", false},
		{"too much", w.Pack(1024, 21), append([]byte{2}, make([]byte, 20)...), "1 bytes behind the last answer", false},
		{"outside", w.Pack(1<<30, 20), nil, "outside the memory", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			h := f.open(t, f.add(t, "batch", batchSaying(c.result, c.doc)))
			warm(t, h)
			instances := h.Stats()[0].Instances
			all := events("d1", "d2")
			h.TransformAll(t.Context(), all)
			require.Equal(t, []string{": fate 0", ": fate 0"}, outcomes(all))
			require.Contains(t, f.logs[0], c.want)
			require.Equal(t, uint64(1), h.Stats()[0].BatchesFailed)
			require.Equal(t, instances, h.Stats()[0].Instances)
			if !c.keepInstance {
				require.Equal(t, uint64(1), h.Stats()[0].Replaced)
			}
		})
	}
}

func TestTransformAll_keeps_batches_within_their_limits(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  plugin.Limits
		size    int
		batches uint64
	}{
		{"all in one", plugin.Limits{}, 10, 1},
		{"batch_events_max", plugin.Limits{BatchEventsMax: 10}, 10, 4},
		{"batch_events_max of 1 is no batch", plugin.Limits{BatchEventsMax: 1}, 10, 0},
		{"in_kib", plugin.Limits{InKiB: 1}, 200, 8},
		{"the buffer that every guest has", plugin.Limits{}, 6000, 4},
		{"slow_fuel", plugin.Limits{SlowFuel: 1300}, 10, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "letters", w.Letters(true))
			cfg.Limits = c.limits
			h := f.open(t, cfg)
			warm(t, h)
			doc := "d" + strings.Repeat("x", c.size-1)
			all := events(strings.Fields(strings.Repeat(doc+" ", 40))...)
			h.TransformAll(t.Context(), all)
			for _, ev := range all {
				require.Equal(t, "letters: "+doc, outcome(ev.Decision, ev.Err, ev.Answer))
			}
			require.InDelta(t, c.batches, h.Stats()[0].Batches, 1)
		})
	}
}

func TestTransformAll_on_a_closed_host_decides_nothing(t *testing.T) {
	f := newFixture(t)
	h, err := plugin.New(plugin.Configs{f.add(t, "letters", w.Letters(true))}, f.deps())
	require.NoError(t, err)
	require.NoError(t, h.Close())
	all := events("d1", "d2")
	h.TransformAll(t.Context(), all)
	for _, ev := range all {
		require.ErrorIs(t, ev.Err, plugin.ErrClosed)
	}
}

func TestTransformAll_asks_a_plugin_that_rests_about_one_event_only(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "letters", w.Letters(true))
	cfg.Limits.BreakerTraps, cfg.Limits.BreakerPause = 2, 1
	h := f.open(t, cfg)
	for range 2 {
		_, _, err := transform(t, h, "t", "t")
		require.Error(t, err)
	}
	all := events("t", "d1", "d2")
	h.TransformAll(t.Context(), all)
	require.Equal(t, plugin.Trap, callError(t, all[0].Err).Kind, "the pause of a nanosecond is over: one is let through")
	all = events("d1", "d2", "d3")
	h.TransformAll(t.Context(), all)
	require.Equal(t, []string{"letters: d1", "letters: d2", "letters: d3"}, outcomes(all))
	require.Equal(t, "closed", h.Stats()[0].Breaker)
}

func TestTransformAll_allocates_nothing(t *testing.T) {
	if plugin.RaceDetector {
		t.Skip("the detector allocates")
	}
	f := newFixture(t)
	h := f.open(t, f.add(t, "pass", returning("wse_transform", 1)), f.add(t, "letters", w.Letters(true)))
	warm(t, h)
	all := events(strings.Fields(strings.Repeat("d123 ", 64))...)
	for i := range all {
		all[i].Answer = &keeper{doc: make([]byte, 0, 64)}
	}
	require.Zero(t, testing.AllocsPerRun(200, func() { h.TransformAll(t.Context(), all) }))
	require.True(t, bytes.Equal(all[63].Answer.(*keeper).doc, []byte("d123")))
	require.GreaterOrEqual(t, h.Stats()[1].Batches, uint64(200))
}

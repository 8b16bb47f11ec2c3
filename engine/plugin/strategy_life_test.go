package plugin_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// state is an indicator that tells one version of a plugin from another.
func state(name string) w.Module {
	return strategist(`{"consumed":1,"out":[{"kind":"indicator","at":0,"name":"`+name+`","value":1}]}`, "")
}

func says(t *testing.T, s *plugin.Strategy) string {
	t.Helper()
	_, actions, err := s.Ticks(t.Context(), 1, prices(1))
	require.NoError(t, err)
	require.Len(t, actions, 1)
	return actions[0].Name
}

func TestStrategy_stays_on_the_version_that_it_was_opened_on(t *testing.T) {
	f := newFixture(t)
	var notices []plugin.Notice
	deps := f.deps()
	deps.Notice = func(n plugin.Notice) { notices = append(notices, n) }
	cfgs := plugin.Configs{f.add(t, "s", state("one"))}
	h, err := plugin.New(cfgs, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	first, second := hired(t, h), hired(t, h)
	_, one := first.Plugin()

	change, err := h.Swap(t.Context(), "s", f.candidate(t, state("two")), plugin.Shadow{})
	require.NoError(t, err)
	third := hired(t, h)
	require.Equal(t, []string{"one", "one", "two"}, []string{says(t, first), says(t, second), says(t, third)})
	_, two := third.Plugin()
	require.Equal(t, []string{one, two}, []string{change.From, change.To})
	info := h.List()[0]
	require.Equal(t, []int{1, 2}, []int{info.Strategies, info.StrategiesBefore})

	_, err = h.Rollback(t.Context(), "s", "", "me")
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two", "one"}, []string{says(t, first), says(t, third), says(t, hired(t, h))})
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{}), "the plugin is not configured any more")
	require.Equal(t, []string{"one", "two"}, []string{says(t, first), says(t, third)})
	_, err = h.OpenStrategy(t.Context(), "any")
	require.ErrorIs(t, err, plugin.ErrNone)
	require.ErrorContains(t, err, `none of kind strategy is bound to "any"`)

	notices = nil
	require.NoError(t, third.Close())
	require.Len(t, notices, 1)
	require.Equal(t, "the last strategy on a version that serves no longer has ended", notices[0].Text)
	require.Equal(t, two, notices[0].Version)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "once more does nothing")
	require.Len(t, notices, 1, "others run on that version")
	_, _, err = first.Ticks(t.Context(), 1, prices(1))
	require.ErrorIs(t, err, plugin.ErrClosed)
	require.Equal(t, "one", says(t, second))
}

func TestStrategy_runs_to_its_end_when_the_host_is_closed(t *testing.T) {
	f := newFixture(t)
	h, err := plugin.New(plugin.Configs{f.add(t, "s", state("one"))}, f.deps())
	require.NoError(t, err)
	s := hired(t, h)
	require.NoError(t, h.Close())
	require.Equal(t, "one", says(t, s))
	_, err = h.OpenStrategy(t.Context(), "any")
	require.ErrorIs(t, err, plugin.ErrClosed)
}

func TestStrategies_leave_nothing_behind(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "s", state("one")))
	versions := []string{h.List()[0].Version, f.swapTo(t, h, state("two"))}
	leavesNothing(t, 20, 200, func(i int) {
		s, err := h.OpenStrategy(t.Context(), "any")
		require.NoError(t, err)
		_, err = h.Swap(t.Context(), "s", plugin.Candidate{Version: versions[i%2]}, plugin.Shadow{})
		require.NoError(t, err)
		says(t, s)
		require.NoError(t, s.Close())
	})
	require.Zero(t, h.List()[0].Strategies+h.List()[0].StrategiesBefore)
}

// swapTo swaps a module in and returns its version.
func (f *fixture) swapTo(t *testing.T, h *plugin.Host, m w.Module) string {
	t.Helper()
	c, err := h.Swap(t.Context(), h.List()[0].Name, f.candidate(t, m), plugin.Shadow{})
	require.NoError(t, err)
	return c.To
}

func TestStrategies_go_to_the_first_plugin_that_is_bound_to_their_name(t *testing.T) {
	f := newFixture(t)
	swing, all := f.add(t, "swing", state("swing")), f.add(t, "all", state("all"))
	swing.Bind = []string{"swing_*"}
	h := f.open(t, f.add(t, "other", returning("wse_authorize", 1)), swing, all)
	for name, want := range map[string]string{"swing_1": "swing", "scalp": "all"} {
		s, err := h.OpenStrategy(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, want, says(t, s))
		require.NoError(t, s.Close())
	}
}

func TestStrategy_that_refuses_a_configuration_says_why_and_lives_on(t *testing.T) {
	// It refuses documents of an odd length with a text, and those of length 2 without one.
	refuse := w.Cat(w.LocalGet(0), w.I32Const(1), []byte{0x71, 0x04, 0x7e}, w.I64Const(-1<<63|1024<<32|7), []byte{0x05},
		w.LocalGet(0), w.I32Const(2), []byte{0x46, 0x04, 0x7e}, w.I64Const(0), []byte{0x05}, w.I64Const(1), []byte{0x0b, 0x0b})
	m := w.Plugin(w.Module{Data: []w.Data{{At: 1024, Bytes: []byte("no s1 !")}}, Funcs: []w.Func{
		w.Hook("wse_strategy_open", refuse), w.Hook("wse_strategy_ticks", w.I64Const(0)), w.Hook("wse_strategy_update", w.I64Const(0)),
	}})
	f := newFixture(t)
	s, err := f.open(t, f.add(t, "s", m)).OpenStrategy(t.Context(), "any")
	require.NoError(t, err)
	defer s.Close()
	for doc, why := range map[string]string{`{ }`: "no s1 !", `{}`: "says no reason"} {
		ce := callError(t, s.Open(t.Context(), []byte(doc)))
		require.Equal(t, plugin.Guest, ce.Kind)
		require.Contains(t, ce.Text, why)
	}
	require.NoError(t, s.Open(t.Context(), []byte(`{  }`)))
	n, _, err := s.Ticks(t.Context(), 1, prices(5))
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

func TestStrategy_whose_call_fails_has_ended_and_no_other(t *testing.T) {
	trap := []byte{0x00}
	for _, c := range []struct {
		name          string
		ticks, update []byte
		kind          plugin.Failure
		want          string
	}{
		{"a trap in ticks", trap, w.I64Const(0), plugin.Trap, "unreachable in wse_strategy_ticks"},
		{"a trap in update", w.I64Const(0), trap, plugin.Trap, "unreachable in wse_strategy_update"},
		{"a loop", w.Cat(forever(), w.I64Const(0)), w.I64Const(0), plugin.OutOfFuel, "used more than 10000000 units"},
		{"an error in good order", w.I64Const(-1<<63 | 42), w.I64Const(0), plugin.Guest, "error 42"},
		{"a yes to ticks", w.I64Const(1), w.I64Const(0), plugin.Violation, "the answer of wse_strategy_ticks: yes"},
		{"a yes to an update", w.I64Const(0), w.I64Const(1), plugin.Violation, "the answer of wse_strategy_update: yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			good := f.add(t, "good", state("fine"))
			good.Bind = []string{"good"}
			h := f.open(t, good, f.add(t, "bad", strategyOf(c.ticks, c.update)))
			fine, err := h.OpenStrategy(t.Context(), "good")
			require.NoError(t, err)
			defer fine.Close()
			s, other := hired(t, h), hired(t, h)
			_, _, err = s.Ticks(t.Context(), 1, prices(2))
			if err == nil {
				_, err = s.Update(t.Context(), []byte(`{}`))
			}
			ce := callError(t, err)
			require.Equal(t, c.kind, ce.Kind, ce.Text)
			require.Contains(t, ce.Text, c.want)
			_, _, again := s.Ticks(t.Context(), 1, prices(1))
			require.Equal(t, err, again)
			require.NoError(t, other.Open(t.Context(), []byte(`{}`)), "another strategy of the same plugin")
			require.Equal(t, "fine", says(t, fine))
		})
	}
}

func TestStrategy_texts_of_any_length_are_bounded(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", state("one"))
	cfg.Limits.InKiB = 1
	s := hired(t, f.open(t, cfg))
	ce := callError(t, s.Open(t.Context(), make([]byte, 1025)))
	require.Equal(t, plugin.TooLarge, ce.Kind)
	n, _, err := s.Ticks(t.Context(), 1, prices(100))
	require.NoError(t, err, "it was not called, so it has not ended; and ticks are cut into what fits")
	require.Equal(t, 1, n)
}

// counting is a strategy that uses about 60 units a call, says nothing to nine calls and an indicator to the tenth, and keeps at
// address 8 how many calls there were. The indicator is about the call's first tick.
func counting() w.Module {
	const answer = `{"consumed":1,"out":[{"kind":"indicator","at":0,"name":"tenth","value":1}]}`
	load := w.Cat(w.I32Const(8), []byte{0x28, 2, 0})
	return strategyOf(w.Cat(w.I32Const(8), load, w.I32Const(1), []byte{0x6a, 0x36, 2, 0},
		load, w.I32Const(10), []byte{0x70, 0x45, 0x04, 0x7e}, w.Pack(1024, len(answer)), []byte{0x05}, w.I64Const(0), []byte{0x0b}),
		w.I64Const(0), w.Data{At: 1024, Bytes: []byte(answer)})
}

func TestStrategy_ticks_are_cut_into_calls_by_their_fuel(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", counting())
	cfg.Limits.FuelTick, cfg.Limits.FuelTicks = 1000, 3000
	h := f.open(t, cfg)
	s := hired(t, h)
	n, actions, err := s.Ticks(t.Context(), 1, prices(100))
	require.NoError(t, err)
	require.Equal(t, 9*3+1, n, "nine calls of three ticks, and of the tenth the first")
	require.Equal(t, []message.StrategyAction{{Kind: "indicator", Name: "tenth", Value: 1, At: 27}}, actions, "counted from the first tick of all")
	require.Equal(t, uint64(28), h.Stats()[0].Ticks)
	n, actions, err = s.Ticks(t.Context(), 1, prices(100)[n:][:27])
	require.NoError(t, err)
	require.Equal(t, 27, n)
	require.Empty(t, actions)
}

func TestStrategy_takes_fewer_ticks_a_call_the_more_each_costs(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", strategyOf(w.I64Const(0), w.I64Const(0)))
	cfg.Limits.SlowFuel, cfg.Limits.FuelTick = 100_000, 1000
	h := f.open(t, cfg)
	s := hired(t, h)
	for range 50 {
		n, _, err := s.Ticks(t.Context(), 1, prices(4096))
		require.NoError(t, err)
		require.Equal(t, 4096, n)
	}
	calls := h.Stats()[0].Hooks[1].Calls[plugin.OutcomeNo]
	require.Greater(t, calls, uint64(50+4096/100-1), "the first ones are expected to need all their fuel")
	require.Less(t, calls, uint64(50+4096/10), "and soon to be as cheap as they are")
}

func TestStrategies_are_limited_in_number_for_all_versions_together(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", state("one"))
	cfg.Limits.StrategiesMax = 2
	h := f.open(t, cfg)
	first := hired(t, h)
	f.swapTo(t, h, state("two"))
	hired(t, h)
	_, err := h.OpenStrategy(t.Context(), "any")
	ce := callError(t, err)
	require.Equal(t, plugin.Busy, ce.Kind)
	require.Contains(t, ce.Text, "2 strategies run already (strategies_max)")
	require.NoError(t, first.Close())
	hired(t, h)
}

func TestStrategies_are_limited_in_memory_together(t *testing.T) {
	// Update grows the memory by 8 MiB, and the strategy reports an error where it cannot.
	grow := w.Cat(w.I32Const(128), []byte{0x40, 0}, w.I32Const(-1), []byte{0x46, 0x04, 0x7e}, w.I64Const(-1<<63|7), []byte{0x05}, w.I64Const(0), []byte{0x0b})
	f := newFixture(t)
	cfg := f.add(t, "s", strategyOf(w.I64Const(0), grow))
	cfg.Limits.StrategiesMiB = 9
	h := f.open(t, cfg)
	first, second := hired(t, h), hired(t, h)
	_, err := first.Update(t.Context(), []byte(`{}`))
	require.NoError(t, err)
	_, err = second.Update(t.Context(), []byte(`{}`))
	require.Contains(t, callError(t, err).Text, "error 7", "memory.grow returned -1")
	for range 2 {
		hired(t, h) // a quarter of a MiB each
	}
	_, err = h.OpenStrategy(t.Context(), "any")
	require.NoError(t, err, "the second one's memory came back when it ended")
	_, err = h.OpenStrategy(t.Context(), "any")
	ce := callError(t, err)
	require.Equal(t, plugin.Busy, ce.Kind)
	require.Contains(t, ce.Text, "(strategies_mib)")
	require.NoError(t, first.Close())
	hired(t, h)
}

func TestStrategies_are_not_opened_while_the_plugin_rests_and_those_that_run_go_on(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", strategyOf(w.Cat(w.LocalGet(0), w.I32Const(8+32), []byte{0x46, 0x04, 0x40, 0x00, 0x0b}, w.I64Const(0)), w.I64Const(0)))
	cfg.Limits.BreakerTraps = 2 // of single ticks
	h := f.open(t, cfg)
	good, one, two := hired(t, h), hired(t, h), hired(t, h)
	for _, s := range []*plugin.Strategy{one, two} {
		_, _, err := s.Ticks(t.Context(), 1, prices(1))
		require.Equal(t, plugin.Trap, callError(t, err).Kind)
	}
	_, err := h.OpenStrategy(t.Context(), "any")
	require.Equal(t, plugin.Open, callError(t, err).Kind)
	_, err = good.Update(t.Context(), []byte(`{}`))
	require.NoError(t, err)
	_, err = h.OpenStrategy(t.Context(), "any")
	require.NoError(t, err, "a call that succeeds ends the rest")
}

func TestStrategy_waits_for_its_turn_as_long_as_its_context(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", strategyOf(w.I64Const(0), w.I64Const(0)))
	cfg.Limits.SlowFuel = 1 // every call is slow
	h := f.open(t, cfg)
	s := hired(t, h)
	_, _, err := s.Ticks(t.Context(), 1, prices(1))
	require.NoError(t, err)
	leave := plugin.OccupyGate(h)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = s.Ticks(ctx, 1, prices(1))
	require.ErrorIs(t, err, context.Canceled)
	_, err = h.OpenStrategy(ctx, "any")
	require.ErrorIs(t, err, context.Canceled)
	leave()
	_, _, err = s.Ticks(t.Context(), 1, prices(1))
	require.NoError(t, err, "it was not called, so it has not ended")
}

func TestPlugins_that_only_run_strategies_are_not_tried_and_not_shadowed(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "s", state("one")))
	says(t, hired(t, h))
	_, err := h.Try(t.Context(), "s", f.candidate(t, state("two")))
	require.ErrorIs(t, err, plugin.ErrStateful)
	_, err = h.Swap(t.Context(), "s", f.candidate(t, state("two")), plugin.Shadow{Events: 1})
	require.ErrorIs(t, err, plugin.ErrStateful)
	require.ErrorContains(t, err, "vectors")
	require.Nil(t, must(h.Detail("s")).Shadow)
	require.Zero(t, h.List()[0].Instances, "no instance waits for calls that do not come")
	require.Zero(t, h.Stats()[0].Instances)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHalf_a_strategy_is_refused(t *testing.T) {
	f := newFixture(t)
	half := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), w.Hook("wse_strategy_open", w.I64Const(1))}})
	_, err := plugin.New(plugin.Configs{f.add(t, "half", half)}, f.deps())
	require.ErrorContains(t, err, "exports some of wse_strategy_open, wse_strategy_ticks and wse_strategy_update; a strategy has all of them")
	wanted := f.add(t, "none", returning("wse_transform", 1))
	wanted.Kinds = []plugin.Kind{plugin.KindStrategy}
	_, err = plugin.New(plugin.Configs{wanted}, f.deps())
	require.ErrorContains(t, err, "wants kind strategy, the module does not export wse_strategy_open")
}

func TestStrategies_of_other_kinds_too_share_nothing_but_the_version(t *testing.T) {
	m := state("one")
	m.Funcs = append(slices.Clone(m.Funcs), w.Hook("wse_transform", w.I64Const(1)))
	f := newFixture(t)
	h := f.open(t, f.add(t, "both", m))
	require.Equal(t, []plugin.Kind{plugin.Transform, plugin.KindStrategy}, h.List()[0].Kinds)
	ready := h.Stats()[0].Instances
	require.Positive(t, ready)
	hired(t, h)
	require.Equal(t, ready, h.Stats()[0].Instances)
}

func TestStrategies_that_are_opened_while_the_plugin_is_swapped_each_stay_on_one_version(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "s", state("v0"))
	cfg.Limits.StrategiesMax = 6 // of eight that try
	h := f.open(t, cfg)
	versions := map[string]string{h.List()[0].Version: "v0"}
	for _, name := range []string{"v1", "v2"} {
		versions[f.swapTo(t, h, state(name))] = name
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := h.OpenStrategy(context.Background(), "any")
				if err != nil {
					var ce *plugin.CallError
					assert.ErrorAs(t, err, &ce)
					assert.Equal(t, plugin.Busy, ce.Kind)
					continue
				}
				_, version := s.Plugin()
				for range 3 {
					_, actions, err := s.Ticks(context.Background(), 1, prices(1))
					assert.NoError(t, err)
					assert.Equal(t, versions[version], actions[0].Name)
				}
				assert.NoError(t, s.Close())
			}
		})
	}
	for range 30 {
		for version := range versions {
			_, err := h.Swap(t.Context(), "s", plugin.Candidate{Version: version}, plugin.Shadow{})
			require.NoError(t, err)
		}
	}
	close(stop)
	wg.Wait()
	info := h.List()[0]
	require.Zero(t, info.Strategies+info.StrategiesBefore)
}

// BenchmarkOpenStrategy is what a session pays for each of its strategies: an instance, one handle, and letting go.
func BenchmarkOpenStrategy(b *testing.B) {
	f := newFixture(b)
	h := f.open(b, f.add(b, "s", strategist("", "")))
	b.ReportAllocs()
	for b.Loop() {
		s, err := h.OpenStrategy(b.Context(), "any")
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Open(b.Context(), []byte(`{"handle":1}`)); err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}

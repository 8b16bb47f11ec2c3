package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// stage is a host in a bubble of [synctest], where what a shadow does has been done when wait returns.
type stage struct {
	*fixture
	t       *testing.T
	host    *plugin.Host
	cfg     plugin.Config
	notices []string      // of the shadows
	answers plugin.Answer // what reads the answers of shadowed transforms
}

// onStage runs f with a plugin "say" that serves m.
func onStage(t *testing.T, m w.Module, f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{fixture: newFixture(t), t: t, answers: &keeper{}}
		s.cfg = s.recording(t, "say", m)
		deps := s.deps()
		deps.Lifecycle = plugin.DefaultLifecycle()
		deps.Lifecycle.ShadowQueueKiB = 4
		deps.NewAnswer = func() plugin.Answer { return s.answers }
		deps.Notice = func(n plugin.Notice) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if strings.HasPrefix(n.Text, "shadow") {
				s.notices = append(s.notices, fmt.Sprint(n.Text, "|", n.Who, "|", n.Err))
			}
		}
		var err error
		s.host, err = plugin.New(plugin.Configs{s.cfg}, deps)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.host.Close()) }()
		f(s)
	})
}

// shadow begins one with m.
func (s *stage) shadow(m w.Module, plan plugin.Shadow) plugin.Change {
	s.t.Helper()
	c, err := s.host.Swap(s.t.Context(), "say", s.candidate(s.t, m), plan)
	require.NoError(s.t, err)
	require.Empty(s.t, c.To)
	require.Equal(s.t, c.From, s.serving())
	return c
}

func (s *stage) serving() string { return s.host.List()[0].Version }

// state is what is known of the shadow once it has nothing more to do.
func (s *stage) state() plugin.ShadowState {
	s.t.Helper()
	synctest.Wait()
	d, err := s.host.Detail("say")
	require.NoError(s.t, err)
	require.NotNil(s.t, d.Shadow)
	return *d.Shadow
}

const anyNumber = -1

func TestShadow_compares_that_many_events_and_swaps(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		before := s.shadow(saying("u2"), plugin.Shadow{Events: 3, DifferencesMax: anyNumber})
		feed(t, s.host, shortEvent, longEvent)
		state := s.state()
		require.Equal(t, plugin.PhaseRunning, state.Phase)
		require.Equal(t, [5]int{2, 0, 2, 0, 0}, counts(state.Comparison))
		require.Equal(t, longEvent, state.Comparison.Differences[1].Input)
		require.Contains(t, state.Comparison.Differences[1].Diff, "- \"topic\": \"user:u1:events\"\n+ \"topic\": \"user:u2:events\"\n")
		require.Equal(t, "u1", said(t, s.host), "the old version's answers count, the third one's too")
		state = s.state()
		require.Equal(t, plugin.PhaseSwapped, state.Phase)
		require.Equal(t, [5]int{3, 0, 3, 0, 0}, counts(state.Comparison))
		require.Equal(t, []string{before.From, state.Candidate}, []string{state.Comparison.Serving, s.serving()})
		require.Equal(t, "u2", said(t, s.host))
		require.Equal(t, state, s.state(), "what comes later is not compared")
		d, err := s.host.Detail("say")
		require.NoError(t, err)
		require.Equal(t, []any{plugin.HowSwap, "alice", true}, []any{d.Kept[0].How, d.Kept[0].Who, d.Kept[0].Serving})
		require.Equal(t, []string{
			"shadow begun|alice|<nil>",
			"shadow swapped after 3 events: 0 same, 3 different, 0 failed, 0 skipped|alice|<nil>",
		}, s.notices)
	})
}

func TestShadow_compares_for_that_long_and_swaps(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		s.shadow(sayingBut("u1", trapping()), plugin.Shadow{For: time.Minute})
		feed(t, s.host, shortEvent)
		time.Sleep(time.Minute - time.Nanosecond)
		feed(t, s.host, shortEvent)
		require.Equal(t, plugin.PhaseRunning, s.state().Phase)
		time.Sleep(time.Nanosecond)
		state := s.state()
		require.Equal(t, plugin.PhaseSwapped, state.Phase)
		require.Equal(t, [5]int{2, 2, 0, 0, 0}, counts(state.Comparison))
		require.Equal(t, time.Minute, state.Ended.Sub(state.Started))
		require.Equal(t, state.Candidate, s.serving())
	})
}

func TestShadow_that_only_compares_leaves_what_serves(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		c := s.shadow(saying("u2"), plugin.Shadow{Events: 2, Only: true})
		feed(t, s.host, shortEvent, shortEvent, shortEvent)
		state := s.state()
		require.Equal(t, plugin.PhaseEnded, state.Phase)
		require.Equal(t, [5]int{2, 0, 2, 0, 0}, counts(state.Comparison), "however many differ")
		require.Equal(t, c.From, s.serving())
	})
}

func TestShadow_is_abandoned_when_the_candidate_fails_where_the_serving_version_does_not(t *testing.T) {
	for _, only := range []bool{false, true} {
		onStage(t, saying("u1"), func(s *stage) {
			c := s.shadow(sayingBut("u1", trapping()), plugin.Shadow{Events: 100, DifferencesMax: anyNumber, Only: only})
			feed(t, s.host, shortEvent, longEvent, shortEvent)
			state := s.state()
			require.Equal(t, plugin.PhaseAbandoned, state.Phase)
			require.Equal(t, "the candidate failed where "+c.From+" answers data: trap: unreachable in wse_transform", state.Reason)
			require.Equal(t, 1, state.Comparison.Failed)
			require.Contains(t, state.Comparison.Differences[0].Candidate.Error, "wse_transform", "with the guest's stack")
			require.Equal(t, c.From, s.serving())
			require.Equal(t, "u1", said(t, s.host))
			require.Contains(t, s.notices[1], "shadow abandoned after 2 events: 1 same, 0 different, 1 failed, 0 skipped|alice|the candidate failed")
		})
	}
}

func TestShadow_goes_on_where_both_versions_fail(t *testing.T) {
	onStage(t, sayingBut("u1", trapping()), func(s *stage) {
		s.shadow(sayingBut("u1", w.Cat([]byte{0x01}, trapping())), plugin.Shadow{Events: 2})
		_, err := s.host.Transform(s.t.Context(), "E", []byte(longEvent), &keeper{})
		require.Equal(t, plugin.Trap, callError(t, err).Kind)
		feed(t, s.host, shortEvent)
		state := s.state()
		require.Equal(t, plugin.PhaseSwapped, state.Phase)
		require.Equal(t, [5]int{2, 2, 0, 0, 0}, counts(state.Comparison))
	})
}

func TestShadow_is_abandoned_when_more_differ_than_may(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		c := s.shadow(sayingBut("u1", w.I64Const(0)), plugin.Shadow{Events: 100, DifferencesMax: 1})
		feed(t, s.host, longEvent, shortEvent)
		require.Equal(t, plugin.PhaseRunning, s.state().Phase)
		feed(t, s.host, longEvent)
		state := s.state()
		require.Equal(t, plugin.PhaseAbandoned, state.Phase)
		require.Equal(t, "2 answers differ, at most 1 may (differences_max)", state.Reason)
		require.Equal(t, c.From, s.serving())
	})
}

func TestShadow_is_cancelled(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		require.ErrorIs(t, s.host.CancelShadow("say", "bob"), plugin.ErrNoShadow)
		require.ErrorIs(t, s.host.CancelShadow("else", "bob"), plugin.ErrUnknownPlugin)
		c := s.shadow(saying("u2"), plugin.Shadow{Events: 10})
		require.NoError(t, s.host.CancelShadow("say", "bob"))
		state := s.state()
		require.Equal(t, []string{"abandoned", "cancelled by bob"}, []string{string(state.Phase), state.Reason})
		require.Equal(t, c.From, s.serving())
		require.ErrorIs(t, s.host.CancelShadow("say", "bob"), plugin.ErrNoShadow)
		s.shadow(saying("u2"), plugin.Shadow{Events: 1, DifferencesMax: anyNumber})
		feed(t, s.host, shortEvent)
		require.Equal(t, plugin.PhaseSwapped, s.state().Phase, "another one may run")
	})
}

func TestShadow_excludes_other_swaps_and_gives_way_to_the_rest(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		act          func(s *stage) error
	}{
		{"a rollback", "came to serve meanwhile (rollback)", func(s *stage) error {
			_, err := s.host.Rollback(s.t.Context(), "say", "", "bob")
			return err
		}},
		{"a file that changed", "came to serve meanwhile (file)", func(s *stage) error {
			s.add(s.t, "say", saying("u3"))
			_, err := s.host.Refresh(s.t.Context(), "say", "")
			return err
		}},
		{"a reload that changes the plugin", "came to serve meanwhile (reload)", func(s *stage) error {
			cfg := s.cfg
			cfg.Limits.Fuel = 1000
			return s.host.Reload(s.t.Context(), plugin.Configs{cfg})
		}},
		{"a reload that redacts more", "redacts other members now", func(s *stage) error {
			cfg := s.cfg
			cfg.Record.Redact = []string{"token"}
			return s.host.Reload(s.t.Context(), plugin.Configs{cfg})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, saying("u0"), func(s *stage) {
				s.swap(s.t, s.host, "u1")
				s.shadow(saying("u2"), plugin.Shadow{Events: 10, DifferencesMax: anyNumber})
				feed(t, s.host, shortEvent)
				other := s.candidate(s.t, saying("u3"))
				for _, plan := range []plugin.Shadow{{}, {Events: 1}} {
					_, err := s.host.Swap(s.t.Context(), "say", other, plan)
					require.ErrorIs(t, err, plugin.ErrShadowing)
				}
				require.NoError(t, s.host.Reload(s.t.Context(), plugin.Configs{s.cfg}), "a reload that does not concern the plugin")
				require.Equal(t, plugin.PhaseRunning, s.state().Phase)
				require.NoError(t, c.act(s))
				state := s.state()
				require.Equal(t, plugin.PhaseAbandoned, state.Phase)
				require.Contains(t, state.Reason, c.reason)
				require.NotEqual(t, state.Candidate, s.serving())
				_, err := s.host.Swap(s.t.Context(), "say", other, plugin.Shadow{})
				require.NoError(t, err)
			})
		})
	}
}

func TestShadow_ends_with_its_plugin_and_with_the_host(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		s.shadow(saying("u2"), plugin.Shadow{For: time.Hour})
		second := s.add(s.t, "second", saying("u1"))
		require.NoError(t, s.host.Reload(s.t.Context(), plugin.Configs{second}))
		synctest.Wait()
		require.Contains(t, s.notices[1], "the configuration does not name the plugin any more")
		_, err := s.host.Swap(s.t.Context(), "second", s.candidate(s.t, saying("u2")), plugin.Shadow{For: time.Hour})
		require.NoError(t, err)
		require.NoError(t, s.host.Close())
		require.Contains(t, s.notices[3], "shadow abandoned after 0 events: 0 same, 0 different, 0 failed, 0 skipped; plugin: the host is closed")
		require.ErrorIs(t, s.host.CancelShadow("second", ""), plugin.ErrClosed)
	})
}

func TestShadow_without_an_end_is_refused(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		for want, plan := range map[string]plugin.Shadow{
			"shadow: it has no end":      {Only: true},
			"shadow: events: -1 must be": {Events: -1},
			"shadow: for: 169h0m0s must": {For: 169 * time.Hour},
		} {
			_, err := s.host.Swap(s.t.Context(), "say", plugin.Candidate{Module: saying("u2").Bytes()}, plan)
			require.ErrorContains(t, err, want)
		}
	})
}

// held is an Answer that is not given back before the test lets it.
type held struct{ until chan struct{} }

func (h held) Read([]byte) error {
	<-h.until
	return nil
}

func TestShadow_never_delays_what_serves(t *testing.T) {
	onStage(t, saying("u1"), func(s *stage) {
		until := make(chan struct{})
		s.answers = held{until}
		s.shadow(saying("u2"), plugin.Shadow{For: time.Minute, DifferencesMax: anyNumber})
		feed(t, s.host, shortEvent)
		synctest.Wait() // the candidate is at the first
		for range 100 {
			feed(t, s.host, shortEvent)
		}
		feed(t, s.host, `{"x":"`+strings.Repeat("x", 5000)+`"}`)
		require.Equal(t, 97, s.state().Comparison.Skipped, "four fit, one for each KiB; the candidate has one")
		close(until)
		require.Equal(t, [5]int{5, 0, 5, 0, 97}, counts(s.state().Comparison))
		feed(t, s.host, shortEvent)
		require.Equal(t, 6, s.state().Comparison.Compared, "and there is room again")
	})
}

func TestShadow_shows_nothing_of_what_is_redacted(t *testing.T) {
	onStage(t, echo(), func(s *stage) {
		s.cfg.Record = plugin.Record{Redact: []string{"token"}} // recording is off: that does not change who may see what
		require.NoError(t, s.host.Reload(s.t.Context(), plugin.Configs{s.cfg}))
		s.shadow(echoBut(30, w.I64Const(0)), plugin.Shadow{Events: 100, DifferencesMax: anyNumber})
		feed(t, s.host, `{"type":"OrderFilled","user":"u1234","token":"s3cret"}`, `{"type":"E","token":"s3cret s3cret"}`, `{"token":"s3cret s3cret s3cret s3cret`)
		state := s.state()
		require.Equal(t, [5]int{3, 0, 3, 0, 0}, counts(state.Comparison))
		require.NotContains(t, fmt.Sprintf("%#v", state), "s3cret")
		d := state.Comparison.Differences
		require.Equal(t, `{"type":"OrderFilled","user":"u1234","token":""}`, d[0].Input)
		require.Equal(t, []string{d[0].Input, "data", "no"}, []string{d[0].Serving.Data, d[0].Serving.Verdict, d[0].Candidate.Verdict})
		require.Equal(t, []string{`{"type":"E","token":""}`, "data", "no"}, []string{d[1].Input, d[1].Serving.Verdict, d[1].Candidate.Verdict})
		require.Contains(t, d[1].Diff, "not shown")
		require.Contains(t, d[2].Diff, "not shown")
	})
}

// echoBut is [echo], and does what long does with documents of more than n bytes.
func echoBut(n int64, long []byte) w.Module {
	m := echo()
	m.Funcs[0] = w.Hook("wse_transform", longer(n, long, w.Cat(w.I64Const(int64(w.Buffer)<<32), w.LocalGet(0), []byte{0xad, 0x84})))
	return m
}

func TestShadow_of_an_authorize_plugin_leaves_its_memory_empty(t *testing.T) {
	verdict := func(text string) w.Module {
		return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", w.Pack(1024, len(text)))}, Data: []w.Data{{At: 1024, Bytes: []byte(text)}}})
	}
	onStage(t, verdict(`{"allow":true}`), func(s *stage) {
		s.shadow(verdict(`{"allow":true,"ttl_s":60}`), plugin.Shadow{Events: 2, DifferencesMax: anyNumber})
		for range 2 {
			_, err := s.host.Authorize(s.t.Context(), subscribe("user:u1:events"))
			require.NoError(t, err)
		}
		require.Equal(t, plugin.PhaseSwapped, s.state().Phase)
		for range 3 {
			_, err := s.host.Authorize(s.t.Context(), subscribe("user:u1:events"))
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, s.host.Stats()[0].Hooks[0].Calls[plugin.OutcomeData], "the first of the three, and none of the shadow's")
	})
}

// TestShadow_under_load swaps back and forth while events come, with the race detector watching.
func TestShadow_under_load_loses_nothing(t *testing.T) {
	f := newFixture(t)
	ended := make(chan plugin.Notice, 1)
	deps := f.deps()
	deps.Notice = func(n plugin.Notice) {
		if strings.HasPrefix(n.Text, "shadow swapped") {
			ended <- n
		}
	}
	h, err := plugin.New(plugin.Configs{f.recording(t, "say", saying("u0"))}, deps)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			for ctx.Err() == nil {
				if d, err := h.Transform(t.Context(), "E", []byte(shortEvent), &keeper{}); err != nil || d.Fate != plugin.Answered {
					done <- fmt.Errorf("%v %w", d, err)
					return
				}
			}
			done <- nil
		}()
	}
	for i := range 6 {
		_, err := h.Swap(t.Context(), "say", f.candidate(t, saying(fmt.Sprint("u", i%2+1))), plugin.Shadow{Events: 50, DifferencesMax: anyNumber})
		require.NoError(t, err)
		n := <-ended
		require.Equal(t, h.List()[0].Version, n.Version)
		d, err := h.Detail("say")
		require.NoError(t, err)
		require.Equal(t, 50, d.Shadow.Comparison.Compared)
	}
	cancel()
	for range cap(done) {
		require.NoError(t, <-done)
	}
	require.NoError(t, h.Close())
}

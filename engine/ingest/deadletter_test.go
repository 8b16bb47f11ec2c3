package ingest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

var errTrap = errors.New("plugin/mapping@abc: trap: unreachable")

// failing returns a plugin that fails with errTrap.
func failing(policy Policy) *fake {
	return &fake{decision: Decision{Plugin: "mapping", Version: "abc", OnError: policy}, err: errTrap}
}

// recover has a plugin answer out from now on.
func (f *fake) recover(out string) {
	f.out, f.err, f.decision = out, nil, Decision{Verdict: Data, Plugin: "mapping", Version: "def"}
}

// fail hands in an event that f fails on and returns its letter's id.
func fail(t testing.TB, in *Ingest, ev message.Event) string {
	t.Helper()
	if ev.Payload == nil {
		ev.Payload = []byte(`{}`)
	}
	ev.Type = "A"
	results, err := in.PublishEvent(t.Context(), &ev)
	require.NoError(t, err)
	require.Equal(t, DeadLettered, results[0].Status)
	require.NotEmpty(t, results[0].Letter)
	return results[0].Letter
}

// eventIDs lists the letters, newest first.
func eventIDs(in *Ingest, plugin string, limit int) (ids []string) {
	list, _, _ := in.DeadLetters(context.Background(), LetterQuery{Plugin: plugin}, limit) // it does not fail
	for _, d := range list {
		ids = append(ids, d.EventID)
	}
	return ids
}

// letterIDs lists the letters in the order to replay them in.
func letterIDs(t testing.TB, in *Ingest, plugin string) []string {
	ids, err := in.DeadLetterIDs(t.Context(), LetterQuery{Plugin: plugin})
	require.NoError(t, err)
	return ids
}

func limited(t testing.TB, cfg Config) *Ingest {
	in, err := New(cfg, failing(OnErrorDeadLetter), new(refusing))
	require.NoError(t, err)
	return in
}

func TestTheNewestDeadLettersAreKept(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DeadLettersMax = 3
	in := limited(t, cfg)
	require.Empty(t, eventIDs(in, "", 5))
	for i, want := range [][]string{{"0"}, {"1", "0"}, {"2", "1", "0"}, {"3", "2", "1"}, {"4", "3", "2"}} {
		fail(t, in, message.Event{ID: fmt.Sprint(i)})
		require.Equal(t, want, eventIDs(in, "", 5))
	}
	require.Equal(t, []string{"4"}, eventIDs(in, "", 1))
	require.Empty(t, eventIDs(in, "", -1))
	require.Empty(t, eventIDs(in, "other", 5))
	stats := in.LetterStats()
	require.Equal(t, []any{3, uint64(2), uint64(5)}, []any{stats.Kept, stats.Evicted, stats.ByPlugin["mapping"]})
}

func TestDeadLettersAreBoundedByTheirBytes(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DeadLettersKiBMax = 16
	in := limited(t, cfg)
	payload := []byte(`{"x":"` + strings.Repeat("x", 3<<10) + `"}`)
	for i := range 20 {
		fail(t, in, message.Event{ID: fmt.Sprint(i), Payload: payload})
	}
	require.Equal(t, []string{"19", "18", "17", "16"}, eventIDs(in, "", 20))
	stats := in.LetterStats()
	require.EqualValues(t, 16, stats.Evicted)
	require.LessOrEqual(t, stats.BytesKept, int64(16<<10))

	fail(t, in, message.Event{ID: "huge", Payload: []byte(`{"x":"` + strings.Repeat("x", 17<<10) + `"}`)})
	require.Equal(t, []string{"19", "18", "17", "16"}, eventIDs(in, "", 20), "one that has no room at all pushes no other out")
	require.EqualValues(t, 17, in.LetterStats().Evicted)
}

func TestWithoutRoomNoDeadLetterIsKept(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DeadLettersMax = 0
	in := limited(t, cfg)
	fail(t, in, message.Event{})
	require.Equal(t, LetterStats{ByPlugin: map[string]uint64{"mapping": 1}, Evicted: 1}, in.LetterStats())
}

// forgetful fails on everything and keeps nothing.
type forgetful struct{}

func (forgetful) Transform(context.Context, string, []byte, *Answer) (Decision, error) {
	return Decision{Plugin: "mapping"}, errTrap
}

func (f forgetful) TransformAll(ctx context.Context, questions []Question) {
	oneByOne(ctx, f, questions)
}

func TestTheHeapHoldsNoMoreThanDeadLettersMayTake(t *testing.T) {
	for _, size := range []int{1, 300, 8 << 10} {
		cfg := DefaultConfig()
		cfg.DeadLettersKiBMax, cfg.DeadLettersMax = 4<<10, 1_000_000
		in, err := New(cfg, forgetful{}, new(refusing))
		require.NoError(t, err)
		payload := []byte(`{"x":"` + strings.Repeat("x", size) + `"}`)
		var before, after runtime.MemStats
		runtime.GC() // twice: what pools and finalizers of other tests hold is gone with the second
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 6 << 20 / (size + letterBytesExtra) {
			fail(t, in, message.Event{Payload: payload, UserID: "u1"})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		require.Positive(t, in.LetterStats().Evicted)
		held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("documents of %d bytes: %d letters hold %d KiB of 4096", size, in.LetterStats().Kept, held>>10)
		require.LessOrEqual(t, held, int64(9<<19), "documents of %d bytes", size) // an eighth for the map and the allocator
	}
}

func TestAListShowsTheBeginningAndAskingShowsAll(t *testing.T) {
	in, _ := open(t, failing(OnErrorDeadLetter))
	id := fail(t, in, message.Event{UserID: "u1", ID: "e1", Payload: []byte(`{"x":"` + strings.Repeat("x", 1000) + `"}`)})
	listed, _, err := in.DeadLetters(t.Context(), LetterQuery{Plugin: "mapping"}, 1)
	require.NoError(t, err)
	whole, err := in.DeadLetter(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, listed[0].Document, 512)
	require.True(t, strings.HasPrefix(whole.Document, listed[0].Document))
	require.Len(t, whole.Document, whole.Bytes)
	require.True(t, strings.HasSuffix(whole.Document, `xxx"},"user_id":"u1","id":"e1"}`))
	_, err = in.DeadLetter(t.Context(), "dl_no")
	require.ErrorIs(t, err, ErrNoLetter)
}

func TestADeadLetterSharesNothingWithThePublishersMemory(t *testing.T) {
	in, _ := open(t, failing(OnErrorDeadLetter))
	raw := []byte(`{"type":"A","user_id":"u1","payload":{"x":"first"}}`)
	_, err := in.PublishEventJSON(t.Context(), raw)
	require.NoError(t, err)
	clear(raw)
	list, _, err := in.DeadLetters(t.Context(), LetterQuery{}, 1)
	require.NoError(t, err)
	require.Contains(t, list[0].Document, "first")
}

func TestADeadLetterIsHandedInAgainExactlyAsItWas(t *testing.T) {
	plugin := failing(OnErrorDeadLetter)
	in, sink := open(t, plugin)
	raw := `{"type":"A\"B","payload":{"k":[1, {"a":null}]},"user_id":"u1","topic":"user:u1:events","id":"e1",` +
		`"ts":"2025-01-13T10:30:00.250Z","pri":8,"cid":"c1","trace_id":"t1","event_version":3}`
	_, err := in.PublishEventJSON(t.Context(), []byte(raw))
	require.NoError(t, err)
	plugin.recover(`{"t":"x","topic":"user:u1:events","p":{}}`)
	results, err := in.ReplayDeadLetter(t.Context(), letterIDs(t, in, "")[0])
	require.NoError(t, err)
	require.Equal(t, []string{raw, raw}, plugin.asked)
	got := sink.got[0]
	require.Equal(t, []any{"e1", message.Priority(8), "c1", "t1", 3}, []any{got.ID, got.Priority, got.CID, got.TraceID, got.EventVersion})
	require.Equal(t, "2025-01-13T10:30:00.25Z", time.UnixMilli(got.TimeMS).UTC().Format(time.RFC3339Nano))
	require.Equal(t, Published, results[0].Status)
	require.Empty(t, letterIDs(t, in, ""))
	require.EqualValues(t, 1, in.LetterStats().Replayed)
	require.Zero(t, in.LetterStats().BytesKept)
}

func TestAnEventWithoutIdAndTimeIsPublishedWithThoseOfTheFirstTime(t *testing.T) {
	for _, verdict := range []Verdict{Data, NotMine} {
		synctest.Test(t, func(t *testing.T) {
			plugin := failing(OnErrorDeadLetter)
			in, sink := open(t, plugin)
			results, err := in.PublishEventJSON(t.Context(), []byte(`{"type":"A","payload":{},"user_id":"u1"}`))
			require.NoError(t, err)
			then := time.Now().UnixMilli()
			time.Sleep(time.Hour)
			plugin.recover(`{"t":"x","topic":"user:u1:events","p":{}}`)
			plugin.decision.Verdict = verdict
			_, err = in.ReplayDeadLetter(t.Context(), results[0].Letter)
			require.NoError(t, err)
			require.Equal(t, results[0].ID, sink.got[0].ID, "the id that the publisher was told")
			require.Equal(t, then, sink.got[0].TimeMS)
			require.Equal(t, plugin.asked[0], plugin.asked[1], "the plugin sees what it saw")
		})
	}
}

func TestALetterStaysUntilItsEventIsPublishedOrDroppedByDecision(t *testing.T) {
	answer := `{"t":"x","topic":"user:u1:events","p":{}}`
	for _, c := range []struct {
		name  string
		set   func(f *fake)
		stays string // the new reason; empty: it leaves
	}{
		{"published", func(f *fake) { f.recover(answer) }, ""},
		{"dropped by decision", func(f *fake) { f.recover(""); f.decision.Verdict = Drop }, ""},
		{"published by default", func(f *fake) { f.recover(""); f.decision.Verdict = NotMine }, ""},
		{"fails, dead_letter", func(f *fake) { f.err = errors.New("out of fuel") }, "out of fuel"},
		{"fails, drop", func(f *fake) { f.decision.OnError, f.err = OnErrorDrop, errors.New("out of fuel") }, "out of fuel"},
		{"fails, deny", func(f *fake) { f.decision.OnError, f.err = OnErrorDeny, errors.New("out of fuel") }, "out of fuel"},
		{"answers nonsense", func(f *fake) { f.recover("[]") }, "an array without an envelope"},
		{"nobody could be asked", func(f *fake) { f.decision, f.err = Decision{}, errors.New("the host is closed") }, "the host is closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plugin := failing(OnErrorDeadLetter)
			in, _ := open(t, plugin)
			id := fail(t, in, message.Event{UserID: "u1"})
			dead := in.Stats().DeadLettered
			c.set(plugin)
			_, err := in.ReplayDeadLetter(t.Context(), id)
			if c.stays == "" {
				require.NoError(t, err)
				_, err = in.DeadLetter(t.Context(), id)
				require.ErrorIs(t, err, ErrNoLetter)
				require.Equal(t, LetterStats{ByPlugin: map[string]uint64{"mapping": 1}, Replayed: 1}, in.LetterStats())
				return
			}
			require.ErrorContains(t, err, c.stays)
			d, err := in.DeadLetter(t.Context(), id)
			require.NoError(t, err)
			require.Contains(t, d.Reason, c.stays)
			require.Equal(t, []any{"mapping", 2}, []any{d.Plugin, d.Attempts})
			require.Equal(t, dead, in.Stats().DeadLettered, "it is no further dead letter")
			require.EqualValues(t, 1, in.LetterStats().ReplayFail)
		})
	}
}

// stopping is a broker that takes so many publications and refuses the others.
type stopping struct {
	Publisher
	takes int
}

func (s *stopping) Publish(ctx context.Context, env *message.Envelope) (broker.Published, error) {
	if s.takes == 0 {
		return broker.Published{}, broker.ErrFull
	}
	s.takes--
	return s.Publisher.Publish(ctx, env)
}

func TestWhatAPartialReplayPublishedIsPublishedNowhereTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plugin := failing(OnErrorDeadLetter)
		in, sink := open(t, plugin)
		stop := &stopping{Publisher: in.broker}
		in.broker = stop
		id := fail(t, in, message.Event{UserID: "u1"})
		plugin.recover(`[{"t":"x","topic":"user:u1:events","p":{}},{"t":"y","topic":"user:u2:events","p":{}},{"t":"z","topic":"user:u1:events","p":{}}]`)
		for i := range 2 {
			stop.takes = 1
			_, err := in.ReplayDeadLetter(t.Context(), id)
			refused(t, err, message.CodeUnavailable, "no room")
			require.Len(t, sink.got, i+1)
			time.Sleep(24 * time.Hour) // longer than the broker remembers ids
		}
		stop.takes = 10
		results, err := in.ReplayDeadLetter(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, []Status{Duplicate, Duplicate, Published}, []Status{results[0].Status, results[1].Status, results[2].Status})
		require.Len(t, sink.got, 3)
		require.Equal(t, []string{"x", "y", "z"}, []string{sink.got[0].Type, sink.got[1].Type, sink.got[2].Type})
	})
}

// holding is a plugin that waits before it answers.
type holding struct {
	*fake
	asked, answer chan struct{}
}

func (h *holding) TransformAll(ctx context.Context, questions []Question) {
	oneByOne(ctx, h, questions)
}

func (h *holding) Transform(ctx context.Context, eventType string, doc []byte, answer *Answer) (Decision, error) {
	if h.asked != nil {
		h.asked <- struct{}{}
		<-h.answer
	}
	return h.fake.Transform(ctx, eventType, doc, answer)
}

func TestALetterIsReplayedByOneAtATimeAndNeitherDroppedNorEvictedMeanwhile(t *testing.T) {
	plugin := &holding{fake: failing(OnErrorDeadLetter)}
	in, sink := open(t, plugin)
	in.letters.most = 2
	id := fail(t, in, message.Event{UserID: "u1", ID: "first"})
	plugin.recover(`{"t":"x","topic":"user:u1:events","p":{}}`)
	plugin.asked, plugin.answer = make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := in.ReplayDeadLetter(t.Context(), id)
		done <- err
	}()
	<-plugin.asked
	_, err := in.ReplayDeadLetter(t.Context(), id)
	require.ErrorIs(t, err, ErrReplaying)
	require.ErrorIs(t, in.DropDeadLetter(t.Context(), id), ErrReplaying)
	for i := range 3 {
		in.letters.add(&message.Event{}, fmt.Sprint(i), nil, Decision{Plugin: "mapping"}, "no")
	}
	require.Equal(t, []string{"2", "first"}, eventIDs(in, "", 9))
	close(plugin.answer)
	require.NoError(t, <-done)
	_, err = in.ReplayDeadLetter(t.Context(), id)
	require.ErrorIs(t, err, ErrNoLetter)
	require.Len(t, sink.got, 1)
	require.Equal(t, []string{"2"}, eventIDs(in, "", 9))
}

func TestConcurrentReplaysPublishEachLetterOnce(t *testing.T) {
	plugin := &safe{inner: failing(OnErrorDeadLetter)}
	in, sink := open(t, plugin)
	const letters = 50
	for i := range letters {
		fail(t, in, message.Event{UserID: "u1", ID: fmt.Sprint(i)})
	}
	plugin.inner.recover(`{"t":"x","topic":"system:x","p":{}}`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, id := range letterIDs(t, in, "mapping") {
				if _, err := in.ReplayDeadLetter(t.Context(), id); err != nil && !errors.Is(err, ErrReplaying) && !errors.Is(err, ErrNoLetter) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, sink.got, letters)
	require.Zero(t, in.LetterStats().Kept)
}

// safe lets one caller at a time ask a fake.
type safe struct {
	mu    sync.Mutex
	inner *fake
}

func (s *safe) TransformAll(ctx context.Context, questions []Question) { oneByOne(ctx, s, questions) }

func (s *safe) Transform(ctx context.Context, eventType string, doc []byte, answer *Answer) (Decision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner.Transform(ctx, eventType, doc, answer)
}

func TestThoseThatFailedLeastOftenAreReplayedFirstAndTheOldestOfThem(t *testing.T) {
	in, _ := open(t, failing(OnErrorDeadLetter))
	first, second, third := fail(t, in, message.Event{}), fail(t, in, message.Event{}), fail(t, in, message.Event{})
	require.Equal(t, []string{first, second, third}, letterIDs(t, in, ""))
	_, err := in.ReplayDeadLetter(t.Context(), first)
	require.Error(t, err)
	require.Equal(t, []string{second, third, first}, letterIDs(t, in, "mapping"))
	require.Empty(t, letterIDs(t, in, "other"))
}

func TestADeadLetterCanBeDropped(t *testing.T) {
	in, _ := open(t, failing(OnErrorDeadLetter))
	id := fail(t, in, message.Event{})
	require.NoError(t, in.DropDeadLetter(t.Context(), id))
	require.ErrorIs(t, in.DropDeadLetter(t.Context(), id), ErrNoLetter)
	require.Equal(t, LetterStats{ByPlugin: map[string]uint64{"mapping": 1}, Dropped: 1}, in.LetterStats())
}

package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestEntriesOfTheStreamArePublishedOnceInOrderAndAcknowledged(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	var want []string
	for i := range 600 { // some batches; those before the engine started count
		want = append(want, fmt.Sprint("e", i))
		n.event("u1", want[i])
	}
	n.run()
	until(t, "all", func() bool { return n.intake.Stats().Streams[0].Published == 600 })
	want = append(want, "late")
	n.event("u1", "late")
	n.event("u1", "e7")
	until(t, "one more", func() bool { return n.intake.Stats().Streams[0].Duplicates == 1 })
	until(t, "acknowledged", func() bool { return n.pending() == 0 })
	require.Equal(t, want, ledgerOf(t, n.client, "user:u1:events"))
	got := n.intake.Stats().Streams[0]
	require.Equal(t, []any{true, uint64(1), uint64(602), uint64(601)}, []any{got.Reading, got.LeaseChanges, got.Consumed, got.Published})
}

func TestAnEntryMayHaveAFieldForEachMember(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	var got []*message.Envelope
	n.ledger.before = func(env *message.Envelope) error {
		c := *env
		got = append(got, &c)
		return nil
	}
	id := n.add("type", "OrderFilled", "payload", `{"n":1}`, "user_id", "u1", "pri", "8", "ts", "1736764200000", "event_version", "3", "cid", "12")
	n.add("data", `{"type":"X","payload":{},"user_id":"u1"}`)
	n.run()
	until(t, "both", func() bool { return n.intake.Stats().Streams[0].Published == 2 })
	n.stop()
	require.Equal(t, "order_filled", got[0].Type)
	require.JSONEq(t, `{"original_event_type":"OrderFilled","n":1}`, string(got[0].Payload))
	require.Equal(t, []any{message.Priority(8), int64(1736764200000), 3, "12"}, []any{got[0].Priority, got[0].TimeMS, got[0].EventVersion, got[0].CID})
	require.Equal(t, "events-"+id, got[0].ID, "the entry's id, so that a repeat becomes nothing twice")
}

func TestPoisonBecomesDeadLettersAndHoldsNothingUp(t *testing.T) {
	t.Parallel() // most of it is waiting
	plugin := new(guest)
	plugin.broken.Store(true)
	n := open(t, redistest.Single(t), "n1", calm(), plugin)
	n.event("u1", "first")
	bad := [][]string{
		{"event", "hello"}, {"event", `{"type":"X","payload":[],"user_id":"u1"}`}, {"event", `{"type":"X","payload":{}}`}, {"some", "thing"},
		{"type", "X", "payload", `{"a":1},"topic":"user:u9:events"`, "user_id", "u1"}, {"type", "X", "user_id", "u1"},
		{"event", `{"type":"X","payload":{"x":"` + strings.Repeat("x", 300<<10) + `"},"user_id":"u1"}`},
		{"event", `{"type":"Deny","payload":{},"user_id":"u1","id":"d1"}`},
		{"event", `{"type":"Fail","payload":{},"user_id":"u1"}`},
	}
	for _, b := range bad {
		n.add(b...)
	}
	n.event("u1", "last")
	n.run()
	until(t, "the last", func() bool { return slices.Contains(ledgerOf(t, n.client, "user:u1:events"), "last") })
	until(t, "acknowledged", func() bool { return n.pending() == 0 })
	letters := n.list(ingest.LetterQuery{Channel: "events"})
	slices.Reverse(letters)
	require.Len(t, letters, len(bad))
	letters = append(letters[1:], letters[0]) // that of a plugin's failure is written while the batch is published
	for i, reason := range []string{
		"not a JSON object", "payload: must be a JSON object", "user_id: is missing", "neither one field", "payload: must be a JSON object",
		"payload: is missing", "event_kib_max", "trap: unreachable", "trap: unreachable",
	} {
		require.Contains(t, letters[i].Reason, reason, "%d", i)
		require.Equal(t, "events", letters[i].Channel)
	}
	require.Equal(t, []any{true, 300<<10 + 46}, []any{letters[6].Cut, letters[6].Bytes})
	require.Equal(t, []any{"d1", "Deny"}, []any{letters[7].EventID, letters[7].Event})
	require.Equal(t, []any{"guest", "Fail"}, []any{letters[8].Plugin, letters[8].Event}, "a plugin's failure is kept by ingest")
	require.Equal(t, []string{"first", "last"}, ledgerOf(t, n.client, "user:u1:events"))
	require.Equal(t, uint64(len(bad)), n.intake.Stats().Streams[0].DeadLetters)
	require.Equal(t, map[string]uint64{"events": uint64(len(bad))}, n.intake.Stats().Letters)
}

func TestWhileNothingCanBePublishedEntriesWaitInOrder(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	var down atomic.Bool
	down.Store(true)
	n.ledger.before = func(env *message.Envelope) error {
		if down.Load() && env.ID == "e3" {
			return broker.ErrUnavailable
		}
		return nil
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("e", i))
		n.event("u1", want[i])
	}
	n.run()
	until(t, "retried, and not blamed", func() bool {
		p, err := n.client.XPendingExt(t.Context(), &goredis.XPendingExtArgs{Stream: StreamEvents, Group: group, Start: "-", End: "+", Count: 100}).Result()
		return err == nil && n.intake.Stats().Streams[0].Retries >= 2 && len(p) == 7 && p[0].RetryCount == 1
	})
	require.Equal(t, want[:3], ledgerOf(t, n.client, "user:u1:events"), "what is behind waits, or the order would be lost")
	require.True(t, n.logged.has("reading wse:events does not work"))
	down.Store(false)
	until(t, "all", func() bool { return len(ledgerOf(t, n.client, "user:u1:events")) == 10 })
	require.Equal(t, want, ledgerOf(t, n.client, "user:u1:events"))
	require.Empty(t, n.list(ingest.LetterQuery{}))
	until(t, "told", func() bool { return n.logged.has("reading wse:events works again") })
}

func TestAStreamIsReadByOneNodeAndAnotherTakesOver(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	first := open(t, server, "n1", DefaultConfig(), nil).run()
	until(t, "the lease", func() bool { return first.intake.Stats().Streams[0].Reading })
	second := open(t, server, "n2", DefaultConfig(), nil).run()
	for i := range 50 {
		first.event("u1", fmt.Sprint("e", i))
	}
	until(t, "published", func() bool { return first.intake.Stats().Streams[0].Published == 50 })
	require.Zero(t, second.intake.Stats().Streams[0].Consumed)
	first.stop()
	second.event("u1", "e50")
	until(t, "published by the other", func() bool { return second.intake.Stats().Streams[0].Published == 1 })
	readers, err := second.client.XInfoConsumers(t.Context(), StreamEvents, group).Result()
	require.NoError(t, err)
	require.Len(t, readers, 1, "who reads no more is forgotten")
	require.Equal(t, "n2", readers[0].Name)
	require.Len(t, ledgerOf(t, second.client, "user:u1:events"), 51)
}

func TestAnEntryThatReadersDieOfBecomesADeadLetterAndItsNeighboursDoNot(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n9", calm(), nil)
	ids := []string{n.event("u1", "e0"), n.event("u1", "killer"), n.event("u1", "e2")}
	require.NoError(t, n.client.XGroupCreate(t.Context(), StreamEvents, group, "0").Err())
	require.NoError(t, n.client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{Group: group, Consumer: "dead0", Streams: []string{StreamEvents, ">"}}).Err())
	for i, id := range ids { // as readers left it that died one after the other
		deliveries := []int{1, 10, 1}[i]
		require.NoError(t, n.client.Do(t.Context(), "XCLAIM", StreamEvents, group, "dead4", 0, id, "RETRYCOUNT", deliveries, "JUSTID").Err())
	}
	n.run()
	until(t, "all", func() bool { return n.pending() == 0 && len(ledgerOf(t, n.client, "user:u1:events")) == 2 })
	require.Equal(t, []string{"e0", "e2"}, ledgerOf(t, n.client, "user:u1:events"))
	letters := n.list(ingest.LetterQuery{})
	require.Len(t, letters, 1)
	require.Equal(t, []any{"killer", StreamEvents + " " + ids[1]}, []any{letters[0].EventID, letters[0].From})
	require.Contains(t, letters[0].Reason, "handed to 10 readers")
	require.Equal(t, uint64(3), n.intake.Stats().Streams[0].Claims)
}

func TestAPendingEntryThatWasDeletedIsForgotten(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n2", calm(), nil)
	ids := []string{n.event("u1", "e0"), n.event("u1", "e1")}
	require.NoError(t, n.client.XGroupCreate(t.Context(), StreamEvents, group, "0").Err())
	require.NoError(t, n.client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{Group: group, Consumer: "dead", Streams: []string{StreamEvents, ">"}}).Err())
	require.NoError(t, n.client.XDel(t.Context(), StreamEvents, ids[0]).Err())
	n.run()
	until(t, "the other", func() bool { return n.pending() == 0 && len(ledgerOf(t, n.client, "user:u1:events")) == 1 })
	require.Equal(t, []string{"e1"}, ledgerOf(t, n.client, "user:u1:events"))
}

func TestRedisRestartedWithTheStreamLostIsReadOn(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", DefaultConfig(), nil).run()
	n.event("u1", "e1")
	until(t, "one", func() bool { return n.intake.Stats().Streams[0].Published == 1 })
	n.server.Kill()
	until(t, "told", func() bool { return n.logged.has("does not work") })
	n.server.Start()
	n.event("u1", "e2")
	until(t, "another", func() bool { return slices.Contains(ledgerOf(t, n.client, "user:u1:events"), "e2") })
	until(t, "done", func() bool { return n.pending() == 0 })
	require.NoError(t, n.client.FlushAll(t.Context()).Err())
	n.event("u1", "e3")
	until(t, "a third", func() bool { return slices.Contains(ledgerOf(t, n.client, "user:u1:events"), "e3") })
}

func TestAGroupThatAnotherProgramDeletedBeginsBehindWhatIsDone(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil).run()
	for i := range 5 {
		n.event("u1", fmt.Sprintf("e%d", i))
	}
	done := func() bool {
		last, err := n.client.XRevRangeN(t.Context(), StreamEvents, "+", "-", 1).Result()
		require.NoError(t, err)
		return n.client.Get(t.Context(), "{"+StreamEvents+"}:done").Val() == last[0].ID
	}
	until(t, "done", done)
	consumed := n.intake.Stats().Streams[0].Consumed
	require.NoError(t, n.client.XGroupDestroy(t.Context(), StreamEvents, group).Err())
	n.event("u1", "e5")
	until(t, "read on", func() bool { return slices.Contains(ledgerOf(t, n.client, "user:u1:events"), "e5") })
	require.Equal(t, consumed+1, n.intake.Stats().Streams[0].Consumed, "nothing that is done is read again")
	until(t, "done", done)
	// Another stream of the same name, whose entries may have smaller numbers, is read from its beginning.
	require.NoError(t, n.client.Del(t.Context(), StreamEvents).Err())
	require.NoError(t, n.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: StreamEvents, ID: "7-0", Values: []any{"event", `{"type":"A","user_id":"u1","id":"e6","payload":{}}`}}).Err())
	until(t, "read anew", func() bool { return slices.Contains(ledgerOf(t, n.client, "user:u1:events"), "e6") })
}

func TestWhatIsNoStreamIsToldAndNotTouched(t *testing.T) {
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	require.NoError(t, n.client.Set(t.Context(), StreamEvents, "mine", 0).Err())
	n.run()
	until(t, "told", func() bool { return n.logged.has("wse:events is no stream of Redis; delete or rename it") })
	require.Equal(t, "mine", n.client.Get(t.Context(), StreamEvents).Val())
	require.NoError(t, n.client.Del(t.Context(), StreamEvents).Err())
	n.event("u1", "e1")
	until(t, "read", func() bool { return n.intake.Stats().Streams[0].Published == 1 })
}

func TestWhatEveryGroupHasReadLeavesTheStreamInTime(t *testing.T) {
	cfg := calm()
	cfg.StreamKeep = time.Hour
	n := open(t, redistest.Single(t), "n1", cfg, nil)
	s, ctx := n.intake.streams[0], t.Context()
	old := time.Now().Add(-2 * time.Hour).UnixMilli()
	add := func(ms int64, n int) string { return fmt.Sprintf("%d-%d", ms, n) }
	for i := range 300 { // Redis deletes whole nodes of a stream, of 100 entries each
		require.NoError(t, n.client.XAdd(ctx, &goredis.XAddArgs{Stream: StreamEvents, ID: add(old, i), Values: []any{"event", "{}"}}).Err())
	}
	require.NoError(t, n.client.XAdd(ctx, &goredis.XAddArgs{Stream: StreamEvents, Values: []any{"event", "{}"}}).Err())
	require.NoError(t, n.client.XGroupCreate(ctx, StreamEvents, group, "0").Err())
	require.NoError(t, s.care(ctx))
	require.Equal(t, int64(301), n.client.XLen(ctx, StreamEvents).Val(), "nobody has read it")
	require.Equal(t, []any{int64(0), int64(301)}, []any{s.behind.pending, s.behind.lag})
	require.Greater(t, s.behind.age, 119*time.Minute)

	read := func(g string) []goredis.XMessage {
		got, err := n.client.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: g, Consumer: "n1", Streams: []string{StreamEvents, ">"}}).Result()
		require.NoError(t, err)
		return got[0].Messages
	}
	got := read(group)
	require.NoError(t, s.care(ctx))
	require.Equal(t, int64(301), n.client.XLen(ctx, StreamEvents).Val(), "it is pending")
	require.Equal(t, int64(301), s.behind.pending)
	require.Greater(t, s.behind.age, 119*time.Minute)
	ids := make([]string, len(got))
	for i := range got {
		ids[i] = got[i].ID
	}
	require.NoError(t, n.client.XAck(ctx, StreamEvents, group, ids...).Err())
	require.NoError(t, n.client.XGroupCreate(ctx, StreamEvents, "other", "0").Err())
	require.NoError(t, s.care(ctx))
	require.Equal(t, int64(301), n.client.XLen(ctx, StreamEvents).Val(), "another group has not read it")
	read("other")
	require.NoError(t, n.client.XAck(ctx, StreamEvents, "other", ids...).Err())
	require.NoError(t, s.care(ctx))
	require.Equal(t, int64(1), n.client.XLen(ctx, StreamEvents).Val())
	require.Equal(t, behind{}, s.behind)
}

func TestRunLeavesNothingBehind(t *testing.T) {
	server := redistest.Single(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	n := open(t, server, "n1", calm(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.intake.Run(ctx) }()
	until(t, "the leases", func() bool { s := n.intake.Stats(); return s.Streams[0].Reading && s.Ingress.Hearing })
	cancel()
	require.NoError(t, <-done)
	require.Zero(t, n.client.Exists(t.Context(), "{wse:events}:lease", "wse:{_ingress}:lease").Val(), "who leaves gives its leases back")
	require.NoError(t, n.client.Close())
	require.NoError(t, n.intake.client.Close())
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	_, err := New(calm(), nil, nil, nil, nil, Options{})
	require.ErrorContains(t, err, "needs Redis")
	_, err = NewLetters(calm(), nil)
	require.ErrorContains(t, err, "needs Redis")
	bad := calm()
	bad.LeaseTTL = 0
	_, err = New(bad, nil, nil, nil, nil, Options{})
	require.ErrorContains(t, err, "lease_ttl")
}

func TestNoMoreEntriesAreReadAtATimeThanConfigured(t *testing.T) {
	cfg := calm()
	cfg.BatchMax = 3
	n := open(t, redistest.Single(t), "n1", cfg, nil)
	for i := range 5 {
		n.event("u1", fmt.Sprint("e", i))
	}
	s := n.intake.streams[0]
	require.NoError(t, n.client.XGroupCreate(t.Context(), StreamEvents, group, "0").Err())
	_, err := s.take(t.Context(), "")
	require.ErrorIs(t, s.explain(err), errLost, "without the lease nothing is read")
	_, err = s.lease.acquire(t.Context())
	require.NoError(t, err)
	for _, want := range []int{3, 2, 0} {
		entries, err := s.take(t.Context(), "")
		require.NoError(t, err)
		require.Len(t, entries, want)
	}
}

func TestWhatIsNotTheEnginesAtTheLeasesKeyIsToldAndNotTouched(t *testing.T) {
	t.Parallel() // most of it is waiting
	for name, spoil := range map[string][]any{
		"a key of another type":          {"lpush", "{wse:events}:lease", "mine"},
		"a holder whose turn never ends": {"set", "{wse:events}:lease", "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, redistest.Single(t), "n1", DefaultConfig(), nil)
			require.NoError(t, n.client.Do(t.Context(), spoil...).Err())
			before := n.client.Dump(t.Context(), "{wse:events}:lease").Val()
			n.run()
			until(t, "told", func() bool {
				return n.logged.has("{wse:events}:lease or {wse:events}:fence holds what is not the engine's; delete it")
			})
			require.Equal(t, before, n.client.Dump(t.Context(), "{wse:events}:lease").Val())
			require.NoError(t, n.client.Del(t.Context(), "{wse:events}:lease").Err())
			n.event("u1", "e1")
			until(t, "read", func() bool { return len(ledgerOf(t, n.client, "user:u1:events")) == 1 })
		})
	}
}

func TestWhatOnlyAnOperatorCanMendIsToldThoughSomethingElseWentWrongBefore(t *testing.T) {
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	report := n.intake.reporter("reading")
	foreign := errors.New("a key holds something else; delete it: WRONGTYPE Operation against a key")
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, foreign, context.Canceled, foreign, nil, nil, foreign} {
		report(err)
	}
	failed := "intake: reading does not work error"
	require.Equal(t, []string{
		failed + context.DeadlineExceeded.Error(), failed + foreign.Error(), "intake: reading works again ", failed + foreign.Error(),
	}, n.logged.lines)
}

func TestAFenceThatIsNoneIsAsGoodAsLost(t *testing.T) {
	for _, spoilt := range []string{"mine", "1e300", "-1", "nan", "99999999999999999999"} {
		n := open(t, redistest.Single(t), "n1", calm(), nil)
		require.NoError(t, n.client.Set(t.Context(), "{wse:events}:fence", spoilt, 0).Err())
		now := uint64(time.Now().UnixMicro())
		term, err := n.intake.streams[0].lease.acquire(t.Context())
		require.NoError(t, err, spoilt)
		require.GreaterOrEqual(t, term.fence+uint64(time.Second.Microseconds()), now)
		require.Less(t, term.fence, now+uint64(time.Minute.Microseconds()))
	}
}

package intake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// publish publishes as a program does that is no node.
func (n *node) publish(channel, body string) {
	n.t.Helper()
	require.NoError(n.t, n.client.Publish(n.t.Context(), channel, body).Err())
}

// hearing waits until a node hears.
func (n *node) hearing() *node {
	n.t.Helper()
	until(n.t, "hearing", func() bool {
		subscribed, err := n.client.PubSubNumPat(n.t.Context()).Result()
		return err == nil && subscribed > 0 && n.intake.Stats().Ingress.Hearing
	})
	return n
}

func TestWhatAForeignProgramPublishesIsNumberedAndPublished(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), new(guest))
	var types []string
	n.ledger.before = func(env *message.Envelope) error {
		types = append(types, env.Type+" "+string(env.Topic))
		return nil
	}
	n.run().hearing()
	n.publish("wse:user:u1:events", `{"v":2,"t":"order_update","p":{"n":1},"id":"a","seq":77,"epoch":"00000009"}`)
	n.publish("wse:user:u1:events", `{"type":"OrderFilled","payload":{},"id":"b"}`)
	n.publish("wse:user:u1:events", `{"t":"x","p":{},"id":"a"}`)
	n.publish("wse:user:u1:events", `{"type":"Two","payload":{},"id":"c"}`)
	n.publish("wse:user:u1:events", `{"type":"Drop","payload":{},"id":"d"}`)
	n.publish("wse:user:u1:events", `{"t":"y","p":{}}`)
	until(t, "all", func() bool { s := n.intake.Stats().Ingress; return s.Published+s.Duplicates+s.Dropped == 7 })
	until(t, "its own", func() bool { return n.intake.Stats().Ingress.Passed >= 1 }) // what nodes publish is passed over
	n.stop()
	ids := ledgerOf(t, n.client, "user:u1:events")
	require.Equal(t, []string{"a", "b"}, ids[:2], "its numbers are nobody's, its ids are")
	require.True(t, strings.HasPrefix(ids[2], "pub_"), "one without an id gets one")
	require.Len(t, ids, 3)
	require.Equal(t, []string{"c", "c.1"}, ledgerOf(t, n.client, "user:two:events"))
	require.Equal(t, []string{
		"order_update user:u1:events", "order_filled user:u1:events", "x user:u1:events", "a user:two:events", "b user:two:events", "y user:u1:events",
	}, types)
	got := n.intake.Stats().Ingress
	require.Equal(t, []any{uint64(6), uint64(5), uint64(1), uint64(1), uint64(0)}, []any{got.Heard, got.Published, got.Duplicates, got.Dropped, got.DeadLetters})
}

func TestWhatNodesPublishIsPassedOver(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil).run().hearing()
	n.publish("wse:user:u1:events", `{"v":2,"seq":1,"epoch":"00000001","t":"x","p":{}}`)
	n.publish("wse:user:u1:events", `{"v":2,"notice":"presence"}`)
	n.publish("wse:_bus", `hello`)
	n.publish("wse:_probe:n1", `{"t":"x","p":{}}`)
	n.publish("other:user:u1:events", `{"t":"x","p":{}}`)
	n.publish("wse:user:u1:events", `{"t":"x","p":{},"id":"end"}`)
	until(t, "the last", func() bool { return n.intake.Stats().Ingress.Passed == 5 })
	require.Equal(t, []string{"end"}, ledgerOf(t, n.client, "user:u1:events"))
	require.Empty(t, n.list(ingest.LetterQuery{}))
	require.Zero(t, n.client.Exists(t.Context(), channelIndex).Val())
}

func TestGarbageBecomesDeadLettersOfItsChannel(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil).run().hearing()
	big := `{"t":"x","p":{"x":"` + strings.Repeat("x", 400<<10) + `"}}`
	for _, c := range [][4]string{
		{"wse:user:u1:*", `{"t":"x","p":{}}`, "user:u1:*", "stands for many topics"},
		{"wse:nonsense", `{"t":"x","p":{}}`, "nonsense", "must begin with user, system"},
		{"wse:", `{"t":"x","p":{}}`, "_empty", "channel"},
		{"wse:user:{u1}:events\n", `{"t":"x","p":{}}`, "user:%7Bu1%7D:events%0A", "only A-Z a-z 0-9"},
		{"wse:" + strings.Repeat("y", 300), `{}`, strings.Repeat("y", 231) + "~", "300 bytes"},
		{"wse:events", `{"type":"X","payload":{}}`, "events", "must begin with user, system"},
		{"wse:user:u1:events", `hello`, "user:u1:events", "not a JSON object"},
		{"wse:user:u2:events", `["x"]`, "user:u2:events", "not a JSON object"},
		{"wse:user:u3:events", `{"t":"x","p":{},"topic":"user:u4:events"}`, "user:u3:events", "published on the channel of"},
		{"wse:user:u6:events", `{"t":"subscription_update","p":{"action":"recover"}}`, "user:u6:events", "for the engine's own"},
		{"wse:user:u7:events", `{"type":"Error","payload":{}}`, "user:u7:events", "for the engine's own"},
		{"wse:user:u5:events", big, "user:u5:events", "at most 262144 are taken; see limits.event_kib_max"},
	} {
		n.publish(c[0], c[1])
		var got []ingest.DeadLetter
		until(t, c[2], func() bool {
			list, _, err := n.intake.DeadLetters(t.Context(), ingest.LetterQuery{}, 100) // two may be of one millisecond
			i := slices.IndexFunc(list, func(d ingest.DeadLetter) bool { return strings.HasPrefix(d.Channel, c[2]) })
			got = list[max(i, 0):]
			return err == nil && i >= 0
		})
		require.Contains(t, got[0].Reason, c[3])
		require.Equal(t, []any{message.Cut(c[0], channelCut), len(c[1]), 1, c[1] == big, "", ""},
			[]any{got[0].From, got[0].Bytes, got[0].Attempts, got[0].Cut, got[0].Plugin, got[0].EventID})
		whole, err := n.intake.DeadLetter(t.Context(), got[0].ID)
		require.NoError(t, err)
		require.Equal(t, c[1][:min(len(c[1]), 256<<10)], whole.Document)
		stored, err := n.client.XLen(t.Context(), "wse:dlq:"+got[0].Channel).Result()
		require.NoError(t, err)
		require.Equal(t, int64(1), stored, "where any program finds it")
	}
	until(t, "counted", func() bool { return n.intake.Stats().Ingress.DeadLetters == 12 }) // after it was kept
	require.Equal(t, uint64(1), n.intake.Stats().Letters["user:u1:*"])
}

func TestTheOrderOfAChannelIsKeptWhileNothingCanBePublished(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	var down atomic.Bool
	var tries atomic.Int64
	down.Store(true)
	n.ledger.before = func(*message.Envelope) error {
		if down.Load() {
			tries.Add(1)
			return broker.ErrUnavailable
		}
		return nil
	}
	n.run().hearing()
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
		n.publish("wse:user:u1:events", fmt.Sprintf(`{"t":"x","p":{},"id":"%d"}`, i))
	}
	until(t, "tried", func() bool { return tries.Load() >= 3 })
	down.Store(false)
	until(t, "all", func() bool { return n.intake.Stats().Ingress.Published == 40 })
	require.Equal(t, want, ledgerOf(t, n.client, "user:u1:events"))
	require.GreaterOrEqual(t, n.intake.Stats().Ingress.Retries, uint64(3))
}

func TestAHolderWhoseTurnIsOverIsRefused(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	brief := calm()
	brief.LeaseTTL = 3 * time.Second // n2 asks for it before it has run out, and until it has
	n := open(t, server, "n1", brief, nil)
	g := n.intake.ingress
	mine, err := g.lease.acquire(t.Context())
	require.NoError(t, err)
	other := open(t, server, "n2", calm(), nil)
	none, err := other.intake.ingress.lease.acquire(t.Context())
	require.NoError(t, err)
	require.Nil(t, none)
	// n1 sleeps; its lease runs out and n2 has its turn.
	var theirs *term
	until(t, "the other's turn", func() bool {
		theirs, err = other.intake.ingress.lease.acquire(t.Context())
		return err == nil && theirs != nil
	})
	require.Greater(t, theirs.fence, mine.fence)
	f := foreign{channel: "wse:user:u1:events", payload: `{"t":"x","p":{},"id":"a"}`, bytes: 25}
	other.intake.ingress.take(t.Context(), theirs, other.ingest.Through(&turn{other.ledger, theirs, true}), &f)
	require.Equal(t, []string{"a"}, ledgerOf(t, n.client, "user:u1:events"))

	// Awake again, n1 knows by its own clock that its turn is over, and where it did not the broker does.
	f.payload = `{"t":"x","p":{},"id":"b"}`
	calls := n.ledger.calls.Load()
	g.take(t.Context(), mine, n.ingest.Through(&turn{n.ledger, mine, true}), &f)
	require.Equal(t, calls, n.ledger.calls.Load())
	mine.extend(time.Now(), time.Hour)
	g.take(t.Context(), mine, n.ingest.Through(&turn{n.ledger, mine, true}), &f)
	require.Equal(t, calls+1, n.ledger.calls.Load())
	require.Equal(t, []string{"a"}, ledgerOf(t, n.client, "user:u1:events"))
	require.Equal(t, uint64(2), n.intake.Stats().Ingress.Fenced)
	require.Empty(t, n.list(ingest.LetterQuery{}))
	require.ErrorIs(t, g.lease.renew(t.Context(), mine), errLost)
	g.lease.release(t.Context())
	require.NoError(t, other.intake.ingress.lease.renew(t.Context(), theirs), "nobody gives back what is another's")
}

func TestAFenceRisesThoughRedisForgotTheLastOne(t *testing.T) {
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	l := n.intake.ingress.lease
	before, err := l.acquire(t.Context())
	require.NoError(t, err)
	require.NoError(t, n.client.FlushAll(t.Context()).Err())
	after, err := l.acquire(t.Context())
	require.NoError(t, err)
	require.Greater(t, after.fence, before.fence)
	require.Less(t, after.fence, uint64(1)<<53, "Redis compares it as a number of Lua")
	again, err := l.acquire(t.Context())
	require.NoError(t, err)
	require.Greater(t, again.fence, after.fence)
}

func TestAnInterruptedConnectionIsCountedAndHearingGoesOn(t *testing.T) {
	t.Parallel() // most of it is waiting
	n := open(t, redistest.Single(t), "n1", calm(), nil).run().hearing()
	require.NoError(t, n.client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err())
	until(t, "counted", func() bool { return n.intake.Stats().Ingress.Interrupted == 1 })
	// The library has subscribed again by itself by then, on a connection that nobody reads and that is closed at once.
	until(t, "hearing again", func() bool { return n.logged.has("hearing wse:* works again") })
	n.publish("wse:user:u1:events", `{"t":"x","p":{},"id":"a"}`)
	until(t, "published", func() bool { return n.intake.Stats().Ingress.Published == 1 })
}

func TestTheIngressCanBeSwitchedOff(t *testing.T) {
	cfg := calm()
	cfg.Ingress, cfg.Streams = false, nil
	n := open(t, redistest.Single(t), "n1", cfg, nil).run()
	until(t, "measured", func() bool { return n.client.ClientList(t.Context()).Val() != "" })
	require.Zero(t, n.client.PubSubNumPat(t.Context()).Val())
	require.Equal(t, Stats{Letters: map[string]uint64{}}, n.intake.Stats())
}

func TestPassingOverWhatNodesPublishAllocatesNothing(t *testing.T) {
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	m := &goredis.Message{Channel: "wse:user:u1:events", Payload: `{"v":2,"seq":1,"epoch":"00000001"}`}
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() { n.intake.ingress.hear(ctx, m, nil) }))
}

func TestOnlySoManyForeignPublicationsWaitAndNoneIsKeptWholeThatIsTooLarge(t *testing.T) {
	n := open(t, redistest.Single(t), "n1", calm(), nil)
	queues := []chan foreign{make(chan foreign, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	n.intake.ingress.hear(ctx, &goredis.Message{Channel: "wse:x", Payload: strings.Repeat("x", 1<<20)}, queues)
	cancel()
	n.intake.ingress.hear(ctx, &goredis.Message{Channel: "wse:x", Payload: "y"}, queues)
	require.Equal(t, uint64(1), n.intake.Stats().Ingress.Lost, "it waits for room, as long as the turn lasts")
	f := <-queues[0]
	require.Equal(t, []int{1 << 20, 256 << 10}, []int{f.bytes, len(f.payload)})
}

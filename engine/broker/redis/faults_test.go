package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// hasty makes a broker that gives up soon.
func hasty(c *Config) {
	c.PublishWait = 2 * time.Second
	c.DialTimeout, c.CommandTimeout, c.ReplicaWait = time.Second, time.Second, 50*time.Millisecond
}

func history(t testing.TB, b *Broker, topic message.Topic, q broker.Query) broker.History {
	t.Helper()
	h, err := b.History(context.Background(), topic, q)
	require.NoError(t, err)
	return h
}

func numbers(envs []*message.Envelope) (out []uint64) {
	for _, env := range envs {
		out = append(out, env.Seq)
	}
	return out
}

func all() broker.Query { return broker.Query{Limit: -1} }

func recovering(after broker.Position) broker.Query {
	return broker.Query{After: after, Recover: true, Limit: -1, Snapshots: true}
}

func TestALostOrEmptiedRedisBeginsAnewWithAnotherEpoch(t *testing.T) {
	for name, lose := range map[string]func(s *redistest.Server){
		"it is killed and starts with nothing": func(s *redistest.Server) { s.Kill(); s.Start() },
		"it is flushed":                        func(s *redistest.Server) { s.FlushAll() },
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Single(t)
			b := running(t, s.Config(), nil, class(100))
			publish(t, b, update(topicOne))
			last := publish(t, b, update(topicOne)).Position
			lose(s)
			p, err := b.positions(t.Context(), []message.Topic{topicOne})
			require.NoError(t, err)
			require.NoError(t, p[0].err)
			require.NotEqual(t, last.Epoch, p[0].epoch)
			require.Zero(t, p[0].offset)
			h := history(t, b, topicOne, recovering(last))
			require.False(t, h.Recovered)
			again := publish(t, b, update(topicOne)).Position
			require.Equal(t, broker.Position{Epoch: p[0].epoch, Offset: 1}, again)
			require.Equal(t, []uint64{1}, numbers(history(t, b, topicOne, all()).Publications))
		})
	}
}

func TestARestartThatLosesNothingBeginsANewEpochAndKeepsWhatThereIs(t *testing.T) {
	s := redistest.Single(t, "--appendonly", "yes", "--appendfsync", "always")
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	last := publish(t, b, update(topicOne)).Position
	s.Kill()
	s.Start()
	next := publish(t, b, update(topicOne)).Position
	require.NotEqual(t, last.Epoch, next.Epoch, "nobody knows what a server has lost")
	require.Equal(t, last.Offset+1, next.Offset)
	h := history(t, b, topicOne, all())
	require.Equal(t, []uint64{1, 2, 3}, numbers(h.Publications))
	for _, env := range h.Publications {
		require.Equal(t, next.Epoch, env.Epoch)
	}
	require.False(t, history(t, b, topicOne, recovering(last)).Recovered)
}

func TestARoleThatChangedAndChangedBackBeginsANewEpoch(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	last := publish(t, b, update(topicOne)).Position
	s.Demote()
	published := make(chan broker.Published, 1)
	go func() {
		p, _ := b.Publish(context.Background(), update(topicOne)) // meets READONLY
		published <- p
	}()
	require.Eventually(t, func() bool { return b.primaryFault() != nil }, patience, time.Millisecond)
	s.Promote()
	p := <-published
	require.EqualValues(t, 2, p.Offset)
	require.NotEqual(t, last.Epoch, p.Epoch)
}

func TestAnotherIdentityOnAConnectionThatLivesIsNoticed(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	last := publish(t, b, update(topicOne)).Position
	s.Demote() // connections stay, and nobody publishes meanwhile
	s.Promote()
	// What is known of the server may be as old as identityEvery.
	require.Eventually(t, func() bool { return publish(t, b, update(topicOne)).Epoch != last.Epoch }, patience, 10*time.Millisecond)
}

func TestAKeyOfTheWrongTypeRefusesItsTopicOnlyAndChangesNothing(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	raw := s.Client()
	for i, key := range []string{"m", "h", "s", "i"} {
		t.Run(key, func(t *testing.T) {
			topic := message.Topic(fmt.Sprintf("user:wrong%d:events", i))
			spoilt := "{wse:" + string(topic) + "}:" + key
			published := func() error {
				env := update(topic)
				env.ID, env.Type = "evt_"+key, "order_snapshot"
				_, err := b.Publish(t.Context(), env)
				return err
			}
			publish(t, b, update(topic))
			kept, err := raw.Dump(t.Context(), spoilt).Result()
			if key == "s" || key == "i" {
				kept = "" // there is none yet
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, raw.Set(t.Context(), spoilt, "somebody else's", 0).Err())
			require.ErrorContains(t, published(), spoilt[:len(spoilt)-1])
			require.NoError(t, raw.Del(t.Context(), spoilt).Err())
			if kept != "" {
				require.NoError(t, raw.Restore(t.Context(), spoilt, 0, kept).Err())
			}
			require.Equal(t, []uint64{1}, numbers(history(t, b, topic, all()).Publications))
			require.Empty(t, history(t, b, topic, broker.Query{Snapshots: true}).Snapshots)
			require.NoError(t, published())
			require.Equal(t, []uint64{1, 2}, numbers(history(t, b, topic, all()).Publications))
		})
		publish(t, b, update(topicOne))
	}
}

func TestAHistoryThatAnotherProgramSpoiltIsLeftOut(t *testing.T) {
	for name, spoil := range map[string]string{"garbage": "garbage", "an imitation": `{"v":2,"seq":1,"epoch":"00000001","at":9999999999999999,"t":"x","p":{}}`} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Single(t)
			b := running(t, s.Config(), nil, class(100))
			for range 3 {
				publish(t, b, update(topicOne))
			}
			require.NoError(t, s.Client().RPush(t.Context(), "{wse:user:u1:order_events}:h", spoil).Err())
			h := history(t, b, topicOne, all())
			require.Empty(t, h.Publications)
			require.EqualValues(t, 3, h.Position.Offset)
			publish(t, b, update(topicOne))
			require.Equal(t, []uint64{4}, numbers(history(t, b, topicOne, all()).Publications))
		})
	}
}

func TestAServerWithoutMemoryRefusesPublicationsAndNumbersNone(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	s.LimitMemory(true)
	for _, topic := range []message.Topic{topicOne, "user:unborn:events"} {
		env := update(topic)
		env.ID, env.Type = "evt_1", "order_snapshot"
		_, err := b.Publish(t.Context(), env)
		require.ErrorIs(t, err, broker.ErrFull)
	}
	require.Len(t, history(t, b, topicOne, all()).Publications, 1, "what there is can still be read")
	s.LimitMemory(false)
	require.EqualValues(t, 2, publish(t, b, update(topicOne)).Offset)
	require.EqualValues(t, 1, publish(t, b, update("user:unborn:events")).Offset)
	require.Empty(t, history(t, b, topicOne, broker.Query{Snapshots: true}).Snapshots)
}

func TestAPublicationThatCannotBeCarriedOutInTimeIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ harm, mend func(s *redistest.Server) }{
		"the server is away":      {func(s *redistest.Server) { s.Kill() }, func(s *redistest.Server) { s.Start() }},
		"the server is stopped":   {func(s *redistest.Server) { s.Pause() }, func(s *redistest.Server) { s.Resume() }},
		"the server is a replica": {func(s *redistest.Server) { s.Demote() }, func(s *redistest.Server) { s.Promote() }},
		"replicas are missing":    {func(s *redistest.Server) { s.RequireReplicas(1) }, func(s *redistest.Server) { s.RequireReplicas(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			s := redistest.Single(t)
			b := running(t, s.Config(), hasty, class(100))
			publishes := func() bool {
				_, err := b.Publish(t.Context(), update(topicOne))
				return err == nil
			}
			require.Eventually(t, publishes, patience, time.Millisecond)
			c.harm(s)
			began := time.Now()
			_, err := b.Publish(t.Context(), update(topicOne))
			require.ErrorIs(t, err, broker.ErrUnavailable)
			require.Less(t, time.Since(began), patience)
			require.NotZero(t, b.Carriage().Unavailable)
			c.mend(s)
			require.Eventually(t, publishes, patience, time.Millisecond)
			// Every lane finds out for itself, whether it has anything to send or not.
			require.Eventually(t, func() bool { return b.primaryFault() == nil }, patience, time.Millisecond)
		})
	}
}

func TestAFaultThatHasPassedIsForgottenWithoutAnyTraffic(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	s.Kill()
	require.Eventually(t, func() bool { return b.primaryFault() != nil }, patience, time.Millisecond, "an idle connection is looked at")
	s.Start()
	require.Eventually(t, func() bool { return b.primaryFault() == nil }, patience, time.Millisecond)
}

func TestASlowScriptDelaysPublicationsAndLosesNone(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t, "--lua-time-limit", "50")
	b := running(t, s.Config(), func(c *Config) { c.CommandTimeout = 100 * time.Millisecond }, class(100))
	publish(t, b, update(topicOne))
	ended := s.SlowScript(500 * time.Millisecond)
	for n := uint64(2); n < 5; n++ {
		require.Equal(t, n, publish(t, b, update(topicOne)).Offset) // others are told BUSY meanwhile, or nothing
	}
	<-ended
	require.Equal(t, []uint64{1, 2, 3, 4}, numbers(history(t, b, topicOne, all()).Publications))
}

func TestAPublicationWaitsForAnOutageThatIsShort(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	s.Kill()
	errs := make(chan error, 1)
	go func() {
		_, err := b.Publish(context.Background(), update(topicOne))
		errs <- err
	}()
	require.Eventually(t, func() bool { return b.primaryFault() != nil }, patience, time.Millisecond)
	s.Start()
	require.NoError(t, <-errs)
}

// publishing begins to publish, and returns when that waits. What comes of it can be received.
func publishing(t *testing.T, ctx context.Context, b *Broker) <-chan error {
	t.Helper()
	errs := make(chan error, 1)
	go func() {
		_, err := b.Publish(ctx, update(topicOne))
		errs <- err
	}()
	require.Eventually(t, func() bool { return b.Carriage().Pending == 1 }, patience, time.Millisecond)
	return errs
}

func TestWhoeverStopsWaitingIsToldWhetherItWasSent(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	s.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	errs := publishing(t, ctx, b)
	cancel()
	require.ErrorIs(t, <-errs, broker.ErrUnavailable)
	s.Resume()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Zero(c, b.Carriage().Pending, "what was given up is not waited for")
	}, patience, time.Millisecond)
}

func TestWhatNeverLeftTheNodeIsNotSaidToHaveBeenSent(t *testing.T) {
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{"127.0.0.1:1"}
	b := running(t, cfg, hasty, class(100))
	_, err := b.Publish(t.Context(), update(topicOne))
	require.ErrorIs(t, err, broker.ErrUnavailable)
	require.ErrorContains(t, err, "it was not sent")
	ctx, cancel := context.WithCancel(t.Context())
	b = running(t, cfg, nil, class(100))
	errs := publishing(t, ctx, b)
	cancel()
	err = <-errs
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "it was not sent")
	require.Eventually(t, func() bool { return b.Carriage().Pending == 0 }, patience, time.Millisecond)
}

func TestMorePublicationsThanMayWaitAreRefusedAtOnce(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), func(c *Config) { c.PendingMax = 3 }, class(100))
	s.Pause()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			_, err := b.Publish(context.Background(), update(topicOne))
			assert.NoError(t, err)
		})
	}
	require.Eventually(t, func() bool { return b.Carriage().Pending == 3 }, patience, time.Millisecond)
	_, err := b.Publish(t.Context(), update(topicOne))
	require.ErrorIs(t, err, broker.ErrUnavailable)
	require.ErrorContains(t, err, "pending_max")
	require.EqualValues(t, 1, b.Stats().Refused)
	s.Resume()
	wg.Wait()
	require.Zero(t, b.Carriage().Pending)
}

func TestWhatIsRefusedForPendingMaxNeverCountsAmongWhatWaits(t *testing.T) {
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{"127.0.0.1:1"}
	const most = 3
	classes, err := broker.CompileClasses([]broker.Class{class(100)})
	require.NoError(t, err)
	b, _ := opened(t, cfg, func(c *Config) { c.PendingMax = most }, classes, discard{}) // nothing is carried out
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range most + 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = b.Publish(ctx, update(topicOne))
			}
		})
	}
	require.Eventually(t, func() bool { return b.Stats().Refused > 0 }, patience, time.Millisecond)
	waited := int64(0)
	for range 500_000 {
		waited = max(waited, b.pending.Load())
	}
	require.LessOrEqual(t, waited, int64(most))
}

func TestAServerThatForgetsTheScriptsIsTaughtThemAgain(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	raw := s.Client()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				_, err := b.Publish(context.Background(), update(message.Topic(fmt.Sprintf("user:u%d:events", i))))
				assert.NoError(t, err)
			}
		})
	}
	for range 20 {
		require.NoError(t, raw.ScriptFlush(t.Context()).Err())
	}
	wg.Wait()
	require.NoError(t, raw.ScriptFlush(t.Context()).Err())
	require.EqualValues(t, 50, history(t, b, "user:u0:events", all()).Position.Offset)
}

func TestAScriptThatManyCallsNeedIsLoadedOnce(t *testing.T) {
	s := redistest.Single(t)
	classes, err := broker.CompileClasses([]broker.Class{class(100)})
	require.NoError(t, err)
	const n = 50
	b, run := opened(t, s.Config(), func(c *Config) { c.PublishConnections = 1 }, classes, discard{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, err := b.Publish(context.Background(), update(topicOne))
			assert.NoError(t, err)
		})
	}
	queue := func() int {
		b.lanes[0].mu.Lock()
		defer b.lanes[0].mu.Unlock()
		return len(b.lanes[0].queue)
	}
	require.Eventually(t, func() bool { return queue() == n }, patience, time.Millisecond)
	run() // all of them go out together, to a server that has no scripts
	wg.Wait()
	require.Equal(t, 1, calls(t, s, "script|load"))
}

func TestALowerFenceThanTheTopicHasSeenIsRefused(t *testing.T) {
	b := running(t, redistest.Single(t).Config(), nil, class(100))
	for i, c := range []struct {
		fence   uint64
		refused bool
	}{{5, false}, {5, false}, {4, true}, {6, false}, {5, true}, {0, false}} {
		_, err := b.PublishFenced(t.Context(), update(topicOne), c.fence)
		if c.refused {
			require.ErrorIs(t, err, broker.ErrFenced, "%d", i)
		} else {
			require.NoError(t, err, "%d", i)
		}
	}
	require.EqualValues(t, 4, history(t, b, topicOne, all()).Position.Offset)
	require.EqualValues(t, 2, b.Carriage().Fenced)
}

func TestAPublicationThatIsTooLargeIsRefused(t *testing.T) {
	b := running(t, redistest.Single(t).Config(), func(c *Config) { c.PublicationKiBMax = 1 }, class(100))
	env := update(topicOne)
	env.Payload = []byte(`{"x":"` + strings.Repeat("x", 1<<10) + `"}`)
	_, err := b.Publish(t.Context(), env)
	var refused *message.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, message.CodeMessageTooLarge, refused.Code)
	require.Zero(t, b.Carriage().Pending)
}

func TestReplicasThatWereSeenAreDemanded(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	replica := redistest.Single(t, "--replicaof", "127.0.0.1", fmt.Sprint(s.Port))
	require.Eventually(t, func() bool {
		info, err := s.Client().Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "state=online")
	}, patience, 5*time.Millisecond)
	b := running(t, s.Config(), hasty, class(100))
	require.Eventually(t, func() bool { // a replica counts when it has acknowledged
		_, err := b.Publish(t.Context(), update(topicOne))
		return err == nil
	}, patience, time.Millisecond)
	position := func() (offset uint64) {
		require.Eventually(t, func() bool {
			h, err := b.History(t.Context(), topicOne, broker.Query{})
			offset = h.Position.Offset
			return err == nil
		}, patience, time.Millisecond)
		return offset
	}
	before := position()
	replica.Kill()
	env := update(topicOne)
	env.ID = "evt_once"
	_, err := b.Publish(t.Context(), env)
	require.ErrorIs(t, err, broker.ErrUnavailable)
	replica.Start()
	var p broker.Published
	require.Eventually(t, func() bool {
		env := update(topicOne)
		env.ID = "evt_once"
		p, err = b.Publish(t.Context(), env)
		return err == nil
	}, patience, time.Millisecond)
	require.Equal(t, before+1, p.Offset, "however often it was tried, it was published once")
	require.Equal(t, before+1, position())
}

func TestReplicasAreDemandedAsConfigured(t *testing.T) {
	t.Parallel() // most of it is waiting
	b := running(t, redistest.Single(t).Config(), func(c *Config) { hasty(c); c.ReplicasMin = 1 }, class(100))
	_, err := b.Publish(t.Context(), update(topicOne))
	require.ErrorIs(t, err, broker.ErrUnavailable)
	require.ErrorContains(t, err, "replicas")
}

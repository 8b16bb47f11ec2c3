package redistest_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// way opens the way that an engine takes.
func way(t *testing.T, cfg redis.Config) goredis.UniversalClient {
	t.Helper()
	cfg.DialTimeout, cfg.CommandTimeout = patience/3, patience/3 // none is to fail for being slow
	return redistest.Open(t, cfg).Do()
}

// access are the ways that servers are got into.
func access() map[string]redistest.Options {
	return map[string]redistest.Options{"open": {}, "TLS and an ACL user": {TLS: true, Username: "wse"}}
}

// TestNoPortIsGivenTwiceWhileItsTestRuns takes as many as would hardly ever differ if each were one that nobody listens on just now.
func TestNoPortIsGivenTwiceWhileItsTestRuns(t *testing.T) {
	given := make(map[int]bool)
	for range 500 {
		port := redistest.FreePort(t)
		require.False(t, given[port], "%d", port)
		given[port] = true
	}
}

func TestAPortThatIsClaimedIsAwaitedAndKept(t *testing.T) {
	var port int
	claimed := make(chan struct{})
	t.Run("another test", func(other *testing.T) {
		port = redistest.FreePort(other)
		go func() {
			defer close(claimed)
			redistest.ClaimPort(t, port)
		}()
		select {
		case <-claimed:
			require.Fail(other, "it was another test's still")
		case <-time.After(100 * time.Millisecond):
		}
	})
	<-claimed
	_, err := net.Listen("unix", "@wse-redistest-"+strconv.Itoa(port))
	require.Error(t, err, "it is kept")
}

func TestOneServerIsThereAgainAfterItWasKilled(t *testing.T) {
	t.Parallel()
	for name, o := range access() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.SingleWith(t, o)
			client := way(t, s.Config())
			require.NoError(t, client.Set(t.Context(), "wse:a", 1, 0).Err())
			s.Kill()
			require.Error(t, client.Ping(t.Context()).Err())
			s.Start()
			require.ErrorIs(t, client.Get(t.Context(), "wse:a").Err(), goredis.Nil, "it keeps nothing")
			s.Pause()
			s.Resume()
			require.NoError(t, client.Ping(t.Context()).Err())
		})
	}
}

func TestAnACLUserMayTouchOnlyWhatIsTheEngines(t *testing.T) {
	t.Parallel()
	s := redistest.SingleWith(t, redistest.Options{Username: "wse"})
	client := way(t, s.Config())
	require.NoError(t, client.Set(t.Context(), "{wse:user:1:a}:m", 1, 0).Err())
	require.ErrorContains(t, client.Set(t.Context(), "other", 1, 0).Err(), "NOPERM")
	require.ErrorContains(t, client.FlushAll(t.Context()).Err(), "NOPERM")
	stranger := s.Config()
	stranger.Username, stranger.Password = "", ""
	require.ErrorContains(t, way(t, stranger).Ping(t.Context()).Err(), "NOAUTH")
}

func TestEveryFaultShowsAndPasses(t *testing.T) {
	t.Parallel()
	s := redistest.Single(t)
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr(), MaxRetries: -1, ReadTimeout: patience})
	defer client.Close()
	hasty := goredis.NewClient(&goredis.Options{Addr: s.Addr(), MaxRetries: -1, ReadTimeout: 50 * time.Millisecond})
	defer hasty.Close()
	set := func() error { return client.Set(context.Background(), "wse:a", "b", 0).Err() }
	require.NoError(t, set())

	const while = 1500 * time.Millisecond // much longer than it takes to see that nobody answers
	for what, begin := range map[string]func() <-chan struct{}{
		"sleep":  func() <-chan struct{} { return s.DebugSleep(while) },
		"script": func() <-chan struct{} { return s.SlowScript(while) },
	} {
		ended := begin()
		require.ErrorContains(t, hasty.Set(context.Background(), "wse:a", "b", 0).Err(), "timeout", what)
		<-ended
		require.NoError(t, set(), what)
	}
	for want, fault := range map[string]struct{ begin, end func() }{
		"OOM":        {func() { s.LimitMemory(true) }, func() { s.LimitMemory(false) }},
		"NOREPLICAS": {func() { s.RequireReplicas(1) }, func() { s.RequireReplicas(0) }},
		"READONLY":   {s.Demote, s.Promote},
	} {
		fault.begin()
		require.ErrorContains(t, set(), want)
		fault.end()
		require.NoError(t, set(), want)
	}
	before := client.ClientID(t.Context()).Val()
	require.Positive(t, s.KillClients("normal"))
	require.NotEqual(t, before, client.ClientID(t.Context()).Val(), "it is another connection")
	s.FlushAll()
	require.Zero(t, client.DBSize(t.Context()).Val())
}

func TestSentinelsFindAnotherPrimary(t *testing.T) {
	t.Parallel()
	for name, o := range access() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			w := redistest.Sentinel(t, o)
			t.Logf("started within %s", time.Since(began))
			client := way(t, w.Config())
			require.NoError(t, client.Set(t.Context(), "wse:a", 1, 0).Err())
			require.NoError(t, client.Do(t.Context(), "WAIT", 2, 5000).Err())

			began = time.Now()
			old := w.Servers[0]
			old.Kill()
			second := w.AwaitPrimary(old)
			t.Logf("another primary within %s", time.Since(began))
			require.Equal(t, "1", await(t, client, "wse:a"))

			began = time.Now()
			old.Start()
			w.AwaitReady()
			t.Logf("the old one follows within %s", time.Since(began))
			require.NotSame(t, second, w.Failover())
			require.Equal(t, "1", await(t, client, "wse:a"))
		})
	}
}

// patience is how long a test waits for what is to come.
const patience = time.Minute

// await asks until a client found its way again.
func await(t *testing.T, client goredis.UniversalClient, key string) (value string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		value, err = client.Get(context.Background(), key).Result()
		return err == nil
	}, patience, 10*time.Millisecond)
	return value
}

func TestAClusterMovesSlotsAndFailsOver(t *testing.T) {
	t.Parallel()
	for name, o := range access() {
		o.Replicas = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := redistest.Cluster(t, o)
			t.Logf("started within %s", time.Since(began))
			client := way(t, c.Config())
			for _, key := range []string{"wse:a", "wse:b", "wse:c", "wse:d"} {
				require.NoError(t, client.Set(t.Context(), key, key, 0).Err())
			}
			c.SetPatience(time.Hour) // a slot is given by a primary that stays one
			slot := c.Slot("wse:a")
			owner := c.AwaitOwner(slot, nil)
			began = time.Now()
			c.Move(slot, c.Nodes[(indexOf(c, owner)+1)%3])
			t.Logf("a slot moved within %s", time.Since(began))
			moved := c.AwaitOwner(slot, nil)
			require.NotSame(t, owner, moved)
			require.Equal(t, "wse:a", await(t, client, "wse:a"))

			c.SetPatience(0)
			owner = moved
			began = time.Now()
			replica := c.Failover(slot)
			t.Logf("a replica took over within %s", time.Since(began))
			began = time.Now()
			replica.Kill()
			require.Same(t, owner, c.AwaitOwner(slot, replica))
			t.Logf("a killed primary was replaced within %s", time.Since(began))
			require.Equal(t, "wse:a", await(t, client, "wse:a"))
			replica.Start()
			c.AwaitReady()
		})
	}
}

// TestPatientServersAreNotReplaced has primaries do nothing for longer than they may at the start.
func TestPatientServersAreNotReplaced(t *testing.T) {
	t.Parallel()
	const while, patient = 4 * time.Second, time.Hour
	t.Run("by Sentinels", func(t *testing.T) {
		t.Parallel()
		w := redistest.Sentinel(t, redistest.Options{})
		w.SetPatience(patient)
		before := w.AwaitPrimary(nil)
		<-before.DebugSleep(while)
		w.AwaitReady()
		require.Same(t, before, w.AwaitPrimary(nil))
		w.SetPatience(0)
		before.Pause()
		defer before.Resume()
		w.AwaitPrimary(before)
	})
	t.Run("in a Cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.Cluster(t, redistest.Options{Replicas: true})
		c.SetPatience(patient)
		before := c.AwaitOwner(0, nil)
		<-before.DebugSleep(while)
		require.Same(t, before, c.AwaitOwner(0, nil))
		c.SetPatience(0)
		before.Kill()
		c.AwaitOwner(0, before)
	})
}

func indexOf(c *redistest.Sharded, of *redistest.Server) int {
	for i, s := range c.Nodes {
		if s == of {
			return i
		}
	}
	return -1
}

func TestSmallClustersHaveNoReplicas(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, redistest.Options{Args: redistest.NoSharded()})
	require.Len(t, c.Nodes, 3)
	require.Error(t, c.Nodes[0].Client().SPublish(t.Context(), "wse:a", "b").Err())
}

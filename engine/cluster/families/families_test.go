package families_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/cluster/families"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestMain(m *testing.M) { redistest.Verify(m) }

func open(t testing.TB, addr string, change func(*redis.Config)) *redis.Client {
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{addr}
	cfg.DialTimeout, cfg.CommandTimeout = 5*time.Second, 5*time.Second
	if change != nil {
		change(&cfg)
	}
	return redistest.Open(t, cfg)
}

// hasty makes a way to a Redis that does not answer.
func hasty(cfg *redis.Config) {
	cfg.DialTimeout, cfg.CommandTimeout = 300*time.Millisecond, 300*time.Millisecond
}

// node is an Auth of one process: all have the same secret, and their records in one Redis.
func node(t testing.TB, server *redistest.Server) *auth.Auth {
	return nodeBy(t, open(t, server.Addr(), nil))
}

func nodeBy(t testing.TB, way *redis.Client) *auth.Auth {
	cfg := auth.DefaultConfig()
	cfg.Secret = auth.Secret(strings.Repeat("s", 32))
	a, err := auth.New(cfg, t.TempDir(), auth.WithShared(families.New(way)), auth.WithRefreshReports(func(string) {}, func(error) {}))
	require.NoError(t, err)
	return a
}

// started has the records begun, as the start of an engine does.
func started(t testing.TB, server *redistest.Server) {
	_, _, err := families.New(open(t, server.Addr(), nil)).Get(context.Background())
	require.NoError(t, err)
}

func login(t testing.TB, a *auth.Auth, user string) string {
	token, err := a.Issue(auth.Spec{UserID: user, Refresh: true})
	require.NoError(t, err)
	return token
}

func refused(t testing.TB, a *auth.Auth, token string, code message.Code) error {
	t.Helper()
	access, next, _, err := a.Refresh(context.Background(), token)
	require.Error(t, err)
	require.Equal(t, code, message.AsError(err).Code, err)
	require.Empty(t, access+next)
	return err
}

func renew(t testing.TB, a *auth.Auth, token string) string {
	t.Helper()
	_, next, _, err := a.Refresh(context.Background(), token)
	require.NoError(t, err)
	return next
}

func TestATokenThatOneNodeSpentIsSpentOnAll(t *testing.T) {
	server := redistest.Single(t)
	started(t, server)
	a, b := node(t, server), node(t, server)
	first := login(t, a, "u1")
	second := renew(t, b, first)
	third := renew(t, a, second)
	require.ErrorContains(t, refused(t, b, second, message.CodeAuthFailed), "used before")
	require.ErrorContains(t, refused(t, a, third, message.CodeAuthFailed), "revoked")
	renew(t, node(t, server), login(t, b, "u1"))
}

func TestOfNodesThatGetOneTokenAtOnceOneSpendsIt(t *testing.T) {
	server := redistest.Single(t)
	started(t, server)
	nodes := []*auth.Auth{node(t, server), node(t, server), node(t, server)}
	for round := range 20 {
		token := login(t, nodes[0], "u"+strconv.Itoa(round))
		won := make(chan string, 30)
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				<-start
				_, next, _, err := nodes[i%len(nodes)].Refresh(context.Background(), token)
				if err == nil {
					won <- next
				} else if message.AsError(err).Code != message.CodeAuthFailed {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		require.Len(t, won, 1)
		refused(t, nodes[round%len(nodes)], <-won, message.CodeAuthFailed)
	}
	total := auth.RefreshStats{}
	for _, n := range nodes {
		s := n.RefreshStats()
		total.Renewed += s.Renewed
	}
	require.EqualValues(t, 20, total.Renewed)
}

func TestAUserWhoIsRevokedOnOneNodeIsRevokedOnAll(t *testing.T) {
	server := redistest.Single(t)
	started(t, server)
	a, b := node(t, server), node(t, server)
	used, unused, other := renew(t, a, login(t, a, "u1")), login(t, b, "u1"), login(t, b, "u2")
	require.NoError(t, a.RevokeUser(t.Context(), "u1"))
	refused(t, b, used, message.CodeAuthFailed)
	refused(t, b, unused, message.CodeAuthFailed)
	renew(t, a, other)
}

func TestWithoutRedisNothingIsRenewedAndNothingIsLostByAsking(t *testing.T) {
	server := redistest.Single(t, "--appendonly", "yes", "--appendfsync", "always")
	started(t, server)
	way := open(t, server.Addr(), nil)
	a, b := nodeBy(t, way), node(t, server)
	spent := login(t, a, "u1")
	good := renew(t, a, spent)
	server.Kill()
	for _, token := range []string{good, spent, login(t, a, "u2")} {
		refused(t, a, token, message.CodeUnavailable)
	}
	require.Equal(t, message.CodeUnavailable, message.AsError(a.RevokeUser(t.Context(), "u1")).Code)
	server.Start()
	require.Eventually(t, func() bool { return way.Do().Ping(t.Context()).Err() == nil }, 20*time.Second, 10*time.Millisecond) // it is looked for once a second
	next := renew(t, b, good)
	refused(t, b, spent, message.CodeAuthFailed)
	refused(t, a, next, message.CodeAuthFailed)
}

func TestAPausedRedisIsNoYes(t *testing.T) {
	server := redistest.Single(t)
	started(t, server)
	a := nodeBy(t, open(t, server.Addr(), hasty))
	token := login(t, a, "u1")
	server.Pause()
	refused(t, a, token, message.CodeUnavailable)
	server.Resume()
}

func TestWhatAnEmptiedRedisKnewOfIsWorthless(t *testing.T) {
	server := redistest.Single(t)
	client := server.Client()
	started(t, server)
	a := node(t, server)
	spent := login(t, a, "u1")
	good, unused := renew(t, a, spent), login(t, a, "u2")
	require.NoError(t, client.FlushAll(t.Context()).Err())
	// The records that begin anew begin after the second in which those tokens were issued.
	require.NoError(t, client.Eval(t.Context(), `return redis.call('SET', KEYS[1], redis.call('TIME')[1] + 1)`, []string{"wse:{_auth}:since"}).Err())
	for _, token := range []string{spent, good, unused} {
		require.ErrorContains(t, refused(t, a, token, message.CodeAuthFailed), "was lost")
	}
}

func TestARecordExpiresByItselfAndOnlyAfterItsTokens(t *testing.T) {
	server := redistest.Single(t)
	started(t, server)
	a := node(t, server)
	renew(t, a, login(t, a, "u1"))
	require.NoError(t, a.RevokeUser(t.Context(), "u1"))
	keys, err := server.Client().Keys(t.Context(), "wse:{_auth}:*/*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		left, err := server.Client().PTTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.Greater(t, left, auth.DefaultConfig().RefreshTTL)
		require.Less(t, left, auth.DefaultConfig().RefreshTTL+2*time.Hour)
	}
}

func TestARecordIsSafeOnlyOnceAReplicaHasIt(t *testing.T) {
	primary := redistest.Single(t)
	replica := redistest.Single(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	conn := primary.Client().Conn()
	defer conn.Close()
	require.Eventually(t, func() bool { // both say that they are connected before what is written comes over
		require.NoError(t, conn.Set(t.Context(), "ready", 1, 0).Err())
		return conn.Wait(t.Context(), 1, 100*time.Millisecond).Val() == 1
	}, 20*time.Second, 10*time.Millisecond)
	started(t, primary)
	r := families.New(open(t, primary.Addr(), func(cfg *redis.Config) { cfg.CommandTimeout = 2 * time.Second })) // what a replica has time for
	swapped, err := r.Swap(t.Context(), "k", nil, []byte("1"), time.Minute)
	require.NoError(t, err)
	require.True(t, swapped)
	require.Equal(t, "1", replica.Client().Get(t.Context(), "wse:{_auth}:k").Val())

	replica.Pause()
	swapped, err = r.Swap(t.Context(), "k", []byte("1"), []byte("2"), time.Minute)
	require.ErrorIs(t, err, families.ErrUnsafe)
	require.False(t, swapped)
	docs, _, err := r.Get(t.Context(), "k", "none")
	require.NoError(t, err)
	require.Equal(t, "1", string(docs[0]), "it was taken back")
	require.Nil(t, docs[1])
	replica.Resume()
	require.Eventually(t, func() bool {
		swapped, err = r.Swap(t.Context(), "k", []byte("1"), []byte("2"), time.Minute)
		return err == nil && swapped
	}, 20*time.Second, 10*time.Millisecond)
	swapped, err = r.Swap(t.Context(), "k", []byte("1"), []byte("2"), time.Minute)
	require.NoError(t, err)
	require.True(t, swapped, "a Swap that is sent twice succeeds twice")
	swapped, err = r.Swap(t.Context(), "k", []byte("1"), []byte("3"), time.Minute)
	require.NoError(t, err)
	require.False(t, swapped)
}

func TestAKeyOfAnotherTypeIsNoYes(t *testing.T) {
	server := redistest.Single(t)
	started(t, server)
	a := node(t, server)
	require.NoError(t, server.Client().Del(t.Context(), "wse:{_auth}:since").Err())
	require.NoError(t, server.Client().Set(t.Context(), "wse:{_auth}:since", "yesterday", 0).Err())
	err := refused(t, a, login(t, a, "u1"), message.CodeUnavailable)
	require.ErrorContains(t, err, "wse:{_auth}:since")
	require.NoError(t, server.Client().Del(t.Context(), "wse:{_auth}:since").Err())
	require.NoError(t, server.Client().LPush(t.Context(), "wse:{_auth}:user/u1", "x").Err())
	refused(t, a, login(t, a, "u1"), message.CodeUnavailable)
}

// BenchmarkRefresh is what a renewal costs with its records in Redis; beside it is what the same costs in memory and in a file in
// package auth.
func BenchmarkRefresh(b *testing.B) {
	server := redistest.Single(b)
	started(b, server)
	a := node(b, server)
	token := login(b, a, "u1")
	b.ReportAllocs()
	for b.Loop() {
		token = renew(b, a, token)
	}
}

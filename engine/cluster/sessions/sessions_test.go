package sessions

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
	"github.com/wse-engine/wse/engine/trading"
)

func TestMain(m *testing.M) { redistest.Verify(m) }

const soon = 20 * time.Second

// trader is a node's trading as far as this package knows it.
type trader struct {
	name     string
	reshared chan struct{}
}

func (r *trader) Passed(_ context.Context, request []byte) ([]byte, error) {
	if string(request) == "no" {
		return nil, message.Errorf(message.CodeSessionNotFound, "none")
	}
	return []byte(r.name + " answers " + string(request)), nil
}

func (r *trader) Reshare() { r.reshared <- struct{}{} }

type member struct {
	*Sessions
	trader *trader
	stop   func()
}

func join(t *testing.T, server *redistest.Server, name string, most int) *member {
	way := server.Config()
	way.DialTimeout, way.CommandTimeout = 5*time.Second, 5*time.Second
	client := redistest.Open(t, way)
	cfg := cluster.DefaultConfig()
	cfg.BeatInterval, cfg.NodeTimeout, cfg.AskTimeout, cfg.SessionsMax = 50*time.Millisecond, soon, soon, most // who dies has left
	node, err := cluster.New(cfg, client, cluster.Options{Name: name})
	require.NoError(t, err)
	m := &member{Sessions: New(cfg, client, node), trader: &trader{name, make(chan struct{}, 100)}}
	m.Serve(m.trader)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = node.Run(ctx) })
	m.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(m.stop)
	require.Eventually(t, func() bool { return node.Stats().Beats > 0 }, soon, 5*time.Millisecond)
	return m
}

func change(id, owner string, created int64, state string) trading.SessionChange {
	return trading.SessionChange{Session: &message.Session{ID: id, Owner: owner, CreatedMS: created, State: state, Config: []byte(`{"a":1}`)}}
}

func gone(id, owner string) trading.SessionChange {
	return trading.SessionChange{Session: &message.Session{ID: id, Owner: owner}, Gone: true}
}

func list(t *testing.T, m *member, owner string, most int) (ids []string) {
	all, err := m.List(t.Context(), owner, most)
	require.NoError(t, err)
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestEveryNodeKnowsTheSessionsOfAll(t *testing.T) {
	server := redistest.Single(t)
	a, b := join(t, server, "a", 100), join(t, server, "b", 100)
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s1", "u1", 1, "running"), change("s2", "u2", 2, "running")}))
	require.NoError(t, b.Share(t.Context(), []trading.SessionChange{change("s3", "u1", 3, "paused")}))
	require.Equal(t, []string{"s3", "s2", "s1"}, list(t, a, "", 10))
	require.Equal(t, []string{"s3", "s1"}, list(t, b, "u1", 10))
	require.Equal(t, []string{"s3"}, list(t, b, "u1", 1))
	require.Empty(t, list(t, b, "u3", 10))
	s, err := b.Find(t.Context(), "s1")
	require.NoError(t, err)
	require.Equal(t, &trading.SharedSession{Session: change("s1", "u1", 1, "running").Session, Node: a.node.ID()}, s)
	s, err = a.Find(t.Context(), "s1")
	require.NoError(t, err)
	require.True(t, s.Here)
	s, err = a.Find(t.Context(), "s9")
	require.NoError(t, err)
	require.Nil(t, s)

	require.NoError(t, b.Share(t.Context(), []trading.SessionChange{gone("s1", "u1")}))
	require.Equal(t, []string{"s3", "s1"}, list(t, b, "u1", 10), "it is not b's to forget")
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{gone("s1", "u1")}))
	require.Equal(t, []string{"s3"}, list(t, b, "u1", 10))
	require.Equal(t, []string{"s3", "s2"}, list(t, b, "", 10))
}

func TestTheSessionsOfADeadNodeAreLostUntilItIsBack(t *testing.T) {
	server := redistest.Single(t)
	a, b := join(t, server, "a", 100), join(t, server, "b", 100)
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s1", "u1", 1, "running")}))
	a.stop()
	s, err := b.Find(t.Context(), "s1")
	require.NoError(t, err)
	require.True(t, s.Lost)
	all, err := b.List(t.Context(), "u1", 10)
	require.NoError(t, err)
	require.True(t, all[0].Lost)
	again := join(t, server, "a", 100)
	unknown, err := again.Adopt(t.Context(), []string{"s1", "s2"})
	require.NoError(t, err)
	require.Equal(t, []string{"s2"}, unknown)
	s, err = b.Find(t.Context(), "s1")
	require.NoError(t, err)
	require.False(t, s.Lost)
	require.Equal(t, again.node.ID(), s.Node)
}

func TestTheOldestBeyondSessionsMaxAreForgotten(t *testing.T) {
	server := redistest.Single(t)
	a := join(t, server, "a", 3)
	for i := range int64(6) {
		require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s"+string(rune('0'+i)), "u1", i, "stopped")}))
	}
	require.Equal(t, []string{"s5", "s4", "s3"}, list(t, a, "", 10))
	require.Equal(t, []string{"s5", "s4"}, list(t, a, "u1", 2))
	require.Equal(t, []string{"s5", "s4", "s3"}, list(t, a, "u1", 10))
	n, err := server.Client().ZCard(t.Context(), "wse:{_sessions}:of:u1").Result()
	require.NoError(t, err)
	require.EqualValues(t, 3, n, "what is forgotten leaves the list of its owner when that is looked at")
}

func TestWhatIsForgottenLeavesTheListOfItsOwnerAlsoWhereNobodyLooks(t *testing.T) {
	server := redistest.Single(t)
	a := join(t, server, "a", 3)
	kept := func(owner string) []string {
		ids, err := server.Client().ZRange(t.Context(), tag+"of:"+owner, 0, -1).Result()
		require.NoError(t, err)
		return ids
	}
	for i := range int64(20) {
		require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s"+string(rune('a'+i)), "u1", i, "stopped")}))
	}
	require.Subset(t, kept("u1"), []string{"sr", "ss", "st"})
	require.LessOrEqual(t, len(kept("u1")), 5, "those beyond sessions_max go as others come")
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s1", "u2", 100, "stopped")}))
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{gone("s1", "u2")}))
	require.Empty(t, kept("u2"), "one that its node forgets goes at once")
}

func TestAUserHasOneHomeWhichIsAnotherOnceItIsDead(t *testing.T) {
	server := redistest.Single(t)
	a, b := join(t, server, "a", 100), join(t, server, "b", 100)
	home := func(m *member, claim bool) string {
		node, here, err := m.Home(t.Context(), "u1", claim)
		require.NoError(t, err)
		require.Equal(t, node == m.node.ID(), here)
		return node
	}
	require.Empty(t, home(a, false))
	var all sync.WaitGroup
	won := make(chan string, 20)
	for i := range 20 {
		all.Go(func() {
			node, _, err := []*member{a, b}[i%2].Home(context.Background(), "u1", true)
			if err == nil {
				won <- node
			}
		})
	}
	all.Wait()
	close(won)
	first := <-won
	for node := range won {
		require.Equal(t, first, node)
	}
	at, other := a, b
	if first == b.node.ID() {
		at, other = b, a
	}
	require.Equal(t, first, home(other, true), "somebody lives there")
	at.stop()
	require.Empty(t, home(other, false), "a dead node is nobody's home")
	require.Equal(t, other.node.ID(), home(other, true))
	require.Equal(t, other.node.ID(), home(join(t, server, "c", 100), false))
}

func TestAHomeStandsForAsLongAsASessionThereGoesOn(t *testing.T) {
	server := redistest.Single(t)
	a, b := join(t, server, "a", 100), join(t, server, "b", 100)
	node, _, err := a.Home(t.Context(), "u1", true)
	require.NoError(t, err)
	require.Equal(t, a.node.ID(), node)
	const soonOver = time.Hour
	home := homeOf("u1")
	left := func() time.Duration { return server.Client().TTL(t.Context(), home).Val() }
	require.NoError(t, server.Client().Expire(t.Context(), home, soonOver).Err())
	require.NoError(t, b.Share(t.Context(), []trading.SessionChange{change("s1", "u1", 1, "running")}))
	require.LessOrEqual(t, left(), soonOver, "it is not b's")
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s2", "u2", 2, "running"), change("s3", "u1", 3, "running"), change("s4", "u1", 4, "running")}))
	require.Greater(t, left(), homeKept-soonOver)
	require.Zero(t, server.Client().Exists(t.Context(), homeOf("u2")).Val(), "to tell of a session makes nobody a home")
}

func TestASymbolIsOneOwnersForHisLiveSessionsOnAllNodes(t *testing.T) {
	server := redistest.Single(t)
	a, b := join(t, server, "a", 100), join(t, server, "b", 100)
	claim := func(m *member, owner, session string, symbols ...string) bool {
		free, err := m.Claim(t.Context(), owner, session, symbols)
		require.NoError(t, err)
		return free
	}
	require.True(t, claim(a, "u1", "s1", "BTC", "ETH"))
	require.True(t, claim(a, "u1", "s1", "BTC", "ETH"))
	require.False(t, claim(b, "u2", "s2", "XRP", "eth"))
	require.True(t, claim(b, "u2", "s2", "XRP"), "all or none")
	require.True(t, claim(b, "u1", "s3", "ETH"), "it is the same owner's")
	require.NoError(t, a.Release(t.Context(), "u1", "s1", []string{"BTC", "ETH"}))
	require.True(t, claim(b, "u2", "s4", "BTC"))
	require.False(t, claim(a, "u3", "s5", "ETH"), "it is another session's meanwhile")
	b.stop()
	require.True(t, claim(a, "u3", "s5", "ETH", "BTC"), "whoever died has nothing")
}

func TestARequestIsPassedToTheNodeThatIsNamed(t *testing.T) {
	server := redistest.Single(t)
	a, b := join(t, server, "a", 100), join(t, server, "b", 100)
	answer, err := a.Pass(t.Context(), b.node.ID(), []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "b answers x", string(answer))
	_, err = a.Pass(t.Context(), b.node.ID(), []byte("no"))
	var coded *message.Error
	require.ErrorAs(t, err, &coded)
	require.Equal(t, message.CodeSessionNotFound, coded.Code)
}

func TestWithoutRedisNothingIsKnownAndWhatWasIsToldAgain(t *testing.T) {
	server := redistest.Single(t)
	a := join(t, server, "a", 100)
	server.Kill()
	_, err := a.Find(t.Context(), "s1")
	require.Error(t, err)
	_, err = a.List(t.Context(), "", 1)
	require.Error(t, err)
	_, _, err = a.Home(t.Context(), "u1", true)
	require.Error(t, err)
	require.Error(t, a.Share(t.Context(), []trading.SessionChange{change("s1", "u1", 1, "running")}))
	_, err = a.Adopt(t.Context(), []string{"s1"})
	require.Error(t, err)
	server.Start()
	select {
	case <-a.trader.reshared:
	case <-time.After(soon):
		require.FailNow(t, "nobody was asked to tell of his sessions again")
	}
}

func TestGarbageInTheRegistryIsOneSessionsFaultOnly(t *testing.T) {
	server := redistest.Single(t)
	a := join(t, server, "a", 100)
	require.NoError(t, a.Share(t.Context(), []trading.SessionChange{change("s1", "u1", 1, "running"), change("s2", "u1", 2, "running")}))
	require.NoError(t, server.Client().HSet(t.Context(), docs, "s2", "garbage").Err())
	require.Equal(t, []string{"s1"}, list(t, a, "u1", 10))
	_, err := a.Find(t.Context(), "s2")
	require.ErrorContains(t, err, docs)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"v":1,"s":{"ID":"s1"}}`, `{"v":2,"s":{"ID":"s1"}}`, `{"v":1,"s":null}`, strings.Repeat("[", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if s, err := decode("s1", raw); err == nil {
			require.Equal(t, "s1", s.ID)
		}
	})
}

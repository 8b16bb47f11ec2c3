package shared_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/presencetest"
	"github.com/wse-engine/wse/engine/presence/shared"
	"github.com/wse-engine/wse/engine/redis"
)

func TestNodesHaveOneListAndTellTheSame(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	a.Told("join alice")
	b.Told("join alice")
	b.Come("alice", "b1")
	b.Come("alice", "b2")
	b.Say("alice", "b1", `{"n":1}`)
	a.Told(`update alice {"n":1}`)
	b.Told(`update alice {"n":1}`)
	a.Listed(`alice 3 {"n":1}`)
	b.Listed(`alice 3 {"n":1}`)
	b.Go("b1")
	b.Go("b2")
	b.Listed(`alice 1 {"n":1}`)
	a.Go("b1") // a connection of another node is none of this one's
	a.Listed(`alice 1 {"n":1}`)
	a.Go("a1")
	a.Told("leave alice")
	b.Told("leave alice")
	for i, n := range a.Board.All() {
		require.Equal(t, n.Version, b.Board.All()[i].Version)
		require.Equal(t, n.Envelope.ID, b.Board.All()[i].Envelope.ID)
	}
	keys, err := r.server.Client().Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Empty(t, keys, "nothing is left of a topic that nobody is on")
}

func TestALostConnectionMayComeBackOnAnotherNode(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	a.Say("alice", "a1", `{"n":1}`)
	a.Lose("a1")
	a.Listed(`alice 0 {"n":1}`)
	b.Come("alice", "b1")
	require.NotContains(t, a.Outlast(), "leave alice")
	a.Listed(`alice 1 {"n":1}`)
	b.Come("zoe", "z1")
	b.Go("b1")
	b.Settled("zoe 1")
}

func TestLimitsAreThoseOfAllNodesTogether(t *testing.T) {
	r := newRig(t)
	r.limits.MembersMax, r.limits.DataKiBMax, r.limits.TopicKiBMax = 2, 1, 1
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	for _, n := range []*node{a, b} {
		n.Refused(message.CodeSubscriptionLimit, n.Enter(t.Context(), room, "carol", "c1"))
		n.Come("alice", "more of alice")
	}
	half := fmt.Appendf(nil, `{"n":"%0600d"}`, 1)
	require.NoError(t, a.Update(t.Context(), room, "alice", "a1", half))
	b.Refused(message.CodeUnavailable, b.Update(t.Context(), room, "bob", "b1", half))
	b.Go("b1")
	a.Settled("alice 3 " + string(half))
	a.Come("carol", "c1")
	a.Until(func() bool { return b.Stats().Topics == 1 && b.Stats().Members == 1 }, func() string { return fmt.Sprint(b.Stats()) })
}

func TestADeadNodesMembersLeaveAfterTheGracePeriodUnlessTheyCameBack(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	a, b, c := r.start(t, "a"), r.start(t, "b"), r.start(t, "c")
	a.Come("anchor", "a1")
	b.Come("bob", "b1")
	b.Come("back", "b2")
	b.Come("both", "b3")
	c.Come("both", "c1")
	a.Board.Next(4)
	require.NoError(t, b.Enter(t.Context(), "public:room:alone", "bob", "b1"))
	a.Board.Next(1) // by the pattern
	b.stop()
	died := time.Now()
	a.Dead("b")
	a.Dead("b")
	c.Dead("b")
	a.Settled("anchor 1", "back 0", "bob 0", "both 1")
	c.Come("back", "c2")
	left := a.Board.Next(2)
	require.ElementsMatch(t, []string{"leave bob", "leave bob"}, presencetest.Texts(left))
	require.GreaterOrEqual(t, left[0].At.Sub(died), r.limits.Grace)
	require.NotEqual(t, left[0].Topic, left[1].Topic, "also where nobody else was")
	a.Listed("anchor 1", "back 1", "both 1")
	require.Empty(t, a.Outlast())
}

func TestANodeThatIsSilentIsTakenForDead(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	r.cfg.CheckInterval = 50 * time.Millisecond
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	a.Told("join alice", "join bob")
	b.stop()
	a.Told("leave bob") // though nobody said that its node died
	a.Listed("alice 1")
}

func TestANodeThatWasTakenForDeadPutsItsMembersBack(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	r.cfg.CheckInterval, r.limits.Grace = 2*time.Second, 6*time.Second
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	b.Say("bob", "b1", `{"n":1}`)
	a.Told("join alice")
	a.Settled("alice 1", `bob 1 {"n":1}`)
	a.Until(func() bool { return a.believed()["bob"] == `{"n":1}` }, func() string { return fmt.Sprint(a.believed()) })
	calls := b.Figures().Commands
	b.Until(func() bool { return b.Figures().Commands > calls }, func() string { return "it does not check" })
	a.Dead("b") // which has just checked, and does so again when what it has was seen to be gone
	a.Settled("alice 1", `bob 0 {"n":1}`)
	a.Settled("alice 1", `bob 1 {"n":1}`)
	b.Listed("alice 1", `bob 1 {"n":1}`)
	require.NotContains(t, a.Outlast(), "leave bob")
	a.Listed("alice 1", `bob 1 {"n":1}`)
}

func TestANodeThatWasAwayForLongPutsItsMembersBackAsNew(t *testing.T) {
	r := newRig(t)
	r.limits.Grace, r.cfg.CheckInterval = 0, time.Hour // only a is to take b for dead
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	b.Say("bob", "b1", `{"n":1}`)
	a.Settled("alice 1", `bob 1 {"n":1}`)
	a.Until(func() bool { all := a.Board.All(); return len(all) > 0 && all[len(all)-1].Member.Data != nil }, func() string { return fmt.Sprint(a.Board.All()) })
	a.Board.Rest()
	a.Dead("b")
	a.Told("leave bob", `join bob {"n":1}`)
	b.Listed("alice 1", `bob 1 {"n":1}`)
}

func TestWhoEntersCostsOneCallAndWhatIsToldOneMore(t *testing.T) {
	r := newRig(t)
	r.cfg.CheckInterval = time.Hour
	a := r.start(t, "a")
	costs := func(want int, what string, f func()) {
		t.Helper()
		before := a.Figures().Commands
		f()
		require.LessOrEqual(t, a.Figures().Commands-before, uint64(want), what)
	}
	costs(3, "the first one brings the script", func() { a.Come("alice", "a1"); a.Told("join alice") })
	costs(2, "a user", func() { a.Come("bob", "b1"); a.Told("join bob") })
	written := func(connections string) { // without a call of this node's
		client := r.server.Client()
		a.Until(func() bool {
			return client.HGet(t.Context(), "{wse:"+string(room)+"}:p", "ca bob").Val() == connections
		}, func() string { return "bob has not " + connections })
	}
	costs(1, "a connection", func() { a.Come("bob", "b2"); written("2") })
	a.Listed("alice 1", "bob 2")
	costs(1, "a connection that leaves", func() { a.Go("b2"); written("1") })
	a.Listed("alice 1", "bob 1")
	costs(2, "a user who leaves", func() { a.Go("b1"); a.Told("leave bob") })
	costs(0, "a topic without presence", func() {
		require.NoError(t, a.Enter(t.Context(), "public:news", "alice", "a1"))
		require.NoError(t, a.Leave(t.Context(), "public:news", "a1", false))
		a.Interrupted("public:news")
		a.Notice("public:news", []byte(`{"v":2,"notice":"presence"}`))
	})
	costs(200, "a thousand who come at once", func() {
		done := make(chan error, 1000)
		r.server.Pause() // the first is not answered before the last has come
		for i := range 1000 {
			go func() { done <- a.Enter(t.Context(), room, fmt.Sprintf("u%d", i%900), fmt.Sprintf("c%d", i)) }()
		}
		a.Until(func() bool { return a.Stats().Members == 1+900 }, func() string { return fmt.Sprint(a.Stats()) })
		r.server.Resume()
		for range 1000 {
			require.NoError(t, <-done)
		}
	})
}

func TestANodesEndWritesWhatItsConnectionsDid(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	a, b := r.start(t, "a"), r.start(t, "b")
	b.Come("bob", "b1")
	a.Come("alice", "a1")
	a.Come("anna", "a2")
	b.Told("join bob", "join alice", "join anna")
	a.Go("a1")
	a.Lose("a2")
	a.stop()
	b.Told("leave alice")
	b.Dead("a")
	b.Told("leave anna")
	b.Listed("bob 1")
}

func TestNoticesGoByShardedPubSubToo(t *testing.T) {
	for ways, opts := range map[string]shared.Options{"sharded": {Sharded: true}, "both": {Sharded: true, PlainCopy: true}} {
		r := newRig(t)
		cfg := redis.DefaultConfig()
		cfg.Addrs = []string{r.server.Addr()}
		client, err := redis.Open(cfg, "")
		require.NoError(t, err)
		defer client.Close()
		p, err := shared.New(r.cfg, r.limits, r.classes, client, "n", presencetest.NewBoard(), opts)
		require.NoError(t, err)
		done := make(chan error, 1)
		ctx, cancel := contextOf(t)
		go func() { done <- p.Run(ctx) }()
		sharded := client.Do().SSubscribe(ctx, "wse:"+string(room))
		_, err = sharded.Receive(ctx)
		require.NoError(t, err)
		plain := client.Do().Subscribe(ctx, "wse:"+string(room))
		_, err = plain.Receive(ctx)
		require.NoError(t, err)
		require.NoError(t, p.Enter(t.Context(), room, "alice", "a1"))
		m, err := sharded.ReceiveMessage(ctx)
		require.NoError(t, err, ways)
		require.Contains(t, m.Payload, `{"v":2,"notice":"presence",`)
		if opts.PlainCopy {
			again, err := plain.ReceiveMessage(ctx)
			require.NoError(t, err, ways)
			require.Equal(t, m.Payload, again.Payload)
		}
		require.NoError(t, sharded.Close())
		require.NoError(t, plain.Close())
		cancel()
		require.NoError(t, <-done)
	}
}

func TestWhatIsNoConfigurationIsRefused(t *testing.T) {
	r := newRig(t)
	_, err := shared.New(shared.Config{}, presence.DefaultConfig(), r.classes, nil, "n", nil, shared.Options{})
	for _, text := range []string{"presence_check_interval: ", "presence_wait: ", "presence_topics_heard_max: ", "presence_notices_held_max: "} {
		require.ErrorContains(t, err, text)
	}
	for _, name := range []string{"", "a b", "ä", "x\n", fmt.Sprintf("%0129d", 1)} {
		_, err = shared.New(r.cfg, r.limits, r.classes, nil, name, nil, shared.Options{})
		require.ErrorContains(t, err, "a node cannot be called")
	}
}

func TestSoManyTopicsAreRememberedThatAreOnlyHeardOf(t *testing.T) {
	r := newRig(t)
	r.cfg.TopicsHeardMax = 10
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	for i := range 50 {
		require.NoError(t, b.Enter(t.Context(), message.Topic(fmt.Sprintf("public:room:%d", i)), "bob", "b1"))
	}
	require.Len(t, a.Board.Next(51), 51)
	require.Len(t, b.Board.Next(51), 51)
	a.Until(func() bool { return a.Figures().TopicsKnown <= 1+10 }, func() string { return fmt.Sprint(a.Figures()) })
	require.Equal(t, 51, b.Figures().TopicsKnown, "where somebody is on a topic, it is not among them")
	require.NoError(t, b.Leave(t.Context(), "public:room:0", "b1", false))
	require.Equal(t, []string{"leave bob"}, presencetest.Texts(a.Board.Next(1)), "what is forgotten is told all the same")
}

func TestABurialThatFailedIsBegunAgain(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	r.cfg.CheckInterval = time.Hour
	a, b := r.start(t, "a"), r.start(t, "b")
	require.NoError(t, b.Enter(t.Context(), "public:room:alone", "bob", "b1"))
	a.Told("join bob")
	b.stop()
	client := r.server.Client()
	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "-scan").Err())
	a.Dead("b")
	a.Until(func() bool { return a.failures("") > 0 }, func() string { return "nothing fails" })
	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "+scan").Err())
	a.Told("leave bob")
}

func TestManyThatDiedAreLookedForTogether(t *testing.T) {
	r := newRig(t)
	a := r.start(t, "a")
	a.Come("alice", "a1")
	r.server.Pause() // the first is not buried before the last is told of
	for i := range 20 {
		a.Dead(fmt.Sprintf("n%d", i))
	}
	r.server.Resume()
	client := r.server.Client()
	a.Until(func() bool { return len(client.Keys(t.Context(), "wse:{_presence}:bury:*").Val()) == 20 }, func() string { return "they are not buried" })
	var scans string
	a.Until(func() (found bool) { // what is claimed has still to be looked for
		stats, err := client.Info(t.Context(), "commandstats").Result()
		require.NoError(t, err)
		_, scans, found = strings.Cut(stats, "cmdstat_scan:calls=")
		return found
	}, func() string { return "nobody looks for them" })
	n, err := strconv.Atoi(scans[:strings.IndexByte(scans, ',')])
	require.NoError(t, err)
	require.LessOrEqual(t, n, 2, "one that may have begun with the first of them, and one for all others")
}

package shared_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence/presencetest"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// believed returns what a subscriber of a node holds for true who was there from the beginning and applies every notice.
func (n *node) believed() map[string]string {
	out := make(map[string]string)
	for _, notice := range n.Board.All() {
		if notice.Topic != room {
			continue
		}
		if notice.Kind == message.PresenceLeave {
			delete(out, notice.Member.UserID)
		} else {
			out[notice.Member.UserID] = string(notice.Member.Data)
		}
	}
	return out
}

// rising requires that versions never fall.
func (n *node) rising(t *testing.T) {
	t.Helper()
	last := make(map[message.Topic]uint64)
	for _, notice := range n.Board.All() {
		require.GreaterOrEqual(t, notice.Version, last[notice.Topic], n.name)
		last[notice.Topic] = notice.Version
	}
}

func TestARedisThatLostEverythingGetsItBackAndNobodyIsTold(t *testing.T) {
	for name, lose := range map[string]func(*rig){
		"emptied": func(r *rig) { require.NoError(t, r.server.Client().FlushAll(t.Context()).Err()) },
		"killed":  func(r *rig) { r.server.Kill(); r.server.Start() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.limits.Grace = time.Minute // the last to see that everything was lost is not too late to say who is there
			a, b := r.start(t, "a"), r.start(t, "b")
			a.Come("alice", "a1")
			b.Come("alice", "b1")
			b.Come("bob", "b2")
			a.Say("alice", "a1", `{"n":1}`)
			b.Say("bob", "b2", `{"n":2}`)
			want := []string{`alice 2 {"n":1}`, `bob 1 {"n":2}`}
			a.Settled(want...)
			var before *message.Members
			require.NoError(t, a.Members(t.Context(), room, func(m *message.Members) { before = m }))
			a.Until(func() bool {
				return fmt.Sprint(a.believed(), b.believed()) == fmt.Sprint(presencetest.Table(before), presencetest.Table(before))
			}, func() string { return fmt.Sprint(a.believed(), b.believed()) })
			a.Board.Rest()
			b.Board.Rest()
			lose(r)
			a.Until(func() bool { return a.Figures().Restorations+b.Figures().Restorations > 0 }, func() string { return fmt.Sprint(a.Figures()) })
			a.Settled(want...)
			b.Settled(want...)
			var after *message.Members
			require.NoError(t, a.Members(t.Context(), room, func(m *message.Members) { after = m }))
			require.Greater(t, after.Version, before.Version)
			require.Equal(t, before.Members, after.Members, "also since when they are there")
			b.Go("b2")
			a.Told("leave bob")
			b.Told("leave bob")
			a.Listed(`alice 2 {"n":1}`)
			a.rising(t)
		})
	}
}

func TestWhoDiedWhenEverythingWasLostIsToldToHaveLeft(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	r.cfg.CheckInterval = 100 * time.Millisecond
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	a.Told("join alice", "join bob")
	b.stop()
	require.NoError(t, r.server.Client().FlushAll(t.Context()).Err())
	a.Told("leave bob")
	a.Listed("alice 1")
}

func TestRequestsDoNotWaitLongForARedisThatIsAwayAndNothingIsLost(t *testing.T) {
	t.Parallel() // most of it is waiting
	for name, away := range map[string]struct{ begin, end func(*rig) }{
		"killed": {func(r *rig) { r.server.Kill() }, func(r *rig) { r.server.Start() }},
		"paused": {func(r *rig) { r.server.Pause() }, func(r *rig) { r.server.Resume() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cfg.Wait = 2 * time.Second // for Redis, beside which all else takes no time
			remote := r.server.Config()
			r.remote = &remote
			a, b := r.start(t, "a"), r.start(t, "b")
			a.Come("alice", "a1")
			b.Come("bob", "b1")
			b.Come("gone", "b2")
			a.Say("alice", "a1", `{"n":1}`)
			a.Settled(`alice 1 {"n":1}`, "bob 1", "gone 1")
			away.begin(r)
			began := time.Now()
			for i := range 20 {
				a.Come(fmt.Sprintf("u%02d", i), fmt.Sprintf("of u%d", i))
			}
			a.Go("of u0")
			b.Go("b2")
			a.Refused(message.CodeUnavailable, a.Update(t.Context(), room, "alice", "a1", []byte(`{"n":2}`)))
			b.Refused(message.CodeUnavailable, b.Members(t.Context(), room, func(*message.Members) { t.Error("shown") }))
			require.Less(t, time.Since(began), 30*r.cfg.Wait)
			a.Until(func() bool { return a.Figures().Down }, func() string { return "it does not see that Redis is away" })
			began = time.Now()
			a.Come("late", "late1")
			a.Refused(message.CodeUnavailable, a.Update(t.Context(), room, "alice", "a1", []byte(`{"n":3}`)))
			require.Less(t, time.Since(began), r.cfg.Wait, "once it is known to be away, nobody waits")
			away.end(r)
			want := []string{`alice 1 {"n":1}`, "bob 1", "late 1"}
			for i := 1; i < 20; i++ {
				want = append(want, fmt.Sprintf("u%02d 1", i))
			}
			// What alice said while Redis was only silent may have been heard: she was told that nobody knows.
			a.Until(func() bool {
				list, err := a.Lines()
				return err == nil && strings.ReplaceAll(fmt.Sprint(list), `{"n":2}`, `{"n":1}`) == fmt.Sprint(want)
			}, func() string { list, err := a.Lines(); return fmt.Sprint(list, err) })
			b.Until(func() bool { return len(b.believed()) == len(want) }, func() string { return fmt.Sprint(b.believed()) })
			a.rising(t)
			b.rising(t)
		})
	}
}

func TestWhatANodeMissedIsTold(t *testing.T) {
	r := newRig(t)
	r.cfg.CheckInterval = time.Hour // it finds out by the next notice
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	b.Come("carol", "b2")
	a.Told("join alice", "join bob", "join carol")
	b.Board.Next(3)
	a.setDeaf(true)
	b.Go("b1")
	b.Told("leave bob")
	b.Say("carol", "b2", `{"n":1}`)
	b.Told(`update carol {"n":1}`)
	b.Come("dave", "b3")
	b.Told("join dave")
	a.hearAgain(3)
	b.Come("erin", "b4")
	b.Told("join erin")
	a.Until(func() bool { return fmt.Sprint(a.believed()) == fmt.Sprint(b.believed()) }, func() string { return fmt.Sprint(a.Board.All()) })
	require.EqualValues(t, 1, a.Figures().Gaps)
	a.rising(t)
	all := a.Board.All()
	require.Equal(t, b.Board.All()[len(b.Board.All())-1].Version, all[len(all)-1].Version)
}

func TestWhatANodeMissedIsToldThoughNothingComesAfterIt(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("erin", "b1")
	a.Told("join alice", "join erin")
	b.Told("join alice", "join erin")
	a.setDeaf(true)
	b.Go("b1")
	b.Told("leave erin")
	a.hearAgain(1) // the check finds it
	a.Until(func() bool { return fmt.Sprint(a.believed()) == fmt.Sprint(b.believed()) }, func() string { return fmt.Sprint(a.Board.All()) })
	a.rising(t)
	all := a.Board.All()
	require.Equal(t, b.Board.All()[len(b.Board.All())-1].Version, all[len(all)-1].Version)
}

func TestAReaderThatWasInterruptedComparesAtOnce(t *testing.T) {
	r := newRig(t)
	r.cfg.CheckInterval = time.Hour
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	b.Come("bob", "b1")
	a.Told("join alice", "join bob")
	a.setDeaf(true)
	b.Go("b1")
	b.Told("join alice", "join bob", "leave bob")
	a.hearAgain(1)
	a.Interrupted("public:room:b")
	a.Interrupted(room)
	a.Told("leave bob")
}

func TestAForeignKeyHarmsItsTopicOnly(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	a := r.start(t, "a")
	client := r.server.Client()
	require.NoError(t, client.Set(t.Context(), "{wse:public:room:x}:p", "mine", 0).Err())
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan error, 1)
	go func() { entered <- a.Enter(ctx, "public:room:x", "alice", "a1") }()
	a.Until(func() bool { return a.failures("public:room:x") > 0 }, func() string { return "nothing fails" })
	cancel() // he would wait for an answer as long as he may
	require.NoError(t, <-entered)
	var err error
	a.Until(func() bool { // who asks just when it is tried again waits, and is not told why
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = a.Members(ctx, "public:room:x", func(*message.Members) { t.Error("shown") })
		return err == nil || message.AsError(err).Err != nil
	}, func() string { return fmt.Sprint("nobody says why: ", err) })
	a.Refused(message.CodeUnavailable, err)
	require.ErrorContains(t, message.AsError(err).Err, "{wse:public:room:x}:p is of another program; delete it")
	a.Come("bob", "b1")
	a.Listed("bob 1")
	require.False(t, a.Figures().Down)
	require.NoError(t, client.Del(t.Context(), "{wse:public:room:x}:p").Err())
	a.Until(func() bool {
		var list []string
		_ = a.Members(t.Context(), "public:room:x", func(m *message.Members) { list = presencetest.Lines(m) })
		return len(list) == 1
	}, func() string { return "it is not there" })
}

func TestForeignFieldsAndNoticesAreNobody(t *testing.T) {
	r := newRig(t)
	a := r.start(t, "a")
	a.Come("alice", "a1")
	a.Told("join alice")
	client := r.server.Client()
	require.NoError(t, client.HSet(t.Context(), "{wse:"+string("public:room:a")+"}:p", "mevil", "x", "mworse", "1,2,k,3,4,nothing", "zzz", "1", "c", "", "m", "").Err())
	for _, body := range []string{
		`{"v":2,"notice":"presence"}`, `{"v":2,"notice":`, `{"v":2,"notice":"presence","life":1,"id":"x","ts":1,"changes":[]}`,
		`{"v":2,"notice":"presence","life":1,"id":"x","ts":1,"changes":[{"ver":9007199254740992,"kind":"join","user":"eve","since":1,"stamp":1}]}`,
		`{"v":2,"notice":"presence","life":1,"id":"x","ts":1,"changes":[{"ver":5,"kind":"come","user":"eve"}]}`,
	} {
		require.NoError(t, client.Publish(t.Context(), "wse:"+string(room), body).Err())
	}
	// One that can be read is far ahead: it is looked up, and is not true.
	require.NoError(t, client.Publish(t.Context(), "wse:"+string(room),
		`{"v":2,"notice":"presence","life":1,"id":"x","ts":1,"changes":[{"ver":9007199254740991,"kind":"join","user":"eve","since":1,"stamp":1}]}`).Err())
	a.Until(func() bool { return a.Figures().Garbage == 5 && a.Figures().Gaps == 1 }, func() string { return fmt.Sprint(a.Figures()) })
	a.Listed("alice 1")
	a.Come("bob", "b1")
	a.Told("join bob")
	a.Listed("alice 1", "bob 1")
}

// A failover to a replica that had not heard the last writes is a Redis that goes back in time.
func TestARedisThatWentBackInTimeIsBroughtForward(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t, "a"), r.start(t, "b")
	a.Come("alice", "a1")
	a.Come("anna", "a2")
	b.Come("bob", "b1")
	a.Settled("alice 1", "anna 1", "bob 1")
	a.Until(func() bool { return len(a.believed()) == 3 && len(b.believed()) >= 1 }, func() string { return fmt.Sprint(a.believed()) })
	client, key := r.server.Client(), "{wse:"+string(room)+"}:p"
	old, err := client.Dump(t.Context(), key).Result()
	require.NoError(t, err)
	a.Go("a1")
	b.Come("bob", "b2")
	b.Come("carol", "b3")
	b.Say("bob", "b1", `{"n":1}`)
	a.Until(func() bool { return len(a.believed()) == 3 && a.believed()["bob"] != "" }, func() string { return fmt.Sprint(a.believed()) })
	require.NoError(t, client.RestoreReplace(t.Context(), key, 0, old).Err())
	a.Settled("anna 1", `bob 2 {"n":1}`, "carol 1")
	for _, n := range []*node{a, b} {
		n.Until(func() bool {
			return fmt.Sprint(n.believed()) == fmt.Sprint(map[string]string{"anna": "", "bob": `{"n":1}`, "carol": ""})
		},
			func() string { return fmt.Sprint(n.Board.All()) })
		n.rising(t)
	}
}

func TestWhoseGracePeriodEndsLeavesThoughRedisWentBackInTime(t *testing.T) {
	t.Parallel() // most of it is waiting
	r := newRig(t)
	r.cfg.CheckInterval = time.Hour
	a := r.start(t, "a")
	a.Come("alice", "a1")
	a.Come("carol", "c1")
	a.Until(func() bool { return len(a.believed()) == 2 }, func() string { return fmt.Sprint(a.believed()) })
	a.Board.Rest()
	a.Lose("c1")
	a.Listed("alice 1", "carol 0")
	client, key := r.server.Client(), "{wse:"+string(room)+"}:p"
	old, err := client.Dump(t.Context(), key).Result()
	require.NoError(t, err)
	a.Come("alice", "a2")
	a.Listed("alice 2", "carol 0")
	require.NoError(t, client.RestoreReplace(t.Context(), key, 0, old).Err())
	a.Told("leave carol") // the call that sees to it is the one that finds that Redis has not heard of the last
	a.Listed("alice 2")
}

func TestMembersAreKeptByAClusterAndBySentinelsAndByAnACLUser(t *testing.T) {
	t.Parallel() // most of it is waiting
	for name, remote := range map[string]func(t *testing.T) (cfg redis.Config, fail func()){
		"ACL user": func(t *testing.T) (redis.Config, func()) {
			return redistest.SingleWith(t, redistest.Options{Username: "engine"}).Config(), func() {}
		},
		"Cluster": func(t *testing.T) (redis.Config, func()) {
			return redistest.Cluster(t, redistest.Options{}).Config(), func() {}
		},
		"Sentinel": func(t *testing.T) (redis.Config, func()) {
			w := redistest.Sentinel(t, redistest.Options{})
			return w.Config(), func() {
				was := w.AwaitPrimary(nil)
				was.Kill()
				w.AwaitPrimary(was)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigOn(t)
			cfg, fail := remote(t)
			r.remote = &cfg
			a, b := r.start(t, "a"), r.start(t, "b")
			topics := make([]message.Topic, 20)
			for i := range topics {
				topics[i] = message.Topic(fmt.Sprintf("public:room:%d", i))
				require.NoError(t, a.Enter(t.Context(), topics[i], "alice", "a1"))
				require.NoError(t, b.Enter(t.Context(), topics[i], "bob", "b1"))
			}
			everywhere := func(want string) {
				t.Helper()
				for _, topic := range topics {
					a.Until(func() bool {
						var list []string
						err := a.Members(t.Context(), topic, func(m *message.Members) { list = presencetest.Lines(m) })
						return err == nil && fmt.Sprint(list) == want
					}, func() string { return fmt.Sprint("no ", want, " on ", topic, a.Figures()) })
				}
			}
			everywhere("[alice 1 bob 1]")
			fail()
			everywhere("[alice 1 bob 1]")
			b.stop()
			a.Dead("b")
			everywhere("[alice 1]")
		})
	}
}

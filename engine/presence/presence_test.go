package presence_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

const room = message.Topic("public:room:a")

// board writes down the notices that are handed to it.
type board struct {
	mu      sync.Mutex
	notices []*message.PresenceNotice
	envs    []*message.Envelope
}

func (b *board) Deliver(env *message.Envelope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.envs = append(b.envs, env)
	b.notices = append(b.notices, env.Notice.(*message.PresenceNotice))
}

// take returns the notices since the last call, as "join alice {"a":1}".
func (b *board) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, n := range b.notices {
		text := strings.TrimPrefix(n.Kind.String(), "presence_") + " " + n.Member.UserID
		if n.Member.Data != nil {
			text += " " + string(n.Member.Data)
		}
		out = append(out, text)
	}
	b.notices = nil
	return out
}

// world is a Presence that runs.
type world struct {
	*presence.Presence
	t     testing.TB
	board *board
}

// start runs a Presence for the rest of the bubble.
func start(t testing.TB, change func(*presence.Config)) *world {
	b := &board{}
	w := startWith(t, change, b)
	w.board = b
	return w
}

func startWith(t testing.TB, change func(*presence.Config), out presence.Deliverer) *world {
	cfg := presence.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	class := broker.DefaultClass("public:room:*")
	class.Presence, class.Priority, class.Overflow = true, 3, "drop_oldest"
	classes, err := broker.CompileClasses([]broker.Class{class, broker.DefaultClass("public:*")})
	require.NoError(t, err)
	p, err := presence.New(cfg, classes, out)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, p.Run(ctx)) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return &world{Presence: p, t: t}
}

func (w *world) enter(user, conn string) {
	w.t.Helper()
	require.NoError(w.t, w.Enter(w.t.Context(), room, user, conn))
}

func (w *world) leave(conn string) {
	w.t.Helper()
	require.NoError(w.t, w.Leave(w.t.Context(), room, conn, false))
}

func (w *world) lose(conn string) {
	w.t.Helper()
	require.NoError(w.t, w.Leave(w.t.Context(), room, conn, true))
}

func (w *world) update(user, conn, data string) {
	w.t.Helper()
	require.NoError(w.t, w.Update(w.t.Context(), room, user, conn, []byte(data)))
}

// after waits for d and returns the notices.
func (w *world) after(d time.Duration) []string {
	time.Sleep(d)
	synctest.Wait()
	return w.board.take()
}

// members returns the members as "alice 2 {"a":1}", and the version.
func (w *world) members() (list []string, version uint64) {
	w.t.Helper()
	require.NoError(w.t, w.Members(w.t.Context(), room, func(m *message.Members) {
		version = m.Version
		for _, member := range m.Members {
			list = append(list, strings.TrimSpace(fmt.Sprintf("%s %d %s", member.UserID, member.Connections, member.Data)))
		}
	}))
	return list, version
}

func (w *world) listed() []string {
	w.t.Helper()
	list, _ := w.members()
	return list
}

// The delay within which changes are told, and a moment more than the grace period.
const (
	delay = 100 * time.Millisecond
	grace = 10*time.Second + delay
)

func TestAUserJoinsWithTheFirstConnectionAndLeavesWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		require.Equal(t, []string{"join alice"}, w.after(delay))
		w.enter("alice", "a2")
		w.enter("alice", "a2") // twice is once
		require.Empty(t, w.after(delay))
		require.Equal(t, []string{"alice 2"}, w.listed())
		w.leave("a1")
		w.leave("a1")
		require.Empty(t, w.after(grace))
		require.Equal(t, []string{"alice 1"}, w.listed())
		w.leave("a2")
		require.Equal(t, []string{"leave alice"}, w.after(delay))
		require.Empty(t, w.listed())
		require.Zero(t, w.Stats().Topics, "a topic that nobody is on is forgotten")
	})
}

func TestWhatAMemberSaysIsTheUsersOnAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.enter("alice", "a2")
		w.after(delay)
		w.update("alice", "a2", `{"mood":"good"}`)
		require.Equal(t, []string{`update alice {"mood":"good"}`}, w.after(delay))
		w.leave("a2")
		require.Equal(t, []string{`alice 1 {"mood":"good"}`}, w.listed(), "the connection that said it is gone, the user is not")
		w.update("alice", "a1", `{"mood":"good"}`)
		require.Empty(t, w.after(delay), "the same again is no change")
		require.EqualValues(t, len(`{"mood":"good"}`), w.Stats().Bytes)
		w.leave("a1")
		require.Zero(t, w.Stats().Bytes)
	})
}

func TestALostConnectionThatComesBackWithinTheGracePeriodIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.update("alice", "a1", `{"n":1}`)
		require.Equal(t, []string{`join alice {"n":1}`}, w.after(delay))
		w.lose("a1")
		require.Empty(t, w.after(9*time.Second))
		require.Equal(t, []string{`alice 0 {"n":1}`}, w.listed(), "a member without a connection for the moment")
		w.enter("alice", "a2")
		require.Empty(t, w.after(time.Minute))
		require.Equal(t, []string{`alice 1 {"n":1}`}, w.listed())
		w.lose("a2")
		require.Empty(t, w.after(10*time.Second-time.Millisecond))
		require.Equal(t, []string{"leave alice"}, w.after(time.Millisecond+delay))
		w.enter("alice", "a3")
		require.Equal(t, []string{"join alice"}, w.after(delay), "a new beginning, without the old data")
	})
}

func TestTheGracePeriodBeginsAnewWithEachConnectionThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.after(delay)
		for i := range 5 {
			w.lose(fmt.Sprintf("a%d", i+1))
			require.Empty(t, w.after(8*time.Second))
			w.enter("alice", fmt.Sprintf("a%d", i+2))
		}
		w.lose("a6")
		require.Equal(t, []string{"leave alice"}, w.after(grace))
	})
}

func TestWhoUnsubscribesWhileAnotherConnectionMayComeBackHasNotLeftYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.enter("alice", "a2")
		w.after(delay)
		w.lose("a1")
		require.Empty(t, w.after(6*time.Second))
		w.leave("a2")
		require.Empty(t, w.after(3*time.Second))
		require.Equal(t, []string{"leave alice"}, w.after(time.Second+delay), "ten seconds after the loss")

		w.enter("bob", "b1")
		w.enter("bob", "b2")
		w.after(delay)
		w.lose("b1")
		w.after(time.Hour)
		w.leave("b2")
		require.Equal(t, []string{"leave bob"}, w.after(delay), "a loss long ago counts for nothing")
	})
}

func TestChangesOfOneMemberWithinTheDelayAreToldAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.update("alice", "a1", `{"n":1}`)
		w.enter("bob", "b1")
		w.update("alice", "a1", `{"n":2}`)
		require.Equal(t, []string{`join alice {"n":2}`, "join bob"}, w.after(delay))
		w.enter("carol", "c1")
		w.leave("c1")
		require.Empty(t, w.after(delay), "who came and went was not there")
		w.leave("a1")
		w.enter("alice", "a2")
		require.Equal(t, []string{"update alice"}, w.after(delay), "who went and came says nothing of himself now")
		w.update("bob", "b1", `{"n":1}`)
		w.leave("b1")
		require.Equal(t, []string{"leave bob"}, w.after(delay))
	})
}

// Who asks gets everybody as of now, and makes nobody else hear of it sooner.
func TestAskingDoesNotHurryTheNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		var first uint64
		for n := range 50 {
			w.update("alice", "a1", fmt.Sprintf(`{"n":%d}`, n))
			list, version := w.members()
			require.Equal(t, []string{fmt.Sprintf(`alice 1 {"n":%d}`, n)}, list)
			if n == 0 {
				first = version
			}
			require.Equal(t, first, version, "nothing was told")
			require.Empty(t, w.after(time.Millisecond))
		}
		require.Equal(t, []string{`join alice {"n":49}`}, w.after(delay))
		_, version := w.members()
		require.Equal(t, first+1, version)
	})
}

func TestWhoWasInAnAnswerIsToldToHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.after(delay)
		w.enter("bob", "b1")
		require.Equal(t, []string{"alice 1", "bob 1"}, w.listed())
		w.leave("b1")
		require.Equal(t, []string{"alice 1"}, w.listed())
		require.Equal(t, []string{"leave bob"}, w.after(delay), "though nobody was told that he came")
		w.leave("a1")
		require.Empty(t, w.listed())
		w.enter("alice", "a2")
		require.Equal(t, []string{"update alice"}, w.after(delay), "an answer left her out")
	})
}

func TestComingAndGoingOnAFullTopicDoesNotHurryTheNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.MembersMax = 1 })
		w.enter("alice", "a1")
		for range 20 {
			w.leave("a1")
			w.enter("bob", "b1")
			requireCode(t, message.CodeSubscriptionLimit, w.Enter(t.Context(), room, "alice", "a1"))
			w.leave("b1")
			w.enter("alice", "a1")
		}
		require.Empty(t, w.after(0))
		require.Equal(t, []string{"alice 1"}, w.listed())
		require.Equal(t, []string{"join alice"}, w.after(delay))
	})
}

func TestWithoutADelayEveryChangeIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.NoticeDelay, cfg.Grace = 0, 0 })
		w.enter("alice", "a1")
		w.update("alice", "a1", `{"n":1}`)
		w.update("alice", "a1", `{"n":2}`)
		w.lose("a1")
		require.Equal(t, []string{"join alice", `update alice {"n":1}`, `update alice {"n":2}`, "leave alice"}, w.board.take())
	})
}

func TestANoticeHasTheLevelOfItsClassAndNoNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.enter("alice", "a1")
		w.after(delay)
		env := w.board.envs[0]
		require.Equal(t, message.Low, env.Level)
		require.Equal(t, message.DropOldest, env.Overflow)
		require.Equal(t, "presence_join", env.Type)
		require.Equal(t, room, env.Topic)
		require.Zero(t, env.Seq)
		require.Zero(t, env.Epoch)
		require.NotEmpty(t, env.ID)
		require.Equal(t, time.Now().Truncate(time.Second).UnixMilli(), env.Notice.(*message.PresenceNotice).Member.SinceMS)
	})
}

func TestATopicHasSoManyMembersAndWhoIsGoneMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.MembersMax = 2 })
		w.enter("alice", "a1")
		w.enter("bob", "b1")
		w.enter("bob", "b2") // no further member
		requireCode(t, message.CodeSubscriptionLimit, w.Enter(t.Context(), room, "carol", "c1"))
		requireCode(t, message.CodeSubscriptionLimit, w.Update(t.Context(), room, "carol", "c1", []byte(`{}`)))
		require.EqualValues(t, 2, w.Stats().RefusedMembers)
		w.leave("c1") // it never got in, and takes nobody along
		require.Equal(t, []string{"alice 1", "bob 2"}, w.listed())
		w.leave("a1")
		w.update("carol", "c2", `{"n":1}`)
		w.leave("c1")
		require.Equal(t, []string{"bob 2", `carol 1 {"n":1}`}, w.listed())
	})
}

func TestDataIsBoundedForAMemberATopicAndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.DataKiBMax, cfg.TopicKiBMax, cfg.MiBTotal = 512, 768, 1 })
		object := func(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n-8) + `"}`) }
		w.enter("alice", "a1")
		w.enter("bob", "b1")
		requireCode(t, message.CodeMessageTooLarge, w.Update(t.Context(), room, "alice", "a1", object(512<<10+1)))
		require.NoError(t, w.Update(t.Context(), room, "alice", "a1", object(512<<10)))
		requireCode(t, message.CodeUnavailable, w.Update(t.Context(), room, "bob", "b1", object(256<<10+1)))
		require.NoError(t, w.Update(t.Context(), room, "bob", "b1", object(256<<10)))

		const other = message.Topic("public:room:b")
		requireCode(t, message.CodeUnavailable, w.Update(t.Context(), other, "bob", "b1", object(256<<10+1)))
		require.NoError(t, w.Update(t.Context(), other, "bob", "b1", object(256<<10)))
		require.EqualValues(t, 2, w.Stats().RefusedData)
		require.Equal(t, w.Stats().BytesMax, w.Stats().Bytes)
		w.leave("a1")
		w.leave("b1")
		require.NoError(t, w.Leave(t.Context(), other, "b1", false))
		require.Zero(t, w.Stats().Bytes)
	})
}

func TestOnlyTopicsOfAClassWithPresenceHaveMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		for _, topic := range []message.Topic{"public:news", "public:room:*"} {
			require.False(t, w.Tracks(topic))
			require.NoError(t, w.Enter(t.Context(), topic, "alice", "a1"))
			requireCode(t, message.CodeSubscriptionFailed, w.Update(t.Context(), topic, "alice", "a1", []byte(`{}`)))
			requireCode(t, message.CodeSubscriptionFailed, w.Members(t.Context(), topic, func(*message.Members) { t.Error("shown") }))
			require.NoError(t, w.Leave(t.Context(), topic, "a1", true))
		}
		require.Empty(t, w.after(grace))
		require.Equal(t, presence.Stats{BytesMax: 64 << 20}, w.Stats())
	})
}

func TestANewLifeOfATopicGoesOnWithHigherVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		_, last := w.members()
		for range 3 {
			require.Empty(t, w.after(time.Millisecond))
			w.enter("alice", "a1")
			_, version := w.members()
			require.Greater(t, version, last)
			last = version
			w.leave("a1")
			w.after(delay)
			require.Zero(t, w.Stats().Topics)
		}
	})
}

// A subscriber takes an answer and then every notice of a later version, in the order in which they were queued for him.
func TestAnAnswerAndTheNoticesAfterItAreTheMembersAtEveryMoment(t *testing.T) {
	type answer struct {
		at      int // notices queued before it
		members *message.Members
	}
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.NoticeDelay, cfg.Grace = 10*time.Microsecond, time.Millisecond })
		w.enter("anchor", "a1") // the subscriber himself: the topic has one life as long as he is there
		var changers sync.WaitGroup
		for i := range 4 {
			changers.Go(func() { w.bustle(i) })
		}
		var answers []answer
		ask := func() {
			require.NoError(t, w.Members(t.Context(), room, func(m *message.Members) {
				w.board.mu.Lock()
				defer w.board.mu.Unlock()
				answers = append(answers, answer{len(w.board.notices), m})
			}))
		}
		every := time.NewTicker(7 * time.Microsecond)
		defer every.Stop()
		for range 200 {
			ask()
			<-every.C
		}
		changers.Wait()
		ask()
		<-time.After(time.Second) // everything is told
		synctest.Wait()
		ask()
		want := table(answers[len(answers)-1].members)
		for _, a := range answers {
			got, version := table(a.members), a.members.Version
			for _, n := range w.board.notices[a.at:] {
				require.Equal(t, version+1, n.Version, "no version is left out, and none comes late")
				version = n.Version
				if n.Kind == message.PresenceLeave {
					delete(got, n.Member.UserID)
				} else {
					got[n.Member.UserID] = string(n.Member.Data)
				}
			}
			require.Equal(t, want, got)
		}
		require.NotEmpty(t, w.board.notices)
	})
}

// bustle has six users come, go, and speak of themselves, as the i-th of several that do so.
func (w *world) bustle(i int) {
	random := rand.New(rand.NewPCG(1, uint64(i)))
	for n := range 2000 {
		user, conn := fmt.Sprintf("u%d", random.IntN(6)), fmt.Sprintf("c%d-%d", i, random.IntN(3))
		conn += user // a connection is one user's
		switch random.IntN(5) {
		case 0:
			w.enter(user, conn)
		case 1:
			w.update(user, conn, fmt.Sprintf(`{"n":%d}`, n))
		case 2:
			w.leave(conn)
		case 3:
			w.lose(conn)
		default:
			<-time.After(time.Duration(random.IntN(5)) * time.Microsecond)
		}
	}
}

func table(m *message.Members) map[string]string {
	out := make(map[string]string)
	for _, member := range m.Members {
		out[member.UserID] = string(member.Data)
	}
	return out
}

func TestManyUsersThatAreLostAtOnceLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.MembersMax = 5000 })
		for i := range 5000 {
			w.enter(fmt.Sprintf("u%d", i), fmt.Sprintf("c%d", i))
		}
		require.Len(t, w.after(delay), 5000)
		for i := range 5000 {
			w.lose(fmt.Sprintf("c%d", i))
		}
		for i := range 1000 {
			w.enter(fmt.Sprintf("u%d", 5*i), fmt.Sprintf("d%d", i))
		}
		left := w.after(grace)
		require.Len(t, left, 4000)
		require.Len(t, slices.Collect(maps.Keys(tableOf(w))), 1000)
		require.NotContains(t, left, "leave u0")
		require.Contains(t, left, "leave u1")
	})
}

func tableOf(w *world) (out map[string]string) {
	require.NoError(w.t, w.Members(w.t.Context(), room, func(m *message.Members) { out = table(m) }))
	return out
}

func TestFieldsOutOfRangeAreToldAllAtOnce(t *testing.T) {
	_, err := presence.New(presence.Config{Grace: -1, NoticeDelay: -1, DataKiBMax: 2, TopicKiBMax: 1}, nil, nil)
	for _, text := range []string{
		"presence_members_max: must be at least 1, is 0", "presence_mib_total: must be at least 1, is 0",
		"presence_topic_kib_max: must be at least presence_data_kib_max (2), is 1",
		"presence_grace: must not be negative, is -1ns", "presence_notice_delay: must not be negative, is -1ns",
	} {
		require.ErrorContains(t, err, text)
	}
	require.NoError(t, presence.DefaultConfig().Validate())
}

func requireCode(t *testing.T, code message.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, message.AsError(err).Code, "%v", err)
}

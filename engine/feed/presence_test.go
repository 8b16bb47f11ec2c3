package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/router"
)

// rooms is a feed on a hub, a broker and a presence that are real; public:room:* have members and a history.
type rooms struct {
	world
	present *presence.Presence
	conns   int
}

func newRooms(t *testing.T, change func(*presence.Config)) *rooms {
	t.Helper()
	cfg := presence.DefaultConfig()
	cfg.NoticeDelay = 0
	if change != nil {
		change(&cfg)
	}
	r := &rooms{world: world{allowed: func(Access) (bool, string, error) { return true, "", nil }}}
	l := &loop{}
	r.hub = hub.New([]hub.Lane{l}, []dialect.Encoding{{Dialect: wse.Dialect{}}})
	l.work = r.hub.Works()[0]
	class := broker.DefaultClass("public:room:*")
	class.Presence, class.HistorySize = true, 10
	classes, err := broker.CompileClasses(append([]broker.Class{class}, broker.DefaultClasses()...))
	require.NoError(t, err)
	r.broker, err = memory.New(memory.DefaultConfig(), classes, r.hub)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.broker.Close()) })
	r.present, err = presence.New(cfg, classes, r.hub)
	require.NoError(t, err)
	r.feed, err = New(DefaultConfig(), DefaultClientMessages(), Deps{
		Hub: r.hub, Broker: r.broker, Authorizer: rules(func(a Access) (bool, string, error) { return r.allowed(a) }),
		Retention: retention{classes}, Presence: r.present, Roster: r.present,
	})
	require.NoError(t, err)
	r.router, err = router.New(router.DefaultConfig(), r.feed.Routes(), nil, nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return r
}

// guest is a connection that reads what it is sent: notices and the engine's own messages in one list, as on the wire.
type guest struct {
	connection
	id string
	*router.Client
	mu  sync.Mutex
	log []string
}

func (g *guest) Describe() router.Description { return router.Description{ID: g.id} }

func (g *guest) write(text []byte) {
	var m struct {
		T string
		P struct {
			User    string `json:"user_id"`
			Count   *int
			Code    string
			Members []struct {
				User        string `json:"user_id"`
				Connections int
			}
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		panic(err)
	}
	entry := m.T
	switch {
	case m.P.User != "":
		entry += " " + m.P.User
	case m.P.Code != "":
		entry += " " + m.P.Code
	case m.P.Count != nil:
		for _, u := range m.P.Members {
			entry += fmt.Sprintf(" %s:%d", u.User, u.Connections)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log = append(g.log, entry)
}

func (*guest) Forget(func(message.Topic) bool) {}

func (g *guest) Enqueue(out *message.Outgoing) {
	for b := out.Frames; len(b) > 0; {
		n, at := int(b[1]), 2
		if n == 126 {
			n, at = int(b[2])<<8|int(b[3]), 4
		}
		g.write(b[at : at+n])
		b = b[at+n:]
	}
}

func (g *guest) Send(r *message.Reply)                        { g.write(wse.Dialect{}.AppendReply(nil, r)) }
func (g *guest) SendLocked(_ message.Level, r *message.Reply) { g.Send(r) }

// got returns what came since the last call.
func (g *guest) got() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	log := g.log
	g.log = nil
	return log
}

// guest opens a connection of a user.
func (r *rooms) guest(user string) *guest {
	r.conns++
	g := &guest{id: fmt.Sprintf("c%d", r.conns), Client: &router.Client{}}
	r.router.Open(g.Client, g, r.hub.Member(g), &auth.Identity{UserID: user})
	return g
}

// in opens a connection that is subscribed to the room.
func (r *rooms) in(t *testing.T, user string) *guest {
	t.Helper()
	g := r.guest(user)
	require.NoError(t, r.subscribe(t, g.Client, message.Subscribe{Topics: []string{string(lobby)}}))
	g.got()
	return g
}

// ask sends a presence_request.
func (r *rooms) ask(t *testing.T, g *guest, topic string) error {
	t.Helper()
	return r.feed.members(t.Context(), g.Client, &message.Request{Type: "presence_request", Body: &message.PresenceRequest{Topic: topic}})
}

// say sends a presence_update.
func (r *rooms) say(t *testing.T, g *guest, topic, data string) error {
	t.Helper()
	return r.feed.describe(t.Context(), g.Client,
		&message.Request{Type: "presence_update", Body: &message.PresenceUpdate{Topic: topic, Data: []byte(data)}})
}

const lobby = message.Topic("public:room:lobby")

func TestWhoSubscribesIsAMemberAndTheOthersAreTold(t *testing.T) {
	r := newRooms(t, nil)
	alice := r.guest("alice")
	require.NoError(t, r.subscribe(t, alice.Client, message.Subscribe{Topics: []string{string(lobby), "public:news"}}))
	require.Equal(t, []string{"subscription_update", "presence_join alice"}, alice.got(), "one's own join comes after the answer")
	bob := r.in(t, "bob")
	require.Equal(t, []string{"presence_join bob"}, alice.got())
	r.in(t, "bob")
	require.Empty(t, alice.got(), "bob is here already")

	require.NoError(t, r.ask(t, alice, string(lobby)))
	require.Equal(t, []string{"presence_response alice:1 bob:2"}, alice.got())
	require.NoError(t, r.say(t, bob, string(lobby), `{"a":1}`))
	require.Equal(t, []string{"presence_update bob"}, alice.got())
	require.Equal(t, []string{"presence_update bob", "presence_update_response"}, bob.got())
	require.Equal(t, 1, r.present.Stats().Topics, "public:news has no members")
}

func TestUnsubscribingLeavesAtOnceAndClosingAfterTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRooms(t, nil)
		running := make(chan error, 1)
		go func() { running <- r.present.Run(t.Context()) }()
		alice, bob, carol := r.in(t, "alice"), r.in(t, "bob"), r.in(t, "carol")
		alice.got()
		require.NoError(t, r.subscribe(t, bob.Client, message.Subscribe{Action: "unsubscribe", Topics: []string{string(lobby)}}))
		require.Equal(t, []string{"presence_leave bob"}, alice.got())
		require.Equal(t, []string{"presence_join carol", "subscription_update"}, bob.got(), "who left is not told that he left")
		carol.got()

		require.NoError(t, r.feed.closed(t.Context(), carol.Client, nil))
		time.Sleep(9 * time.Second)
		carol = r.in(t, "carol")
		time.Sleep(time.Minute)
		require.Empty(t, alice.got(), "carol came back in time")
		require.NoError(t, r.feed.closed(t.Context(), carol.Client, nil))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"presence_leave carol"}, alice.got())
		require.NoError(t, r.ask(t, alice, string(lobby)))
		require.Equal(t, []string{"presence_response alice:1"}, alice.got())
	})
}

func TestANewTokenThatAllowsLessLeavesAtOnce(t *testing.T) {
	r := newRooms(t, nil)
	alice, bob := r.in(t, "alice"), r.in(t, "bob")
	alice.got()
	r.allowed = func(a Access) (bool, string, error) { return a.Identity.UserID != "bob", "", nil }
	require.NoError(t, r.feed.renewed(t.Context(), bob.Client, &message.Request{}))
	require.Equal(t, []string{"presence_leave bob"}, alice.got())
}

func TestRequestsAboutPresenceAreAuthorisedByTheirOwnAction(t *testing.T) {
	r := newRooms(t, nil)
	alice := r.in(t, "alice")
	var asked []Access
	r.allowed = func(a Access) (bool, string, error) { asked = append(asked, a); return false, "not yours", nil }
	for _, request := range []func(topic string) error{
		func(topic string) error { return r.ask(t, alice, topic) },
		func(topic string) error { return r.say(t, alice, topic, `{}`) },
	} {
		for _, topic := range []string{string(lobby), "public:news"} { // whether there is presence is not told either
			err := request(topic)
			require.EqualError(t, err, "not yours")
			require.Equal(t, message.CodeForbidden, message.AsError(err).Code)
		}
	}
	require.Len(t, asked, 4)
	require.Equal(t, ActionPresence, asked[0].Action)
	require.Equal(t, lobby, asked[0].Topic)
	require.Equal(t, "alice", asked[0].Identity.UserID)
	require.Empty(t, alice.got())

	r.allowed = func(Access) (bool, string, error) { return true, "", errors.New("trap") }
	require.Equal(t, message.CodePluginUnavailable, message.AsError(r.ask(t, alice, string(lobby))).Code)
}

func TestRequestsAboutPresenceNameATopicThatHasMembers(t *testing.T) {
	r := newRooms(t, nil)
	alice := r.guest("alice")
	for _, tt := range []struct{ name, topic, ask, say string }{
		{"no topic", "room", `Invalid topic format`, `Invalid topic format`},
		{"without presence", "public:news", "public:news: presence is not on for this topic", "public:news: presence is not on for this topic"},
		{"a pattern", "public:room:*", "public:room:*: a pattern has no members; name a topic", "public:room:*: a pattern has no members; name a topic"},
		{"not subscribed", string(lobby), "", "not subscribed to public:room:lobby; subscribe first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, got := range []struct {
				err  error
				want string
			}{{r.ask(t, alice, tt.topic), tt.ask}, {r.say(t, alice, tt.topic, `{}`), tt.say}} {
				if got.want == "" {
					require.NoError(t, got.err)
					continue
				}
				require.ErrorContains(t, got.err, got.want)
				require.Equal(t, message.CodeSubscriptionFailed, message.AsError(got.err).Code)
				require.Contains(t, string(message.AsError(got.err).Details), `"topic"`)
			}
		})
	}
	require.Equal(t, []string{"presence_response"}, alice.got(), "who is not there may see who is, where he is allowed to")
	require.Zero(t, r.present.Stats().Topics)
}

func TestASubscriptionBeyondTheMembersStandsAndIsTold(t *testing.T) {
	r := newRooms(t, func(cfg *presence.Config) { cfg.MembersMax = 1 })
	alice := r.in(t, "alice")
	bob := r.guest("bob")
	require.NoError(t, r.subscribe(t, bob.Client, message.Subscribe{Topics: []string{string(lobby)}}))
	require.Equal(t, []string{"subscription_update", "error SUBSCRIPTION_LIMIT"}, bob.got())
	require.Empty(t, alice.got())
	r.publish(t, lobby, "news_update")
	require.Equal(t, []string{"news_update"}, bob.got())
	require.NoError(t, r.feed.closed(t.Context(), bob.Client, nil), "who is not listed leaves without a word")
	require.Equal(t, []string{"news_update"}, alice.got())
}

// While a subscription reads its history, notices are held like publications; they say nothing about what has been sent.
func TestANoticeWhileAHistoryIsReadComesAfterItAndLetsNothingThroughTwice(t *testing.T) {
	r := newRooms(t, nil)
	r.publish(t, lobby, "a_update")
	alice := r.guest("alice")
	sub, err := r.feed.join(t.Context(), alice.Client, lobby, nil)
	require.NoError(t, err)
	bob := r.in(t, "bob")
	second := r.publish(t, lobby, "b_update")
	h, err := r.broker.History(t.Context(), lobby, broker.Query{Limit: -1})
	require.NoError(t, err)
	require.Len(t, h.Publications, 2)
	require.Empty(t, r.hub.GoLive(&alice.Member, []hub.Live{{Sub: sub, Epoch: second.Position.Epoch, Offset: second.Position.Offset}}, nil))
	require.Equal(t, []string{"presence_join bob"}, alice.got(), "the second publication is part of what was read")
	require.NoError(t, r.say(t, bob, string(lobby), `{}`))
	require.Equal(t, []string{"presence_update bob"}, alice.got())
	r.hub.Deliver(h.Publications[1]) // as if it had been on its way in an inbox
	require.Empty(t, alice.got(), "a notice does not make what was sent new")
	r.publish(t, lobby, "c_update")
	require.Equal(t, []string{"c_update"}, alice.got())
}

func TestNoticesAreFilteredLikePublications(t *testing.T) {
	r := newRooms(t, nil)
	alice := r.guest("alice")
	require.NoError(t, r.subscribe(t, alice.Client, message.Subscribe{
		Topics: []string{string(lobby)}, EventTypes: map[string][]string{string(lobby): {"presence_leave", "news_update"}}}))
	bob := r.in(t, "bob")
	require.NoError(t, r.subscribe(t, bob.Client, message.Subscribe{Action: "unsubscribe", Topics: []string{string(lobby)}}))
	require.Equal(t, []string{"subscription_update", "presence_leave bob"}, alice.got())
}

func TestASubscriberOfAPatternIsToldAndIsNoMember(t *testing.T) {
	r := newRooms(t, nil)
	alice := r.guest("alice")
	require.NoError(t, r.subscribe(t, alice.Client, message.Subscribe{Topics: []string{"public:room:*"}}))
	r.in(t, "bob")
	require.Equal(t, []string{"subscription_update", "presence_join bob"}, alice.got())
	require.NoError(t, r.ask(t, alice, string(lobby)))
	require.Equal(t, []string{"presence_response bob:1"}, alice.got())
}

func TestWhoHasATopicAndAPatternOverItIsToldOnce(t *testing.T) {
	r := newRooms(t, nil)
	alice := r.in(t, "alice")
	require.NoError(t, r.subscribe(t, alice.Client, message.Subscribe{Topics: []string{"public:room:*"}}))
	alice.got()
	r.in(t, "bob")
	require.Equal(t, []string{"presence_join bob"}, alice.got())
	require.NoError(t, r.subscribe(t, alice.Client, message.Subscribe{Action: "unsubscribe", Topics: []string{string(lobby)}}))
	require.Equal(t, []string{"presence_leave alice", "subscription_update"}, alice.got(), "the pattern still tells, also of oneself")
}

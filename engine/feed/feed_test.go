package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// plain writes a publication as type/seq.
type plain struct{}

func (plain) Decode([]byte, bool) (*message.Request, error)   { panic("not used") }
func (plain) AppendReply(dst []byte, _ *message.Reply) []byte { return dst }
func (plain) AppendPublication(dst []byte, e *message.Envelope) []byte {
	return fmt.Appendf(dst, "%s/%d", e.Type, e.Seq)
}

// loop is a lane that works at once.
type loop struct {
	mu   sync.Mutex
	work hub.Work
}

func (l *loop) TryRun(w hub.Work) bool {
	if !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	w.Run(false)
	return true
}
func (l *loop) Wake(bool) { l.Do(func() { l.work.Run(false) }) }
func (l *loop) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// connection writes down what it is sent, replies and frames in one list.
type connection struct {
	onSend func(*message.Reply) // nil: nothing more
	mu     sync.Mutex
	got    []string
	// answers are the replies among it.
	answers []*message.Reply
	queued  uint64 // what Describe tells
}

func (c *connection) Lane() int                     { return 0 }
func (c *connection) Encoding() int                 { return 0 }
func (*connection) Forget(func(message.Topic) bool) {}

func (c *connection) Enqueue(out *message.Outgoing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := out.Frames; len(b) > 0; {
		n := int(b[1])
		c.got = append(c.got, string(b[2:2+n]))
		b = b[2+n:]
	}
}

func (c *connection) Send(r *message.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, r)
	if c.onSend != nil {
		c.onSend(r)
	}
	c.got = append(c.got, strings.TrimPrefix(fmt.Sprintf("%T", r.Body), "*message."))
}
func (c *connection) SendLocked(_ message.Level, r *message.Reply) { c.Send(r) }
func (c *connection) CloseWith(*message.Reply, uint16, string)     {}
func (c *connection) SetDeadline(time.Time)                        {}
func (c *connection) Encrypt(string, func(string) *message.Reply) error {
	return message.Errorf(message.CodeKeyExchangeFailed, "nothing is encrypted here")
}
func (c *connection) Describe() router.Description {
	return router.Description{ID: "c1", Counters: message.ConnectionCounters{QueuedBytes: c.queued}}
}

// take returns what was sent since the last call.
func (c *connection) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

func (c *connection) lastAnswer() *message.Subscribed {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.answers) - 1; i >= 0; i-- {
		if a, ok := c.answers[i].Body.(*message.Subscribed); ok {
			return a
		}
	}
	return nil
}

// rules allows what a function says.
type rules func(Access) (bool, string, error)

func (r rules) Authorize(_ context.Context, a Access) (bool, string, error) { return r(a) }

// world is a feed on a real hub and a real broker.
type world struct {
	feed    *Feed
	hub     *hub.Hub
	broker  *memory.Broker
	router  *router.Router
	allowed rules
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{allowed: func(Access) (bool, string, error) { return true, "", nil }}
	l := &loop{}
	w.hub = hub.New([]hub.Lane{l}, []dialect.Encoding{{Dialect: plain{}}})
	l.work = w.hub.Works()[0]
	classes, err := broker.CompileClasses(append([]broker.Class{
		{Pattern: "user:u1:order_events", Priority: 10, HistorySize: 4, HistoryKiBMax: 64, HistoryTTL: time.Hour, Snapshots: true, Overflow: "keep"},
	}, broker.DefaultClasses()...))
	require.NoError(t, err)
	listeners := NewListeners(w.hub, classes)
	w.broker, err = memory.New(memory.DefaultConfig(), classes, listeners)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.broker.Close()) })
	w.feed, err = New(cfg, ClientMessages{Enabled: true, PayloadKiBMax: 1}, Deps{
		Hub: w.hub, Broker: w.broker, Authorizer: rules(func(a Access) (bool, string, error) { return w.allowed(a) }),
		Retention: retention{classes}, Listeners: listeners,
	})
	require.NoError(t, err)
	w.router, err = router.New(router.DefaultConfig(), w.feed.Routes(), nil, nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return w
}

type retention struct{ classes *broker.Classes }

func (r retention) Retains(topic message.Topic) bool { return r.classes.For(topic).Snapshots }

func (w *world) open(user string) (*router.Client, *connection) {
	c := &connection{}
	s := &router.Client{}
	w.router.Open(s, c, w.hub.Member(c), &auth.Identity{UserID: user})
	return s, c
}

func (w *world) publish(t *testing.T, topic message.Topic, kind string) broker.Published {
	t.Helper()
	p, err := w.broker.Publish(t.Context(), &message.Envelope{
		Topic: topic, Type: kind, Payload: []byte("{}"), ID: kind + time.Now().String(), Category: message.CategoryOf(kind), TimeMS: time.Now().UnixMilli(),
	})
	require.NoError(t, err)
	return p
}

func (w *world) subscribe(t *testing.T, s *router.Client, body message.Subscribe) error {
	t.Helper()
	if body.Action == "" {
		body.Action = "subscribe"
	}
	return w.feed.subscription(t.Context(), s, &message.Request{Type: "subscription_update", ID: "r1", Body: &body})
}

const orders = message.Topic("user:u1:order_events")

func TestANewSubscriberGetsTheSnapshotThenWhatFollowedItThenLive(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.publish(t, orders, "old")
	w.publish(t, orders, "order_snapshot")
	w.publish(t, orders, "order_update")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"order_events"}}))
	w.publish(t, orders, "live")
	require.Equal(t, []string{"Subscribed", "order_snapshot/2", "order_update/3", "SnapshotComplete", "live/4"}, c.take())
	require.Equal(t, []message.Topic{orders}, c.lastAnswer().SuccessTopics, "a bare standard type is one's own topic")
}

func TestWithoutASnapshotThereIsNoHistoryUnlessAskedFor(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.publish(t, orders, "a")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(orders), "system:announcements"}}))
	require.Equal(t, []string{"Subscribed", "SnapshotComplete"}, c.take())
	require.NoError(t, w.feed.sync(t.Context(), s, &message.Request{Body: &message.Sync{IncludeHistory: true}}))
	require.Equal(t, []string{"a/1", "SnapshotComplete"}, c.take())
}

func TestRecoveryReplaysExactlyWhatWasMissed(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	first := w.publish(t, orders, "a")
	w.publish(t, orders, "b")
	w.publish(t, orders, "c")
	for _, tt := range []struct {
		name      string
		position  message.RecoverPosition
		recovered bool
		want      []string
	}{
		{"after the first", message.RecoverPosition{Epoch: first.Epoch, Offset: 1}, true, []string{"Subscribed", "b/2", "c/3", "SnapshotComplete"}},
		{"nothing missed", message.RecoverPosition{Epoch: first.Epoch, Offset: 3}, true, []string{"Subscribed", "SnapshotComplete"}},
		{"another epoch", message.RecoverPosition{Epoch: first.Epoch + 1, Offset: 1}, false, []string{"Subscribed", "SnapshotComplete"}},
		{"the future", message.RecoverPosition{Epoch: first.Epoch, Offset: 9}, false, []string{"Subscribed", "SnapshotComplete"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := w.open("u1")
			require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"order_events"}, Recover: true,
				Recovery: map[string]message.RecoverPosition{"order_events": tt.position}}))
			require.Equal(t, tt.want, c.take())
			r := c.lastAnswer().Recovery
			require.Len(t, r, 1)
			require.Equal(t, tt.recovered, r[0].Recovered)
			require.EqualValues(t, 3, r[0].Offset)
			require.NoError(t, w.feed.closed(t.Context(), s, nil))
		})
	}
}

func TestAPositionThatHistoryLostGetsTheSnapshotInstead(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	first := w.publish(t, orders, "order_snapshot")
	for range 6 { // the class keeps four
		w.publish(t, orders, "x")
	}
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(orders)}, Recover: true,
		Recovery: map[string]message.RecoverPosition{string(orders): {Epoch: first.Epoch, Offset: 1}}}))
	require.False(t, c.lastAnswer().Recovery[0].Recovered)
	require.Equal(t, []string{"Subscribed", "order_snapshot/1", "x/4", "x/5", "x/6", "x/7", "SnapshotComplete"}, c.take())
}

func TestEveryTopicIsAnsweredAndBadFormIsAnErrorToo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerConnection = 2
	w := newWorld(t, cfg)
	w.allowed = func(a Access) (bool, string, error) {
		switch a.Topic {
		case "user:u2:events":
			return false, "not your topic", nil
		case "public:broken":
			return true, "", errors.New("trap") // an answer beside an error counts for nothing
		}
		return true, "", nil
	}
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{
		"user:u2:events", "invalid-topic", "public:broken", "events", "events", "public:a", "public:b",
	}}))
	answer := c.lastAnswer()
	require.False(t, answer.Success)
	require.Equal(t, []message.Topic{"user:u1:events", "public:a"}, answer.SuccessTopics)
	require.Equal(t, []message.Topic{"user:u1:events"}, answer.AlreadySubscribed)
	var failed []string
	for _, f := range answer.FailedTopics {
		failed = append(failed, fmt.Sprintf("%s %d", f.Topic, f.Err.Code))
	}
	require.Equal(t, []string{
		fmt.Sprintf("user:u2:events %d", message.CodeForbidden),
		fmt.Sprintf("invalid-topic %d", message.CodeSubscriptionFailed),
		fmt.Sprintf("public:broken %d", message.CodePluginUnavailable),
		fmt.Sprintf("public:b %d", message.CodeSubscriptionLimit),
	}, failed)
	require.Equal(t, []string{"Subscribed", "Failure", "SnapshotComplete", "Failure"}, c.take())
	require.True(t, c.answers[len(c.answers)-1].Body.(*message.Failure).Warning, "no more are allowed")
	require.Zero(t, w.hub.Subscribers("user:u2:events"))
}

func TestAPatternIsAuthorisedAsWrittenAndGoesLiveWithoutHistory(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	var asked []message.Topic
	w.allowed = func(a Access) (bool, string, error) { asked = append(asked, a.Topic); return true, "", nil }
	w.publish(t, orders, "order_snapshot")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"user:u1:*"}}))
	w.publish(t, orders, "x")
	require.Equal(t, []message.Topic{"user:u1:*"}, asked)
	require.Equal(t, []string{"Subscribed", "SnapshotComplete", "x/2"}, c.take())
}

func TestUnsubscribeEndsDelivery(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"events", "public:a"}}))
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Action: "unsubscribe", Topics: []string{"events", "public:never"}}))
	answer := c.lastAnswer()
	require.Equal(t, []message.Topic{"public:a"}, answer.Topics)
	require.Len(t, answer.FailedTopics, 1)
	c.take()
	w.publish(t, "user:u1:events", "x")
	require.Empty(t, c.take())
}

func TestWrongRequestsAreRefusedWithTheirCode(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerRequest = 1
	w := newWorld(t, cfg)
	s, _ := w.open("u1")
	for _, tt := range []struct {
		name string
		body message.Subscribe
		code message.Code
	}{
		{"no topics", message.Subscribe{}, message.CodeInvalidSubscription},
		{"unknown action", message.Subscribe{Action: "watch", Topics: []string{"events"}}, message.CodeInvalidAction},
		{"too many topics", message.Subscribe{Topics: []string{"events", "public:a"}}, message.CodeInvalidSubscription},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.code, message.AsError(w.subscribe(t, s, tt.body)).Code)
		})
	}
}

func TestEventTypesAreLimitedForATopicTheConnectionHasToo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.EventTypesPerTopic = 2
	w := newWorld(t, cfg)
	s, c := w.open("u1")
	body := message.Subscribe{Topics: []string{"events"}, EventTypes: map[string][]string{"events": {"a", "b"}}}
	require.NoError(t, w.subscribe(t, s, body))
	body.EventTypes["events"] = []string{"a", "b", "c"}
	require.NoError(t, w.subscribe(t, s, body))
	require.Len(t, c.lastAnswer().FailedTopics, 1)
	require.Equal(t, message.CodeInvalidSubscription, c.lastAnswer().FailedTopics[0].Err.Code)
	c.take()
	w.publish(t, "user:u1:events", "c")
	require.Empty(t, c.take(), "the filter is what it was")
}

func TestASyncRequestNamesALimitedNumberOfTopicsAndGetsEachOnce(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerRequest = 3
	w := newWorld(t, cfg)
	w.publish(t, "user:u1:events", "x")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"events"}}))
	c.take()
	sync := func(topics ...string) error {
		return w.feed.sync(t.Context(), s, &message.Request{Body: &message.Sync{Topics: topics, IncludeHistory: true}})
	}
	require.NoError(t, sync("events", "user:u1:events", "events"))
	require.Equal(t, []string{"x/1", "SnapshotComplete"}, c.take())
	require.Equal(t, message.CodeInvalidSubscription, message.AsError(sync("events", "events", "events", "events")).Code)
}

func TestHistoryThatWaitsToBeReadLeavesLessRoomForMore(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ReplayKiBMax = 4
	w := newWorld(t, cfg)
	w.publish(t, "user:u1:events", "x_snapshot")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"events"}}))
	ask := func() error {
		return w.feed.sync(t.Context(), s, &message.Request{Body: &message.Sync{IncludeSnapshots: true}})
	}
	require.NoError(t, ask())
	c.queued = 4 << 10
	require.Equal(t, message.CodeSyncFailed, message.AsError(ask()).Code)
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Action: "unsubscribe", Topics: []string{"events"}}))
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"events"}}))
	require.Equal(t, message.CodeSyncFailed, c.lastAnswer().FailedTopics[0].Err.Code)
	c.queued = 0
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"events"}}))
	c.queued = 1 << 20 // live publications may take more than a replay
	require.Equal(t, message.CodeSyncFailed, message.AsError(ask()).Code)
	c.queued = 0
	require.NoError(t, ask())
}

func TestTheCountOfARecoveryIsOfWhatIsSent(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	first := w.publish(t, "user:u1:events", "x")
	w.publish(t, "user:u1:events", "y")
	w.publish(t, "user:u1:events", "x")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{
		Topics: []string{"events"}, EventTypes: map[string][]string{"events": {"x"}}, Recover: true,
		Recovery: map[string]message.RecoverPosition{"events": {Epoch: first.Epoch, Offset: first.Offset}},
	}))
	require.Equal(t, []string{"Subscribed", "x/3", "SnapshotComplete"}, c.take())
	require.Equal(t, 1, c.lastAnswer().Recovery[0].Count)
}

func TestANewTokenThatAllowsLessEndsSubscriptions(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"events", "public:a"}}))
	w.allowed = func(a Access) (bool, string, error) { return a.Topic == "public:a", "gone", nil }
	require.NoError(t, w.feed.renewed(t.Context(), s, &message.Request{}))
	require.Equal(t, []message.Topic{"public:a"}, c.lastAnswer().Topics)
	require.Zero(t, w.hub.Subscribers("user:u1:events"))
}

func TestClientMessagesAreAuthorisedAndPublished(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	var asked []Action
	w.allowed = func(a Access) (bool, string, error) { asked = append(asked, a.Action); return true, "", nil }
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"client:u1:messages"}}))
	c.take()
	req := &message.Request{Type: "hello", ID: "m1", Body: &message.Publish{Payload: []byte(`{}`)}}
	require.NoError(t, w.feed.publish(t.Context(), s, req))
	require.Equal(t, []string{"hello/1"}, c.take())
	require.Equal(t, []Action{ActionSubscribe, ActionPublish}, asked)
	req.Body = &message.Publish{Payload: make([]byte, 2048)}
	require.Equal(t, message.CodeMessageTooLarge, message.AsError(w.feed.publish(t.Context(), s, req)).Code)
}

func TestAClientCannotSpeakInTheNameOfTheEngine(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"client:u1:messages"}}))
	c.take()
	for _, kind := range []string{
		"error", "ERROR", "server_ready", "server_hello", "client_hello_ack", "connection_state_change", "snapshot_complete",
		"auth_response", "Batch_Message_Result", "health_check_response", "metrics_response", "connection_state_response",
	} {
		err := w.feed.publish(t.Context(), s, &message.Request{Type: kind, Body: &message.Publish{}})
		require.Equal(t, message.CodeUnknownType, message.AsError(err).Code, kind)
	}
	require.Empty(t, c.take())
	require.NoError(t, w.feed.publish(t.Context(), s, &message.Request{Type: "order_snapshot", Body: &message.Publish{}}))
	require.Equal(t, []string{"order_snapshot/1"}, c.take())
}

func TestAHistoryTooLargeForOneAnswerIsRefusedAndTheOthersGoOn(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ReplayKiBMax = 3
	w := newWorld(t, cfg)
	for range 5 {
		w.publish(t, "user:u1:position_events", "position_snapshot")
		w.publish(t, "user:u1:position_events", "x")
		w.publish(t, "user:u1:events", "event_snapshot")
	}
	for range 20 {
		w.publish(t, "user:u1:position_events", "x")
	}
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"position_events", "events"}}))
	require.Equal(t, []message.Topic{"user:u1:events"}, c.lastAnswer().SuccessTopics)
	require.Len(t, c.lastAnswer().FailedTopics, 1)
	require.Equal(t, "position_events", c.lastAnswer().FailedTopics[0].Topic)
	require.Equal(t, []string{"Subscribed", "event_snapshot/5", "SnapshotComplete"}, c.take())
	require.Zero(t, w.hub.Subscribers("user:u1:position_events"))
}

// TestRecoveryUnderFire has clients leave and come back with their position while four publishers publish, and checks that
// every client ends with every publication exactly once and in order.
func TestRecoveryUnderFire(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	const topic = message.Topic("user:u1:position_events")
	var publishers, clients sync.WaitGroup
	start := w.publish(t, topic, "p")
	for range 4 {
		publishers.Go(func() {
			for range 150 {
				_, err := w.broker.Publish(context.Background(), &message.Envelope{Topic: topic, Type: "p", Payload: []byte("{}"), TimeMS: 1})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 8 {
		clients.Go(func() {
			position := message.RecoverPosition{Epoch: start.Epoch, Offset: start.Offset}
			for position.Offset < 601 {
				s, c := w.open("u1")
				err := w.subscribe(t, s, message.Subscribe{Topics: []string{string(topic)}, Recover: true,
					Recovery: map[string]message.RecoverPosition{string(topic): position}})
				if err != nil {
					t.Error(err)
					return
				}
				if err := w.feed.closed(context.Background(), s, nil); err != nil {
					t.Error(err)
				}
				for _, got := range c.take() {
					var seq uint64
					if n, _ := fmt.Sscanf(got, "p/%d", &seq); n == 1 {
						if seq != position.Offset+1 {
							t.Errorf("after %d came %d", position.Offset, seq)
							return
						}
						position.Offset = seq
					}
				}
			}
		})
	}
	publishers.Wait()
	clients.Wait()
}

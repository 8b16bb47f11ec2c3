package feed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// shared is a broker over a store that others write to as well: some of what is published does not reach this node, and at
// times the store begins anew. It keeps one topic.
type shared struct {
	topic message.Topic
	sink  broker.Follower
	most  int // publications kept

	visits atomic.Int64 // how often a client subscribed

	turn sync.Mutex // one publisher at a time, so that deliveries are in order

	mu     sync.Mutex
	at     broker.Position                 // guarded by mu
	kept   []*message.Envelope             // guarded by mu; the newest
	state  *message.Envelope               // guarded by mu; the retained snapshot
	log    map[broker.Position]string      // guarded by mu; every id that was given a number
	refuse func(message.Topic, bool) error // answers SetInterest; nil: yes
	read   func(broker.Query) error        // before History; nil: nothing
}

func newShared(topic message.Topic) *shared {
	return &shared{topic: topic, most: 20, at: broker.Position{Epoch: 1}, log: map[broker.Position]string{}}
}

// number adds a publication to the store.
func (s *shared) number() *message.Envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at.Offset++
	env := &message.Envelope{
		Topic: s.topic, Type: "update", Payload: []byte("{}"), Level: message.Normal, Seq: s.at.Offset, Epoch: s.at.Epoch,
		ID: fmt.Sprintf("%d-%d", s.at.Epoch, s.at.Offset),
	}
	if env.Seq%7 == 0 {
		env.Type, env.Category = "order_snapshot", message.Snapshot
		s.state = env
	}
	s.log[s.at] = env.ID
	if s.kept = append(s.kept, env); len(s.kept) > s.most {
		s.kept = s.kept[1:]
	}
	return env
}

// Publish implements [broker.Broker]; what it is given counts for nothing but that there is one more.
func (s *shared) Publish(context.Context, *message.Envelope) (broker.Published, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	env := s.number()
	s.sink.Deliver(env)
	return broker.Published{Position: broker.Position{Epoch: env.Epoch, Offset: env.Seq}, ID: env.ID}, nil
}

// interrupt loses publications, or everything, and tells this node of it a while later.
func (s *shared) interrupt(rng *rand.Rand) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	switch rng.IntN(3) {
	case 0: // emptied
		s.at, s.kept, s.state = broker.Position{Epoch: s.at.Epoch + 1}, nil, nil
	case 1: // another primary: the numbering goes on, and the history, under another epoch
		s.at.Epoch++
		kept := make([]*message.Envelope, len(s.kept))
		for i, env := range s.kept {
			again := *env
			again.Epoch = s.at.Epoch
			kept[i] = &again
			s.log[broker.Position{Epoch: again.Epoch, Offset: again.Seq}] = again.ID
			if env == s.state {
				s.state = &again
			}
		}
		if s.kept = kept; s.state != nil && s.state.Epoch != s.at.Epoch {
			s.state = nil
		}
	}
	s.mu.Unlock()
	for range rng.IntN(4) {
		s.number()
	}
	h, _ := s.History(context.Background(), s.topic, broker.Query{Snapshots: true, Limit: -1})
	var since []*message.Envelope
	for range rng.IntN(3) { // published elsewhere, and not delivered here yet
		since = append(since, s.number())
	}
	for range rng.IntN(20) {
		runtime.Gosched()
	}
	s.sink.Restart(s.topic, h)
	for _, env := range since {
		s.sink.Deliver(env)
	}
}

// History implements [broker.Broker].
func (s *shared) History(_ context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != nil {
		if err := s.read(q); err != nil {
			return broker.History{}, err
		}
	}
	h := broker.History{Position: s.at}
	after := uint64(0)
	switch {
	case q.Recover && q.After.Epoch == s.at.Epoch && q.After.Offset <= s.at.Offset && s.at.Offset-q.After.Offset <= uint64(len(s.kept)):
		h.Recovered, after = true, q.After.Offset
	case q.Snapshots && s.state == nil:
		return h, nil
	case q.Snapshots:
		h.Snapshots, after = []*message.Envelope{s.state}, s.state.Seq
	}
	for _, env := range s.kept {
		if env.Seq > after && q.Limit != 0 {
			h.Publications = append(h.Publications, env)
		}
	}
	return h, nil
}

// SetInterest implements [broker.Broker].
func (s *shared) SetInterest(_ context.Context, topic message.Topic, interested bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse(topic, interested)
	}
	return nil
}

func (s *shared) position() broker.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// positions writes a publication as its numbers and its id, and a restart as its position.
type positions struct{ plain }

func (positions) AppendPublication(dst []byte, e *message.Envelope) []byte {
	switch n := e.Notice.(type) {
	case *message.Restarted:
		return fmt.Appendf(dst, "R %d %d -", n.Epoch, n.Offset)
	case *message.SnapshotComplete:
		return fmt.Appendf(dst, "D 0 0 -")
	}
	return fmt.Appendf(dst, "P %d %d %s", e.Epoch, e.Seq, e.ID)
}

// watcher is a client that keeps a position and notes whatever does not follow from what it was told. Its fields are
// guarded by its lane's lock.
type watcher struct {
	connection
	store *shared
	lane  int
	both  bool // it follows the topic by a pattern, which may bring what an answer counted

	at    broker.Position
	asked broker.Position // from where it recovers
	known bool
	// until is where the topic is when what is coming has come; nil: publications are live, or follow what was there.
	until *broker.Position
	stale bool // until the next restart, what comes is of an epoch that is over
	told  int
	bad   []string
}

func (w *watcher) Lane() int { return w.lane }

func (w *watcher) fault(format string, args ...any) {
	if len(w.bad) < 5 {
		w.bad = append(w.bad, fmt.Sprintf("at %v: ", w.at)+fmt.Sprintf(format, args...))
	}
}

func (w *watcher) Enqueue(out *message.Outgoing) {
	w.got = w.got[:0]
	w.connection.Enqueue(out)
	for _, text := range w.got {
		var kind, id string
		var at broker.Position
		if _, err := fmt.Sscanf(text, "%s %d %d %s", &kind, &at.Epoch, &at.Offset, &id); err != nil {
			w.fault("%q: %v", text, err)
			continue
		}
		switch kind {
		case "R":
			w.told++
			w.at, w.known, w.until, w.stale = at, true, &at, false
		case "D":
			w.until = nil
		default:
			w.publication(at, id)
		}
	}
}

func (w *watcher) publication(at broker.Position, id string) {
	w.store.mu.Lock()
	was := w.store.log[at]
	w.store.mu.Unlock()
	switch {
	case was != id:
		w.fault("%v has the id %s, not %s", at, was, id)
	case w.until != nil: // part of what there is
		if at.Epoch != w.until.Epoch || at.Offset > w.until.Offset {
			w.fault("%v is sent as a part of what there is at %v", at, *w.until)
		}
	case w.known && at.Epoch < w.at.Epoch && (w.stale || w.both || w.at.Offset == 0 || at.Offset == 1):
		w.stale = true // what a pattern held, or the beginning of an epoch that is over: the restart is on its way
	case w.both && at.Epoch == w.at.Epoch && at.Offset <= w.at.Offset: // by the name and by the pattern
	case w.known && (at.Epoch != w.at.Epoch || at.Offset != w.at.Offset+1):
		w.fault("%v does not follow", at)
	default:
		w.at, w.known = at, true
	}
}

func (w *watcher) SendLocked(_ message.Level, r *message.Reply) {
	switch body := r.Body.(type) {
	case *message.Subscribed:
		for _, one := range body.Recovery {
			at := broker.Position{Epoch: one.Epoch, Offset: one.Offset}
			switch {
			case one.Recovered:
				if !w.both { // what came since it asked comes again
					w.at = w.asked
				}
			case w.both && w.known && at.Epoch == w.at.Epoch && at.Offset <= w.at.Offset: // the pattern has brought more
				w.until = &at
			default:
				w.told++
				w.at, w.known, w.until = at, true, &at
			}
		}
	case *message.SnapshotComplete:
		w.until = nil
	}
}

func (w *watcher) Send(r *message.Reply) { w.SendLocked(message.Critical, r) }

// nodes is a feed over a shared store, with two lanes.
func newNode(t *testing.T, store *shared) (*Feed, *hub.Hub, *router.Router) {
	t.Helper()
	lanes := []*loop{{}, {}}
	h := hub.New([]hub.Lane{lanes[0], lanes[1]}, []dialect.Encoding{{Dialect: positions{}}})
	for i, work := range h.Works() {
		lanes[i].work = work
	}
	classes, err := broker.CompileClasses(broker.DefaultClasses())
	require.NoError(t, err)
	listeners := NewListeners(h, classes)
	store.sink = listeners
	f, err := New(DefaultConfig(), DefaultClientMessages(), Deps{
		Hub: h, Broker: store, Retention: retention{classes}, Listeners: listeners,
		Authorizer: rules(func(Access) (bool, string, error) { return true, "", nil }),
	})
	require.NoError(t, err)
	r, err := router.New(router.DefaultConfig(), f.Routes(), nil, nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return f, h, r
}

// subscribes asks for topics as a client does that keeps a position: from there on, or from an epoch that never is.
func (w *watcher) subscribes(f *Feed, s *router.Client, topics ...message.Topic) error {
	var at broker.Position
	s.Member.Do(func() { at, w.asked = w.at, w.at })
	body := &message.Subscribe{Action: "subscribe", Recover: true, Recovery: map[string]message.RecoverPosition{}}
	for _, topic := range topics {
		body.Topics = append(body.Topics, string(topic))
	}
	body.Recovery[string(w.store.topic)] = message.RecoverPosition{Epoch: at.Epoch, Offset: at.Offset}
	return f.subscription(context.Background(), s, &message.Request{Type: "subscription_update", ID: "r", Body: body})
}

// TestEveryClientEndsWithWhatTheTopicHasOrWasTold has clients that come back, recover where they are, and follow by patterns, while
// the broker loses publications, changes the epoch, and is emptied.
func TestEveryClientEndsWithWhatTheTopicHasOrWasTold(t *testing.T) {
	for seed := range uint64(2) {
		store := newShared("user:u1:order_events")
		f, h, r := newNode(t, store)
		stop := make(chan struct{})
		var clients sync.WaitGroup
		watchers := make([]*watcher, 8)
		for i := range watchers {
			w := &watcher{store: store, lane: i / 4, both: i%4 >= 2}
			watchers[i] = w
			clients.Go(func() { w.visit(t, f, h, r, i, stop) })
		}
		rng := rand.New(rand.NewPCG(seed, 7))
		for n := range int64(300) {
			for store.visits.Load() < n { // who publishes faster than anybody reads makes all that is read longer, without end
				runtime.Gosched()
			}
			if rng.IntN(12) == 0 {
				store.interrupt(rng)
			} else if _, err := store.Publish(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		clients.Wait()
		_, err := store.Publish(t.Context(), nil)
		require.NoError(t, err)
		for i, w := range watchers {
			require.Empty(t, w.bad, "seed %d, client %d", seed, i)
			require.False(t, w.stale)
			require.Equal(t, store.position(), w.at, "seed %d, client %d, told %d times", seed, i, w.told)
			require.Positive(t, w.told)
		}
	}
}

// visit follows the topic in one of four ways until stop, and stays subscribed.
func (w *watcher) visit(t *testing.T, f *Feed, h *hub.Hub, r *router.Router, i int, stop <-chan struct{}) {
	topic := w.store.topic
	open := func() *router.Client {
		s := &router.Client{}
		r.Open(s, w, h.Member(w), &auth.Identity{UserID: "u1"})
		return s
	}
	s := open()
	if i%4 >= 2 {
		for w.subscribes(f, s, "user:u1:*") != nil {
		}
	}
	for i%4 != 2 {
		if err := w.subscribes(f, s, topic); err != nil {
			var refused *message.Error
			if !errors.As(err, &refused) || refused.Code != message.CodeSyncFailed {
				t.Error(err)
				return
			}
			continue
		}
		w.store.visits.Add(1)
		select {
		case <-stop:
			return
		default:
		}
		if i%4 == 0 { // the connection is lost
			if err := f.closed(context.Background(), s, nil); err != nil {
				t.Error(err)
			}
			s = open()
		}
	}
	<-stop
}

func TestWhatASyncReadBeforeARestartIsReadAgain(t *testing.T) {
	store := newShared("user:u1:order_events")
	f, h, r := newNode(t, store)
	w := &watcher{store: store}
	s := &router.Client{}
	r.Open(s, w, h.Member(w), &auth.Identity{UserID: "u1"})
	for range 9 {
		_, err := store.Publish(t.Context(), nil)
		require.NoError(t, err)
	}
	require.NoError(t, w.subscribes(f, s, store.topic))
	ask := func() error {
		w.got = nil
		return f.sync(t.Context(), s, &message.Request{ID: "r", Body: &message.Sync{IncludeSnapshots: true}})
	}
	reads := 0
	store.read = func(broker.Query) error {
		if reads++; reads == 1 { // read, and not sent yet
			store.at = broker.Position{Epoch: 2}
			h := broker.History{Position: store.at}
			store.mu.Unlock()
			store.sink.Restart(store.topic, h)
			store.mu.Lock()
		}
		return nil
	}
	require.NoError(t, ask())
	require.Equal(t, 2, reads)

	store.read = func(broker.Query) error {
		store.mu.Unlock()
		store.sink.Restart(store.topic, broker.History{Position: broker.Position{Epoch: 3}})
		store.mu.Lock()
		return nil
	}
	require.ErrorContains(t, ask(), "interrupted", "not for ever")
}

func TestATopicThatIsInterruptedAgainAndAgainIsNotSubscribedTo(t *testing.T) {
	store := newShared("user:u1:order_events")
	f, h, r := newNode(t, store)
	w := &watcher{store: store}
	s := &router.Client{}
	r.Open(s, w, h.Member(w), &auth.Identity{UserID: "u1"})
	store.read = func(broker.Query) error {
		store.mu.Unlock()
		store.sink.Restart(store.topic, broker.History{Position: broker.Position{Epoch: 3}})
		store.mu.Lock()
		return nil
	}
	err := w.subscribes(f, s, store.topic)
	require.ErrorContains(t, err, "interrupted again and again; subscribe again")
	require.Zero(t, s.Member.Len())
}

func TestWhatABrokerCannotDoIsRefusedWithAReason(t *testing.T) {
	store := newShared("user:u1:order_events")
	f, h, r := newNode(t, store)
	w := &watcher{store: store}
	s := &router.Client{}
	r.Open(s, w, h.Member(w), &auth.Identity{UserID: "u1"})
	conn := &connection{}
	r.Open(s, conn, h.Member(conn), &auth.Identity{UserID: "u1"})
	subscribe := func(topic string) *message.Error {
		err := f.subscription(t.Context(), s, &message.Request{ID: "r", Body: &message.Subscribe{Action: "subscribe", Topics: []string{topic}}})
		require.NoError(t, err)
		answer := conn.lastAnswer()
		require.Len(t, answer.FailedTopics, 1)
		require.Zero(t, s.Member.Len())
		return answer.FailedTopics[0].Err
	}
	store.refuse = func(topic message.Topic, _ bool) error {
		if topic.IsPattern() {
			return fmt.Errorf("redis: %w", broker.ErrPattern)
		}
		return fmt.Errorf("redis: %w", broker.ErrUnavailable)
	}
	refused := subscribe("user:u1:*")
	require.Equal(t, message.CodeSubscriptionFailed, refused.Code)
	require.Contains(t, refused.Message, "name the topics that user:u1:* is to cover")
	refused = subscribe("order_events")
	require.Equal(t, message.CodeUnavailable, refused.Code)
	require.Contains(t, refused.Message, "try again")
	_, err := f.Listen(t.Context(), store.topic, &heard{})
	require.Equal(t, message.CodeUnavailable, message.AsError(err).Code)

	store.refuse = nil
	store.read = func(broker.Query) error { return fmt.Errorf("redis: %w", broker.ErrUnavailable) }
	err = w.subscribes(f, s, store.topic)
	require.Equal(t, message.CodeUnavailable, message.AsError(err).Code)
	require.ErrorContains(t, err, "try again")

	for err, want := range map[error]string{
		broker.ErrUnavailable: "not accepted in time", context.DeadlineExceeded: "not accepted in time", broker.ErrFull: "no room",
	} {
		refused := message.AsError(notPublished(fmt.Errorf("redis: %w", err)))
		require.Equal(t, message.CodeUnavailable, refused.Code)
		require.Contains(t, refused.Message, want)
		require.ErrorIs(t, refused, err)
	}
	require.NoError(t, notPublished(nil))
}

func TestAStreamAndAListenerAreToldOfARestart(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	const topic = message.Topic("stream:market_data:A")
	listener := &heard{}
	_, err := w.feed.Listen(t.Context(), topic, listener)
	require.NoError(t, err)
	w.publish(t, topic, message.TypeMarketData)
	s, conn := w.admin("basic")
	require.NoError(t, w.stream(t, s, message.StreamRequest{Stream: message.StreamMarketData, Symbols: []string{"A"}}))
	conn.take()
	w.feed.listeners.Restart(topic, broker.History{Position: broker.Position{Epoch: 9, Offset: 3}})
	require.Equal(t, []string{"market_data_update/1", "restart of " + string(topic)}, listener.got)
	require.Len(t, conn.take(), 2, "the notice and its end")
}

package trading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/store"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/market"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// world is trading on a real store, real strategies and real collections, with markets that the test moves. Its strategies buy
// one at a price that is a multiple of ten and sell at one that is a multiple of seven; named trap they fail at 13.
type world struct {
	*Trading
	dir     string
	store   *store.Store
	markets markets

	mu     sync.Mutex
	said   []string // type of everything published
	intent func(*message.Event) error
	events chan *message.Envelope // each publication
}

// markets hands ticks to who listens.
type markets struct {
	mu    sync.Mutex
	sinks map[message.Topic][]broker.Follower
	fail  bool
	// history answers what is asked about the past; nil: the broker cannot be reached.
	history func(message.Topic, broker.Query) (broker.History, error) // guarded by mu
}

func (m *markets) Listen(_ context.Context, topic message.Topic, sink broker.Follower) (func(context.Context) error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return nil, errors.New("no broker")
	}
	m.sinks[topic] = append(m.sinks[topic], sink)
	return func(context.Context) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sinks[topic] = slices.DeleteFunc(m.sinks[topic], func(s broker.Follower) bool { return s == sink })
		return nil
	}, nil
}

// History implements [Past].
func (m *markets) History(_ context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.history == nil {
		return broker.History{}, fmt.Errorf("no history: %w", broker.ErrUnavailable)
	}
	return m.history(topic, q)
}

func (m *markets) restart(topic message.Topic, h broker.History) {
	m.mu.Lock()
	sinks := slices.Clone(m.sinks[topic])
	m.mu.Unlock()
	for _, s := range sinks {
		s.Restart(topic, h)
	}
}

func (m *markets) listeners() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, sinks := range m.sinks {
		n += len(sinks)
	}
	return n
}

func (m *markets) deliver(env *message.Envelope) {
	m.mu.Lock()
	sinks := slices.Clone(m.sinks[env.Topic])
	m.mu.Unlock()
	for _, s := range sinks {
		s.Deliver(env)
	}
}

// tick moves a market.
func (w *world) tick(symbol string, atMS int64, price float64) {
	payload := market.AppendTick(nil, &message.Tick{Symbol: symbol, TimeMS: atMS, Price: price, Volume: 1})
	w.markets.deliver(&message.Envelope{Type: message.TypeMarketData, Topic: message.Topic("stream:market_data:" + symbol), Payload: payload})
}

func (w *world) Publish(_ context.Context, env *message.Envelope) error {
	w.mu.Lock()
	w.said = append(w.said, env.Type)
	w.mu.Unlock()
	select {
	case w.events <- env:
	default:
	}
	return nil
}

func (w *world) Intend(_ context.Context, ev *message.Event) error { return w.intent(ev) }

// waitFor waits for a publication of a type.
func (w *world) waitFor(t *testing.T, kind string) string {
	t.Helper()
	for deadline := time.After(waitMost); ; {
		select {
		case got := <-w.events:
			if got.Type == kind {
				return string(got.Payload)
			}
		case <-deadline:
			t.Fatalf("no %s was published, but %v", kind, w.said)
		}
	}
}

// trader is a strategy's instance.
type trader struct {
	w      *world
	name   string
	mu     sync.Mutex
	n      int
	closed bool
	holds  map[uint32]bool
}

func (w *world) OpenStrategy(_ context.Context, name string) (Instance, string, error) {
	if name == "nobody" {
		return nil, "", message.Errorf(message.CodePluginUnavailable, "no plugin")
	}
	return &trader{w: w, name: name, holds: map[uint32]bool{}}, "test@1", nil
}

func (*world) ValidateStrategy(_ context.Context, config []byte) (bool, []message.Fault, []message.Fault, error) {
	var c struct {
		Name string `json:"strategy_name"`
		Bad  bool   `json:"bad"`
	}
	if err := json.Unmarshal(config, &c); err != nil || c.Bad || c.Name == "" {
		return false, []message.Fault{{Path: "bad", Message: "bad must not be"}}, nil, nil
	}
	return true, nil, []message.Fault{{Path: "x", Message: "x is odd"}}, nil
}

func (s *trader) Open(_ context.Context, doc []byte) error {
	if s.name == "picky" {
		return errors.New("picky: it does not like this symbol")
	}
	return nil
}

func (s *trader) Ticks(_ context.Context, handle uint32, ticks []message.StrategyTick) (int, []message.StrategyAction, error) {
	for i, t := range ticks {
		price := int(t.Price)
		if s.name == "trap" && price == 13 {
			return i, nil, errors.New("unreachable executed")
		}
		order := func(side string) (int, []message.StrategyAction, error) {
			s.n++
			return i + 1, []message.StrategyAction{
				{Kind: message.ActionSignal, At: i, SignalType: "S1", Indicators: []byte(`{"PRICE":1}`)},
				{Kind: message.ActionOrder, At: i, ID: fmt.Sprintf("o%d", s.n), Side: side, OrderType: "market", Quantity: 1, Reason: "test"},
			}, nil
		}
		if price%10 == 0 && !s.holds[handle] {
			s.holds[handle] = true
			return order("buy")
		}
		if price%7 == 0 && s.holds[handle] {
			s.holds[handle] = false
			return order("sell")
		}
	}
	return len(ticks), nil, nil
}

func (s *trader) Update(context.Context, []byte) ([]message.StrategyAction, error) { return nil, nil }

func (s *trader) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("closed twice")
	}
	s.closed = true
	return nil
}

// open makes a world in dir and runs it until the test ends or stop is called.
func open(t *testing.T, dir string, change func(*Config)) (w *world, stop func()) {
	t.Helper()
	return openWith(t, dir, change, func(*Deps) {})
}

// openWith is open with more to depend on.
func openWith(t *testing.T, dir string, change func(*Config), more func(*Deps)) (w *world, stop func()) {
	t.Helper()
	w = &world{dir: dir, events: make(chan *message.Envelope, 10_000), intent: func(*message.Event) error { return nil }}
	w.markets.sinks = map[message.Topic][]broker.Follower{}
	var err error
	w.store, err = store.Open(dir)
	require.NoError(t, err)
	cfg := DefaultConfig()
	cfg.FeeBps, cfg.SlippageBps, cfg.Checkpoint = 0, 0, 20*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	files, err := strategies.New(filepath.Join(dir, "strategies"), cfg.Strategies, strategies.Options{})
	require.NoError(t, err)
	collector, err := collection.New(dir, cfg.Collections, collection.Options{Ended: func(s collection.Status) { w.CollectionEnded(s.ID) }})
	require.NoError(t, err)
	for _, name := range []string{"s", "t", "trap", "picky", "nobody"} {
		_, _, err := files.Put("op", true, []byte(`{"strategy_name":"`+name+`"}`))
		require.NoError(t, err)
	}
	deps := Deps{
		Opener: w, Validator: w, Publisher: w, Listener: &w.markets, Past: &w.markets, Sessions: w.store.Bucket("sessions"),
		Activations: w.store.Bucket("activations"), Strategies: files, Collector: collector,
	}
	more(&deps)
	w.Trading, err = New(cfg, deps)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { require.NoError(t, collector.Run(ctx)) })
	group.Go(func() { require.NoError(t, w.Run(ctx)) })
	stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		require.NoError(t, w.store.Close())
	})
	t.Cleanup(stop)
	require.Eventually(t, func() bool { w.Trading.mu.Lock(); defer w.Trading.mu.Unlock(); return w.ctx != nil }, waitMost, waitStep)
	return w, stop
}

// user is somebody of a level.
func user(name, level string) *auth.Identity {
	permissions, _ := auth.LevelPermissions(level)
	return &auth.Identity{UserID: name, Permissions: permissions}
}

// must answers a request that is to work.
func must[T message.ReplyBody](t *testing.T, w *world, who *auth.Identity, body message.Body) T {
	t.Helper()
	answer, err := w.Answer(t.Context(), who, body)
	require.NoError(t, err)
	return answer.(T)
}

// refused returns the code and text of a request that is to be refused.
func refused(t *testing.T, w *world, who *auth.Identity, body message.Body) (message.Code, string) {
	t.Helper()
	_, err := w.Answer(t.Context(), who, body)
	require.Error(t, err)
	return message.AsError(err).Code, message.AsError(err).Message
}

// How long tests wait for what happens on another goroutine.
const (
	waitMost = 2 * time.Minute
	waitStep = time.Millisecond
)

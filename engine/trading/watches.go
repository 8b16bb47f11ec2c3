package trading

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

// watchKey names a strategy that was activated for a symbol without a session: it runs on the market's ticks and tells of
// signals and indicators, and every order that it gives is rejected. Activations outlive a restart.
type watchKey struct{ owner, strategy, symbol string }

func (k watchKey) String() string { return k.owner + "/" + k.strategy + "/" + k.symbol }

// activation is what is kept of one.
type activation struct {
	Owner    string `json:"owner"`
	Strategy string `json:"strategy"`
	Symbol   string `json:"symbol"`
}

// activate activates a strategy for a symbol, or deactivates it.
func (t *Trading) activate(ctx context.Context, who *auth.Identity, r *message.StrategyActivation) (message.ReplyBody, error) {
	key := watchKey{who.UserID, r.Strategy, r.Symbol}
	if r.Deactivate {
		return t.deactivate(ctx, key)
	}
	if _, ok := t.deps.Strategies.Get(r.Strategy); !ok {
		return nil, noStrategy(r.Strategy)
	}
	if err := market.CheckSymbol(r.Symbol); err != nil {
		var bad faults
		bad.add("symbol", "is refused: %v", err)
		return nil, bad.err(message.CodeInvalidArgument)
	}
	if state, ok, err := t.stateOf(ctx, key); err != nil || ok {
		return &message.StrategyActivated{State: state}, err
	}
	raw, err := json.Marshal(activation{key.owner, key.strategy, key.symbol})
	if err != nil {
		return nil, err
	}
	if err := t.openWatch(ctx, key); err != nil {
		return nil, err
	}
	if err := t.deps.Activations.Apply(map[string][]byte{key.String(): raw}); err != nil {
		return nil, &message.Error{Code: message.CodeCommandFailed, Message: "the activation could not be written to disk", Err: err}
	}
	state, runs, err := t.stateOf(ctx, key)
	if err == nil && !runs {
		err = message.Errorf(message.CodeStrategyActivationFailed, "the strategy %s failed on %s at once", cut(key.strategy), cut(key.symbol))
	}
	return &message.StrategyActivated{State: state}, err
}

func noStrategy(name string) error {
	return message.Errorf(message.CodeStrategyNotFound, "there is no strategy %q; get_strategies lists them", cut(name))
}

// stateOf tells how somebody's strategy does on a symbol, in a session of his that follows the market or as a watch.
func (t *Trading) stateOf(ctx context.Context, key watchKey) (state message.StrategyState, ok bool, err error) {
	states, err := t.statesOf(ctx, key.owner, func(s *message.StrategyState) bool {
		return s.Strategy == key.strategy && s.Symbol == key.symbol
	}, func(s *session) bool { return s.plan.kind != backtest })
	if err != nil || len(states) == 0 {
		return state, false, err
	}
	return states[0], true, nil
}

// statesOf collects the states of somebody's strategies: of his sessions first, then of his watches.
func (t *Trading) statesOf(ctx context.Context, user string, want func(*message.StrategyState) bool, from func(*session) bool) ([]message.StrategyState, error) {
	var states []message.StrategyState
	for _, s := range append(t.runningOf(user), t.watchesOf(user)...) {
		if !from(s) || s.awaitReady(ctx) != nil {
			continue
		}
		lives, err := s.call(ctx, func() {
			for _, state := range s.opened.states(s.shownID()) {
				if want(&state) {
					states = append(states, state)
				}
			}
		})
		if err != nil {
			return nil, message.Errorf(message.CodeUnavailable, "a session of yours is busy; ask again")
		}
		_ = lives // one that has ended just now has no states
	}
	return states, nil
}

// shownID is the id that clients know a session by: a watch has none.
func (s *session) shownID() string {
	if s.plan.kind == watch {
		return ""
	}
	return s.id
}

// runningOf lists a user's sessions, or everybody's, the newest first.
func (t *Trading) runningOf(user string) (list []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sessions {
		if user == "" || s.owner == user {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *session) int { return b.created.Compare(a.created) })
	return list
}

func (t *Trading) watchesOf(user string) (list []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range t.watches {
		if key.owner == user {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *session) int { return strings.Compare(a.watchKey().String(), b.watchKey().String()) })
	return list
}

func (s *session) watchKey() watchKey {
	return watchKey{s.owner, s.plan.pairs[0].strategy, s.plan.pairs[0].symbol}
}

// openWatch makes a strategy watch a symbol, unless it does, or a session of its owner runs it there.
func (t *Trading) openWatch(ctx context.Context, key watchKey) error {
	p := &plan{kind: watch, pairs: []pair{{key.strategy, key.symbol}}, symbols: []string{key.symbol}, options: t.defaults(watch)}
	s := t.newSession(key.owner, p)
	t.mu.Lock()
	for _, other := range t.sessions {
		if other.owner == key.owner && other.runs(key) {
			t.mu.Unlock()
			return nil
		}
	}
	mine := 0
	for other, w := range t.watches {
		if other == key {
			t.mu.Unlock()
			return w.awaitReady(ctx)
		}
		if other.owner == key.owner {
			mine++
		}
	}
	if mine >= t.cfg.WatchesPerUserMax || len(t.watches) >= t.cfg.WatchesMax {
		t.mu.Unlock()
		return message.Errorf(message.CodeStrategyActivationFailed,
			"%d strategies of yours watch a symbol, and at most %d may, and %d of all users; deactivate one first", mine, t.cfg.WatchesPerUserMax, t.cfg.WatchesMax)
	}
	t.watches[key] = s
	t.mu.Unlock()
	return t.launch(ctx, s)
}

// runs reports whether a session follows the market with the strategy of an activation.
func (s *session) runs(key watchKey) bool {
	return s.plan.kind != backtest && !s.ending() && slices.Contains(s.plan.pairs, pair{key.strategy, key.symbol})
}

// resumeWatches opens the activations again whose place a session had that has ended.
func (t *Trading) resumeWatches(ctx context.Context, s *session) {
	if s.plan.kind == watch || s.plan.kind == backtest {
		return
	}
	for _, one := range s.plan.pairs {
		key := watchKey{s.owner, one.strategy, one.symbol}
		kept, err := t.deps.Activations.Get(key.String())
		if err == nil && kept != nil && !t.stops() {
			if err = t.openWatch(ctx, key); err == nil {
				err = t.endForgotten(ctx, key)
			}
		}
		if err != nil {
			t.log.Warn("a strategy is active no more", "owner", key.owner, "strategy", key.strategy, "symbol", key.symbol, "error", err)
		}
	}
}

// endForgotten ends a watch whose activation was taken back while it was opened: who did that may not have seen it yet.
func (t *Trading) endForgotten(ctx context.Context, key watchKey) error {
	kept, err := t.deps.Activations.Get(key.String())
	if err != nil || kept != nil {
		return err
	}
	t.mu.Lock()
	s := t.watches[key]
	t.mu.Unlock()
	if s == nil {
		return nil
	}
	return t.end(ctx, s, reasonRequested)
}

// stops reports that Run ends.
func (t *Trading) stops() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ctx == nil || t.over || t.ctx.Err() != nil
}

// deactivate ends a watch.
func (t *Trading) deactivate(ctx context.Context, key watchKey) (message.ReplyBody, error) {
	if _, ok := t.deps.Strategies.Get(key.strategy); !ok {
		return nil, noStrategy(key.strategy)
	}
	state, runs, err := t.stateOf(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case runs && state.SessionID != "":
		return nil, message.Errorf(message.CodeDeactivationFailed, "the session %s runs the strategy; stop that", state.SessionID)
	}
	kept, err := t.deps.Activations.Get(key.String())
	if err != nil {
		return nil, &message.Error{Code: message.CodeDeactivationFailed, Message: "the activation cannot be read; try again", Err: err}
	}
	if kept == nil && !runs {
		return nil, message.Errorf(message.CodeDeactivationFailed, "the strategy %s is not active for %s", cut(key.strategy), cut(key.symbol))
	}
	if err := t.deps.Activations.Apply(map[string][]byte{key.String(): nil}); err != nil {
		return nil, &message.Error{Code: message.CodeDeactivationFailed, Message: "the activation could not be taken off the disk; try again", Err: err}
	}
	if err := t.endForgotten(ctx, key); err != nil {
		return nil, err
	}
	return &message.StrategyActivated{
		Deactivated: true, State: message.StrategyState{Strategy: key.strategy, Symbol: key.symbol, State: stateInactive},
	}, nil
}

// stateInactive is the state of a strategy that does not run.
const stateInactive = "inactive"

// endWatches ends the watches of what a session is going to run: it tells of the same signals.
func (t *Trading) endWatches(ctx context.Context, s *session) {
	if s.plan.kind == watch || s.plan.kind == backtest {
		return
	}
	for _, one := range s.plan.pairs {
		key := watchKey{s.owner, one.strategy, one.symbol}
		t.mu.Lock()
		w := t.watches[key]
		t.mu.Unlock()
		if w == nil {
			continue
		}
		if err := t.end(ctx, w, reasonReplaced); err != nil {
			t.log.Warn("a watch goes on beside a session", "watch", key, "session", s.id, "error", err)
		}
	}
}

// restoreWatches opens the activations that are kept. One that cannot be opened is told of and stays kept.
func (t *Trading) restoreWatches(ctx context.Context) {
	var kept []activation
	err := t.deps.Activations.Each(func(key string, raw []byte) error {
		var a activation
		if err := json.Unmarshal(raw, &a); err != nil {
			t.log.Error("an activation cannot be read and is left alone", "activation", key, "error", err)
			return nil
		}
		kept = append(kept, a)
		return nil
	})
	if err != nil {
		t.log.Error("activations cannot be read", "error", err)
	}
	for _, a := range kept {
		if err := t.openWatch(ctx, watchKey{a.Owner, a.Strategy, a.Symbol}); err != nil {
			t.log.Warn("a strategy is active no more", "owner", a.Owner, "strategy", a.Strategy, "symbol", a.Symbol, "error", err)
		}
	}
}

// remove takes a session that has ended off the list of those that run.
func (t *Trading) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.plan.kind != watch {
		delete(t.sessions, s.id)
		return
	}
	if key := s.watchKey(); t.watches[key] == s {
		delete(t.watches, key)
	}
}

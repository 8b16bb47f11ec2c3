package trading

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// Opener opens a strategy's instance in the plugin that is bound to its name, and tells which plugin that is, as
// name@version. It may block until ctx ends. The instance is closed once, by whoever opened it.
type Opener interface {
	OpenStrategy(ctx context.Context, name string) (instance Instance, plugin string, err error)
}

// Instance is a strategy's instance.
type Instance interface {
	execution.Strategy
	io.Closer
}

// opened is what runs in a session. Once the session runs it is its goroutine's.
type opened struct {
	trading *Trading
	session *session
	run     *execution.Run
	ledger  *ledger.Ledger
	out     outbox
	reader  *collection.Reader // of a backtest
	inbox   *inbox             // of what follows the market
	spare   []message.Tick     // of the inbox
	closers []func(context.Context) error
	scratch []message.StrategyTick
	ctx     context.Context // of the call into the run that is under way
}

// prepare opens everything that a session needs. Where that does not work nothing stays open.
func (t *Trading) prepare(ctx context.Context, s *session) (*opened, error) {
	o := &opened{trading: t, session: s, inbox: s.inbox}
	if err := o.open(ctx); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *opened) open(ctx context.Context) (err error) {
	t, s := o.trading, o.session
	c := t.ledgerConfig()
	c.InitialBalance = s.plan.options.initialBalance
	if o.ledger, err = ledger.New(c); err != nil {
		return err
	}
	o.out.o = o
	if o.run, err = execution.New(o.config(), o.ledger, &o.out); err != nil {
		return err
	}
	if s.plan.kind == backtest {
		if err := o.openReader(s.plan); err != nil {
			return err
		}
	}
	if err := o.openStrategies(ctx); err != nil {
		return err
	}
	if s.plan.kind == backtest {
		return nil
	}
	return o.listen(ctx)
}

// config is how the run of a session runs.
func (o *opened) config() execution.Config {
	p := o.session.plan
	c := p.options.execution(o.session.id, p.kind)
	switch p.kind {
	case live:
		c.Mode, c.Intents = execution.External, o.intend
	case watch:
		c.Mode, c.SessionType = execution.Observe, paper
	}
	c.OrdersPendingMax = o.trading.cfg.OrdersPendingMax
	return c
}

// execution is how a run goes with the options, which were checked, where its orders are filled here.
func (o *options) execution(id, kind string) execution.Config {
	c := execution.DefaultConfig()
	c.SessionID, c.SessionType = id, kind
	c.FeeBps, _ = ledger.AmountFromFloat(o.feeBps)
	c.SlippageBps, _ = ledger.AmountFromFloat(o.slippageBps)
	c.CloseAtEnd = o.closeAtEnd && kind != live
	c.Budget, c.IndicatorIntervalMS = o.budget, int64(o.indicatorMS)
	return c
}

// checkSource checks that the collection that a backtest replays is there, is its owner's, and has all symbols.
func (t *Trading) checkSource(p *plan, owner string, admin bool) error {
	status, err := t.deps.Collector.Status(p.options.collection)
	if err != nil && !errors.Is(err, collection.ErrNotFound) {
		return &message.Error{Code: message.CodeCommandFailed, Message: "the collection cannot be read: " + reasonOf(err), Err: err}
	}
	if err != nil || status.Owner != "" && status.Owner != owner && !admin {
		return message.Errorf(message.CodeSessionNotFound, "config.collection_id: you have no collection %q", cut(p.options.collection))
	}
	var bad faults
	for _, one := range p.pairs {
		if !slices.Contains(status.Symbols, one.symbol) {
			bad.add("strategy_config."+one.strategy, "holds %s, of which the collection %s has no ticks", one.symbol, status.ID)
		}
	}
	return bad.err(message.CodeInvalidArgument)
}

// openReader opens the collection that a backtest replays.
func (o *opened) openReader(p *plan) (err error) {
	t := o.trading
	if err := t.checkSource(p, o.session.owner, o.session.admin); err != nil {
		return err
	}
	if o.reader, err = t.deps.Collector.Open(p.options.collection, p.symbols...); err != nil {
		return &message.Error{Code: message.CodeCommandFailed, Message: "the collection cannot be read: " + reasonOf(err), Err: err}
	}
	o.closers = append(o.closers, func(context.Context) error { return o.reader.Close() })
	return nil
}

// openStrategies opens an instance for each strategy and a handle for each of its symbols. One that cannot be opened refuses
// the session, which tells of all.
func (o *opened) openStrategies(ctx context.Context) error {
	s := o.session
	refused := false
	for i, one := range s.plan.pairs {
		activation := message.Activation{Strategy: one.strategy, Symbol: one.symbol}
		if i > 0 && s.plan.pairs[i-1].strategy == one.strategy && s.activations[i-1].Plugin != "" {
			activation.Plugin = s.activations[i-1].Plugin
		} else {
			plugin, err := o.openStrategy(ctx, one.strategy)
			if unavailable(err) {
				return err
			}
			if err != nil {
				activation.Reason = message.AsError(err).Message
			}
			activation.Plugin = plugin
		}
		if activation.Reason == "" {
			if err := o.run.Activate(ctx, one.strategy, one.symbol); err != nil {
				activation.Reason = reasonOf(err)
			}
		}
		refused = refused || activation.Reason != ""
		s.activations = append(s.activations, activation)
	}
	if refused {
		return notActivated(s.activations)
	}
	return nil
}

func unavailable(err error) bool {
	return err != nil && message.AsError(err).Code == message.CodePluginUnavailable
}

// valid returns a strategy whose configuration was found to be valid.
func (t *Trading) valid(ctx context.Context, name string) (message.Strategy, error) {
	strategy, ok := t.deps.Strategies.Get(name)
	if !ok {
		return strategy, noStrategy(name)
	}
	valid, errs, _, err := t.deps.Validator.ValidateStrategy(ctx, strategy.Config)
	if err == nil && !valid {
		err = faults(errs).error(message.CodeStrategyActivationFailed, "its configuration is not valid: ")
	}
	return strategy, err
}

// openStrategy opens the instance of one strategy, once its configuration was found to be valid.
func (o *opened) openStrategy(ctx context.Context, name string) (plugin string, err error) {
	t := o.trading
	strategy, err := t.valid(ctx, name)
	if err != nil {
		return "", err
	}
	instance, plugin, err := t.deps.Opener.OpenStrategy(ctx, name)
	if err != nil {
		return "", err
	}
	o.closers = append(o.closers, func(context.Context) error { return instance.Close() })
	return plugin, o.run.Add(name, strategy.Config, instance, plugin)
}

// notActivated tells which strategies could not be started, and why.
func notActivated(list []message.Activation) error {
	type result struct {
		Strategy string `json:"strategy_name"`
		Symbol   string `json:"symbol"`
		Success  bool   `json:"success"`
		Reason   string `json:"error,omitempty"`
	}
	results, first := make([]result, 0, len(list)), ""
	for _, a := range list {
		results = append(results, result{a.Strategy, a.Symbol, a.Reason == "", a.Reason})
		if a.Reason != "" && first == "" {
			first = fmt.Sprintf("%s cannot be started for %s: %s", a.Strategy, a.Symbol, a.Reason)
		}
	}
	return message.Errorf(message.CodeStrategyActivationFailed, "%s", first).WithDetails(map[string]any{"activation_results": results})
}

// listen follows the markets of the session's symbols, and where orders go out what comes back of them.
func (o *opened) listen(ctx context.Context) error {
	t, s := o.trading, o.session
	leave, err := t.quotes.follow(ctx, s.plan.symbols, o.inbox)
	if err != nil {
		return err
	}
	o.closers = append(o.closers, leave)
	if s.plan.kind != live {
		return nil
	}
	topic, err := message.UserTopic(s.owner, orderEvents)
	if err != nil {
		return err
	}
	stop, err := t.deps.Listener.Listen(ctx, topic, o.inbox)
	if err != nil {
		return err
	}
	o.closers = append(o.closers, stop)
	return nil
}

// ticks gives ticks to the run, those of one symbol that follow each other together, and publishes what came of them.
func (o *opened) ticks(ctx context.Context, ticks []message.Tick) error {
	o.ctx = ctx
	for len(ticks) > 0 {
		n := 1
		for n < len(ticks) && n < batchMax && ticks[n].Symbol == ticks[0].Symbol {
			n++
		}
		o.scratch = o.scratch[:0]
		for i := range ticks[:n] {
			t := &ticks[i]
			o.scratch = append(o.scratch, message.StrategyTick{TimeMS: float64(t.TimeMS), Price: t.Price, Volume: t.Volume, QuoteVolume: t.QuoteVolume})
		}
		err := o.run.Ticks(ctx, ticks[0].Symbol, o.scratch)
		o.out.publish(ctx)
		if err != nil {
			return o.failed(err)
		}
		ticks = ticks[n:]
	}
	return nil
}

// batchMax is how many ticks a strategy is given at a time.
const batchMax = 4096

// failed makes of what stopped a run what its owner is told.
func (o *opened) failed(err error) error {
	var failure *execution.Failure
	if errors.As(err, &failure) {
		return &message.Error{Code: message.CodeCommandFailed, Message: failure.Error(), Err: err}
	}
	return err
}

// finish ends the run: what is pending is cancelled, and told.
func (o *opened) finish(ctx context.Context) error {
	o.ctx = ctx
	err := o.settle(ctx)
	err = errors.Join(err, o.run.End(execution.ReasonEnded))
	o.out.publish(ctx)
	return err
}

// close lets go of everything that was opened, the last first.
func (o *opened) close() error {
	var errs []error
	for _, f := range slices.Backward(o.closers) {
		errs = append(errs, f(context.Background()))
	}
	o.closers = nil
	return errors.Join(errs...)
}

// reports books what came back of orders that went out, and what may have been missed of it. As long as that cannot be read,
// nothing that came after it is booked: fills of an order must not come before those that it had earlier.
func (o *opened) reports(ctx context.Context, reports []report) error {
	o.ctx = ctx
	for i, one := range reports {
		var err error
		if one.env == nil {
			err = o.reread(ctx, one)
		} else {
			err = o.book(ctx, one.env, false)
		}
		switch {
		case errors.Is(err, errUnread):
			o.trading.log.Warn("reports of executions may be missing, and cannot be read yet", "session", o.session.id, "error", err)
			o.inbox.putBack(reports[i:])
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// states tells how the strategies are doing.
func (o *opened) states(session string) []message.StrategyState {
	states := o.run.States()
	for i := range states {
		states[i].SessionID = session
	}
	return states
}

func (o *opened) performance() message.Performance { return o.ledger.Performance() }

// snapshot returns the books and the orders as they are.
func (o *opened) snapshot() (books, orders []byte, err error) {
	if books, err = o.ledger.Snapshot(); err == nil {
		orders, err = o.run.Snapshot()
	}
	return books, orders, err
}

package engine

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/wse-engine/wse/engine/feed"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/trading"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

var (
	_ trading.Opener    = strategist{}
	_ trading.Instance  = instance{}
	_ trading.Validator = strategist{}
	_ trading.Publisher = publisher{}
	_ trading.Listener  = (*feed.Feed)(nil)
	_ feed.Sessions     = (*trading.Trading)(nil)
)

// openTrading opens what trading keeps: strategies, collections and sessions.
func (e *Engine) openTrading() (err error) {
	if !e.cfg.Trading.Enabled {
		return nil
	}
	dir := filepath.Join(e.cfg.DataDir, "strategies")
	if e.cfg.Trading.StrategiesDir != "" {
		dir = e.path(e.cfg.Trading.StrategiesDir)
	}
	debounce := e.cfg.Lifecycle.Debounce
	if !e.cfg.Lifecycle.Watch {
		debounce = 0
	}
	if e.strategies, err = strategies.New(dir, e.cfg.Trading.Strategies, strategies.Options{
		Debounce: debounce,
		Changed: func(s message.Strategy, removed bool) {
			e.log.Info("a strategy changed", "strategy", s.Name, "author", s.Author, "sha256", s.SHA256, "removed", removed)
		},
		Warn: func(err error) { e.log.Warn("a strategy's file is left out", "error", err) },
	}); err != nil {
		return err
	}
	if e.collector, err = collection.New(e.cfg.DataDir, e.cfg.Trading.Collections, collection.Options{
		Warn:  func(err error) { e.log.Warn("collections", "error", err) },
		Ended: func(s collection.Status) { e.trading.CollectionEnded(s.ID) },
	}); err != nil {
		return err
	}
	deps := trading.Deps{
		Opener: strategist{e.plugins}, Validator: strategist{e.plugins}, Publisher: publisher{e}, Listener: e.feed, Past: e.broker,
		Sessions: e.store.Bucket("sessions"), Activations: e.store.Bucket("activations"),
		Strategies: e.strategies, Collector: e.collector, Log: e.log,
	}
	if e.cluster != nil {
		deps.Shared = e.cluster.sessions
	}
	if e.trading, err = trading.New(e.cfg.Trading, deps); err != nil {
		return err
	}
	if e.cluster != nil {
		e.cluster.sessions.Serve(e.trading)
	}
	e.feed.SetSessions(e.trading)
	return nil
}

// strategist is the plugin host in the words of trading.
type strategist struct{ host *plugin.Host }

// OpenStrategy implements [trading.Opener].
func (s strategist) OpenStrategy(ctx context.Context, name string) (trading.Instance, string, error) {
	strategy, err := s.host.OpenStrategy(ctx, name)
	if err != nil {
		return nil, "", unavailable(err, "no plugin runs strategies of this name now")
	}
	plugin, version := strategy.Plugin()
	return instance{strategy}, plugin + "@" + version, nil
}

// unavailable is what a client is told where nobody could decide or run something for him.
func unavailable(err error, text string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &message.Error{Code: message.CodeUnavailable, Message: "it took too long; try again", Err: err}
	}
	return &message.Error{Code: message.CodePluginUnavailable, Message: text + "; try again later", Err: err}
}

// ValidateStrategy implements [trading.Validator].
func (s strategist) ValidateStrategy(ctx context.Context, config []byte) (bool, []message.Fault, []message.Fault, error) {
	doc := append([]byte(`{"strategy_config":`), config...)
	v, err := s.host.Validate(ctx, nameIn(config), append(doc, '}'))
	if err != nil {
		return false, nil, nil, unavailable(err, "no plugin can validate strategies now")
	}
	return v.Valid, findings(v.Errors), findings(v.Warnings), nil
}

// nameIn returns the name of the strategy in a configuration, which says who validates it; "" where there is none.
func nameIn(config []byte) (name string) {
	for it := jsonscan.Members(config); it.Next(); {
		if string(it.Key()) == "strategy_name" {
			name, _ = jsonscan.String(it.Value()) // what is no string is for the validator to tell
		}
	}
	return name
}

func findings(list []plugin.Finding) []message.Fault {
	out := make([]message.Fault, 0, len(list))
	for _, f := range list {
		out = append(out, message.Fault(f))
	}
	return out
}

// instance is a plugin's strategy in the words of execution.
type instance struct{ *plugin.Strategy }

// Open implements [execution.Strategy].
func (i instance) Open(ctx context.Context, doc []byte) error {
	err := i.Strategy.Open(ctx, doc)
	var failed *plugin.CallError
	if errors.As(err, &failed) { // its author is to read why
		return message.Errorf(message.CodeStrategyActivationFailed, "%s", failed.Text)
	}
	return err
}

// publisher is the broker and the way of domain events in the words of trading.
type publisher struct{ engine *Engine }

// Publish implements [trading.Publisher].
func (p publisher) Publish(ctx context.Context, env *message.Envelope) error {
	_, err := p.engine.broker.Publish(ctx, env)
	return err
}

// Intend implements [trading.Publisher]: an order's intent is a domain event like any other. Where no plugin makes anything of
// it, nobody would carry the order out.
func (p publisher) Intend(ctx context.Context, ev *message.Event) error {
	results, err := p.engine.ingest.PublishEvent(ctx, ev)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Status == ingest.Published || r.Status == ingest.Duplicate {
			return nil
		}
	}
	return errors.New("no plugin makes anything of order_intent events")
}

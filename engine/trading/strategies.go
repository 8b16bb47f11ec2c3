package trading

import (
	"context"
	"errors"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// listStrategies tells which strategies there are.
func (t *Trading) listStrategies(who *auth.Identity) (message.ReplyBody, error) {
	list := t.deps.Strategies.List()
	active := map[string][]string{}
	for _, s := range append(t.runningOf(who.UserID), t.watchesOf(who.UserID)...) {
		for _, one := range s.plan.pairs {
			active[one.strategy] = append(active[one.strategy], one.symbol)
		}
	}
	for i := range list {
		list[i].Active = active[list[i].Name]
	}
	return &message.StrategiesList{Strategies: list}, nil
}

// Strategy tells of one strategy.
func (t *Trading) Strategy(who *auth.Identity, name string) (message.ReplyBody, error) {
	answer, err := t.listStrategies(who)
	if err != nil {
		return nil, err
	}
	for _, s := range answer.(*message.StrategiesList).Strategies {
		if s.Name == name {
			return &message.StrategiesList{Strategies: []message.Strategy{s}}, nil
		}
	}
	return nil, noStrategy(name)
}

// strategyStates tells how the caller's strategies are doing. One that he does not run is inactive.
func (t *Trading) strategyStates(ctx context.Context, who *auth.Identity, r *message.StrategyQuery) (message.ReplyBody, error) {
	if _, ok := t.deps.Strategies.Get(r.Strategy); !ok && r.Strategy != "" {
		return nil, noStrategy(r.Strategy)
	}
	states, err := t.statesOf(ctx, who.UserID, func(s *message.StrategyState) bool {
		return (r.Strategy == "" || s.Strategy == r.Strategy) && (r.Symbol == "" || s.Symbol == r.Symbol)
	}, func(*session) bool { return true })
	if err != nil {
		return nil, err
	}
	if r.Strategy != "" && len(states) == 0 {
		states = []message.StrategyState{{Strategy: r.Strategy, Symbol: r.Symbol, State: stateInactive}}
	}
	return &message.StrategyStates{Strategy: r.Strategy, States: states}, nil
}

// configure has a strategy's configuration validated, and with Save kept where it is valid.
func (t *Trading) configure(ctx context.Context, who *auth.Identity, r *message.StrategyConfig) (message.ReplyBody, error) {
	valid, errs, warnings, err := t.deps.Validator.ValidateStrategy(ctx, r.Config)
	if err != nil {
		return nil, err
	}
	if !r.Save {
		return &message.StrategyValidation{Valid: valid, Errors: errs, Warnings: warnings}, nil
	}
	if !valid {
		return nil, faults(errs).error(message.CodeInvalidArgument, "the strategy is not valid: ")
	}
	kept, created, err := t.deps.Strategies.Put(who.UserID, who.Permissions.Has(auth.Admin), r.Config)
	if err != nil {
		return nil, notKept(err)
	}
	return &message.StrategyUpserted{Strategy: kept.Name, Created: created, Warnings: warnings}, nil
}

// notKept is why a strategy was not kept, in the codes of PROTOCOL §3.3.
func notKept(err error) error {
	switch {
	case errors.Is(err, strategies.ErrInvalid):
		return message.Errorf(message.CodeInvalidArgument, "%s", reasonOf(err)).
			WithDetails(details{Errors: []detail{{"strategy_config", reasonOf(err)}}})
	case errors.Is(err, strategies.ErrNotAuthor):
		return message.Errorf(message.CodeForbidden, "%s", reasonOf(err))
	case errors.Is(err, strategies.ErrCollision), errors.Is(err, strategies.ErrLimit):
		return message.Errorf(message.CodeCommandFailed, "%s", reasonOf(err))
	}
	return &message.Error{Code: message.CodeCommandFailed, Message: "the strategy could not be written to disk", Err: err}
}

package trading

import (
	"context"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// The kinds of results.
const (
	ofSession  = "session_results"
	ofSymbol   = "symbol_results"
	ofStrategy = "strategy_results"
)

// results tells what a session came to, or comes to so far: all of it, or one symbol's or one strategy's part.
func (t *Trading) results(ctx context.Context, who *auth.Identity, r *message.ResultsRequest) (message.ReplyBody, error) {
	switch {
	case r.RequestType != ofSession && r.RequestType != ofSymbol && r.RequestType != ofStrategy:
		return nil, message.Errorf(message.CodeInvalidRequestType,
			"request_type must be session_results, symbol_results or strategy_results, not %q", cut(r.RequestType))
	case r.RequestType == ofSymbol && r.Symbol == "":
		return nil, missing("symbol", r.RequestType)
	case r.RequestType == ofStrategy && r.Strategy == "":
		return nil, missing("strategy", r.RequestType)
	}
	id, err := t.meant(who, r.SessionID)
	if err != nil {
		return nil, err
	}
	answer := &message.ResultsAnswer{RequestType: r.RequestType, SessionID: id}
	show := func(l *ledger.Ledger) (ok bool) {
		switch r.RequestType {
		case ofSymbol:
			answer.Symbol = r.Symbol
			answer.Results, ok = l.SymbolResults(r.Symbol)
		case ofStrategy:
			answer.Strategy = r.Strategy
			answer.Results, ok = l.StrategyResults(r.Strategy)
		default:
			answer.Results, ok = l.Results(), true
		}
		return ok
	}
	known, err := t.withBooks(ctx, who, id, show)
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, message.Errorf(message.CodeInvalidArgument, "the session %s has no %s", id, cut(r.Symbol+r.Strategy))
	}
	return answer, nil
}

func missing(field, kind string) error {
	var bad faults
	bad.add(field, "is required for %s", kind)
	return bad.err(message.CodeInvalidArgument)
}

// meant returns the session that somebody asks about: one by its id, or else his running one, or his last one.
func (t *Trading) meant(who *auth.Identity, id string) (string, error) {
	if id != "" {
		return id, nil
	}
	if s := t.newest(who.UserID); s != nil {
		return s.id, nil
	}
	if last := t.ended.newestOf(who.UserID, 1); len(last) > 0 {
		return last[0], nil
	}
	return "", message.Errorf(message.CodeSessionNotFound, "you have no session; start one, or name the one that is meant")
}

// withBooks shows the books of a session that somebody may see: on its goroutine where it runs.
func (t *Trading) withBooks(ctx context.Context, who *auth.Identity, id string, show func(*ledger.Ledger) bool) (ok bool, err error) {
	if s := t.find(who, id); s != nil {
		if err := s.awaitReady(ctx); err != nil {
			return false, err
		}
		lives, err := s.call(ctx, func() { ok = show(s.opened.ledger) })
		if err != nil {
			return false, message.Errorf(message.CodeUnavailable, "the session is busy; ask again")
		}
		if lives {
			return ok, nil
		}
	}
	if owner, known := t.ended.owner(id); !known || !mayTouch(who, owner) {
		return false, notFound(id)
	}
	_, l, err := t.read(id)
	if err != nil {
		return false, err
	}
	return show(l), nil
}

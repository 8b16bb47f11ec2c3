package trading

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
)

// replacements is how often a start may find a session in its way that has to end first.
const replacements = 8

// start starts a session, or answers with the one that an earlier start began (PROTOCOL §3.4).
func (t *Trading) start(ctx context.Context, who *auth.Identity, r *message.SessionStart) (message.ReplyBody, error) {
	if err := who.Permit(r); err != nil {
		return nil, err
	}
	p, err := t.readPlan(r)
	if err != nil {
		return nil, err
	}
	for i := range replacements {
		s, reused, inTheWay, err := t.reserve(who, p)
		switch {
		case err != nil:
			return nil, err
		case reused:
			if err := s.awaitReady(ctx); err != nil {
				return nil, err
			}
			return t.started(ctx, s, true)
		case s != nil:
			if err := t.launch(ctx, s); err != nil {
				return nil, err
			}
			return t.started(ctx, s, false)
		}
		if i == 0 {
			if err := t.foresee(ctx, who, p); err != nil {
				return nil, err
			}
		}
		for _, old := range inTheWay {
			if err := t.end(ctx, old, reasonReplaced); err != nil {
				return nil, err
			}
		}
	}
	return nil, message.Errorf(message.CodeSessionConflict, "other starts of yours for these symbols are under way; ask again")
}

// foresee refuses what could not be started anyway, before a session is ended to make room for it.
func (t *Trading) foresee(ctx context.Context, who *auth.Identity, p *plan) error {
	if p.kind == backtest {
		if err := t.checkSource(p, who.UserID, who.Permissions.Has(auth.Admin)); err != nil {
			return err
		}
	}
	list, refused := make([]message.Activation, 0, len(p.pairs)), false
	for _, one := range p.pairs {
		a := message.Activation{Strategy: one.strategy, Symbol: one.symbol}
		_, err := t.valid(ctx, one.strategy)
		if unavailable(err) {
			return err
		}
		if err != nil {
			a.Reason, refused = message.AsError(err).Message, true
		}
		list = append(list, a)
	}
	if refused {
		return notActivated(list)
	}
	return nil
}

// reserve finds the session that a start means, or makes one where nothing is in the way; else it returns what is.
func (t *Trading) reserve(who *auth.Identity, p *plan) (s *session, reused bool, inTheWay []*session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.over {
		return nil, false, nil, message.Errorf(message.CodeUnavailable, "the engine is starting or stopping; ask again")
	}
	mine := 0
	for _, other := range t.sessions {
		if other.owner == who.UserID {
			mine++
			if other.ending() && (other.plan.key == p.key || overlap(other.plan.symbols, p.symbols)) {
				inTheWay = append(inTheWay, other)
				continue
			}
			if other.plan.key == p.key {
				return other, true, nil, nil
			}
		}
		if other.plan.kind != p.kind || !overlap(other.plan.symbols, p.symbols) {
			continue
		}
		switch own := other.owner == who.UserID; {
		case own && other.plan.serves(p):
			return other, true, nil, nil
		case !own && p.kind == live:
			return nil, false, nil, message.Errorf(message.CodeSessionConflict, "another live session has one of these symbols")
		case own && p.kind == live:
			return nil, false, nil, message.Errorf(message.CodeSessionConflict,
				"your live session %s has one of these symbols; stop it first", other.id).
				WithDetails(map[string]string{"session_id": other.id})
		case own:
			inTheWay = append(inTheWay, other)
		}
	}
	if len(inTheWay) > 0 {
		return nil, false, inTheWay, nil
	}
	if err := t.room(mine); err != nil {
		return nil, false, nil, err
	}
	s = t.newSession(who.UserID, p)
	s.admin = who.Permissions.Has(auth.Admin)
	for t.sessions[s.id] != nil {
		s.id = newID(t.now())
	}
	t.sessions[s.id] = s
	return s, false, nil, nil
}

// room refuses a session where there are too many. mu is held.
func (t *Trading) room(mine int) error {
	if mine >= t.cfg.SessionsPerUserMax {
		return message.Errorf(message.CodeCommandFailed, "you have %d running sessions, the most allowed; stop one first", mine)
	}
	if len(t.sessions) >= t.cfg.SessionsMax {
		return message.Errorf(message.CodeUnavailable, "%d sessions run, the most allowed; try again later", len(t.sessions))
	}
	return nil
}

// serves reports whether a session of plan p does what another start asks for: the same strategies for symbols that it has.
func (p *plan) serves(other *plan) bool {
	for _, one := range other.pairs {
		if !slices.Contains(p.pairs, one) {
			return false
		}
	}
	for _, one := range p.pairs {
		if !slices.ContainsFunc(other.pairs, func(o pair) bool { return o.strategy == one.strategy }) {
			return false
		}
	}
	return true
}

// overlap reports whether two lists of symbols have one in common, whatever the case of its letters.
func overlap(a, b []string) bool {
	for _, s := range a {
		if slices.ContainsFunc(b, func(o string) bool { return strings.EqualFold(s, o) }) {
			return true
		}
	}
	return false
}

// launch makes a reserved session run. Where it cannot, it is as if it had never been there.
func (t *Trading) launch(ctx context.Context, s *session) (err error) {
	defer func() {
		if err != nil {
			s.refused = err
			s.setState(failed, message.AsError(err).Message)
			t.release(s)
			t.remove(s)
			close(s.done)
		}
		close(s.ready)
	}()
	if err := t.claim(ctx, s); err != nil {
		return err
	}
	opened, err := t.prepare(ctx, s)
	if err != nil {
		return err
	}
	s.setState(running, "")
	if err := t.keepNow(s, opened); err != nil {
		return errors.Join(message.Errorf(message.CodeCommandFailed, "the session could not be written to disk"), err, opened.close())
	}
	t.endWatches(ctx, s)
	if !t.spawn(func(ctx context.Context) { t.run(ctx, s, opened) }) {
		return errors.Join(message.Errorf(message.CodeUnavailable, "the engine stops"), opened.close())
	}
	t.counts.started.Add(1)
	return nil
}

// spawn runs f on a goroutine of Run's.
func (t *Trading) spawn(f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.over || t.ctx.Err() != nil {
		return false
	}
	ctx := t.ctx
	t.group.Go(func() { f(ctx) })
	return true
}

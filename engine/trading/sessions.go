package trading

import (
	"context"
	"errors"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
)

func notFound(id string) error {
	return message.Errorf(message.CodeSessionNotFound, "you have no session %q", cut(id))
}

// find returns a running session that somebody may touch; nil where there is none.
func (t *Trading) find(who *auth.Identity, id string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sessions[id]; s != nil && mayTouch(who, s.owner) {
		return s
	}
	return nil
}

// newest returns a user's running session, the newest one where there are several; nil where there is none.
func (t *Trading) newest(user string) (found *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sessions {
		if s.owner == user && (found == nil || s.created.After(found.created)) {
			found = s
		}
	}
	return found
}

// Current implements [feed.Sessions].
func (t *Trading) Current(ctx context.Context, user string) (id string, symbols []string) {
	if s := t.newest(user); s != nil {
		return s.id, s.plan.symbols
	}
	if t.deps.Shared == nil {
		return "", nil
	}
	list, err := t.deps.Shared.List(ctx, user, t.cfg.SessionsPerUserMax)
	if err != nil {
		t.log.Debug("whether a user has a session on another node is not known", "user", user, "error", err)
	}
	for i := range list {
		if s := &list[i]; s.EndedMS == 0 && !s.Lost && !s.Here {
			return s.ID, s.Symbols
		}
	}
	return "", nil
}

// change stops, pauses or resumes a session.
func (t *Trading) change(ctx context.Context, who *auth.Identity, r *message.SessionChange) (message.ReplyBody, error) {
	s := t.find(who, r.SessionID)
	if s == nil {
		old, err := t.endedSession(who, r.SessionID)
		if err != nil {
			return nil, err
		}
		if r.Change != message.SessionStop {
			return nil, message.Errorf(message.CodeCommandFailed, "the session %s has ended; start another", r.SessionID)
		}
		return &message.SessionChanged{Session: old}, nil
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	var err error
	switch r.Change {
	case message.SessionStop:
		err = t.end(ctx, s, reasonRequested)
	default:
		err = t.pause(ctx, s, r.Change == message.SessionPause)
	}
	if err != nil {
		return nil, err
	}
	shown, err := t.show(ctx, s)
	return &message.SessionChanged{Change: r.Change, Session: shown}, err
}

// pause has a session leave out the ticks that come, or go on with the next one. Either is nothing where it is so already.
func (t *Trading) pause(ctx context.Context, s *session, on bool) error {
	lives, err := s.call(ctx, func() {
		switch state, _, _, _ := s.current(); {
		case on && state == running:
			s.setState(paused, reasonRequested)
			t.tell(ctx, s, paused, reasonRequested)
		case !on && state == paused:
			s.setState(running, "")
			t.tell(ctx, s, running, "")
		}
		t.share(s)
	})
	if err == nil && !lives {
		err = message.Errorf(message.CodeCommandFailed, "the session %s has ended; start another", s.id)
	}
	return err
}

// end stops a session and waits until it has ended.
func (t *Trading) end(ctx context.Context, s *session, reason string) error {
	if err := s.awaitReady(ctx); err != nil {
		if s.refused != nil {
			return nil // it never ran
		}
		return err
	}
	if _, err := s.call(ctx, func() { s.setState(stopping, reason) }); err != nil {
		return errors.Join(message.Errorf(message.CodeUnavailable, "the session is busy and will stop later; ask again"), err)
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return message.Errorf(message.CodeUnavailable, "the session is stopping; ask again")
	}
}

// status tells of one session, or of the caller's running one.
func (t *Trading) status(ctx context.Context, who *auth.Identity, r *message.SessionQuery) (message.ReplyBody, error) {
	s := t.newest(who.UserID)
	if r.SessionID != "" {
		if s = t.find(who, r.SessionID); s == nil {
			old, err := t.endedSession(who, r.SessionID)
			if err != nil {
				return nil, err
			}
			return &message.SessionStatus{Session: old}, nil
		}
	}
	if s == nil {
		return &message.SessionStatus{}, nil
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	shown, err := t.show(ctx, s)
	return &message.SessionStatus{Session: shown}, err
}

// show tells of a session that runs, or, where it has just ended, of what it came to.
func (t *Trading) show(ctx context.Context, s *session) (*message.Session, error) {
	var shown *message.Session
	lives, err := s.call(ctx, func() { shown = s.describe() })
	if err != nil {
		return nil, message.Errorf(message.CodeUnavailable, "the session is busy; ask again")
	}
	if !lives {
		return t.document(s.id)
	}
	return shown, nil
}

// describe tells of a session. It runs on the session's goroutine, or before that is there.
func (s *session) describe() *message.Session {
	m := s.outline()
	if s.opened != nil {
		m.Performance = s.opened.performance()
	}
	return m
}

// outline is describe without what the books say.
func (s *session) outline() *message.Session {
	state, reason, progress, ended := s.current()
	m := &message.Session{
		ID: s.id, Type: s.plan.kind, State: state, Reason: reason, Owner: s.owner, Symbols: s.plan.symbols, Config: s.plan.config,
		Source: s.plan.options.collection, Progress: progress, CreatedMS: s.created.UnixMilli(),
	}
	if !ended.IsZero() {
		m.EndedMS = ended.UnixMilli()
	}
	if s.opened != nil {
		m.Strategies = s.opened.states(s.shownID())
	}
	return m
}

func (t *Trading) started(ctx context.Context, s *session, reused bool) (message.ReplyBody, error) {
	shown, err := t.show(ctx, s)
	if err != nil {
		return nil, err
	}
	return &message.SessionStarted{Session: shown, Activations: s.activations, Reused: reused}, nil
}

// List tells of all sessions of a user, or of everybody where user is empty, the newest first: those that run and then, up to
// most altogether, those that ended. Those of other nodes are among them.
func (t *Trading) List(ctx context.Context, user string, most int) ([]*message.Session, error) {
	elsewhere, err := t.listElsewhere(ctx, user, most)
	if err != nil {
		return nil, err
	}
	here, err := t.listHere(ctx, user, most)
	if err != nil {
		return nil, err
	}
	return merge(here, elsewhere, most), nil
}

// listHere lists the sessions of this node.
func (t *Trading) listHere(ctx context.Context, user string, most int) ([]*message.Session, error) {
	var list []*message.Session
	for _, s := range t.runningOf(user) {
		if len(list) >= most {
			return list, nil
		}
		if s.awaitReady(ctx) != nil {
			continue
		}
		shown, err := t.show(ctx, s)
		if err != nil {
			return nil, err
		}
		list = append(list, shown)
	}
	for _, id := range t.ended.newestOf(user, most-len(list)) {
		if old, err := t.document(id); err == nil {
			list = append(list, old)
		}
	}
	return list, nil
}

// busyFor is how long Running waits for one session.
const busyFor = 100 * time.Millisecond

// Running tells of the sessions that run, the newest first, as far as ctx goes. One that is busy for long is left out.
func (t *Trading) Running(ctx context.Context) []*message.Session {
	var list []*message.Session
	for _, s := range t.runningOf("") {
		if ctx.Err() != nil {
			break
		}
		soon, cancel := context.WithTimeout(ctx, busyFor)
		if s.awaitReady(soon) == nil {
			if shown, err := t.show(soon, s); err == nil && shown.EndedMS == 0 {
				list = append(list, shown)
			}
		}
		cancel()
	}
	return list
}

// ListFor tells somebody of his sessions, and an admin of everybody's.
func (t *Trading) ListFor(ctx context.Context, who *auth.Identity, most int) (message.ReplyBody, error) {
	user := who.UserID
	if who.Permissions.Has(auth.Admin) {
		user = ""
	}
	list, err := t.List(ctx, user, most)
	return &message.SessionList{Sessions: list}, err
}

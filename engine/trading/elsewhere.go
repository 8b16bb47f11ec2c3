package trading

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
)

// passed is a request that one node passes to another, or what comes back: as JSON of its body, and which kind that is.
type passed struct {
	User        string           `json:"user,omitempty"`
	Level       string           `json:"level,omitempty"`
	Permissions auth.Permissions `json:"permissions,omitempty"`
	Kind        string           `json:"kind"`
	Body        json.RawMessage  `json:"body"`
}

// bodyOf returns an empty request of a kind.
func bodyOf(kind string) (message.Body, error) {
	for _, body := range []message.Body{
		&message.SessionStart{}, &message.SessionChange{}, &message.SessionQuery{}, &message.ResultsRequest{}, &message.StrategiesRequest{},
		&message.StrategyActivation{}, &message.StrategyQuery{}, &message.StrategyConfig{}, &message.CollectionStart{}, &message.CollectionStop{},
		&message.CollectionQuery{},
	} {
		if fmt.Sprintf("%T", body) == kind {
			return body, nil
		}
	}
	return nil, fmt.Errorf("trading: a request of the kind %.64q is not known; the nodes may be of different versions", kind)
}

// replyOf returns an empty reply of a kind.
func replyOf(kind string) (message.ReplyBody, error) {
	for _, body := range []message.ReplyBody{
		&message.SessionStarted{}, &message.SessionChanged{}, &message.SessionStatus{}, &message.ResultsAnswer{}, &message.StrategiesList{},
		&message.StrategyActivated{}, &message.StrategyStates{}, &message.StrategyValidation{}, &message.StrategyUpserted{},
		&message.CollectionStarted{}, &message.CollectionStopped{}, &message.CollectionStatus{},
	} {
		if fmt.Sprintf("%T", body) == kind {
			return body, nil
		}
	}
	return nil, fmt.Errorf("trading: an answer of the kind %.64q is not known; the nodes may be of different versions", kind)
}

// Passed answers a request that another node passed here. It may block until ctx ends. The error is what Answer's is.
func (t *Trading) Passed(ctx context.Context, request []byte) ([]byte, error) {
	var p passed
	if err := json.Unmarshal(request, &p); err != nil {
		return nil, fmt.Errorf("trading: a request that was passed here is no JSON: %w", err)
	}
	body, err := bodyOf(p.Kind)
	if err == nil {
		err = json.Unmarshal(p.Body, body)
	}
	if err != nil {
		return nil, err
	}
	reply, err := t.answerHere(ctx, &auth.Identity{UserID: p.User, Level: p.Level, Permissions: p.Permissions}, body)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(reply)
	if err != nil {
		return nil, err
	}
	return json.Marshal(&passed{Kind: fmt.Sprintf("%T", reply), Body: raw})
}

// pass has another node answer a request.
func (t *Trading) pass(ctx context.Context, node string, who *auth.Identity, body message.Body) (message.ReplyBody, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(&passed{User: who.UserID, Level: who.Level, Permissions: who.Permissions, Kind: fmt.Sprintf("%T", body), Body: raw})
	if err != nil {
		return nil, err
	}
	answer, err := t.deps.Shared.Pass(ctx, node, request)
	if coded := (*message.Error)(nil); errors.As(err, &coded) {
		return nil, err
	}
	if err != nil {
		return nil, &message.Error{Code: message.CodeUnavailable, Message: "the node that serves your sessions does not answer; ask again", Err: err}
	}
	var p passed
	if err := json.Unmarshal(answer, &p); err != nil {
		return nil, fmt.Errorf("trading: what node %s answered is no JSON: %w", node, err)
	}
	reply, err := replyOf(p.Kind)
	if err == nil {
		err = json.Unmarshal(p.Body, reply)
	}
	return reply, err
}

// blind is the error of a Redis that does not answer.
func blind(err error) error {
	return &message.Error{Code: message.CodeUnavailable, Message: "what other nodes serve cannot be seen now; try again", Err: err}
}

// elsewhere answers a request that is another node's business: of a user whose trading another node serves, and about a session
// that another one has. It returns nil where the request is to be answered here.
func (t *Trading) elsewhere(ctx context.Context, who *auth.Identity, request message.Body) (message.ReplyBody, error) {
	claim := false
	switch r := request.(type) {
	case *message.SessionStart:
		if err := who.Permit(r); err != nil {
			return nil, err
		}
		claim = true
	case *message.SessionChange:
		return t.aboutSession(ctx, who, r.SessionID, r)
	case *message.SessionQuery:
		return t.aboutSession(ctx, who, r.SessionID, r)
	case *message.ResultsRequest:
		return t.aboutSession(ctx, who, r.SessionID, r)
	case *message.StrategyActivation, *message.CollectionStart:
		claim = true
	case *message.StrategyConfig:
		if !r.Save {
			return nil, nil // every node can look at it
		}
		claim = true
	}
	return t.atHome(ctx, who, request, claim)
}

// atHome has the node answer that serves the user's trading. It returns nil where that is this one, or there is none.
func (t *Trading) atHome(ctx context.Context, who *auth.Identity, request message.Body, claim bool) (message.ReplyBody, error) {
	node, here, err := t.deps.Shared.Home(ctx, who.UserID, claim)
	switch {
	case err != nil:
		return nil, blind(err)
	case here || node == "":
		return nil, nil
	}
	return t.pass(ctx, node, who, request)
}

// aboutSession answers a request about one session, or where id is empty about the user's newest.
func (t *Trading) aboutSession(ctx context.Context, who *auth.Identity, id string, request message.Body) (message.ReplyBody, error) {
	if id == "" {
		return t.aboutNewest(ctx, who, request)
	}
	if t.find(who, id) != nil {
		return nil, nil
	}
	if owner, ok := t.ended.owner(id); ok && mayTouch(who, owner) {
		return nil, nil
	}
	s, err := t.deps.Shared.Find(ctx, id)
	switch {
	case err != nil:
		return nil, blind(err)
	case s == nil: // it may be so new that nobody was told
		return t.atHome(ctx, who, request, false)
	case s.Here || !mayTouch(who, s.Owner):
		return nil, nil
	case s.Lost:
		return lost(s, request)
	}
	return t.pass(ctx, s.Node, who, request)
}

// aboutNewest answers a request about the session of a user that runs, or was the last to.
func (t *Trading) aboutNewest(ctx context.Context, who *auth.Identity, request message.Body) (message.ReplyBody, error) {
	if t.newest(who.UserID) != nil {
		return nil, nil
	}
	if answer, err := t.atHome(ctx, who, request, false); answer != nil || err != nil {
		return answer, err
	}
	list, err := t.deps.Shared.List(ctx, who.UserID, 1)
	switch {
	case err != nil:
		return nil, blind(err)
	case len(list) == 0 || list[0].Here:
		return nil, nil
	case list[0].Lost && list[0].EndedMS == 0:
		return lost(&list[0], request)
	}
	id, node := list[0].ID, list[0].Node
	switch r := request.(type) {
	case *message.ResultsRequest:
		if !list[0].Lost {
			asked := *r
			asked.SessionID = id
			return t.pass(ctx, node, who, &asked)
		}
	case *message.SessionQuery:
		if list[0].EndedMS == 0 { // it runs on, and has outlived the user's home
			asked := *r
			asked.SessionID = id
			return t.pass(ctx, node, who, &asked)
		}
	}
	return nil, nil
}

// shownLost is what is told of a session whose node is dead. One that had ended is as it was.
func shownLost(s *SharedSession) *message.Session {
	shown := *s.Session
	if shown.EndedMS == 0 {
		shown.State, shown.Reason = failed, reasonLost
		shown.Strategies = slices.Clone(shown.Strategies)
		for i := range shown.Strategies {
			shown.Strategies[i].State, shown.Strategies[i].Reason = stateInactive, reasonLost
		}
	}
	return &shown
}

// lost answers a request about a session whose node is dead.
func lost(s *SharedSession, request message.Body) (message.ReplyBody, error) {
	shown := shownLost(s)
	switch r := request.(type) {
	case *message.SessionQuery:
		return &message.SessionStatus{Session: shown}, nil
	case *message.SessionChange:
		if r.Change == message.SessionStop {
			return &message.SessionChanged{Session: shown}, nil
		}
		return nil, message.Errorf(message.CodeCommandFailed, "%s: the session %s ended with the node that ran it; start another", reasonLost, s.ID).
			WithDetails(map[string]string{"session_id": s.ID, "reason": reasonLost})
	}
	return nil, message.Errorf(message.CodeCommandFailed,
		"%s: the books of the session %s are on a node that is gone, and can be read once it is back; session_status tells how it stood", reasonLost, s.ID).
		WithDetails(map[string]string{"session_id": s.ID, "reason": reasonLost})
}

// listElsewhere returns sessions that other nodes have, as lists show them.
func (t *Trading) listElsewhere(ctx context.Context, user string, most int) ([]*message.Session, error) {
	if t.deps.Shared == nil {
		return nil, nil
	}
	list, err := t.deps.Shared.List(ctx, user, most)
	if err != nil {
		return nil, blind(err)
	}
	var shown []*message.Session
	for i := range list {
		switch s := &list[i]; {
		case s.Here: // this node knows better
		case s.Lost:
			shown = append(shown, shownLost(s))
		default:
			shown = append(shown, s.Session)
		}
	}
	return shown, nil
}

// merge puts the sessions of other nodes among those of this one: those that run, then those that ended, each the newest first.
func merge(here, elsewhere []*message.Session, most int) []*message.Session {
	if len(elsewhere) == 0 {
		return here
	}
	over := func(s *message.Session) int {
		if s.EndedMS != 0 || s.State == failed {
			return 1
		}
		return 0
	}
	all := append(here[:len(here):len(here)], elsewhere...)
	slices.SortStableFunc(all, func(a, b *message.Session) int {
		return cmp.Or(cmp.Compare(over(a), over(b)), cmp.Compare(b.CreatedMS, a.CreatedMS), cmp.Compare(b.ID, a.ID))
	})
	return all[:min(len(all), most)]
}

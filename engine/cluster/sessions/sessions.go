// Package sessions is what nodes know of each other's trading sessions: which node has one, how it stood when it was last told of,
// and which node serves a user's trading.
//
// A node tells of its own sessions only. Whether it is dead is not written down but asked whenever somebody looks, so a session of a
// node that died without a word is known for lost as soon as the node is known for dead.
//
// A user's trading has a home: the node on which he last began something. As long as that lives all that he asks goes there, so what
// holds on one node holds for him on many: a start that is repeated finds the session that it began. Of two nodes that both want to be
// the home of one user one becomes it.
//
// All keys are in one slot, "wse:{_sessions}:…": docs and nodes (hashes by the id of a session), all and of:<user> (ids by the time
// of creation), home:<user>, and live (hash by symbol: who has it for a live session).
//
// Ownership: a [Sessions] may be used by any number of goroutines and starts none.
package sessions

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/trading"
)

// The scripts; read-only. Their first lines say what they take and return.
var (
	//go:embed share.lua
	shareLua string
	//go:embed list.lua
	listLua string
	//go:embed adopt.lua
	adoptLua string
	//go:embed home.lua
	homeLua string
	//go:embed claim.lua
	claimLua string
	//go:embed release.lua
	releaseLua string
)

const (
	tag     = redis.Prefix + "{_sessions}:"
	docs    = tag + "docs"
	nodes   = tag + "nodes"
	all     = tag + "all"
	live    = tag + "live"
	subject = "sessions.request"
	// homeKept is how long a user has a home still who asks for nothing, and of whose sessions there is nothing to tell.
	homeKept = 7 * 24 * time.Hour
	// takeTries is how often what is wanted may be found to be a dead node's, and be another dead node's before it is taken.
	takeTries = 5
)

func homeOf(user string) string { return tag + "home:" + user }

// Sessions implements [trading.Shared].
type Sessions struct {
	client *redis.Client
	node   *cluster.Node
	max    int

	shareScript, listScript, adoptScript, homeScript, claimScript, releaseScript *goredis.Script
}

var _ trading.Shared = (*Sessions)(nil)

// New returns the sessions of all nodes, of which cfg.SessionsMax are known.
func New(cfg cluster.Config, client *redis.Client, node *cluster.Node) *Sessions {
	return &Sessions{
		client: client, node: node, max: cfg.SessionsMax,
		shareScript: goredis.NewScript(shareLua), listScript: goredis.NewScript(listLua),
		adoptScript: goredis.NewScript(adoptLua), homeScript: goredis.NewScript(homeLua),
		claimScript: goredis.NewScript(claimLua), releaseScript: goredis.NewScript(releaseLua),
	}
}

// Trader is this node's trading. [trading.Trading] is one.
type Trader interface {
	Passed(ctx context.Context, request []byte) ([]byte, error)
	Reshare()
}

// Serve has t answer what other nodes pass here, and tell of its sessions again when Redis may have forgotten them. Before the node
// runs.
func (s *Sessions) Serve(t Trader) {
	s.node.Handle(subject, func(ctx context.Context, _ string, body []byte) ([]byte, error) { return t.Passed(ctx, body) })
	s.node.Returned(t.Reshare)
}

// Pass implements [trading.Peers].
func (s *Sessions) Pass(ctx context.Context, node string, request []byte) ([]byte, error) {
	return s.node.AskNode(ctx, node, subject, request)
}

// record is a session as it is kept.
type record struct {
	Version int              `json:"v"`
	Session *message.Session `json:"s"`
}

const recordVersion = 1

// decode reads a record.
func decode(id, raw string) (*message.Session, error) {
	var r record
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		return nil, fmt.Errorf("sessions: what is kept of the session %.64q in %s is no JSON: %w", id, docs, err)
	}
	if r.Version != recordVersion || r.Session == nil || r.Session.ID != id {
		return nil, fmt.Errorf("sessions: what is kept of the session %.64q in %s is of version %d, not %d, or not of it", id, docs, r.Version, recordVersion)
	}
	return r.Session, nil
}

// Share implements [trading.Registry].
func (s *Sessions) Share(ctx context.Context, changes []trading.SessionChange) error {
	keys, args := []string{docs, nodes, all}, []any{s.node.ID(), s.max, homeKept.Milliseconds()}
	place := map[string]int{}
	for _, c := range changes {
		if place[c.Owner] == 0 {
			place[c.Owner] = len(keys) + 1
			keys = append(keys, tag+"of:"+c.Owner, homeOf(c.Owner))
		}
		var doc []byte
		if !c.Gone {
			var err error
			if doc, err = json.Marshal(&record{Version: recordVersion, Session: c.Session}); err != nil {
				return fmt.Errorf("sessions: the session %s: %w", c.ID, err)
			}
		}
		args = append(args, c.ID, c.CreatedMS, place[c.Owner], doc)
	}
	if err := s.shareScript.Run(ctx, s.client.Do(), keys, args...).Err(); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	return nil
}

// Find implements [trading.Registry].
func (s *Sessions) Find(ctx context.Context, id string) (*trading.SharedSession, error) {
	var doc, node *goredis.StringCmd
	_, err := s.client.Do().Pipelined(ctx, func(p goredis.Pipeliner) error {
		doc, node = p.HGet(ctx, docs, id), p.HGet(ctx, nodes, id)
		return nil
	})
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	session, err := decode(id, doc.Val())
	if err != nil {
		return nil, err
	}
	alive, err := s.alive(ctx)
	if err != nil {
		return nil, err
	}
	found := s.shared(session, node.Val(), alive)
	return &found, nil
}

// List implements [trading.Registry]. What is kept and cannot be read is left out.
func (s *Sessions) List(ctx context.Context, owner string, most int) ([]trading.SharedSession, error) {
	from := all
	if owner != "" {
		from = tag + "of:" + owner
	}
	raw, err := s.listScript.Run(ctx, s.client.Do(), []string{docs, nodes, from}, most).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	alive, err := s.alive(ctx)
	if err != nil {
		return nil, err
	}
	var list []trading.SharedSession
	for i := 0; i+2 < len(raw); i += 3 {
		session, err := decode(raw[i], raw[i+2])
		if err != nil || owner != "" && session.Owner != owner {
			continue
		}
		list = append(list, s.shared(session, raw[i+1], alive))
	}
	return list, nil
}

func (s *Sessions) shared(session *message.Session, node string, alive map[string]bool) trading.SharedSession {
	here := node == s.node.ID()
	return trading.SharedSession{Session: session, Node: node, Here: here, Lost: !here && !alive[node]}
}

// alive returns the nodes that live.
func (s *Sessions) alive(ctx context.Context) (map[string]bool, error) {
	list, err := s.node.Alive(ctx)
	if err != nil {
		return nil, err
	}
	alive := make(map[string]bool, len(list))
	for i := range list {
		alive[list[i].ID] = true
	}
	return alive, nil
}

// Adopt implements [trading.Peers].
func (s *Sessions) Adopt(ctx context.Context, ids []string) (unknown []string, err error) {
	args := make([]any, 1, 1+len(ids))
	args[0] = s.node.ID()
	for _, id := range ids {
		args = append(args, id)
	}
	if unknown, err = s.adoptScript.Run(ctx, s.client.Do(), []string{docs, nodes}, args...).StringSlice(); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return unknown, nil
}

// Home implements [trading.Peers].
func (s *Sessions) Home(ctx context.Context, user string, claim bool) (node string, here bool, err error) {
	wants, dead := "", ""
	if claim {
		wants = s.node.ID()
	}
	for range takeTries {
		node, err = s.homeScript.Run(ctx, s.client.Do(), []string{homeOf(user)}, wants, dead, homeKept.Milliseconds()).Text()
		if err != nil {
			return "", false, fmt.Errorf("sessions: %w", err)
		}
		if node == "" || node == s.node.ID() {
			return node, node != "", nil
		}
		alive, err := s.alive(ctx)
		switch {
		case err != nil:
			return "", false, err
		case alive[node]:
			return node, false, nil
		case !claim:
			return "", false, nil
		}
		dead = node
	}
	return "", false, errors.New("sessions: the nodes that serve the user die one after the other")
}

// claimed returns what claim.lua and release.lua take: who claims, and then symbols, which are the same whatever the case of their letters.
func (s *Sessions) claimed(owner, session string, before []any, symbols []string) []any {
	args := append(before, s.node.ID()+" "+owner, s.node.ID()+" "+owner+" "+session)
	for _, symbol := range symbols {
		args = append(args, strings.ToUpper(symbol))
	}
	return args
}

// Claim implements [trading.Claims].
func (s *Sessions) Claim(ctx context.Context, owner, session string, symbols []string) (bool, error) {
	dead := ""
	for range takeTries {
		holder, err := s.claimScript.Run(ctx, s.client.Do(), []string{live}, s.claimed(owner, session, []any{dead}, symbols)...).Text()
		if err != nil {
			return false, fmt.Errorf("sessions: %w", err)
		}
		if holder == "" {
			return true, nil
		}
		alive, err := s.alive(ctx)
		if err != nil {
			return false, err
		}
		node, _, _ := strings.Cut(holder, " ")
		if alive[node] {
			return false, nil
		}
		dead = strings.TrimSpace(dead + " " + node)
	}
	return false, errors.New("sessions: the nodes that have the symbols die one after the other")
}

// Release implements [trading.Claims].
func (s *Sessions) Release(ctx context.Context, owner, session string, symbols []string) error {
	if err := s.releaseScript.Run(ctx, s.client.Do(), []string{live}, s.claimed(owner, session, nil, symbols)...).Err(); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	return nil
}

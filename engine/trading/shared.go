package trading

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// SharedSession is a session as nodes know of each other's.
type SharedSession struct {
	*message.Session
	Node string // the id of the node that has it
	Here bool   // that is this one
	Lost bool   // that is dead
}

// SessionChange is what other nodes are to know of a session.
type SessionChange struct {
	*message.Session      // of one that is gone the ID and the Owner
	Gone             bool // it is forgotten
}

// Registry is what all nodes know of each other's sessions. Each may block until ctx ends.
type Registry interface {
	// Share tells what sessions of this node are like now.
	Share(ctx context.Context, changes []SessionChange) error
	// Find returns the session with an id, nil where no node has one.
	Find(ctx context.Context, id string) (*SharedSession, error)
	// List returns up to most of a user's sessions, or of everybody's where owner is empty, the newest first.
	List(ctx context.Context, owner string, most int) ([]SharedSession, error)
}

// Peers are the nodes that serve together. Each may block until ctx ends.
type Peers interface {
	// Home returns the node that serves a user's trading, and whether that is this one; "" where none does, or a dead one did. With
	// claim it becomes this one then.
	Home(ctx context.Context, user string, claim bool) (node string, here bool, err error)
	// Pass has another node's Trading.Passed answer a request.
	Pass(ctx context.Context, node string, request []byte) (answer []byte, err error)
	// Adopt says that this node has the sessions with these ids, and returns those that other nodes know nothing of.
	Adopt(ctx context.Context, ids []string) (unknown []string, err error)
}

// Claims are of what one owner may have at a time, on whichever node: the symbols of live sessions. Each may block until ctx ends.
type Claims interface {
	// Claim takes symbols for an owner's session, all of them or none, and reports false where another owner's session has one, on
	// a node that lives.
	Claim(ctx context.Context, owner, session string, symbols []string) (bool, error)
	// Release gives up what a session still has of symbols.
	Release(ctx context.Context, owner, session string, symbols []string) error
}

// Shared is what nodes that serve together know of each other's trading.
type Shared interface {
	Registry
	Peers
	Claims
}

// reasonLost is why a session is in the state error whose node is dead.
const reasonLost = "node_lost"

const (
	shareAgain  = time.Second // after a failure
	shareBatch  = 100         // sessions at a time
	adoptBatch  = 1000        // ids at a time
	shareAtMost = 2 * time.Second
)

// sharing is what a session's goroutine keeps of what it last shared.
type sharing struct {
	at      time.Time
	state   string
	changed bool // since
}

// share has other nodes hear of a session: of a new state at once, of anything else every share_interval. It runs on the session's
// goroutine, or before that is there.
func (t *Trading) share(s *session) {
	if t.deps.Shared == nil || s.plan.kind == watch || s.opened == nil {
		return
	}
	state, _, _, _ := s.current()
	again := s.reshare.Swap(false)
	if now := t.now(); again || state != s.shared.state || s.shared.changed && now.Sub(s.shared.at) >= t.cfg.ShareInterval {
		s.shared = sharing{at: now, state: state}
		t.shareSoon(SessionChange{Session: s.describe()})
	}
}

// shareSoon puts a change where the goroutine that shares takes it from.
func (t *Trading) shareSoon(c SessionChange) {
	if t.deps.Shared == nil {
		return
	}
	t.mu.Lock()
	t.unshared[c.ID] = c
	t.mu.Unlock()
	t.wakeSharing()
}

func (t *Trading) wakeSharing() {
	select {
	case t.sharingWake <- struct{}{}:
	default:
	}
}

// Reshare has all sessions of this node told to the others again. It is to be called when what they know may be lost, and does not
// block.
func (t *Trading) Reshare() {
	t.mu.Lock()
	t.adopt = true
	t.mu.Unlock()
	t.wakeSharing()
}

// shareUntil tells other nodes what sessions are like, until ctx ends. What cannot be told is tried again.
func (t *Trading) shareUntil(ctx context.Context) {
	t.Reshare()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-t.sharingWake:
		}
		err := t.shareNow(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			t.log.Warn("other nodes cannot be told of this node's sessions; they are, as soon as Redis answers", "error", err)
		}
		if failing = err != nil; failing {
			select {
			case <-ctx.Done():
				return
			case <-time.After(shareAgain):
				t.wakeSharing()
			}
		}
	}
}

// shareNow tells what there is to tell.
func (t *Trading) shareNow(ctx context.Context) error {
	t.mu.Lock()
	adopt, changes := t.adopt, t.unshared
	released := t.released
	t.adopt, t.unshared, t.released = false, map[string]SessionChange{}, nil
	t.mu.Unlock()
	for i, s := range released {
		if err := t.deps.Shared.Release(ctx, s.owner, s.id, s.plan.symbols); err != nil {
			t.mu.Lock()
			t.released = append(t.released, released[i:]...)
			t.mu.Unlock()
			t.putBackUnshared(changes, adopt)
			return err
		}
	}
	for batch := range slices.Chunk(slices.Collect(maps.Values(changes)), shareBatch) {
		if err := t.deps.Shared.Share(ctx, batch); err != nil {
			t.putBackUnshared(changes, adopt)
			return err
		}
	}
	if !adopt {
		return nil
	}
	if err := t.adoptAll(ctx); err != nil {
		t.putBackUnshared(nil, true)
		return err
	}
	return nil
}

// putBackUnshared puts changes back that were not told, unless something newer waits.
func (t *Trading) putBackUnshared(changes map[string]SessionChange, adopt bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.adopt = t.adopt || adopt
	for id, c := range changes {
		if _, newer := t.unshared[id]; !newer {
			t.unshared[id] = c
		}
	}
}

// adoptAll says which sessions this node has, and tells of those that the others know nothing of.
func (t *Trading) adoptAll(ctx context.Context) error {
	if err := t.shareEnded(ctx, t.crashed); err != nil {
		return err
	}
	t.crashed = nil
	running := map[string]*session{}
	for _, s := range t.runningOf("") {
		if mine, err := t.stillMine(ctx, s); err != nil {
			return err
		} else if !mine {
			t.log.Warn("a session ends: its node was taken for dead, and its owner went on elsewhere", "session", s.id, "owner", s.owner)
			if err := t.end(ctx, s, reasonLost); err != nil {
				return err
			}
		}
		running[s.id] = s
		s.reshare.Store(true)
		soon, cancel := context.WithTimeout(ctx, busyFor)
		_, _ = s.call(soon, func() { t.share(s) }) // one that is busy for long does so with its next checkpoint
		cancel()
	}
	ids := append(t.ended.newestOf("", t.cfg.SessionsKeptMax), slices.Collect(maps.Keys(running))...)
	for batch := range slices.Chunk(ids, adoptBatch) {
		unknown, err := t.deps.Shared.Adopt(ctx, batch)
		if err != nil {
			return err
		}
		if err := t.shareEnded(ctx, unknown); err != nil {
			return err
		}
	}
	return nil
}

// stillMine reports whether a session that runs may go on: its owner's trading has no other home meanwhile, and its symbols, where it is
// live, are nobody else's. What is nobody's any more is its again.
func (t *Trading) stillMine(ctx context.Context, s *session) (bool, error) {
	if s.awaitReady(ctx) != nil || s.ending() {
		return true, nil // it ends anyway
	}
	if _, here, err := t.deps.Shared.Home(ctx, s.owner, true); err != nil || !here {
		return false, err
	}
	if s.plan.kind != live {
		return true, nil
	}
	return t.deps.Shared.Claim(ctx, s.owner, s.id, s.plan.symbols)
}

// claim takes the symbols of a live session that is about to start.
func (t *Trading) claim(ctx context.Context, s *session) error {
	if t.deps.Shared == nil || s.plan.kind != live {
		return nil
	}
	free, err := t.deps.Shared.Claim(ctx, s.owner, s.id, s.plan.symbols)
	if err != nil {
		return blind(err)
	}
	if !free {
		return message.Errorf(message.CodeSessionConflict, "another live session has one of these symbols")
	}
	return nil
}

// release gives up what a live session claimed.
func (t *Trading) release(s *session) {
	if t.deps.Shared == nil || s.plan.kind != live {
		return
	}
	t.mu.Lock()
	t.released = append(t.released, s)
	t.mu.Unlock()
	t.wakeSharing()
}

// shareEnded tells of sessions that have ended.
func (t *Trading) shareEnded(ctx context.Context, ids []string) error {
	for batch := range slices.Chunk(ids, shareBatch) {
		var changes []SessionChange
		for _, id := range batch {
			if _, ok := t.ended.owner(id); !ok {
				continue
			}
			shown, err := t.document(id)
			if err != nil {
				t.log.Error("other nodes cannot be told of a session", "session", id, "error", err)
				continue
			}
			changes = append(changes, SessionChange{Session: shown})
		}
		if len(changes) == 0 {
			continue
		}
		if err := t.deps.Shared.Share(ctx, changes); err != nil {
			return err
		}
	}
	return nil
}

// shareLast tells what there is to tell when Run ends.
func (t *Trading) shareLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shareAtMost)
	defer cancel()
	if err := t.shareNow(ctx); err != nil {
		t.log.Warn("other nodes could not be told how this node's sessions ended; they take them for lost", "error", err)
	}
}

package trading

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// town is what nodes share, in memory.
type town struct {
	mu       sync.Mutex
	sessions map[string]SharedSession // Here is not set; guarded by mu
	homes    map[string]string        // guarded by mu
	claims   map[string][3]string     // by symbol: node, owner and session; guarded by mu
	traders  map[string]*world        // those that live; guarded by mu
	ended    map[string]bool          // nodes whose process is no more; guarded by mu
	broken   error                    // guarded by mu
	passed   int                      // guarded by mu
}

// resident is what one node sees of a town.
type resident struct {
	*town
	name string
}

var _ Shared = resident{}

func (r resident) Claim(_ context.Context, owner, session string, symbols []string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, symbol := range symbols {
		if c := r.claims[symbol]; c[1] != "" && c[1] != owner && r.traders[c[0]] != nil {
			return false, r.broken
		}
	}
	for _, symbol := range symbols {
		r.claims[symbol] = [3]string{r.name, owner, session}
	}
	return r.broken == nil, r.broken
}

func (r resident) Release(_ context.Context, owner, session string, symbols []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, symbol := range symbols {
		if r.claims[symbol] == [3]string{r.name, owner, session} && r.broken == nil {
			delete(r.claims, symbol)
		}
	}
	return r.broken
}

func (r resident) Share(_ context.Context, changes []SessionChange) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended[r.name] {
		return errors.New("who has ended tells nothing")
	}
	for _, c := range changes {
		if c.Gone {
			if s, ok := r.sessions[c.ID]; ok && s.Owner != c.Owner {
				return errors.New("whose session is gone is not told")
			}
			delete(r.sessions, c.ID)
			continue
		}
		var copied *message.Session
		raw, err := json.Marshal(c.Session)
		if err := errors.Join(err, json.Unmarshal(raw, &copied), r.broken); err != nil {
			return err
		}
		r.sessions[c.ID] = SharedSession{Session: copied, Node: r.name}
	}
	return r.broken
}

// seen is a session as the node sees it. mu is held.
func (r resident) seen(s SharedSession) SharedSession {
	s.Here = s.Node == r.name
	s.Lost = !s.Here && r.traders[s.Node] == nil
	return s
}

func (r resident) Find(_ context.Context, id string) (*SharedSession, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sessions[id]
	if !ok || r.broken != nil {
		return nil, r.broken
	}
	s = r.seen(s)
	return &s, nil
}

func (r resident) List(_ context.Context, owner string, most int) (list []SharedSession, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		if owner == "" || s.Owner == owner {
			list = append(list, r.seen(s))
		}
	}
	slices.SortFunc(list, func(a, b SharedSession) int {
		return cmp.Or(cmp.Compare(b.CreatedMS, a.CreatedMS), cmp.Compare(b.ID, a.ID))
	})
	return list[:min(most, len(list))], r.broken
}

func (r resident) Home(_ context.Context, user string, claim bool) (string, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.traders[r.homes[user]] == nil {
		delete(r.homes, user)
		if claim {
			r.homes[user] = r.name
		}
	}
	return r.homes[user], r.homes[user] == r.name, r.broken
}

func (r resident) Pass(ctx context.Context, node string, request []byte) ([]byte, error) {
	r.mu.Lock()
	to := r.traders[node]
	r.passed++
	r.mu.Unlock()
	if to == nil {
		return nil, errors.New("silent")
	}
	return to.Passed(ctx, request)
}

func (r resident) Adopt(_ context.Context, ids []string) (unknown []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		s, ok := r.sessions[id]
		if !ok {
			unknown = append(unknown, id)
			continue
		}
		s.Node = r.name
		r.sessions[id] = s
	}
	return unknown, r.broken
}

func newTown() *town {
	return &town{
		sessions: map[string]SharedSession{}, homes: map[string]string{}, claims: map[string][3]string{}, traders: map[string]*world{}, ended: map[string]bool{},
	}
}

// settle has a node live in the town, on dir.
func (o *town) settle(t *testing.T, name, dir string) *world {
	t.Helper()
	w, _ := openWith(t, dir, func(c *Config) { c.ShareInterval = 100 * time.Millisecond }, func(d *Deps) { d.Shared = resident{o, name} })
	o.mu.Lock()
	o.traders[name] = w
	o.mu.Unlock()
	return w
}

// die has a node be dead to all others. Its sessions run on, as those of a process do that is paused.
func (o *town) die(name string) {
	o.mu.Lock()
	delete(o.traders, name)
	o.mu.Unlock()
}

// crash has a node be dead, and its process, which goes on here, say nothing any more: what runs on tells of its sessions from time to
// time, and would go on after another process has them.
func (o *town) crash(name string) {
	o.mu.Lock()
	delete(o.traders, name)
	o.ended[name] = true
	o.mu.Unlock()
}

func (o *town) breaks(err error) {
	o.mu.Lock()
	o.broken = err
	o.mu.Unlock()
}

// awaitShared waits until a session is known to be in a state.
func (o *town) awaitShared(t *testing.T, id, state string) {
	t.Helper()
	require.Eventually(t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		s, ok := o.sessions[id]
		return ok && s.State == state
	}, waitMost, waitStep)
}

func states(list []*message.Session) (out []string) {
	for _, s := range list {
		out = append(out, s.ID+" "+s.State+" "+s.Reason)
	}
	return out
}

func TestASessionOfAnotherNodeIsItsOwnersEverywhere(t *testing.T) {
	o := newTown()
	a, b := o.settle(t, "a", t.TempDir()), o.settle(t, "b", t.TempDir())
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["A"]}`, `{"x":1}`)).Session.ID
	for i, price := range []float64{9, 10, 11, 13, 14, 15} {
		a.tick("A", int64(1000+i), price)
	}
	a.waitFor(t, message.TypePortfolio)
	o.awaitShared(t, id, "running")

	current, symbols := b.Current(t.Context(), "u1")
	require.Equal(t, id, current)
	require.Equal(t, []string{"A"}, symbols)
	again := must[*message.SessionStarted](t, b, u1, start("paper", `{"s":["A"]}`, ""))
	require.True(t, again.Reused)
	require.Equal(t, id, again.Session.ID)
	for _, asked := range []string{id, ""} {
		s := must[*message.SessionStatus](t, b, u1, &message.SessionQuery{SessionID: asked}).Session
		require.Equal(t, must[*message.SessionStatus](t, a, u1, &message.SessionQuery{SessionID: asked}).Session, s)
		results := &message.ResultsRequest{RequestType: "session_results", SessionID: asked}
		require.Equal(t, must[*message.ResultsAnswer](t, a, u1, results), must[*message.ResultsAnswer](t, b, u1, results))
	}
	require.Equal(t, []string{"s"}, func() (active []string) {
		for _, s := range must[*message.StrategiesList](t, b, u1, &message.StrategiesRequest{}).Strategies {
			if len(s.Active) > 0 {
				active = append(active, s.Name)
			}
		}
		return active
	}())
	code, _ := refused(t, b, user("u2", "premium"), &message.SessionQuery{SessionID: id})
	require.Equal(t, message.CodeSessionNotFound, code)
	require.Equal(t, id, must[*message.SessionStatus](t, b, user("boss", "admin"), &message.SessionQuery{SessionID: id}).Session.ID)

	must[*message.SessionChanged](t, b, u1, &message.SessionChange{SessionID: id, Change: message.SessionPause})
	o.awaitShared(t, id, "paused")
	list, err := b.List(t.Context(), "u1", 10)
	require.NoError(t, err)
	require.Equal(t, []string{id + " paused requested"}, states(list))
	stopped := must[*message.SessionChanged](t, b, user("boss", "admin"), &message.SessionChange{SessionID: id})
	require.Equal(t, "stopped", stopped.Session.State)
	o.awaitShared(t, id, "stopped")
	code, text := refused(t, b, u1, &message.SessionChange{SessionID: id, Change: message.SessionResume})
	require.Equal(t, message.CodeCommandFailed, code)
	require.Contains(t, text, "has ended")
}

func TestASessionOfADeadNodeIsAnErrorUntilTheNodeIsBack(t *testing.T) {
	o := newTown()
	a, b := o.settle(t, "a", t.TempDir()), o.settle(t, "b", t.TempDir())
	u1 := user("u1", "trader")
	old := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["B"]}`, "")).Session.ID
	must[*message.SessionChanged](t, a, u1, &message.SessionChange{SessionID: old})
	id := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	a.tick("A", 1000, 10)
	o.awaitShared(t, id, "running")
	o.awaitShared(t, old, "stopped")
	dir := crashed(t, a, id, `"ticks":1`)
	o.crash("a")

	lost := id + " error node_lost"
	list, err := b.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{lost, old + " stopped requested"}, states(list), "what had ended is as it was")
	for _, asked := range []string{id, ""} {
		s := must[*message.SessionStatus](t, b, u1, &message.SessionQuery{SessionID: asked}).Session
		require.Equal(t, []string{lost}, states([]*message.Session{s}))
		require.Equal(t, "inactive", s.Strategies[0].State)
		code, text := refused(t, b, u1, &message.ResultsRequest{RequestType: "session_results", SessionID: asked})
		require.Equal(t, message.CodeCommandFailed, code)
		require.Contains(t, text, "node_lost")
	}
	require.Equal(t, "error", must[*message.SessionChanged](t, b, u1, &message.SessionChange{SessionID: id}).Session.State)
	code, text := refused(t, b, u1, &message.SessionChange{SessionID: id, Change: message.SessionPause})
	require.Equal(t, message.CodeCommandFailed, code)
	require.Contains(t, text, "node_lost")
	code, _ = refused(t, b, user("u2", "trader"), &message.SessionQuery{SessionID: id})
	require.Equal(t, message.CodeSessionNotFound, code)

	anew := must[*message.SessionStarted](t, b, u1, start("paper", `{"s":["A"]}`, ""))
	require.False(t, anew.Reused)
	require.Equal(t, anew.Session.ID, must[*message.SessionStatus](t, b, u1, &message.SessionQuery{}).Session.ID)

	o.settle(t, "a2", dir) // the node is started again on what it kept
	o.awaitShared(t, id, "stopped")
	s := must[*message.SessionStatus](t, b, u1, &message.SessionQuery{SessionID: id}).Session
	require.Equal(t, "engine_restarted", s.Reason)
	r := must[*message.ResultsAnswer](t, b, u1, &message.ResultsRequest{RequestType: "session_results", SessionID: id})
	require.EqualValues(t, 1, r.Results.Performance.TicksProcessed)
}

func TestASymbolIsInOneOwnersLiveSessionsOnlyOnWhicheverNode(t *testing.T) {
	o := newTown()
	a, b := o.settle(t, "a", t.TempDir()), o.settle(t, "b", t.TempDir())
	id := must[*message.SessionStarted](t, a, user("u1", "premium"), start("live", `{"s":["A","B"]}`, "")).Session.ID
	code, _ := refused(t, b, user("u2", "premium"), start("live", `{"s":["B","C"]}`, ""))
	require.Equal(t, message.CodeSessionConflict, code)
	must[*message.SessionStarted](t, b, user("u2", "premium"), start("live", `{"s":["C"]}`, ""))
	must[*message.SessionStarted](t, b, user("u3", "premium"), start("paper", `{"s":["A"]}`, ""))
	code, _ = refused(t, a, user("u1", "premium"), start("live", `{"trap_at_the_start":["D"]}`, ""))
	require.NotEqual(t, message.CodeSessionConflict, code)
	must[*message.SessionChanged](t, a, user("u1", "premium"), &message.SessionChange{SessionID: id})
	require.Eventually(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.claims) == 1 }, waitMost, waitStep)
	must[*message.SessionStarted](t, b, user("u2", "premium"), start("live", `{"s":["B"]}`, ""))
}

func TestANodeThatComesBackEndsWhatItsOwnersWentOnWithElsewhere(t *testing.T) {
	o := newTown()
	a, b := o.settle(t, "a", t.TempDir()), o.settle(t, "b", t.TempDir())
	moved := must[*message.SessionStarted](t, a, user("u1", "premium"), start("paper", `{"s":["A"]}`, "")).Session.ID
	taken := must[*message.SessionStarted](t, a, user("u2", "premium"), start("live", `{"s":["B"]}`, "")).Session.ID
	stays := must[*message.SessionStarted](t, a, user("u3", "premium"), start("live", `{"s":["C"]}`, "")).Session.ID
	for _, id := range []string{moved, taken, stays} {
		o.awaitShared(t, id, "running")
	}
	o.die("a")
	anew := must[*message.SessionStarted](t, b, user("u1", "premium"), start("paper", `{"s":["A"]}`, "")).Session.ID
	must[*message.SessionStarted](t, b, user("u4", "premium"), start("live", `{"s":["B"]}`, ""))
	o.mu.Lock()
	o.traders["a"] = a
	o.mu.Unlock()
	a.Reshare()
	o.awaitShared(t, moved, "stopped")
	o.awaitShared(t, taken, "stopped")
	list, err := b.List(t.Context(), "u1", 10)
	require.NoError(t, err)
	require.Equal(t, []string{anew + " running ", moved + " stopped node_lost"}, states(list))
	require.Equal(t, "running", must[*message.SessionStatus](t, b, user("u3", "premium"), &message.SessionQuery{SessionID: stays}).Session.State)
}

func TestWhatNodesKnowOfEachOtherIsToldAgainAfterItWasLost(t *testing.T) {
	o := newTown()
	a := o.settle(t, "a", t.TempDir())
	u1 := user("u1", "trader")
	ended := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["B"]}`, "")).Session.ID
	must[*message.SessionChanged](t, a, u1, &message.SessionChange{SessionID: ended})
	id := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	o.awaitShared(t, id, "running")
	o.awaitShared(t, ended, "stopped")
	o.mu.Lock()
	clear(o.sessions)
	o.mu.Unlock()
	a.Reshare()
	o.awaitShared(t, id, "running")
	o.awaitShared(t, ended, "stopped")
}

func TestWithoutTheOthersOnlyWhatIsHereIsAnswered(t *testing.T) {
	o := newTown()
	a := o.settle(t, "a", t.TempDir())
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	o.awaitShared(t, id, "running")
	o.breaks(errors.New("no Redis"))
	require.Equal(t, id, must[*message.SessionStatus](t, a, u1, &message.SessionQuery{}).Session.ID)
	require.Equal(t, id, must[*message.SessionStatus](t, a, u1, &message.SessionQuery{SessionID: id}).Session.ID)
	for _, body := range []message.Body{
		start("paper", `{"s":["B"]}`, ""), &message.SessionQuery{SessionID: "exec_20260101_000000_00000000"}, &message.StrategiesRequest{},
	} {
		code, text := refused(t, a, u1, body)
		require.Equal(t, message.CodeUnavailable, code)
		require.NotContains(t, text, "no Redis", "that is for the log")
	}
	_, err := a.List(t.Context(), "u1", 10)
	require.Equal(t, message.CodeUnavailable, message.AsError(err).Code, "half a list would look like all of it")
	must[*message.SessionChanged](t, a, u1, &message.SessionChange{SessionID: id})
	o.breaks(nil)
	o.awaitShared(t, id, "stopped")
}

func TestASessionThatEndsWithTheEngineIsToldOfBeforeTheNodeLeaves(t *testing.T) {
	o := newTown()
	w, stop := openWith(t, t.TempDir(), nil, func(d *Deps) { d.Shared = resident{o, "a"} })
	o.traders["a"] = w
	id := must[*message.SessionStarted](t, w, user("u1", "trader"), start("paper", `{"s":["A"]}`, "")).Session.ID
	stop()
	require.Equal(t, "engine_restarted", o.sessions[id].Reason)
	require.NotZero(t, o.sessions[id].EndedMS)
}

func TestASessionThatIsNotKeptAnyMoreIsForgottenEverywhere(t *testing.T) {
	o := newTown()
	w, _ := openWith(t, t.TempDir(), func(c *Config) { c.SessionsKeptMax = 1 }, func(d *Deps) { d.Shared = resident{o, "a"} })
	o.traders["a"] = w
	u1 := user("u1", "trader")
	for range 3 {
		id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
		must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id, Change: message.SessionStop})
	}
	require.Eventually(t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.sessions) == 1
	}, waitMost, waitStep)
}

func TestASessionThatRunsElsewhereIsTheUsersAlsoWithoutAHome(t *testing.T) {
	o := newTown()
	a, b := o.settle(t, "a", t.TempDir()), o.settle(t, "b", t.TempDir())
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	o.awaitShared(t, id, "running")
	o.mu.Lock()
	delete(o.homes, "u1") // he asked for nothing for so long
	o.mu.Unlock()
	require.Equal(t, id, must[*message.SessionStatus](t, b, u1, &message.SessionQuery{}).Session.ID)
	must[*message.SessionChanged](t, b, u1, &message.SessionChange{SessionID: id, Change: message.SessionStop})
	o.awaitShared(t, id, "stopped")
	require.Nil(t, must[*message.SessionStatus](t, b, u1, &message.SessionQuery{}).Session, "it is not his newest that runs any more")
}

func TestEveryRequestAndItsAnswerCanBePassed(t *testing.T) {
	o := newTown()
	a, b := o.settle(t, "a", t.TempDir()), o.settle(t, "b", t.TempDir())
	u1 := user("u1", "premium")
	id := must[*message.SessionStarted](t, a, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	must[*message.StrategyActivated](t, b, u1, &message.StrategyActivation{Strategy: "t", Symbol: "C"})
	must[*message.StrategyStates](t, b, u1, &message.StrategyQuery{})
	must[*message.StrategyUpserted](t, b, u1, &message.StrategyConfig{Config: []byte(`{"strategy_name":"mine"}`), Save: true})
	must[*message.StrategyValidation](t, b, u1, &message.StrategyConfig{Config: []byte(`{"strategy_name":"mine"}`)})
	collection := must[*message.CollectionStarted](t, b, u1, &message.CollectionStart{Symbols: []string{"A"}}).Collection.ID
	must[*message.CollectionStatus](t, b, u1, &message.CollectionQuery{})
	must[*message.CollectionStopped](t, b, u1, &message.CollectionStop{CollectionID: collection})
	must[*message.SessionChanged](t, b, u1, &message.SessionChange{SessionID: id})
	require.GreaterOrEqual(t, o.passed, 7)
	_, err := a.Passed(t.Context(), []byte("x"))
	require.Error(t, err)
	_, err = a.Passed(t.Context(), []byte(`{"kind":"*message.Hello","body":{}}`))
	require.ErrorContains(t, err, "versions")
	_, err = replyOf("*message.Ready")
	require.ErrorContains(t, err, "versions")
}

package trading

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// Records keeps documents by key, across restarts. [store.Bucket] is one.
type Records interface {
	Get(key string) ([]byte, error)
	Each(f func(key string, value []byte) error) error
	Apply(changes map[string][]byte) error
}

// Publisher takes what sessions publish. Publish gives an envelope its number; Intend hands an order of a live session to
// whoever carries orders out, as a domain event. Both may block until ctx ends.
type Publisher interface {
	Publish(ctx context.Context, env *message.Envelope) error
	Intend(ctx context.Context, ev *message.Event) error
}

// Validator asks the validate plugin about a strategy's configuration. It may block until ctx ends; where there is no plugin
// that can tell, the error is a [message.CodePluginUnavailable].
type Validator interface {
	ValidateStrategy(ctx context.Context, config []byte) (valid bool, faults, warnings []message.Fault, err error)
}

// Deps are what trading works with.
type Deps struct {
	Opener      Opener
	Validator   Validator
	Publisher   Publisher
	Listener    Listener
	Past        Past
	Sessions    Records
	Activations Records
	Strategies  *strategies.Directory
	Collector   *collection.Collector
	Shared      Shared // what all nodes know of each other's trading; nil: this one is alone
	Log         hclog.Logger
}

// Trading serves sessions, strategies, results and collections.
type Trading struct {
	cfg    Config
	deps   Deps
	log    hclog.Logger
	quotes quotes
	counts counts
	now    func() time.Time
	begun  atomic.Int64 // when the newest session began; Unix milliseconds

	mu       sync.Mutex
	ctx      context.Context // of Run; nil before it; guarded by mu
	over     bool            // Run ends; guarded by mu
	group    sync.WaitGroup  // of sessions; Add with mu held, while not over
	sessions map[string]*session
	watches  map[watchKey]*session
	ended    *ended
	dirty    map[string][]byte // documents to be written at the next checkpoint; guarded by mu
	writing  map[string][]byte // those that are being written; guarded by mu
	// recordings end following the symbols of collections that run; guarded by mu
	recordings map[string]func(context.Context) error

	unshared    map[string]SessionChange // what other nodes are to be told, by session; guarded by mu
	crashed     []string                 // sessions that ran when the engine ended; of load, then of the goroutine that shares
	released    []*session               // live sessions that ended, whose symbols are claimed still; guarded by mu
	adopt       bool                     // they are to be told of all sessions; guarded by mu
	sharingWake chan struct{}            // one of the two has changed
}

// New opens what is kept of sessions. Those that ran when the engine ended are stopped from here on. It starts no goroutine.
func New(cfg Config, deps Deps) (*Trading, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = hclog.NewNullLogger()
	}
	t := &Trading{
		cfg: cfg, deps: deps, log: deps.Log, now: time.Now, quotes: quotes{listener: deps.Listener},
		sessions: map[string]*session{}, watches: map[watchKey]*session{}, dirty: map[string][]byte{},
		recordings: map[string]func(context.Context) error{}, unshared: map[string]SessionChange{}, sharingWake: make(chan struct{}, 1),
	}
	return t, t.load()
}

// Run serves until ctx is cancelled. Sessions that run then are stopped and kept as what they came to.
func (t *Trading) Run(ctx context.Context) error {
	t.mu.Lock()
	t.ctx = ctx
	t.mu.Unlock()
	t.restoreWatches(ctx)
	var telling sync.WaitGroup
	if t.deps.Shared != nil {
		telling.Go(func() { t.shareUntil(ctx) })
	}
	err := t.checkpoints(ctx)
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.group.Wait()
	if telling.Wait(); t.deps.Shared != nil {
		t.shareLast(ctx)
	}
	return errors.Join(err, t.flush())
}

// Route answers a request of protocol v1 for the router.
func (t *Trading) Route(ctx context.Context, s *router.Client, req *message.Request) error {
	answer, err := t.Answer(ctx, s.Identity(), req.Body)
	if err != nil {
		return err
	}
	s.Reply(req, answer)
	return nil
}

// Answer answers a request of somebody who has been found to be allowed to make requests of its kind. The error is a
// *[message.Error] where the client is to know. It may block until ctx ends.
func (t *Trading) Answer(ctx context.Context, who *auth.Identity, request message.Body) (message.ReplyBody, error) {
	if t.deps.Shared != nil {
		if answer, err := t.elsewhere(ctx, who, request); answer != nil || err != nil {
			return answer, err
		}
	}
	return t.answerHere(ctx, who, request)
}

// answerHere answers a request as if there were no other nodes.
func (t *Trading) answerHere(ctx context.Context, who *auth.Identity, request message.Body) (message.ReplyBody, error) {
	switch r := request.(type) {
	case *message.SessionStart:
		return t.start(ctx, who, r)
	case *message.SessionChange:
		return t.change(ctx, who, r)
	case *message.SessionQuery:
		return t.status(ctx, who, r)
	case *message.ResultsRequest:
		return t.results(ctx, who, r)
	case *message.StrategiesRequest:
		return t.listStrategies(who)
	case *message.StrategyQuery:
		return t.strategyStates(ctx, who, r)
	case *message.StrategyActivation:
		return t.activate(ctx, who, r)
	case *message.StrategyConfig:
		return t.configure(ctx, who, r)
	case *message.CollectionStart:
		return t.collect(ctx, who, r)
	case *message.CollectionStop:
		return t.stopCollection(ctx, who, r)
	case *message.CollectionQuery:
		return t.collectionStatus(who, r)
	}
	return nil, fmt.Errorf("trading: no handler for %T", request)
}

// mayTouch reports whether somebody may see and change what belongs to owner.
func mayTouch(who *auth.Identity, owner string) bool {
	return who.UserID == owner || who.Permissions.Has(auth.Admin)
}

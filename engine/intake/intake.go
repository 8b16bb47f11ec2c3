package intake

import (
	"context"
	"errors"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// Fenced is the part of a broker that intake needs. PublishFenced is Publish, but refuses with an error that wraps
// [broker.ErrFenced] where the topic has taken a publication with a higher fence.
type Fenced interface {
	ingest.Publisher
	PublishFenced(ctx context.Context, env *message.Envelope, fence uint64) (broker.Published, error)
}

// Options is what an Intake gets besides its configuration.
type Options struct {
	Node string                        // names this process among the nodes; no two have the same
	Log  func(msg string, args ...any) // takes what operators should know; nil: nobody does. Args are keys and values
}

// Intake takes in what reaches Redis. Use [New].
type Intake struct {
	cfg     Config
	client  *redis.Client
	do      goredis.UniversalClient
	ingest  *ingest.Ingest
	letters *Letters
	broker  Fenced
	node    string
	log     func(msg string, args ...any)
	scripts *scripts
	tokens  *message.IDSource
	streams []*stream
	ingress *ingress // nil: it is switched off
}

// New checks cfg and returns an Intake that publishes through in, whose broker is b, and keeps in letters what it cannot publish.
// It starts nothing.
func New(cfg Config, client *redis.Client, in *ingest.Ingest, letters *Letters, b Fenced, opts Options) (*Intake, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if client == nil || in == nil || letters == nil || b == nil || opts.Node == "" {
		return nil, errors.New("intake: needs Redis, an ingest, its dead letters, a broker and the name of the node")
	}
	if opts.Log == nil {
		opts.Log = func(string, ...any) {}
	}
	i := &Intake{
		cfg: cfg, client: client, do: client.Do(), ingest: in, letters: letters, broker: b, node: opts.Node, log: opts.Log,
		scripts: letters.scripts, tokens: message.NewIDSource("replay"),
	}
	for _, name := range cfg.Streams {
		i.streams = append(i.streams, newStream(i, name))
	}
	if cfg.Ingress {
		i.ingress = newIngress(i)
	}
	return i, nil
}

// lease returns this node's side of a lease. What says it in the log.
func (i *Intake) lease(key, fenceKey, what string) *lease {
	return &lease{
		client: i.do, scripts: i.scripts, key: key, fenceKey: fenceKey, holder: i.node + " " + i.tokens.Next(), ttl: i.cfg.LeaseTTL,
		report: i.reporter(what), born: time.Now(),
	}
}

// reporter returns a function that logs what goes wrong with something once, and that it works again. Of a key that holds something
// else it logs that though something else went wrong before: it does not pass until somebody sees to it.
func (i *Intake) reporter(what string) func(err error) {
	var mu sync.Mutex
	wrong, foreign := false, false
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil && (!wrong || !foreign && isWrongType(err)):
			i.log("intake: "+what+" does not work", "error", err)
		case err == nil && wrong:
			i.log("intake: " + what + " works again")
		}
		wrong, foreign = err != nil, err != nil && (foreign || isWrongType(err))
	}
}

// measureInterval is how often the figures are read that only Redis knows.
const measureInterval = 10 * time.Second

// Run takes in until ctx ends, gives back what this node has the lease of, and leaves nothing behind. It is called once.
func (i *Intake) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for _, s := range i.streams {
		all.Go(func() { s.lease.keep(ctx, s.work) })
	}
	if g := i.ingress; g != nil {
		all.Go(func() { g.lease.keep(ctx, g.work) })
	}
	report := i.reporter("counting dead letters")
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, measureInterval)
		err := i.letters.measure(asking)
		cancel()
		if ctx.Err() == nil {
			report(err)
		}
		wait(ctx, measureInterval)
	}
	return nil
}

// turn publishes while a term lasts. With a fence it publishes with that what foreign programs may.
type turn struct {
	broker Fenced
	term   *term
	fenced bool
}

var _ ingest.Publisher = (*turn)(nil)

// Publish implements [ingest.Publisher]. After the term the error wraps [broker.ErrFenced].
func (t *turn) Publish(ctx context.Context, env *message.Envelope) (broker.Published, error) {
	switch {
	case !t.term.lasts():
		return broker.Published{}, broker.ErrFenced
	case t.fenced && message.IsEngineType(env.Type):
		return broker.Published{}, message.Errorf(message.CodeInvalidArgument,
			"t: clients take messages of type %q for the engine's own; choose another type", env.Type)
	case t.fenced:
		return t.broker.PublishFenced(ctx, env, t.term.fence)
	default:
		return t.broker.Publish(ctx, env)
	}
}

package shared

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// What a dead node had is looked for in all topics, since nobody else knows where it was.
const (
	scanCount   = 1000            // keys that Redis looks at in one step
	deadMax     = 64              // dead nodes that are remembered
	claimFor    = time.Minute     // one node at a time looks for what a dead one had
	burialRetry = 2 * time.Second // where Redis is away
	burialSlack = 10 * time.Millisecond
)

// graves are the nodes that died.
type graves struct {
	wake chan struct{} // holds a token when somebody died
	mu   sync.Mutex
	todo []string // guarded by mu
	dead []string // the last of them, done or not; guarded by mu
}

// Dead is told that another node is gone. Who has no connection to a node that is there is given the grace period to come back,
// and leaves. It does not wait, and may be called again.
func (p *Presence) Dead(node string) {
	if node == p.node || !isNode(node) {
		return
	}
	g := &p.graves
	g.mu.Lock()
	if !slices.Contains(g.todo, node) {
		g.todo = append(g.todo, node)
	}
	if !slices.Contains(g.dead, node) {
		g.dead = append(g.dead, node)
		g.dead = g.dead[max(0, len(g.dead)-deadMax):]
	}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default: // there is a token already
	}
}

// Returned is told that others may have taken this node for dead, or that Redis may have lost what it wrote: it is looked at, and what
// is missing is written again. It does not wait.
func (p *Presence) Returned() {
	p.checkAll(func(t *topic) bool { return t.peopled.Load() }, false)
}

// dig takes away what dead nodes had, until ctx is cancelled.
func (p *Presence) dig(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.graves.wake:
		}
		for todo, dead := p.graves.next(); len(todo) > 0; todo, dead = p.graves.next() {
			err := p.bury(ctx, todo, dead)
			if err == nil {
				p.graves.done(todo)
				continue
			}
			if ctx.Err() == nil {
				p.failed("", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(burialRetry):
			}
		}
	}
}

func (g *graves) next() (todo, dead []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.todo), slices.Clone(g.dead)
}

func (g *graves) done(nodes []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.todo = slices.DeleteFunc(g.todo, func(n string) bool { return slices.Contains(nodes, n) })
}

// bury goes through the topics of every primary once for all nodes that are to be buried, unless other nodes do so for each of them.
// A node that dies at that is buried by another, which takes what earlier ones left with it.
func (p *Presence) bury(ctx context.Context, todo, dead []string) error {
	claimed := false
	for _, node := range todo {
		first, err := p.claim(ctx, node)
		if err != nil {
			return err
		}
		claimed = claimed || first
	}
	if !claimed {
		return nil
	}
	return p.client.EachPrimary(ctx, func(ctx context.Context, primary *goredis.Client) error {
		var cursor uint64
		for {
			keys, next, err := primary.Scan(ctx, cursor, "{wse:*}:p", scanCount).Result()
			if err != nil {
				return err
			}
			if err := p.buryIn(ctx, keys, dead); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}

// claim reports whether it is this node that buries a dead one: it is the first to say so, or has said so before.
func (p *Presence) claim(ctx context.Context, node string) (bool, error) {
	key := redis.Prefix + "{_presence}:bury:" + node
	err := p.client.Do().SetArgs(ctx, key, p.node, goredis.SetArgs{Mode: "NX", TTL: claimFor}).Err()
	if !errors.Is(err, goredis.Nil) {
		return err == nil, err
	}
	owner, err := p.client.Do().Get(ctx, key).Result()
	if errors.Is(err, goredis.Nil) { // it has run out between the two: whoever had it is through
		return false, nil
	}
	return owner == p.node, err
}

// buryIn takes what dead nodes had away from some topics. This node sees to what follows from it.
func (p *Presence) buryIn(ctx context.Context, keys []string, dead []string) error {
	for batch := range slices.Chunk(keys, batchTopics) {
		var calls []*call
		for _, key := range batch {
			if name, ok := topicOf(key); ok && p.Tracks(name) {
				calls = append(calls, p.burial(name, dead))
			}
		}
		answers, errs := p.run(ctx, calls)
		for i, c := range calls {
			switch {
			case errs[i] != nil && isAway(errs[i]):
				return errs[i]
			case errs[i] != nil:
				p.failed(c.topic, errs[i])
			default:
				p.mourn(c, answers[i])
			}
		}
	}
	return nil
}

// burial is a call that writes nothing of this node's own.
func (p *Presence) burial(name message.Topic, dead []string) *call {
	return &call{topic: name, dead: dead, flags: "b"}
}

// mourn sets the alarm for what follows from a burial.
func (p *Presence) mourn(c *call, a *answer) {
	if a.status != "ok" {
		return
	}
	for kind, n := range a.told {
		p.told[kind].Add(uint64(n))
	}
	if a.tell < 0 && a.over < 0 {
		return
	}
	t := p.acquire(c.topic)
	defer p.release(t)
	p.remind(t, c, a)
}

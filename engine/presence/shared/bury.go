package shared

import (
	"context"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/message"
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
		for {
			node, all := p.graves.next()
			if node == "" {
				break
			}
			if err := p.bury(ctx, node, all); err == nil {
				p.graves.done(node)
				continue
			} else if ctx.Err() == nil {
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

func (g *graves) next() (node string, all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.todo) == 0 {
		return "", nil
	}
	return g.todo[0], slices.Clone(g.dead)
}

func (g *graves) done(node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.todo = slices.DeleteFunc(g.todo, func(n string) bool { return n == node })
}

// bury goes through the topics of every primary, if no other node does so for the same dead one. A node that dies at that is
// buried by another, which takes what earlier ones left with it.
func (p *Presence) bury(ctx context.Context, node string, all []string) error {
	_, err := p.client.Do().SetArgs(ctx, "wse:{_presence}:bury:"+node, p.node, goredis.SetArgs{Mode: "NX", TTL: claimFor}).Result()
	if err == goredis.Nil {
		return nil
	}
	if err != nil {
		return err
	}
	return p.client.EachPrimary(ctx, func(ctx context.Context, primary *goredis.Client) error {
		var cursor uint64
		for {
			keys, next, err := primary.Scan(ctx, cursor, "{wse:*}:p", scanCount).Result()
			if err != nil {
				return err
			}
			if err := p.buryIn(ctx, keys, all); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
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

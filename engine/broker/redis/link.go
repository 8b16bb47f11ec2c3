package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/redis"
)

// link is a lane's connection to one primary, and the calls that wait for it, in order. It belongs to its lane's goroutine.
type link struct {
	name    string // of the primary for the route; unrouted: nobody knows yet whom to ask
	pending []*call

	client     *goredis.Client
	conn       *goredis.Conn // nil: there is no connection
	release    func() bool   // of what closes the client when the lane ends
	identity   string        // replication id of the server
	replicated string        // address of the last server that was seen to have replicas
	addr       string
	checked    time.Time // when the identity was last read

	tries  int       // attempts that failed since one worked
	resume time.Time // before that nothing is tried
}

// unrouted is the name of the link of calls whose slot nobody is known to have.
const unrouted = ""

// identityEvery is how old what is known of a server may be when it is relied on: whether it is a primary, of which data.
const identityEvery = time.Second

// ready makes sure that there is a connection to a primary whose identity was read not long ago.
func (l *lane) ready(ctx context.Context, k *link) error {
	if k.conn == nil {
		if err := l.connect(ctx, k); err != nil {
			k.drop()
			return err
		}
		return nil
	}
	if time.Since(k.checked) < identityEvery {
		return nil
	}
	return l.confirm(ctx, k)
}

// confirm finds out whether the server is still the one to ask, and who it is. One that was cut off from its Sentinels believes that it
// is the primary for as long as it is. Without an answer of theirs it is taken for what it says.
func (l *lane) confirm(ctx context.Context, k *link) error {
	err := k.identify(ctx)
	if err == nil {
		if addr, asking := l.b.route.dial(ctx, k.name, identityEvery); asking == nil && l.b.route.sentinels() && addr != k.addr {
			err = errRole
		}
	}
	if err != nil {
		k.drop()
	}
	return err
}

func (l *lane) connect(ctx context.Context, k *link) error {
	addr, err := l.b.route.dial(ctx, k.name, reloadEvery)
	if err != nil {
		return err
	}
	o := l.b.route.optionsFor(addr)
	o.ReadTimeout += l.b.cfg.ReplicaWait
	k.addr, k.client = addr, goredis.NewClient(o)
	client := k.client
	k.release = context.AfterFunc(ctx, func() { _ = client.Close() })
	k.conn = client.EphemeralConn()
	l.b.counters.connects.Add(1)
	if err := k.identify(ctx); err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	return nil
}

// identify reads who the server is. A call is told the replication id that was read last, so that what a server that changed its
// role and back took from before is told apart by the script.
func (k *link) identify(ctx context.Context) error {
	info, err := k.conn.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	id, err := redis.ReadIdentity(info)
	if err != nil {
		return err
	}
	if !id.Primary {
		return errRole
	}
	k.identity, k.checked = id.ReplID, time.Now()
	if id.Replicas > 0 {
		k.replicated = k.addr
	}
	return nil
}

// replicas returns how many replicas must have what is published: where it is not configured, one as soon as the server was seen to
// have one, and always where Sentinels watch over it, since what no replica has is lost with the primary.
func (l *lane) replicas(k *link) int { return l.b.replicasOf(k.replicated == k.addr) }

func (b *Broker) replicasOf(replicated bool) int {
	switch {
	case b.cfg.ReplicasMin >= 0:
		return b.cfg.ReplicasMin
	case b.route.sentinels(), replicated:
		return 1
	}
	return 0
}

// drop closes the connection, if there is one.
func (k *link) drop() {
	if k.client == nil {
		return
	}
	k.release()
	if k.conn != nil {
		_ = k.conn.Close()
	}
	_ = k.client.Close()
	k.client, k.conn, k.release = nil, nil, nil
}

// Waits between attempts.
const (
	backoffFirst = 4 * time.Millisecond
	backoffMax   = 250 * time.Millisecond
)

// rest lets the link alone for a while that grows with each attempt that fails.
func (k *link) rest() {
	k.resume = time.Now().Add(min(backoffFirst<<min(k.tries, 10), backoffMax))
	k.tries++
}

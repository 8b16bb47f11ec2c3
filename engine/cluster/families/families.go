// Package families keeps what is known of refresh tokens in Redis, where every node that renews them sees the same: which are
// spent, and which are revoked.
//
// A record is put in the place of the one that was read, in one script, so of two nodes with the same token one spends it. Where
// Redis cannot be reached nothing is spent and nothing is known; that is an error and never a yes. A record is safe once a
// replica has it too, where there are replicas: at once with Sentinels, else as soon as one was seen. One that no replica
// takes in time is taken back.
//
// A Redis that was emptied is noticed by the loss of a key that says since when nothing is lost. That holds only where Redis
// does not evict: its maxmemory-policy must be noeviction.
//
// All keys are in one slot, "wse:{_auth}:…", so that a token is judged as of one moment.
//
// Ownership: a [Records] may be used by any number of goroutines and starts none. The client belongs to who made it.
package families

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/redis"
)

// ErrUnsafe is the error of a record that no replica took in time. It was taken back, unless the primary is gone too.
var ErrUnsafe = errors.New("families: no replica of Redis has it; it was taken back")

// The scripts; read-only. Their first lines say what they take and return.
var (
	//go:embed get.lua
	getLua string
	//go:embed swap.lua
	swapLua string
)

const (
	tag      = redis.Prefix + "{_auth}:"
	keySince = tag + "since"
	// tryAgain is the wait before a record is tried again on a connection of another kind: to the new primary, say.
	tryAgain = 20 * time.Millisecond
)

// Records implements [auth.Shared].
type Records struct {
	client    *redis.Client
	get, swap *goredis.Script
	patience  time.Duration // for a record to be written, and then again for a replica to have it
	demand    atomic.Bool   // there is to be a replica
}

var _ auth.Shared = (*Records)(nil)

// New returns the records in a Redis. A record is tried for twice the client's command_timeout.
func New(client *redis.Client) *Records {
	cfg := client.Config()
	r := &Records{client: client, get: goredis.NewScript(getLua), swap: goredis.NewScript(swapLua), patience: 2 * cfg.CommandTimeout}
	r.demand.Store(cfg.MasterName != "")
	return r
}

// Get implements [auth.Shared].
func (r *Records) Get(ctx context.Context, keys ...string) (docs [][]byte, since time.Time, err error) {
	all := make([]string, 1, 1+len(keys))
	all[0] = keySince
	for _, key := range keys {
		all = append(all, tag+key)
	}
	answer, err := r.get.Run(ctx, r.client.Do(), all).Slice()
	if err != nil {
		return nil, since, fmt.Errorf("families: %w", err)
	}
	if len(answer) != len(all) {
		return nil, since, fmt.Errorf("families: Redis returned %d documents, not %d", len(answer), len(all))
	}
	docs = make([][]byte, len(keys))
	for i, v := range answer[1:] {
		if text, ok := v.(string); ok {
			docs[i] = []byte(text)
		}
	}
	text, _ := answer[0].(string)
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, since, fmt.Errorf("families: the key %s holds %.32q, not a time; delete it, and all log in again", keySince, text)
	}
	return docs, time.Unix(seconds, 0), nil
}

// Swap implements [auth.Shared]. It blocks until ctx ends or, without a primary, for some seconds.
func (r *Records) Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	for {
		swapped, err := r.trySwap(ctx, key, old, next, keep)
		if err == nil || errors.Is(err, ErrUnsafe) {
			return swapped, err
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("families: %w", err)
		case <-time.After(tryAgain):
		}
		if cluster, ok := r.client.Do().(*goredis.ClusterClient); ok {
			cluster.ReloadState(ctx)
		}
	}
}

// primary returns the client of the primary that has the keys.
func (r *Records) primary(ctx context.Context) (*goredis.Client, error) {
	switch client := r.client.Do().(type) {
	case *goredis.ClusterClient:
		return client.MasterForKey(ctx, keySince)
	case *goredis.Client:
		return client, nil
	default:
		return nil, fmt.Errorf("a client of an unknown kind, %T", client)
	}
}

// trySwap swaps once. Whether a replica has it is asked on the same connection, since that is whose writes WAIT waits for.
func (r *Records) trySwap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	primary, err := r.primary(ctx)
	if err != nil {
		return false, err
	}
	conn := primary.Conn()
	defer conn.Close()
	answer, err := r.swap.Run(ctx, conn, []string{tag + key}, old, next, keep.Milliseconds()).Slice()
	if err != nil {
		return false, err
	}
	if len(answer) != 2 {
		return false, fmt.Errorf("the script returned %d values, not 2", len(answer))
	}
	if swapped, _ := answer[0].(int64); swapped != 1 {
		return false, nil
	}
	if info, ok := answer[1].(string); ok {
		if id, err := redis.ReadIdentity(info); err == nil && id.Replicas > 0 {
			r.demand.Store(true)
		}
	}
	if !r.demand.Load() {
		return true, nil
	}
	have, err := conn.Wait(ctx, 1, r.patience/2).Result()
	if err == nil && have >= 1 {
		return true, nil
	}
	// Taken back on what is the primary now; if that never had it, there is nothing to take back.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience/2)
	defer cancel()
	if undone := r.swap.Run(back, r.client.Do(), []string{tag + key}, next, old, keep.Milliseconds()).Err(); undone != nil {
		return false, fmt.Errorf("%w: nor could it be: %w", ErrUnsafe, undone)
	}
	return false, ErrUnsafe
}

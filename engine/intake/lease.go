package intake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// errLost says that the lease is another's, or nobody's.
var errLost = errors.New("intake: the lease is lost")

// lease is the right of one node at a time to do something: a key that holds who has it, and runs out unless it is renewed. Each
// turn has a fence, a number higher than that of every turn before, and than the time in microseconds: it rises even where Redis
// lost the last ones.
type lease struct {
	client        goredis.UniversalClient
	scripts       *scripts
	key, fenceKey string
	holder        string // what the key holds while this node has the lease; no other process has the same
	ttl           time.Duration
	report        func(err error) // takes what went wrong, and nil when it is over

	born    time.Time
	changes atomic.Uint64
	held    atomic.Bool
}

// term is one turn of a lease. It lasts until a moment that this process can tell by its own clock and that is not later than when
// Redis lets others have the lease.
type term struct {
	fence uint64
	born  time.Time
	until atomic.Int64 // since born
}

// lasts reports whether the turn is not over.
func (t *term) lasts() bool { return int64(time.Since(t.born)) < t.until.Load() }

// extend makes the turn last ttl from asked on, the moment before Redis was asked, less a tenth for clocks that run apart.
func (t *term) extend(asked time.Time, ttl time.Duration) {
	t.until.Store(int64(asked.Sub(t.born) + ttl - ttl/10))
}

// keep has work do its work whenever this node has the lease, until ctx ends. Work must return when its context ends; it may return
// before, to begin another turn.
func (l *lease) keep(ctx context.Context, work func(ctx context.Context, t *term)) {
	for ctx.Err() == nil {
		t, err := l.acquire(ctx)
		if ctx.Err() == nil {
			l.report(err)
		}
		if t != nil {
			l.serve(ctx, t, work)
		}
		wait(ctx, l.ttl/8+rand.N(l.ttl/8))
	}
}

// acquire returns a turn, or nil where another has the lease.
func (l *lease) acquire(ctx context.Context) (*term, error) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/2)
	defer cancel()
	t := &term{born: time.Now()}
	fence, err := l.scripts.acquire.Run(ctx, l.client, []string{l.key, l.fenceKey}, l.holder, l.ttl.Milliseconds()).Text()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err == nil {
		t.fence, err = strconv.ParseUint(fence, 10, 64)
	}
	switch {
	case isWrongType(err):
		return nil, fmt.Errorf("lease: %s or %s holds what is not the engine's; delete it: %w", l.key, l.fenceKey, err)
	case err != nil:
		return nil, fmt.Errorf("lease %s: %w", l.key, err)
	}
	t.extend(t.born, l.ttl)
	return t, nil
}

// serve works for one turn.
func (l *lease) serve(ctx context.Context, t *term, work func(ctx context.Context, t *term)) {
	l.changes.Add(1)
	l.held.Store(true)
	defer l.held.Store(false)
	working, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(working, t)
	}()
	defer func() {
		stop(errLost)
		<-done
		l.release(ctx)
	}()
	tick := time.NewTicker(l.ttl / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-done:
			return
		case <-tick.C:
		}
		err := l.renew(ctx, t)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errLost) { // it is another's turn, or Redis has forgotten whose it is
			return
		}
		l.report(err)
		if !t.lasts() {
			return
		}
	}
}

// renew makes the turn last longer.
func (l *lease) renew(ctx context.Context, t *term) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/4)
	defer cancel()
	asked := time.Now()
	has, err := l.scripts.renew.Run(ctx, l.client, []string{l.key}, l.holder, l.ttl.Milliseconds()).Bool()
	switch {
	case err != nil:
		return fmt.Errorf("lease %s: %w", l.key, err)
	case !has:
		return fmt.Errorf("lease %s: %w", l.key, errLost)
	}
	t.extend(asked, l.ttl)
	return nil
}

// release gives the lease back, so that nobody has to wait for it to run out.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.ttl/4)
	defer cancel()
	_ = l.scripts.release.Run(ctx, l.client, []string{l.key}, l.holder).Err() // else it runs out
}

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

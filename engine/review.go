package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
)

// reviewer has every subscription asked about again when an authorize plugin that is bound to it was changed: what a version
// allowed is not what the next one does. The connections do the asking themselves, in turn with their own requests.
type reviewer struct {
	engine    *Engine
	list      func() []plugin.Info
	ask       func(ctx context.Context, bind []string, final bool) error
	seen      map[string]authorizes // by plugin; the goroutine's of run
	nudge     chan struct{}
	undecided atomic.Bool // in the review before, nobody could decide about some
}

// authorizes is what a plugin does about subscriptions.
type authorizes struct {
	version string
	bind    []string
}

// How often, and how long after each other, is asked about what nobody could decide, before that is a refusal.
const (
	reviewAttempts = 3
	reviewPause    = 10 * time.Second
)

// newReviewer makes the reviewer of plugins that are open.
func newReviewer(e *Engine) *reviewer {
	r := &reviewer{engine: e, list: e.plugins.List, nudge: make(chan struct{}, 1)}
	r.seen, r.ask = r.authorizers(), r.review
	return r
}

// look has run look whether something changed. It does not block. A nil reviewer has nothing to look at yet.
func (r *reviewer) look() {
	if r == nil {
		return
	}
	select {
	case r.nudge <- struct{}{}:
	default: // it is about to look anyway
	}
}

func (r *reviewer) run(ctx context.Context) error {
	var bind []string // of the review under way
	attempt := 0
	again := time.NewTimer(reviewPause)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.nudge:
			changed := r.changed()
			if len(changed) == 0 {
				continue
			}
			if !r.undecided.Load() {
				bind = nil
			}
			bind, attempt = append(bind, changed...), 1
		case <-again.C:
			if !r.undecided.Load() {
				continue
			}
			attempt++
		}
		r.undecided.Store(false)
		if err := r.ask(ctx, bind, attempt >= reviewAttempts); err != nil {
			return nil // the engine stops
		}
		again.Reset(reviewPause)
	}
}

// authorizers returns the plugins that authorize.
func (r *reviewer) authorizers() map[string]authorizes {
	now := make(map[string]authorizes)
	for _, info := range r.list() {
		if slices.Contains(info.Kinds, plugin.Authorize) {
			now[info.Name] = authorizes{info.Version, info.Bind}
		}
	}
	return now
}

// changed returns what the plugins are and were bound to that are not what they were when it was last called.
func (r *reviewer) changed() (bind []string) {
	now := r.authorizers()
	for name, before := range r.seen {
		if after, ok := now[name]; !ok || after.version != before.version || !slices.Equal(after.bind, before.bind) {
			bind = append(append(bind, before.bind...), after.bind...)
		}
	}
	for name, after := range now {
		if _, ok := r.seen[name]; !ok {
			bind = append(bind, after.bind...)
		}
	}
	r.seen = now
	return bind
}

// review lets every connection ask again about what bind covers, no faster than limits.reviews_per_second.
func (r *reviewer) review(ctx context.Context, bind []string, final bool) (err error) {
	perSecond := r.engine.cfg.Limits.ReviewsPerSecond
	limiter := rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))
	covers := plugin.Covers(bind)
	request := &message.Review{
		Covers: func(t message.Topic) bool { return covers(string(t)) }, Final: final, Undecided: func() { r.undecided.Store(true) },
	}
	started, connections := time.Now(), 0
	r.engine.conns.Each(func(cn *conn.Conn) bool {
		c, ok := cn.Handler().(*client)
		if !ok || c.protocol.Identity() == nil { // it is just being opened, and is asked about by what serves now
			return true
		}
		topics := 0
		c.protocol.Member.Do(func() { topics = c.protocol.Member.Len() })
		for left := topics; left > 0 && err == nil; left -= limiter.Burst() {
			err = limiter.WaitN(ctx, min(left, limiter.Burst()))
		}
		if err != nil {
			return false
		}
		c.protocol.Review(request)
		connections++
		return true
	})
	if err == nil {
		r.engine.log.Info("subscriptions are asked about again", "topics", bind, "connections", connections, "took", time.Since(started).Round(time.Millisecond))
	}
	return err
}

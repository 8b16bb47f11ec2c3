// Package router takes each request of a connection to its handler. It owns what a connection is to the protocol — its
// client: who it is, what it sent before, which requests wait — and the middleware every request passes: duplicate
// ids, floods of bad messages, the length of the queue, expiry of the token.
//
// Ownership: the connection's reading goroutine calls Client.Handle, one call at a time, and owns the duplicate filter
// and the count of bad messages. Requests that may take time run on the router's workers: those of one client one at a
// time and in order, so a handler may touch the client's subscriptions without a lock. Everything a Client sends goes
// through its Peer, which may be used by any goroutine.
package router

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
)

// Config is the router's part of the section limits.
type Config struct {
	BadMessagesPerMinute int           `yaml:"bad_messages_per_minute"`
	RequestsPendingMax   int           `yaml:"requests_pending_max"`
	RequestTimeout       time.Duration `yaml:"request_timeout"`
	RequestWorkers       int           `yaml:"request_workers"`
	AuthGrace            time.Duration `yaml:"auth_grace"`
	DedupIDs             int           `yaml:"dedup_ids"`
	BatchMessagesMax     int           `yaml:"batch_messages_max"`
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{
		BadMessagesPerMinute: 60,
		RequestsPendingMax:   64,
		RequestTimeout:       10 * time.Second,
		RequestWorkers:       0,
		AuthGrace:            time.Minute,
		DedupIDs:             1000,
		BatchMessagesMax:     100,
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name       string
		value, min int
	}{
		{"bad_messages_per_minute", c.BadMessagesPerMinute, 1},
		{"requests_pending_max", c.RequestsPendingMax, 1},
		{"request_workers", c.RequestWorkers, 0},
		{"dedup_ids", c.DedupIDs, 0},
		{"batch_messages_max", c.BatchMessagesMax, 1},
	} {
		if f.value < f.min {
			errs = append(errs, fmt.Errorf("%s: must be at least %d, is %d", f.name, f.min, f.value))
		}
	}
	if c.RequestTimeout <= 0 {
		errs = append(errs, fmt.Errorf("request_timeout: must be positive, is %s", c.RequestTimeout))
	}
	if c.AuthGrace < 0 {
		errs = append(errs, fmt.Errorf("auth_grace: must not be negative, is %s", c.AuthGrace))
	}
	return errors.Join(errs...)
}

// HandlerFunc answers a request of one kind through s. It runs on a worker and may block until ctx ends; requests of one
// client never overlap. An error becomes the client's answer.
type HandlerFunc func(ctx context.Context, s *Client, req *message.Request) error

// Routes are the handlers that other packages provide. A nil one means that the engine does not offer the request, which
// its sender is told.
type Routes struct {
	Subscribe HandlerFunc // *message.Subscribe
	Sync      HandlerFunc // *message.Sync
	Presence  HandlerFunc // *message.PresenceRequest
	Publish   HandlerFunc // *message.Publish
	Renewed   HandlerFunc // after an *message.Authenticate: the identity may have changed
	Closed    HandlerFunc // the connection is gone; the last call of a client
}

// Verifier checks tokens. It may block for a key fetch until ctx ends; its errors are *message.Error.
type Verifier interface {
	Verify(ctx context.Context, token string) (*auth.Identity, error)
}

// Status answers what a client may ask about the engine as a whole.
type Status interface {
	Health() message.Health
	Limits() message.ConnectionLimits
	Version() string
}

// Router runs the requests of all clients.
type Router struct {
	cfg      Config
	routes   Routes
	verifier Verifier
	status   Status
	log      hclog.Logger

	mu      sync.Mutex
	ready   sync.Cond
	queue   []*Client // clients with requests to run, each at most once; guarded by mu
	stopped bool      // guarded by mu
}

// New makes a router. No request is handled before Run.
func New(cfg Config, routes Routes, verifier Verifier, status Status, log hclog.Logger) (*Router, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.RequestWorkers == 0 {
		cfg.RequestWorkers = 4 * runtime.GOMAXPROCS(0)
	}
	r := &Router{cfg: cfg, routes: routes, verifier: verifier, status: status, log: log}
	r.ready.L = &r.mu
	return r, nil
}

// Run handles requests until ctx is cancelled; requests that wait then are still handled, with a context that has
// ended, so that every client's Closed handler has run when Run returns, provided the connections were closed before.
func (r *Router) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range r.cfg.RequestWorkers {
		workers.Go(func() {
			for s := r.next(); s != nil; s = r.next() {
				s.runOne(ctx)
			}
		})
	}
	<-ctx.Done()
	r.mu.Lock()
	r.stopped = true
	r.ready.Broadcast()
	r.mu.Unlock()
	workers.Wait()
	return nil
}

// next waits for a client with a request to run; nil means that the router stops.
func (r *Router) next() *Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 {
		if r.stopped {
			return nil
		}
		r.ready.Wait()
	}
	s := r.queue[0]
	r.queue[0] = nil
	if r.queue = r.queue[1:]; len(r.queue) == 0 {
		r.queue = nil
	}
	return s
}

func (r *Router) enqueue(s *Client) {
	r.mu.Lock()
	r.queue = append(r.queue, s)
	r.mu.Unlock()
	r.ready.Signal()
}

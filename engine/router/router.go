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
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
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
	RequestsAsideMax     int           `yaml:"requests_aside_max"`
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
		RequestsAsideMax:     1024,
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
		{"requests_aside_max", c.RequestsAsideMax, 0},
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

// AdmitFunc decides whether a connection that nobody has logged in on may become the user's. Where it returns nil it does, and
// was not closed before. It is called with the client's lock held: it must neither block nor call what takes that.
type AdmitFunc func(s *Client, user string) error

// Routes are the handlers that other packages provide. A nil one means that the engine does not offer the request, which
// its sender is told.
type Routes struct {
	Subscribe      HandlerFunc // *message.Subscribe
	Sync           HandlerFunc // *message.Sync
	Presence       HandlerFunc // *message.PresenceRequest
	PresenceUpdate HandlerFunc // *message.PresenceUpdate
	Publish        HandlerFunc // *message.Publish
	Renewed        HandlerFunc // after an *message.Authenticate: the identity may have changed
	Admit          AdmitFunc   // before an *message.Authenticate makes a connection of nobody a user's
	Review         HandlerFunc // *message.Review
	Stream         HandlerFunc // *message.StreamRequest
	Trading        HandlerFunc // the requests of protocol v1 about sessions, strategies, results and collections
	Closed         HandlerFunc // the connection is gone; the last call of a client
}

// Verifier checks tokens that come from an address, and renews them. It may block until ctx ends, for a key fetch or for the
// disk; its errors are *message.Error.
type Verifier interface {
	Verify(ctx context.Context, from netip.Addr, token string) (*auth.Identity, error)
	Refresh(ctx context.Context, from netip.Addr, token string) (access, refresh string, expiresIn time.Duration, err error)
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

	crowded, flooded atomic.Uint64 // see Refused

	mu      sync.Mutex
	ready   sync.Cond
	queue   []*Client // clients with requests to run, each at most once; guarded by mu
	stopped bool      // guarded by mu
	workers int       // guarded by mu
	idle    int       // workers without a request; guarded by mu
	aside   int       // workers that wait for something slow, see Client.StepAside; guarded by mu
	hire    func()    // starts a worker; nil before Run; guarded by mu
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
	r.mu.Lock()
	r.hire = func() {
		r.workers++
		workers.Go(func() {
			for s := r.next(); s != nil; s = r.next() {
				s.runOne(ctx)
			}
		})
	}
	for range r.cfg.RequestWorkers {
		r.hire()
	}
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	r.stopped = true
	r.ready.Broadcast()
	r.mu.Unlock()
	workers.Wait()
	return nil
}

// next waits for a client with a request to run; nil means that the worker is not needed any more.
func (r *Router) next() *Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 || r.surplus() {
		if r.stopped && len(r.queue) == 0 || r.surplus() {
			r.workers--
			r.ready.Signal() // whoever woke this one up may have meant work
			return nil
		}
		r.idle++
		r.ready.Wait()
		r.idle--
	}
	s := r.queue[0]
	r.queue[0] = nil
	if r.queue = r.queue[1:]; len(r.queue) == 0 {
		r.queue = nil
	}
	return s
}

// surplus reports that more workers are at work than should be, since some came back. mu is held.
func (r *Router) surplus() bool { return r.workers-r.aside > r.cfg.RequestWorkers }

// staff starts a worker where clients wait because workers stepped aside. mu is held.
func (r *Router) staff() {
	if r.hire == nil || r.stopped || len(r.queue) <= r.idle || r.workers-r.aside >= r.cfg.RequestWorkers ||
		r.workers >= r.cfg.RequestWorkers+r.cfg.RequestsAsideMax {
		return
	}
	r.hire()
}

// Refused returns how many requests were refused because too many waited, and how many connections were to be closed because
// they sent too many bad messages.
func (r *Router) Refused() (requests, floods uint64) { return r.crowded.Load(), r.flooded.Load() }

// StepAside says that the request under way is about to wait for something slow that others may not need: until StepBack its
// worker does not count against request_workers, and requests_aside_max bounds how many workers there are more. Only a
// handler may call it, on the goroutine that it runs on. It does not block.
func (s *Client) StepAside() {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aside++
	r.staff()
}

// StepBack ends what StepAside began.
func (s *Client) StepBack() {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aside--
}

func (r *Router) enqueue(s *Client) {
	r.mu.Lock()
	r.queue = append(r.queue, s)
	r.staff()
	r.mu.Unlock()
	r.ready.Signal()
}

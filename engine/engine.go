// Package engine is the façade: it puts the packages below it together into one program that serves.
//
// Ownership: New opens and checks everything and starts nothing. Run owns every goroutine and ends them all before it
// returns. Reload, Publish and PublishEvent may be called by any goroutine while Run is under way.
package engine

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/feed"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/quota"
	"github.com/wse-engine/wse/engine/router"
	"github.com/wse-engine/wse/engine/store"
	"github.com/wse-engine/wse/engine/trading"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// Options is what an engine gets besides its configuration.
type Options struct {
	Log     hclog.Logger                   // nil: nothing is logged
	Version string                         // told to clients and shown by the admin API
	Dir     string                         // what relative paths of the configuration are relative to; "": the working directory
	File    string                         // the configuration file, to be watched; "": there is none
	Reread  func() (plugin.Configs, error) // reads the section plugins again for Reload; nil: the section stays as it was
}

// Engine is a running wse.
type Engine struct {
	cfg     Config
	opts    Options
	log     hclog.Logger
	started time.Time

	store      *store.Store
	auth       *auth.Auth
	login      *login
	classes    *broker.Classes
	cluster    *together // nil: there is one node
	broker     *carrier
	hub        *hub.Hub
	listeners  *feed.Listeners
	present    *roster
	plugins    *plugin.Host
	quota      *quota.Quota
	router     *router.Router
	feed       *feed.Feed
	strategies *strategies.Directory // nil, as are the two below: trading is switched off
	collector  *collection.Collector
	trading    *trading.Trading
	ingest     *ingest.Ingest
	conns      *conn.Server
	admin      *admin.Server
	forms      []dialect.Encoding

	ran       bool     // Run was called, and sees to the listeners
	watch     *watcher // nil: files are not watched
	reviewer  *reviewer
	refusals  refusals
	reloading sync.Mutex     // serialises changes of current
	current   plugin.Configs // in force; guarded by reloading
	draining  chan struct{}  // closed when the engine stops taking connections
	renewals  chan struct{}  // as many tokens are renewed by HTTP at a time as it has room for
}

// New opens what cfg names: the data directory, keys, plugins, listeners. It starts no goroutine. An error says what to
// change; it joins several where several things are wrong.
func New(cfg Config, opts Options) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	e := &Engine{cfg: cfg, opts: opts, log: opts.Log, forms: encodings(&cfg.Limits), started: time.Now(), draining: make(chan struct{})}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// open makes the parts in the order they depend on each other.
func (e *Engine) open() error {
	for _, step := range []func() error{e.openStore, e.openRedis, e.openQuota, e.openAuth, e.openPlugins, e.openConns, e.openNode, e.openBroker, e.openRouter, e.openAdmin} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// openStore opens the data directory for this engine alone.
func (e *Engine) openStore() (err error) {
	if err = openDataDir(e.cfg.DataDir); err == nil {
		e.store, err = store.Open(e.cfg.DataDir)
	}
	return err
}

// openDataDir makes the data directory and checks that it can be written to.
func openDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("data_dir: %s cannot be written to: %w", dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (e *Engine) openQuota() (err error) {
	e.quota, err = quota.New(e.cfg.Limits.Quota)
	return err
}

func (e *Engine) openAuth() (err error) {
	e.auth, err = auth.New(e.cfg.Auth, e.cfg.DataDir, auth.WithDir(e.opts.Dir),
		auth.WithFetchReport(func(_ int, err error) {
			if err != nil {
				e.log.Warn("fetching the key set failed; the keys known so far stay", "error", err)
			}
		}),
		e.refreshRecords(),
		auth.WithRefreshReports(func(user string) {
			e.log.Warn("a refresh token came twice, so it may be stolen; its family is revoked", "user", user)
		}, func(err error) {
			e.log.Error("refresh tokens that have run out cannot be forgotten", "error", err)
		}))
	if err != nil {
		return err
	}
	if e.cluster != nil && e.auth.Generated() {
		e.log.Warn("nodes share broker.redis, but auth names no key, so each generates its own: no other node takes its tokens; set auth.secret to the same on all")
	}
	if e.cfg.Auth.DevTokens {
		e.log.Warn("auth.dev_tokens is on: whoever reaches the listener is any user without a secret", "level", e.cfg.Auth.DevLevel)
	}
	// Half of the workers that upgrades need too.
	e.renewals = make(chan struct{}, max(1, e.cfg.Limits.AdmitWorkers/2))
	e.login, err = newLogin(e.auth, &e.cfg.Auth, e.cfg.Limits.Quota.SendersMax, e.log)
	return err
}

func (e *Engine) openConns() error {
	tlsConfig, err := e.loadTLS()
	if err != nil {
		return err
	}
	e.conns, err = conn.New(e.cfg.Limits.Config, e.cfg.Heartbeat, conn.Options{
		Addr: e.cfg.Listen, TLS: tlsConfig,
		Goroutines: e.cfg.Debug.Poller == PollerGoroutine, Origins: e.cfg.Origins,
		Gate: &gate{engine: e, echo: e.cfg.Debug.Echo}, HTTP: e.publicHTTP(), Log: e.log,
		Encodings: e.forms,
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := e.checkDevListener(); err != nil {
		return err
	}
	lanes := e.conns.Lanes()
	seams := make([]hub.Lane, len(lanes))
	for i, l := range lanes {
		seams[i] = l
	}
	e.hub = hub.New(seams, e.forms, hub.WithKeptBytes(e.cfg.Limits.CompressedMiBMax<<20))
	for i, w := range e.hub.Works() {
		lanes[i].Attach(w)
	}
	return nil
}

// checkDevListener looks at what was bound in the end: a name such as localhost is what the system makes of it.
func (e *Engine) checkDevListener() error {
	at, ok := e.conns.Addr().(*net.TCPAddr)
	if e.cfg.Auth.DevTokens && (!ok || !at.IP.IsLoopback()) {
		return fmt.Errorf("auth.dev_tokens: needs a listener on a loopback address; %q became %v", e.cfg.Listen, e.conns.Addr())
	}
	return nil
}

func (e *Engine) loadTLS() (*tls.Config, error) {
	if e.cfg.TLS.CertFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(e.path(e.cfg.TLS.CertFile), e.path(e.cfg.TLS.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

// path resolves a path of the configuration.
func (e *Engine) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(e.opts.Dir, name)
}

func (e *Engine) openBroker() (err error) {
	if e.classes, err = broker.CompileClasses(e.cfg.Topics); err != nil {
		return err
	}
	e.listeners = feed.NewListeners(e.hub, e.classes)
	if err = e.openCarrier(); err != nil {
		return err
	}
	return e.openIngest()
}

func (e *Engine) openRouter() error {
	var who feed.Roster // nil where no class has presence, so that clients are told that it is not offered
	if slices.ContainsFunc(e.cfg.Topics, func(c broker.Class) bool { return c.Presence }) {
		who = e.present
	}
	var err error
	e.feed, err = feed.New(e.cfg.Limits.Feed, e.cfg.ClientMessages, feed.Deps{
		Hub: e.hub, Broker: e.broker, Authorizer: authorizer{e.plugins}, Retention: retention{e.classes},
		Presence: e.present, Roster: who, Listeners: e.listeners,
	})
	if err != nil {
		return err
	}
	if err := e.openTrading(); err != nil {
		return err
	}
	routes := e.feed.Routes()
	routes.Admit = e.admit
	if e.trading != nil {
		routes.Trading = e.trading.Route
	} else {
		routes.Stream = nil
	}
	e.router, err = router.New(e.cfg.Limits.Router, routes, e.login, status{e}, e.log)
	return err
}

// Addr returns the address of the public listener, with the port that a configured zero stands for.
func (e *Engine) Addr() net.Addr { return e.conns.Addr() }

// AdminAddr returns the address of the admin listener.
func (e *Engine) AdminAddr() net.Addr { return e.admin.Addr() }

// Run serves until ctx is cancelled, then drains: no new connections, every client told and closed with 1012 over the
// configured jitter, queues flushed, at most limits.drain_timeout altogether. It is called once.
func (e *Engine) Run(ctx context.Context) error {
	e.ran = true
	// Parts outlive ctx so that a drain can use them; each group ends after those that depend on it.
	under, stopUnder := context.WithCancel(context.WithoutCancel(ctx))
	middle, stopMiddle := context.WithCancel(context.WithoutCancel(ctx))
	front, stopFront := context.WithCancel(context.WithoutCancel(ctx))
	defer stopUnder()
	defer stopMiddle()
	defer stopFront()
	var underneath, between, frontline sync.WaitGroup
	failed := make(chan error, 32)
	start := func(group *sync.WaitGroup, ctx context.Context, name string, run func(context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	start(&underneath, under, "broker", e.broker.run)
	start(&underneath, under, "auth", e.auth.Run)
	start(&underneath, under, "router", e.router.Run)
	start(&underneath, under, "presence", e.present.run)
	start(&underneath, under, "quota", e.quota.Run)
	start(&underneath, under, "failures", e.login.failures.Run)
	low, middling := e.cluster.runs()
	for name, run := range low {
		start(&underneath, under, name, run)
	}
	for name, run := range middling {
		start(&between, middle, name, run)
	}
	if e.trading != nil {
		start(&underneath, under, "collections", e.collector.Run)
		start(&underneath, under, "strategies", e.strategies.Run)
		start(&between, middle, "trading", e.trading.Run)
		start(&frontline, front, "health", e.tellHealth)
	}
	start(&frontline, front, "connections", e.conns.Run)
	start(&frontline, front, "review", e.reviewer.run)
	start(&frontline, front, "admin", e.admin.Run)
	if e.watch != nil {
		start(&frontline, front, "watch", e.watch.run)
	}
	e.tellPlugins()
	e.log.Info("serving", "listen", e.Addr().String(), "admin", e.AdminAddr().String(), "version", e.opts.Version)

	var err error
	select {
	case <-ctx.Done():
		e.drain(ctx)
	case err = <-failed:
		e.log.Error("stopping", "error", err)
	}
	stopFront()
	frontline.Wait()
	stopMiddle()
	between.Wait()
	stopUnder()
	underneath.Wait()
	e.log.Info("stopped")
	return errors.Join(err, e.close())
}

// drain lets every client go in its own time, within limits.drain_timeout.
func (e *Engine) drain(ctx context.Context) {
	close(e.draining)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Limits.DrainTimeout)
	defer cancel()
	_, gauges := e.conns.Stats()
	e.log.Info("draining", "connections", gauges.Connections, "timeout", e.cfg.Limits.DrainTimeout)
	e.catchUp(ctx)
	if err := e.conns.Drain(ctx, e.cfg.Limits.DrainJitter); err != nil {
		e.log.Warn("the drain ended before every client was gone", "error", err)
	}
}

// catchUpMax is how long clients who are to go may wait for what was published before.
const catchUpMax = time.Second

// catchUp waits until what was accepted before has come back from Redis, so that clients have it when they go. What does not come in
// time they recover at another node.
func (e *Engine) catchUp(ctx context.Context) {
	if e.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpMax)
	defer cancel()
	if err := e.cluster.broker.CatchUp(ctx); err != nil {
		e.log.Debug("what was published last may not have come before clients go; they recover it elsewhere", "error", err)
	}
}

// Close releases what New opened, for an engine that is not going to be run.
func (e *Engine) Close() error { return e.close() }

// close releases what New opened. It may be called with some of it missing.
func (e *Engine) close() error {
	var errs []error
	if e.conns != nil && !e.ran {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		errs = append(errs, e.conns.Run(over)) // closes what it opened, and has nothing else to do
	}
	if e.admin != nil && !e.ran {
		errs = append(errs, e.admin.Close())
	}
	if e.broker != nil {
		errs = append(errs, e.broker.close())
	}
	if e.cluster != nil {
		errs = append(errs, e.cluster.client.Close())
	}
	if e.plugins != nil {
		errs = append(errs, e.plugins.Close())
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	return errors.Join(errs...)
}

// Publish numbers an envelope and delivers it to its topic's subscribers.
func (e *Engine) Publish(ctx context.Context, env *message.Envelope) (ingest.Result, error) {
	return e.ingest.Publish(ctx, env)
}

// PublishEvent runs a domain event through the transform plugins and publishes what they make of it.
func (e *Engine) PublishEvent(ctx context.Context, ev *message.Event) ([]ingest.Result, error) {
	return e.ingest.PublishEvent(ctx, ev)
}

// defaultMapping is the stock mapping's configuration for an engine without a configuration file.
func defaultMapping(yaml []byte) json.RawMessage {
	raw, err := config.YAMLToJSON(yaml)
	if err != nil {
		panic(fmt.Sprintf("engine: configs/mappings.yaml is broken: %v", err)) // it is compiled in, and tested
	}
	return raw
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// Server is the admin listener. Use [New].
type Server struct {
	cfg     Config
	deps    Deps
	page    *page
	metrics *metrics
	handler http.Handler
	// working holds one for each candidate that is worked on, restoring one for each rollback and reload: whoever has to go
	// back is not to wait for uploads that crawl.
	working, restoring chan struct{}
	listener           net.Listener
	server             *http.Server
}

const headerBytesMax = 16 << 10

// New checks cfg and deps and opens the listener. What connects waits until [Server.Run]; a Server that is not run is to
// be closed.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := deps.check(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, deps: deps, page: newPage(), metrics: newMetrics(deps),
		working: make(chan struct{}, cfg.CandidatesMax), restoring: make(chan struct{}, cfg.CandidatesMax),
	}
	s.handler = s.guard(s.routes())
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin: cannot listen on %s: %w", cfg.Listen, err)
	}
	s.listener = limit(listener, cfg.ConnectionsMax)
	s.server = &http.Server{
		Handler: s.handler, ReadHeaderTimeout: cfg.HeaderTimeout, ReadTimeout: cfg.ReadTimeout, WriteTimeout: cfg.WriteTimeout,
		IdleTimeout: cfg.ReadTimeout, MaxHeaderBytes: headerBytesMax, ErrorLog: log.New(logWriter{deps.Log}, "", 0),
	}
	return s, nil
}

// check names what is missing.
func (d Deps) check() error {
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Interface && f.IsNil() && v.Type().Field(i).Tag.Get("of") != "cluster" {
			return fmt.Errorf("admin: deps lack %s", v.Type().Field(i).Name)
		}
	}
	return nil
}

// Addr returns where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Handler returns what the server serves, for a listener of somebody else's.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves until ctx ends, lets requests under way finish for shutdown_timeout, cuts what is left, and returns when
// nothing of it is running any more.
func (s *Server) Run(ctx context.Context) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s.server.BaseContext = func(net.Listener) context.Context { return requests }
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	err := s.server.Shutdown(wait)
	cut()
	if err != nil {
		_ = s.server.Close() // its error is the listener's, which is closed already
	}
	<-served
	return nil
}

// Close closes the listener of a server that is not run.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// logWriter hands net/http's own complaints to the log.
type logWriter struct{ log func(msg string, args ...any) }

// Write implements io.Writer.
func (w logWriter) Write(p []byte) (int, error) {
	if w.log != nil {
		w.log("admin: " + strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// limited is a listener with at most so many connections at a time.
type limited struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func limit(l net.Listener, most int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, most), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotted{Conn: c, free: func() { <-l.slots }}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// slotted is a connection that gives its slot back.
type slotted struct {
	net.Conn
	once sync.Once
	free func()
}

// Close implements net.Conn.
func (c *slotted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.free)
	return err
}

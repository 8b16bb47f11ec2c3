package conn

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/wse-engine/wse/engine/bounded"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/netpoll"
)

// Options are what a server needs beside its configuration.
type Options struct {
	Addr       string      // host:port to listen on
	TLS        *tls.Config // serve TLS; each connection then has a goroutine
	Goroutines bool        // a goroutine per connection without TLS too
	Loops      int         // how many lanes; 0: max(1, GOMAXPROCS-1)

	// Origins are the patterns of the Origin headers that are allowed: "https://example.com", "https://*.example.com",
	// "*". Empty: those whose host is the request's own. A request without an Origin header is always allowed.
	Origins []string
	// Encodings are what Admission.Encoding refers to.
	Encodings []dialect.Encoding
	Gate      Gate
	HTTP      http.Handler // answers requests that are no upgrade; nil: 404
	Log       hclog.Logger
	Tick      time.Duration // the resolution of all timers, default 250 ms
	Linger    time.Duration // how long a closed connection may take what was written still, default 1 s
}

// Server accepts connections and owns the lanes they live on.
type Server struct {
	cfg    Config
	beat   Heartbeat
	opts   Options
	log    hclog.Logger
	poller *netpoll.Poller
	addr   net.Addr
	lanes  []*Lane
	start  time.Time

	limits      limits
	frames      frame.Limits
	echoFrames  frame.Limits // of connections that echo
	partials    *frame.Budget
	queueBudget *frame.Budget
	cryptBudget *frame.Budget // for the frames that encrypted connections remember
	inflater    frame.Inflater
	deflater    frame.Deflater
	replyIDs    *message.IDSource
	origins     origins
	workers     workers

	// In ticks.
	idleTicks, beatTicks, stallTicks, recoverTicks, secondTicks uint32

	ctx         context.Context // of Run, for what handshakes wait for
	connections atomic.Int64
	handshakes  bounded.Count
	draining    atomic.Bool
	accepted    atomic.Uint64
	refused     atomic.Uint64
	upgraded    atomic.Uint64
	keysRefused atomic.Uint64

	emptyMu sync.Mutex
	empty   chan struct{} // closed when the last connection is gone, while somebody waits; guarded by emptyMu
}

// echoBytesMax is the largest message that is echoed: conformance suites go that far, and the endpoint is open to this
// machine only.
const echoBytesMax = 16 << 20

// echoLimits returns the limits of connections that echo: room for the largest message, or what was configured where that
// is below its default, so that the endpoint serves to try limits out too.
func echoLimits(cfg Config) frame.Limits {
	def := DefaultConfig()
	pick := func(kib, defKiB int) int64 {
		if kib < defKiB {
			return int64(kib) << 10
		}
		return max(echoBytesMax, int64(kib)<<10)
	}
	message := pick(cfg.MessageKiBMax, def.MessageKiBMax)
	return frame.Limits{
		FrameBytesMax: pick(cfg.FrameKiBMax, def.FrameKiBMax), MessageBytesMax: message, InflatedBytesMax: message,
	}
}

// limits are the bounds of outgoing queues in bytes.
type limits struct{ queueSoft, queueMax int }

// New checks the configuration and listens. Connections are accepted by Run.
func New(cfg Config, beat Heartbeat, opts Options) (*Server, error) {
	if err := errors.Join(cfg.Validate(), beat.Validate()); err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	if opts.Gate == nil || opts.Log == nil {
		return nil, errors.New("conn: Gate and Log must be set")
	}
	if opts.Tick <= 0 {
		opts.Tick = 250 * time.Millisecond
	}
	s := &Server{
		cfg: cfg, beat: beat, opts: opts, log: opts.Log, start: time.Now(),
		limits: limits{queueSoft: cfg.QueueKiBSoft << 10, queueMax: cfg.QueueKiBMax << 10},
		frames: frame.Limits{
			FrameBytesMax: int64(cfg.FrameKiBMax) << 10, MessageBytesMax: int64(cfg.MessageKiBMax) << 10,
			InflatedBytesMax: int64(cfg.MessageKiBMax) << 10, InflateRatioMax: int64(cfg.InflateRatioMax),
		},
		echoFrames:  echoLimits(cfg),
		partials:    frame.NewBudget(int64(cfg.PartialMiBMax) << 20),
		queueBudget: frame.NewBudget(int64(cfg.QueueMiBTotal) << 20),
		cryptBudget: frame.NewBudget(int64(cfg.EncryptedMiBTotal) << 20),
		replyIDs:    message.NewIDSource("msg"),
		ctx:         context.Background(),
	}
	s.workers.max = cfg.AdmitWorkers
	s.idleTicks, s.beatTicks = s.ticks(beat.IdleTimeout), s.ticks(beat.Interval)
	s.stallTicks, s.recoverTicks, s.secondTicks = s.ticks(cfg.StallTimeout), s.ticks(cfg.RecoverAfter), s.ticks(time.Second)
	var err error
	if s.origins, err = parseOrigins(opts.Origins); err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) listen() error {
	pc := netpoll.Config{
		Addr: s.opts.Addr, Loops: s.opts.Loops, Goroutines: s.opts.Goroutines, TLS: s.opts.TLS,
		NotSentLowatBytes: s.cfg.NotSentLowatKiB << 10, Tick: s.opts.Tick, Linger: s.opts.Linger, NotTLS: s.notTLS,
		AcceptFailed: (&acceptFaults{log: s.log}).failed,
	}
	var err error
	if s.poller, s.addr, err = netpoll.New(pc, s.accept, (*loops)(s)); err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	for i := range s.poller.Loops() {
		s.lanes = append(s.lanes, &Lane{
			srv: s, index: i, scratch: make([]byte, gatherBytes), seen: make(map[conflation]struct{}),
		})
	}
	return nil
}

// Run serves until ctx is done, then ends every connection and returns when nothing is left running. It is called once.
func (s *Server) Run(ctx context.Context) error {
	// Handshakes outlive ctx by a moment: their connections are closed first.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.ctx = work
	for _, l := range s.lanes {
		l.now.Store(s.tickAt(time.Now()))
	}
	err := s.poller.Run(ctx)
	cancel()
	s.workers.wait()
	for _, l := range s.lanes {
		l.stopHolding()
	}
	if err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	return nil
}

// Addr returns where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// OriginAllowed reports whether a page of the given origin may connect to host, or ask it by HTTP. No origin means that it is
// no browser.
func (s *Server) OriginAllowed(origin, host string) bool { return s.origins.allowed(origin, host) }

// Lanes returns the lanes, in the order of their indexes.
func (s *Server) Lanes() []*Lane { return s.lanes }

// Each calls f for every open connection until it returns false: for each whose client has been told anything that is not HTTP, and
// for those whose handler is being told that they have opened. Connections that open or close meanwhile may be missed.
func (s *Server) Each(f func(*Conn) bool) {
	for _, l := range s.lanes {
		l.mu.Lock()
		conns := make([]*Conn, 0, len(l.timers.conns))
		for _, c := range l.timers.conns {
			if c.out == outOpen && c.upgraded() {
				conns = append(conns, c)
			}
		}
		l.mu.Unlock()
		for _, c := range conns {
			if !f(c) {
				return
			}
		}
	}
}

// Totals are figures since the start.
type Totals struct {
	Accepted, Refused, Upgraded     uint64 // connections; refused are those closed before an upgrade was accepted
	MessagesSent, BytesSent, Writes uint64
	MessagesReceived, BytesReceived uint64
	Dropped                         Drops
	Overloaded                      Overloads
	Degraded, Silent, Lost          uint64 // connections: told so, closed with 4408, by the peer without a close frame
	KeysAgreed, KeysRefused         uint64 // key exchanges of encrypted connections
	Sealed, Opened                  uint64 // messages encrypted, decrypted
	// Messages that encrypted connections refused: not encrypted, not to be opened, seen before, of a key that has opened as
	// many as it may.
	NotSealed, Unreadable, Replayed, WornOut uint64
}

// Drops are publications that clients did not get because they were slow.
type Drops struct {
	Oldest    uint64 // over the soft limit, of classes that drop the oldest
	Conflated uint64 // replaced by a newer one with the same key
	Closed    uint64 // in the queues of connections closed with 4503
}

// Overloads are connections closed with 4503, by the limit that was exceeded.
type Overloads struct {
	Own     uint64 // queue_kib_max
	All     uint64 // queue_mib_total
	Stalled uint64 // stall_timeout
}

// Gauges are figures of this moment.
type Gauges struct {
	Connections, Handshakes, Stalled int
	QueuedBytes, PartialBytes        int64 // of stalled connections; of incomplete frames and messages
	Encrypted                        int   // connections
	EncryptedBytes                   int64 // for what encrypted connections remember, beyond what each has
}

// Stats returns the server's figures.
func (s *Server) Stats() (Totals, Gauges) {
	t := Totals{
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), Upgraded: s.upgraded.Load(), KeysRefused: s.keysRefused.Load(),
	}
	g := Gauges{
		Connections: int(s.connections.Load()), Handshakes: int(s.handshakes.Load()),
		QueuedBytes: s.queueBudget.Used(), PartialBytes: s.partials.Used(), EncryptedBytes: s.cryptBudget.Used(),
	}
	for _, l := range s.lanes {
		l.mu.Lock()
		o := l.totals
		g.Stalled += len(l.stalled)
		g.Encrypted += l.encrypted
		l.mu.Unlock()
		t.MessagesSent += o.MessagesSent
		t.BytesSent += o.BytesSent
		t.Writes += o.Writes
		t.Dropped.Oldest += o.Dropped.Oldest
		t.Dropped.Conflated += o.Dropped.Conflated
		t.Dropped.Closed += o.Dropped.Closed
		t.Degraded += o.Degraded
		t.Overloaded.Own += o.Overloaded.Own
		t.Overloaded.All += o.Overloaded.All
		t.Overloaded.Stalled += o.Overloaded.Stalled
		t.Silent += o.Silent
		t.Lost += o.Lost
		t.KeysAgreed += o.KeysAgreed
		t.Sealed += o.Sealed
		t.Opened += l.crypts.opened.Load()
		t.NotSealed += l.crypts.notSealed.Load()
		t.Unreadable += l.crypts.unreadable.Load()
		t.Replayed += l.crypts.replayed.Load()
		t.WornOut += l.crypts.wornOut.Load()
		t.MessagesReceived += l.received.Load()
		t.BytesReceived += l.receivedBytes.Load()
	}
	return t, g
}

// ticks returns d in ticks, rounded up.
func (s *Server) ticks(d time.Duration) uint32 {
	return uint32((d + s.opts.Tick - 1) / s.opts.Tick)
}

// tickAt returns the last tick that is not after t.
func (s *Server) tickAt(t time.Time) uint32 {
	d := t.Sub(s.start)
	if d <= 0 {
		return 0
	}
	return uint32(min(d/s.opts.Tick, never-2))
}

func (s *Server) elapsedMS() uint32 { return uint32(time.Since(s.start).Milliseconds()) }

// fill gives a reply of this package an id and the time.
func (s *Server) fill(r *message.Reply) {
	if r.ID == "" {
		r.ID = s.replyIDs.Next()
	}
	if r.TimeMS == 0 {
		r.TimeMS = time.Now().UnixMilli()
	}
}

// loops is the Server as package netpoll's Worker.
type loops Server

var _ netpoll.Worker = (*loops)(nil)

// Work implements netpoll.Worker.
func (s *loops) Work(loop int) { s.lanes[loop].run() }

// Tick implements netpoll.Worker.
func (s *loops) Tick(loop int, now time.Time) { s.lanes[loop].tick(now) }

// accept makes the Conn of a new connection.
func (s *Server) accept(sock netpoll.Socket, remote netip.AddrPort, loop int) netpoll.Handler {
	var id [8]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails
	l := s.lanes[loop]
	c := &Conn{
		lane: l, sock: sock, remote: remote, id: binary.BigEndian.Uint64(id[:]), index: -1,
		sinceMS: time.Now().UnixMilli(), secure: s.opts.TLS != nil,
	}
	s.accepted.Add(1)
	open := s.connections.Add(1)
	c.handshake.Store(&handshake{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timers.add(c)
	switch {
	case s.draining.Load():
		l.refuse(c, http.StatusServiceUnavailable, "the server is shutting down")
	case open > int64(s.cfg.ConnectionsMax):
		l.refuse(c, http.StatusServiceUnavailable, "too many connections")
	default:
		l.beginHandshake(c)
	}
	return (*wire)(c)
}

// closed is called when a connection is gone. The lane's lock is not held.
func (s *Server) closed(c *Conn) {
	l := c.lane
	l.mu.Lock()
	if c.out == outOpen && c.code == 0 && c.upgraded() {
		l.totals.Lost++
	}
	c.out = outDone
	c.closing.Store(true)
	c.pending = nil
	if c.crypt.Load() != nil {
		l.encrypted--
	}
	if c.backlog != nil {
		c.backlog.tail = nil
		c.backlog.discard()
		l.relieve(c)
	}
	l.endHandshake(c)
	l.timers.remove(c)
	l.mu.Unlock()
	if s.connections.Add(-1) == 0 && s.draining.Load() {
		s.signalEmpty()
	}
}

func (s *Server) signalEmpty() {
	s.emptyMu.Lock()
	defer s.emptyMu.Unlock()
	if s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// drainSteps is how many batches a drain closes connections in.
const drainSteps = 50

// Drain stops accepting and closes all connections with 1012, in batches spread over window. Each is told first, with a
// connection_state_change, to come back within window. It returns when all are gone, or with ctx's error. Run goes on.
func (s *Server) Drain(ctx context.Context, window time.Duration) error {
	s.emptyMu.Lock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.emptyMu.Unlock()
	s.draining.Store(true)
	s.poller.StopAccepting()
	var conns []*Conn
	for _, l := range s.lanes {
		l.mu.Lock()
		conns = append(conns, l.timers.conns...)
		l.mu.Unlock()
	}
	ticker := time.NewTicker(max(window/drainSteps, time.Millisecond))
	defer ticker.Stop()
	batch := (len(conns) + drainSteps - 1) / drainSteps
	for len(conns) > 0 {
		n := min(batch, len(conns))
		for _, c := range conns[:n] {
			c.restart(window)
		}
		if conns = conns[n:]; len(conns) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	if s.connections.Load() == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-empty:
		return nil
	}
}

// restart sends a client away, to come back.
func (c *Conn) restart(window time.Duration) {
	l := c.lane
	l.mu.Lock()
	if l.work != nil {
		l.work.Run(false) // what was published before the drain is queued before the close
	}
	hs := c.handshake.Load()
	waiting := hs != nil && !hs.opened
	switch {
	case !waiting:
	case hs.answered:
		hs.leave = func() { c.restart(window) }
	default:
		l.refuse(c, http.StatusServiceUnavailable, "the server is shutting down")
	}
	before := c.state()
	l.mu.Unlock()
	if waiting {
		return
	}
	var notice *message.Reply
	if !c.echo {
		notice = &message.Reply{Body: &message.StateChange{
			OldState: before, NewState: "reconnecting", Reason: "the server is restarting", RetryAfterMS: window.Milliseconds(),
		}}
	}
	c.CloseWith(notice, codeRestart, "the server is restarting")
}

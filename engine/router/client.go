package router

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// Peer is the connection of a client. Its methods do not block and may be called by any goroutine, also after the
// connection has closed, when they do nothing. SetDeadline makes the connection report back at about that time.
type Peer interface {
	Send(r *message.Reply)
	CloseWith(r *message.Reply, code uint16, reason string)
	SetDeadline(t time.Time)
}

// Describer tells what a connection is and did.
type Describer interface {
	Describe() Description
	Dialect() dialect.Dialect
}

// Description is a connection's own data.
type Description struct {
	ID       string
	Dialect  string // the name of the protocol
	Remote   netip.AddrPort
	State    string
	Since    time.Time
	Counters message.ConnectionCounters

	Compressed  bool // large messages to the client are
	MessagePack bool // messages to the client are
}

// LockedSender queues a reply from inside hub.Member.Do.
type LockedSender interface {
	SendLocked(level message.Level, r *message.Reply)
}

// Encrypter agrees on a key with the client, whose public key is base64 as it was sent. hello makes the answer that tells the
// client the connection's own; whatever is sent after it is encrypted, and what comes must be. The error is a *message.Error.
type Encrypter interface {
	Encrypt(clientKey string, hello func(serverKey string) *message.Reply) error
}

// Sender is both of them.
type Sender interface {
	LockedSender
	Encrypter
}

// Connection is what a client needs of a connection.
type Connection interface {
	Peer
	Describer
	Sender
}

// Client is one connection as the protocol sees it. There is one for each connection, so its size counts.
type Client struct {
	// Conn is the connection. Fixed.
	Conn Connection
	// Member holds the connection's subscriptions. It is touched only by handlers, which never overlap.
	Member hub.Member
	// Encryption says that the client wants to agree on a key. It is set before anything is handled, and fixed then.
	Encryption bool

	router   *Router
	identity atomic.Pointer[auth.Identity]

	seen *filter // ids seen; the reading goroutine's
	bad  flood   // bad messages; the reading goroutine's

	mu       sync.Mutex
	running  bool                // a worker has the client, or will; guarded by mu
	closed   bool                // guarded by mu
	expiring bool                // AUTH_EXPIRED was sent; guarded by mu
	pending  *[]*message.Request // nil when there are none; the first is running where running is true; guarded by mu
}

// Open makes s the client of a connection that was admitted as identity. s is the caller's, so that a client can be a
// part of something larger; it must not be copied. Once Identity is not nil the rest is there too, for other goroutines.
func (r *Router) Open(s *Client, c Connection, member hub.Member, identity *auth.Identity) {
	s.Conn, s.Member, s.router = c, member, r
	s.identity.Store(identity)
	if identity.ExpiresMS > 0 {
		c.SetDeadline(time.UnixMilli(identity.ExpiresMS))
	}
}

// Identity returns who the connection belongs to. It may change when the client renews its token, never its user.
func (s *Client) Identity() *auth.Identity { return s.identity.Load() }

// Reply sends an answer to req.
func (s *Client) Reply(req *message.Request, body message.ReplyBody) {
	s.Conn.Send(&message.Reply{CID: req.ReplyCID(), Body: body})
}

// Fail sends an error. What is foreign in it goes to the log and not to the client. req may be nil.
func (s *Client) Fail(req *message.Request, err error) {
	e := message.AsError(err)
	reply := &message.Reply{Body: &message.Failure{Err: e}}
	kind := ""
	if req != nil {
		reply.CID, kind = req.ReplyCID(), req.Type
	}
	if e.Code == message.CodeInternal || e.Err != nil {
		s.router.log.Warn("request failed", "connection", s.Conn.Describe().ID, "request", kind, "error", err)
	}
	s.Conn.Send(reply)
}

// Warn tells the client that it comes near the limit whose refusal err would be. req may be nil.
func (s *Client) Warn(req *message.Request, err *message.Error) {
	reply := &message.Reply{Body: &message.Failure{Err: err, Warning: true}}
	if req != nil {
		reply.CID = req.ReplyCID()
	}
	s.Conn.Send(reply)
}

// Handle takes a message as its dialect decoded it, or the error of decoding it. Only the connection's reading goroutine
// calls it; it does not block.
func (s *Client) Handle(req *message.Request, err error) {
	if err != nil {
		s.Fail(req, err)
		if s.bad.count(s.router.cfg.BadMessagesPerMinute, time.Now()) {
			s.router.flooded.Add(1)
			s.Conn.CloseWith(nil, dialect.CloseBadMessages, "too many invalid messages")
		}
		return
	}
	if req.ID == "" || s.router.cfg.DedupIDs == 0 {
		s.accept(req)
		return
	}
	if s.seen == nil {
		s.seen = newFilter(s.router.cfg.DedupIDs)
	}
	// One that is refused because too many wait may come again.
	if id := s.seen.hash(req.ID); !s.seen.has(id) && s.accept(req) {
		s.seen.add(id)
	}
}

// accept answers a request, or sees to it that a worker does, and reports whether it was taken.
func (s *Client) accept(req *message.Request) bool {
	switch body := req.Body.(type) {
	case *message.Heartbeat:
	case *message.Ping:
		s.pong(req, body)
	default:
		return s.submit(req)
	}
	return true
}

// submit queues a request for a worker and reports whether there was room.
func (s *Client) submit(req *message.Request) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return true
	}
	if s.pending != nil && len(*s.pending) >= s.router.cfg.RequestsPendingMax {
		s.mu.Unlock()
		s.router.crowded.Add(1)
		s.Fail(req, message.Errorf(message.CodeRateLimited,
			"%d requests are waiting; send the next after an answer", s.router.cfg.RequestsPendingMax))
		return false
	}
	start := s.add(req)
	s.mu.Unlock()
	if start {
		s.router.enqueue(s)
	}
	return true
}

// Review has the client's subscriptions looked at again, behind the requests that wait. It does not block. One that waits
// already is widened instead: it asks about everything then.
func (s *Client) Review(r *message.Review) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	if s.pending != nil {
		for i, waiting := range (*s.pending)[1:] { // the first is running
			if _, ok := waiting.Body.(*message.Review); ok {
				(*s.pending)[i+1] = &message.Request{Body: r.Everything()}
				s.mu.Unlock()
				return
			}
		}
	}
	start := s.add(&message.Request{Type: "review", Body: r})
	s.mu.Unlock()
	if start {
		s.router.enqueue(s)
	}
}

// Closed ends the client once the requests under way are done. It is called once, when the connection is gone.
func (s *Client) Closed() {
	s.mu.Lock()
	s.closed = true
	start := s.add(nil) // nil stands for the end
	s.mu.Unlock()
	if start {
		s.router.enqueue(s)
	}
}

// add appends a request and reports whether no worker knows of the client yet. mu is held.
func (s *Client) add(req *message.Request) (start bool) {
	if s.pending == nil {
		s.pending = new([]*message.Request)
	}
	*s.pending = append(*s.pending, req)
	start = !s.running
	s.running = true
	return start
}

// runOne runs the client's next request and puts the client back in the queue when there are more.
func (s *Client) runOne(ctx context.Context) {
	s.mu.Lock()
	req := (*s.pending)[0]
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, s.router.cfg.RequestTimeout)
	s.serve(ctx, req)
	cancel()

	s.mu.Lock()
	(*s.pending)[0] = nil
	*s.pending = (*s.pending)[1:]
	more := len(*s.pending) > 0
	if !more {
		s.pending, s.running = nil, false
	}
	s.mu.Unlock()
	if more {
		s.router.enqueue(s)
	}
}

// serve runs one request; nil is the end of the client. A panic is a bug of ours: it ends this connection only.
func (s *Client) serve(ctx context.Context, req *message.Request) {
	defer func() {
		if p := recover(); p != nil {
			s.router.log.Error("panic in a request handler", "connection", s.Conn.Describe().ID, "panic", p, "stack", stack())
			s.Conn.CloseWith(nil, dialect.CloseInternal, "internal error")
		}
	}()
	if req == nil {
		if f := s.router.routes.Closed; f != nil {
			if err := f(context.WithoutCancel(ctx), s, nil); err != nil {
				s.router.log.Error("closing a client", "connection", s.Conn.Describe().ID, "error", err)
			}
		}
		return
	}
	if err := s.dispatch(ctx, req); err != nil {
		s.Fail(req, err)
	}
}

// Deadline is called at about the time set on the connection: when the token has run out, and again when the time to
// renew it is over.
func (s *Client) Deadline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := time.Until(time.UnixMilli(s.Identity().ExpiresMS)); left > 0 {
		s.expiring = false
		s.Conn.SetDeadline(time.Now().Add(left))
		return
	}
	grace := s.router.cfg.AuthGrace
	if s.expiring || grace == 0 {
		s.Conn.CloseWith(&message.Reply{Body: &message.Failure{Err: message.Errorf(message.CodeAuthExpired,
			"the token has run out and was not renewed")}}, dialect.CloseUnauthorized, "token expired")
		return
	}
	s.expiring = true
	s.Conn.SetDeadline(time.Now().Add(grace))
	s.Conn.Send(&message.Reply{Body: &message.Failure{Err: message.Errorf(message.CodeAuthExpired,
		"the token has run out; send auth with a new one within %s", grace)}})
}

// renew takes over the identity of a new token.
func (s *Client) renew(identity *auth.Identity) {
	s.mu.Lock()
	s.identity.Store(identity)
	s.expiring = false
	s.mu.Unlock()
	s.Conn.SetDeadline(time.UnixMilli(identity.ExpiresMS))
}

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

	// asked is the client's request that a worker has, until its answer is on its way: it no longer counts then, since the
	// client may send the next before the worker is back.
	asked   atomic.Pointer[message.Request]
	waiting atomic.Int32 // the client's requests without an answer; only the reading goroutine adds

	mu       sync.Mutex
	running  bool    // a worker has the client, or will; guarded by mu
	closed   bool    // guarded by mu
	expiring bool    // AUTH_EXPIRED was sent; guarded by mu
	pending  *[]task // nil when there are none; the first is running where running is true; guarded by mu
}

// task is something a worker does for a client.
type task struct {
	req   *message.Request // nil is the end of the client
	asked bool             // by the client, who waits for an answer
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

// Identity returns who the connection belongs to, an anonymous one where nobody has logged in. It may change when the client
// renews its token, never its user; once Closed was called it does not change any more.
func (s *Client) Identity() *auth.Identity { return s.identity.Load() }

// Reply sends an answer to req.
func (s *Client) Reply(req *message.Request, body message.ReplyBody) {
	s.answered(req)
	s.Conn.Send(&message.Reply{CID: req.ReplyCID(), Body: body})
}

// ReplyLocked queues an answer to req from inside Member.Do.
func (s *Client) ReplyLocked(req *message.Request, body message.ReplyBody) {
	s.ReplyLockedAt(message.Critical, req, body)
}

// ReplyLockedAt is ReplyLocked for an answer that must not overtake what is queued at a level, or above it.
func (s *Client) ReplyLockedAt(level message.Level, req *message.Request, body message.ReplyBody) {
	s.answered(req)
	s.Conn.SendLocked(level, &message.Reply{CID: req.ReplyCID(), Body: body})
}

// answered makes room for the client's next request, before it can know that req has its answer. It takes no lock.
func (s *Client) answered(req *message.Request) {
	if req != nil && s.asked.CompareAndSwap(req, nil) {
		s.waiting.Add(-1)
	}
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
	s.answered(req)
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

// submit queues a request of the client for a worker and reports whether there was room.
func (s *Client) submit(req *message.Request) bool {
	if int(s.waiting.Load()) >= s.router.cfg.RequestsPendingMax {
		s.router.crowded.Add(1)
		s.Fail(req, message.Errorf(message.CodeRateLimited,
			"%d requests are waiting; send the next after an answer", s.router.cfg.RequestsPendingMax))
		return false
	}
	s.waiting.Add(1)
	s.queue(task{req, true})
	return true
}

// Assign has a subscription made that the client did not send a request for: its token or its upgrade request asked for it.
// It does not block, and is no request that waits.
func (s *Client) Assign(body *message.Subscribe) {
	s.queue(task{req: &message.Request{Type: "subscription_update", Body: body}})
}

// queue has a worker do something, unless the client is gone.
func (s *Client) queue(t task) {
	s.mu.Lock()
	start := !s.closed && s.add(t)
	s.mu.Unlock()
	if start {
		s.router.enqueue(s)
	}
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
			if _, ok := waiting.req.Body.(*message.Review); ok {
				(*s.pending)[i+1].req = &message.Request{Type: "review", Body: r.Everything()}
				s.mu.Unlock()
				return
			}
		}
	}
	start := s.add(task{req: &message.Request{Type: "review", Body: r}})
	s.mu.Unlock()
	if start {
		s.router.enqueue(s)
	}
}

// Closed ends the client once the requests under way are done. It is called once, when the connection is gone.
func (s *Client) Closed() {
	s.mu.Lock()
	s.closed = true
	start := s.add(task{})
	s.mu.Unlock()
	if start {
		s.router.enqueue(s)
	}
}

// add appends a task and reports whether no worker knows of the client yet. mu is held.
func (s *Client) add(t task) (start bool) {
	if s.pending == nil {
		s.pending = new([]task)
	}
	*s.pending = append(*s.pending, t)
	start = !s.running
	s.running = true
	return start
}

// runOne does the client's next task and puts the client back in the queue when there are more.
func (s *Client) runOne(ctx context.Context) {
	s.mu.Lock()
	next := (*s.pending)[0]
	s.mu.Unlock()

	if next.asked {
		s.asked.Store(next.req)
	}
	ctx, cancel := context.WithTimeout(ctx, s.router.cfg.RequestTimeout)
	s.serve(ctx, next.req)
	cancel()
	s.answered(next.req) // one that needs no answer is done now

	s.mu.Lock()
	(*s.pending)[0] = task{}
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
// renew it is over; where there is none, when the time to log in is.
func (s *Client) Deadline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Identity().Anonymous() {
		s.Conn.CloseWith(&message.Reply{Body: &message.Failure{Err: message.Errorf(message.CodeAuthRequired,
			"nobody has logged in on this connection in time; send auth with a token right after connecting")}},
			dialect.CloseUnauthorized, "no login")
		return
	}
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

// logIn makes the connection a user's, unless it is closed or he may not have it. Whoever is told that it is closed finds
// him in Identity exactly where Admit let him in.
func (s *Client) logIn(identity *auth.Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return message.Errorf(message.CodeUnavailable, "the connection is closed")
	}
	if admit := s.router.routes.Admit; admit != nil {
		if err := admit(s, identity.UserID); err != nil {
			return err
		}
	}
	s.identity.Store(identity)
	s.Conn.SetDeadline(time.UnixMilli(identity.ExpiresMS))
	return nil
}

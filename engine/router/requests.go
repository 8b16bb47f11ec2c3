package router

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

func stack() string { return string(debug.Stack()) }

// dispatch answers one request. It runs on a worker, except for pings and heartbeats, which Handle answers itself.
func (s *Client) dispatch(ctx context.Context, req *message.Request) error {
	if err := s.Identity().Permit(req.Body); err != nil {
		return err
	}
	routes := &s.router.routes
	switch body := req.Body.(type) {
	case *message.Hello:
		return s.greet(req, body)
	case *message.Authenticate:
		return s.authenticate(ctx, req, body)
	case *message.RefreshToken:
		return s.refresh(ctx, req, body)
	case *message.Subscribe:
		return s.call(ctx, routes.Subscribe, req)
	case *message.Sync:
		return s.call(ctx, routes.Sync, req)
	case *message.PresenceRequest:
		return s.call(ctx, routes.Presence, req)
	case *message.PresenceUpdate:
		return s.call(ctx, routes.PresenceUpdate, req)
	case *message.Publish:
		return s.call(ctx, routes.Publish, req)
	case *message.Review:
		return s.call(ctx, routes.Review, req)
	case *message.StreamRequest:
		return s.offered(ctx, routes.Stream, req)
	case *message.SessionStart, *message.SessionChange, *message.SessionQuery, *message.ResultsRequest, *message.StrategiesRequest,
		*message.StrategyActivation, *message.StrategyQuery, *message.StrategyConfig, *message.CollectionStart, *message.CollectionStop,
		*message.CollectionQuery:
		return s.offered(ctx, routes.Trading, req)
	case *message.Handshake:
		s.Reply(req, &message.HandshakeAck{ConnectionID: s.Conn.Describe().ID, ServerTimeMS: time.Now().UnixMilli()})
		return nil
	case *message.Batch:
		return s.batch(ctx, req, body)
	case *message.StateRequest:
		s.Reply(req, s.state())
		return nil
	case *message.HealthCheck:
		health := s.router.status.Health()
		s.Reply(req, &health)
		return nil
	case *message.MetricsRequest:
		s.Reply(req, &message.Metrics{Counters: s.Conn.Describe().Counters})
		return nil
	case *message.Ping:
		s.pong(req, body)
		return nil
	case *message.Heartbeat:
		return nil
	default:
		return unknownType(req)
	}
}

func (s *Client) call(ctx context.Context, f HandlerFunc, req *message.Request) error {
	if f == nil {
		return unknownType(req)
	}
	return f(ctx, s, req)
}

// offered calls a handler of a request that protocol v1 knows, whether or not it is served here.
func (s *Client) offered(ctx context.Context, f HandlerFunc, req *message.Request) error {
	if f == nil {
		return message.Errorf(message.CodeRoutingError, "%s is switched off here", message.Cut(req.Type, 64))
	}
	return f(ctx, s, req)
}

func unknownType(req *message.Request) error {
	return message.Errorf(message.CodeUnknownType, "no handler for messages of type %q", message.Cut(req.Type, 64))
}

func (s *Client) pong(req *message.Request, ping *message.Ping) {
	s.Reply(req, &message.Pong{
		ClientTimestamp: ping.ClientTimestamp,
		ServerTimestamp: time.Now().UnixMilli(),
		ConnectionID:    s.Conn.Describe().ID,
	})
}

// features are what the connection has of what protocol v2 offers.
func (s *Client) features() message.Features {
	d := s.Conn.Describe()
	return message.Features{
		PriorityQueue: true, Recovery: true, Batching: true, Compression: d.Compressed, MessagePack: d.MessagePack,
		Encryption: s.Encryption, Presence: s.router.routes.Presence != nil,
	}
}

// Ready returns the greeting of the connection.
func (s *Client) Ready(heartbeat, idle, jitter time.Duration) *message.Ready {
	return &message.Ready{
		ConnectionID: s.Conn.Describe().ID, UserID: s.Identity().UserID, ServerTimeMS: time.Now().UnixMilli(),
		Features: s.features(), HeartbeatMS: heartbeat.Milliseconds(), IdleTimeoutMS: idle.Milliseconds(),
		ReconnectJitterMS: jitter.Milliseconds(),
	}
}

// greet answers a hello. With a key in it, on a connection that asked for encryption, nothing leaves in the clear after it.
func (s *Client) greet(req *message.Request, body *message.Hello) error {
	if body.PublicKey == "" || !s.Encryption {
		s.Reply(req, s.hello(""))
		return nil
	}
	return s.Conn.Encrypt(body.PublicKey, func(serverKey string) *message.Reply {
		s.answered(req)
		return &message.Reply{CID: req.ReplyCID(), Body: s.hello(serverKey)}
	})
}

// hello answers a hello; serverKey is empty where no key was agreed on.
func (s *Client) hello(serverKey string) *message.HelloAnswer {
	limits := s.router.status.Limits()
	if serverKey == "" {
		limits.EncryptedMessagesMax = 0
	}
	return &message.HelloAnswer{
		ServerVersion: s.router.status.Version(), ConnectionID: s.Conn.Describe().ID,
		ServerTimeMS: time.Now().UnixMilli(), Features: s.features(), Limits: limits, PublicKey: serverKey,
	}
}

func (s *Client) state() *message.State {
	d := s.Conn.Describe()
	identity := s.Identity()
	return &message.State{
		ConnectionID: d.ID, UserID: identity.UserID, State: d.State, ConnectedMS: d.Since.UnixMilli(),
		Topics: s.Member.Topics(), ExpiresMS: identity.ExpiresMS,
	}
}

// authenticate makes the connection a user's, or renews its identity: then the token must be the same user's, since
// subscriptions are his.
func (s *Client) authenticate(ctx context.Context, req *message.Request, body *message.Authenticate) error {
	before := s.Identity()
	identity, err := s.router.verifier.Verify(ctx, s.Conn.Describe().Remote.Addr(), body.Token)
	switch {
	case err != nil && before.Anonymous():
		return err
	case err != nil:
		return notRenewed(err)
	case before.Anonymous():
		if err := s.logIn(identity); err != nil {
			return err
		}
	case identity.UserID != before.UserID:
		return message.Errorf(message.CodeAuthFailed, "the token belongs to another user; open a connection of its own for it")
	default:
		s.renew(identity)
	}
	if f := s.router.routes.Renewed; f != nil {
		if err := f(ctx, s, req); err != nil {
			return err
		}
	}
	s.Reply(req, &message.Authenticated{
		UserID: identity.UserID, ExpiresMS: identity.ExpiresMS, Permissions: identity.Permissions.AppendNames(nil),
	})
	return nil
}

// refresh answers with a new pair of tokens. The connection's identity stays as it is until auth shows one of them.
func (s *Client) refresh(ctx context.Context, req *message.Request, body *message.RefreshToken) error {
	access, refresh, expiresIn, err := s.router.verifier.Refresh(ctx, s.Conn.Describe().Remote.Addr(), body.Token)
	if err != nil {
		return err
	}
	s.Reply(req, &message.TokenRefreshed{AccessToken: access, RefreshToken: refresh, ExpiresIn: expiresIn})
	return nil
}

// notRenewed is why a token does not renew: to who has one already, none and one that ran out are bad ones.
func notRenewed(err error) error {
	switch e := message.AsError(err); e.Code {
	case message.CodeAuthRequired:
		return message.Errorf(message.CodeAuthFailed, "p.token must be a new token of the same user")
	case message.CodeAuthExpired:
		return message.Errorf(message.CodeAuthFailed, "%s", e.Message)
	}
	return err
}

// batch handles several messages in order. Each gets its own answer; the result tells which were refused.
func (s *Client) batch(ctx context.Context, req *message.Request, body *message.Batch) error {
	if n, limit := max(len(body.Messages), body.TooMany), s.router.cfg.BatchMessagesMax; n > limit || body.TooMany > 0 {
		return message.Errorf(message.CodeInvalidMessage, "p.messages: %d messages, at most %d are allowed", n, limit)
	}
	result := &message.BatchResult{Results: make([]message.BatchItem, 0, len(body.Messages))}
	for _, one := range body.Messages {
		item, err := message.BatchItem{ID: one.Request.ID}, one.Err
		if err == nil {
			err = s.dispatch(ctx, one.Request)
		}
		if err != nil {
			item.Err = message.AsError(err)
		}
		result.Results = append(result.Results, item)
	}
	s.Reply(req, result)
	return nil
}

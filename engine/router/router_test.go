package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// peer records what a client does with its connection.
type peer struct {
	mu       sync.Mutex
	sent     []*message.Reply
	code     uint16
	deadline time.Time
	onSend   func(r *message.Reply) // what the client does about it, at once; nil: nothing
}

func (p *peer) Send(r *message.Reply) {
	p.mu.Lock()
	p.sent = append(p.sent, r)
	p.mu.Unlock()
	if p.onSend != nil {
		p.onSend(r)
	}
}

func (p *peer) SendLocked(_ message.Level, r *message.Reply) { p.Send(r) }

func (p *peer) CloseWith(r *message.Reply, code uint16, _ string) {
	if r != nil {
		p.Send(r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.code = code
}

func (p *peer) SetDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
}

func (p *peer) Encrypt(clientKey string, hello func(serverKey string) *message.Reply) error {
	if clientKey == "bad" {
		return message.Errorf(message.CodeKeyExchangeFailed, "no key")
	}
	p.Send(hello("key for " + clientKey))
	return nil
}

func (p *peer) Describe() Description { return Description{ID: "c1", State: "connected"} }

// errorsSent returns the codes of the errors sent so far.
func (p *peer) errorsSent() (codes []message.Code) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.sent {
		if f, ok := r.Body.(*message.Failure); ok {
			codes = append(codes, f.Err.Code)
		}
	}
	return codes
}

// tokens knows tokens of the form user:seconds.
type tokens struct{}

func (tokens) Verify(_ context.Context, _ netip.Addr, token string) (*auth.Identity, error) {
	user, life, ok := strings.Cut(token, ":")
	seconds, err := strconv.Atoi(life)
	if !ok || err != nil {
		return nil, message.Errorf(message.CodeAuthFailed, "bad token")
	}
	return &auth.Identity{UserID: user, ExpiresMS: time.Now().Add(time.Duration(seconds) * time.Second).UnixMilli()}, nil
}

// Refresh knows refresh tokens of the form refresh:user.
func (tokens) Refresh(_ context.Context, _ netip.Addr, token string) (access, refresh string, expiresIn time.Duration, err error) {
	user, ok := strings.CutPrefix(token, "refresh:")
	if !ok {
		return "", "", 0, message.Errorf(message.CodeAuthFailed, "bad token")
	}
	return user + ":60", token + "+", time.Minute, nil
}

type status struct{}

func (status) Health() message.Health { return message.Health{Status: "ok"} }
func (status) Limits() message.ConnectionLimits {
	return message.ConnectionLimits{TopicsMax: 7, MessageBytesMax: 1000}
}
func (status) Version() string { return "test" }

// start runs a router inside a synctest bubble and returns a client of user u1 whose token lasts an hour.
func start(t *testing.T, cfg Config, routes Routes) (*Client, *peer) {
	t.Helper()
	r, err := New(cfg, routes, tokens{}, status{}, hclog.NewNullLogger())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	p := &peer{}
	identity, _ := tokens{}.Verify(ctx, netip.Addr{}, "u1:3600")
	s := &Client{}
	r.Open(s, p, hub.Member{}, identity)
	return s, p
}

func publish(kind, id string) *message.Request {
	return &message.Request{Type: kind, ID: id, Body: &message.Publish{}}
}

func batch(requests ...*message.Request) *message.Batch {
	b := &message.Batch{}
	for _, r := range requests {
		b.Messages = append(b.Messages, message.Batched{Request: r})
	}
	return b
}

func TestRequestsOfAClientRunOneAtATimeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		s, _ := start(t, DefaultConfig(), Routes{Publish: func(_ context.Context, _ *Client, req *message.Request) error {
			time.Sleep(time.Millisecond) // the bubble's clock: lets every other worker run if it could
			order = append(order, req.ID)
			return nil
		}})
		var want []string
		for i := range 40 {
			want = append(want, strconv.Itoa(i))
			s.Handle(publish("x", strconv.Itoa(i)), nil)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, want, order)
	})
}

func TestARepeatedIDIsIgnoredAndForgottenAfterTheLastThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		cfg := DefaultConfig()
		cfg.DedupIDs = 3
		s, _ := start(t, cfg, Routes{Publish: func(context.Context, *Client, *message.Request) error { n++; return nil }})
		for _, id := range []string{"a", "a", "b", "c", "a", "d", "a", ""} {
			s.Handle(publish("x", id), nil)
		}
		s.Handle(publish("x", ""), nil)
		synctest.Wait()
		require.Equal(t, 7, n, "a, b, c, d, a again after three others, and twice without an id")
	})
}

func TestAFloodOfBadMessagesClosesWith4400AndAFewDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.BadMessagesPerMinute = 3
		s, p := start(t, cfg, Routes{})
		bad := message.Errorf(message.CodeInvalidMessage, "bad")
		for range 3 {
			s.Handle(nil, bad)
		}
		time.Sleep(time.Minute)
		for range 3 {
			s.Handle(nil, bad)
		}
		require.Zero(t, p.code)
		require.Len(t, p.errorsSent(), 6)
		s.Handle(nil, bad)
		require.EqualValues(t, 4400, p.code)
	})
}

func TestMoreWaitingRequestsThanAllowedAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.RequestsPendingMax = 2
		release := make(chan struct{})
		n := 0
		s, p := start(t, cfg, Routes{Publish: func(context.Context, *Client, *message.Request) error { <-release; n++; return nil }})
		for range 4 {
			s.Handle(publish("x", ""), nil)
		}
		synctest.Wait()
		require.Equal(t, []message.Code{message.CodeRateLimited, message.CodeRateLimited}, p.errorsSent())
		close(release)
		synctest.Wait()
		require.Equal(t, 2, n)
	})
}

func TestARequestThatWasRefusedForWantOfRoomMayComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.RequestsPendingMax = 1
		release := make(chan struct{})
		var handled []string
		s, p := start(t, cfg, Routes{Publish: func(_ context.Context, _ *Client, req *message.Request) error {
			<-release
			handled = append(handled, req.ID)
			return nil
		}})
		s.Handle(publish("x", "a"), nil)
		s.Handle(publish("x", "b"), nil)
		require.Equal(t, []message.Code{message.CodeRateLimited}, p.errorsSent())
		close(release)
		synctest.Wait()
		s.Handle(publish("x", "b"), nil)
		s.Handle(publish("x", "a"), nil)
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, handled)
	})
}

// Whichever way an answer leaves, its request no longer waits then: the client may be faster than the worker.
func TestAClientThatWaitsForEachAnswerIsNeverRefused(t *testing.T) {
	for name, answer := range map[string]HandlerFunc{
		"a reply": func(_ context.Context, s *Client, req *message.Request) error {
			s.Reply(req, &message.Authenticated{})
			return nil
		},
		"a reply with the lane's lock held": func(_ context.Context, s *Client, req *message.Request) error {
			s.ReplyLocked(req, &message.Authenticated{})
			return nil
		},
		"an error": func(context.Context, *Client, *message.Request) error {
			return message.Errorf(message.CodeForbidden, "no")
		},
		"none": func(context.Context, *Client, *message.Request) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := DefaultConfig()
				cfg.RequestsPendingMax = 1
				s, p := start(t, cfg, Routes{Publish: answer})
				left := 20
				next := func(*message.Reply) {
					if left--; left > 0 {
						s.Handle(publish("x", ""), nil)
					}
				}
				if name != "none" {
					p.onSend = next
				}
				s.Handle(publish("x", ""), nil)
				synctest.Wait()
				for name == "none" && left > 0 {
					next(nil)
					synctest.Wait()
				}
				require.NotContains(t, p.errorsSent(), message.CodeRateLimited)
				require.Zero(t, left)
			})
		})
	}
}

func TestTheAnswerToOneMessageOfABatchDoesNotMakeRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.RequestsPendingMax = 1
		release := make(chan struct{})
		s, p := start(t, cfg, Routes{Publish: func(_ context.Context, s *Client, req *message.Request) error {
			s.Reply(req, &message.Authenticated{})
			<-release
			return nil
		}})
		s.Handle(&message.Request{Type: "batch_message", Body: batch(publish("x", "1"), publish("x", "2"))}, nil)
		synctest.Wait()
		s.Handle(publish("x", ""), nil)
		require.Equal(t, []message.Code{message.CodeRateLimited}, p.errorsSent())
		close(release)
		synctest.Wait()
		s.Handle(publish("x", ""), nil)
		synctest.Wait()
		require.Len(t, p.errorsSent(), 1)
	})
}

// What a token or the upgrade request asks for, and what plugins are asked again, is no request that a client could wait for.
func TestWhatTheEngineItselfHasDoneLeavesTheClientItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.RequestsPendingMax = 1
		release := make(chan struct{})
		var done []string
		wait := func(_ context.Context, s *Client, req *message.Request) error {
			<-release
			done = append(done, fmt.Sprintf("%T", req.Body))
			return nil
		}
		s, p := start(t, cfg, Routes{Subscribe: wait, Review: wait, Publish: wait})
		s.Assign(&message.Subscribe{Action: "subscribe"})
		s.Assign(&message.Subscribe{Action: "subscribe"})
		s.Review(&message.Review{})
		s.Handle(publish("x", ""), nil)
		require.Empty(t, p.errorsSent())
		s.Handle(publish("x", ""), nil)
		require.Equal(t, []message.Code{message.CodeRateLimited}, p.errorsSent())
		close(release)
		synctest.Wait()
		require.Equal(t, []string{"*message.Subscribe", "*message.Subscribe", "*message.Review", "*message.Publish"}, done)
	})
}

func TestATokenThatRunsOutIsToldAndThenClosesUnlessRenewed(t *testing.T) {
	for _, renew := range []bool{false, true} {
		t.Run(fmt.Sprintf("renewed %v", renew), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := start(t, DefaultConfig(), Routes{})
				require.WithinDuration(t, time.Now().Add(time.Hour), p.deadline, time.Millisecond)
				time.Sleep(time.Hour)
				s.Deadline()
				require.Equal(t, []message.Code{message.CodeAuthExpired}, p.errorsSent())
				require.WithinDuration(t, time.Now().Add(time.Minute), p.deadline, time.Millisecond)
				if renew {
					s.Handle(&message.Request{Type: "auth", Body: &message.Authenticate{Token: "u1:7200"}}, nil)
					synctest.Wait()
					require.WithinDuration(t, time.Now().Add(2*time.Hour), p.deadline, time.Millisecond)
				}
				time.Sleep(time.Minute)
				s.Deadline()
				if renew {
					require.Zero(t, p.code)
				} else {
					require.EqualValues(t, 4401, p.code)
				}
			})
		})
	}
}

// startAnonymous is start for a connection that nobody has logged in on.
func startAnonymous(t *testing.T, routes Routes) (*Client, *peer) {
	t.Helper()
	s, p := start(t, DefaultConfig(), routes)
	anonymous, q := &Client{}, &peer{}
	s.router.Open(anonymous, q, hub.Member{}, auth.Anonymous())
	require.Zero(t, p.code)
	return anonymous, q
}

func TestAConnectionOfNobodyMayLogInAndLittleElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var renewed, admitted []string
		s, p := startAnonymous(t, Routes{
			Publish: func(context.Context, *Client, *message.Request) error { t.Error("not before the login"); return nil },
			Admit:   func(_ *Client, user string) error { admitted = append(admitted, user); return nil },
			Renewed: func(_ context.Context, s *Client, _ *message.Request) error {
				renewed = append(renewed, s.Identity().UserID)
				return nil
			},
		})
		require.Zero(t, p.deadline, "nothing runs out")
		s.Handle(publish("x", ""), nil)
		s.Handle(&message.Request{Type: "session_status", Body: &message.SessionQuery{}}, nil)
		s.Handle(&message.Request{Type: "auth", Body: &message.Authenticate{Token: "bad"}}, nil)
		s.Handle(&message.Request{Type: "refresh", Body: &message.RefreshToken{Token: "bad"}}, nil)
		synctest.Wait()
		require.Equal(t, []message.Code{message.CodeAuthRequired, message.CodeAuthRequired, message.CodeAuthFailed, message.CodeAuthFailed}, p.errorsSent())

		s.Handle(&message.Request{Type: "ping", Body: &message.Ping{}}, nil)
		s.Handle(&message.Request{Type: "refresh", Body: &message.RefreshToken{Token: "refresh:u1"}}, nil)
		synctest.Wait()
		require.Equal(t, &message.TokenRefreshed{AccessToken: "u1:60", RefreshToken: "refresh:u1+", ExpiresIn: time.Minute}, p.sent[5].Body)
		require.True(t, s.Identity().Anonymous(), "new tokens are no login")

		s.Handle(&message.Request{Type: "auth", Body: &message.Authenticate{Token: "u1:3600"}}, nil)
		synctest.Wait()
		require.Equal(t, "u1", s.Identity().UserID)
		require.Equal(t, []string{"u1"}, admitted)
		require.Equal(t, []string{"u1"}, renewed)
		require.WithinDuration(t, time.Now().Add(time.Hour), p.deadline, time.Millisecond)
		s.Handle(&message.Request{Type: "auth", Body: &message.Authenticate{Token: "u2:3600"}}, nil)
		s.Deadline()
		synctest.Wait()
		require.Zero(t, p.code)
		require.Equal(t, []string{"u1"}, admitted, "the second is another user's")
		require.Len(t, p.errorsSent(), 5)
	})
}

func TestAConnectionThatNobodyLogsInOnIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := startAnonymous(t, Routes{})
		s.Deadline()
		require.EqualValues(t, 4401, p.code)
		require.Equal(t, []message.Code{message.CodeAuthRequired}, p.errorsSent())
	})
}

func TestALoginThatIsNotAdmittedLeavesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := startAnonymous(t, Routes{Admit: func(*Client, string) error { return message.Errorf(message.CodeRateLimited, "too many") }})
		s.Handle(&message.Request{Type: "auth", Body: &message.Authenticate{Token: "u1:3600"}}, nil)
		synctest.Wait()
		require.Equal(t, []message.Code{message.CodeRateLimited}, p.errorsSent())
		require.True(t, s.Identity().Anonymous())
	})
}

func TestNobodyIsAdmittedToAConnectionThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admitted := 0
		s, _ := startAnonymous(t, Routes{Admit: func(*Client, string) error { admitted++; return nil }})
		s.Closed()
		require.Error(t, s.logIn(&auth.Identity{UserID: "u1"}))
		require.Zero(t, admitted)
		require.True(t, s.Identity().Anonymous())
	})
}

func TestATokenOfAnotherUserDoesNotTakeAConnectionOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := start(t, DefaultConfig(), Routes{})
		s.Handle(&message.Request{Type: "auth", Body: &message.Authenticate{Token: "u2:7200"}}, nil)
		synctest.Wait()
		require.Equal(t, []message.Code{message.CodeAuthFailed}, p.errorsSent())
		require.Equal(t, "u1", s.Identity().UserID)
	})
}

func TestABatchHandlesEachMessageAndReportsEachFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := start(t, DefaultConfig(), Routes{Publish: func(_ context.Context, _ *Client, req *message.Request) error {
			if req.Type == "bad" {
				return message.Errorf(message.CodeForbidden, "no")
			}
			return nil
		}})
		body := batch(publish("good", "1"), publish("bad", "2"), &message.Request{ID: "3"})
		body.Messages[2].Err = message.Errorf(message.CodeInvalidMessage, "no type")
		s.Handle(&message.Request{Type: "batch_message", ID: "b", Body: body}, nil)
		synctest.Wait()
		require.Len(t, p.sent, 1)
		result := p.sent[0].Body.(*message.BatchResult)
		require.Equal(t, "b", p.sent[0].CID)
		require.Equal(t, []message.BatchItem{
			{ID: "1"},
			{ID: "2", Err: message.Errorf(message.CodeForbidden, "no")},
			{ID: "3", Err: message.Errorf(message.CodeInvalidMessage, "no type")},
		}, result.Results)
	})
}

func TestABatchOfTooManyMessagesIsRefusedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.BatchMessagesMax = 1
		s, p := start(t, cfg, Routes{Publish: func(context.Context, *Client, *message.Request) error { panic("handled") }})
		for _, batch := range []*message.Batch{batch(publish("x", "1"), publish("x", "2")), {TooMany: 2}} {
			s.Handle(&message.Request{Type: "batch_message", Body: batch}, nil)
			synctest.Wait()
		}
		require.Equal(t, []message.Code{message.CodeInvalidMessage, message.CodeInvalidMessage}, p.errorsSent())
		require.Equal(t, p.sent[0], p.sent[1])
		require.Equal(t, "p.messages: 2 messages, at most 1 are allowed", p.sent[1].Body.(*message.Failure).Err.Message)
	})
}

func TestAPanicInAHandlerClosesOnlyItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := start(t, DefaultConfig(), Routes{Publish: func(context.Context, *Client, *message.Request) error { panic("bug") }})
		s.Handle(publish("x", "1"), nil)
		s.Handle(&message.Request{Type: "health_check", Body: &message.HealthCheck{}}, nil)
		synctest.Wait()
		require.EqualValues(t, 1011, p.code)
		require.Len(t, p.sent, 1, "the worker lives on")
	})
}

func TestAForeignErrorIsInternalToTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := start(t, DefaultConfig(), Routes{Publish: func(context.Context, *Client, *message.Request) error {
			return errors.New("dial tcp 10.0.0.1: secret")
		}})
		s.Handle(publish("x", "1"), nil)
		synctest.Wait()
		e := p.sent[0].Body.(*message.Failure).Err
		require.Equal(t, message.CodeInternal, e.Code)
		require.NotContains(t, e.Message, "secret")
	})
}

func TestClosedIsTheLastCallOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		s, _ := start(t, DefaultConfig(), Routes{
			Publish: func(_ context.Context, _ *Client, req *message.Request) error {
				calls = append(calls, req.ID)
				return nil
			},
			Closed: func(context.Context, *Client, *message.Request) error { calls = append(calls, "closed"); return nil },
		})
		s.Handle(publish("x", "1"), nil)
		s.Closed()
		s.Handle(publish("x", "2"), nil)
		synctest.Wait()
		require.Equal(t, []string{"1", "closed"}, calls)
	})
}

func TestRequestsWithoutARouteAreUnknownTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := start(t, DefaultConfig(), Routes{})
		s.Handle(&message.Request{Type: "presence_request", Body: &message.PresenceRequest{Topic: "public:a"}}, nil)
		synctest.Wait()
		require.Equal(t, []message.Code{message.CodeUnknownType}, p.errorsSent())
	})
}

func TestAReviewRunsBehindTheRequestsThatWaitAndOneThatWaitsIsWidened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var order []string
		routes := Routes{
			Publish: func(_ context.Context, _ *Client, req *message.Request) error {
				<-release
				order = append(order, req.ID)
				return nil
			},
			Review: func(_ context.Context, _ *Client, req *message.Request) error {
				order = append(order, fmt.Sprint("review of all: ", req.Body.(*message.Review).Covers == nil))
				return nil
			},
		}
		s, p := start(t, DefaultConfig(), routes)
		some := &message.Review{Covers: func(message.Topic) bool { return true }}
		s.Review(some)
		synctest.Wait()
		s.Handle(publish("x", "1"), nil)
		s.Handle(publish("x", "2"), nil)
		s.Review(some)
		s.Handle(publish("x", "3"), nil)
		s.Review(some)
		close(release)
		synctest.Wait()
		require.Equal(t, []string{"review of all: false", "1", "2", "review of all: true", "3"}, order)
		require.NotNil(t, some.Covers, "others may wait for the same review")
		s.Closed()
		synctest.Wait()
		s.Review(some)
		synctest.Wait()
		require.Len(t, order, 5)
		require.Empty(t, p.errorsSent())
	})
}

func TestConfigNamesEveryFieldThatIsOutOfRange(t *testing.T) {
	err := Config{BadMessagesPerMinute: -1, AuthGrace: -1}.Validate()
	for _, field := range []string{"bad_messages_per_minute", "requests_pending_max", "request_timeout", "auth_grace", "batch_messages_max"} {
		require.ErrorContains(t, err, field+": ")
	}
	require.NoError(t, DefaultConfig().Validate())
}

func BenchmarkFilterFull(b *testing.B) {
	f := newFilter(1000)
	ids := make([]string, 5000)
	for i := range ids {
		ids[i] = "evt_" + strconv.Itoa(i)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if id := f.hash(ids[i%len(ids)]); !f.has(id) {
			f.add(id)
		}
		i++
	}
}

func TestARequestThatIsSwitchedOffIsToldAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := start(t, DefaultConfig(), Routes{})
		market, _ := auth.LevelPermissions("basic")
		s.renew(&auth.Identity{UserID: "u1", Permissions: market, ExpiresMS: time.Now().Add(time.Hour).UnixMilli()})
		s.Handle(&message.Request{Type: "get_strategies", Body: &message.StrategiesRequest{}}, nil)
		s.Handle(&message.Request{Type: "subscribe", Body: &message.StreamRequest{}}, nil)
		synctest.Wait()
		require.Equal(t, []message.Code{message.CodeRoutingError, message.CodeRoutingError}, p.errorsSent())
	})
}

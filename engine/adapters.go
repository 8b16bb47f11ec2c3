package engine

import (
	"context"
	"errors"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/feed"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/router"
	"github.com/wse-engine/wse/engine/store"
)

var (
	_ ingest.Transformer = transformer{}
	_ plugin.Answer      = (*ingest.Answer)(nil)
	_ plugin.Records     = (*store.Bucket)(nil)
	_ auth.Records       = (*store.Bucket)(nil)
	_ feed.Authorizer    = authorizer{}
	_ feed.Retention     = retention{}
	_ router.Status      = status{}
)

// transformer is the plugin host in the words of ingest.
type transformer struct{ host *plugin.Host }

// authorizer is the plugin host in the words of feed.
type authorizer struct{ host *plugin.Host }

// permissionsMax is how many names of permissions an identity can have: a set is of as many bits.
const permissionsMax = 8

// Authorize implements [feed.Authorizer].
func (a authorizer) Authorize(ctx context.Context, q feed.Access) (allowed bool, reason string, err error) {
	var names [permissionsMax]string
	verdict, err := a.host.Authorize(ctx, plugin.AuthorizeRequest{
		Action: string(q.Action),
		Topic:  string(q.Topic),
		Identity: plugin.Identity{
			UserID: q.Identity.UserID, Permissions: q.Identity.Permissions.AppendNames(names[:0]), Claims: q.Identity.Claims,
		},
		Connection: plugin.Connection{ID: q.ConnID, Dialect: q.Dialect, RemoteIP: q.RemoteIP},
		Waiter:     q.Waiter,
	})
	return verdict.Allow, verdict.Reason, err
}

// retention answers from the topic classes.
type retention struct{ classes *broker.Classes }

// Retains implements [feed.Retention].
func (r retention) Retains(topic message.Topic) bool { return r.classes.For(topic).Snapshots }

// status answers what clients may ask about the engine.
type status struct{ engine *Engine }

// Health implements [router.Status].
func (s status) Health() message.Health {
	now := time.Now()
	_, gauges := s.engine.conns.Stats()
	h := message.Health{
		Status: "healthy", ServerTimeMS: now.UnixMilli(), UptimeMS: now.Sub(s.engine.started).Milliseconds(),
		Connections: gauges.Connections,
	}
	if s.engine.stopping() {
		h.Status = "draining"
	}
	return h
}

// Limits implements [router.Status].
func (s status) Limits() message.ConnectionLimits {
	l := &s.engine.cfg.Limits
	return message.ConnectionLimits{
		MessageBytesMax: l.MessageKiBMax << 10, TopicsMax: l.Feed.TopicsPerConnection, RequestsPerSec: l.Quota.MessagesPerSecond,
		RequestsBurst: l.Quota.MessagesBurst, BytesPerSec: l.Quota.ReceiveKiBPerSecond << 10,
		EncryptedMessagesMax: l.EncryptedMessagesMax,
	}
}

// Version implements [router.Status].
func (s status) Version() string { return s.engine.opts.Version }

// stopping reports that the engine drains.
func (e *Engine) stopping() bool {
	select {
	case <-e.draining:
		return true
	default:
		return false
	}
}

// Transform implements [ingest.Transformer].
func (t transformer) Transform(ctx context.Context, eventType string, doc []byte, answer *ingest.Answer) (ingest.Decision, error) {
	decided, err := t.host.Transform(ctx, eventType, doc, answer)
	return decision(decided, err), err
}

// TransformAll implements [ingest.Transformer]. It allocates once for all questions.
func (t transformer) TransformAll(ctx context.Context, questions []ingest.Question) {
	events := make([]plugin.Event, len(questions))
	for i := range questions {
		q := &questions[i]
		events[i] = plugin.Event{Type: q.Type, Doc: q.Doc, Answer: q.Answer}
	}
	t.host.TransformAll(ctx, events)
	for i := range events {
		q, ev := &questions[i], &events[i]
		q.Decision, q.Err = decision(ev.Decision, ev.Err), ev.Err
	}
}

// decision is what the plugin host decided, or who failed to, in the words of ingest.
func decision(decided plugin.Decision, err error) ingest.Decision {
	if err == nil {
		return ingest.Decision{Verdict: verdict(decided.Fate), Plugin: decided.Plugin, Version: decided.Version}
	}
	var failed *plugin.CallError
	if errors.As(err, &failed) {
		return ingest.Decision{Plugin: failed.Plugin, Version: failed.Version, OnError: policy(failed.Policy)}
	}
	return ingest.Decision{}
}

func policy(p plugin.Policy) ingest.Policy {
	switch p {
	case plugin.Drop:
		return ingest.OnErrorDrop
	case plugin.Deny:
		return ingest.OnErrorDeny
	default:
		return ingest.OnErrorDeadLetter
	}
}

func verdict(f plugin.Fate) ingest.Verdict {
	switch f {
	case plugin.Answered:
		return ingest.Data
	case plugin.Dropped:
		return ingest.Drop
	default:
		return ingest.NotMine
	}
}

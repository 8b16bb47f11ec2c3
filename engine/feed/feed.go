// Package feed connects clients to topics: it resolves what they ask for, has it authorised, joins them to the hub and
// brings them from where they stopped to the present without a gap or a duplicate.
//
// Ownership: the handlers run on the router's workers, for one client one at a time. Beyond the clients they hold only
// the locks that serialise a topic's first and last subscriber on this node towards the broker; the broker is called
// with such a lock held, the hub's locks are taken inside it, and no plugin is called with any of them.
package feed

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// Config is the feed's part of the section limits.
type Config struct {
	TopicsPerConnection int `yaml:"topics_per_connection"`
	TopicsPerRequest    int `yaml:"topics_per_request"`
	EventTypesPerTopic  int `yaml:"event_types_per_topic"`
	ReplayKiBMax        int `yaml:"replay_kib_max"` // history and snapshots sent for one request
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{TopicsPerConnection: 1000, TopicsPerRequest: 200, EventTypesPerTopic: 100, ReplayKiBMax: 16 << 10}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{
		{"topics_per_connection", c.TopicsPerConnection},
		{"topics_per_request", c.TopicsPerRequest},
		{"event_types_per_topic", c.EventTypesPerTopic},
		{"replay_kib_max", c.ReplayKiBMax},
	} {
		if f.value < 1 {
			errs = append(errs, fmt.Errorf("%s: must be at least 1, is %d", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// ClientMessages configures messages that clients publish themselves.
type ClientMessages struct {
	Enabled       bool `yaml:"enabled"`         // messages of types the engine does not know go to client:{user_id}:messages
	PayloadKiBMax int  `yaml:"payload_kib_max"` // the largest payload taken
}

// DefaultClientMessages returns the values that configs/wse.yaml documents: off.
func DefaultClientMessages() ClientMessages {
	return ClientMessages{PayloadKiBMax: 64}
}

// Validate reports every field that is out of range.
func (c ClientMessages) Validate() error {
	if c.PayloadKiBMax < 1 {
		return fmt.Errorf("payload_kib_max: must be at least 1, is %d", c.PayloadKiBMax)
	}
	return nil
}

// Action is what somebody wants to do with a topic, as the authorize hook spells it.
type Action string

// The actions.
const (
	ActionSubscribe Action = "subscribe"
	ActionPublish   Action = "publish"
	ActionPresence  Action = "presence" // see who is on the topic, and say something of oneself there
)

// Access is a question to the authorizer.
type Access struct {
	Action   Action
	Topic    message.Topic // may be a pattern
	Identity *auth.Identity
	ConnID   string
	Dialect  string
	RemoteIP string
	Waiter   Waiter // whom to tell of a wait for something slow; may be nil
}

// Waiter is told before and after a wait for a slow authorizer; see [router.Client.StepAside].
type Waiter interface {
	StepAside()
	StepBack()
}

var _ Waiter = (*router.Client)(nil)

// Authorizer decides who may do what with a topic. It may block until ctx ends. Whatever is not a clear yes is a no: an
// error refuses too, with [message.CodePluginUnavailable] where nobody could decide.
type Authorizer interface {
	Authorize(ctx context.Context, a Access) (allowed bool, reason string, err error)
}

// Retention tells which topics and patterns have an initial sync.
type Retention interface {
	// Retains reports whether the class of topic keeps snapshots for new subscribers.
	Retains(topic message.Topic) bool
}

// Feed serves the requests about topics.
type Feed struct {
	cfg        Config
	client     ClientMessages
	hub        *hub.Hub
	broker     broker.Broker
	authorizer Authorizer
	retention  Retention
	presence   Presence // nil, as is roster: no topic has members
	roster     Roster
	listeners  *Listeners
	sessions   Sessions // nil: there are none

	met met

	seed  maphash.Seed
	edges [64]sync.Mutex // by topic: serialises first and last subscriber towards the broker
}

// Deps are what a feed works with.
type Deps struct {
	Hub        *hub.Hub
	Broker     broker.Broker
	Authorizer Authorizer
	Retention  Retention
	// Presence and Roster may be nil: no topic has members.
	Presence Presence
	Roster   Roster
	// Listeners stands between the broker and the hub; nil: nobody listens.
	Listeners *Listeners
}

// New makes a feed.
func New(cfg Config, client ClientMessages, d Deps) (*Feed, error) {
	if err := errors.Join(cfg.Validate(), client.Validate()); err != nil {
		return nil, err
	}
	if d.Listeners == nil {
		d.Listeners = NewListeners(d.Hub, nil) // the broker has another sink, so that nothing restarts
	}
	return &Feed{
		cfg: cfg, client: client, hub: d.Hub, broker: d.Broker, authorizer: d.Authorizer, retention: d.Retention,
		presence: d.Presence, roster: d.Roster, listeners: d.Listeners, seed: maphash.MakeSeed(),
	}, nil
}

// SetSessions makes the feed tell subscribers of streams which trading session is theirs. It is called before any request.
func (f *Feed) SetSessions(s Sessions) { f.sessions = s }

// Routes returns the feed's handlers; the other fields are left for their owners.
func (f *Feed) Routes() router.Routes {
	routes := router.Routes{
		Subscribe: f.subscription,
		Sync:      f.sync,
		Publish:   f.publish,
		Renewed:   f.renewed,
		Review:    f.review,
		Stream:    f.stream,
		Closed:    f.closed,
	}
	if f.roster != nil {
		routes.Presence, routes.PresenceUpdate = f.members, f.describe
	}
	return routes
}

func (f *Feed) edge(topic message.Topic) *sync.Mutex {
	return &f.edges[maphash.String(f.seed, string(topic))%uint64(len(f.edges))]
}

// join subscribes a client to a topic in the hub and, as the first on this node, at the broker.
func (f *Feed) join(ctx context.Context, s *router.Client, topic message.Topic, types []string) (*hub.Subscription, error) {
	mu := f.edge(topic)
	mu.Lock()
	defer mu.Unlock()
	sub, first := f.hub.Join(&s.Member, topic, types)
	if first && !f.listeners.on(topic) {
		if err := f.broker.SetInterest(ctx, topic, true); err != nil {
			f.hub.Leave(sub)
			return nil, notFollowed(topic, err)
		}
	}
	return sub, nil
}

// leave ends a subscription that the client, or a refusal, gave up.
func (f *Feed) leave(ctx context.Context, s *router.Client, sub *hub.Subscription) error {
	return errors.Join(f.quit(ctx, sub), f.absent(ctx, s, sub.Topic(), false))
}

// quit leaves a topic in the hub and, where it was this node's last subscription, at the broker.
func (f *Feed) quit(ctx context.Context, sub *hub.Subscription) error {
	mu := f.edge(sub.Topic())
	mu.Lock()
	defer mu.Unlock()
	if f.hub.Leave(sub) && !f.listeners.on(sub.Topic()) {
		return f.broker.SetInterest(ctx, sub.Topic(), false)
	}
	return nil
}

// closed drops all subscriptions of a connection that is gone.
func (f *Feed) closed(ctx context.Context, s *router.Client, _ *message.Request) error {
	var errs []error
	for _, sub := range s.Member.Subscriptions() {
		errs = append(errs, f.quit(ctx, sub), f.absent(ctx, s, sub.Topic(), true))
	}
	return errors.Join(errs...)
}

// authorize asks whether the client may act on a topic; nil means yes.
func (f *Feed) authorize(ctx context.Context, s *router.Client, action Action, topic message.Topic) *message.Error {
	d := s.Conn.Describe()
	allowed, reason, err := f.authorizer.Authorize(ctx, Access{
		Action: action, Topic: topic, Identity: s.Identity(), ConnID: d.ID, Dialect: d.Dialect, RemoteIP: d.Remote.Addr().String(),
		Waiter: s,
	})
	switch {
	case err != nil:
		e := message.AsError(err)
		if e.Code == message.CodeInternal {
			e = &message.Error{Code: message.CodePluginUnavailable, Message: "the topic's authorizer is not available; try again later", Err: err}
		}
		return e
	case !allowed && reason == "":
		return message.Errorf(message.CodeForbidden, "not allowed")
	case !allowed:
		return message.Errorf(message.CodeForbidden, "%s", reason)
	}
	return nil
}

// resolve reads a topic as a client names it: a bare standard type is the client's own topic of that type.
func resolve(s *router.Client, name string) (message.Topic, error) {
	if message.IsStandardType(name) {
		return message.UserTopic(s.Identity().UserID, name)
	}
	return message.ParsePattern(name)
}

// topicForm is the reason the protocol gives for a topic of bad form (WSE v2 §7, "Error Message").
const topicForm = "Topic must follow pattern user:{id}:{type}"

// publish takes a client's own message (PROTOCOL §2.3, last row).
func (f *Feed) publish(ctx context.Context, s *router.Client, req *message.Request) error {
	body := req.Body.(*message.Publish)
	if !f.client.Enabled {
		return message.Errorf(message.CodeUnknownType, "no handler for messages of type %q, and client_messages is off", req.Type)
	}
	if message.IsEngineType(req.Type) {
		return message.Errorf(message.CodeUnknownType, "messages of type %q are the engine's own; choose another type", req.Type)
	}
	if refused := f.checkPayload(s, req, len(body.Payload)); refused != nil {
		return refused
	}
	topic, err := message.ParseTopic("client:" + s.Identity().UserID + ":messages")
	if err != nil {
		return err
	}
	if refused := f.authorize(ctx, s, ActionPublish, topic); refused != nil {
		return refused
	}
	payload := body.Payload
	if payload == nil {
		payload = []byte("{}")
	}
	env := &message.Envelope{
		Type: req.Type, Topic: topic, Payload: payload, CID: req.ReplyCID(), TimeMS: time.Now().UnixMilli(),
		Category: message.CategoryOf(req.Type), Priority: req.Priority, TraceID: body.TraceID, EventVersion: body.EventVersion,
		Encrypted: body.Encrypted,
	}
	if req.ID != "" { // else the broker makes one: two messages without an id are not one message twice
		env.ID = s.Conn.Describe().ID + "-" + req.ID
	}
	_, err = f.broker.Publish(ctx, env)
	return notPublished(err)
}

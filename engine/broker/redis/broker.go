package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

var _ broker.Broker = (*Broker)(nil)

// Logger takes what operators should know. Arguments after the message are names and values in turn.
type Logger interface {
	Info(message string, args ...any)
	Warn(message string, args ...any)
}

type silence struct{}

func (silence) Info(string, ...any) {}
func (silence) Warn(string, ...any) {}

var _ Logger = silence{}

// Option changes how a broker is made.
type Option func(*Broker)

// WithNode names this node among those on the Redis: letters, digits, '_', '.' and '-'. Without it the broker makes a name up.
func WithNode(id string) Option { return func(b *Broker) { b.node = id } }

// WithLog gives the broker a log.
func WithLog(log Logger) Option { return func(b *Broker) { b.log = log } }

// WithNotices gives the broker someone who understands what is on a topic's channel besides publications: notice is called with
// each body that begins with {"v":2,"notice":, and interrupted when bodies may have been missed. Both are called in order with the
// topic's deliveries and must not block; body is theirs only during the call.
func WithNotices(notice func(topic message.Topic, body []byte), interrupted func(topic message.Topic)) Option {
	return func(b *Broker) { b.notice, b.interrupted = notice, interrupted }
}

// Broker keeps topics in Redis. Use [New], then [Broker.Run].
type Broker struct {
	cfg     Config
	client  *redis.Client
	classes *broker.Classes
	sink    broker.Sink
	ids     *message.IDSource
	log     Logger

	node        string
	notice      func(topic message.Topic, body []byte)
	interrupted func(topic message.Topic)
	follower    *follower

	closed  atomic.Bool
	closing chan struct{} // closed by Close
	once    sync.Once
}

// New checks cfg and returns a broker on client that numbers publications by classes and hands those that others and it publish
// to sink. It connects to nothing before [Broker.Run]. The client stays its caller's.
func New(cfg Config, client *redis.Client, classes *broker.Classes, sink broker.Sink, options ...Option) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if client == nil || classes == nil || sink == nil {
		return nil, errors.New("broker/redis: needs a client, classes and a sink")
	}
	b := &Broker{
		cfg: cfg, client: client, classes: classes, sink: sink, ids: message.NewIDSource("evt"), log: silence{},
		node: message.NewIDSource("node").Next(), closing: make(chan struct{}),
	}
	for _, o := range options {
		o(b)
	}
	b.follower = newFollower(b)
	return b, nil
}

// Run carries publications until ctx ends or the broker is closed, and leaves nothing behind. It is called once.
func (b *Broker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-b.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return b.follower.run(ctx)
}

// Close makes every later call fail with broker.ErrClosed and ends [Broker.Run].
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.closed.Store(true)
		close(b.closing)
		b.follower.close()
	})
	return nil
}

func (b *Broker) usable(ctx context.Context) error {
	if b.closed.Load() {
		return broker.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("broker/redis: %w", err)
	}
	return nil
}

// Publish implements [broker.Broker]. It waits for Redis at most publish_wait.
func (b *Broker) Publish(ctx context.Context, env *message.Envelope) (broker.Published, error) {
	return b.PublishFenced(ctx, env, 0)
}

// PublishFenced is Publish for one who must not publish once another took his turn: it is refused with [broker.ErrFenced] where the
// topic has seen a higher fence. A fence of 0 is none.
func (b *Broker) PublishFenced(ctx context.Context, env *message.Envelope, fence uint64) (broker.Published, error) {
	return broker.Published{}, fmt.Errorf("broker/redis: %w: no connection", broker.ErrUnavailable)
}

// History implements [broker.Broker].
func (b *Broker) History(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	return b.read(ctx, topic, q)
}

// SetInterest implements [broker.Broker].
func (b *Broker) SetInterest(ctx context.Context, topic message.Topic, interested bool) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if _, err := message.ParsePattern(string(topic)); err != nil {
		return fmt.Errorf("broker/redis: %w", err)
	}
	return b.follower.setInterest(ctx, topic, interested)
}

// position is where a topic stands by Redis.
type position struct {
	epoch  message.Epoch // of the channel: not 0 where the class keeps no history
	offset uint64
	at     time.Time // of the last publication, by Redis's clock; zero: there was none
	err    error     // why nothing is known of this topic
}

// read answers q by one script call. The topic exists afterwards, so that its position is good for recovery.
func (b *Broker) read(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	return broker.History{}, fmt.Errorf("broker/redis: %w: no connection", broker.ErrUnavailable)
}

// positions returns where topics stand, one answer for each, in their order. They exist afterwards, and their lives are extended.
// The error says that ctx ended before all were answered; what is not known has an err of its own.
func (b *Broker) positions(ctx context.Context, topics []message.Topic) ([]position, error) {
	return nil, fmt.Errorf("broker/redis: %w: no connection", broker.ErrUnavailable)
}

// touch extends the lives of topics' keys, so that their numbering goes on while somebody is interested in them.
func (b *Broker) touch(ctx context.Context, topics []message.Topic) error {
	_, err := b.positions(ctx, topics)
	return err
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/bounded"
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

	route    *route
	lanes    []*lane // for publications, each for a part of the slots
	readers  []*lane // for everything else
	scripts  map[*broker.CompiledClass]*scripts
	calls    sync.Pool     // of *call, for publications
	pending  bounded.Count // publications that wait
	counters counters

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
	b.route = newRoute(client)
	b.calls.New = func() any { return newPublishCall() }
	b.scripts = make(map[*broker.CompiledClass]*scripts)
	for _, class := range append(classes.List(), classes.For("")) {
		b.scripts[class] = compileScripts(&b.cfg, class)
	}
	b.lanes = b.makeLanes("p", cfg.PublishConnections)
	b.readers = b.makeLanes("r", cfg.ReadConnections)
	b.follower = newFollower(b)
	return b, nil
}

// clusterLanes is how many times as many lanes there are with a Cluster: each has a range of slots, so that nearly all of them need
// one primary only, and one that is down holds up none of the others.
const clusterLanes = 8

func (b *Broker) makeLanes(kind string, n int) []*lane {
	if b.route.isCluster() {
		n *= clusterLanes
	}
	run := message.NewIDSource(kind).Next() // a node that starts again does not read the records of the one before
	lanes := make([]*lane, n)
	for i := range lanes {
		lanes[i] = newLane(b, run+"_"+strconv.Itoa(i))
	}
	return lanes
}

// laneOf returns the lane of a slot: ranges of slots, since a Cluster's primaries have ranges.
func laneOf(lanes []*lane, slot uint16) *lane { return lanes[int(slot)*len(lanes)/slots] }

// Run carries publications until ctx ends or the broker is closed, and leaves nothing behind. It is called once.
func (b *Broker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		select {
		case <-b.closing:
		case <-ctx.Done():
		}
	})
	for _, l := range append(slices.Clip(b.lanes), b.readers...) {
		wg.Go(func() { l.run(ctx) })
	}
	err := b.follower.run(ctx)
	cancel()
	wg.Wait()
	b.route.close()
	return err
}

// Close makes every later call fail with broker.ErrClosed and ends [Broker.Run].
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.closed.Store(true)
		close(b.closing)
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

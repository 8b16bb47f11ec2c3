package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	redisbroker "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/feed"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/shared"
)

// carrier is what carries publications, whichever broker it is, with what operators ask of it.
type carrier struct {
	broker.Broker
	run    func(context.Context) error
	close  func() error
	topics func(ctx context.Context, prefix string, limit int) ([]broker.TopicInfo, error)
	stats  func() broker.Stats
}

// roster is who is on topics, whichever presence it is, with what operators ask of it.
type roster struct {
	feed.Presence
	feed.Roster
	run   func(context.Context) error
	stats func() presence.Stats
}

// openCarrier opens broker and presence: those of all nodes where the engine is one of several, else those of this process.
func (e *Engine) openCarrier() error {
	if e.cluster != nil {
		return e.openShared()
	}
	b, err := memory.New(e.cfg.Broker.Memory, e.classes, e.listeners)
	if err != nil {
		return err
	}
	e.broker = &carrier{
		Broker: b, close: b.Close, stats: b.Stats,
		run: func(ctx context.Context) error { b.Run(ctx); return nil },
		topics: func(_ context.Context, prefix string, limit int) ([]broker.TopicInfo, error) {
			return b.Topics(prefix, limit), nil
		},
	}
	p, err := presence.New(e.cfg.Limits.Presence, e.classes, e.hub)
	if err != nil {
		return err
	}
	e.present = &roster{Presence: p, Roster: p, run: p.Run, stats: p.Stats}
	return nil
}

// openShared opens the broker and the presence that nodes share. Notices of presence come on the channels that the broker hears.
func (e *Engine) openShared() error {
	c, cfg := e.cluster, &e.cfg.Broker.Redis
	p, err := shared.New(e.cfg.Cluster.Presence, e.cfg.Limits.Presence, e.classes, c.client, c.node.ID(), e.hub, shared.Options{
		Sharded: cfg.Sharded, PlainCopy: cfg.PlainCopy,
		Failed: func(topic message.Topic, err error) {
			e.log.Warn("who is on topics is not known on all nodes until this is over", "topic", string(topic), "error", err)
		},
	})
	if err != nil {
		return err
	}
	c.node.Dead(p.Dead)
	c.node.Returned(p.Returned)
	c.presence = p
	e.present = &roster{Presence: p, Roster: p, run: p.Run, stats: p.Stats}
	c.broker, err = redisbroker.New(cfg.Config, c.client, e.classes, e.listeners,
		redisbroker.WithNode(c.node.ID()), redisbroker.WithNotices(p.Notice, p.Interrupted), redisbroker.WithLog(e.log.Named("redis")))
	if err != nil {
		return config.Prefix("broker.redis", err)
	}
	e.broker = &carrier{
		Broker: c.broker, run: c.broker.Run, close: c.broker.Close, stats: c.broker.Stats,
		topics: c.broker.Topics,
	}
	return nil
}

// notReady says why clients and publishers should go elsewhere; nil: they are welcome.
func (e *Engine) notReady() error {
	if e.stopping() {
		return errDraining
	}
	if e.cluster == nil {
		return nil
	}
	if err := e.cluster.broker.Ready(); err != nil {
		return fmt.Errorf("broker.redis: %w", err)
	}
	if err := e.cluster.rollout.Ready(); err != nil {
		return fmt.Errorf("cluster.rollout: %w", err)
	}
	return nil
}

// errDraining says that the engine takes no new connections.
var errDraining = errors.New("the engine is draining")

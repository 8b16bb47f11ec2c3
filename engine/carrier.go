package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	redisbroker "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/redis"
)

// carrier is what carries publications, whichever broker it is, with what operators ask of it.
type carrier struct {
	broker.Broker
	run    func(context.Context) error
	close  func() error
	topics func(ctx context.Context, prefix string, limit int) ([]broker.TopicInfo, error)
	stats  func() broker.Stats
	ready  func() error // nil: nobody could do it for the whole truth of it now
}

// openCarrier opens the broker that the configuration chooses: Redis where it has an address, else memory.
func (e *Engine) openCarrier() error {
	if !e.cfg.Broker.Redis.Enabled() {
		b, err := memory.New(e.cfg.Broker.Memory, e.classes, e.listeners)
		if err != nil {
			return err
		}
		e.broker = &carrier{
			Broker: b, close: b.Close, stats: b.Stats, ready: func() error { return nil },
			run: func(ctx context.Context) error { b.Run(ctx); return nil },
			topics: func(_ context.Context, prefix string, limit int) ([]broker.TopicInfo, error) {
				return b.Topics(prefix, limit), nil
			},
		}
		return nil
	}
	b, err := redisbroker.New(e.cfg.Broker.Redis, e.redis, e.classes, e.listeners, redisbroker.WithLog(e.log.Named("redis")))
	if err != nil {
		return config.Prefix("broker.redis", err)
	}
	e.broker = &carrier{
		Broker: b, run: b.Run, close: b.Close, stats: b.Stats, ready: b.Ready,
		topics: func(context.Context, string, int) ([]broker.TopicInfo, error) { return nil, nil },
	}
	return nil
}

// openRedis opens the way to the Redis that nodes share, where the configuration names one.
func (e *Engine) openRedis() (err error) {
	if cfg := &e.cfg.Broker.Redis; cfg.Enabled() {
		e.redis, err = redis.Open(cfg.Config, e.opts.Dir)
	}
	return config.Prefix("broker.redis", err)
}

// notReady says why clients and publishers should go elsewhere; nil: they are welcome.
func (e *Engine) notReady() error {
	if e.stopping() {
		return errDraining
	}
	if err := e.broker.ready(); err != nil {
		return fmt.Errorf("broker.redis: %w", err)
	}
	return nil
}

// errDraining says that the engine takes no new connections.
var errDraining = errors.New("the engine is draining")

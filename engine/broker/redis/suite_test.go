package redis

import (
	"testing"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/brokertest"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// calm is the patience of servers none of which is to be found down.
const calm = time.Hour

// suite runs the promises of every broker on servers.
func suite(t *testing.T, at redis.Config, change func(*Config)) {
	brokertest.Run(t, func(t *testing.T, classes *broker.Classes, sink broker.Sink) broker.Broker {
		b, run := opened(t, at, change, classes, sink)
		run()
		return b
	})
}

func TestBrokerOnOneServer(t *testing.T) {
	t.Parallel() // most of it is waiting
	suite(t, redistest.Single(t).Config(), nil)
}

func TestBrokerOnOneServerWithTLSAndAUser(t *testing.T) {
	t.Parallel() // most of it is waiting
	suite(t, redistest.SingleWith(t, redistest.Options{TLS: true, Username: "engine"}).Config(), nil)
}

func TestBrokerOnSentinel(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := redistest.Sentinel(t, redistest.Options{})
	w.SetPatience(calm)
	suite(t, w.Config(), nil)
}

func TestBrokerOnACluster(t *testing.T) {
	t.Parallel() // most of it is waiting
	c := redistest.Cluster(t, redistest.Options{})
	c.SetPatience(calm)
	t.Run("plain", func(t *testing.T) { suite(t, c.Config(), nil) })
	t.Run("sharded with plain copies", func(t *testing.T) {
		suite(t, c.Config(), func(cfg *Config) { cfg.Sharded, cfg.PlainCopy = true, true })
	})
}

package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/auth"
	redisbroker "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/cluster/families"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/cluster/sessions"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/intake"
	"github.com/wse-engine/wse/engine/presence/shared"
	"github.com/wse-engine/wse/engine/redis"
)

// together is what an engine has that is one of several nodes on a Redis.
type together struct {
	client   *redis.Client
	node     *cluster.Node
	rollout  *rollout.Rollout
	sessions *sessions.Sessions
	letters  *intake.Letters
	broker   *redisbroker.Broker
	presence *shared.Presence
	intake   *intake.Intake
}

// openRedis opens the way to the Redis that nodes share, where the configuration names one.
func (e *Engine) openRedis() error {
	cfg := &e.cfg.Broker.Redis
	if !cfg.Enabled() {
		return nil
	}
	client, err := redis.Open(cfg.Config.Config, e.opts.Dir)
	if err != nil {
		return config.Prefix("broker.redis", err)
	}
	e.cluster = &together{client: client}
	return nil
}

// refreshRecords is where refresh tokens are known to be spent or revoked: in Redis, for all nodes, or in this one's store.
func (e *Engine) refreshRecords() auth.Option {
	if e.cluster != nil {
		return auth.WithShared(families.New(e.cluster.client))
	}
	return auth.WithRecords(e.store.Bucket(bucketFamilies))
}

// openNode makes this process one of the nodes. What it tells of itself is known by now: its address, and its plugins.
func (e *Engine) openNode() (err error) {
	c := e.cluster
	if c == nil {
		return nil
	}
	topics := markOf(e.cfg.Topics)
	c.node, err = cluster.New(e.cfg.Cluster.Config, c.client, cluster.Options{
		Version: e.opts.Version, Addr: e.Addr().String(), Log: e.log.Named("cluster"),
		Describe: func() map[string]string { return e.describe(topics) },
	})
	if err != nil {
		return config.Prefix("cluster", err)
	}
	c.sessions = sessions.New(e.cfg.Cluster.Config, c.client, c.node)
	c.rollout, err = rollout.New(e.cfg.Cluster.Rollout, rollout.Deps{
		Host: e.plugins, Bus: c.node, Client: c.client, Alive: c.node.Alive, VersionsMax: e.cfg.Lifecycle.VersionsMax, Log: e.log.Named("rollout"),
	})
	if err != nil {
		return config.Prefix("cluster.rollout", err)
	}
	c.letters, err = intake.NewLetters(e.cfg.Broker.Redis.Intake, c.client)
	return config.Prefix("broker.redis.intake", err)
}

// describe is what the other nodes are told of this one: what all should have in common. Topics is the mark of its topic classes.
func (e *Engine) describe(topics string) map[string]string {
	about := rollout.Describe(e.plugins.List())
	about[cluster.AboutConfig+"auth"] = e.auth.SignerMark()
	about[cluster.AboutConfig+"topics"] = topics
	return about
}

// markOf returns a short digest of a part of the configuration.
func markOf(part any) string {
	doc, err := json.Marshal(part)
	if err != nil { // texts and numbers alone
		panic(fmt.Sprintf("engine: a part of the configuration does not marshal: %v", err))
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:4])
}

// openIngest opens what takes events in, and where nodes share a Redis what takes in what reaches that.
func (e *Engine) openIngest() (err error) {
	c := e.cluster
	if c == nil {
		e.ingest, err = ingest.New(e.cfg.Limits.Ingest, transformer{e.plugins}, e.broker)
		return err
	}
	if e.ingest, err = ingest.New(e.cfg.Limits.Ingest, transformer{e.plugins}, e.broker, ingest.WithKeeper(c.letters)); err != nil {
		return err
	}
	c.intake, err = intake.New(e.cfg.Broker.Redis.Intake, c.client, e.ingest, c.letters, c.broker, intake.Options{
		Node: c.node.ID(), Log: func(text string, args ...any) { e.log.Warn(text, args...) },
	})
	return config.Prefix("broker.redis.intake", err)
}

// clusterDeps fills in what the admin API has of a cluster.
func (e *Engine) clusterDeps(d *admin.Deps) {
	c := e.cluster
	if c == nil {
		d.Commander, d.Nodes, d.Letters, d.Replayer = e.commander(nil), others{}, e.ingest, e.ingest
		return
	}
	d.Commander, d.Nodes, d.Letters, d.Replayer = e.commander(c.node), others{c.node}, c.intake, c.intake
	d.Rollout, d.Wants = c.rollout, c.rollout
}

// clusterFigures returns the figures of what there is with other nodes only; nil: the engine is alone.
func (e *Engine) clusterFigures() *admin.ClusterFigures {
	c := e.cluster
	if c == nil {
		return nil
	}
	return &admin.ClusterFigures{
		Carriage: c.broker.Carriage(), Following: c.broker.FollowStats(), Node: c.node.Stats(), Presence: c.presence.Figures(),
	}
}

// taken returns the figures of what was taken in from Redis; nil: there is none.
func (c *together) taken() *intake.Stats {
	if c == nil {
		return nil
	}
	s := c.intake.Stats()
	return &s
}

// runs are the parts that run where there are other nodes, those that others are built on first.
func (c *together) runs() (under, between map[string]func(context.Context) error) {
	if c == nil {
		return nil, nil
	}
	return map[string]func(context.Context) error{"node": c.node.Run, "rollout": c.rollout.Run},
		map[string]func(context.Context) error{"intake": c.intake.Run}
}

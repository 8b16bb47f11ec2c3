package redis

import (
	"errors"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/redis"
)

// Config is the section broker.redis.
type Config struct {
	redis.Config `yaml:",inline"`

	PublishConnections int           `yaml:"publish_connections"` // per primary; the topics are divided among them
	ReadConnections    int           `yaml:"read_connections"`    // per primary; for histories
	PipelineMax        int           `yaml:"pipeline_max"`        // publications that go out on a connection at once
	PendingMax         int           `yaml:"pending_max"`         // publications that wait on this node; more are refused at once
	PublishWait        time.Duration `yaml:"publish_wait"`        // how long a publication is tried before it is refused
	PublicationKiBMax  int           `yaml:"publication_kib_max"` // of a publication as it is written to Redis
	ReplicasMin        int           `yaml:"replicas_min"`        // replicas that must have a publication; -1: one where replicas were seen
	ReplicaWait        time.Duration `yaml:"replica_wait"`        // how long one attempt waits for them

	TopicIdleTTL     time.Duration `yaml:"topic_idle_ttl"`     // how long a topic without anything kept is remembered
	SnapshotTTL      time.Duration `yaml:"snapshot_ttl"`       // how long a topic's snapshots outlive its last publication
	SnapshotTypesMax int           `yaml:"snapshot_types_max"` // snapshots retained per topic, one of each type

	Sharded               bool          `yaml:"sharded"`                // publish by sharded Pub/Sub; needs a Cluster of version 7
	PlainCopy             bool          `yaml:"plain_copy"`             // with sharded: publish the plain way too, which patterns need
	SubscriberConnections int           `yaml:"subscriber_connections"` // for what is received; per primary with sharded
	Linger                time.Duration `yaml:"linger"`                 // how long a topic is still followed after its last subscriber left
	CheckInterval         time.Duration `yaml:"check_interval"`         // how often the positions of followed topics are compared
	PatternTopicsMax      int           `yaml:"pattern_topics_max"`     // topics seen through patterns that are remembered
}

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config {
	return Config{
		Config:             redis.DefaultConfig(),
		PublishConnections: 4, ReadConnections: 2, PipelineMax: 256, PendingMax: 65_536, PublishWait: 5 * time.Second,
		PublicationKiBMax: 1536, ReplicasMin: -1, ReplicaWait: time.Second,
		TopicIdleTTL: time.Hour, SnapshotTTL: 24 * time.Hour, SnapshotTypesMax: 32,
		SubscriberConnections: 2, Linger: 5 * time.Second, CheckInterval: 10 * time.Second, PatternTopicsMax: 100_000,
	}
}

// Limits of what can be configured.
const (
	connectionsMax  = 64
	pipelineMax     = 4096
	pendingMax      = 1 << 24
	replicasMax     = 16
	publicationsMax = 64 << 10 // KiB
)

// Validate checks c. The error joins every fault, each beginning with the field's name.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	within := func(name string, value, low, high int) {
		add(value < low || value > high, "%s: %d is not within %d to %d", name, value, low, high)
	}
	atLeast := func(name string, value, low time.Duration) {
		add(value < low, "%s: must be at least %s, is %s", name, low, value)
	}
	within("publish_connections", c.PublishConnections, 1, connectionsMax)
	within("read_connections", c.ReadConnections, 1, connectionsMax)
	within("pipeline_max", c.PipelineMax, 1, pipelineMax)
	within("pending_max", c.PendingMax, 1, pendingMax)
	atLeast("publish_wait", c.PublishWait, 10*time.Millisecond)
	within("publication_kib_max", c.PublicationKiBMax, 1, publicationsMax)
	within("replicas_min", c.ReplicasMin, -1, replicasMax)
	atLeast("replica_wait", c.ReplicaWait, time.Millisecond)
	atLeast("topic_idle_ttl", c.TopicIdleTTL, time.Second)
	atLeast("snapshot_ttl", c.SnapshotTTL, time.Second)
	within("snapshot_types_max", c.SnapshotTypesMax, 1, 1024)
	add(c.Sharded && !c.Cluster, "sharded: needs cluster: true, since only a Cluster has sharded Pub/Sub")
	add(c.PlainCopy && !c.Sharded, "plain_copy: is set, but sharded is not, so everything is published the plain way already")
	within("subscriber_connections", c.SubscriberConnections, 1, connectionsMax)
	atLeast("linger", c.Linger, 0)
	atLeast("check_interval", c.CheckInterval, 10*time.Millisecond)
	within("pattern_topics_max", c.PatternTopicsMax, 1, 1<<24)
	return errors.Join(errs...)
}

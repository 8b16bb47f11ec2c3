package memory

import (
	"errors"
	"fmt"
	"time"
)

// Config is the section broker.memory.
type Config struct {
	HistoryMiBTotal  int           `yaml:"history_mib_total"`  // what all topics together may keep: history, snapshots, ids
	TopicsMax        int           `yaml:"topics_max"`         // topics that exist at a time
	TopicIdleTTL     time.Duration `yaml:"topic_idle_ttl"`     // how long a topic without anything kept is remembered
	SnapshotTypesMax int           `yaml:"snapshot_types_max"` // snapshots retained per topic, one of each type
	SweepInterval    time.Duration `yaml:"sweep_interval"`     // how often what has expired is looked for
}

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config {
	return Config{
		HistoryMiBTotal: 256, TopicsMax: 1_000_000, TopicIdleTTL: time.Hour, SnapshotTypesMax: 32,
		SweepInterval: 10 * time.Second,
	}
}

// Validate checks c. The error joins every fault, each beginning with the field's name.
func (c Config) Validate() error {
	var faults []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	add(c.HistoryMiBTotal < 1 || c.HistoryMiBTotal > 1<<20, "history_mib_total: %d is not within 1 to %d", c.HistoryMiBTotal, 1<<20)
	add(c.TopicsMax < 1, "topics_max: must be at least 1, is %d", c.TopicsMax)
	add(c.TopicIdleTTL < time.Second, "topic_idle_ttl: must be at least 1s, is %s", c.TopicIdleTTL)
	add(c.SnapshotTypesMax < 1, "snapshot_types_max: must be at least 1, is %d", c.SnapshotTypesMax)
	add(c.SweepInterval < 10*time.Millisecond, "sweep_interval: must be at least 10ms, is %s", c.SweepInterval)
	return errors.Join(faults...)
}

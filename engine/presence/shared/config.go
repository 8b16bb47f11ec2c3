package shared

import (
	"errors"
	"fmt"
	"time"
)

// Config says how a node shares presence with others. What members may be and say is in [presence.Config].
type Config struct {
	CheckInterval  time.Duration `yaml:"presence_check_interval"`   // between looks at whether Redis has of a topic what this node wrote
	Wait           time.Duration `yaml:"presence_wait"`             // for Redis, in a client's request
	TopicsHeardMax int           `yaml:"presence_topics_heard_max"` // topics without members here whose notices are followed for gaps
	NoticesHeldMax int           `yaml:"presence_notices_held_max"` // of one topic, while what was missed is read
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{CheckInterval: 10 * time.Second, Wait: time.Second, TopicsHeardMax: 10_000, NoticesHeldMax: 4096}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	if c.CheckInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("presence_check_interval: must be at least 1ms, is %s", c.CheckInterval))
	}
	if c.Wait <= 0 {
		errs = append(errs, fmt.Errorf("presence_wait: must be positive, is %s", c.Wait))
	}
	if c.TopicsHeardMax < 1 {
		errs = append(errs, fmt.Errorf("presence_topics_heard_max: must be at least 1, is %d", c.TopicsHeardMax))
	}
	if c.NoticesHeldMax < 1 {
		errs = append(errs, fmt.Errorf("presence_notices_held_max: must be at least 1, is %d", c.NoticesHeldMax))
	}
	return errors.Join(errs...)
}

// Of the time between two checks: how long a node may be silent before others take its members away, and how long, beside the grace
// period, nobody has to touch a topic for Redis to forget it.
const (
	silenceChecks = 3
	ttlChecks     = 6
)

// patience is how long members whom a node remembers after everything was lost wait for their own node to say that they are there.
func (p *Presence) patience() time.Duration { return max(p.limits.Grace, 2*p.cfg.CheckInterval) }

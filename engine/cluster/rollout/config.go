package rollout

import (
	"errors"
	"fmt"
	"time"
)

// Config says how nodes come to serve the same plugins.
type Config struct {
	CheckInterval  time.Duration `yaml:"check_interval"`  // a node compares that often what it serves with what the cluster wants
	PrepareTimeout time.Duration `yaml:"prepare_timeout"` // all nodes must have a candidate ready within it
	CommitTimeout  time.Duration `yaml:"commit_timeout"`  // for so long Redis is asked to take a change, and then nodes to make it
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{CheckInterval: time.Second, PrepareTimeout: 90 * time.Second, CommitTimeout: 10 * time.Second}
}

// Validate reports every field that is out of range, each fault beginning with its name.
func (c *Config) Validate() error {
	var errs []error
	between := func(name string, d, least, most time.Duration) {
		if d < least || d > most {
			errs = append(errs, fmt.Errorf("%s: %v is not between %v and %v", name, d, least, most))
		}
	}
	between("check_interval", c.CheckInterval, 10*time.Millisecond, time.Minute)
	between("prepare_timeout", c.PrepareTimeout, 100*time.Millisecond, time.Hour)
	between("commit_timeout", c.CommitTimeout, 100*time.Millisecond, 10*time.Minute)
	return errors.Join(errs...)
}

// checksMissed is how many checks may fail before a node does not know what the cluster wants.
const checksMissed = 4

// lease is for how long nobody else may begin a change, and nodes hold what they prepared.
func (c *Config) lease() time.Duration { return c.PrepareTimeout + c.CommitTimeout }

package cluster

import (
	"errors"
	"fmt"
	"time"
)

// Config is how a node lives among others.
type Config struct {
	NodeName     string        `yaml:"node_name"`     // what operators see; empty: the host's name
	BeatInterval time.Duration `yaml:"beat_interval"` // a node says that often that it lives
	NodeTimeout  time.Duration `yaml:"node_timeout"`  // one that has not said so for that long is dead
	NodeKept     time.Duration `yaml:"node_kept"`     // for so long those who start later hear that it died
	AskTimeout   time.Duration `yaml:"ask_timeout"`   // for the answers of all nodes
	AskAgain     time.Duration `yaml:"ask_again"`     // who has not answered is asked again after that
	BodyKiBMax   int           `yaml:"body_kib_max"`  // of a question or an answer on the bus
	HandlersMax  int           `yaml:"handlers_max"`  // questions that a node works on at a time
	SessionsMax  int           `yaml:"sessions_max"`  // trading sessions that nodes know of each other; the oldest beyond it are known to their node only
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{
		BeatInterval: time.Second, NodeTimeout: 5 * time.Second, NodeKept: 24 * time.Hour,
		AskTimeout: 5 * time.Second, AskAgain: 300 * time.Millisecond, BodyKiBMax: 1024, HandlersMax: 64, SessionsMax: 100_000,
	}
}

const (
	nameBytesMax = 64
	beatsMin     = 4 // in a node_timeout: one that is late must not be a death
)

// Validate reports every field that is out of range or at odds with another, each fault beginning with its name.
func (c *Config) Validate() error {
	var errs []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.NodeName != "" && c.NodeName != clean(c.NodeName), "node_name: %.80q must be 1 to %d letters, digits, '_', '.' or '-'", c.NodeName, nameBytesMax)
	add(c.BeatInterval < 10*time.Millisecond || c.BeatInterval > time.Minute, "beat_interval: %s is not between 10ms and 1m", c.BeatInterval)
	add(c.NodeTimeout < beatsMin*c.BeatInterval || c.NodeTimeout > time.Hour,
		"node_timeout: %s is not between %d times beat_interval (%s) and 1h", c.NodeTimeout, beatsMin, beatsMin*c.BeatInterval)
	add(c.NodeKept < c.NodeTimeout || c.NodeKept > 30*24*time.Hour, "node_kept: %s is not between node_timeout (%s) and 720h", c.NodeKept, c.NodeTimeout)
	add(c.AskTimeout < 100*time.Millisecond || c.AskTimeout > 10*time.Minute, "ask_timeout: %s is not between 100ms and 10m", c.AskTimeout)
	add(c.AskAgain < 10*time.Millisecond || c.AskAgain > c.AskTimeout, "ask_again: %s is not between 10ms and ask_timeout (%s)", c.AskAgain, c.AskTimeout)
	add(c.BodyKiBMax < 1 || c.BodyKiBMax > 64<<10, "body_kib_max: %d is not between 1 and 65536", c.BodyKiBMax)
	add(c.HandlersMax < 1 || c.HandlersMax > 10_000, "handlers_max: %d is not between 1 and 10000", c.HandlersMax)
	add(c.SessionsMax < 1 || c.SessionsMax > 10_000_000, "sessions_max: %d is not between 1 and 10000000", c.SessionsMax)
	return errors.Join(errs...)
}

// clean makes a name that may be part of a channel: what else there is becomes a '-', and what is too long is cut.
func clean(name string) string {
	b := []byte(name)
	for i, c := range b {
		if !plain(c) {
			b[i] = '-'
		}
	}
	return string(b[:min(len(b), nameBytesMax)])
}

func plain(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}

// validID reports whether id has the form of a node's id.
func validID(id string) bool {
	for i := range len(id) {
		if !plain(id[i]) {
			return false
		}
	}
	return id != "" && len(id) <= nameBytesMax+1+idRandom
}

// idRandom is how many random letters and digits an id ends with.
const idRandom = 12

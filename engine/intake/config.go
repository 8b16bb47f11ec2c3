package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/redis"
)

// Config says what is taken in, and how many dead letters are kept.
type Config struct {
	Streams        []string      `yaml:"streams"`         // of domain events; empty: none is read
	BatchMax       int           `yaml:"batch_max"`       // entries of a stream that are read and published together
	PublishAbreast int           `yaml:"publish_abreast"` // of them published at a time; those of one topic wait for each other
	DeliveriesMax  int           `yaml:"deliveries_max"`  // an entry that so many readers died of is a dead letter
	StreamKeep     time.Duration `yaml:"stream_keep"`     // how long an entry that every group has read stays in its stream; 0: for ever

	Ingress         bool `yaml:"ingress"`           // what foreign programs publish on channels of topics is taken
	IngressWorkers  int  `yaml:"ingress_workers"`   // that publish it side by side; a channel always goes to the same one
	IngressQueueMax int  `yaml:"ingress_queue_max"` // publications that wait for them; more wait in Redis

	LeaseTTL time.Duration `yaml:"lease_ttl"` // how long after its last sign of life another node takes a reader's place

	DeadLettersMax        int           `yaml:"dead_letters_max"`         // kept, of each channel
	DeadLettersKiBMax     int           `yaml:"dead_letters_kib_max"`     // what those of a channel may take
	DeadLetterKiBMax      int           `yaml:"dead_letter_kib_max"`      // of one document; of a larger one the beginning is kept
	DeadLetterTTL         time.Duration `yaml:"dead_letter_ttl"`          // how long one is kept
	DeadLetterChannelsMax int           `yaml:"dead_letter_channels_max"` // channels that have any; those of more are kept as one, _other
	ReplayTimeout         time.Duration `yaml:"replay_timeout"`           // for one replay; as long nobody else replays the letter
}

// StreamEvents is the stream of domain events.
const StreamEvents = redis.Prefix + "events"

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config {
	return Config{
		Streams: []string{StreamEvents}, BatchMax: 256, PublishAbreast: 64, DeliveriesMax: 10, StreamKeep: 24 * time.Hour,
		Ingress: true, IngressWorkers: 4, IngressQueueMax: 256, LeaseTTL: 5 * time.Second,
		DeadLettersMax: 1000, DeadLettersKiBMax: 16 << 10, DeadLetterKiBMax: 256, DeadLetterTTL: 7 * 24 * time.Hour,
		DeadLetterChannelsMax: 1000, ReplayTimeout: 30 * time.Second,
	}
}

const (
	streamsMax          = 64
	streamNameBytesMax  = 64 // of a stream: it begins the ids of its events
	leaseTTLMin         = 500 * time.Millisecond
	leaseTTLMax         = time.Minute
	replayTimeoutMax    = 10 * time.Minute
	deadLetterTTLMin    = time.Second
	streamKeepMin       = time.Second
	deadLetterTTLMaxDay = 365
)

// Validate checks c. The error joins every fault, each beginning with the field's name.
func (c *Config) Validate() error {
	var faults []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	within := func(name string, value, least, most int) {
		add(value < least || value > most, "%s: %d is not within %d to %d", name, value, least, most)
	}
	lasts := func(name string, value, least, most time.Duration) {
		add(value < least || value > most, "%s: %s is not within %s to %s", name, value, least, most)
	}
	add(len(c.Streams) > streamsMax, "streams: %d are too many, at most %d can be read", len(c.Streams), streamsMax)
	for i, name := range c.Streams {
		add(!isStreamName(name), "streams[%d]: %q must begin with %s and have at most %d bytes of A-Z a-z 0-9 _ . : -, as %s does", i, name, redis.Prefix, streamNameBytesMax, StreamEvents)
		add(slices.Index(c.Streams, name) < i, "streams[%d]: %q is there twice", i, name)
	}
	within("batch_max", c.BatchMax, 1, 10_000)
	within("publish_abreast", c.PublishAbreast, 1, 4096)
	within("deliveries_max", c.DeliveriesMax, 2, 1000)
	add(c.StreamKeep != 0 && c.StreamKeep < streamKeepMin, "stream_keep: %s is neither 0 nor at least %s", c.StreamKeep, streamKeepMin)
	within("ingress_workers", c.IngressWorkers, 1, 256)
	within("ingress_queue_max", c.IngressQueueMax, 1, 100_000)
	lasts("lease_ttl", c.LeaseTTL, leaseTTLMin, leaseTTLMax)
	within("dead_letters_max", c.DeadLettersMax, 1, 100_000)
	within("dead_letters_kib_max", c.DeadLettersKiBMax, 1, 1<<20)
	within("dead_letter_kib_max", c.DeadLetterKiBMax, 1, 64<<10)
	add(c.DeadLetterKiBMax > c.DeadLettersKiBMax, "dead_letter_kib_max: %d is more than dead_letters_kib_max, %d", c.DeadLetterKiBMax, c.DeadLettersKiBMax)
	lasts("dead_letter_ttl", c.DeadLetterTTL, deadLetterTTLMin, deadLetterTTLMaxDay*24*time.Hour)
	within("dead_letter_channels_max", c.DeadLetterChannelsMax, 1, 10_000)
	lasts("replay_timeout", c.ReplayTimeout, time.Second, replayTimeoutMax)
	return errors.Join(faults...)
}

// isStreamName reports whether name can be a stream's: one whose lease {name}:lease lies in the stream's slot of a Cluster, and
// which can begin the id of an event.
func isStreamName(name string) bool {
	rest, ok := strings.CutPrefix(name, redis.Prefix)
	if !ok || rest == "" || rest[0] == '_' || strings.HasPrefix(rest, "dlq:") || len(name) > streamNameBytesMax {
		return false
	}
	return !strings.ContainsFunc(rest, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.:-", c)
	})
}

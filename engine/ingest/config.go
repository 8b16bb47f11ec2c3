package ingest

import (
	"errors"
	"fmt"
)

// Config bounds what publishers and plugins may hand in.
type Config struct {
	EventKiBMax          int `yaml:"event_kib_max"`           // one event or envelope, as JSON
	TypeBytesMax         int `yaml:"type_bytes_max"`          // the name of an event
	IDBytesMax           int `yaml:"id_bytes_max"`            // id, cid and trace_id
	EnvelopesPerEventMax int `yaml:"envelopes_per_event_max"` // what a plugin may make of one event
	DeadLettersMax       int `yaml:"dead_letters_max"`        // failed events that are kept
	DeadLettersKiBMax    int `yaml:"dead_letters_kib_max"`    // what all of them may take
}

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config {
	return Config{
		EventKiBMax: 256, TypeBytesMax: 128, IDBytesMax: 128, EnvelopesPerEventMax: 64, DeadLettersMax: 1000, DeadLettersKiBMax: 16 << 10,
	}
}

// Validate checks c. The error joins every fault, each beginning with the field's name.
func (c Config) Validate() error {
	var faults []error
	within := func(name string, value, least, most int) {
		if value < least || value > most {
			faults = append(faults, fmt.Errorf("%s: %d is not within %d to %d", name, value, least, most))
		}
	}
	within("event_kib_max", c.EventKiBMax, 1, 64<<10)
	within("type_bytes_max", c.TypeBytesMax, 1, 1024)
	within("id_bytes_max", c.IDBytesMax, 8, 1024)
	within("envelopes_per_event_max", c.EnvelopesPerEventMax, 1, 10_000)
	within("dead_letters_max", c.DeadLettersMax, 0, 1_000_000)
	within("dead_letters_kib_max", c.DeadLettersKiBMax, 1, 4<<20)
	return errors.Join(faults...)
}

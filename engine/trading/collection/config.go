package collection

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds collections.
type Config struct {
	RunningMax   int           `yaml:"collections_max"`           // running at a time
	UserMax      int           `yaml:"collections_per_user_max"`  // of them by one user
	KeptMax      int           `yaml:"collections_kept_max"`      // in the directory; a start beyond is refused until the operator removes some
	SymbolsMax   int           `yaml:"collection_symbols_max"`    // of one collection
	DurationMax  time.Duration `yaml:"collection_duration_max"`   // also for one that is started without a duration
	MiBMax       int           `yaml:"collection_mib_max"`        // of the files of one collection, which stops it
	QueueRowsMax int           `yaml:"collection_queue_rows_max"` // of one collection, waiting to be written; more are dropped
	SyncInterval time.Duration `yaml:"sync_interval"`             // rows are on disk after this time
	SyncRows     int           `yaml:"sync_rows"`                 // or once so many wait
}

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config {
	return Config{
		RunningMax: 100, UserMax: 10, KeptMax: 10_000, SymbolsMax: 100, DurationMax: 24 * time.Hour, MiBMax: 1024,
		QueueRowsMax: 16_384, SyncInterval: time.Second, SyncRows: 1000,
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
	within("collections_max", c.RunningMax, 1, 10_000)
	within("collections_per_user_max", c.UserMax, 1, 10_000)
	within("collections_kept_max", c.KeptMax, 1, 1_000_000)
	within("collection_symbols_max", c.SymbolsMax, 1, 10_000)
	within("collection_mib_max", c.MiBMax, 1, 1<<20)
	within("collection_queue_rows_max", c.QueueRowsMax, 1, 1<<24)
	within("sync_rows", c.SyncRows, 1, 1<<24)
	if c.DurationMax < time.Second {
		faults = append(faults, fmt.Errorf("collection_duration_max: must be at least 1s, is %s", c.DurationMax))
	}
	if c.SyncInterval < 10*time.Millisecond || c.SyncInterval > time.Minute {
		faults = append(faults, fmt.Errorf("sync_interval: must lie within 10ms and 1m, is %s", c.SyncInterval))
	}
	return errors.Join(faults...)
}

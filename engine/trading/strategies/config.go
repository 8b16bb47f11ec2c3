package strategies

import (
	"errors"
	"fmt"
)

// Config bounds a Directory.
type Config struct {
	Max    int `yaml:"strategies_max"`   // in the directory; further files are told and left out
	KiBMax int `yaml:"strategy_kib_max"` // of one configuration
}

// DefaultConfig returns the values that hold where the configuration says nothing.
func DefaultConfig() Config { return Config{Max: 1000, KiBMax: 256} }

// Validate checks c. The error joins every fault, each beginning with the field's name.
func (c Config) Validate() error {
	var faults []error
	if c.Max < 1 || c.Max > 100_000 {
		faults = append(faults, fmt.Errorf("strategies_max: %d is not within 1 to 100000", c.Max))
	}
	if c.KiBMax < 1 || c.KiBMax > 16<<10 {
		faults = append(faults, fmt.Errorf("strategy_kib_max: %d is not within 1 to %d", c.KiBMax, 16<<10))
	}
	return errors.Join(faults...)
}

package presence

import (
	"errors"
	"fmt"
	"time"
)

// Config is the presence part of the section limits.
type Config struct {
	MembersMax  int           `yaml:"presence_members_max"`   // users on one topic
	DataKiBMax  int           `yaml:"presence_data_kib_max"`  // what one user says of himself on one topic
	TopicKiBMax int           `yaml:"presence_topic_kib_max"` // the same of all users on one topic, which one answer carries
	MiBTotal    int           `yaml:"presence_mib_total"`     // the same of all users on all topics
	Grace       time.Duration `yaml:"presence_grace"`         // for whoever lost his last connection to come back in
	NoticeDelay time.Duration `yaml:"presence_notice_delay"`  // what a user does within it is told as one change
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{
		MembersMax: 1000, DataKiBMax: 4, TopicKiBMax: 256, MiBTotal: 64, Grace: 10 * time.Second, NoticeDelay: 100 * time.Millisecond,
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{
		{"presence_members_max", c.MembersMax},
		{"presence_data_kib_max", c.DataKiBMax},
		{"presence_topic_kib_max", c.TopicKiBMax},
		{"presence_mib_total", c.MiBTotal},
	} {
		if f.value < 1 {
			errs = append(errs, fmt.Errorf("%s: must be at least 1, is %d", f.name, f.value))
		}
	}
	if c.TopicKiBMax < c.DataKiBMax {
		errs = append(errs, fmt.Errorf("presence_topic_kib_max: must be at least presence_data_kib_max (%d), is %d", c.DataKiBMax, c.TopicKiBMax))
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"presence_grace", c.Grace},
		{"presence_notice_delay", c.NoticeDelay},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s: must not be negative, is %s", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

package quota

import (
	"errors"
	"fmt"
	"math"
)

// Config is the quota's part of the section limits. A rate or number of 0 is no limit; the bursts are what may come at once
// after a rest.
type Config struct {
	MessagesPerSecond   int `yaml:"messages_per_second"`    // from one connection, pings and pongs included
	MessagesBurst       int `yaml:"messages_burst"`         //
	ReceiveKiBPerSecond int `yaml:"receive_kib_per_second"` // of messages from one connection, after inflation
	ReceiveKiBBurst     int `yaml:"receive_kib_burst"`

	UserMessagesPerSecond   int `yaml:"user_messages_per_second"` // the same of all connections of one user
	UserMessagesBurst       int `yaml:"user_messages_burst"`
	UserReceiveKiBPerSecond int `yaml:"user_receive_kib_per_second"`
	UserReceiveKiBBurst     int `yaml:"user_receive_kib_burst"`

	EncryptedKeysPerMinute int `yaml:"encrypted_keys_per_minute"` // that one connection agrees on, and at once after a rest

	RefusedMessagesPerMinute int `yaml:"refused_messages_per_minute"` // more of one connection close it with 4429

	UserConnectionsMax       int `yaml:"user_connections_max"`
	AddressConnectionsMax    int `yaml:"address_connections_max"` // of one IPv4 address or IPv6 /64
	AddressUpgradesPerMinute int `yaml:"address_upgrades_per_minute"`
	AddressUpgradesBurst     int `yaml:"address_upgrades_burst"`

	SendersMax int `yaml:"senders_max"` // users, and addresses, whose rates are remembered
}

// DefaultConfig returns the values that configs/wse.yaml documents: limits for each connection that no honest client meets,
// and none for users and addresses, since how many connections those have is the operator's to know.
func DefaultConfig() Config {
	return Config{
		MessagesPerSecond: 1000, MessagesBurst: 5000, ReceiveKiBPerSecond: 4096, ReceiveKiBBurst: 16384,
		UserMessagesBurst: 10_000, UserReceiveKiBBurst: 65_536,
		EncryptedKeysPerMinute: 60, RefusedMessagesPerMinute: 1000, AddressUpgradesBurst: 100, SendersMax: 100_000,
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	const most = 1 << 20
	var errs []error
	for _, f := range []struct {
		name             string
		value, low, high int
	}{
		{"messages_per_second", c.MessagesPerSecond, 0, most},
		{"messages_burst", c.MessagesBurst, 1, most},
		{"receive_kib_per_second", c.ReceiveKiBPerSecond, 0, most},
		{"receive_kib_burst", c.ReceiveKiBBurst, 1, most},
		{"user_messages_per_second", c.UserMessagesPerSecond, 0, most},
		{"user_messages_burst", c.UserMessagesBurst, 1, most},
		{"user_receive_kib_per_second", c.UserReceiveKiBPerSecond, 0, most},
		{"user_receive_kib_burst", c.UserReceiveKiBBurst, 1, most},
		{"encrypted_keys_per_minute", c.EncryptedKeysPerMinute, 0, most},
		{"refused_messages_per_minute", c.RefusedMessagesPerMinute, 0, math.MaxInt32},
		{"user_connections_max", c.UserConnectionsMax, 0, math.MaxInt32},
		{"address_connections_max", c.AddressConnectionsMax, 0, math.MaxInt32},
		{"address_upgrades_per_minute", c.AddressUpgradesPerMinute, 0, most},
		{"address_upgrades_burst", c.AddressUpgradesBurst, 1, most},
		{"senders_max", c.SendersMax, 1, math.MaxInt32},
	} {
		if f.value < f.low || f.value > f.high {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", f.name, f.value, f.low, f.high))
		}
	}
	return errors.Join(errs...)
}

// Covers reports every burst that the largest single message, of so many KiB and so many messages in a batch, does not fit
// into: such a message could never pass.
func (c Config) Covers(messageKiB, batch int) error {
	var errs []error
	for _, f := range []struct {
		name              string
		rate, burst, need int
		why               string
	}{
		{"messages_burst", c.MessagesPerSecond, c.MessagesBurst, batch, "batch_messages_max"},
		{"receive_kib_burst", c.ReceiveKiBPerSecond, c.ReceiveKiBBurst, messageKiB, "message_kib_max"},
		{"user_messages_burst", c.UserMessagesPerSecond, c.UserMessagesBurst, batch, "batch_messages_max"},
		{"user_receive_kib_burst", c.UserReceiveKiBPerSecond, c.UserReceiveKiBBurst, messageKiB, "message_kib_max"},
	} {
		if f.rate > 0 && f.burst < f.need {
			errs = append(errs, fmt.Errorf("%s: %d is less than %s, %d, so that the largest message could never pass", f.name, f.burst, f.why, f.need))
		}
	}
	return errors.Join(errs...)
}

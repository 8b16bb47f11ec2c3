package conn

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds what connections may cost. It is a part of the section limits. The units are in the names.
type Config struct {
	ConnectionsMax   int           `yaml:"connections_max"`   // over this, new ones are refused
	HandshakeTimeout time.Duration `yaml:"handshake_timeout"` // for the HTTP request, and again for its answer
	HandshakesMax    int           `yaml:"handshakes_max"`    // connections that are not upgraded yet
	HeadKiBMax       int           `yaml:"head_kib_max"`      // of an HTTP request
	BodyKiBMax       int           `yaml:"body_kib_max"`      // of an HTTP request
	ParkedKiBMax     int           `yaml:"parked_kib_max"`    // from a client whose upgrade is not answered yet; more is not read until it is
	AdmitWorkers     int           `yaml:"admit_workers"`     // upgrades and HTTP requests that are answered at a time

	FrameKiBMax   int `yaml:"frame_kib_max"`
	MessageKiBMax int `yaml:"message_kib_max"` // as received, and after inflation
	// InflateRatioMax is how many times longer than it came a message may become, beyond the first 64 KiB.
	InflateRatioMax int `yaml:"inflate_ratio_max"`

	PartialMiBMax int  `yaml:"partial_mib_max"` // incomplete frames and messages of all connections together
	Deflate       bool `yaml:"deflate"`         // negotiate permessage-deflate

	QueueKiBSoft    int           `yaml:"queue_kib_soft"`  // from here a connection is degraded, and sheds
	QueueKiBMax     int           `yaml:"queue_kib_max"`   // over this it is closed with 4503
	QueueMiBTotal   int           `yaml:"queue_mib_total"` // of all connections that cannot be written to
	StallTimeout    time.Duration `yaml:"stall_timeout"`   // a client that takes nothing for this long is closed with 4503
	NotSentLowatKiB int           `yaml:"notsent_lowat_kib"`
	DegradedRTTMS   int           `yaml:"degraded_rtt_ms"` // three pings in a row that take longer make a connection degraded
	RecoverAfter    time.Duration `yaml:"recover_after"`   // below half of both limits for this long, it no longer is
	CloseTimeout    time.Duration `yaml:"close_timeout"`   // for the peer's answer to a close frame

	EncryptedMessagesMax int `yaml:"encrypted_messages_max"` // from a client with one key; then it needs a new one
	// EncryptedKeysUnusedMax is how many keys a client may ask for without having used one: it may have asked for the next
	// before it got the last, but all of them are kept until it uses one.
	EncryptedKeysUnusedMax int `yaml:"encrypted_keys_unused_max"`
	EncryptedMiBTotal      int `yaml:"encrypted_mib_total"` // to remember the messages of all keys by, 16 to 32 bytes each
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{
		ConnectionsMax: 100_000, HandshakeTimeout: 10 * time.Second, HandshakesMax: 4096, HeadKiBMax: 8, BodyKiBMax: 64,
		ParkedKiBMax: 64, AdmitWorkers: 32,
		FrameKiBMax: 1024, MessageKiBMax: 1024, InflateRatioMax: 100, PartialMiBMax: 64, Deflate: true,
		QueueKiBSoft: 256, QueueKiBMax: 1024, QueueMiBTotal: 256, StallTimeout: time.Minute, NotSentLowatKiB: 16,
		DegradedRTTMS: 1000, RecoverAfter: 30 * time.Second, CloseTimeout: 5 * time.Second,
		EncryptedMessagesMax: 250_000, EncryptedKeysUnusedMax: 8, EncryptedMiBTotal: 64,
	}
}

// The largest values of sizes, so that they fit an int in bytes on every platform.
const (
	kibMax = 1 << 20
	mibMax = 1 << 20
)

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	errs := []error{
		checkInt("connections_max", c.ConnectionsMax, 1, 10_000_000),
		checkTime("handshake_timeout", c.HandshakeTimeout),
		checkInt("handshakes_max", c.HandshakesMax, 1, 10_000_000),
		checkInt("head_kib_max", c.HeadKiBMax, 1, 1024),
		checkInt("body_kib_max", c.BodyKiBMax, 1, kibMax),
		checkInt("parked_kib_max", c.ParkedKiBMax, 1, kibMax),
		checkInt("admit_workers", c.AdmitWorkers, 1, 10_000),
		checkInt("frame_kib_max", c.FrameKiBMax, 1, kibMax),
		checkInt("message_kib_max", c.MessageKiBMax, 1, kibMax),
		checkInt("inflate_ratio_max", c.InflateRatioMax, 1, 1100), // DEFLATE does not exceed that
		checkInt("partial_mib_max", c.PartialMiBMax, 1, mibMax),
		checkInt("queue_kib_soft", c.QueueKiBSoft, 1, kibMax),
		checkInt("queue_kib_max", c.QueueKiBMax, 1, kibMax),
		checkInt("queue_mib_total", c.QueueMiBTotal, 1, mibMax),
		checkTime("stall_timeout", c.StallTimeout),
		checkInt("notsent_lowat_kib", c.NotSentLowatKiB, 1, 4096),
		checkInt("degraded_rtt_ms", c.DegradedRTTMS, 1, 600_000),
		checkTime("recover_after", c.RecoverAfter),
		checkTime("close_timeout", c.CloseTimeout),
		checkInt("encrypted_messages_max", c.EncryptedMessagesMax, 1, 1<<24),
		checkInt("encrypted_keys_unused_max", c.EncryptedKeysUnusedMax, 1, 1000),
		checkInt("encrypted_mib_total", c.EncryptedMiBTotal, 1, mibMax),
	}
	if c.QueueKiBMax < c.QueueKiBSoft {
		errs = append(errs, fmt.Errorf("queue_kib_max: %d is less than queue_kib_soft, %d", c.QueueKiBMax, c.QueueKiBSoft))
	}
	return errors.Join(errs...)
}

// Heartbeat says how the server proves that it lives, and finds out whether a client does. It is the section heartbeat.
type Heartbeat struct {
	Interval    time.Duration `yaml:"interval"`     // between two pings
	IdleTimeout time.Duration `yaml:"idle_timeout"` // a client that sends nothing, not even a pong, is closed with 4408
}

// DefaultHeartbeat returns the values that configs/wse.yaml documents (PROTOCOL §2.3).
func DefaultHeartbeat() Heartbeat {
	return Heartbeat{Interval: 15 * time.Second, IdleTimeout: time.Minute}
}

// Validate reports every field that is out of range.
func (h Heartbeat) Validate() error {
	errs := []error{checkTime("interval", h.Interval), checkTime("idle_timeout", h.IdleTimeout)}
	if h.IdleTimeout <= h.Interval {
		errs = append(errs, fmt.Errorf("idle_timeout: %v is not longer than interval, %v, so that a client has no ping to answer",
			h.IdleTimeout, h.Interval))
	}
	return errors.Join(errs...)
}

func checkInt(path string, v, low, high int) error {
	if v < low || v > high {
		return fmt.Errorf("%s: %d is not between %d and %d", path, v, low, high)
	}
	return nil
}

// The shortest and the longest time that a field may hold.
const (
	timeMin = time.Millisecond
	timeMax = 24 * time.Hour
)

func checkTime(path string, v time.Duration) error {
	if v < timeMin || v > timeMax {
		return fmt.Errorf("%s: %v is not between %v and %v", path, v, timeMin, timeMax)
	}
	return nil
}

package frame

import (
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/bounded"
)

// limitBytesMax bounds every limit, so that lengths fit an int on every platform.
const limitBytesMax = 1 << 30

// Limits bound what one peer may make a parser keep. All are in bytes, and a frame or message that exceeds one is refused
// with close code 1009 (RFC 6455 §10.4): the first two as soon as a header announces it, the third while it inflates.
type Limits struct {
	FrameBytesMax    int64 `yaml:"frame_bytes_max"`    // the payload of one data frame
	MessageBytesMax  int64 `yaml:"message_bytes_max"`  // the payloads of one message's frames together, as received
	InflatedBytesMax int64 `yaml:"inflated_bytes_max"` // a deflated message after inflation
	// InflateRatioMax is how many times longer than it came a message may become, beyond the first 64 KiB; 0: any.
	InflateRatioMax int64 `yaml:"inflate_ratio_max"`
}

// ratioFreeBytes is what a message may inflate to however short it came.
const ratioFreeBytes = 64 << 10

// inflatedBytes is how long a message that came in n bytes may become.
func (l *Limits) inflatedBytes(n int) int64 {
	if l.InflateRatioMax == 0 {
		return l.InflatedBytesMax
	}
	return min(l.InflatedBytesMax, max(ratioFreeBytes, l.InflateRatioMax*int64(n)))
}

// DefaultLimits returns 1 MiB for each.
func DefaultLimits() Limits {
	return Limits{FrameBytesMax: 1 << 20, MessageBytesMax: 1 << 20, InflatedBytesMax: 1 << 20}
}

// Validate returns all faults of the limits at once.
func (l Limits) Validate() error {
	return errors.Join(
		checkLimit("frame_bytes_max", l.FrameBytesMax),
		checkLimit("message_bytes_max", l.MessageBytesMax),
		checkLimit("inflated_bytes_max", l.InflatedBytesMax),
		checkRatio(l.InflateRatioMax),
	)
}

func checkLimit(path string, n int64) error {
	if n < 1 || n > limitBytesMax {
		return fmt.Errorf("%s: %d is not between 1 and %d bytes", path, n, limitBytesMax)
	}
	return nil
}

// ratioLimit is more than DEFLATE can achieve.
const ratioLimit = 1100

func checkRatio(n int64) error {
	if n < 0 || n > ratioLimit {
		return fmt.Errorf("inflate_ratio_max: %d is not between 0 and %d", n, ratioLimit)
	}
	return nil
}

// Budget is a number of bytes that many connections share. The zero Budget grants nothing.
type Budget struct {
	max  int64
	used bounded.Count
}

// NewBudget returns a budget of bytesMax bytes.
func NewBudget(bytesMax int64) *Budget { return &Budget{max: bytesMax} }

// Reserve takes n bytes, or nothing and returns false if fewer are left.
func (b *Budget) Reserve(n int64) bool { return b.Overdraw(n, 0) }

// Overdraw takes n bytes although fewer may be left, or nothing and returns false if that would be more than over bytes too
// many.
func (b *Budget) Overdraw(n, over int64) bool {
	return b.used.Take(n, b.max+over)
}

// Overdrawn reports whether more is taken than there is.
func (b *Budget) Overdrawn() bool { return b.used.Load() > b.max }

// Release gives back n bytes that were reserved.
func (b *Budget) Release(n int64) {
	if n != 0 {
		b.used.Add(-n)
	}
}

// Used returns how many bytes are reserved now.
func (b *Budget) Used() int64 { return b.used.Load() }

// Package wse is the dialect of protocol v2 (engine/dialect/PROTOCOL.md §2): envelopes with short names, one JSON object
// per message, which may be compressed in one of two ways or written as MessagePack (§2.6).
//
// Ownership: a Dialect and its wrappers keep nothing between calls but buffers for reuse; all of their methods may be
// called by any number of goroutines.
package wse

import "github.com/wse-engine/wse/engine/dialect"

// Version is the protocol version that every message carries.
const Version = 2

// Limits of what a message may hold, part of the protocol (PROTOCOL §2.1).
const (
	typeBytesMax = 128
	idBytesMax   = 256 // of id, cid and trace_id
)

// Config bounds what reading messages and compressing them may cost.
type Config struct {
	// CompressBytesMin is the size from which a message, or in the form cmp a payload, is worth compressing.
	CompressBytesMin int
	// InflatedBytesMax is how long a message may be after inflation, and its JSON text where it came as MessagePack; 0: 1 MiB.
	InflatedBytesMax int
	// InflateRatioMax is how many times longer than it came a message may become, beyond the first 64 KiB; 0: 100.
	InflateRatioMax int
	// BatchMessagesMax is how many messages a batch may hold; 0: 100. Those of a larger one are counted only.
	BatchMessagesMax int
}

// The values of a Dialect that was not made with [New].
const (
	inflatedBytesDefault = 1 << 20
	inflateRatioDefault  = 100
	batchMessagesDefault = 100
)

// Dialect reads protocol v2 in all its forms and writes plain JSON, or with [Dialect.CompressPayloads] payloads
// compressed. The zero value is ready to use.
type Dialect struct {
	tools    *tools
	compress bool // payloads, as cmp:true
}

var _ dialect.Dialect = Dialect{}

// New makes a dialect within the bounds of cfg.
func New(cfg Config) Dialect {
	if cfg.InflatedBytesMax == 0 {
		cfg.InflatedBytesMax = inflatedBytesDefault
	}
	if cfg.InflateRatioMax == 0 {
		cfg.InflateRatioMax = inflateRatioDefault
	}
	if cfg.BatchMessagesMax == 0 {
		cfg.BatchMessagesMax = batchMessagesDefault
	}
	return Dialect{tools: &tools{cfg: cfg}}
}

// bounds returns what d works with.
func (d Dialect) bounds() *tools {
	if d.tools != nil {
		return d.tools
	}
	return New(Config{}).tools
}

// CompressPayloads returns a dialect that writes large payloads as base64 of zlib, marked with cmp:true (PROTOCOL §2.6, the
// original's form).
func (d Dialect) CompressPayloads() Dialect { return Dialect{tools: d.bounds(), compress: true} }

// Zlib returns the wrapper that makes binary frames of C: and zlib of large messages (PROTOCOL §2.6).
func (d Dialect) Zlib() dialect.Wrapper { return zlibFrames{d.bounds()} }

// MessagePack returns the wrapper that makes MessagePack in binary frames of all messages (PROTOCOL §2.6).
func (d Dialect) MessagePack() dialect.Wrapper { return packedFrames{d.bounds()} }

// Package msgpack turns JSON texts into MessagePack and back (https://github.com/msgpack/msgpack/blob/master/spec.md)
// without building anything in between: what a dialect writes and reads is JSON, and a connection with format=msgpack gets
// and sends the same values in another notation (PROTOCOL §2.6). Libraries decode into trees, which takes four to five
// times as long and an allocation for each value (BenchmarkPack, BenchmarkUnpack).
//
// Values keep their meaning. A number without fraction and exponent is an integer where 64 bits hold it; every other
// number is a float64, the one that a JavaScript or Python reader of the text would have. What MessagePack has and JSON
// has not becomes a string, binary data in base64 and timestamps in ISO 8601, or is refused: NaN and the infinities, keys
// that are no strings, other extension types.
//
// # Ownership
//
// The package has no state. Nothing is kept of what is read.
package msgpack

import (
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// DepthMax is how many maps and arrays may lie in one another, either way.
const DepthMax = jsonscan.DepthMax

// Error says where and why data is not what it should be.
type Error struct {
	Offset int // of the byte that cannot stand where it does, or of the end
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("msgpack: %s at byte %d", e.Reason, e.Offset) }

// IsMap tells whether data begins as a map does. No JSON text and no valid UTF-8 text that JSON could begin with starts
// with such a byte, so it tells a message in MessagePack from all others.
func IsMap(data []byte) bool {
	return len(data) > 0 && (data[0]&0xf0 == fixMap || data[0] == map16 || data[0] == map32)
}

// The first bytes of values, as the specification names them.
const (
	fixMap   = 0x80
	fixArray = 0x90
	fixStr   = 0xa0
	null     = 0xc0
	unused   = 0xc1
	no       = 0xc2
	yes      = 0xc3
	bin8     = 0xc4
	bin16    = 0xc5
	bin32    = 0xc6
	ext8     = 0xc7
	ext16    = 0xc8
	ext32    = 0xc9
	float32_ = 0xca
	float64_ = 0xcb
	uint8_   = 0xcc
	uint16_  = 0xcd
	uint32_  = 0xce
	uint64_  = 0xcf
	int8_    = 0xd0
	int16_   = 0xd1
	int32_   = 0xd2
	int64_   = 0xd3
	fixExt1  = 0xd4
	fixExt16 = 0xd8
	str8     = 0xd9
	str16    = 0xda
	str32    = 0xdb
	array16  = 0xdc
	array32  = 0xdd
	map16    = 0xde
	map32    = 0xdf
	negative = 0xe0
)

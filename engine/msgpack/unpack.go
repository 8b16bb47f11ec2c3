package msgpack

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// AppendJSON appends the one MessagePack value that packed is to dst as a JSON text of at most bytesMax bytes. It
// allocates only when dst is too small. The error is an [*Error]; dst is then returned as it was.
//
// A length that packed claims is believed only as far as packed goes, so a few bytes cannot ask for much.
func AppendJSON(dst, packed []byte, bytesMax int) ([]byte, error) {
	u := unpacker{in: packed, dst: dst, max: bytesMax, end: len(dst) + bytesMax}
	bad := u.value(DepthMax)
	if bad == "" && u.i < len(packed) {
		bad = "unexpected byte after the value"
	}
	if bad == "" && len(u.dst) > u.end {
		bad = u.tooLong()
	}
	if bad != "" {
		return dst, &Error{u.i, bad}
	}
	return u.dst, nil
}

// unpacker reads in[i]. A method's result says, if it is not empty, what is wrong at i.
type unpacker struct {
	in  []byte
	i   int
	dst []byte
	max int // how long the text may become
	end int // and dst with it
}

func (u *unpacker) tooLong() string {
	return fmt.Sprintf("the JSON text would have more than the %d bytes allowed", u.max)
}

// The reasons that several places give.
const (
	cutShort = "unexpected end inside a value"
	tooDeep  = "nested too deep"
	noForm   = "an extension type other than timestamp has no JSON form"
	badTime  = "a timestamp that is none"
)

// value reads one value. At most depth maps and arrays may lie in one another.
func (u *unpacker) value(depth int) (bad string) {
	if u.i >= len(u.in) {
		return "unexpected end, a value is missing"
	}
	if len(u.dst) > u.end {
		return u.tooLong()
	}
	switch c := u.in[u.i]; {
	case c < fixMap:
		u.i++
		u.dst = strconv.AppendUint(u.dst, uint64(c), 10)
	case c >= negative:
		u.i++
		u.dst = strconv.AppendInt(u.dst, int64(int8(c)), 10)
	case c < fixArray:
		u.i++
		return u.members(int(c&0x0f), depth)
	case c < fixStr:
		u.i++
		return u.elements(int(c&0x0f), depth)
	case c < null || c >= str8 && c <= str32:
		return u.string()
	case c >= array16:
		return u.container(c, depth)
	case c == null:
		u.i++
		u.dst = append(u.dst, "null"...)
	case c == no || c == yes:
		u.i++
		u.dst = strconv.AppendBool(u.dst, c == yes)
	case c >= bin8 && c <= bin32:
		return u.binary(c)
	case c >= float32_ && c <= int64_:
		return u.number(c)
	case c == unused:
		return "a byte that MessagePack does not use"
	default:
		return u.extension(c)
	}
	return ""
}

// container reads a map or array whose length stands in bytes of its own.
func (u *unpacker) container(c byte, depth int) (bad string) {
	width := 2
	if c == array32 || c == map32 {
		width = 4
	}
	n, ok := u.length(1, width)
	switch {
	case !ok:
		return cutShort
	case c == map16 || c == map32:
		return u.members(n, depth)
	}
	return u.elements(n, depth)
}

// length passes over skip bytes and reads a length of width bytes.
func (u *unpacker) length(skip, width int) (n int, ok bool) {
	at := u.i + skip
	if at+width > len(u.in) {
		return 0, false
	}
	u.i = at + width
	for _, b := range u.in[at:u.i] {
		n = n<<8 | int(b)
	}
	return n, n >= 0 // where an int has 32 bits only
}

// left is how many bytes there are still.
func (u *unpacker) left() int { return len(u.in) - u.i }

func (u *unpacker) members(n, depth int) (bad string) {
	if depth <= 0 {
		return tooDeep
	}
	if n > u.left()/2 { // a key and a value take a byte each
		return "a map is longer than what is there"
	}
	u.dst = append(u.dst, '{')
	for i := range n {
		if i > 0 {
			u.dst = append(u.dst, ',')
		}
		if u.i >= len(u.in) {
			return "unexpected end, a key is missing"
		}
		if c := u.in[u.i]; c&0xe0 != fixStr && (c < str8 || c > str32) {
			return "a key is not a string"
		}
		if bad = u.string(); bad != "" {
			return bad
		}
		u.dst = append(u.dst, ':')
		if bad = u.value(depth - 1); bad != "" {
			return bad
		}
	}
	u.dst = append(u.dst, '}')
	return ""
}

func (u *unpacker) elements(n, depth int) (bad string) {
	if depth <= 0 {
		return tooDeep
	}
	if n > u.left() {
		return "an array is longer than what is there"
	}
	u.dst = append(u.dst, '[')
	for i := range n {
		if i > 0 {
			u.dst = append(u.dst, ',')
		}
		if bad = u.value(depth - 1); bad != "" {
			return bad
		}
	}
	u.dst = append(u.dst, ']')
	return ""
}

// bytes reads n bytes, of which the text needs room for at least as many.
func (u *unpacker) bytes(n int) (b []byte, bad string) {
	if n > u.left() {
		return nil, cutShort
	}
	if len(u.dst)+n > u.end {
		return nil, u.tooLong()
	}
	b = u.in[u.i : u.i+n]
	u.i += n
	return b, ""
}

// string reads a string, which a key is too.
func (u *unpacker) string() (bad string) {
	c := u.in[u.i]
	n, ok := int(c&0x1f), true
	if c >= str8 {
		n, ok = u.length(1, 1<<(c-str8))
	} else {
		u.i++
	}
	if !ok {
		return cutShort
	}
	b, bad := u.bytes(n)
	if bad != "" {
		return bad
	}
	if !utf8.Valid(b) {
		u.i -= n
		return "a string is not valid UTF-8"
	}
	for _, c := range b {
		if c < ' ' || c == '"' || c == '\\' {
			u.dst = jsonscan.AppendQuoted(u.dst, string(b))
			return ""
		}
	}
	u.dst = append(append(append(u.dst, '"'), b...), '"')
	return ""
}

// binary reads binary data.
func (u *unpacker) binary(c byte) (bad string) {
	n, ok := u.length(1, 1<<(c-bin8))
	if !ok {
		return cutShort
	}
	b, bad := u.bytes(n)
	if bad == "" {
		u.dst = append(base64.StdEncoding.AppendEncode(append(u.dst, '"'), b), '"')
	}
	return bad
}

// number reads a number that has bytes of its own.
func (u *unpacker) number(c byte) (bad string) {
	var width int
	switch c {
	case float32_:
		width = 4
	case float64_:
		width = 8
	default: // uint8 to uint64, int8 to int64
		width = 1 << ((c - uint8_) & 3)
	}
	if width >= u.left() {
		return cutShort
	}
	at := u.i + 1
	var raw [8]byte
	copy(raw[8-width:], u.in[at:at+width])
	v := binary.BigEndian.Uint64(raw[:])
	switch {
	case c == float32_:
		bad = u.float(float64(math.Float32frombits(uint32(v))))
	case c == float64_:
		bad = u.float(math.Float64frombits(v))
	case c <= uint64_:
		u.dst = strconv.AppendUint(u.dst, v, 10)
	default:
		shift := 64 - 8*width
		u.dst = strconv.AppendInt(u.dst, int64(v<<shift)>>shift, 10)
	}
	if bad == "" {
		u.i = at + width
	}
	return bad
}

// float writes a number as encoding/json does: with an exponent only where it is very large or very small.
func (u *unpacker) float(f float64) (bad string) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "NaN and infinities are no numbers of JSON"
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	u.dst = strconv.AppendFloat(u.dst, f, format, -1, 64)
	return ""
}

// timestampType is the one extension type that the specification defines.
const timestampType = -1

// extension reads a timestamp in one of its three forms.
func (u *unpacker) extension(c byte) (bad string) {
	start := u.i
	n, ok := 0, true
	if c >= fixExt1 {
		n = 1 << (c - fixExt1)
		u.i++
	} else {
		n, ok = u.length(1, 1<<(c-ext8))
	}
	if !ok || u.left() <= n {
		return cutShort
	}
	kind := int8(u.in[u.i])
	data := u.in[u.i+1 : u.i+1+n]
	if kind != timestampType {
		u.i = start
		return noForm
	}
	t, ok := timestamp(data)
	if !ok {
		u.i = start
		return badTime
	}
	u.i += 1 + n
	u.dst = append(t.AppendFormat(append(u.dst, '"'), time.RFC3339Nano), '"')
	return ""
}

// timestamp reads the data of a timestamp: seconds, or seconds with nanoseconds in one of two ways.
func timestamp(data []byte) (t time.Time, ok bool) {
	var seconds, nanos int64
	switch len(data) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(data))
	case 8:
		v := binary.BigEndian.Uint64(data)
		nanos, seconds = int64(v>>34), int64(v&(1<<34-1))
	case 12:
		nanos, seconds = int64(binary.BigEndian.Uint32(data)), int64(binary.BigEndian.Uint64(data[4:]))
	default:
		return t, false
	}
	const first, last = -62167219200, 253402300799 // years 0 to 9999, which ISO 8601 has four digits for
	if nanos >= 1e9 || seconds < first || seconds > last {
		return t, false
	}
	return time.Unix(seconds, nanos).UTC(), true
}

package msgpack

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// AppendPacked appends the JSON text to dst as MessagePack. It allocates only when dst is too small. The error, where text
// is not one JSON value or is nested too deep, is a [*jsonscan.SyntaxError]; dst is then returned as it was.
func AppendPacked(dst, text []byte) ([]byte, error) {
	if err := jsonscan.Valid(text, DepthMax); err != nil {
		return dst, err
	}
	p := packer{text: text, dst: dst}
	p.space()
	p.value()
	return p.dst, nil
}

// packer walks a text that is known to be JSON.
type packer struct {
	text []byte
	i    int
	dst  []byte
}

func (p *packer) space() {
	for p.i < len(p.text) && p.text[p.i] <= ' ' {
		p.i++
	}
}

// value writes the value at i and stops behind it.
func (p *packer) value() {
	switch p.text[p.i] {
	case '{':
		p.container('}', fixMap, map16)
	case '[':
		p.container(']', fixArray, array16)
	case '"':
		p.string()
	case 't':
		p.i += len("true")
		p.dst = append(p.dst, yes)
	case 'f':
		p.i += len("false")
		p.dst = append(p.dst, no)
	case 'n':
		p.i += len("null")
		p.dst = append(p.dst, null)
	default:
		p.number()
	}
}

// container writes an object or array. Its header tells the number of members, which is known only at the end: most have
// few, and then the one byte left free is enough.
func (p *packer) container(closing, fix, wide byte) {
	at, n := len(p.dst), 0
	p.dst = append(p.dst, 0)
	p.i++
	for p.space(); p.text[p.i] != closing; p.space() {
		if p.text[p.i] == ',' {
			p.i++
			p.space()
		}
		if closing == '}' {
			p.string()
			p.space()
			p.i++ // the colon
			p.space()
		}
		p.value()
		n++
	}
	p.i++
	switch {
	case n < 16:
		p.dst[at] = fix | byte(n)
	case n <= math.MaxUint16:
		p.widen(at+1, 2)
		p.dst[at] = wide
		binary.BigEndian.PutUint16(p.dst[at+1:], uint16(n))
	default:
		p.widen(at+1, 4)
		p.dst[at] = wide + 1
		binary.BigEndian.PutUint32(p.dst[at+1:], uint32(n))
	}
}

// widen makes room for n bytes at an index.
func (p *packer) widen(at, n int) {
	var room [4]byte
	p.dst = append(p.dst, room[:n]...)
	copy(p.dst[at+n:], p.dst[at:len(p.dst)-n])
}

// string writes the text of the literal at i.
func (p *packer) string() {
	start := p.i + 1
	end := start + bytes.IndexByte(p.text[start:], '"')
	if bytes.IndexByte(p.text[start:end], '\\') < 0 {
		p.i = end + 1
		p.dst = append(appendStrHeader(p.dst, end-start), p.text[start:end]...)
		return
	}
	for end = start; p.text[end] != '"'; end++ {
		if p.text[end] == '\\' {
			end++
		}
	}
	p.i = end + 1
	// The text is no longer than the literal; its header's length is known afterwards.
	const headerMax = 5
	var room [headerMax]byte
	at := len(p.dst)
	p.dst = append(p.dst, room[:]...)
	p.dst, _ = jsonscan.AppendUnquoted(p.dst, p.text[start-1:p.i]) // it is a valid literal
	n := len(p.dst) - at - headerMax
	header := appendStrHeader(room[:0], n)
	copy(p.dst[at:], header)
	copy(p.dst[at+len(header):], p.dst[at+headerMax:])
	p.dst = p.dst[:at+len(header)+n]
}

func appendStrHeader(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, fixStr|byte(n))
	case n <= math.MaxUint8:
		return append(dst, str8, byte(n))
	case n <= math.MaxUint16:
		return append(dst, str16, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, str32), uint32(n))
	}
}

// number writes the number at i.
func (p *packer) number() {
	start, whole := p.i, true
	for ; p.i < len(p.text); p.i++ {
		switch c := p.text[p.i]; {
		case c-'0' <= 9 || c == '-' && p.i == start:
		case c == '.' || c|0x20 == 'e' || c == '+' || c == '-':
			whole = false
		default:
			p.numberOf(p.text[start:p.i], whole)
			return
		}
	}
	p.numberOf(p.text[start:p.i], whole)
}

func (p *packer) numberOf(raw []byte, whole bool) {
	if whole {
		if n, err := jsonscan.Int(raw); err == nil {
			p.dst = appendInt(p.dst, n)
			return
		}
		if n, err := jsonscan.Uint(raw); err == nil {
			p.dst = appendUint(p.dst, n)
			return
		}
	}
	f, err := jsonscan.Float(raw)
	if err != nil { // beyond the largest: infinity is what every reader of such a text gets
		if f = math.Inf(1); raw[0] == '-' {
			f = math.Inf(-1)
		}
	}
	p.dst = binary.BigEndian.AppendUint64(append(p.dst, float64_), math.Float64bits(f))
}

// appendInt writes an integer in the shortest form.
func appendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(dst, uint64(n))
	case n >= -32:
		return append(dst, byte(n))
	case n >= math.MinInt8:
		return append(dst, int8_, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, int16_), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, int32_), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, int64_), uint64(n))
	}
}

func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n <= math.MaxUint8:
		return append(dst, uint8_, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, uint16_), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, uint32_), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, uint64_), n)
	}
}

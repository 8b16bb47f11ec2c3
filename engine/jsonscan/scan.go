package jsonscan

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// DepthMax is how many objects and arrays may lie in one another for an Iterator, the outermost included.
const DepthMax = 64

// SyntaxError says where and why a text is not what it should be.
type SyntaxError struct {
	Offset int // of the first byte that cannot stand where it does, or of the end
	Reason string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("jsonscan: %s at byte %d", e.Reason, e.Offset)
}

// Valid checks that data is exactly one JSON value, in valid UTF-8, with white space round it at most and no more than
// depthMax objects and arrays in one another. The error is a [*SyntaxError].
func Valid(data []byte, depthMax int) error {
	i, bad := value(data, space(data, 0), depthMax)
	if bad == "" {
		i, bad = end(data, i)
	}
	if bad != "" {
		return &SyntaxError{i, bad}
	}
	return nil
}

// The functions below read from data[i] and return where what they read ends. If bad is not empty, it says what is wrong
// and the index says where.

// space passes over white space.
func space(data []byte, i int) int {
	for i < len(data) && data[i] <= ' ' && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// end requires that nothing but white space follows.
func end(data []byte, i int) (_ int, bad string) {
	if i = space(data, i); i < len(data) {
		return i, "unexpected byte after the value"
	}
	return i, ""
}

// value reads one value. At most depth objects and arrays may lie in one another.
func value(data []byte, i, depth int) (_ int, bad string) {
	if i >= len(data) {
		return len(data), "unexpected end, a value is missing"
	}
	switch c := data[i]; {
	case c == '"':
		return quoted(data, i)
	case c == '{':
		return object(data, i, depth)
	case c == '[':
		return array(data, i, depth)
	case c == '-' || c-'0' <= 9:
		return number(data, i)
	case c == 't':
		return literal(data, i, "true")
	case c == 'f':
		return literal(data, i, "false")
	case c == 'n':
		return literal(data, i, "null")
	}
	return i, "unexpected byte, a value is missing"
}

func literal(data []byte, i int, want string) (_ int, bad string) {
	if end := i + len(want); end <= len(data) && string(data[i:end]) == want {
		return end, ""
	}
	for j := range len(want) {
		if i+j >= len(data) {
			return len(data), "unexpected end inside a literal"
		}
		if data[i+j] != want[j] {
			return i + j, "unexpected byte inside a literal"
		}
	}
	return i, ""
}

func object(data []byte, i, depth int) (_ int, bad string) {
	if depth <= 0 {
		return i, "nested too deep"
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return i + 1, ""
	}
	for {
		if i, bad = key(data, i); bad != "" {
			return i, bad
		}
		if i, bad = colon(data, i); bad != "" {
			return i, bad
		}
		if i, bad = value(data, i, depth-1); bad != "" {
			return i, bad
		}
		var more bool
		if i, more, bad = next(data, i, '}'); !more {
			return i, bad
		}
	}
}

func array(data []byte, i, depth int) (_ int, bad string) {
	if depth <= 0 {
		return i, "nested too deep"
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == ']' {
		return i + 1, ""
	}
	for {
		if i, bad = value(data, i, depth-1); bad != "" {
			return i, bad
		}
		var more bool
		if i, more, bad = next(data, i, ']'); !more {
			return i, bad
		}
	}
}

// key reads a member's name.
func key(data []byte, i int) (_ int, bad string) {
	if i >= len(data) {
		return len(data), "unexpected end, a key is missing"
	}
	if data[i] != '"' {
		return i, "unexpected byte, a key is missing"
	}
	return quoted(data, i)
}

// colon reads what stands between a key and its value.
func colon(data []byte, i int) (_ int, bad string) {
	i = space(data, i)
	if i >= len(data) {
		return i, "unexpected end after a key"
	}
	if data[i] != ':' {
		return i, "unexpected byte after a key, a colon is missing"
	}
	return space(data, i+1), ""
}

// next reads what follows a member or element: a comma, and then there is more, or the closing byte.
func next(data []byte, i int, closing byte) (_ int, more bool, bad string) {
	i = space(data, i)
	if i >= len(data) {
		return i, false, "unexpected end inside an object or array"
	}
	switch data[i] {
	case ',':
		return space(data, i+1), true, ""
	case closing:
		return i + 1, false, ""
	}
	return i, false, "unexpected byte, a comma or the end of the object or array is missing"
}

func number(data []byte, i int) (_ int, bad string) {
	if data[i] == '-' {
		i++
	}
	switch start := i; {
	case i < len(data) && data[i] == '0':
		i++
	default:
		if i = digits(data, i); i == start {
			return i, "a number has no digit where it needs one"
		}
	}
	if i < len(data) && data[i] == '.' {
		start := i + 1
		if i = digits(data, start); i == start {
			return i, "a number has no digit where it needs one"
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		start := i
		if i = digits(data, start); i == start {
			return i, "a number has no digit where it needs one"
		}
	}
	return i, ""
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// Masks for eight bytes at a time.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, with its highest bit, the first byte of w that is a quote, a backslash or a control character; the bits
// above that are not to be relied on.
func special(w uint64) uint64 {
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
}

// quoted reads a string literal, eight bytes at a time: against one at a time that takes a quarter off a small request
// (BenchmarkSubscribe) and two thirds off a long text (BenchmarkLongText).
func quoted(data []byte, i int) (_ int, bad string) {
	i++
	start := i
	var high uint64 // has a highest bit set if any byte has, and perhaps one that lies behind
	for {
		for i+8 <= len(data) {
			w := binary.LittleEndian.Uint64(data[i:])
			high |= w & highs
			if m := special(w); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
			high |= uint64(data[i]) & highs
			i++
		}
		switch {
		case i >= len(data):
			return i, "unexpected end inside a string"
		case data[i] == '"':
			if high != 0 && !utf8.Valid(data[start:i]) {
				return start + invalidAt(data[start:i]), "invalid UTF-8 inside a string"
			}
			return i + 1, ""
		case data[i] == '\\':
			if i, bad = escape(data, i); bad != "" {
				return i, bad
			}
		default:
			return i, "a control character inside a string is not escaped"
		}
	}
}

// invalidAt returns the index of the first byte of b that is not UTF-8, which there is.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// escape reads a backslash and what belongs to it.
func escape(data []byte, i int) (_ int, bad string) {
	i++
	if i >= len(data) {
		return i, "unexpected end inside a string"
	}
	switch data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, ""
	case 'u':
		for range 4 {
			i++
			if i >= len(data) {
				return i, "unexpected end inside a string"
			}
			if _, ok := hexDigit(data[i]); !ok {
				return i, "an escape is not four hexadecimal digits"
			}
		}
		return i + 1, ""
	}
	return i, "an escape that JSON does not have"
}

func hexDigit(c byte) (v rune, ok bool) {
	switch {
	case c-'0' <= 9:
		return rune(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10, true
	}
	return 0, false
}

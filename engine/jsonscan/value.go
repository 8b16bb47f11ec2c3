package jsonscan

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Errors of the functions that read one raw value, to be tested for with errors.Is.
var (
	ErrKind  = errors.New("jsonscan: the value is of another kind")
	ErrRange = errors.New("jsonscan: the number is out of range")
)

// Kind is what a value is.
type Kind uint8

// The kinds.
const (
	KindInvalid Kind = iota // nothing that JSON has
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// String says what a value of the kind is, for an error: "a number".
func (k Kind) String() string {
	switch k {
	case KindNull:
		return "null"
	case KindBool:
		return "true or false"
	case KindNumber:
		return "a number"
	case KindString:
		return "a string"
	case KindArray:
		return "an array"
	case KindObject:
		return "an object"
	}
	return "absent"
}

// KindOf returns the kind of a valid raw value, from its first byte.
func KindOf(raw []byte) Kind {
	if len(raw) == 0 {
		return KindInvalid
	}
	switch c := raw[0]; {
	case c == '"':
		return KindString
	case c == '{':
		return KindObject
	case c == '[':
		return KindArray
	case c == '-' || c-'0' <= 9:
		return KindNumber
	case c == 't' || c == 'f':
		return KindBool
	case c == 'n':
		return KindNull
	}
	return KindInvalid
}

// IsNull tells whether raw is null, or empty: an absent member.
func IsNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// Bool reads true or false; anything else is ErrKind.
func Bool(raw []byte) (bool, error) {
	switch string(raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, ErrKind
}

// Int reads a number without fraction and exponent. Another kind, a fraction or an exponent is ErrKind; what does not fit
// is ErrRange.
func Int(raw []byte) (int64, error) {
	negative := len(raw) > 0 && raw[0] == '-'
	magnitude := raw
	if negative {
		magnitude = raw[1:]
	}
	n, err := Uint(magnitude)
	switch {
	case err != nil:
		return 0, err
	case negative && n <= 1<<63:
		return -int64(n), nil
	case negative || n > 1<<63-1:
		return 0, ErrRange
	}
	return int64(n), nil
}

// Uint reads a number without sign, fraction and exponent, as [Int] does.
func Uint(raw []byte) (uint64, error) {
	if len(raw) == 0 || len(raw) > 1 && raw[0] == '0' || digits(raw, 0) != len(raw) {
		return 0, ErrKind
	}
	var n uint64
	for _, c := range raw {
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 0, ErrRange
		}
		n = n*10 + d
	}
	return n, nil
}

// Float reads any number, rounding it. Another kind is ErrKind; one over the largest float64 is ErrRange.
func Float(raw []byte) (float64, error) {
	if KindOf(raw) != KindNumber {
		return 0, ErrKind
	}
	if i, bad := number(raw, 0); bad != "" || i != len(raw) {
		return 0, ErrKind
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, ErrRange
	}
	return f, nil
}

// String reads a string literal. The error is ErrKind for a value of another kind, else a [*SyntaxError].
func String(raw []byte) (string, error) {
	text, err := Text(raw)
	return string(text), err
}

// Text reads a string literal like [String], without copying it unless it holds escapes.
func Text(raw []byte) ([]byte, error) {
	inner, err := unquote(raw)
	if err != nil || bytes.IndexByte(inner, '\\') < 0 {
		return inner, err
	}
	return unescape(make([]byte, 0, len(inner)), inner), nil
}

// AppendUnquoted appends the text of a string literal to dst. On an error, as in [String], dst is returned as it was.
// Half a surrogate pair becomes U+FFFD.
func AppendUnquoted(dst, raw []byte) ([]byte, error) {
	inner, err := unquote(raw)
	if err != nil {
		return dst, err
	}
	return unescape(dst, inner), nil
}

// unquote checks a string literal and returns what stands between its quotes.
func unquote(raw []byte) ([]byte, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return nil, ErrKind
	}
	i, bad := quoted(raw, 0)
	if bad == "" && i < len(raw) {
		bad = "unexpected byte after the value"
	}
	if bad != "" {
		return nil, &SyntaxError{i, bad}
	}
	return raw[1 : i-1 : i-1], nil
}

// unescape appends the text of inner, the checked inside of a string literal.
func unescape(dst, inner []byte) []byte {
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return append(dst, inner...)
		}
		dst = append(dst, inner[:i]...)
		c := inner[i+1]
		inner = inner[i+2:]
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := unit(inner)
			inner = inner[4:]
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if len(inner) >= 6 && inner[0] == '\\' && inner[1] == 'u' {
					low = unit(inner[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					inner = inner[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // a quote, a backslash or a slash
			dst = append(dst, c)
		}
	}
}

// unit reads four hexadecimal digits.
func unit(b []byte) (r rune) {
	for _, c := range b[:4] {
		d, _ := hexDigit(c)
		r = r<<4 | d
	}
	return r
}

// AppendQuoted appends s as a string literal. Quotes, backslashes and control characters are escaped, each byte that is
// not UTF-8 becomes \ufffd, and everything else, U+2028 and U+2029 included, stays as it is.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0 // s[from:i] can be copied as it is
	for i := plain(s); i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), `\ufffd`...)
				from = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			dst = appendEscape(append(dst, s[from:i]...), c)
			from = i + 1
		}
		i++
	}
	return append(append(dst, s[from:]...), '"')
}

// plain returns how many bytes of s, a multiple of eight, need no look: names and topics have no others
// (BenchmarkAppendQuoted).
func plain(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		if special(w)|w&highs != 0 {
			break
		}
	}
	return i
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '\b':
		c = 'b'
	case '\f':
		c = 'f'
	case '\n':
		c = 'n'
	case '\r':
		c = 'r'
	case '\t':
		c = 't'
	case '"', '\\':
	default:
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
	return append(dst, '\\', c)
}

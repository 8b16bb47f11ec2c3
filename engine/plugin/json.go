package plugin

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// scanner walks a JSON text once, checks it against RFC 8259, and allocates nothing (BenchmarkCheckEnvelopes: the
// library's validator takes as long as the guest's whole call).
type scanner struct {
	b     []byte
	i     int
	depth int
}

const jsonDepthMax = 64

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek returns the next byte that is not space, or 0.
func (s *scanner) peek() byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// value steps over one value.
func (s *scanner) value() bool {
	switch c := s.peek(); c {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		_, ok := s.text()
		return ok
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) object() bool {
	if s.depth++; s.depth > jsonDepthMax {
		return false
	}
	s.i++
	if !s.take('}') {
		for {
			if s.peek() != '"' {
				return false
			}
			if _, ok := s.text(); !ok || !s.take(':') || !s.value() {
				return false
			}
			if s.take('}') {
				break
			}
			if !s.take(',') {
				return false
			}
		}
	}
	s.depth--
	return true
}

func (s *scanner) array() bool {
	if s.depth++; s.depth > jsonDepthMax {
		return false
	}
	s.i++
	if !s.take(']') {
		for {
			if !s.value() {
				return false
			}
			if s.take(']') {
				break
			}
			if !s.take(',') {
				return false
			}
		}
	}
	s.depth--
	return true
}

// text steps over a string and returns what stands between its quotes, escapes and all. Whether the text as a whole is
// UTF-8 is checked elsewhere.
func (s *scanner) text() ([]byte, bool) {
	start := s.i + 1
	for i := start; i < len(s.b); {
		if i+8 <= len(s.b) && plainText(binary.LittleEndian.Uint64(s.b[i:])) {
			i += 8
			continue
		}
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:i], true
		case c < ' ':
			return nil, false
		case c != '\\':
			i++
		default:
			n := escape(s.b[i:])
			if n == 0 {
				return nil, false
			}
			i += n
		}
	}
	return nil, false
}

// plainText reports whether none of eight bytes is a quote, a backslash or below a space: the usual test for a zero
// byte, on the difference to each.
func plainText(w uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	found := (quote - ones) &^ quote
	found |= (slash - ones) &^ slash
	found |= (w - ones*' ') &^ w
	return found&high == 0
}

// escape returns the length of the escape that b begins with, or 0.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) at(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) number() bool {
	s.at('-')
	if !s.at('0') && !s.digits() {
		return false
	}
	if s.at('.') && !s.digits() {
		return false
	}
	if s.at('e') || s.at('E') {
		if !s.at('+') {
			s.at('-')
		}
		return s.digits()
	}
	return true
}

// checkJSON returns what is wrong with b as one JSON value, or "".
func checkJSON(b []byte) string {
	s := scanner{b: b}
	if !s.value() || s.peek() != 0 || s.i != len(b) {
		return fmt.Sprintf("is not JSON at byte %d", s.i)
	}
	if !utf8.Valid(b) {
		return "is not UTF-8"
	}
	return ""
}

// The fields of an envelope as a transform writes it, sdk/ABI.md "transform".
const (
	fieldT = 1 << iota
	fieldTopic
	fieldP
	fieldPri
	fieldID
	fieldCID
	fieldVersion

	fieldsMust = fieldT | fieldTopic | fieldP
)

func envelopeField(name []byte) int {
	switch string(name) {
	case "t":
		return fieldT
	case "topic":
		return fieldTopic
	case "p":
		return fieldP
	case "pri":
		return fieldPri
	case "id":
		return fieldID
	case "cid":
		return fieldCID
	case "event_version":
		return fieldVersion
	}
	return 0
}

// checkEnvelopes returns what is wrong with b as the answer of a transform, or "": one envelope or an array of them.
func checkEnvelopes(b []byte) string {
	s := scanner{b: b}
	fault := ""
	if s.peek() == '[' {
		fault = s.envelopes()
	} else {
		fault = s.envelope()
	}
	switch {
	case fault != "":
		return fault
	case s.peek() != 0 || s.i != len(b):
		return fmt.Sprintf("has more after the answer, at byte %d", s.i)
	case !utf8.Valid(b):
		return "is not UTF-8"
	}
	return ""
}

func (s *scanner) envelopes() string {
	s.i++
	if s.take(']') {
		return ""
	}
	for {
		if fault := s.envelope(); fault != "" {
			return fault
		}
		if s.take(']') {
			return ""
		}
		if !s.take(',') {
			return fmt.Sprintf("is not JSON at byte %d", s.i)
		}
	}
}

func (s *scanner) envelope() string {
	if !s.take('{') {
		return fmt.Sprintf("is not a JSON object at byte %d", s.i)
	}
	seen := 0
	for first := true; !s.take('}'); first = false {
		if (!first && !s.take(',')) || s.peek() != '"' {
			return fmt.Sprintf("is not JSON at byte %d", s.i)
		}
		name, ok := s.text()
		if !ok || !s.take(':') {
			return fmt.Sprintf("is not JSON at byte %d", s.i)
		}
		field := envelopeField(name)
		switch {
		case field == 0:
			return fmt.Sprintf("has the unknown field %q", name)
		case seen&field != 0:
			return fmt.Sprintf("has the field %q twice", name)
		}
		seen |= field
		if fault := s.fieldValue(field, name); fault != "" {
			return fault
		}
	}
	if seen&fieldsMust != fieldsMust {
		return "has an envelope without t, topic or p"
	}
	return ""
}

func (s *scanner) fieldValue(field int, name []byte) string {
	c, start := s.peek(), s.i
	wrong := false
	switch field {
	case fieldP:
		wrong = c != '{'
	case fieldPri, fieldVersion:
		wrong = c < '0' || c > '9'
	case fieldT, fieldTopic:
		wrong = c != '"' || (s.i+1 < len(s.b) && s.b[s.i+1] == '"')
	default:
		wrong = c != '"'
	}
	if wrong {
		return fmt.Sprintf("has a field %q of the wrong type or empty", name)
	}
	if !s.value() {
		return fmt.Sprintf("is not JSON at byte %d", s.i)
	}
	if field == fieldPri || field == fieldVersion {
		return checkInteger(s.b[start:s.i], field, name)
	}
	return ""
}

func checkInteger(b []byte, field int, name []byte) string {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<20 {
			return fmt.Sprintf("has a field %q that is no small whole number", name)
		}
		n = n*10 + int(c-'0')
	}
	if field == fieldPri && (n < 1 || n > 10) {
		return `has a field "pri" outside 1 to 10`
	}
	return ""
}

// appendJSONString appends s as a JSON string, with bytes that are not UTF-8 replaced.
func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			if c < ' ' {
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				dst = append(dst, '\\', c)
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

package ingest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// fields reads the members of an object one after the other and keeps the first fault. A member that is null counts as
// absent; one that comes twice is a fault, because one of the two would be lost without a word.
type fields struct {
	err  *fieldError
	seen [16]string // names so far
	n    int
}

// fieldError says what is wrong with a field.
type fieldError struct{ field, reason string }

// Error implements error.
func (e *fieldError) Error() string { return e.field + ": " + e.reason }

func (f *fields) fail(field, reason string) {
	if f.err == nil {
		f.err = &fieldError{field, reason}
	}
}

func (f *fields) failf(field, format string, args ...any) {
	f.fail(field, fmt.Sprintf(format, args...))
}

// fault returns the first fault as an error, or nil.
func (f *fields) fault() error {
	if f.err == nil {
		return nil
	}
	return f.err
}

// unknown refuses a field that does not exist: a misspelt one would be lost without a word.
func (f *fields) unknown(key []byte) {
	f.fail(string(key[:min(len(key), 64)]), "is no field here")
}

func (f *fields) require(field string, value []byte) {
	if len(value) == 0 {
		f.fail(field, "is missing")
	}
}

// given reports whether value is one to read, and notes that the field came.
func (f *fields) given(field string, value []byte) bool {
	for _, s := range f.seen[:f.n] {
		if s == field {
			f.fail(field, "is given twice")
			return false
		}
	}
	if f.n < len(f.seen) {
		f.seen[f.n] = field
		f.n++
	}
	return f.err == nil && !jsonscan.IsNull(value)
}

// text reads a string of 1 to most bytes without control characters.
func (f *fields) text(field string, value []byte, most int) []byte {
	if !f.given(field, value) {
		return nil
	}
	text, plain := plainText(value)
	var err error
	if !plain {
		text, err = jsonscan.Text(value)
	}
	switch {
	case err != nil:
		f.fail(field, "must be a text")
	case len(text) == 0 || len(text) > most:
		f.failf(field, "must be a text of 1 to %d bytes, has %d", most, len(text))
	case !plain && bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' }), bytes.IndexByte(text, 0x7f) >= 0:
		f.fail(field, "holds a control character")
	default:
		return text
	}
	return nil
}

// plainText returns what stands between the quotes of a valid string literal without an escape. In such a one there is
// no control character below 0x20, and nothing is left to check (BenchmarkAnswer).
func plainText(value []byte) (text []byte, ok bool) {
	if value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
		return nil, false
	}
	return value[1 : len(value)-1 : len(value)-1], true
}

func (f *fields) object(field string, value []byte) []byte {
	if !f.given(field, value) {
		return nil
	}
	if jsonscan.KindOf(value) != jsonscan.KindObject {
		f.fail(field, "must be a JSON object")
		return nil
	}
	return value
}

func (f *fields) integer(field string, value []byte, least, most int64) int64 {
	if !f.given(field, value) {
		return 0
	}
	n, err := jsonscan.Int(value)
	if err != nil || n < least || n > most {
		f.failf(field, "must be a whole number from %d to %d", least, most)
		return 0
	}
	return n
}

func (f *fields) priority(field string, value []byte) message.Priority {
	return message.Priority(f.integer(field, value, 1, 10))
}

func (f *fields) version(field string, value []byte) int {
	return int(f.integer(field, value, 1, 1<<31-1))
}

// Numbers below secondsBelow are Unix seconds, others milliseconds, as in the market data of v1 (PROTOCOL §3.3).
const (
	secondsBelow = 1e11
	timeMSMax    = 253_402_300_799_999 // the last millisecond of the year 9999
)

// time reads a moment: ISO 8601, in UTC where it names no zone, or a number of seconds or milliseconds since 1970.
func (f *fields) time(field string, value []byte) int64 {
	if !f.given(field, value) {
		return 0
	}
	ms, ok := int64(0), false
	if jsonscan.KindOf(value) == jsonscan.KindNumber {
		n, err := jsonscan.Float(value)
		if n < secondsBelow {
			n *= 1000
		}
		if ok = err == nil && n <= timeMSMax; ok {
			ms = int64(n)
		}
	} else if text, err := jsonscan.String(value); err == nil {
		ms, ok = parseTime(text)
	}
	if !ok || ms <= 0 || ms > timeMSMax {
		f.fail(field, "must be a time of ISO 8601, or a number of milliseconds or seconds since 1970")
		return 0
	}
	return ms
}

func parseTime(s string) (ms int64, ok bool) {
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// trim returns doc without white space in front.
func trim(doc []byte) []byte { return bytes.TrimLeft(doc, " \t\r\n") }

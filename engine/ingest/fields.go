package ingest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// field is a member that some document of this package has.
type field uint8

const (
	fieldType field = iota
	fieldPayload
	fieldT
	fieldP
	fieldTopic
	fieldUserID
	fieldID
	fieldCID
	fieldTraceID
	fieldTime
	fieldPriority
	fieldVersion
	fieldEncrypted
	fieldProtocol
	fieldCompressed

	fieldCount
)

// String returns the member's name.
func (f field) String() string {
	return [fieldCount]string{
		"type", "payload", "t", "p", "topic", "user_id", "id", "cid", "trace_id", "ts", "pri", "event_version", "enc", "v", "cmp",
	}[f]
}

// fields reads the members of an object one after the other and keeps the first fault. A member that is null counts as
// absent; one that comes twice is a fault, because one of the two would be lost without a word.
type fields struct {
	err  *fieldError
	seen uint16 // a bit for each field
}

// fieldError says what is wrong with a field.
type fieldError struct{ field, reason string }

// Error implements error.
func (e *fieldError) Error() string { return e.field + ": " + e.reason }

func (f *fields) fail(name field, reason string) {
	if f.err == nil {
		f.err = &fieldError{name.String(), reason}
	}
}

func (f *fields) failf(name field, format string, args ...any) {
	f.fail(name, fmt.Sprintf(format, args...))
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
	if f.err == nil {
		f.err = &fieldError{string(key[:min(len(key), 64)]), "is no field here"}
	}
}

func (f *fields) require(name field, value []byte) {
	if len(value) == 0 {
		f.fail(name, "is missing")
	}
}

// given reports whether value is one to read, and notes that the field came.
func (f *fields) given(name field, value []byte) bool {
	if f.seen&(1<<name) != 0 {
		f.fail(name, "is given twice")
		return false
	}
	f.seen |= 1 << name
	return f.err == nil && !jsonscan.IsNull(value)
}

// text reads a string of 1 to most bytes without control characters.
func (f *fields) text(name field, value []byte, most int) []byte {
	if !f.given(name, value) {
		return nil
	}
	text, plain := plainText(value)
	var err error
	if !plain {
		text, err = jsonscan.Text(value)
	}
	switch {
	case err != nil:
		f.fail(name, "must be a text")
	case len(text) == 0 || len(text) > most:
		f.failf(name, "must be a text of 1 to %d bytes, has %d", most, len(text))
	case !plain && bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' }), bytes.IndexByte(text, 0x7f) >= 0:
		f.fail(name, "holds a control character")
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

func (f *fields) object(name field, value []byte) []byte {
	if !f.given(name, value) {
		return nil
	}
	if jsonscan.KindOf(value) != jsonscan.KindObject {
		f.fail(name, "must be a JSON object")
		return nil
	}
	return value
}

func (f *fields) integer(name field, value []byte, least, most int64) int64 {
	if !f.given(name, value) {
		return 0
	}
	n, err := jsonscan.Int(value)
	if err != nil || n < least || n > most {
		f.failf(name, "must be a whole number from %d to %d", least, most)
		return 0
	}
	return n
}

func (f *fields) bool(name field, value []byte) bool {
	if !f.given(name, value) {
		return false
	}
	if jsonscan.KindOf(value) != jsonscan.KindBool {
		f.fail(name, "must be true or false")
	}
	return value[0] == 't'
}

func (f *fields) priority(name field, value []byte) message.Priority {
	return message.Priority(f.integer(name, value, 1, 10))
}

func (f *fields) version(name field, value []byte) int {
	return int(f.integer(name, value, 1, 1<<31-1))
}

// Numbers below secondsBelow are Unix seconds, others milliseconds, as in the market data of v1 (PROTOCOL §3.3).
const (
	secondsBelow = 1e11
	timeMSMax    = 253_402_300_799_999 // the last millisecond of the year 9999
)

// time reads a moment: ISO 8601, in UTC where it names no zone, or a number of seconds or milliseconds since 1970.
func (f *fields) time(name field, value []byte) int64 {
	if !f.given(name, value) {
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
		f.fail(name, "must be a time of ISO 8601, or a number of milliseconds or seconds since 1970")
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
func trim(doc []byte) []byte {
	for len(doc) > 0 && (doc[0] == ' ' || doc[0] == '\t' || doc[0] == '\r' || doc[0] == '\n') {
		doc = doc[1:]
	}
	return doc
}

package wse

import (
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// timestampMax is 2^53, the largest number of milliseconds that a JavaScript client can mean exactly.
const timestampMax = 1 << 53

// reader reads raw values and keeps the first fault. A null or an absent value is the zero value everywhere.
type reader struct{ err *message.Error }

// invalid says what is wrong with a message. Where field is not empty the fault is that field's.
func invalid(field, reason string) *message.Error {
	e := &message.Error{Code: message.CodeInvalidMessage, Message: reason}
	details := []byte(`{`)
	if field != "" {
		e.Message = field + " " + reason
		details = append(jsonscan.AppendQuoted(append(details, `"field":`...), field), ',')
	}
	details = jsonscan.AppendQuoted(append(details, `"reason":`...), e.Message)
	e.Details = append(details, '}')
	return e
}

func notAnObject(err error) *message.Error {
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		return invalid("", fmt.Sprintf("a message must be one JSON object: %s at byte %d", syntax.Reason, syntax.Offset))
	}
	return invalid("", "a message must be one JSON object")
}

func (r *reader) fail(field, reason string) {
	if r.err == nil {
		r.err = invalid(field, reason)
	}
}

// textBytes reads a string, without copying it where it holds no escapes.
func (r *reader) textBytes(field string, raw []byte) []byte {
	if jsonscan.IsNull(raw) {
		return nil
	}
	text, err := jsonscan.Text(raw)
	if err != nil {
		r.fail(field, "must be a string, not "+jsonscan.KindOf(raw).String())
	}
	return text
}

func (r *reader) text(field string, raw []byte) string { return string(r.textBytes(field, raw)) }

// name reads a string of limited length.
func (r *reader) name(field string, raw []byte, bytesMax int) string {
	text := r.textBytes(field, raw)
	if len(text) > bytesMax {
		r.fail(field, fmt.Sprintf("must have at most %d bytes, not %d", bytesMax, len(text)))
		return ""
	}
	return string(text)
}

// required reads a string that must be there.
func (r *reader) required(field string, raw []byte, bytesMax int) []byte {
	text := r.textBytes(field, raw)
	switch {
	case len(text) == 0:
		r.fail(field, "must be a string, the type of the message")
	case len(text) > bytesMax:
		r.fail(field, fmt.Sprintf("must have at most %d bytes, not %d", bytesMax, len(text)))
	}
	return text
}

// texts reads an array of strings.
func (r *reader) texts(field string, raw []byte) []string {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if jsonscan.KindOf(raw) != jsonscan.KindArray {
		r.fail(field, "must be an array of strings, not "+jsonscan.KindOf(raw).String())
		return nil
	}
	texts := make([]string, 0, 4)
	for it := jsonscan.Elements(raw); it.Next(); {
		text, err := jsonscan.String(it.Value())
		if err != nil {
			r.fail(fmt.Sprintf("%s[%d]", field, len(texts)), "must be a string, not "+jsonscan.KindOf(it.Value()).String())
			return nil
		}
		texts = append(texts, text)
	}
	return texts
}

// object returns raw if it is an object, and an empty one where there is none.
func (r *reader) object(field string, raw []byte) []byte {
	switch {
	case jsonscan.IsNull(raw):
		return []byte("{}")
	case jsonscan.KindOf(raw) != jsonscan.KindObject:
		r.fail(field, "must be an object, not "+jsonscan.KindOf(raw).String())
		return []byte("{}")
	}
	return raw
}

func (r *reader) bool(field string, raw []byte, absent bool) bool {
	if jsonscan.IsNull(raw) {
		return absent
	}
	b, err := jsonscan.Bool(raw)
	if err != nil {
		r.fail(field, "must be true or false, not "+jsonscan.KindOf(raw).String())
	}
	return b
}

// integer reads a whole number from low to high.
func (r *reader) integer(field string, raw []byte, low, high int64) int64 {
	if jsonscan.IsNull(raw) {
		return 0
	}
	n, err := jsonscan.Int(raw)
	if err != nil || n < low || n > high {
		r.fail(field, fmt.Sprintf("must be an integer from %d to %d, not %s", low, high, shown(raw)))
		return 0
	}
	return n
}

// timestamp reads Unix milliseconds. Fractions, which some clocks give, are cut off.
func (r *reader) timestamp(field string, raw []byte) int64 {
	if jsonscan.IsNull(raw) {
		return 0
	}
	f, err := jsonscan.Float(raw)
	if err != nil || f < 0 || f > timestampMax {
		r.fail(field, "must be a number, Unix milliseconds, not "+shown(raw))
		return 0
	}
	return int64(f)
}

// shown is a number as it was sent, or what else was sent, short enough for an error.
func shown(raw []byte) string {
	if jsonscan.KindOf(raw) != jsonscan.KindNumber {
		return jsonscan.KindOf(raw).String()
	}
	const bytesMax = 24
	if len(raw) > bytesMax {
		return string(raw[:bytesMax]) + "…"
	}
	return string(raw)
}

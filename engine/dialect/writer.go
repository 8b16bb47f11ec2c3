package dialect

import (
	"strconv"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// Writer appends the members of an object to Dst. It puts the commas by looking at what was written last, so that it needs
// no stack; something has to be there, a bracket at the least. It belongs to one goroutine.
type Writer struct{ Dst []byte }

// Comma separates the next member or element from the one before it.
func (w *Writer) Comma() {
	if last := w.Dst[len(w.Dst)-1]; last != '{' && last != '[' && last != ':' {
		w.Dst = append(w.Dst, ',')
	}
}

// Key begins the member of that name; its value is to follow.
func (w *Writer) Key(key string) {
	w.Comma()
	w.Dst = append(jsonscan.AppendQuoted(w.Dst, key), ':')
}

// Begin opens the object or array that is the value of key.
func (w *Writer) Begin(key string, bracket byte) {
	w.Key(key)
	w.Dst = append(w.Dst, bracket)
}

// Open opens an object or array that is an element.
func (w *Writer) Open(bracket byte) {
	w.Comma()
	w.Dst = append(w.Dst, bracket)
}

// End closes an object or array.
func (w *Writer) End(bracket byte) { w.Dst = append(w.Dst, bracket) }

// String writes a text.
func (w *Writer) String(key, value string) {
	w.Key(key)
	w.Dst = jsonscan.AppendQuoted(w.Dst, value)
}

// Int writes a whole number.
func (w *Writer) Int(key string, value int64) {
	w.Key(key)
	w.Dst = strconv.AppendInt(w.Dst, value, 10)
}

// Uint writes a whole number that is not negative.
func (w *Writer) Uint(key string, value uint64) {
	w.Key(key)
	w.Dst = strconv.AppendUint(w.Dst, value, 10)
}

// Bool writes true or false.
func (w *Writer) Bool(key string, value bool) {
	w.Key(key)
	w.Dst = strconv.AppendBool(w.Dst, value)
}

// Time writes a moment, in Unix milliseconds, as AppendTime does.
func (w *Writer) Time(key string, ms int64) {
	w.Key(key)
	w.Dst = append(AppendTime(append(w.Dst, '"'), ms), '"')
}

// Raw writes a value that is JSON already; none at all is null.
func (w *Writer) Raw(key string, value []byte) {
	w.Key(key)
	if len(value) == 0 {
		w.Dst = append(w.Dst, "null"...)
		return
	}
	w.Dst = append(w.Dst, value...)
}

// WriteTexts writes an array of texts.
func WriteTexts[T ~string](w *Writer, key string, texts []T) {
	w.Begin(key, '[')
	for _, text := range texts {
		w.Comma()
		w.Dst = jsonscan.AppendQuoted(w.Dst, string(text))
	}
	w.End(']')
}

package wse

import (
	"strconv"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// writer appends the members of an object. It puts the commas by looking at what was written last, so that it needs no
// stack.
type writer struct{ dst []byte }

// comma separates the next member or element from the one before it.
func (w *writer) comma() {
	if last := w.dst[len(w.dst)-1]; last != '{' && last != '[' && last != ':' {
		w.dst = append(w.dst, ',')
	}
}

func (w *writer) key(key string) {
	w.comma()
	w.dst = append(jsonscan.AppendQuoted(w.dst, key), ':')
}

// begin opens the object or array that is the value of key.
func (w *writer) begin(key string, bracket byte) {
	w.key(key)
	w.dst = append(w.dst, bracket)
}

// open opens an object or array that is an element.
func (w *writer) open(bracket byte) {
	w.comma()
	w.dst = append(w.dst, bracket)
}

func (w *writer) end(bracket byte) { w.dst = append(w.dst, bracket) }

func (w *writer) string(key, value string) {
	w.key(key)
	w.dst = jsonscan.AppendQuoted(w.dst, value)
}

func (w *writer) int(key string, value int64) {
	w.key(key)
	w.dst = strconv.AppendInt(w.dst, value, 10)
}

func (w *writer) uint(key string, value uint64) {
	w.key(key)
	w.dst = strconv.AppendUint(w.dst, value, 10)
}

func (w *writer) bool(key string, value bool) {
	w.key(key)
	w.dst = strconv.AppendBool(w.dst, value)
}

func (w *writer) time(key string, ms int64) {
	w.key(key)
	w.dst = append(dialect.AppendTime(append(w.dst, '"'), ms), '"')
}

func (w *writer) topics(key string, topics []message.Topic) {
	w.begin(key, '[')
	for _, topic := range topics {
		w.comma()
		w.dst = jsonscan.AppendQuoted(w.dst, string(topic))
	}
	w.end(']')
}

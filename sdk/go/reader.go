package wse

import "math/bits"

// DepthMax is how many objects and arrays may stand in each other. The engine has the same limit.
const DepthMax = 64

// Kind is what a value is.
type Kind uint8

// The kinds of value. Bad is what begins no value.
const (
	Bad Kind = iota
	Object
	Array
	String
	Number
	True
	False
	Null
)

// Reader walks a JSON document where it lies: nothing is built, and what is read comes back as slices of the document. All
// of RFC 8259 is checked on the way except that strings are UTF-8, which is the engine's, so what was skipped or
// passed on as it is written is valid JSON.
//
//	in.Object()
//	for in.Member() {
//		if in.KeyIs("user_id") && in.Peek() == wse.String {
//			in.String()
//			user = in.Raw()
//		} else {
//			in.Skip()
//		}
//	}
//	if !in.Close() {
//		return out.Error("not a document")
//	}
//
// The first fault sticks: from then on every method answers false, so that one look at Close is enough. The zero Reader
// reads nothing; Open gives it a document.
type Reader struct {
	doc     []byte
	first   int  // where the document's value begins
	at      int  // the next byte to read, faulty after a fault
	stop    int  // where reading failed
	depth   int  // objects and arrays entered and not left
	fresh   bool // just inside a bracket, where no comma is due
	key     span
	raw     span
	escape  bool   // scan passed one
	keyText []byte // what Key decoded
	rawText []byte // what Text decoded
}

// span is a part of the document.
type span struct {
	from, to int
	escaped  bool
}

const faulty = -1

// Open begins to read a document. Call and Batch have done it already; a plugin does it to read a part a second time,
// and then opens the whole again if it needs it.
func (r *Reader) Open(doc []byte) {
	r.doc, r.stop, r.depth, r.fresh = doc, 0, 0, false
	r.key, r.raw = span{}, span{}
	r.first = r.blanks(0)
	r.at = r.first
}

// Document is all of the document, read or not.
func (r *Reader) Document() []byte { return r.doc }

// Close reports whether the document was whole: no fault, everything entered was left, and nothing but white space follows.
func (r *Reader) Close() bool {
	if r.at == faulty {
		return false
	}
	p := r.blanks(r.at)
	if r.depth != 0 || p != len(r.doc) || r.at == r.first {
		return r.fail(p)
	}
	return true
}

// Sound reports whether there has been no fault so far.
func (r *Reader) Sound() bool { return r.at != faulty }

// Fault is the offset of the byte that could not be read.
func (r *Reader) Fault() int { return r.stop }

// Here is the offset of the next byte to read, for callers that copy what they have walked over.
func (r *Reader) Here() int { return r.at }

// Peek tells what the next value is without reading it. Bad is a fault.
func (r *Reader) Peek() Kind {
	if r.at == faulty {
		return Bad
	}
	c := r.byteAt(r.at)
	switch c {
	case '"':
		return String
	case '{':
		return Object
	case '[':
		return Array
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	}
	if c == '-' || isDigit(c) {
		return Number
	}
	r.fail(r.at)
	return Bad
}

// Object enters the next value, which must be an object.
func (r *Reader) Object() bool { return r.enter('{') }

// Array enters the next value, which must be an array.
func (r *Reader) Array() bool { return r.enter('[') }

// Member reads the next name of the object entered last and stands before its value, which must be read next. It
// returns false, and leaves the object, when there is none.
func (r *Reader) Member() bool {
	p := r.next('}')
	if p == faulty {
		return false
	}
	if r.byteAt(p) != '"' {
		return r.fail(p)
	}
	end := r.scan(p + 1)
	if end == faulty {
		return false
	}
	r.key.from, r.key.to, r.key.escaped = p+1, end-1, r.escape
	if p = end; r.byteAt(p) != ':' {
		if p = r.blanks(p); r.byteAt(p) != ':' {
			return r.fail(p)
		}
	}
	r.at = r.blanks(p + 1)
	return true
}

// Element stands before the next element of the array entered last, which must be read next. It returns false, and
// leaves the array, when there is none.
func (r *Reader) Element() bool {
	p := r.next(']')
	if p == faulty {
		return false
	}
	r.at = p
	return true
}

// String reads the next value, which must be a string: ask Peek where it may be something else. Raw is then what stands
// between its quotes, Text its text.
func (r *Reader) String() bool {
	p := r.at
	if p == faulty {
		return false
	}
	if r.byteAt(p) != '"' {
		return r.fail(p)
	}
	end := r.scan(p + 1)
	if end == faulty {
		return false
	}
	r.raw.from, r.raw.to, r.raw.escaped = p+1, end-1, r.escape
	r.at = end
	return true
}

// Skip reads the next value whatever it is. Raw is then all of it, as it is written, quotes and brackets too.
func (r *Reader) Skip() bool {
	p := r.at
	if p == faulty {
		return false
	}
	end := r.skipValue(p)
	if end == faulty {
		return false
	}
	r.raw.from, r.raw.to, r.raw.escaped = p, end, false
	r.at = end
	return true
}

// Raw is what String or Skip read last, as it is written. The content of a string is valid inside another JSON string as
// it is; to compare it take Text.
func (r *Reader) Raw() []byte { return r.doc[r.raw.from:r.raw.to] }

// Escaped reports whether the string read last holds a backslash, so that Raw is not its text.
func (r *Reader) Escaped() bool { return r.raw.escaped }

// Text is the text of the string read last, its escapes resolved. It is good until the next call of Text; a string without
// escapes is not copied.
func (r *Reader) Text() []byte {
	if r.raw.escaped {
		return r.decodeText()
	}
	return r.doc[r.raw.from:r.raw.to]
}

func (r *Reader) decodeText() []byte {
	r.rawText = appendText(r.rawText[:0], r.Raw())
	return r.rawText
}

// AppendText appends the text of the string read last, for a plugin that keeps it longer than Text does.
func (r *Reader) AppendText(dst []byte) []byte {
	if !r.raw.escaped {
		return append(dst, r.Raw()...)
	}
	return appendText(dst, r.Raw())
}

// Integer is the value that Skip read last, where that is a number without fraction and exponent that fits 64 bits; 0 and
// false where not.
func (r *Reader) Integer() (v int64, ok bool) { return integer(r.Raw()) }

// Key is the name that Member read, its escapes resolved. It is good until the next call of Key or KeyIs. A switch over
// string(in.Key()) copies nothing.
func (r *Reader) Key() []byte {
	if r.key.escaped {
		return r.decodeKey()
	}
	return r.doc[r.key.from:r.key.to]
}

func (r *Reader) decodeKey() []byte {
	r.keyText = appendText(r.keyText[:0], r.doc[r.key.from:r.key.to])
	return r.keyText
}

// KeyIs compares the name that Member read.
func (r *Reader) KeyIs(name string) bool { return string(r.Key()) == name }

func (r *Reader) fail(p int) bool {
	r.stop, r.at = p, faulty
	return false
}

// byteAt is the byte at p, zero behind the end: a zero is allowed nowhere in JSON.
func (r *Reader) byteAt(p int) byte {
	if uint(p) < uint(len(r.doc)) {
		return r.doc[p]
	}
	return 0
}

func (r *Reader) enter(bracket byte) bool {
	if r.at == faulty {
		return false
	}
	if r.byteAt(r.at) != bracket || r.depth == DepthMax {
		return r.fail(r.at)
	}
	r.depth++
	r.at++
	r.fresh = true
	return true
}

// next steps over the comma that is due and returns where the next member or element begins; faulty at the closing bracket
// and where there is a fault.
func (r *Reader) next(closing byte) int {
	p := r.at
	if p == faulty || r.depth == 0 {
		return faulty
	}
	c := r.byteAt(p)
	if c <= ' ' {
		p = r.manyBlanks(p)
		c = r.byteAt(p)
	}
	if c == closing {
		r.at = p + 1
		r.depth--
		r.fresh = false
		return faulty
	}
	if r.fresh {
		r.fresh = false
		return p
	}
	if c != ',' {
		r.fail(p)
		return faulty
	}
	return r.blanks(p + 1)
}

// blanks is where the next byte stands that is no white space.
func (r *Reader) blanks(p int) int {
	if uint(p) < uint(len(r.doc)) && r.doc[p] > ' ' {
		return p
	}
	return r.manyBlanks(p)
}

func (r *Reader) manyBlanks(p int) int {
	for p < len(r.doc) {
		if c := r.doc[p]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			break
		}
		p++
	}
	return p
}

func isDigit(c byte) bool { return c-'0' < 10 }

const (
	ones    = 0x0101010101010101
	highs   = 0x8080808080808080
	quotes  = ones * '"'
	slashes = ones * '\\'
	spaces  = ones * ' '
)

// special marks, with the highest bit of each, the bytes that are a quote, a backslash or a control character. The lowest
// mark is exact: a borrow only ever disturbs bytes above one.
func special(x uint64) uint64 {
	return ((x ^ quotes - ones) | (x ^ slashes - ones) | (x - spaces)) &^ x & highs
}

// plain is where the first byte stands, at p or behind, that is a quote, a backslash or a control character; len(b) where
// there is none. Most texts are short, and those that are not are looked through 32 bytes at a time (BenchmarkReader).
func plain(b []byte, p int) int {
	for p+8 <= len(b) {
		if hit := special(le64(b[p:])); hit != 0 {
			return p + bits.TrailingZeros64(hit)>>3
		}
		p += 8
		for p+32 <= len(b) {
			q := b[p : p+32]
			if special(le64(q))|special(le64(q[8:]))|special(le64(q[16:]))|special(le64(q[24:])) != 0 {
				break
			}
			p += 32
		}
	}
	for p < len(b) && b[p] >= ' ' && b[p] != '"' && b[p] != '\\' {
		p++
	}
	return p
}

// scan finds the end of the string whose content begins at p, one past its quote, and takes down in r.escape whether it
// passed an escape. What is up to 32 bytes long, as most names are, costs no call of plain.
func (r *Reader) scan(p int) int {
	b := r.doc
	r.escape = false
	for {
		hit := uint64(0)
		for last := min(p+24, len(b)-8); p <= last; p += 8 {
			if hit = special(le64(b[p:])); hit != 0 {
				break
			}
		}
		if hit != 0 {
			p += bits.TrailingZeros64(hit) >> 3
		} else {
			p = plain(b, p)
		}
		c := r.byteAt(p)
		if c == '"' {
			return p + 1
		}
		after := faulty
		if c == '\\' {
			after = r.skipEscape(p)
		}
		if after == faulty {
			r.fail(p)
			return faulty
		}
		p = after
		r.escape = true
	}
}

// skipEscape is the byte after the escape at p, faulty where it is none.
func (r *Reader) skipEscape(p int) int {
	c := r.byteAt(p + 1)
	if c != 'u' {
		if simpleEscape(c) == 0 {
			return faulty
		}
		return p + 2
	}
	for i := p + 2; i < p+6; i++ {
		if hexDigit(r.byteAt(i)) > 15 {
			return faulty
		}
	}
	return p + 6
}

package scan

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrModule is what every refusal wraps.
var ErrModule = errors.New("module refused")

// reader walks data[pos:end]. The first fault is kept and turns all further reads into zeros, so that callers check
// once per construct instead of once per byte.
type reader struct {
	data []byte
	pos  int
	end  int
	err  error
}

func (r *reader) failf(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: at byte %d: %s", ErrModule, r.pos, fmt.Sprintf(format, args...))
	}
	r.pos = r.end
}

func (r *reader) more() bool { return r.err == nil && r.pos < r.end }

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.failf("ends too early")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

func (r *reader) skip(n int) {
	if n < 0 || n > r.end-r.pos {
		r.failf("%d bytes announced, %d left", n, r.end-r.pos)
		return
	}
	r.pos += n
}

// uleb reads an unsigned LEB128 number of 32 bits. The last of five bytes may only hold the four bits that are left.
func (r *reader) uleb() uint32 {
	if r.pos < r.end {
		if b := r.data[r.pos]; b < 0x80 { // almost every number of a module
			r.pos++
			return uint32(b)
		}
	}
	var v uint32
	for shift := uint(0); shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b&0xf0 != 0 {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.failf("number longer than 32 bits")
	return 0
}

// sleb steps over a signed LEB128 number of the given width and returns its value.
func (r *reader) sleb(bits uint) int64 {
	var v int64
	for shift := uint(0); ; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if left := bits - shift; left < 7 { // the last byte's surplus bits must all equal the sign
			surplus := int8(b<<1) >> left
			if b >= 0x80 || (surplus != 0 && surplus != -1) {
				r.failf("number longer than %d bits", bits)
				return 0
			}
		}
		if b < 0x80 {
			if s := shift + 7; b&0x40 != 0 && s < 64 {
				v |= -1 << s
			}
			return v
		}
		if r.err != nil {
			return 0
		}
	}
}

// count reads a number of things of at least size bytes each, at most limit, which the configuration calls option.
func (r *reader) count(what string, limit int, option string, size int) int {
	n := int(r.uleb())
	switch {
	case r.err != nil:
		return 0
	case n > limit && option == "":
		r.failf("%d %s, at most %d are allowed", n, what, limit)
		return 0
	case n > limit:
		r.failf("%d %s, at most %d are allowed (%s)", n, what, limit, option)
		return 0
	case n*size > r.end-r.pos:
		r.failf("%d %s do not fit into the %d bytes left", n, what, r.end-r.pos)
		return 0
	}
	return n
}

// name reads a length and that many bytes of UTF-8.
func (r *reader) name(what string, limit int) string {
	n := r.count("bytes of "+what, limit, "name_bytes_max", 1)
	b := r.data[r.pos : r.pos+n]
	if r.err == nil && !utf8.Valid(b) {
		r.failf("%s is not UTF-8", what)
		return ""
	}
	r.pos += n
	return string(b)
}

// index reads an index that must be below n.
func (r *reader) index(what string, n int) uint32 {
	i := r.uleb()
	if r.err == nil && uint64(i) >= uint64(n) {
		r.failf("%s %d of %d", what, i, n)
		return 0
	}
	return i
}

func hasPrefix(data []byte, prefix string) bool { return bytes.HasPrefix(data, []byte(prefix)) }

package wse

// appendText appends the text of a string's content, as it is written, with its escapes resolved. The content must have
// been read by a Reader. Half a surrogate pair becomes U+FFFD.
func appendText(dst, raw []byte) []byte {
	n := len(dst)
	dst = room(dst, len(raw)) // no escape is shorter than what it stands for
	for i := 0; i < len(raw); {
		from := i
		i = plain(raw, i)
		n += copy(dst[n:], raw[from:i])
		switch {
		case i == len(raw):
		case raw[i+1] != 'u':
			dst[n] = simpleEscape(raw[i+1])
			n++
			i += 2
		default:
			var r uint32
			r, i = unicodeEscape(raw, i)
			n += putRune(dst[n:], r)
		}
	}
	return dst[:n]
}

// room is b made longer by n bytes.
func room(b []byte, n int) []byte {
	if n <= cap(b)-len(b) {
		return b[:len(b)+n]
	}
	larger := newBuffer(max(2*cap(b), len(b)+n))
	copy(larger, b)
	return larger[:len(b)+n]
}

// unicodeEscape is the character that is written at i as one \u, or as two where it takes a pair, and where that ends.
func unicodeEscape(raw []byte, i int) (r uint32, end int) {
	r = hex4(raw[i+2:])
	i += 6
	if r&0xf800 != 0xd800 {
		return r, i
	}
	if r < 0xdc00 && len(raw)-i >= 6 && raw[i] == '\\' && raw[i+1] == 'u' {
		if low := hex4(raw[i+2:]); low&0xfc00 == 0xdc00 {
			return 0x10000 + (r&0x3ff)<<10 + low&0x3ff, i + 6
		}
	}
	return 0xfffd, i
}

// putRune writes a character in UTF-8 and returns how many bytes it takes.
func putRune(b []byte, r uint32) int {
	switch {
	case r < 0x80:
		b[0] = byte(r)
		return 1
	case r < 0x800:
		b[0], b[1] = byte(0xc0|r>>6), byte(0x80|r&0x3f)
		return 2
	case r < 0x10000:
		b[0], b[1], b[2] = byte(0xe0|r>>12), byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f)
		return 3
	}
	b[0], b[1], b[2], b[3] = byte(0xf0|r>>18), byte(0x80|r>>12&0x3f), byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f)
	return 4
}

// simpleEscape is the character that \c stands for, 0 where that is no escape.
func simpleEscape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// hexDigit is the value of a hexadecimal digit, more than 15 where it is none.
func hexDigit(c byte) uint32 {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return uint32(c|0x20-'a') + 10
	}
	return 16
}

func hex4(b []byte) uint32 {
	_ = b[3]
	return hexDigit(b[0])<<12 | hexDigit(b[1])<<8 | hexDigit(b[2])<<4 | hexDigit(b[3])
}

// integer reads a number as it is written, without fraction and exponent, as a whole number of 64 bits; 0 where it is none.
func integer(raw []byte) (v int64, ok bool) {
	digits := raw
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		digits = raw[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	u := uint64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}

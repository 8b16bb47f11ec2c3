package wse

// skipValue returns the byte after the value at p, faulty where there is none. It does not call itself: what it stands
// in is a bit for each level, set for an object, and there are no more levels than bits.
func (r *Reader) skipValue(p int) int {
	if c := r.byteAt(p); c == '"' {
		return r.scan(p + 1)
	} else if c != '{' && c != '[' {
		return r.skipScalar(p, c)
	}
	outside, depth, objects := r.depth, r.depth, uint64(0)
	for {
		c := r.byteAt(p)
		if c == '{' || c == '[' {
			if depth == DepthMax {
				r.fail(p)
				return faulty
			}
			depth++
			objects <<= 1
			if c == '{' {
				objects |= 1
			}
			p = r.blanks(p + 1)
			if first := r.byteAt(p); first != c+2 { // '}' is '{'+2, and ']' is '['+2
				if p = r.skipName(p, objects&1 != 0); p == faulty {
					return faulty
				}
				continue
			}
		} else if p = r.skipScalar(p, c); p == faulty {
			return faulty
		}
		if p, depth, objects = r.leave(p, outside, depth, objects); p == faulty || depth == outside {
			return p
		}
		if p = r.skipName(p, objects&1 != 0); p == faulty {
			return faulty
		}
	}
}

// leave is called at the end of a value, or at the bracket that closes an empty object or array. It steps over every
// bracket that closes now and over the comma that follows, and returns where the next member or element begins.
func (r *Reader) leave(p, outside, depth int, objects uint64) (int, int, uint64) {
	for depth > outside {
		p = r.blanks(p)
		c := r.byteAt(p)
		closing := byte(']')
		if objects&1 != 0 {
			closing = '}'
		}
		switch c {
		case closing:
			p++
			depth--
			objects >>= 1
		case ',':
			return r.blanks(p + 1), depth, objects
		default:
			r.fail(p)
			return faulty, depth, objects
		}
	}
	return p, depth, objects
}

// skipName steps over a member's name and its colon, where there should be one.
func (r *Reader) skipName(p int, object bool) int {
	if !object {
		return p
	}
	if r.byteAt(p) != '"' {
		r.fail(p)
		return faulty
	}
	if p = r.scan(p + 1); p == faulty {
		return faulty
	}
	if p = r.blanks(p); r.byteAt(p) != ':' {
		r.fail(p)
		return faulty
	}
	return r.blanks(p + 1)
}

// skipScalar returns the byte after the string, number or word at p that begins with c.
func (r *Reader) skipScalar(p int, c byte) int {
	switch {
	case c == '"':
		return r.scan(p + 1)
	case c == '-' || isDigit(c):
		return r.skipNumber(p)
	case c == 't':
		return r.skipWord(p, "true")
	case c == 'f':
		return r.skipWord(p, "false")
	case c == 'n':
		return r.skipWord(p, "null")
	}
	r.fail(p)
	return faulty
}

func (r *Reader) skipWord(p int, word string) int {
	if len(r.doc)-p < len(word) || string(r.doc[p:p+len(word)]) != word {
		r.fail(p)
		return faulty
	}
	return p + len(word)
}

func (r *Reader) skipNumber(p int) int {
	if r.byteAt(p) == '-' {
		p++
	}
	if r.byteAt(p) == '0' {
		p++
	} else if p = r.skipDigits(p); p == faulty {
		return faulty
	}
	if r.byteAt(p) == '.' {
		if p = r.skipDigits(p + 1); p == faulty {
			return faulty
		}
	}
	if r.byteAt(p)|0x20 == 'e' {
		p++
		if c := r.byteAt(p); c == '+' || c == '-' {
			p++
		}
		p = r.skipDigits(p)
	}
	return p
}

// skipDigits steps over at least one digit.
func (r *Reader) skipDigits(p int) int {
	from := p
	for isDigit(r.byteAt(p)) {
		p++
	}
	if p == from {
		r.fail(p)
		return faulty
	}
	return p
}

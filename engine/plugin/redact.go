package plugin

import (
	"bytes"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// redact appends doc to dst with the value of every member that is called one of names, however deep, replaced by the
// empty value of its type: "", 0, false, null, [] and {}. Names are compared without their escapes, letter by letter; JSON
// inside a string is a string. It returns false, and dst as it was, where doc is no JSON: what cannot be read cannot be
// cleaned. It allocates only for names with escapes (BenchmarkRedact).
func redact(dst, doc []byte, names []string) (_ []byte, ok bool) {
	if jsonscan.Valid(doc, jsonscan.DepthMax) != nil {
		return dst, false
	}
	// In valid JSON a string that a colon follows is a member's name, so nobody has to know in what it stands.
	from := 0 // doc[from:i] can be copied as it is
	for i := 0; i < len(doc); i++ {
		if doc[i] != '"' {
			continue
		}
		begin := i
		i = stringEnd(doc, i)
		at := spaceEnd(doc, i)
		if at == len(doc) || doc[at] != ':' {
			i--
			continue
		}
		if !isNamed(doc[begin:i], names) {
			i = at
			continue
		}
		at = spaceEnd(doc, at+1)
		dst = append(append(dst, doc[from:at]...), emptyLike(doc[at])...)
		from = valueEnd(doc, at)
		i = from - 1
	}
	return append(dst, doc[from:]...), true
}

// isNamed tells whether literal, a string with its quotes, is one of names.
func isNamed(literal []byte, names []string) bool {
	name := literal[1 : len(literal)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = jsonscan.Text(literal) // it is valid
	}
	for _, n := range names {
		if string(name) == n {
			return true
		}
	}
	return false
}

// emptyLike returns the empty value of the type of the value that begins with c.
func emptyLike(c byte) string {
	switch c {
	case '"':
		return `""`
	case '{':
		return "{}"
	case '[':
		return "[]"
	case 't', 'f':
		return "false"
	case 'n':
		return "null"
	default:
		return "0"
	}
}

// The functions below pass over a part of valid JSON from i on, and return where it ends.

func spaceEnd(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\t' || doc[i] == '\r') {
		i++
	}
	return i
}

func stringEnd(doc []byte, i int) int {
	for i++; doc[i] != '"'; i++ {
		if doc[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func valueEnd(doc []byte, i int) int {
	switch doc[i] {
	case '"':
		return stringEnd(doc, i)
	case '{', '[':
		for depth := 0; ; {
			switch doc[i] {
			case '"':
				i = stringEnd(doc, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default:
		for i < len(doc) && doc[i] != ',' && doc[i] != '}' && doc[i] != ']' && doc[i] > ' ' {
			i++
		}
		return i
	}
}

package strategies

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// ErrDocument means that a text is no JSON whose meaning is beyond doubt.
var ErrDocument = errors.New("not a document")

// Canonical writes a JSON text in the form of RFC 8785: no white space, the members of an object sorted by the UTF-16 of
// their names, numbers as ECMAScript writes the nearest float64, strings with no escape that is not needed. So texts that
// mean the same become the same bytes. Names that are there twice in an object, numbers beyond float64, and halves of
// surrogate pairs mean different things to different readers; the error wraps [ErrDocument] and names the place.
func Canonical(raw []byte) ([]byte, error) {
	raw = bytes.Trim(raw, space)
	if err := jsonscan.Valid(raw, jsonscan.DepthMax); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if i := loneSurrogate(raw); i >= 0 {
		return nil, fmt.Errorf("%w: half of a surrogate pair at byte %d", ErrDocument, i)
	}
	return canonical(make([]byte, 0, len(raw)), raw)
}

// Digest returns the SHA-256 of the canonical form of raw, in hexadecimal digits.
func Digest(raw []byte) (string, error) {
	text, err := Canonical(raw)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// canonical appends a valid value.
func canonical(dst, raw []byte) ([]byte, error) {
	switch jsonscan.KindOf(raw) {
	case jsonscan.KindObject:
		return object(dst, raw)
	case jsonscan.KindArray:
		return array(dst, raw)
	case jsonscan.KindString:
		s, err := jsonscan.String(raw)
		return jsonscan.AppendQuoted(dst, s), err
	case jsonscan.KindNumber:
		f, err := jsonscan.Float(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: the number %.40s is beyond what a float64 holds", ErrDocument, raw)
		}
		return appendNumber(dst, f), nil
	default:
		return append(dst, raw...), nil
	}
}

// entry is a member of an object.
type entry struct {
	name  string
	value []byte
}

// object appends an object, whose depth Canonical has checked.
func object(dst, raw []byte) ([]byte, error) {
	var members []entry
	it := jsonscan.Members(raw)
	for it.Next() {
		members = append(members, entry{string(it.Key()), it.Value()})
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	slices.SortFunc(members, func(a, b entry) int { return compareUTF16(a.name, b.name) })
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			if m.name == members[i-1].name {
				return nil, fmt.Errorf("%w: the member %.100q is there twice", ErrDocument, m.name)
			}
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendQuoted(dst, m.name), ':')
		var err error
		if dst, err = canonical(dst, m.value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func array(dst, raw []byte) ([]byte, error) {
	dst = append(dst, '[')
	first := true
	it := jsonscan.Elements(raw)
	for it.Next() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var err error
		if dst, err = canonical(dst, it.Value()); err != nil {
			return nil, err
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return append(dst, ']'), nil
}

// appendNumber appends f as ECMAScript does (RFC 8785, section 3.2.2.3).
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' { // e-07 is e-7
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// compareUTF16 orders names as RFC 8785 does, which differs from the order of their bytes beyond U+FFFF.
func compareUTF16(a, b string) int {
	for a != "" && b != "" {
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			return cmp.Compare(units(x), units(y))
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}

// units returns the one or two units that r has in UTF-16, the first one in front.
func units(r rune) uint32 {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return uint32(high)<<16 | uint32(low)
	}
	return uint32(r) << 16
}

// loneSurrogate returns where a text, which is valid JSON, has half of a surrogate pair, or -1.
func loneSurrogate(raw []byte) int {
	for i := 0; ; {
		next := bytes.IndexByte(raw[i:], '\\')
		if next < 0 {
			return -1
		}
		i += next
		if raw[i+1] != 'u' {
			i += 2
			continue
		}
		r := unit(raw[i+2:])
		if !utf16.IsSurrogate(r) {
			i += 6
			continue
		}
		if len(raw) < i+12 || raw[i+6] != '\\' || raw[i+7] != 'u' || utf16.DecodeRune(r, unit(raw[i+8:])) == utf8.RuneError {
			return i
		}
		i += 12
	}
}

// unit reads the four hexadecimal digits of an escape.
func unit(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(n)
}

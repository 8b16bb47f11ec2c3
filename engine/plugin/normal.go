package plugin

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// appendNormal appends the normal form of a JSON text to dst: without white space, members sorted by name and each name
// once (the last of its values, which is what readers take), strings and numbers written in one way. Two texts mean the same
// exactly when their normal forms are the same bytes. It returns false where raw is no JSON or nested deeper than
// [jsonscan.DepthMax].
func appendNormal(dst, raw []byte) (_ []byte, ok bool) {
	raw = bytes.Trim(raw, " \t\r\n")
	if jsonscan.Valid(raw, jsonscan.DepthMax) != nil {
		return dst, false
	}
	return normal(dst, raw), true
}

// normal is appendNormal for valid JSON without white space round it.
func normal(dst, raw []byte) []byte {
	switch jsonscan.KindOf(raw) {
	case jsonscan.KindObject:
		return normalObject(dst, raw)
	case jsonscan.KindArray:
		it := jsonscan.Elements(raw)
		dst = append(dst, '[')
		for n := 0; it.Next(); n++ {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = normal(dst, it.Value())
		}
		return append(dst, ']')
	case jsonscan.KindString:
		text, _ := jsonscan.String(raw) // it is one
		return jsonscan.AppendQuoted(dst, text)
	case jsonscan.KindNumber:
		return normalNumber(dst, raw)
	default:
		return append(dst, raw...)
	}
}

type member struct{ name, value []byte }

func normalObject(dst, raw []byte) []byte {
	var members []member
	it := jsonscan.Members(raw)
	for it.Next() {
		members = append(members, member{it.Key(), it.Value()})
	}
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	dst = append(dst, '{')
	first := true
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(members[i+1].name, m.name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = jsonscan.AppendQuoted(dst, string(m.name))
		dst = normal(append(dst, ':'), m.value)
	}
	return append(dst, '}')
}

// normalNumber writes a number as it is where it is a plain integer, else as its significant digits and an exponent: by
// its value and not as a float64, which would take different amounts for the same.
func normalNumber(dst, raw []byte) []byte {
	mantissa, exponent := string(raw), 0
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		n, err := strconv.ParseInt(mantissa[i+1:], 10, 32)
		if err != nil {
			return append(dst, raw...) // an exponent of ten digits: nobody writes it in two ways
		}
		exponent = int(n)
		mantissa = mantissa[:i]
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return append(dst, '0')
	}
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	return appendNumber(append(dst, sign...), short, exponent)
}

// appendNumber writes digits × 10^exponent as people do, if it is not too long.
func appendNumber(dst []byte, digits string, exponent int) []byte {
	const zeros = 20
	switch point := len(digits) + exponent; {
	case exponent >= 0 && exponent <= zeros:
		return append(append(dst, digits...), strings.Repeat("0", exponent)...)
	case exponent < 0 && point > 0:
		return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
	case exponent < 0 && point > -zeros:
		dst = append(append(dst, "0."...), strings.Repeat("0", -point)...)
		return append(dst, digits...)
	default:
		return strconv.AppendInt(append(append(dst, digits...), 'e'), int64(exponent), 10)
	}
}

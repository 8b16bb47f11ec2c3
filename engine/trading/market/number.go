package market

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Errors of numbers and times, to be tested for with errors.Is.
var (
	// ErrNumber means that a text is no number as JSON writes it, or too large for a float64.
	ErrNumber = errors.New("not a number")
	// ErrTime means that a text is no time, or one outside the years 0 to 9999.
	ErrTime = errors.New("not a time")
)

// pow10 is a read-only table of the powers of ten that a float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// decimal is a number as it is written: mantissa × 10^exponent.
type decimal struct {
	mantissa uint64
	exponent int
	negative bool
	inexact  bool // the mantissa does not hold all digits, or the exponent is out of all reason
}

// mantissaMax leaves room for one more digit.
const mantissaMax = (math.MaxUint64 - 9) / 10

// digits reads digits into d and returns where they end.
func (d *decimal) digits(text []byte, i int) int {
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		if d.mantissa > mantissaMax {
			d.inexact = true
			continue
		}
		d.mantissa = d.mantissa*10 + uint64(text[i]-'0')
	}
	return i
}

// read reads text, which has to be a number from its first byte to its last.
func (d *decimal) read(text []byte) bool {
	i := 0
	if len(text) > 0 && text[0] == '-' {
		d.negative = true
		i = 1
	}
	start := i
	i = d.digits(text, i)
	if i == start || i > start+1 && text[start] == '0' {
		return false
	}
	if i < len(text) && text[i] == '.' {
		start = i + 1
		if i = d.digits(text, start); i == start {
			return false
		}
		d.exponent = start - i
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		return d.power(text, i+1)
	}
	return i == len(text)
}

// power reads what stands behind the e.
func (d *decimal) power(text []byte, i int) bool {
	negative := false
	if i < len(text) && (text[i] == '+' || text[i] == '-') {
		negative = text[i] == '-'
		i++
	}
	start, power := i, 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		if power = power*10 + int(text[i]-'0'); power > 1000 {
			d.inexact, power = true, 1000
		}
	}
	if negative {
		power = -power
	}
	d.exponent += power
	return i > start && i == len(text)
}

// Number reads a number as JSON writes it: no plus, no bare point, no hexadecimal digits, no NaN and no infinity. The
// result is the nearest float64, as strconv has it. Nearly all numbers are a mantissa below 2^53 and a small power of ten,
// for which one multiplication or division is exact (Clinger 1990, How to Read Floating Point Numbers Accurately), and
// takes some two fifths off (BenchmarkNumber). The error is [ErrNumber] itself: the caller knows the place.
func Number(text []byte) (float64, error) {
	var d decimal
	if !d.read(text) {
		return 0, ErrNumber
	}
	if d.inexact || d.mantissa >= 1<<53 || d.exponent < -22 || d.exponent > 22 {
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return 0, ErrNumber // too large
		}
		return f + 0, nil
	}
	f := float64(d.mantissa)
	if d.exponent < 0 {
		f /= pow10[-d.exponent]
	} else {
		f *= pow10[d.exponent]
	}
	if d.negative && f != 0 {
		f = -f
	}
	return f, nil
}

// AppendNumber appends a finite f with the fewest digits that [Number] reads as f again, as JSON writes numbers.
func AppendNumber(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// numberError words what Number says of a text.
func numberError(what string, text []byte) error {
	return fmt.Errorf("%s: %w: %.40q", what, ErrNumber, text)
}

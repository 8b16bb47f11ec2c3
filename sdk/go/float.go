package wse

import (
	"math"
	"strconv"
	"unsafe"
)

// Float is the number that Skip read last as the double nearest to it; false where it is no number or over the largest
// double.
func (r *Reader) Float() (float64, bool) {
	raw := r.Raw()
	if len(raw) == 0 || raw[0] != '-' && !isDigit(raw[0]) {
		return 0, false
	}
	// The text is only read until ParseFloat returns, and a copy would be garbage at every number.
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), 64)
	return v, err == nil
}

// number reads the next value, which must be a number.
func (r *Reader) number(v *float64) bool {
	at := r.at
	if r.Peek() != Number || !r.Skip() {
		return r.at != faulty && r.fail(at)
	}
	read, ok := r.Float()
	if !ok {
		return r.fail(at)
	}
	*v = read
	return true
}

// floatMax is the longest text of a number, and more.
const floatMax = 32

// PutFloat writes the shortest text that reads back as the same number, as JSON.stringify does: null for what JSON has no
// number for.
func (w *Writer) PutFloat(v float64) { w.putFloat(v, -1) }

// PutRounded writes a number with at most so many decimals: what PutFloat would write, rounded half away from zero, so that
// 1.005 with two is 1.01. Zeros at the end are left out.
func (w *Writer) PutRounded(v float64, decimals int) { w.putFloat(v, max(decimals, 0)) }

func (w *Writer) putFloat(v float64, decimals int) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.PutString("null")
		return
	}
	if len(w.buf)-w.n < floatMax && !w.grow(floatMax) {
		return
	}
	var text [floatMax]byte
	digits, power := shortest(strconv.AppendFloat(text[:0], math.Abs(v), 'e', -1, 64))
	digits, power = rounded(digits, power, decimals)
	if v < 0 && digits != 0 {
		w.PutByte('-')
	}
	w.putDecimal(digits, power)
}

// shortest reads d.ddde±dd as digits × 10^power, without zeros at the end.
func shortest(text []byte) (digits uint64, power int) {
	i, point := 0, false
	for ; text[i] != 'e'; i++ {
		if text[i] == '.' {
			point = true
			continue
		}
		digits = digits*10 + uint64(text[i]-'0')
		if point {
			power--
		}
	}
	e := 0
	for _, c := range text[i+2:] {
		e = e*10 + int(c-'0')
	}
	if text[i+1] == '-' {
		e = -e
	}
	return trimmed(digits, power+e)
}

func trimmed(digits uint64, power int) (uint64, int) {
	if digits == 0 {
		return 0, 0
	}
	for digits%10 == 0 {
		digits /= 10
		power++
	}
	return digits, power
}

// rounded is digits × 10^power with at most so many decimals, half away from zero; below 0 there is no bound.
func rounded(digits uint64, power, decimals int) (uint64, int) {
	if decimals < 0 || -power <= decimals {
		return digits, power
	}
	half := uint64(0)
	for ; -power > decimals && digits > 0; power++ {
		half = digits % 10
		digits /= 10
	}
	if -power > decimals {
		return 0, 0
	}
	if half >= 5 {
		digits++
	}
	return trimmed(digits, power)
}

// putDecimal lays digits out: plainly from 10^-6 up to below 10^21, else with an exponent.
func (w *Writer) putDecimal(digits uint64, power int) {
	n := 1
	for rest := digits; rest >= 10; rest /= 10 {
		n++
	}
	point := n + power // where the point stands, counted from before the first digit
	switch {
	case point > 21 || point < -5:
		w.putDigits(digits, n, 1)
		w.PutByte('e')
		if point--; point < 0 {
			w.PutByte('-')
			w.PutInt(int64(-point))
			return
		}
		w.PutByte('+')
		w.PutInt(int64(point))
	case point <= 0:
		w.PutString("0.")
		for ; point < 0; point++ {
			w.PutByte('0')
		}
		w.putDigits(digits, n, n)
	default:
		w.putDigits(digits, n, point)
		for ; power > 0; power-- {
			w.PutByte('0')
		}
	}
}

// putDigits writes n digits, and a point behind as many of them as point says where more follow.
func (w *Writer) putDigits(digits uint64, n, point int) {
	end := n
	if point < n {
		end++
	}
	if len(w.buf)-w.n < end && !w.grow(end) {
		return
	}
	at := w.n + end
	for i := n; i > 0; i-- {
		at--
		w.buf[at] = byte('0' + digits%10)
		digits /= 10
		if point < n && i-1 == point {
			at--
			w.buf[at] = '.'
		}
	}
	w.n += end
}

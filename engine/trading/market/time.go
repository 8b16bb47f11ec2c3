package market

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// The first and last moments that both protocols can write, and where numbers of seconds end and milliseconds begin.
const (
	timeMSMin    = -62167219200000 // 0000-01-01T00:00:00.000Z
	timeMSMax    = 253402300799999 // 9999-12-31T23:59:59.999Z
	secondsBelow = 100_000_000_000
)

// Time reads a time, as the package's comment has it, into Unix milliseconds. The error wraps [ErrTime].
func Time(text []byte) (int64, error) {
	if ms, ok := wholeTime(text); ok {
		return ms, nil
	}
	if isDate(text) {
		return date(text)
	}
	f, err := Number(text)
	if err != nil {
		return 0, timeError("neither a number nor ISO 8601, as in 2024-05-01T12:00:00.250Z", text)
	}
	if f < secondsBelow {
		f *= 1000
	}
	if f = math.Round(f); f < timeMSMin || f > timeMSMax {
		return 0, timeError("outside the years 0 to 9999", text)
	}
	return int64(f), nil
}

// wholeTime reads a number without sign, fraction and exponent, which nearly all times are, if the moment is within
// bounds.
func wholeTime(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 15 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if n < secondsBelow {
		n *= 1000
	}
	return n, n <= timeMSMax
}

func timeError(why string, text []byte) error {
	return fmt.Errorf("%w: %.40q is %s", ErrTime, text, why)
}

// isDate reports whether text begins as ISO 8601 does and no number can.
func isDate(text []byte) bool {
	return len(text) >= 10 && text[4] == '-' && text[7] == '-'
}

// date reads ISO 8601: a date, or a date and a time of day, which a space may part, to the minute at least, with a zone or
// without.
func date(text []byte) (int64, error) {
	s := scanner{text: text}
	year, month, day := s.number(4), s.behind('-', 2), s.behind('-', 2)
	var hour, minute, second, nanos, zone int
	if !s.bad && len(s.text) > 0 {
		if c := s.text[0] | 0x20; c != 't' && c != ' ' {
			return 0, timeError("not ISO 8601 behind the date", text)
		}
		s.text = s.text[1:]
		hour, minute = s.number(2), s.behind(':', 2)
		if len(s.text) > 0 && s.text[0] == ':' {
			second = s.behind(':', 2)
			nanos = s.fraction()
		}
		zone = s.zone()
	}
	if s.bad || len(s.text) > 0 {
		return 0, timeError("not ISO 8601, as in 2024-05-01T12:00:00.250Z", text)
	}
	t := time.Date(year, time.Month(month), day, hour, minute-zone, second, nanos, time.UTC)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, timeError("a moment that the calendar does not have", text)
	}
	ms := t.UnixMilli()
	if ms < timeMSMin || ms > timeMSMax {
		return 0, timeError("outside the years 0 to 9999", text)
	}
	return ms, nil
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// scanner reads the parts of a date. Once something is bad, all that it returns is to be thrown away.
type scanner struct {
	text []byte
	bad  bool
}

// number reads exactly n digits.
func (s *scanner) number(n int) int {
	if len(s.text) < n {
		s.bad = true
		return 0
	}
	v := 0
	for _, c := range s.text[:n] {
		if c-'0' > 9 {
			s.bad = true
			return 0
		}
		v = v*10 + int(c-'0')
	}
	s.text = s.text[n:]
	return v
}

// behind reads a mark and the n digits behind it.
func (s *scanner) behind(mark byte, n int) int {
	if len(s.text) == 0 || s.text[0] != mark {
		s.bad = true
		return 0
	}
	s.text = s.text[1:]
	return s.number(n)
}

// fraction reads the decimals of a second, if there are any, as nanoseconds; further ones are passed over.
func (s *scanner) fraction() int {
	if len(s.text) == 0 || s.text[0] != '.' {
		return 0
	}
	nanos, unit, i := 0, 100_000_000, 1
	for ; i < len(s.text) && s.text[i]-'0' <= 9; i++ {
		nanos += int(s.text[i]-'0') * unit
		unit /= 10
	}
	s.bad = s.bad || i == 1
	s.text = s.text[i:]
	return nanos
}

// zone reads Z, +hh:mm, +hhmm, +hh, or nothing, and returns minutes.
func (s *scanner) zone() int {
	if s.bad || len(s.text) == 0 {
		return 0
	}
	sign := s.text[0]
	s.text = s.text[1:]
	switch sign {
	case 'Z', 'z':
		return 0
	case '+', '-':
	default:
		s.bad = true
		return 0
	}
	hours, minutes := s.number(2), 0
	switch {
	case len(s.text) > 0 && s.text[0] == ':':
		minutes = s.behind(':', 2)
	case len(s.text) > 0:
		minutes = s.number(2)
	}
	s.bad = s.bad || hours > 23 || minutes > 59
	if sign == '-' {
		return -hours*60 - minutes
	}
	return hours*60 + minutes
}

// AppendTime appends a time that [Time] reads as ms again: milliseconds, and before March 1973, where those would be taken
// for seconds, seconds with three decimals.
func AppendTime(dst []byte, ms int64) []byte {
	if ms >= secondsBelow {
		return strconv.AppendInt(dst, ms, 10)
	}
	if ms < 0 {
		dst = append(dst, '-')
		ms = -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	rest := ms % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

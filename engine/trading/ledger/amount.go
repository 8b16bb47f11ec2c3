package ledger

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/govalues/decimal"

	"github.com/wse-engine/wse/engine/message"
)

// Errors of numbers. Those that a function returns wrap one of them and say which number it was.
var (
	ErrOverflow = errors.New("ledger: the number is too large")
	ErrNumber   = errors.New("ledger: not a number that can be booked")
)

// Amount is an amount of money or of a traded thing, negative amounts included: a count of hundred-millionths, so the
// constant One is 1. It holds up to 92,233,720,368 in either direction.
type Amount int64

// The scale of amounts.
const (
	AmountDecimals        = 8
	One            Amount = 1e8
	AmountMax      Amount = math.MaxInt64
	amountMin      Amount = -math.MaxInt64 // the one number without a counterpart is never an Amount
)

// ParseAmount reads a decimal number, rounding what lies beyond eight decimals half to even.
func ParseAmount(text string) (Amount, error) {
	d, err := decimal.Parse(text)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q: %v", ErrNumber, text, err)
	}
	return amountOf(d)
}

// AmountFromFloat returns the shortest decimal number that reads back as x, rounded to eight decimals half to even.
func AmountFromFloat(x float64) (Amount, error) {
	if scaled := math.RoundToEven(x * float64(One)); math.Abs(scaled) < 1e15 && scaled/float64(One) == x {
		return Amount(scaled), nil // see hintedPrice; BenchmarkAmountFromFloat
	}
	d, err := decimal.NewFromFloat64(x)
	if err != nil {
		return 0, fmt.Errorf("%w: %v: %v", ErrNumber, x, err)
	}
	return amountOf(d)
}

func amountOf(d decimal.Decimal) (Amount, error) {
	if d.Scale() > AmountDecimals {
		d = d.Round(AmountDecimals)
	}
	coef, shift := d.Coef(), AmountDecimals-d.Scale()
	hi, lo := bits.Mul64(coef, powersOfTen[shift])
	if hi != 0 || lo > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %v", ErrOverflow, d)
	}
	if d.IsNeg() {
		return -Amount(lo), nil
	}
	return Amount(lo), nil
}

// decimal returns a as a number of the library.
func (a Amount) decimal() decimal.Decimal {
	d, err := decimal.New(int64(a), AmountDecimals)
	if err != nil { // int64 and 8 are always within its limits
		panic(err)
	}
	return d
}

// Add returns a + b, or an [ErrOverflow].
func (a Amount) Add(b Amount) (Amount, error) {
	var bad bool
	sum := plus(a, b, &bad)
	if bad {
		return 0, fmt.Errorf("%w: %v + %v", ErrOverflow, a, b)
	}
	return sum, nil
}

// Sub returns a − b, or an [ErrOverflow].
func (a Amount) Sub(b Amount) (Amount, error) { return a.Add(-b) }

// Abs returns a without its sign.
func (a Amount) Abs() Amount {
	if a < 0 {
		return -a
	}
	return a
}

// MulDiv returns a × numerator / denominator, rounded half to even, or an error when it does not fit or denominator is 0:
// a share of a (Quantity / Total), so many basis points of it (bps / 10,000), percent of it.
func (a Amount) MulDiv(numerator, denominator Amount) (Amount, error) {
	hi, lo := bits.Mul64(uint64(a.Abs()), uint64(numerator.Abs()))
	q, ok := divideHalfEven(hi, lo, uint64(denominator.Abs()))
	if !ok || q > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %v × %v / %v", ErrOverflow, a, numerator, denominator)
	}
	if (a < 0) != (numerator < 0) != (denominator < 0) {
		return -Amount(q), nil
	}
	return Amount(q), nil
}

// Decimal returns a in the form in which it leaves the engine.
func (a Amount) Decimal() message.Decimal { return message.Decimal(a.String()) }

// Float64 returns the float64 nearest to a.
func (a Amount) Float64() float64 { return float64(a) / float64(One) }

// String returns a in decimal digits without trailing zeros.
func (a Amount) String() string { return string(a.Append(nil)) }

// Append appends what String returns.
func (a Amount) Append(b []byte) []byte {
	if a < 0 {
		b = append(b, '-')
	}
	whole, rest := a.Abs()/One, a.Abs()%One
	b = strconv.AppendInt(b, int64(whole), 10)
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for unit := One / 10; rest > 0; unit /= 10 {
		b = append(b, byte('0'+rest/unit))
		rest %= unit
	}
	return b
}

// MarshalJSON implements json.Marshaler: a number, with all of its digits.
func (a Amount) MarshalJSON() ([]byte, error) { return a.Append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler. It takes what MarshalJSON writes; a number of more than eight decimals is an
// error, since it was not written by it.
func (a *Amount) UnmarshalJSON(text []byte) error {
	d, err := decimal.ParseExact(string(text), AmountDecimals)
	if err != nil {
		return fmt.Errorf("%w: %.40q: %v", ErrNumber, text, err)
	}
	if d.Trim(AmountDecimals).Scale() > AmountDecimals {
		return fmt.Errorf("%w: %.40q has more than %d decimals", ErrNumber, text, AmountDecimals)
	}
	*a, err = amountOf(d)
	return err
}

// plus adds modulo 2^64 and sets bad when that is not the sum. Because it wraps, what was added can be taken away again even
// after an overflow: see Ledger.Tick.
func plus(a, b Amount, bad *bool) Amount {
	sum := a + b
	if (a^sum)&(b^sum) < 0 || sum < amountMin {
		*bad = true
	}
	return sum
}

// divideHalfEven returns hi:lo / d rounded half to even; ok is false when that has more than 64 bits or d is 0.
func divideHalfEven(hi, lo, d uint64) (q uint64, ok bool) {
	if hi >= d {
		return 0, false
	}
	q, r := bits.Div64(hi, lo, d)
	if half := d - r; r > half || (r == half && q&1 == 1) {
		q++
		ok = q != 0
		return q, ok
	}
	return q, true
}

// powersOfTen is read-only: what fits into 64 bits.
var powersOfTen = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

package ledger

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/govalues/decimal"

	"github.com/wse-engine/wse/engine/message"
)

// Price is what one unit costs: a number above 0 with up to nineteen digits, of which up to nineteen are decimals. The
// zero value is no price.
type Price struct{ d decimal.Decimal }

// ParsePrice reads a price. Digits beyond the nineteenth decimal are rounded half to even.
func ParsePrice(text string) (Price, error) {
	d, err := decimal.Parse(text)
	if err != nil {
		return Price{}, fmt.Errorf("%w: price %.40q: %v", ErrNumber, text, err)
	}
	return priceOf(d)
}

// PriceFromFloat returns the shortest decimal number that reads back as x, rounded to nineteen decimals half to even.
func PriceFromFloat(x float64) (Price, error) {
	if !(x > 0 && x <= math.MaxFloat64) {
		return Price{}, fmt.Errorf("%w: a price must be above 0 and finite, not %v", ErrNumber, x)
	}
	if x >= 1e19 {
		return Price{}, fmt.Errorf("%w: a price of %v", ErrOverflow, x)
	}
	if coef, scale := shortest(x); scale >= 0 && scale <= decimal.MaxScale {
		d, err := decimal.New(coef, scale)
		return Price{d: d}, err
	}
	d, err := decimal.NewFromFloat64(x)
	if err != nil {
		return Price{}, fmt.Errorf("%w: price %v: %v", ErrNumber, x, err)
	}
	return priceOf(d)
}

// shortest returns the shortest decimal number that reads back as x, which is above 0, as coef / 10^scale. It has at most
// seventeen digits. The library reads the text digit by digit with checks that this needs not: BenchmarkPriceFromFloat.
func shortest(x float64) (coef int64, scale int) {
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], x, 'e', -1, 64) // d.ddde±dd
	i := 0
	for ; text[i] != 'e'; i++ {
		if text[i] != '.' {
			coef = coef*10 + int64(text[i]-'0')
		}
	}
	digits := max(i-1, 1) // the point does not count
	exponent := 0
	for _, c := range text[i+2:] {
		exponent = exponent*10 + int(c-'0')
	}
	if text[i+1] == '-' {
		exponent = -exponent
	}
	return coef, digits - 1 - exponent
}

func priceOf(d decimal.Decimal) (Price, error) {
	if !d.IsPos() {
		return Price{}, fmt.Errorf("%w: a price must be above 0, not %v", ErrNumber, d)
	}
	return Price{d: d}, nil
}

// hintedPrice is PriceFromFloat for a series of prices, which mostly have the same number of decimals: hint is that number, and
// is set. If x is the float64 nearest to m / 10^hint and m has at most fifteen digits, then that is the shortest
// decimal number which reads as x, since no two decimal numbers of fifteen digits share a float64; and m / 10^hint is
// rounded correctly, since both are exact. BenchmarkPriceFromFloat compares the two.
func hintedPrice(x float64, hint *uint8) (Price, error) {
	scaled := math.RoundToEven(x * float64(powersOfTen[*hint]))
	if scaled < 1e15 && scaled >= 1 && scaled/float64(powersOfTen[*hint]) == x {
		d, err := decimal.New(int64(scaled), int(*hint))
		return Price{d: d}, err
	}
	p, err := PriceFromFloat(x)
	*hint = uint8(p.d.Scale())
	return p, err
}

// Known reports whether p is a price at all.
func (p Price) Known() bool { return !p.d.IsZero() }

// Cmp compares two prices: −1 where p is lower than q, 0, or 1.
func (p Price) Cmp(q Price) int { return p.d.Cmp(q.d) }

// Of returns what quantity costs at p: quantity × p, rounded half to even.
func (p Price) Of(quantity Amount) (Amount, error) {
	a, ok := p.of(quantity)
	if !ok {
		return 0, fmt.Errorf("%w: %v at %v", ErrOverflow, quantity, p)
	}
	return a, nil
}

// of is Of without an error to make. With the library, a product of more than nineteen digits takes some twenty times as
// long: BenchmarkMarketValue.
func (p Price) of(quantity Amount) (Amount, bool) {
	hi, lo := bits.Mul64(uint64(quantity.Abs()), p.d.Coef())
	q, ok := divideHalfEven(hi, lo, powersOfTen[p.d.Scale()])
	if quantity < 0 {
		return -Amount(q), ok && q <= math.MaxInt64
	}
	return Amount(q), ok && q <= math.MaxInt64
}

// Quantity returns how much can be had for notional, which is at least 0: notional / p, rounded down.
func (p Price) Quantity(notional Amount) (Amount, error) {
	if notional < 0 || !p.Known() {
		return 0, fmt.Errorf("%w: a quantity for %v at a price of %v", ErrNumber, notional, p)
	}
	hundredMillionths, err := decimal.New(int64(notional), 0)
	if err != nil {
		return 0, fmt.Errorf("%w: %v", ErrOverflow, err)
	}
	q, _, err := hundredMillionths.QuoRem(p.d)
	if err != nil || q.Coef() > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %v at %v", ErrOverflow, notional, p)
	}
	return Amount(q.Coef()), nil
}

// Slipped returns p moved by so many basis points (10,000 are all of it): up where bps is above 0. It is exact as long as it has
// no more than nineteen digits.
func (p Price) Slipped(bps Amount) (Price, error) {
	const whole = 10_000 * One
	if bps <= -whole || bps > AmountMax-whole {
		return Price{}, fmt.Errorf("%w: %v basis points of slippage", ErrNumber, bps)
	}
	factor, err := decimal.New(int64(whole+bps), AmountDecimals+4)
	if err != nil {
		return Price{}, fmt.Errorf("%w: %v", ErrOverflow, err)
	}
	d, err := p.d.Mul(factor)
	if err != nil {
		return Price{}, fmt.Errorf("%w: %v moved by %v basis points: %v", ErrOverflow, p, bps, err)
	}
	return priceOf(d.Trim(0))
}

// averaged returns the average price of held units at p and more at q.
func (p Price) averaged(held Amount, q Price, more Amount) (Price, error) {
	total, err := held.Add(more)
	if err != nil {
		return Price{}, err
	}
	d, err := p.d.Mul(held.decimal())
	if err == nil {
		d, err = d.AddMul(q.d, more.decimal())
	}
	if err == nil {
		d, err = d.Quo(total.decimal())
	}
	if err != nil {
		return Price{}, fmt.Errorf("%w: the average of %v at %v and %v at %v: %v", ErrOverflow, held, p, more, q, err)
	}
	return priceOf(d.Trim(0))
}

// Float64 returns the float64 nearest to p.
func (p Price) Float64() float64 {
	x, _ := p.d.Float64()
	return x
}

// Decimal returns p in the form in which it leaves the engine; no price is empty.
func (p Price) Decimal() message.Decimal {
	if !p.Known() {
		return ""
	}
	return message.Decimal(p.String())
}

// String returns p in decimal digits without trailing zeros.
func (p Price) String() string { return p.d.Trim(0).String() }

// Append appends what String returns.
func (p Price) Append(b []byte) []byte {
	b, err := p.d.Trim(0).AppendText(b)
	if err != nil { // the library has none to return
		panic(err)
	}
	return b
}

// MarshalJSON implements json.Marshaler: a number with all of its digits; no price is 0.
func (p Price) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (p *Price) UnmarshalJSON(text []byte) error {
	d, err := decimal.Parse(string(text))
	if err != nil || d.IsNeg() {
		return fmt.Errorf("%w: price %.40q", ErrNumber, text)
	}
	p.d = d
	return nil
}

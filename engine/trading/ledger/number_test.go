package ledger

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"testing"

	"github.com/govalues/decimal"
	"github.com/stretchr/testify/require"
)

func amount(t testing.TB, text string) Amount {
	t.Helper()
	a, err := ParseAmount(text)
	require.NoError(t, err)
	return a
}

func price(t testing.TB, text string) Price {
	t.Helper()
	p, err := ParsePrice(text)
	require.NoError(t, err)
	return p
}

func TestAmountsAreReadAndWritten(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"0", "0"}, {"-0", "0"}, {"1", "1"}, {"1.50", "1.5"}, {"-0.00000001", "-0.00000001"}, {"1e3", "1000"},
		{"0.000000005", "0"}, {"0.000000015", "0.00000002"}, {"0.0000000051", "0.00000001"}, {"92233720368.54775807", "92233720368.54775807"},
	} {
		a, err := ParseAmount(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.out, a.String())
		text, err := json.Marshal(a)
		require.NoError(t, err)
		require.Equal(t, c.out, string(text))
		var back Amount
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, a, back)
	}
}

func TestNumbersThatDoNotFitAreErrors(t *testing.T) {
	for _, text := range []string{"92233720368.54775808", "-92233720368.54775808", "1e11", "99999999999999999999999999", "1e400"} {
		_, err := ParseAmount(text)
		require.Error(t, err, text)
	}
	for _, text := range []string{"", "x", "NaN", "Inf", "0x10", "1,5", "1_0"} {
		_, err := ParseAmount(text)
		require.ErrorIs(t, err, ErrNumber, text)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 92233720369} {
		_, err := AmountFromFloat(x)
		require.Error(t, err, x)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), 0, -1, 1e300, 1e19, 5e-324, 1e-30, math.Copysign(0, -1)} {
		_, err := PriceFromFloat(x)
		require.Error(t, err, x)
	}
	_, err := AmountMax.Add(1)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = (-AmountMax).Sub(1)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = AmountMax.MulDiv(2, 1)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = One.MulDiv(1, 0)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = price(t, "10").Of(AmountMax / 9)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = price(t, "0.1").Quantity(AmountMax)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = price(t, "1").Slipped(-10_000 * One)
	require.ErrorIs(t, err, ErrNumber)
	_, err = price(t, "9999999999999999999").Slipped(1 * One)
	require.ErrorIs(t, err, ErrOverflow)
	var a Amount
	require.ErrorIs(t, a.UnmarshalJSON([]byte("0.000000001")), ErrNumber, "nine decimals were never written")
	var p Price
	require.ErrorIs(t, p.UnmarshalJSON([]byte("-1")), ErrNumber)
}

func TestATicksPriceIsTheShortestDecimalOfItsFloat(t *testing.T) {
	for _, c := range []struct {
		x    float64
		text string
	}{{43210.12, "43210.12"}, {0.1, "0.1"}, {0.30000000000000004, "0.30000000000000004"}, {1e-7, "0.0000001"}, {1e15, "1000000000000000"},
		{123456789.123456789, "123456789.12345679"}, {1.0 / 3, "0.3333333333333333"}, {5e-8, "0.00000005"}} {
		p, err := PriceFromFloat(c.x)
		require.NoError(t, err)
		require.Equal(t, c.text, p.String())
		for hint := range uint8(20) {
			got, err := hintedPrice(c.x, &hint)
			require.NoError(t, err)
			require.Equal(t, c.text, got.String(), "hint %d", hint)
		}
	}
}

func TestSlippageIsExact(t *testing.T) {
	up, err := price(t, "43210.12").Slipped(5 * One)
	require.NoError(t, err)
	require.Equal(t, "43231.72506", up.String())
	down, err := price(t, "43210.12").Slipped(-amount(t, "2.5"))
	require.NoError(t, err)
	require.Equal(t, "43199.31747", down.String())
}

// ratio returns a number as a fraction.
func ratio(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text)
	}
	return r
}

// rounded is the arithmetic of the package once more, in fractions: r in hundred-millionths, half to even or down.
func rounded(r *big.Rat, down bool) *big.Int {
	scaled := new(big.Rat).Mul(r, big.NewRat(int64(One), 1))
	q, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	if down {
		return q
	}
	twice := new(big.Int).Mul(rest.Abs(rest), big.NewInt(2))
	if c := twice.Cmp(scaled.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(scaled.Sign())))
	}
	return q
}

func FuzzArithmeticAgreesWithFractions(f *testing.F) {
	f.Add(int64(1), int64(1), int64(3), 43210.12)
	f.Add(int64(-500000000), int64(15), int64(10_000*One), 0.00000123456789)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(-math.MaxInt64), 1e10)
	f.Add(int64(12345678912345), int64(2), int64(4), 0.30000000000000004)
	f.Fuzz(func(t *testing.T, a, b, c int64, x float64) {
		if min(a, b, c) == math.MinInt64 {
			return // no Amount
		}
		agree := func(got Amount, err error, want *big.Int) {
			t.Helper()
			if want.IsInt64() && want.Int64() != math.MinInt64 {
				require.NoError(t, err)
				require.Equal(t, want.Int64(), int64(got))
			} else {
				require.ErrorIs(t, err, ErrOverflow)
			}
		}
		fraction := func(v int64) *big.Rat { return big.NewRat(v, int64(One)) }
		sum, err := Amount(a).Add(Amount(b))
		agree(sum, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
		if c != 0 {
			got, err := Amount(a).MulDiv(Amount(b), Amount(c))
			agree(got, err, rounded(new(big.Rat).Mul(fraction(a), new(big.Rat).SetFrac(big.NewInt(b), big.NewInt(c))), false))
		}
		hint := uint8(b & 15)
		p, err := hintedPrice(x, &hint)
		q, err2 := PriceFromFloat(x)
		require.Equal(t, err == nil, err2 == nil)
		if err != nil {
			return
		}
		require.Zero(t, p.Cmp(q))
		require.Equal(t, q.String(), p.String())
		if x > 1e-3 && x < 1e15 {
			require.Equal(t, strconv.FormatFloat(x, 'f', -1, 64), p.String())
		}
		cost, err := p.Of(Amount(a))
		agree(cost, err, rounded(new(big.Rat).Mul(fraction(a), ratio(p.String())), false))
		if a >= 0 {
			quantity, err := p.Quantity(Amount(a))
			agree(quantity, err, rounded(new(big.Rat).Quo(fraction(a), ratio(p.String())), true))
		}
	})
}

var (
	sinkPrice  Price
	sinkAmount Amount
)

func BenchmarkPriceFromFloat(b *testing.B) {
	for _, c := range []struct {
		name string
		x    float64
	}{{"seven digits", 43210.12}, {"sixteen digits", 43210.45333333333}} {
		b.Run(c.name+", library", func(b *testing.B) {
			for b.Loop() {
				sinkPrice.d, _ = decimal.NewFromFloat64(c.x)
			}
		})
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				sinkPrice, _ = PriceFromFloat(c.x)
			}
		})
		b.Run(c.name+", of a series", func(b *testing.B) {
			var hint uint8
			for b.Loop() {
				sinkPrice, _ = hintedPrice(c.x, &hint)
			}
		})
	}
}

func BenchmarkAmountFromFloat(b *testing.B) {
	for b.Loop() {
		sinkAmount, _ = AmountFromFloat(1234.5678)
	}
}

func BenchmarkMarketValue(b *testing.B) {
	for _, c := range []struct{ name, quantity, price string }{{"up to nineteen digits", "0.02314567", "43210.12"}, {"more", "1234.12345678", "101.12345678"}} {
		q, p := amount(b, c.quantity), price(b, c.price)
		b.Run(c.name+", integers", func(b *testing.B) {
			for b.Loop() {
				sinkAmount, _ = p.of(q)
			}
		})
		b.Run(c.name+", library", func(b *testing.B) {
			d := q.decimal()
			for b.Loop() {
				sinkPrice.d, _ = d.MulExact(p.d, AmountDecimals)
			}
		})
	}
}

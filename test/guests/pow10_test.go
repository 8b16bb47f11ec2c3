//go:build !race

package guests

import (
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// pow10 returns the halves a and b of 10^p scaled to 128 bits and rounded up: it is a × 2^64 - b.
func pow10(p int64) (a, b uint64) {
	f := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(p, -p)), nil))
	if p < 0 {
		f.Inv(f)
	}
	shift := 127 - (f.Num().BitLen() - f.Denom().BitLen())
	for ; ; shift++ {
		scaled := new(big.Rat).Mul(f, power2(shift))
		if scaled.Cmp(power2(127)) < 0 {
			continue
		}
		up := new(big.Int).Add(scaled.Num(), new(big.Int).Sub(scaled.Denom(), big.NewInt(1)))
		up.Quo(up, scaled.Denom())
		minus := new(big.Int).Neg(up)
		b = minus.And(minus, new(big.Int).SetUint64(1<<64-1)).Uint64()
		high := up.Add(up, new(big.Int).SetUint64(b))
		return high.Rsh(high, 64).Uint64(), b
	}
}

func power2(n int) *big.Rat {
	f := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(max(n, -n))))
	if n < 0 {
		f.Inv(f)
	}
	return f
}

func TestPowersOfTenInTheSDKsAreWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"sdk/c/wse_pow10.h", "sdk/rust/src/pow10.rs"} {
		t.Run(file, func(t *testing.T) { tableOfPowers(t, file) })
	}
}

func tableOfPowers(t *testing.T, file string) {
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	numbers := regexp.MustCompile("0x[0-9a-f]{16}").FindAllString(string(text), -1)
	require.Len(t, numbers, 2*(347+348+1))
	for p := int64(-348); p <= 347; p++ {
		a, b := pow10(p)
		got := [2]uint64{}
		for i := range got {
			n, ok := new(big.Int).SetString(numbers[2*(p+348)+int64(i)][2:], 16)
			require.True(t, ok)
			got[i] = n.Uint64()
		}
		require.Equal(t, [2]uint64{a, b}, got, p)
	}
}

package plugin

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGlob_matches(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "x:y", true}, {"", "", true}, {"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true},
		{"a*", "ba", false}, {"*b", "aab", true}, {"*b", "aba", false}, {"a*c*e", "abcde", true}, {"a*c*e", "abde", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"?", "", false}, {"user:*:events", "user:u1:events", true},
		{"user:*:events", "user:u1:orders", false}, {"**a**", "bab", true},
	} {
		g := newGlob(c.pattern)
		require.Equal(t, c.want, g.match(c.s), "%s on %s", c.pattern, c.s)
	}
}

func TestGlob_takes_no_more_than_the_product_of_both_lengths(t *testing.T) {
	g := newGlob(strings.Repeat("*a", 100) + "b")
	begin := time.Now()
	require.False(t, g.match(strings.Repeat("a", 10_000)))
	require.Less(t, time.Since(begin), time.Minute, "steps by the billion would take hours")
}

func TestVerdictCache_holds_verdicts_until_they_run_out_and_no_more_than_its_bytes(t *testing.T) {
	var c verdictCache
	c.init(10 * (rememberedBytes + 10))
	request := func(i int) []byte { return []byte{byte(i), 1, 2, 3, 4, 5, 6, 7, 8, 9} }
	for i := range 100 {
		c.put(request(i), Verdict{Allow: true, TTL: time.Hour})
		got, ok := c.get(request(i))
		require.True(t, ok)
		require.True(t, got.Allow)
		require.LessOrEqual(t, c.bytes, c.most)
	}
	require.Len(t, c.entries, 10)
	c.put(request(7), Verdict{TTL: -1})
	_, ok := c.get(request(7))
	require.False(t, ok, "run out")
	_, ok = c.get([]byte("another"))
	require.False(t, ok)
	c.put(make([]byte, c.most), Verdict{TTL: time.Hour})
	require.LessOrEqual(t, c.bytes, c.most)
}

func TestHistogram_puts_values_under_their_bounds(t *testing.T) {
	var h histogram
	for _, v := range []uint64{0, 15, 16, 63, 64, 1 << 40} {
		h.add(v, fuelFirst, fuelShift)
	}
	s := h.snapshot(fuelFirst, fuelShift)
	require.Equal(t, []uint64{2, 2, 1}, s.Counts[:3])
	require.Equal(t, uint64(1), s.Counts[Buckets-1])
	require.Equal(t, []uint64{15, 63, 255}, s.Bounds[:3])
}

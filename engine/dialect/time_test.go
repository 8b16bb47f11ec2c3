package dialect_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
)

const layout = "2006-01-02T15:04:05.000Z"

func TestAppendTimeWritesUTCMillisecondsWithZ(t *testing.T) {
	for _, c := range []struct {
		name string
		ms   int64
		want string
	}{
		{"the epoch", 0, "1970-01-01T00:00:00.000Z"},
		{"a millisecond before the epoch", -1, "1969-12-31T23:59:59.999Z"},
		{"an example of the protocol", 1764065130500, "2025-11-25T10:05:30.500Z"},
		{"a leap day", 1709164800001, "2024-02-29T00:00:00.001Z"},
		{"a century that is no leap year", -2203891200000, "1900-03-01T00:00:00.000Z"},
		{"the last moment", 253402300799999, "9999-12-31T23:59:59.999Z"},
		{"beyond the last moment", math.MaxInt64, "9999-12-31T23:59:59.999Z"},
		{"before the first moment", math.MinInt64, "0000-01-01T00:00:00.000Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(dialect.AppendTime(nil, c.ms)))
		})
	}
}

func FuzzAppendTimeAgreesWithTheStandardLibrary(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(-62167219200000))
	f.Add(int64(253402300799999))
	f.Add(int64(951782400000))
	f.Fuzz(func(t *testing.T, ms int64) {
		if ms < -62167219200000 || ms > 253402300799999 {
			return
		}
		require.Equal(t, time.UnixMilli(ms).UTC().Format(layout), string(dialect.AppendTime(nil, ms)))
	})
}

func TestAppendTimeAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 32)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = dialect.AppendTime(buf[:0], 1764065130500) }))
}

func BenchmarkAppendTime(b *testing.B) {
	buf := make([]byte, 0, 32)
	b.Run("hand", func(b *testing.B) {
		for b.Loop() {
			buf = dialect.AppendTime(buf[:0], 1764065130500)
		}
	})
	b.Run("time.AppendFormat", func(b *testing.B) {
		for b.Loop() {
			buf = time.UnixMilli(1764065130500).UTC().AppendFormat(buf[:0], layout)
		}
	})
}

package market_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

// numbers are texts, good and bad, that the fuzz target begins with.
var numbers = []string{
	"0", "-0", "1", "-1", "97345.12", "0.00000001", "1e5", "1E-5", "1e+22", "123456789012345678901234567890", "9007199254740993",
	"9007199254740992", "0.1", "0.30000000000000004", "1.7976931348623157e308", "1e308", "5e-324", "1e-400", "-0e-400", "2.2250738585072011e-308",
	"1e309", "", "-", "+1", ".5", "5.", "1e", "1e+", "01", "0x1p-2", "1_000", "NaN", "Inf", "Infinity", "nan", " 1", "1 ", "1,5", "1e5e5", "--1", "1e99999999999999999999",
}

// checkNumber compares Number with strconv, for the texts that are numbers in JSON.
func checkNumber(t *testing.T, text string) {
	t.Helper()
	got, err := market.Number([]byte(text))
	want, wantErr := strconv.ParseFloat(text, 64)
	isNumber := json.Valid([]byte(text)) && strings.Trim(text, "-0123456789.eE+") == ""
	require.Equal(t, isNumber && wantErr == nil, err == nil, "%q", text)
	if err != nil {
		require.ErrorIs(t, err, market.ErrNumber)
		return
	}
	require.Equal(t, want, got, "%q", text)
	require.False(t, math.Signbit(got) && got == 0, "%q is a zero without a sign", text)
	again, err := market.Number(market.AppendNumber(nil, got))
	require.NoError(t, err)
	require.Equal(t, got, again)
}

func TestANumberIsReadAsStrconvDoesWhereJSONHasIt(t *testing.T) {
	for _, text := range numbers {
		checkNumber(t, text)
	}
}

func FuzzNumber(f *testing.F) {
	for _, text := range numbers {
		f.Add(text)
	}
	f.Fuzz(checkNumber)
}

func TestATimeIsReadInEveryFormThatTheProtocolNames(t *testing.T) {
	for text, want := range map[string]string{
		"1732000000":                        "2024-11-19T07:06:40Z",
		"1732000000.25":                     "2024-11-19T07:06:40.25Z",
		"1732000000.1234567":                "2024-11-19T07:06:40.123Z",
		"1732000000123":                     "2024-11-19T07:06:40.123Z",
		"1732000000123.6":                   "2024-11-19T07:06:40.124Z",
		"1.732e9":                           "2024-11-19T07:06:40Z",
		"99999999999":                       "5138-11-16T09:46:39Z",
		"100000000000":                      "1973-03-03T09:46:40Z",
		"0":                                 "1970-01-01T00:00:00Z",
		"-86400":                            "1969-12-31T00:00:00Z",
		"-0.001":                            "1969-12-31T23:59:59.999Z",
		"253402300799999":                   "9999-12-31T23:59:59.999Z",
		"2024-11-19":                        "2024-11-19T00:00:00Z",
		"2024-11-19T07:06":                  "2024-11-19T07:06:00Z",
		"2024-11-19T07:06:40Z":              "2024-11-19T07:06:40Z",
		"2024-11-19T07:06:40.1239999Z":      "2024-11-19T07:06:40.123Z",
		"2024-11-19 07:06:40+00:00":         "2024-11-19T07:06:40Z",
		"2024-11-19T07:06:40.5+05:30":       "2024-11-19T01:36:40.5Z",
		"2024-11-19t07:06:40-0800":          "2024-11-19T15:06:40Z",
		"2024-11-19T07:06:40+02":            "2024-11-19T05:06:40Z",
		"2024-02-29":                        "2024-02-29T00:00:00Z",
		"1896-05-26":                        "1896-05-26T00:00:00Z",
		"0000-01-01T00:00:00Z":              "0000-01-01T00:00:00Z",
		"2024-11-19T07:06:40.12345678901Z":  "2024-11-19T07:06:40.123Z",
		"2024-11-19T23:59:59.999999999999z": "2024-11-19T23:59:59.999Z",
	} {
		got, err := market.Time([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, time.UnixMilli(got).UTC().Format(time.RFC3339Nano), text)
		again, err := market.Time(market.AppendTime(nil, got))
		require.NoError(t, err, text)
		require.Equal(t, got, again, text)
	}
}

func TestWhatIsNoTimeIsRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "now", "Jan 1 2000", "1e400", "NaN", "01732000000", "253402300800000", "1e20", "-62167219201", "2024-13-01", "2024-00-01", "2023-02-29",
		"2024-11-31", "2024-11-19T", "2024-11-19T07", "2024-11-19T24:00", "2024-11-19T07:60", "2024-11-19T07:06:60", "2024-11-19T07:06:40.", "2024-11-19X07:06",
		"2024-11-19T07:06:40Zjunk", "2024-11-19T07:06:40+24:00", "2024-11-19T07:06:40+01:60", "2024-11-19T07:06:40+1", "2024-1-19", "20241119T070640Z",
		"0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2024-11-19T07:06:40,5Z", "+2024-11-19", "99999-01-01", "2024-11-19T0a:06",
	} {
		_, err := market.Time([]byte(text))
		require.ErrorIs(t, err, market.ErrTime, "%q", text)
	}
}

// FuzzTime asserts that what is read is within bounds and can be written and read again, and that whatever package time
// reads as RFC 3339 is read as the same moment.
func FuzzTime(f *testing.F) {
	for _, text := range append(numbers, "2024-11-19T07:06:40.5+05:30", "2024-02-30", "1732000000.25", "-0.001", "99999999999", "9999-12-31T23:59:59-00:01") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := market.Time([]byte(text))
		if moment, timeErr := time.Parse(time.RFC3339, text); timeErr == nil && !strings.Contains(text, ",") {
			utc := moment.UTC().Year()
			require.Equal(t, utc >= 0 && utc <= 9999, err == nil, "%q", text)
			require.True(t, err != nil || moment.UnixMilli() == got, "%q", text)
		}
		if err != nil {
			require.ErrorIs(t, err, market.ErrTime)
			return
		}
		again, err := market.Time(market.AppendTime(nil, got))
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

const payload = `{"symbol":"BTC_USDT","price":97345.12,"volume":0.25,"quote_volume":24336.5,"timestamp":1732000000123}`

func btc() message.Tick {
	return message.Tick{Symbol: "BTC_USDT", TimeMS: 1732000000123, Price: 97345.12, Volume: 0.25, QuoteVolume: 24336.5}
}

func TestAPayloadIsATick(t *testing.T) {
	got, err := market.ParseTick([]byte(payload))
	require.NoError(t, err)
	require.Equal(t, btc(), got)
	got, err = market.ParseTickOf("BTC_USDT", []byte(payload))
	require.NoError(t, err)
	require.Equal(t, btc(), got)

	got, err = market.ParseTick([]byte(`{ "extra":{"price":1}, "timestamp":"2024-11-19T07:06:40.123Z", "volume":0, "price":1e2, "symbol":"\u0041" }`))
	require.NoError(t, err)
	require.Equal(t, message.Tick{Symbol: "A", TimeMS: 1732000000123, Price: 100}, got)

	got, err = market.ParseTick([]byte(`{"symbol":"A","timestamp":1732000000,"volume":2,"price":3}`))
	require.NoError(t, err)
	require.Equal(t, 6.0, got.QuoteVolume, "a quote volume that is left out is price × volume")
}

func TestAPayloadThatIsNoTickIsRefusedByTheMemberThatIsWrong(t *testing.T) {
	with := func(old, with string) string { return strings.Replace(payload, old, with, 1) }
	for _, c := range []struct{ name, payload, says string }{
		{"nothing", ``, "an object is missing"},
		{"no object", `[1]`, "an object is missing"},
		{"cut off", payload[:len(payload)-1], "unexpected end"},
		{"followed by something", payload + "x", "unexpected byte after the value"},
		{"empty", `{}`, "missing: symbol, price, volume, timestamp"},
		{"no price", with(`"price":97345.12,`, ``), "missing: price"},
		{"no volume", with(`"volume":0.25,`, ``), "missing: volume"},
		{"price null", with(`97345.12`, `null`), "price: not a number"},
		{"price a string", with(`97345.12`, `"97345.12"`), "price: not a number"},
		{"price huge", with(`97345.12`, `1e999`), "price: not a number"},
		{"price zero", with(`97345.12`, `0`), "price: 0 is not above zero"},
		{"price negative", with(`97345.12`, `-1`), "price: -1 is not above zero"},
		{"price twice", with(`{`, `{"price":1,`), "price: is there twice"},
		{"volume negative", with(`0.25`, `-0.25`), "volume: -0.25 is not zero or above"},
		{"volume an object", with(`0.25`, `{}`), "volume: not a number"},
		{"quote volume negative", with(`24336.5`, `-1`), "quote_volume: -1 is not zero or above"},
		{"quote volume null", with(`24336.5`, `null`), "quote_volume: not a number"},
		{"quote volume too large to multiply", `{"symbol":"A","timestamp":1,"volume":1e200,"price":1e200}`, "quote_volume: +Inf"},
		{"time null", with(`1732000000123`, `null`), "timestamp: not a time"},
		{"time true", with(`1732000000123`, `true`), "timestamp: not a time"},
		{"time a number in a string", with(`1732000000123`, `"1732000000123"`), "a string, but not ISO 8601"},
		{"time of another age", with(`1732000000123`, `1e17`), "outside the years"},
		{"symbol a number", with(`"BTC_USDT"`, `7`), "symbol: not a string"},
		{"symbol empty", with(`BTC_USDT`, ``), "symbol: bad symbol"},
		{"symbol with a path", with(`BTC_USDT`, `../x`), "symbol: bad symbol"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := market.ParseTick([]byte(c.payload))
			require.ErrorIs(t, err, market.ErrTick)
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := market.ParseTickOf("ETH_USDT", []byte(payload))
	require.ErrorIs(t, err, market.ErrTick)
	require.ErrorContains(t, err, `"BTC_USDT", on the topic of ETH_USDT`)
}

func TestASymbolIsASegmentOfATopicAndTheNameOfADirectory(t *testing.T) {
	for _, good := range []string{"BTC_USDT", "a", "BRK.B", "x@y", "A-1", strings.Repeat("x", 128)} {
		topic, err := market.Topic(good)
		require.NoError(t, err)
		require.Equal(t, "stream:market_data:"+good, string(topic))
	}
	for _, bad := range []string{"", ".", "..", ".hidden", "a/b", `a\b`, "a:b", "*", "a b", "a\x00", "a\n", "ż", strings.Repeat("x", 129), "a%2f"} {
		_, err := market.Topic(bad)
		require.ErrorIs(t, err, market.ErrSymbol, "%q", bad)
	}
}

func TestNumbersThatNoTickCanHaveAreFound(t *testing.T) {
	for _, spoil := range []func(*message.Tick){
		func(t *message.Tick) { t.Price = math.NaN() },
		func(t *message.Tick) { t.Price = math.Inf(1) },
		func(t *message.Tick) { t.Price = 0 },
		func(t *message.Tick) { t.Volume = math.NaN() },
		func(t *message.Tick) { t.Volume = math.Inf(1) },
		func(t *message.Tick) { t.Volume = -1 },
		func(t *message.Tick) { t.QuoteVolume = math.NaN() },
		func(t *message.Tick) { t.QuoteVolume = math.Inf(1) },
		func(t *message.Tick) { t.TimeMS = math.MinInt64 },
		func(t *message.Tick) { t.TimeMS = math.MaxInt64 },
	} {
		tick := btc()
		require.NoError(t, market.Check(&tick))
		spoil(&tick)
		require.ErrorIs(t, market.Check(&tick), market.ErrTick)
	}
}

// FuzzParseTick asserts that whatever is taken is a good tick, and that it can be written and read again.
func FuzzParseTick(f *testing.F) {
	for _, seed := range []string{payload, `{}`, `{"symbol":"A","timestamp":"2024-11-19","volume":2,"price":3}`, `{"symbol":"A","timestamp":-1,"volume":1e-320,"price":1e300}`,
		`{"symbol":"A","symbol":"B"}`, `[`, `{"price":1e999}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		tick, err := market.ParseTick(payload)
		if err != nil {
			require.ErrorIs(t, err, market.ErrTick)
			return
		}
		require.True(t, json.Valid(payload))
		require.NoError(t, market.CheckSymbol(tick.Symbol))
		require.NoError(t, market.Check(&tick))
		again, err := market.ParseTick(market.AppendTick(nil, &tick))
		require.NoError(t, err)
		require.Equal(t, tick, again)
		of, err := market.ParseTickOf(tick.Symbol, payload)
		require.NoError(t, err)
		require.Equal(t, tick, of)
	})
}

func TestReadingATickOfATopicAllocatesNothing(t *testing.T) {
	data := []byte(payload)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := market.ParseTickOf("BTC_USDT", data); err != nil {
			t.Fatal(err)
		}
	}))
}

func BenchmarkParseTickOf(b *testing.B) {
	data := []byte(payload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := market.ParseTickOf("BTC_USDT", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNumber(b *testing.B) {
	text := []byte("97345.12")
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			_, _ = market.Number(text)
		}
	})
	b.Run("strconv", func(b *testing.B) {
		for b.Loop() {
			_, _ = strconv.ParseFloat(string(text), 64)
		}
	})
}

package msgpack_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	library "github.com/vmihailenco/msgpack/v5"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/msgpack"
)

const textMax = 1 << 20

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

func TestEveryKindOfValueIsPackedInItsShortestForm(t *testing.T) {
	for _, c := range []struct{ text, packed string }{
		{`null`, "c0"}, {`true`, "c3"}, {` false `, "c2"},
		{`0`, "00"}, {`-0`, "00"}, {`127`, "7f"}, {`128`, "cc80"}, {`255`, "ccff"}, {`256`, "cd0100"}, {`65535`, "cdffff"},
		{`65536`, "ce00010000"}, {`4294967295`, "ceffffffff"}, {`4294967296`, "cf0000000100000000"},
		{`9223372036854775807`, "cf7fffffffffffffff"}, {`18446744073709551615`, "cfffffffffffffffff"},
		{`-1`, "ff"}, {`-32`, "e0"}, {`-33`, "d0df"}, {`-128`, "d080"}, {`-129`, "d1ff7f"}, {`-32768`, "d18000"},
		{`-32769`, "d2ffff7fff"}, {`-2147483648`, "d280000000"}, {`-2147483649`, "d3ffffffff7fffffff"},
		{`-9223372036854775808`, "d38000000000000000"},
		{`1.5`, "cb3ff8000000000000"}, {`1e2`, "cb4059000000000000"}, {`1.0`, "cb3ff0000000000000"}, {`-0.0`, "cb8000000000000000"},
		{`18446744073709551616`, "cb43f0000000000000"}, {`-9223372036854775809`, "cbc3e0000000000000"},
		{`1e999`, "cb7ff0000000000000"}, {`-1e999`, "cbfff0000000000000"}, {`1e-999`, "cb0000000000000000"},
		{`""`, "a0"}, {`"a"`, "a161"}, {`"ż"`, "a2c5bc"}, {`"\u017c\n"`, "a3c5bc0a"}, {`"\ud83d\ude00"`, "a4f09f9880"},
		{`"\""`, "a122"}, {`"\\"`, "a15c"}, {`"a\\\"b"`, "a4615c2262"},
		{`[]`, "90"}, {`[ 1 , "a" ]`, "9201a161"}, {`{}`, "80"}, {`{ "a" : { "b" : [ ] } }`, "81a16181a16290"},
	} {
		got, err := msgpack.AppendPacked(nil, []byte(c.text))
		require.NoError(t, err, c.text)
		require.Equal(t, c.packed, hex.EncodeToString(got), c.text)
	}
}

func TestLengthsThatDoNotFitOneByteGetMore(t *testing.T) {
	for _, c := range []struct {
		name, text, header string
		total              int
	}{
		{"31 bytes", quoted(31), "bf", 32}, {"32 bytes", quoted(32), "d920", 34}, {"255 bytes", quoted(255), "d9ff", 257},
		{"256 bytes", quoted(256), "da0100", 259}, {"65535 bytes", quoted(65535), "daffff", 65538}, {"65536 bytes", quoted(65536), "db00010000", 65541},
		{"an escape and 31 bytes", `"\n` + quoted(30)[1:], "bf", 32}, {"an escape and 300 bytes", `"\n` + quoted(299)[1:], "da012c", 303},
		{"15 elements", array(15), "9f", 16}, {"16 elements", array(16), "dc0010", 19}, {"65535 elements", array(65535), "dcffff", 65538},
		{"65536 elements", array(65536), "dd00010000", 65541},
		{"15 members", object(15), "8f", 46}, {"16 members", object(16), "de0010", 51}, {"65536 members", object(65536), "df00010000", 5 + 3*65536},
	} {
		got, err := msgpack.AppendPacked([]byte("before"), []byte(c.text))
		require.NoError(t, err, c.name)
		got = got[len("before"):]
		require.True(t, strings.HasPrefix(hex.EncodeToString(got), c.header), "%s: %x", c.name, got[:8])
		require.Len(t, got, c.total, c.name)
		back, err := msgpack.AppendJSON(nil, got, textMax)
		require.NoError(t, err, c.name)
		require.Equal(t, c.text, string(back), c.name)
	}
}

func quoted(n int) string { return `"` + strings.Repeat("x", n) + `"` }

func array(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("7,", n), ",") + "]" }

func object(n int) string { return "{" + strings.TrimSuffix(strings.Repeat(`"a":7,`, n), ",") + "}" }

func TestValuesThatJSONHasNoFormForBecomeStrings(t *testing.T) {
	for _, c := range []struct{ packed, text string }{
		{"c4020102", `"AQI="`}, {"c50000", `""`}, {"c60000000101", `"AQ=="`},
		{"d6ff 00000000", `"1970-01-01T00:00:00Z"`},
		{"d7ff 77359400 69257f80", `"2025-11-25T10:05:52.5Z"`},
		{"c70cff 00000001 ffffffffffffffff", `"1969-12-31T23:59:59.000000001Z"`},
		{"ca3fc00000", "1.5"}, {"cb4059000000000000", "100"}, {"cb444b1ae4d6e2ef50", "1e+21"}, {"cb3eb0c6f7a0b5ed8d", "0.000001"},
		{"cb7fefffffffffffff", "1.7976931348623157e+308"}, {"d0ff", "-1"}, {"cd0001", "1"}, {"d30000000000000001", "1"},
		{"d9016a", `"j"`}, {"da00016a", `"j"`}, {"db000000016a", `"j"`}, {"a20a22", `"\n\""`},
		{"dc000101", "[1]"}, {"dd0000000101", "[1]"}, {"de0001a16101", `{"a":1}`}, {"df00000001a16101", `{"a":1}`},
		{"82a16101a16102", `{"a":1,"a":2}`},
	} {
		got, err := msgpack.AppendJSON([]byte("before"), unhex(t, c.packed), textMax)
		require.NoError(t, err, c.packed)
		require.Equal(t, "before"+c.text, string(got), c.packed)
		require.True(t, json.Valid(got[len("before"):]), "%s", got)
	}
}

func TestWhatIsNoMessagePackIsRefusedWithAReasonAndAnOffset(t *testing.T) {
	for _, c := range []struct {
		packed, reason string
		offset         int
	}{
		{"", "a value is missing", 0}, {"92 01", "an array is longer than what is there", 1}, {"92 01 92 01", "an array is longer", 3},
		{"91 cd 01", "unexpected end inside", 1}, {"01 01", "unexpected byte after", 1}, {"c1", "does not use", 0},
		{"81 01 01", "a key is not a string", 1}, {"81 c4 01 61 01", "a key is not a string", 1}, {"81 c0 01", "a key is not a string", 1},
		{"81 a2 61", "unexpected end inside", 2}, {"81 a1 61", "a value is missing", 3}, {"82 a2 61 61 01", "a key is missing", 5},
		{"dd ffffffff", "an array is longer", 5}, {"df ffffffff", "a map is longer", 5}, {"db ffffffff", "unexpected end inside", 5},
		{"c6 ffffffff", "unexpected end inside", 5}, {"dd ffff", "unexpected end inside", 0}, {"d9", "unexpected end inside", 0},
		{"a1 ff", "not valid UTF-8", 1}, {"ca 7fc00000", "NaN", 0}, {"cb 7ff0000000000000", "infinities", 0}, {"cb fff0000000000000", "infinities", 0},
		{"d4 01 00", "extension type", 0}, {"c7 00 05", "extension type", 0}, {"c9 ffffffff ff", "unexpected end inside", 5}, {"d6", "unexpected end inside", 1},
		{"d4 ff 00", "a timestamp that is none", 0}, {"d7 ff ffffffff ffffffff", "a timestamp that is none", 0},
		{"c7 0c ff 00000000 7fffffffffffffff", "a timestamp that is none", 0},
	} {
		got, err := msgpack.AppendJSON([]byte("kept"), unhex(t, c.packed), textMax)
		var e *msgpack.Error
		require.True(t, errors.As(err, &e), "%s: %v", c.packed, err)
		require.Contains(t, e.Reason, c.reason, c.packed)
		require.Equal(t, c.offset, e.Offset, "%s: %s", c.packed, e.Reason)
		require.Equal(t, "kept", string(got))
		require.Contains(t, err.Error(), "at byte")
	}
}

func TestNestingIsRefusedBeyondTheLimitBothWays(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	packed, err := msgpack.AppendPacked(nil, []byte(deep(msgpack.DepthMax)))
	require.NoError(t, err)
	_, err = msgpack.AppendJSON(nil, packed, textMax)
	require.NoError(t, err)

	_, err = msgpack.AppendPacked(nil, []byte(deep(msgpack.DepthMax+1)))
	var syntax *jsonscan.SyntaxError
	require.True(t, errors.As(err, &syntax))
	require.Contains(t, syntax.Reason, "too deep")
	_, err = msgpack.AppendJSON(nil, append([]byte{0x91}, packed...), textMax)
	require.ErrorContains(t, err, "too deep")
	_, err = msgpack.AppendJSON(nil, bytes.Repeat([]byte{0x81, 0xa1, 'a'}, 1<<18), textMax)
	require.ErrorContains(t, err, "too deep")
	_, err = msgpack.AppendJSON(nil, bytes.Repeat([]byte{0x91}, 1<<20), textMax)
	require.ErrorContains(t, err, "too deep")
}

func TestATextThatWouldBeTooLongIsNotWritten(t *testing.T) {
	for name, packed := range map[string][]byte{
		"many false":         append([]byte{0xdd, 0, 1, 0, 0}, bytes.Repeat([]byte{0xc2}, 1<<16)...),
		"control characters": append([]byte{0xdb, 0, 1, 0, 0}, make([]byte, 1<<16)...),
		"binary data":        append([]byte{0xc6, 0, 1, 0, 0}, make([]byte, 1<<16)...),
	} {
		_, err := msgpack.AppendJSON(make([]byte, 100), packed, 1<<16)
		require.ErrorContains(t, err, "more than the 65536 bytes", name)
	}
	_, err := msgpack.AppendJSON(nil, []byte{0xa3, 'a', 'b', 'c'}, 5)
	require.NoError(t, err, "three letters and two quotes")
	_, err = msgpack.AppendJSON(nil, []byte{0xa3, 'a', 'b', 'c'}, 4)
	require.Error(t, err)
}

func TestNoJSONTextBeginsAsAMapDoes(t *testing.T) {
	require.True(t, msgpack.IsMap([]byte{0x80}))
	require.True(t, msgpack.IsMap([]byte{0x8f}))
	require.True(t, msgpack.IsMap([]byte{0xde, 0, 0}))
	require.True(t, msgpack.IsMap([]byte{0xdf, 0, 0, 0, 0}))
	require.False(t, msgpack.IsMap(nil))
	for c := range 256 {
		if c < 0x80 || c >= 0x90 && c < 0xde || c > 0xdf {
			require.False(t, msgpack.IsMap([]byte{byte(c)}), "%#x", c)
		}
	}
}

// plain makes what encoding/json and the library read comparable: numbers by their value, as float64s where they are not
// integers.
func plain(t *testing.T, v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := jsonscan.Int([]byte(v)); err == nil {
			return n
		}
		if n, err := jsonscan.Uint([]byte(v)); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil && !math.IsInf(f, 0) {
			t.Fatalf("%s: %v", v, err)
		}
		return whole(f)
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	case float32:
		return whole(float64(v))
	case float64:
		return whole(v)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []any:
		for i := range v {
			v[i] = plain(t, v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(t, v[k])
		}
	}
	return v
}

// whole makes an integer of a float64 that is written as one, since a text does not tell 100 from 1e2 read back.
func whole(f float64) any {
	if f != math.Trunc(f) || math.Abs(f) >= 1e21 {
		return f
	}
	text := strconv.AppendFloat(nil, f, 'f', -1, 64)
	if n, err := jsonscan.Int(text); err == nil {
		return n
	}
	if n, err := jsonscan.Uint(text); err == nil {
		return n
	}
	return f
}

func readJSON(t *testing.T, text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), "%s", text)
	return plain(t, v)
}

func readLibrary(t *testing.T, packed []byte) any {
	d := library.NewDecoder(bytes.NewReader(packed))
	v, err := d.DecodeInterface()
	require.NoError(t, err, "%x", packed)
	return plain(t, v)
}

// FuzzPack asserts that the library reads out of what is packed what encoding/json reads out of the text, and that it
// comes back.
func FuzzPack(f *testing.F) {
	for _, seed := range []string{
		`{"t":"order_update","p":{"a":[1,-2,3.5,1e30,null,true,"\u00e9\n"]},"seq":18446744073709551615}`, `[]`, `"\ud800"`, ` -0.0 `, `1e999`,
		`{"":{"":[[],{}]}}`, array(17), object(17), quoted(40), `123456789012345678901234567890`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packed, err := msgpack.AppendPacked(nil, text)
		require.Equal(t, jsonscan.Valid(text, msgpack.DepthMax), err)
		if err != nil {
			return
		}
		want := readJSON(t, text)
		require.Equal(t, want, readLibrary(t, packed))
		back, err := msgpack.AppendJSON(nil, packed, 8*len(text)+32)
		if err == nil {
			require.Equal(t, want, readJSON(t, back))
			return
		}
		require.ErrorContains(t, err, "NaN and infinities") // a number beyond the largest
	})
}

// FuzzUnpack asserts that what is accepted is JSON, and the value that the library reads.
func FuzzUnpack(f *testing.F) {
	for _, seed := range []string{
		"82a174a470696e67a17081a974696d657374616d70cf0000018bcfe56800", "c70cff00000001ffffffffffffffff", "d6ff00000000", "dd00000001c0",
		"92ca3fc00000cb444b1ae4d6e2ef50", "c4020102", "df00000001a16101", "d9056a0a22005c",
	} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		const bytesMax = 1 << 16
		text, err := msgpack.AppendJSON(nil, packed, bytesMax)
		if err != nil {
			var e *msgpack.Error
			require.True(t, errors.As(err, &e))
			require.LessOrEqual(t, e.Offset, len(packed))
			return
		}
		require.NoError(t, jsonscan.Valid(text, msgpack.DepthMax), "%s", text)
		require.LessOrEqual(t, len(text), bytesMax)
		require.Equal(t, readLibrary(t, packed), readJSON(t, text))
	})
}

func message() []byte {
	return []byte(`{"t":"order_update","p":{"order_id":"ord_1","symbol":"AAPL","status":"filled","filled_qty":100,"avg_price":150.25,` +
		`"note":"` + strings.Repeat("x", 28) + `"},"id":"evt_9f3c2a5b7d1e4c60_1","ts":"2025-11-25T10:00:00.000Z","seq":1234,` +
		`"_msg_cat":"U","tp":"user:u1:order_events","e":"6543beef","o":1234,"pri":10,"v":2}`)
}

func TestNothingIsAllocatedWhereThereIsRoom(t *testing.T) {
	text, dst := message(), make([]byte, 0, 4096)
	packed, err := msgpack.AppendPacked(nil, text)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = msgpack.AppendPacked(dst, text) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = msgpack.AppendJSON(dst, packed, textMax) }))
}

func BenchmarkPack(b *testing.B) {
	text, dst := message(), make([]byte, 0, 4096)
	b.Run("streamed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = msgpack.AppendPacked(dst, text)
		}
	})
	b.Run("encoding/json and the library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			_ = json.Unmarshal(text, &v)
			_, _ = library.Marshal(v)
		}
	})
}

func BenchmarkUnpack(b *testing.B) {
	packed, err := msgpack.AppendPacked(nil, message())
	require.NoError(b, err)
	dst := make([]byte, 0, 4096)
	b.Run("streamed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = msgpack.AppendJSON(dst, packed, textMax)
		}
	})
	b.Run("the library and encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			_ = library.Unmarshal(packed, &v)
			_, _ = json.Marshal(v)
		}
	})
}

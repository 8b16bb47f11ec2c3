package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/jsonscan"
)

func TestKindOfTellsWhatAValueIs(t *testing.T) {
	for raw, want := range map[string]jsonscan.Kind{
		``: jsonscan.KindInvalid, `x`: jsonscan.KindInvalid, `null`: jsonscan.KindNull, `true`: jsonscan.KindBool,
		`false`: jsonscan.KindBool, `-1`: jsonscan.KindNumber, `0`: jsonscan.KindNumber, `"a"`: jsonscan.KindString,
		`[]`: jsonscan.KindArray, `{}`: jsonscan.KindObject,
	} {
		require.Equal(t, want, jsonscan.KindOf([]byte(raw)), raw)
	}
	require.True(t, jsonscan.IsNull(nil))
	require.True(t, jsonscan.IsNull([]byte("null")))
	require.False(t, jsonscan.IsNull([]byte(`""`)))
}

func TestNumbersAreReadExactlyOrRefused(t *testing.T) {
	for _, c := range []struct {
		raw  string
		i    int64
		iErr error
		u    uint64
		uErr error
		f    float64
		fErr error
	}{
		{raw: "0"},
		{raw: "-0", uErr: jsonscan.ErrKind, f: math.Copysign(0, -1)},
		{raw: "42", i: 42, u: 42, f: 42},
		{raw: "-42", i: -42, uErr: jsonscan.ErrKind, f: -42},
		{raw: "9223372036854775807", i: math.MaxInt64, u: math.MaxInt64, f: math.MaxInt64},
		{raw: "-9223372036854775808", i: math.MinInt64, uErr: jsonscan.ErrKind, f: math.MinInt64},
		{raw: "9223372036854775808", iErr: jsonscan.ErrRange, u: 1 << 63, f: 1 << 63},
		{raw: "-9223372036854775809", iErr: jsonscan.ErrRange, uErr: jsonscan.ErrKind, f: -(1 << 63)},
		{raw: "18446744073709551615", iErr: jsonscan.ErrRange, u: math.MaxUint64, f: math.MaxUint64},
		{raw: "18446744073709551616", iErr: jsonscan.ErrRange, uErr: jsonscan.ErrRange, f: 1 << 64},
		{raw: "1.5", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, f: 1.5},
		{raw: "1e3", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, f: 1000},
		{raw: "1e999", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrRange},
		{raw: "", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
		{raw: "-", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
		{raw: "007", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
		{raw: "0x10", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
		{raw: `"1"`, iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
		{raw: "Infinity", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
		{raw: "1_0", iErr: jsonscan.ErrKind, uErr: jsonscan.ErrKind, fErr: jsonscan.ErrKind},
	} {
		t.Run(c.raw, func(t *testing.T) {
			i, err := jsonscan.Int([]byte(c.raw))
			require.ErrorIs(t, err, c.iErr)
			require.Equal(t, c.i, i)
			u, err := jsonscan.Uint([]byte(c.raw))
			require.ErrorIs(t, err, c.uErr)
			require.Equal(t, c.u, u)
			f, err := jsonscan.Float([]byte(c.raw))
			require.ErrorIs(t, err, c.fErr)
			require.Equal(t, math.Float64bits(c.f), math.Float64bits(f))
		})
	}
}

func TestBoolReadsOnlyTrueAndFalse(t *testing.T) {
	yes, err := jsonscan.Bool([]byte("true"))
	require.NoError(t, err)
	require.True(t, yes)
	no, err := jsonscan.Bool([]byte("false"))
	require.NoError(t, err)
	require.False(t, no)
	for _, raw := range []string{"", "1", "null", `"true"`, "TRUE"} {
		_, err := jsonscan.Bool([]byte(raw))
		require.ErrorIs(t, err, jsonscan.ErrKind, raw)
	}
}

func TestStringsAreUnescaped(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"empty", `""`, ""},
		{"plain", `"plain text"`, "plain text"},
		{"every short escape", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{"hexadecimal of both cases", `"\u00e9\u00E9"`, "éé"},
		{"a surrogate pair", `"\ud83d\ude00"`, "😀"},
		{"a high surrogate alone", `"\ud83d!"`, "\ufffd!"},
		{"a low surrogate alone", `"\ude00"`, "\ufffd"},
		{"a high surrogate and a letter", `"\ud83d\u0041"`, "\ufffdA"},
		{"a high surrogate before a pair", `"\ud83d\ud83d\ude00"`, "\ufffd😀"},
		{"a zero", `"\u0000"`, "\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := jsonscan.String([]byte(c.raw))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			appended, err := jsonscan.AppendUnquoted([]byte("x"), []byte(c.raw))
			require.NoError(t, err)
			require.Equal(t, "x"+c.want, string(appended))
		})
	}
}

func TestWhatIsNoStringIsRefused(t *testing.T) {
	for _, raw := range []string{"", "null", "1", "[]"} {
		_, err := jsonscan.String([]byte(raw))
		require.ErrorIs(t, err, jsonscan.ErrKind, raw)
	}
	for _, raw := range []string{`"`, `"a`, `"a"b`, `"a" `, `"\`, `"\u00"`, "\"\xc0\"", "\"\t\""} {
		dst, err := jsonscan.AppendUnquoted([]byte("kept"), []byte(raw))
		var syntax *jsonscan.SyntaxError
		require.ErrorAs(t, err, &syntax, raw)
		require.Equal(t, "kept", string(dst))
	}
}

// TestQuotedTextIsEscapedWhereverItStands puts every byte at every place of a text that is read eight bytes at a time.
func TestQuotedTextIsEscapedWhereverItStands(t *testing.T) {
	for place := range 20 {
		for c := range 256 {
			text := []byte("abcdefghijklmnopqrst")
			text[place] = byte(c)
			want, err := json.Marshal(strings.ToValidUTF8(string(text), "\ufffd"))
			require.NoError(t, err)
			var got, expected string
			require.NoError(t, json.Unmarshal(jsonscan.AppendQuoted(nil, string(text)), &got))
			require.NoError(t, json.Unmarshal(want, &expected))
			require.Equal(t, expected, got, "byte %#x at %d", c, place)
		}
	}
}

func TestQuotedTextComesBack(t *testing.T) {
	for _, s := range []string{"", "plain", "a\"b\\c/d", "\x00\x01\x1f\x7f\b\f\n\r\t", "zażółć 𝄞 \u2028\u2029", strings.Repeat("long ", 20)} {
		quoted := jsonscan.AppendQuoted(nil, s)
		require.True(t, json.Valid(quoted), "%q", quoted)
		got, err := jsonscan.String(quoted)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	require.Equal(t, `x"a\ufffdb\ufffd\ufffd"`, string(jsonscan.AppendQuoted([]byte("x"), "a\xffb\xed\xa0")))
	require.Equal(t, "\"\u2028\u2029<>&\"", string(jsonscan.AppendQuoted(nil, "\u2028\u2029<>&")))
	require.Equal(t, `"\u0000\u001f\b\f\n\r\t\"\\"`, string(jsonscan.AppendQuoted(nil, "\x00\x1f\b\f\n\r\t\"\\")))
}

// FuzzString compares the reading of literals with encoding/json, which replaces what is not UTF-8 instead of refusing it.
func FuzzString(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := jsonscan.String(raw)
		var want string
		isString := len(raw) > 0 && raw[0] == '"' && raw[len(raw)-1] == '"' && utf8.Valid(raw) && json.Unmarshal(raw, &want) == nil
		require.Equal(t, isString, err == nil, "%q: %v", raw, err)
		if err == nil {
			require.Equal(t, want, got)
		}
	})
}

// FuzzQuoted compares the writing of literals with encoding/json.
func FuzzQuoted(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		require.NoError(t, e.Encode(s))
		escaped := strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`).Replace(string(jsonscan.AppendQuoted(nil, s)))
		require.Equal(t, strings.TrimSuffix(want.String(), "\n"), escaped)
	})
}

// FuzzNumber compares the reading of numbers with strconv, on what encoding/json takes for a number.
func FuzzNumber(f *testing.F) {
	for _, raw := range []string{"0", "-1", "18446744073709551616", "9223372036854775808", "1.5", "-0.0e-7", "1e400", "00", "abc", ""} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		isNumber := jsonscan.KindOf(raw) == jsonscan.KindNumber && json.Valid(raw) && !bytes.ContainsAny(raw, " \t\r\n")
		wantI, iErr := strconv.ParseInt(string(raw), 10, 64)
		i, err := jsonscan.Int(raw)
		require.Equal(t, isNumber && iErr == nil, err == nil, "%q", raw)
		if err == nil {
			require.Equal(t, wantI, i)
		}
		wantU, uErr := strconv.ParseUint(string(raw), 10, 64)
		u, err := jsonscan.Uint(raw)
		require.Equal(t, isNumber && uErr == nil, err == nil, "%q", raw)
		if err == nil {
			require.Equal(t, wantU, u)
		}
		wantF, fErr := strconv.ParseFloat(string(raw), 64)
		got, err := jsonscan.Float(raw)
		require.Equal(t, isNumber && fErr == nil, err == nil, "%q", raw)
		if err == nil {
			require.Equal(t, math.Float64bits(wantF), math.Float64bits(got))
		}
	})
}

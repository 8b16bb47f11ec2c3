package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// subscribe is a request of about the usual size.
const subscribe = `{"t":"subscription_update","p":{"action":"subscribe","topics":["order_events","stream:market_data:BTCUSDT"]},"id":"c1a7b2f0-0001","ts":1732000000000,"v":2}`

// texts are documents, good and bad, that the fuzz targets begin with.
var texts = []string{
	subscribe,
	`{}`, `[]`, ` { } `, `[ ]`, `{"a":1}`, `[1,2]`, `null`, `true`, `false`, `0`, `-0.5e+10`, `"x"`,
	`{"a":{"b":[{"c":null}]},"a":2}`, `{"\u0061":"\ud83d\ude00 \ud800 \"\\\/\b\f\n\r\t"}`,
	`"zażółć gęślą jaźń 𝄞"`, "\"\xff\"", "\"\xed\xa0\x80\"", `"` + strings.Repeat("x", 40) + `"`,
	``, ` `, `{`, `}`, `[`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `[1,]`, `[1 2]`, `[1}`, `{"a" 1}`, `{,}`,
	`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x1`, `NaN`, `Infinity`, `tru`, `truex`, `nul`, `nulL`,
	`"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\x00\"", "\"a\nb\"", `"a`, `'a'`, `{} {}`, "\ufeff{}", "{\"a\":1}\x00", `/**/1`,
}

func TestValidAgreesWithEncodingJSONOnItsOwnCases(t *testing.T) {
	for _, text := range texts {
		checkValid(t, []byte(text))
	}
}

// checkValid compares Valid with encoding/json, which lets bytes that are not UTF-8 pass.
func checkValid(t *testing.T, data []byte) {
	t.Helper()
	err := jsonscan.Valid(data, 10000)
	require.Equal(t, json.Valid(data) && utf8.Valid(data), err == nil, "%q: %v", data, err)
	if err != nil {
		var syntax *jsonscan.SyntaxError
		require.ErrorAs(t, err, &syntax)
		require.GreaterOrEqual(t, syntax.Offset, 0)
		require.LessOrEqual(t, syntax.Offset, len(data))
		require.NotEmpty(t, syntax.Reason)
	}
}

func FuzzValid(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(checkValid)
}

func TestASyntaxErrorPointsAtTheFirstBadByte(t *testing.T) {
	for _, c := range []struct {
		name, text string
		offset     int
		reason     string
	}{
		{"nothing", "", 0, "unexpected end, a value is missing"},
		{"a second value", "1 2", 2, "unexpected byte after the value"},
		{"a bare word", `{"a":yes}`, 5, "unexpected byte, a value is missing"},
		{"a cut literal", `[tru]`, 4, "unexpected byte inside a literal"},
		{"a literal at the end", `tr`, 2, "unexpected end inside a literal"},
		{"a trailing comma in an object", `{"a":1,}`, 7, "unexpected byte, a key is missing"},
		{"a trailing comma in an array", `[1,]`, 3, "unexpected byte, a value is missing"},
		{"an object without end", `{"a":1`, 6, "unexpected end inside an object or array"},
		{"the wrong closing byte", `[1}`, 2, "unexpected byte, a comma or the end of the object or array is missing"},
		{"no colon", `{"a" 1}`, 5, "unexpected byte after a key, a colon is missing"},
		{"an end after a key", `{"a" `, 5, "unexpected end after a key"},
		{"an end before a key", `{"a":1, `, 8, "unexpected end, a key is missing"},
		{"a leading zero", `01`, 1, "unexpected byte after the value"},
		{"no digit", `[1.x]`, 3, "a number has no digit where it needs one"},
		{"no exponent", `1e+`, 3, "a number has no digit where it needs one"},
		{"a control character", "\"ab\ncd\"", 3, "a control character inside a string is not escaped"},
		{"bad UTF-8 after eight bytes", "[\"12345678é\xffx\"]", 12, "invalid UTF-8 inside a string"},
		{"an unknown escape", `"\x"`, 2, "an escape that JSON does not have"},
		{"a short escape", `"\u12z4"`, 5, "an escape is not four hexadecimal digits"},
		{"a string without end", `"abcdefghij`, 11, "unexpected end inside a string"},
		{"an escape without end", `"\`, 2, "unexpected end inside a string"},
		{"a unicode escape without end", `"\u1`, 4, "unexpected end inside a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err *jsonscan.SyntaxError
			require.ErrorAs(t, jsonscan.Valid([]byte(c.text), 8), &err)
			require.Equal(t, jsonscan.SyntaxError{Offset: c.offset, Reason: c.reason}, *err)
		})
	}
}

func TestNestingIsLimited(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(strings.Repeat(`{"a":[`, n/2) + strings.Repeat(`]}`, n/2))
	}
	require.NoError(t, jsonscan.Valid(nested(8), 8))
	require.Error(t, jsonscan.Valid(nested(8), 7))
	require.NoError(t, jsonscan.Valid([]byte("1"), 0))
	require.Error(t, jsonscan.Valid([]byte("[]"), 0))

	for depth, ok := range map[int]bool{jsonscan.DepthMax: true, jsonscan.DepthMax + 2: false} {
		it := jsonscan.Members(nested(depth))
		for it.Next() {
		}
		require.Equal(t, ok, it.Err() == nil, "depth %d", depth)
	}
	// A million brackets must cost neither stack nor time.
	require.ErrorContains(t, jsonscan.Valid(bytes.Repeat([]byte("["), 1<<20), jsonscan.DepthMax), "nested too deep at byte 64")
}

func TestMembersHandsOutKeysAndRawValues(t *testing.T) {
	it := jsonscan.Members([]byte(" {\"a\" : 1 , \"b\":\t[ 1, {} ] ,\"\\u00e9\\n\":\"x\",\"a\":null}\n"))
	var got []string
	for it.Next() {
		got = append(got, string(it.Key())+"="+string(it.Value()))
	}
	require.NoError(t, it.Err())
	require.Equal(t, []string{"a=1", "b=[ 1, {} ]", "é\n=\"x\"", "a=null"}, got)
	require.False(t, it.Next(), "an ended walk stays ended")
	require.Nil(t, it.Key())
	require.Nil(t, it.Value())
}

func TestElementsHandsOutRawValues(t *testing.T) {
	it := jsonscan.Elements([]byte(` [ "a", 2 ,[3] , {"b":4}] `))
	var got []string
	for it.Next() {
		require.Nil(t, it.Key())
		got = append(got, string(it.Value()))
	}
	require.NoError(t, it.Err())
	require.Equal(t, []string{`"a"`, `2`, `[3]`, `{"b":4}`}, got)
}

func TestAWalkRefusesTheOtherKindAndWhatFollows(t *testing.T) {
	for _, text := range []string{``, `1`, `[]`, `"{}"`, `{} 1`, `{"a":1} x`, `{"a":1`, `{"a"}`, `{"a":}`, `{"a":1,}`} {
		it := jsonscan.Members([]byte(text))
		for it.Next() {
		}
		require.Error(t, it.Err(), text)
		require.False(t, it.Next(), text)
	}
	for _, text := range []string{``, `1`, `{}`, `[] 1`, `[1`, `[1,]`, `[,]`} {
		it := jsonscan.Elements([]byte(text))
		for it.Next() {
		}
		require.Error(t, it.Err(), text)
	}
}

func TestAppendingToAResultDoesNotChangeTheData(t *testing.T) {
	data := []byte(`{"a":[1,2],"b":"text"}`)
	it := jsonscan.Members(data)
	for it.Next() {
		_ = append(it.Key(), "!!!"...)
		_ = append(it.Value(), "!!!"...)
		if text, err := jsonscan.Text(it.Value()); err == nil {
			_ = append(text, "!!!"...)
		}
	}
	require.NoError(t, it.Err())
	require.Equal(t, `{"a":[1,2],"b":"text"}`, string(data))
}

// FuzzMembers compares a walk with encoding/json, duplicate keys resolved by the last.
func FuzzMembers(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, it := map[string]string{}, jsonscan.Members(data)
		for it.Next() {
			got[string(it.Key())] = string(it.Value())
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(data, &want) == nil && want != nil && utf8.Valid(data)
		if it.Err() != nil {
			if isObject {
				require.ErrorContains(t, it.Err(), "nested too deep", "%q", data)
			}
			return
		}
		require.True(t, isObject, "%q", data)
		require.Len(t, got, len(want))
		for k, v := range want {
			require.Equal(t, string(v), got[k])
		}
	})
}

// walk reads a subscribe request as a dialect does.
func walk(data []byte) (topics int, err error) {
	it := jsonscan.Members(data)
	var payload []byte
	for it.Next() {
		switch string(it.Key()) {
		case "t":
			_, err = jsonscan.Text(it.Value())
		case "p":
			payload = it.Value()
		case "id":
			_, err = jsonscan.Text(it.Value())
		case "ts":
			_, err = jsonscan.Uint(it.Value())
		}
		if err != nil {
			return 0, err
		}
	}
	if it.Err() != nil {
		return 0, it.Err()
	}
	members := jsonscan.Members(payload)
	for members.Next() {
		if string(members.Key()) != "topics" {
			continue
		}
		list := jsonscan.Elements(members.Value())
		for list.Next() {
			if _, err := jsonscan.Text(list.Value()); err != nil {
				return 0, err
			}
			topics++
		}
		if list.Err() != nil {
			return 0, list.Err()
		}
	}
	return topics, members.Err()
}

func TestReadingARequestAllocatesNothing(t *testing.T) {
	data := []byte(subscribe)
	buf := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if n, err := walk(data); n != 2 || err != nil {
			panic(err)
		}
		if err := jsonscan.Valid(data, jsonscan.DepthMax); err != nil {
			panic(err)
		}
		var err error
		if buf, err = jsonscan.AppendUnquoted(buf[:0], []byte(`"a\u00e9\n"`)); err != nil {
			panic(err)
		}
		buf = jsonscan.AppendQuoted(buf[:0], "a\"b\n\xff")
		if _, err := jsonscan.Float([]byte("3.25e2")); err != nil {
			panic(err)
		}
	}))
}

func BenchmarkSubscribe(b *testing.B) {
	data := []byte(subscribe)
	b.Run("jsonscan", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if n, err := walk(data); n != 2 || err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			var req struct {
				T  string `json:"t"`
				ID string `json:"id"`
				TS uint64 `json:"ts"`
				P  struct {
					Topics []string `json:"topics"`
				} `json:"p"`
			}
			if err := json.Unmarshal(data, &req); err != nil || len(req.P.Topics) != 2 {
				b.Fatal(err)
			}
		}
	})
	b.Run("valid", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if err := jsonscan.Valid(data, jsonscan.DepthMax); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("valid_encoding_json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if !json.Valid(data) {
				b.Fatal()
			}
		}
	})
}

func BenchmarkLongText(b *testing.B) {
	for name, text := range map[string]string{"ascii": strings.Repeat("plain text ", 400), "polish": strings.Repeat("zażółć gęślą ", 250)} {
		data := jsonscan.AppendQuoted(nil, text)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := jsonscan.Valid(data, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"_encoding_json", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if !json.Valid(data) {
					b.Fatal()
				}
			}
		})
	}
}

func BenchmarkAppendQuoted(b *testing.B) {
	s := "user:u1:broker_account_events"
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = jsonscan.AppendQuoted(buf[:0], s)
	}
}

package wse

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// skipped reports whether a document is read as a whole by Skip.
func skipped(doc []byte) bool {
	var r Reader
	r.Open(doc)
	r.Skip()
	return r.Close()
}

// walked builds a document's value by every other means of a Reader: what encoding/json would make of it.
func walked(doc []byte) (value any, ok bool) {
	var r Reader
	r.Open(doc)
	value = walk(&r)
	return value, r.Close()
}

func walk(r *Reader) any {
	switch r.Peek() {
	case Object:
		m := map[string]any{}
		r.Object()
		for r.Member() {
			key := string(r.Key())
			m[key] = walk(r)
		}
		return m
	case Array:
		list := []any{}
		r.Array()
		for r.Element() {
			list = append(list, walk(r))
		}
		return list
	case String:
		r.String()
		return string(r.Text())
	case Number:
		r.Skip()
		return json.Number(r.Raw())
	}
	r.Skip()
	switch string(r.Raw()) {
	case "true":
		return true
	case "false":
		return false
	}
	return nil
}

func unmarshal(t *testing.T, doc []byte) (value any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&value))
	return value
}

// depth is how deep brackets stand in each other outside of strings.
func depth(doc []byte) (most int) {
	at, inside, escaped := 0, false, false
	for _, c := range doc {
		switch {
		case escaped:
			escaped = false
		case inside && c == '\\':
			escaped = true
		case c == '"':
			inside = !inside
		case !inside && (c == '{' || c == '['):
			at++
			most = max(most, at)
		case !inside && (c == '}' || c == ']'):
			at--
		}
	}
	return most
}

// agree requires that a document is JSON for the Reader, read in either way, where it is for encoding/json, and of the
// same value.
func agree(t *testing.T, doc []byte) (valid bool) {
	valid = json.Valid(doc) && depth(doc) <= DepthMax
	require.Equal(t, valid, skipped(doc), "%q skipped", doc)
	value, ok := walked(doc)
	require.Equal(t, valid, ok, "%q walked", doc)
	if valid && utf8.Valid(doc) {
		require.Equal(t, unmarshal(t, doc), value, "%q", doc)
	}
	return valid
}

func TestReaderAgreesWithEncodingJSON(t *testing.T) {
	pieces := []string{"{", "}", "[", "]", ",", ":", `"`, `\`, `"a"`, `"\u12aF"`, `"\ud834\udd1e"`, `"\ud834x"`, "0", "-", "1.5", "e+1", "true", "nul", "null", " ", "\n", "\x01", "é", "12"}
	r := rand.New(rand.NewPCG(1, 2))
	agreed := 0
	for range 100_000 {
		var b strings.Builder
		b.WriteString(`{"x":`)
		for range 1 + r.IntN(7) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		b.WriteString(`}`)
		if agree(t, []byte(b.String())) {
			agreed++
		}
	}
	require.Greater(t, agreed, 2000, "too few of the documents were JSON to tell anything")
}

func FuzzReader(f *testing.F) {
	for _, doc := range []string{`{}`, ` [1, -2.5e+3, true, false, null, "a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude80\ud83d"] `, `{"a":{"b":[{}]},"a":"x"}`,
		`{"a":01}`, `"`, `[`, `{"a"`, `{"a":`, `"\u12`, "", " ", "\x00", strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65)} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) { agree(t, doc) })
}

func TestReaderNestsSixtyFourDeepAndNoDeeper(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	require.True(t, agree(t, nest(DepthMax)))
	require.False(t, agree(t, nest(DepthMax+1)))
	var r Reader
	r.Open([]byte(`{"a":` + string(nest(DepthMax)) + `}`))
	require.True(t, r.Object() && r.Member())
	require.False(t, r.Skip(), "what is entered counts for what is skipped in it")
}

func TestReaderIsFaultyUntilSomethingIsReadAndAllIsLeft(t *testing.T) {
	var r Reader
	require.False(t, r.Close(), "nothing was opened")
	r.Open([]byte("  "))
	require.False(t, r.Close())
	r.Open([]byte(` {}`))
	require.False(t, r.Close(), "nothing was read")
	r.Open([]byte(`{"a":1}`))
	r.Object()
	require.True(t, r.Member())
	r.Skip()
	require.True(t, r.Sound())
	require.False(t, r.Close(), "the object was not left")
	require.Equal(t, 6, r.Fault())
	require.False(t, r.Member() || r.Element() || r.Object() || r.Array() || r.String() || r.Skip(), "the first fault sticks")
	require.Equal(t, Bad, r.Peek())
}

func TestReaderTellsWhereAFaultIs(t *testing.T) {
	for doc, at := range map[string]int{`{"a":1,}`: 7, `{"a" 1}`: 5, `[1 2]`: 3, `["\x"]`: 2, `{}x`: 2, `[01]`: 2, `[tru]`: 1, "[\"\n\"]": 2, `[`: 1} {
		var r Reader
		r.Open([]byte(doc))
		r.Skip()
		require.False(t, r.Close(), doc)
		require.Equal(t, at, r.Fault(), doc)
	}
}

func TestReaderReadsNamesAndTextsByTheirEscapes(t *testing.T) {
	var r Reader
	r.Open([]byte(`{"us\u0065r":"A\u00e9","plain":"b","n":-12}`))
	require.True(t, r.Object() && r.Member())
	require.True(t, r.KeyIs("user"))
	require.True(t, r.String())
	require.Equal(t, `A\u00e9`, string(r.Raw()))
	require.True(t, r.Escaped())
	require.Equal(t, "Aé", string(r.Text()))
	require.Equal(t, "xAé", string(r.AppendText([]byte("x"))))
	require.True(t, r.Member())
	require.False(t, r.KeyIs("user"))
	require.Equal(t, "plain", string(r.Key()))
	require.True(t, r.String())
	require.False(t, r.Escaped())
	require.Equal(t, "b", string(r.Text()))
	require.Equal(t, "xb", string(r.AppendText([]byte("x"))))
	require.True(t, r.Member())
	from := r.Here()
	require.True(t, r.Skip())
	require.Equal(t, "-12", string(r.Document()[from:r.Here()]))
	v, ok := r.Integer()
	require.True(t, ok)
	require.EqualValues(t, -12, v)
	require.False(t, r.Member())
	require.True(t, r.Close())
}

func FuzzInteger(f *testing.F) {
	for _, s := range []string{"0", "-0", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1.0", "1e3", "", "-", "99999999999999999999", "18446744073709551621"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := strconv.ParseInt(s, 10, 64)
		got, ok := integer([]byte(s))
		if !ok {
			require.Zero(t, got)
		}
		if json.Valid([]byte(s)) && strings.Trim(s, "-0123456789") == "" {
			require.Equal(t, err == nil, ok)
		}
		if ok && err == nil {
			require.Equal(t, want, got)
		}
	})
}

func TestTicksAreRead(t *testing.T) {
	doc := []byte{2, 0, 0, 0, 9, 0, 0, 0}
	for i := range 8 {
		doc = append(doc, 0, 0, 0, 0, 0, 0, byte(i*16), 0x40)
	}
	var r Reader
	r.Open(doc)
	ticks, ok := r.Ticks()
	require.True(t, ok)
	require.Equal(t, 2, ticks.Len())
	require.EqualValues(t, 9, ticks.Handle())
	require.Equal(t, []float64{2, 4, 8, 16}, []float64{ticks.Time(0), ticks.Price(0), ticks.Volume(0), ticks.QuoteVolume(0)})
	require.Equal(t, 32.0, ticks.Time(1))
	for _, n := range []int{0, 7, 8, 71} {
		r.Open(doc[:n])
		_, ok := r.Ticks()
		require.False(t, ok, n)
	}
}

const event = `{"type":"OrderFilled","payload":{"order_id":"ord_0123456789","symbol":"BTC\u005fUSDT","quantity":5,"price":"64000.10","fees":[{"asset":"USDT","amount":1.25}],"maker":false,"note":null},"user_id":"u1","id":"evt_1","ts":"2025-11-25T10:00:00.000Z"}`

func BenchmarkReader(b *testing.B) {
	var r Reader
	doc := []byte(event)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		r.Open(doc)
		r.Skip()
		if !r.Close() {
			b.Fatal(r.Fault())
		}
	}
}

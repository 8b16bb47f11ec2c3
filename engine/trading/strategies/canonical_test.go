package strategies_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// TestTheSamplesOfRFC8785 are those of its sections 3.2.2, 3.2.3 and 3.2.4 and of its appendix B.
func TestTheSamplesOfRFC8785(t *testing.T) {
	got, err := strategies.Canonical([]byte(`{
       "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
       "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
       "literals": [null, true, false]
     }`))
	require.NoError(t, err)
	require.Equal(t, `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`, string(got))

	got, err = strategies.Canonical([]byte(`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`))
	require.NoError(t, err)
	var order []string
	for it := jsonscan.Members(got); it.Next(); {
		name, err := jsonscan.String(it.Value())
		require.NoError(t, err)
		order = append(order, name)
	}
	require.Equal(t, []string{"Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign", "Emoji: Grinning Face",
		"Hebrew Letter Dalet With Dagesh"}, order)

	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308", 0xffefffffffffffff: "-1.7976931348623157e+308", 0x4340000000000000: "9007199254740992",
		0xc340000000000000: "-9007199254740992", 0x4430000000000000: "295147905179352830000", 0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23", 0x44b52d02c7e14af7: "1.0000000000000001e+23", 0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef4f: "999999999999999900000", 0x444b1ae4d6e2ef50: "1e+21", 0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001", 0x41b3de4355555553: "333333333.3333332", 0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333", 0x41b3de4355555556: "333333333.3333334", 0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333", 0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		got, err := strategies.Canonical(fmt.Appendf(nil, "%.17e", math.Float64frombits(bits)))
		require.NoError(t, err)
		require.Equal(t, want, string(got), "%x", bits)
	}
}

func TestWhatMeansTheSameIsTheSame(t *testing.T) {
	one, err := strategies.Digest([]byte(`{"a":1,"b":[1.0,"\u0041",{"x":null,"y":-0}],"c":1e2}`))
	require.NoError(t, err)
	require.Len(t, one, 64)
	for _, same := range []string{
		`{"c":100,"b":[1,"A",{"y":0,"x":null}],"a":1}`,
		" {\n\t\"b\" : [ 10e-1 , \"A\" , { \"y\" : 0.0 , \"x\" : null } ] , \"\\u0061\" : 1.000 , \"c\" : 100.0 }\r\n",
	} {
		got, err := strategies.Digest([]byte(same))
		require.NoError(t, err)
		require.Equal(t, one, got)
	}
	for _, other := range []string{
		`{"a":1,"b":[1,"A",{"x":null,"y":0}]}`, `{"a":1,"b":["A",1,{"x":null,"y":0}],"c":100}`, `{"a":"1","b":[1,"A",{"x":null,"y":0}],"c":100}`,
		`{"a":1,"b":[1,"a",{"x":null,"y":0}],"c":100}`, `{"a":1,"b":[1,"A",{"y":0}],"c":100}`,
	} {
		got, err := strategies.Digest([]byte(other))
		require.NoError(t, err)
		require.NotEqual(t, one, got, other)
	}
}

func TestWhatReadersUnderstandDifferentlyIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		``: "a value is missing", `{`: "unexpected end", `{} {}`: "unexpected byte after the value", "\v{}": "a value is missing", `nan`: "unexpected byte",
		`{"a":1,"a":1}`: `"a" is there twice`, `[{"b":{"a":1,"\u0061":2}}]`: `"a" is there twice`, `1e400`: "beyond what a float64 holds",
		`[-1e309]`: "beyond what", `"\ud800"`: "half of a surrogate pair at byte 1", `{"\udc00":1}`: "half of a surrogate pair at byte 2",
		`"\ud83d\ud83d"`: "half of", `"\ud83dx\ude00"`: "half of", "\"\xff\"": "invalid UTF-8", strings.Repeat("[", 65) + strings.Repeat("]", 65): "nested too deep",
	} {
		_, err := strategies.Canonical([]byte(text))
		require.ErrorIs(t, err, strategies.ErrDocument, "%q", text)
		require.ErrorContains(t, err, says, "%q", text)
		_, err = strategies.Digest([]byte(text))
		require.ErrorIs(t, err, strategies.ErrDocument)
	}
	_, err := strategies.Canonical([]byte(`"\\ud800 \ud83d\ude00"`))
	require.NoError(t, err, "a backslash that is escaped begins no escape")
}

// shuffled writes a value with its members in another order, and white space.
func shuffled(random *rand.Rand, v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for name, value := range v {
			quoted, _ := json.Marshal(name)
			parts = append(parts, string(quoted)+" : "+shuffled(random, value))
		}
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		return "{ " + strings.Join(parts, "\n,\t") + "}"
	case []any:
		var parts []string
		for _, value := range v {
			parts = append(parts, shuffled(random, value))
		}
		return "[\r\n" + strings.Join(parts, " , ") + " ]"
	case float64:
		return fmt.Sprintf("%.17e", v)
	default:
		text, _ := json.Marshal(v)
		return string(text)
	}
}

// unsigned takes the sign from every zero in v.
func unsigned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = unsigned(v[name])
		}
	case []any:
		for i := range v {
			v[i] = unsigned(v[i])
		}
	case float64:
		return v + 0
	}
	return v
}

// FuzzCanonical asserts that a canonical text is its own canonical text and means what it meant, and that neither order nor
// white space nor the way to write a number matters.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[1.0,"A",{"x":null}]}`, `{"\u20ac":1,"\r":2}`, `[1e21,1e-7,-0,5e-324,123456789012345678901]`, `{"a":1,"a":2}`,
		`"\ud83d\ude00"`, `"\ud800"`, `null`, ` {} `, `[[],{},""]`, `{"":{"":1}}`} {
		f.Add([]byte(seed), uint64(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		one, err := strategies.Canonical(raw)
		if err != nil {
			require.ErrorIs(t, err, strategies.ErrDocument)
			return
		}
		again, err := strategies.Canonical(one)
		require.NoError(t, err)
		require.Equal(t, string(one), string(again))
		var before, after any
		require.NoError(t, json.Unmarshal(raw, &before))
		require.NoError(t, json.Unmarshal(one, &after))
		require.Equal(t, unsigned(before), unsigned(after))
		key := binary.LittleEndian.AppendUint64(make([]byte, 24), seed)
		other, err := strategies.Canonical([]byte(shuffled(rand.New(rand.NewChaCha8([32]byte(key))), before)))
		require.NoError(t, err)
		require.Equal(t, string(one), string(other))
	})
}

package plugins_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/sdk/abi"
)

// sdkGuest starts the guest that tests the AssemblyScript SDK. What it logs and measures is appended to said. pages
// limits its memory.
func sdkGuest(t testing.TB, pages uint32, said *[]string) *guest {
	t.Helper()
	wasm, err := os.ReadFile("../sdk/assemblyscript/test/guest.wasm")
	require.NoError(t, err)
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithMemoryLimitPages(pages))
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	text := func(m api.Module, ptr, n uint32) string {
		b, ok := m.Memory().Read(ptr, n)
		require.True(t, ok)
		return string(b)
	}
	_, err = rt.NewHostModuleBuilder(abi.ModuleWSE).
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, level, ptr, n uint32) {
		*said = append(*said, fmt.Sprintf("log %d %s", level, text(m, ptr, n)))
	}).Export(abi.ImportLog).
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, ptr, n uint32, v float64) {
		*said = append(*said, fmt.Sprintf("metric %s %v", text(m, ptr, n), v))
	}).Export(abi.ImportMetric).Instantiate(t.Context())
	require.NoError(t, err)
	module, err := rt.CompileModule(t.Context(), wasm)
	require.NoError(t, err)
	g, _ := start(t, rt, module, nil)
	return g
}

func TestSDK(t *testing.T) {
	data := func(s string) answer { return answer{abi.Data, s} }
	tests := []struct {
		name, doc string
		want      answer
		said      []string
	}{
		{"an answer of nothing is a yes", `{}`, answer{kind: abi.Yes}, nil},
		{"a log line reaches the host with its level", `{"log":"caf\u00e9 \ud83d\ude00"}`, answer{kind: abi.Yes}, []string{"log 3 café 😀"}},
		{"a metric reaches the host", `{"metric":12}`, answer{kind: abi.Yes}, []string{"metric guest.calls 12"}},
		{"an error number is one", `{"code":77}`, answer{abi.ErrorCode, "77"}, nil},
		{"an error text is one", `{"code":`, answer{abi.ErrorText, "8"}, nil},
		{"escapes are resolved and written again", `{"text":"\"\\\/\b\f\n\r\t\u0000\u001f\u007fé"}`,
			data(`\"\\/\u0008\u000c\u000a\u000d\u0009\u0000\u001f` + "\x7fé"), nil},
		{"every length of UTF-8 is decoded", `{"text":"\u0041\u00e9\u20ac\ud834\udd1e"}`, data("Aé€𝄞"), nil},
		{"half a surrogate pair is a replacement character", `{"text":"\ud800\u0041\udc00\ud800\ud800"}`, data("\uFFFDA\uFFFD\uFFFD\uFFFD"), nil},
		{"whole numbers up to the limit are read", `{"integer":0,"integer":42,"integer":1000}`, data("0421000"), nil},
		{"other numbers are not whole or not in range", `{"integer":-1,"integer":1.0,"integer":1e2,"integer":1001,"integer":99999999999,"integer":"1"}`,
			data("-1-1-1-1-1-1"), nil},
		{"a name of more than eight characters is compared whole", `{"a_name_of_more_than_eight":1,"a_name_of_more_than_eigh_":1}`,
			data("longa_name_of_more_than_eigh_"), nil},
		{"a name with escapes is compared by its text", `{"a_name_of_more_than\u005feight":1}`, data("long"), nil},
		{"an answer longer than the first buffer", `{"repeat":10000}`, data(strings.Repeat("guest.calls", 10000)), nil},
		{"an answer past the limit is an error number", `{"repeat":400000}`, answer{abi.ErrorCode, "1"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var said []string
			require.Equal(t, tt.want, sdkGuest(t, 256, &said).call(t, abi.ExportTransform, []byte(tt.doc)))
			require.Equal(t, tt.said, said)
		})
	}
}

func TestSDKBufferGrowsOnRequestAndIsRefusedBeyondItsLimits(t *testing.T) {
	g := sdkGuest(t, 256, new([]string))
	buffer := func(n uint64) uint64 {
		got, err := g.mod.ExportedFunction(abi.ExportBuffer).Call(t.Context(), n)
		require.NoError(t, err)
		return got[0]
	}
	first := buffer(abi.BufferBytes)
	require.Equal(t, first, buffer(1000), "a smaller one is the same one")
	larger := buffer(1 << 20)
	require.NotZero(t, larger)
	require.NotEqual(t, first, larger)
	require.Zero(t, buffer(4<<20+1))
	require.Zero(t, buffer(0xffffffff))
}

func TestSDKAnswersWithoutATrapWhenMemoryRunsOut(t *testing.T) {
	g := sdkGuest(t, 8, new([]string)) // half a MiB
	got, err := g.mod.ExportedFunction(abi.ExportBuffer).Call(t.Context(), 1<<20)
	require.NoError(t, err)
	require.Zero(t, got[0])
	require.Equal(t, answer{abi.ErrorCode, "1"}, g.call(t, abi.ExportTransform, []byte(`{"repeat":50000}`)))
	require.Equal(t, answer{abi.Data, "guest.calls"}, g.call(t, abi.ExportTransform, []byte(`{"repeat":1}`)), "the next call is served")
}

func TestSDKRefusesADocumentLongerThanItsBuffer(t *testing.T) {
	g := sdkGuest(t, 256, new([]string))
	for _, n := range []uint64{abi.BufferBytes + 1, 1 << 31, 0xffffffff} {
		got, err := g.mod.ExportedFunction(abi.ExportTransform).Call(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, abi.Result{Kind: abi.ErrorCode, Code: 2}, abi.Unpack(got[0]))
	}
}

func TestSDKReaderAgreesWithEncodingJSONOnWhatIsJSON(t *testing.T) {
	g := sdkGuest(t, 256, new([]string))
	pieces := []string{"{", "}", "[", "]", ",", ":", `"`, `\`, `"a"`, `"\u12aF"`, "0", "-", "1.5", "e+1", "true", "nul", "null", " ", "\n", "\x01", "é", "12"}
	r := deterministic()
	agreed := map[bool]int{}
	for range 200_000 {
		var b strings.Builder
		b.WriteString(`{"x":`)
		for range 1 + r.IntN(7) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		b.WriteString(`}`)
		doc := []byte(b.String())
		got := g.call(t, abi.ExportTransform, doc)
		require.Equal(t, json.Valid(doc), got.kind != abi.ErrorText, "%s: %v", doc, got)
		agreed[json.Valid(doc)]++
	}
	require.Greater(t, agreed[true], 5000, "too few of the documents were JSON to tell anything")
}

// powersOfTen is the text of sdk/assemblyscript/assembly/pow10.ts: 10^p for each p as a whole number of 128 bits, rounded up,
// with its highest bit set, as a pair of which the first times 2^64 less the second is the number.
func powersOfTen() string {
	const least, most, perLine = -348, 347, 2
	var b strings.Builder
	fmt.Fprintf(&b, "// Powers of ten for float.ts. Written by WSE_UPDATE=1 go test ./plugins -run PowersOfTen, which also says what the numbers are.\n"+
		"export const POW10_MIN: i32 = %d;\nexport const POW10_MAX: i32 = %d;\n// A function, so that modules without a number carry no table.\n// @ts-ignore: decorator\n@inline export function pow10(): usize {\n  return memory.data<u64>([\n", least, most)
	for p := least; p <= most; p++ {
		n, d := big.NewInt(1), big.NewInt(1)
		(map[bool]*big.Int{true: n, false: d})[p > 0].Exp(big.NewInt(10), big.NewInt(int64(max(p, -p))), nil)
		shift := 128 - (n.BitLen() - d.BitLen())
		if shift > 0 {
			n.Lsh(n, uint(shift))
		} else {
			d.Lsh(d, uint(-shift))
		}
		if new(big.Int).Quo(n, d).BitLen() > 128 {
			d.Lsh(d, 1)
		}
		q, r := new(big.Int).QuoRem(n, d, new(big.Int))
		if r.Sign() != 0 {
			q.Add(q, big.NewInt(1))
		}
		lo := new(big.Int).And(q, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
		hi := q.Rsh(q, 64).Uint64()
		if lo != 0 {
			hi++
		}
		fmt.Fprintf(&b, map[bool]string{true: "0x%016x, 0x%016x,\n", false: "0x%016x, 0x%016x, "}[(p-least)%perLine == perLine-1], hi, -lo)
	}
	b.WriteString("]);\n}\n")
	return b.String()
}

func TestSDKPowersOfTenAreWhatTheyShouldBe(t *testing.T) {
	const file = "../sdk/assemblyscript/assembly/pow10.ts"
	if os.Getenv("WSE_UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, []byte(powersOfTen()), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, powersOfTen(), string(got))
}

// floats reads numbers from texts with the SDK and writes them again, many a call.
func floats(t testing.TB, g *guest, texts []string) []string {
	t.Helper()
	const perCall = 500
	var got []string
	for part := range slices.Chunk(texts, perCall) {
		doc := `{"float":` + strings.Join(part, `,"text":",","float":`) + `}`
		a := g.call(t, abi.ExportTransform, []byte(doc))
		require.Equal(t, abi.Data, a.kind, a.text)
		got = append(got, strings.Split(a.text, ",")...)
	}
	require.Len(t, got, len(texts))
	return got
}

// shortest is v as JSON.stringify writes it, which is encoding/json's way but for minus nothing.
func shortest(v float64) string {
	if v == 0 {
		return "0"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(text)
}

func TestSDKFloatsAreReadAndWrittenAsStrconvDoes(t *testing.T) {
	r := deterministic()
	texts := []string{"0", "-0", "1", "-1.5", "1e400", "-1e400", "1e-400", "1E5", "1e+5", "123456789012345678901234567890", "5e-324", "2e-324",
		"2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "1.7976931348623159e308",
		"1e21", "1e20", "1e-6", "1e-7", "9007199254740993", "9007199254740992.999999999999999999", "0.1", "100000000000000000000000",
		"0." + strings.Repeat("0", 400) + "1", "1" + strings.Repeat("0", 308), "1" + strings.Repeat("0", 309), "1e99999999999", "1e-99999999999"}
	for p := -345; p <= 310; p++ {
		texts = append(texts, fmt.Sprintf("1e%d", p), fmt.Sprintf("18446744073709551615e%d", p), fmt.Sprintf("9.999999999999999999e%d", p))
	}
	for range 100_000 {
		bits := r.Uint64()
		switch r.IntN(4) {
		case 0:
			bits &= 1<<63 | 1<<52 - 1 // smaller than normal
		case 1:
			bits &^= 1<<52 - 1 // a power of two
		case 2:
			bits = math.Float64bits(math.Round(r.Float64()*1e9) / 1e4) // a price
		}
		if v := math.Float64frombits(bits); !math.IsNaN(v) && !math.IsInf(v, 0) {
			texts = append(texts, strconv.FormatFloat(v, 'e', -1, 64), strconv.FormatFloat(v, 'e', r.IntN(19), 64))
		}
	}
	g := sdkGuest(t, 256, new([]string))
	for i, got := range floats(t, g, texts) {
		v, _ := strconv.ParseFloat(texts[i], 64)
		require.Equal(t, shortest(v), got, texts[i])
	}
}

// TestSDKFloatsAtTheMiddleOfTwo are the hardest texts to read: exact midpoints, and those with a digit more or less far behind.
func TestSDKFloatsAtTheMiddleOfTwo(t *testing.T) {
	r := deterministic()
	var texts []string
	for range 400 {
		bits := r.Uint64() &^ (1 << 63)
		if r.IntN(3) == 0 {
			bits &= 1<<52 - 1
		}
		v, above := math.Float64frombits(bits), math.Float64frombits(bits+1)
		if math.IsNaN(v) || math.IsInf(above, 0) || math.IsNaN(above) {
			continue
		}
		middle := new(big.Float).SetPrec(2000).SetFloat64(v)
		middle.Add(middle, new(big.Float).SetFloat64(above)).Quo(middle, big.NewFloat(2))
		mantissa, exponent, _ := strings.Cut(middle.Text('e', 780), "e")
		if mantissa = strings.TrimRight(mantissa, "0"); len(mantissa) < 4 {
			continue
		}
		texts = append(texts, mantissa+"e"+exponent, mantissa+"00000000001e"+exponent, mantissa+strings.Repeat("0", 300)+"1e"+exponent,
			mantissa[:len(mantissa)-1]+"e"+exponent)
	}
	g := sdkGuest(t, 256, new([]string))
	for i := 0; i < len(texts); i += 20 {
		part := texts[i:min(i+20, len(texts))]
		for k, got := range floats(t, g, part) {
			v, err := strconv.ParseFloat(part[k], 64)
			require.NoError(t, err)
			require.Equal(t, shortest(v), got, part[k])
		}
	}
}

package plugins_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
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

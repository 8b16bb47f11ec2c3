//go:build !race

package guests

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/sdk/abi"
)

// ticks is the document of wse_strategy_ticks for n ticks.
func ticks(n, handle uint32) []byte {
	doc := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, n), handle)
	for i := range n {
		volume := float64(i % 7)
		for _, field := range []float64{1000 + float64(i), 0.5, volume, volume / 2} {
			doc = binary.LittleEndian.AppendUint64(doc, math.Float64bits(field))
		}
	}
	return doc
}

// bare calls an export of a module on a runtime of its own: no plugin kind of the engine has these hooks yet.
func bare(t *testing.T, mod api.Module, export string, doc []byte) (abi.Kind, string) {
	t.Helper()
	buffer, err := mod.ExportedFunction(abi.ExportBuffer).Call(t.Context(), max(uint64(len(doc)), abi.BufferBytes))
	require.NoError(t, err)
	require.True(t, mod.Memory().Write(uint32(buffer[0]), doc))
	result, err := mod.ExportedFunction(export).Call(t.Context(), uint64(len(doc)))
	require.NoError(t, err)
	answer := abi.Unpack(result[0])
	text, ok := mod.Memory().Read(answer.Ptr, answer.Len)
	require.True(t, ok)
	return answer.Kind, string(text)
}

func TestTicksAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, language := range languages() {
		if language != "c" && language != rust {
			continue
		}
		t.Run(language, func(t *testing.T) {
			rt := wazero.NewRuntime(t.Context())
			t.Cleanup(func() { _ = rt.Close(context.Background()) })
			mod, err := rt.Instantiate(t.Context(), build(t, filepath.Join("testdata/ticks", language)))
			require.NoError(t, err)
			kind, _ := bare(t, mod, abi.ExportStrategyOpen, []byte(`{"handle":4294967295,"volume":12285}`))
			require.Equal(t, abi.Yes, kind)
			doc := ticks(4096, math.MaxUint32)
			_, text := bare(t, mod, abi.ExportStrategyTicks, doc)
			require.Equal(t, `{"consumed":4096,"out":[]}`, text)
			for _, cut := range []int{0, 7, 8, len(doc) - 1} {
				_, text = bare(t, mod, abi.ExportStrategyTicks, doc[:cut])
				require.Equal(t, "no ticks", text)
			}
			_, text = bare(t, mod, abi.ExportStrategyTicks, ticks(7, math.MaxUint32))
			require.Equal(t, "another sum", text)
			kind, _ = bare(t, mod, abi.ExportStrategyUpdate, []byte(`{}`))
			require.Equal(t, abi.No, kind)
		})
	}
}

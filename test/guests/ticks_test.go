//go:build !race

package guests

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/vector"
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

func TestTicksAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, language := range languages() {
		if language != "c" && language != rust {
			continue
		}
		t.Run(language, func(t *testing.T) {
			p := open(t, "ticks", build(t, filepath.Join("testdata/ticks", language)))
			call := func(hook string, doc []byte) vector.Got {
				got, err := p.Call(hook, doc)
				require.NoError(t, err)
				return got.Got
			}
			opening := []byte(`{"handle":4294967295,"volume":12285}`)
			require.Equal(t, vector.Yes, call("strategy_open", opening).Said)
			doc := ticks(4096, math.MaxUint32)
			require.Equal(t, `{"consumed":4096,"out":[]}`, string(call("strategy_ticks", doc).Data))
			for _, cut := range []int{0, 7, 8, len(doc) - 1} {
				require.Equal(t, "no ticks", call("strategy_ticks", doc[:cut]).Error)
				require.Equal(t, vector.Yes, call("strategy_open", opening).Said, "the strategy had ended")
			}
			require.Equal(t, "another sum", call("strategy_ticks", ticks(7, math.MaxUint32)).Error)
			require.Equal(t, vector.No, call("strategy_update", []byte(`{}`)).Said)
		})
	}
}

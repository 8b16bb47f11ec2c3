package plugin

import (
	"encoding/json"
	"github.com/wse-engine/wse/engine/message"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzActions reads anything as an answer to n ticks: what is taken for one keeps to what sdk/ABI.md says.
func FuzzActions(f *testing.F) {
	for _, doc := range []string{
		`{"consumed":1,"out":[]}`, `{"consumed":3,"out":[{"kind":"state","at":2,"state":"exited"}]}`,
		`{"out":[{"kind":"order","id":"a","side":"buy","quantity":1e-9,"order_type":"limit","price":5,"reason":"r"}]}`,
		`{"consumed":2,"out":[{"kind":"signal","at":1,"type":"S1","confidence":0.5,"indicators":{"a":1}},{"kind":"cancel","at":1,"id":"x"}]}`,
		`{"consumed":2,"out":[{"kind":"indicator","at":0,"name":"\u00fc","value":-1.7976931348623157e308}]}`,
		`{"consumed":4294967296,"out":[{"at":18446744073709551615}]}`,
	} {
		f.Add([]byte(doc), 3)
		f.Add([]byte(doc), 0)
	}
	var a actions
	f.Fuzz(func(t *testing.T, doc []byte, n int) {
		n = max(0, min(n, ticksMax))
		a.most = 8
		consumed, err := a.read(doc, n)
		if err != nil {
			require.Empty(t, a.list)
			return
		}
		require.True(t, json.Valid(doc))
		require.True(t, consumed >= min(n, 1) && consumed <= n)
		require.LessOrEqual(t, len(a.list), a.most)
		before := 0
		for _, x := range a.list {
			require.True(t, x.At >= before && (x.At < consumed || n == 0 && x.At == 0))
			before = x.At
			if n > 0 && (x.Kind == message.ActionOrder || x.Kind == message.ActionCancel) {
				require.Equal(t, consumed-1, x.At)
			}
			for _, number := range []float64{x.Value, x.Quantity, x.Notional, x.Price, x.Confidence} {
				require.False(t, math.IsNaN(number) || math.IsInf(number, 0))
			}
			require.True(t, x.Kind != message.ActionSignal || json.Valid(x.Indicators))
			require.True(t, x.Kind != message.ActionOrder || (x.Quantity > 0) != (x.Notional > 0) && x.ID != "" && x.Side != "" && x.Reason != "")
		}
	})
}

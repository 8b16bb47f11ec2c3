package plugin

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// discard reads nothing.
type discard struct{}

func (discard) Read([]byte) error { return nil }

// BenchmarkBorder is a call without the check of its answer: 300 bytes in, 400 out, a guest that does nothing.
func BenchmarkBorder(b *testing.B) {
	m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.Pack(1024, 400))}})
	h, err := New(Configs{{Name: "x", Path: "stock:x"}}, Deps{DataDir: b.TempDir(), Stock: func(string) ([]byte, bool) { return m.Bytes(), true }})
	require.NoError(b, err)
	defer h.Close()
	v := h.cur.Load().entries[0].version
	doc := make([]byte, 300)
	b.Run("call", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.call(context.Background(), hookTransform, doc, discard{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("instance", func(b *testing.B) {
		in, ok := v.pool.take()
		require.True(b, ok)
		defer v.pool.give(in)
		for b.Loop() {
			if _, _, f := in.call(hookTransform, doc); f != nil {
				b.Fatal(f)
			}
		}
	})
}

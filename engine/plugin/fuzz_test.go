package plugin_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// strict reads as the engine does, and keeps what it was given.
type strict struct {
	keeper
	answer *ingest.Answer
}

func (s *strict) Read(doc []byte) error {
	_ = s.keeper.Read(doc) // refuses nothing
	return s.answer.Read(doc)
}

// FuzzBoundary lets a guest return any number at all, over a memory that holds any bytes: the result is what the first
// eight bytes of the document say, and the document lies at Buffer.
func FuzzBoundary(f *testing.F) {
	at := func(ptr, size uint32, rest string) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, uint64(ptr)<<32|uint64(size)), rest...)
	}
	f.Add(at(0, 0, ""))
	f.Add(at(0, 1, ""))
	f.Add(at(0, 2, ""))
	f.Add(at(w.Buffer+8, uint32(len(envelope)), envelope))
	f.Add(at(w.Buffer+8, uint32(len(envelope))+2, "["+envelope+"]"))
	f.Add(at(w.Buffer+8|1<<31, 5, "wrong"))
	f.Add(at(1<<31, 7, ""))
	f.Add(at(4<<16-1, 2, ""))
	f.Add(at(1<<31-1, 1<<32-1, ""))
	f.Add(at(w.Buffer+8, 30, `{"allow":true,"ttl_s":1.5e300}`))
	load := w.Cat(w.I32Const(w.Buffer), []byte{0x29, 0, 0})
	fix := newFixture(f)
	cfg := fix.add(f, "any", w.Plugin(w.Module{Funcs: []w.Func{
		w.Hook("wse_transform", load), w.Hook("wse_validate", load), w.Hook("wse_authorize", load),
	}}))
	cfg.Limits.BreakerTraps = 1 << 20
	h := fix.open(f, cfg)
	f.Fuzz(func(t *testing.T, doc []byte) {
		answer := strict{answer: ingest.NewAnswer(ingest.DefaultConfig())}
		d, err := h.Transform(context.Background(), "E", doc, &answer)
		var ce *plugin.CallError
		require.True(t, err == nil || errors.As(err, &ce))
		if err == nil && d.Fate == plugin.Answered {
			require.True(t, json.Valid(answer.doc), "%q", answer.doc)
		}
		if v, err := h.Validate(context.Background(), "", doc); err == nil {
			require.False(t, v.Valid && len(v.Errors) > 0, "%q", doc)
		}
		_, err = h.Authorize(context.Background(), plugin.AuthorizeRequest{Identity: plugin.Identity{Claims: doc}})
		require.True(t, err == nil || errors.As(err, &ce))
	})
}

package plugin_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// document makes a JSON object of n bytes.
func document(n int) []byte {
	const frame = `{"t":"account_update","topic":"user:u1:events","p":{"x":""}}`
	return []byte(frame[:len(frame)-3] + string(bytes.Repeat([]byte("x"), n-len(frame))) + `"}}`)
}

// BenchmarkCall is the price of crossing the border: 300 bytes in, 400 bytes out, and a guest that does nothing.
func BenchmarkCall(b *testing.B) {
	f := newFixture(b)
	answer := document(400)
	verdict := returning("wse_authorize", 1)
	verdict.Funcs = append(verdict.Funcs, w.Hook("wse_transform", w.Pack(1024, len(answer))), w.Hook("wse_validate", w.Pack(1024, len(answer))))
	verdict.Data = []w.Data{{At: 1024, Bytes: answer}}
	h := f.open(b, f.add(b, "say", verdict))
	doc, reader := document(300), ingest.NewAnswer(ingest.DefaultConfig())
	b.Run("authorize", func(b *testing.B) {
		b.ReportAllocs()
		r := plugin.AuthorizeRequest{Action: "subscribe", Topic: "user:u1:events"}
		for b.Loop() {
			if v, err := h.Authorize(context.Background(), r); err != nil || !v.Allow {
				b.Fatal(err)
			}
		}
	})
	b.Run("transform", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.Transform(context.Background(), "E", doc, reader); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTogether is the price of one event of 64 that are handed over together, beside that of one alone, in turns: 300
// bytes in and out, a guest that copies, and the answers read into envelopes.
func BenchmarkTogether(b *testing.B) {
	f := newFixture(b)
	h := f.open(b, f.add(b, "letters", w.Letters(true)))
	const together = 64
	all := make([]plugin.Event, together)
	for i := range all {
		all[i] = plugin.Event{Type: "E", Doc: append([]byte("d"), bytes.Repeat([]byte("x"), 299)...), Answer: &keeper{doc: make([]byte, 0, 512)}}
	}
	var alone, batched time.Duration
	for b.Loop() {
		begin := time.Now()
		for i := range all {
			if _, err := h.Transform(b.Context(), "E", all[i].Doc, all[i].Answer); err != nil {
				b.Fatal(err)
			}
		}
		between := time.Now()
		h.TransformAll(b.Context(), all)
		alone, batched = alone+between.Sub(begin), batched+time.Since(between)
		if all[0].Err != nil || all[together-1].Decision.Fate != plugin.Answered {
			b.Fatal(all[0].Err)
		}
	}
	events := float64(b.N * together)
	b.ReportMetric(float64(alone)/events, "alone-ns/event")
	b.ReportMetric(float64(batched)/events, "together-ns/event")
	b.ReportMetric(float64(batched)/float64(alone), "together/alone")
	b.ReportMetric(0, "ns/op")
}

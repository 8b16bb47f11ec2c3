package frame_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	stdflate "compress/flate"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/wse-engine/wse/engine/frame"
)

// noSink takes everything.
type noSink struct{ n int }

func (s *noSink) Message(frame.Opcode, []byte) error { s.n++; return nil }
func (s *noSink) Control(frame.Opcode, []byte) error { s.n++; return nil }

// framesPerBuffer is how many frames one read returns in the benchmarks of reading.
const framesPerBuffer = 32

// BenchmarkRead compares ways of reading frames, per frame. "copy" is the price of giving each round fresh bytes, which
// all rows include.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{16, 128, 512, 8192} {
		one := stream(part{op: frame.OpText, payload: strings.Repeat("x", size)})
		all := bytes.Repeat(one, framesPerBuffer)
		buf := make([]byte, len(all))
		perFrame := func(b *testing.B, rounds int) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*framesPerBuffer), "ns/frame")
			b.ReportMetric(0, "ns/op")
		}
		bench := func(name string, read func(b *testing.B)) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				rounds := 0
				for b.Loop() {
					copy(buf, all)
					read(b)
					rounds++
				}
				perFrame(b, rounds)
			})
		}
		bench("copy", func(*testing.B) {})
		lim, budget := frame.DefaultLimits(), frame.NewBudget(1<<20)
		var p frame.Parser
		var sink noSink
		bench("frame.Parser", func(b *testing.B) {
			if err := p.Feed(buf, &lim, nil, budget, &sink); err != nil {
				b.Fatal(err)
			}
		})
		in := bytes.NewReader(nil)
		payload := make([]byte, size)
		bench("ws.ReadHeader+Cipher", func(b *testing.B) {
			in.Reset(buf)
			for range framesPerBuffer {
				h, err := ws.ReadHeader(in)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(in, payload); err != nil {
					b.Fatal(err)
				}
				ws.Cipher(payload, h.Mask, 0)
			}
		})
		bench("wsutil.ReadClientData", func(b *testing.B) {
			in.Reset(buf)
			rw := struct {
				io.Reader
				io.Writer
			}{in, io.Discard}
			for range framesPerBuffer {
				if _, _, err := wsutil.ReadClientData(rw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadSplit reads one frame that comes in two pieces.
func BenchmarkReadSplit(b *testing.B) {
	one := stream(part{op: frame.OpText, payload: strings.Repeat("x", 512)})
	buf := make([]byte, len(one))
	lim, budget := frame.DefaultLimits(), frame.NewBudget(1<<20)
	var p frame.Parser
	var sink noSink
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, one)
		if p.Feed(buf[:200], &lim, nil, budget, &sink) != nil || p.Feed(buf[200:], &lim, nil, budget, &sink) != nil {
			b.Fatal("failed")
		}
	}
}

// BenchmarkCompile compares ways of making the bytes of a frame.
func BenchmarkCompile(b *testing.B) {
	for _, size := range []int{128, 512, 8192} {
		payload := make([]byte, size)
		b.Run(fmt.Sprintf("frame.AppendFrame/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				// Into memory of its own, as for a publication, sized once.
				_ = frame.AppendFrame(make([]byte, 0, size+frame.HeaderBytesMax), frame.OpText, false, payload)
			}
		})
		b.Run(fmt.Sprintf("ws.CompileFrame/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ws.CompileFrame(ws.NewTextFrame(payload)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDeflate compares a kept writer with the standard library's and with a new one for each message.
func BenchmarkDeflate(b *testing.B) {
	payload := []byte(strings.Repeat(`{"t":"market_data_update","p":{"symbol":"BTCUSDT","price":64123.5,"volume":0.25}}`, 18))
	var dst []byte
	b.Run("frame.Deflater", func(b *testing.B) {
		var d frame.Deflater
		b.ReportAllocs()
		for b.Loop() {
			dst = d.Deflate(dst[:0], payload)
		}
	})
	b.Run("new writer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var d frame.Deflater
			dst = d.Deflate(dst[:0], payload)
		}
	})
	b.Run("compress_flate", func(b *testing.B) {
		w, err := stdflate.NewWriter(io.Discard, 1)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			w.Reset(io.Discard)
			_, _ = w.Write(payload)
			_ = w.Flush()
		}
	})
	b.Run("frame.Inflater", func(b *testing.B) {
		var i frame.Inflater
		b.ReportAllocs()
		deflated := new(frame.Deflater).Deflate(nil, payload)
		for b.Loop() {
			var err error
			if dst, err = i.Inflate(dst[:0], deflated, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
	})
}

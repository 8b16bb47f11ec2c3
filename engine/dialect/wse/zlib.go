package wse

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/msgpack"
)

// zlibPrefix stands in front of a compressed message (PROTOCOL §2.6).
const zlibPrefix = "C:"

const (
	// zlibLevel 1 is the fastest that still compresses; publications are sent once and read soon.
	zlibLevel = zlib.BestSpeed
	// scratchBytesMax is how large a buffer may be and still be kept for reuse.
	scratchBytesMax = 64 << 10
	// ratioFreeBytes is what a message may inflate to however short it came: short ones may well compress 1:1000.
	ratioFreeBytes = 64 << 10
)

// tools are what compressing and inflating take: the bounds, and writers, of about 0.8 MB each, readers and buffers kept for
// reuse (BenchmarkCompressed). Any number of goroutines may use them.
type tools struct {
	cfg     Config
	writers sync.Pool // of *deflating
	readers sync.Pool // of *inflating
	buffers sync.Pool // of *buffer
}

// buffer is an io.Writer that appends.
type buffer struct{ b []byte }

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

func (t *tools) buffer() *buffer {
	if b, ok := t.buffers.Get().(*buffer); ok {
		b.b = b.b[:0]
		return b
	}
	return &buffer{}
}

func (t *tools) release(b *buffer) {
	if cap(b.b) <= scratchBytesMax {
		t.buffers.Put(b)
	}
}

type deflating struct {
	w   *zlib.Writer
	out buffer
}

// deflate compresses data. The result is valid until the writer is given back.
func (t *tools) deflate(data []byte) (s *deflating) {
	s, _ = t.writers.Get().(*deflating)
	if s == nil {
		w, err := zlib.NewWriterLevel(io.Discard, zlibLevel)
		if err != nil {
			panic("wse: zlib level: " + err.Error()) // a constant that the library does not know
		}
		s = &deflating{w: w}
	}
	s.out.b = s.out.b[:0]
	s.w.Reset(&s.out)
	// The buffer returns no error, so neither do these.
	_, _ = s.w.Write(data)
	_ = s.w.Close()
	return s
}

func (t *tools) done(s *deflating) {
	if cap(s.out.b) > scratchBytesMax {
		s.out.b = nil
	}
	t.writers.Put(s)
}

// compressPayload replaces the payload dst[from:] by the string of its compressed form, where that is shorter.
func (t *tools) compressPayload(dst []byte, from int) (_ []byte, compressed bool) {
	if len(dst)-from < t.cfg.CompressBytesMin {
		return dst, false
	}
	s := t.deflate(dst[from:])
	defer t.done(s)
	if base64.StdEncoding.EncodedLen(len(s.out.b))+2 >= len(dst)-from {
		return dst, false
	}
	dst = base64.StdEncoding.AppendEncode(append(dst[:from], '"'), s.out.b)
	return append(dst, '"'), true
}

// zlibFrames compresses large messages whole.
type zlibFrames struct{ *tools }

var _ dialect.Wrapper = zlibFrames{}

// Wrap implements [dialect.Wrapper].
func (t zlibFrames) Wrap(dst []byte, from int) (_ []byte, binary bool) {
	if len(dst)-from < t.cfg.CompressBytesMin {
		return dst, false
	}
	s := t.deflate(dst[from:])
	defer t.done(s)
	if len(zlibPrefix)+len(s.out.b) >= len(dst)-from {
		return dst, false
	}
	return append(append(dst[:from], zlibPrefix...), s.out.b...), true
}

// packedFrames writes every message as MessagePack.
type packedFrames struct{ *tools }

var _ dialect.Wrapper = packedFrames{}

// Wrap implements [dialect.Wrapper]. What is no JSON, or nested too deep, stays as it is: whoever makes a message has
// checked its payload.
func (t packedFrames) Wrap(dst []byte, from int) (_ []byte, binary bool) {
	text := t.buffer()
	defer t.release(text)
	text.b = append(text.b, dst[from:]...)
	packed, err := msgpack.AppendPacked(dst[:from], text.b)
	if err != nil {
		return append(dst[:from], text.b...), false
	}
	return packed, true
}

// inflating is a zlib reader with its input and output.
type inflating struct {
	r   io.ReadCloser // of src; nil until the first sound input
	src bytes.Reader
	out []byte
}

// inflate returns what data, a zlib stream, holds. It is bounded by the length that data came as, which is less than data's
// where that had to be inflated first. The result is valid until finish. If reason is not empty it says what is
// wrong with data.
func (t *tools) inflate(data []byte, came int) (s *inflating, reason string) {
	s, _ = t.readers.Get().(*inflating)
	if s == nil {
		s = &inflating{}
	}
	bytesMax := min(t.cfg.InflatedBytesMax, max(ratioFreeBytes, t.cfg.InflateRatioMax*min(came, len(data))))
	return s, s.run(data, bytesMax)
}

func (t *tools) finish(s *inflating) {
	s.src.Reset(nil)
	if cap(s.out) > scratchBytesMax {
		s.out = nil
	}
	t.readers.Put(s)
}

func (s *inflating) run(data []byte, bytesMax int) (reason string) {
	const damaged = "is not valid zlib data"
	s.out = s.out[:0]
	s.src.Reset(data)
	var err error
	if s.r == nil {
		s.r, err = zlib.NewReader(&s.src)
	} else {
		err = s.r.(zlib.Resetter).Reset(&s.src, nil)
	}
	if err != nil {
		return damaged
	}
	for {
		// One byte over the limit is room enough to see that it is exceeded.
		if len(s.out) == cap(s.out) {
			size := min(max(512, 2*cap(s.out)), bytesMax+1)
			s.out = append(make([]byte, 0, max(size, len(s.out)+1)), s.out...)
		}
		n, err := s.r.Read(s.out[len(s.out):cap(s.out)])
		s.out = s.out[:len(s.out)+n]
		switch {
		case len(s.out) > bytesMax:
			return fmt.Sprintf("inflates to more than the %d bytes allowed for its length", bytesMax)
		case errors.Is(err, io.EOF) && s.src.Len() > 0:
			return "goes on after its end"
		case errors.Is(err, io.EOF):
			return ""
		case err != nil:
			return damaged
		}
	}
}

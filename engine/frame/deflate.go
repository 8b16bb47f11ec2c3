package frame

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

// syncTail ends a deflated message before it is sent without it (RFC 7692 §7.2.1).
const syncTail = "\x00\x00\xff\xff"

// inflateTail is what a received message is completed with: the tail its sender removed (RFC 7692 §7.2.2) and an empty
// final block, so that the inflater meets a proper end of stream.
const inflateTail = syncTail + "\x01\x00\x00\xff\xff"

const (
	// level 1 is the fastest that still compresses; publications are sent once and read soon.
	deflateLevel = 1
	// scratchBytesMax is how large a buffer may be and still be kept for reuse.
	scratchBytesMax = 64 << 10
	// streamsMax bounds how often a message may end the DEFLATE stream (RFC 7692 §7.2.3.4 allows it to) and begin
	// another: beginning one costs far more than the two bytes that ask for it.
	streamsMax = 8
)

// Deflater deflates messages (RFC 7692 §7.2.1), each on its own. It keeps the writers, of about 0.8 MB each, for reuse
// (BenchmarkDeflate). The zero Deflater is ready; any number of goroutines may use it.
type Deflater struct {
	writers sync.Pool // of *deflating
}

type deflating struct {
	w   *flate.Writer
	out appender
}

// appender is an io.Writer that appends.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// Deflate appends the deflated payload to dst: what goes into a frame with RSV1 set. The window is 32 KiB and nothing
// before payload is referred to (server_no_context_takeover), so the same bytes suit every subscriber. They may be longer
// than payload, if that is short or already compressed.
func (d *Deflater) Deflate(dst, payload []byte) []byte {
	s, _ := d.writers.Get().(*deflating)
	if s == nil {
		w, err := flate.NewWriter(io.Discard, deflateLevel)
		if err != nil {
			panic("frame: deflate level: " + err.Error()) // a constant that the library does not know
		}
		s = &deflating{w: w}
	}
	s.out.b = dst
	s.w.Reset(&s.out)
	// The appender returns no error, so neither do these.
	_, _ = s.w.Write(payload)
	_ = s.w.Flush()
	dst = s.out.b[:len(s.out.b)-len(syncTail)]
	s.out.b = nil
	d.writers.Put(s)
	return dst
}

// Inflater inflates messages (RFC 7692 §7.2.2), each on its own, which is what client_no_context_takeover makes possible.
// It keeps its buffers for reuse. The zero Inflater is ready; any number of goroutines may use it.
type Inflater struct {
	readers sync.Pool // of *inflating
}

type inflating struct {
	r        io.ReadCloser // a flate reader of src
	src      bytes.Reader
	in       []byte // the message with its tail, contiguous because the reader is fastest on a bytes.Reader
	out      []byte
	reserved int64 // bytes taken from the budget for in and out
}

// Inflate appends the inflated payload to dst. The error is an [*Error]: 1009 if it is longer than bytesMax, 1007 if
// payload is not DEFLATE data.
func (i *Inflater) Inflate(dst, payload []byte, bytesMax int64) ([]byte, error) {
	s := i.get()
	defer i.put(s)
	if err := s.run(payload, bytesMax, nil); err != nil {
		return dst, err
	}
	return append(dst, s.out...), nil
}

// inflated inflates and delivers a message.
func (f *feed) inflated(op Opcode, payload []byte) error {
	s := f.inflate.get()
	err := s.run(payload, f.lim.inflatedBytes(len(payload)), f.budget)
	if err == nil && op == OpText && !utf8.Valid(s.out) {
		err = errText()
	}
	if err == nil {
		err = f.sink.Message(op, s.out)
	}
	f.budget.Release(s.reserved)
	f.inflate.put(s)
	return err
}

func (i *Inflater) get() *inflating {
	if s, ok := i.readers.Get().(*inflating); ok {
		return s
	}
	s := new(inflating)
	s.r = flate.NewReader(&s.src)
	return s
}

func (i *Inflater) put(s *inflating) {
	if cap(s.in) > scratchBytesMax {
		s.in = nil
	}
	if cap(s.out) > scratchBytesMax {
		s.out = nil
	}
	s.src.Reset(nil)
	s.reserved = 0
	i.readers.Put(s)
}

// run inflates payload into s.out, at most bytesMax bytes. What it needs beyond the buffers it keeps anyway is taken from
// budget, if that is not nil.
func (s *inflating) run(payload []byte, bytesMax int64, budget *Budget) error {
	need := len(payload) + len(inflateTail)
	if need > cap(s.in) {
		if err := s.reserve(cap(s.in), need, budget); err != nil {
			return err
		}
		s.in = make([]byte, 0, need)
	}
	s.in = append(append(s.in[:0], payload...), inflateTail...)
	s.src.Reset(s.in)
	s.out = s.out[:0]
	for range streamsMax {
		if err := s.stream(bytesMax, budget); err != nil {
			return err
		}
		if s.src.Len() == 0 {
			return nil
		}
	}
	return payloadError("a deflated message ends its stream too often")
}

// stream inflates up to the end of one DEFLATE stream.
func (s *inflating) stream(bytesMax int64, budget *Budget) error {
	if err := s.r.(flate.Resetter).Reset(&s.src, nil); err != nil {
		return payloadError("a deflated message cannot be inflated")
	}
	for {
		// One byte over the limit is room enough to see that it is exceeded.
		if len(s.out) == cap(s.out) {
			size := int(min(int64(max(512, 2*cap(s.out))), bytesMax+1))
			if err := s.reserve(cap(s.out), size, budget); err != nil {
				return err
			}
			s.out = append(make([]byte, 0, size), s.out...)
		}
		n, err := s.r.Read(s.out[len(s.out):cap(s.out)])
		s.out = s.out[:len(s.out)+n]
		if int64(len(s.out)) > bytesMax {
			return tooBig("an inflated message", bytesMax)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return payloadError("a message is not valid deflate data")
		}
	}
}

// reserve accounts for a buffer that grows from so many bytes to so many. Buffers up to scratchBytesMax are kept for
// reuse, few of them, and not counted.
func (s *inflating) reserve(from, to int, budget *Budget) error {
	if budget == nil || to <= scratchBytesMax {
		return nil
	}
	if from <= scratchBytesMax {
		from = 0
	}
	more := int64(to - from)
	if !budget.Reserve(more) {
		return overBudget()
	}
	s.reserved += more
	return nil
}

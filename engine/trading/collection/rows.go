package collection

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

const (
	readBytes    = 64 << 10 // at a time
	lineBytesMax = 1 << 10
)

// rows reads the file of one symbol, row by row.
type rows struct {
	path  string
	in    io.Reader
	close func() error
	buf   []byte
	at    int   // buf[at:] is not read yet
	line  int   // of the row that was read last
	read  int64 // bytes of the lines that were read
	eof   bool
	torn  bool // the last line had no end
	tick  message.Tick
}

// openRows opens a file and reads its header. No more than bytes of it are read; a negative number stands for all.
func openRows(path, symbol string, bytes int64) (*rows, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := newRows(path, symbol, f, bytes)
	r.close = f.Close
	if err := r.header(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func newRows(path, symbol string, in io.Reader, bytes int64) *rows {
	if bytes >= 0 {
		in = io.LimitReader(in, bytes)
	}
	return &rows{path: path, in: in, buf: make([]byte, 0, readBytes), tick: message.Tick{Symbol: symbol, TimeMS: -1 << 63}}
}

// header reads the first line.
func (r *rows) header() error {
	line, err := r.next()
	if err != nil && err != io.EOF {
		return err
	}
	if string(line) != header[:len(header)-1] {
		return r.fault("the header is not %s", header[:len(header)-1])
	}
	return nil
}

// next returns the next line without its end, or io.EOF.
func (r *rows) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(r.buf[r.at:], '\n'); i >= 0 {
			line := r.buf[r.at : r.at+i]
			r.at += i + 1
			r.read += int64(i + 1)
			r.line++
			return trimCR(line), nil
		}
		if len(r.buf)-r.at > lineBytesMax {
			r.line++
			return nil, r.fault("the line has more than %d bytes", lineBytesMax)
		}
		if r.eof {
			return r.tail()
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// tail returns what stands behind the last end of a line.
func (r *rows) tail() ([]byte, error) {
	line := r.buf[r.at:]
	if len(line) == 0 {
		return nil, io.EOF
	}
	r.at, r.torn = len(r.buf), true
	r.read += int64(len(line))
	r.line++
	return trimCR(line), nil
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// fill reads on behind what is left in the buffer.
func (r *rows) fill() error {
	r.buf = r.buf[:copy(r.buf[:cap(r.buf)], r.buf[r.at:])]
	r.at = 0
	n, err := r.in.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if err == io.EOF {
		r.eof = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("collection: %w", err)
	}
	return nil
}

// advance reads the next row into r.tick. It returns io.EOF behind the last one, and an error that wraps ErrDamaged at one
// that is none.
func (r *rows) advance() error {
	line, err := r.next()
	if err != nil {
		return err
	}
	before := r.tick.TimeMS
	if err := parseRow(line, &r.tick); err != nil {
		return r.fault("%w", err)
	}
	if r.tick.TimeMS < before {
		return r.fault("timestamp: %d ms is before %d ms, that of the row before", r.tick.TimeMS, before)
	}
	return nil
}

// fault words what is wrong with the line that was read last.
func (r *rows) fault(format string, args ...any) error {
	return fmt.Errorf("%w: %s:%d: "+format, append([]any{ErrDamaged, r.path, max(r.line, 1)}, args...)...)
}

var errColumns = errors.New("a row is timestamp,price,volume,quote_volume")

// parseRow reads a row into t, but for its symbol.
func parseRow(line []byte, t *message.Tick) error {
	var fields [3][]byte
	for i := range fields {
		comma := bytes.IndexByte(line, ',')
		if comma < 0 {
			return errColumns
		}
		fields[i], line = line[:comma], line[comma+1:]
	}
	var err error
	if t.TimeMS, err = market.Time(fields[0]); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	if t.Price, err = market.Number(fields[1]); err != nil {
		return column("price", fields[1], err)
	}
	if t.Volume, err = market.Number(fields[2]); err != nil {
		return column("volume", fields[2], err)
	}
	if len(line) == 0 {
		t.QuoteVolume = t.Price * t.Volume
	} else if t.QuoteVolume, err = market.Number(line); err != nil {
		if bytes.IndexByte(line, ',') >= 0 {
			return errColumns
		}
		return column("quote_volume", line, err)
	}
	return market.Check(t)
}

func column(name string, text []byte, err error) error {
	return fmt.Errorf("%s: %w: %.40q", name, err, text)
}

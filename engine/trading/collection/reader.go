package collection

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/wse-engine/wse/engine/message"
)

// BatchTicksMax is how many ticks a Reader hands out at a time.
const BatchTicksMax = 4096

// Reader hands out the ticks of a collection in the order of time, those of one moment in the order of their symbols'
// names, and those of one symbol and moment in the order of its file:
//
//	for r.Next() {
//		for _, tick := range r.Ticks() {
//	…
//	if err := r.Err(); err != nil {
//
// It reads as it goes: every file is open and has a buffer of 64 KiB until it is read or the Reader is closed.
type Reader struct {
	symbols []string
	heap    []*source // by next tick: no parent comes after its children
	open    []*source
	ticks   []message.Tick
	bytes   int64 // of all files
	read    int64 // of those that are read to their end
	err     error
}

// source is a file that is read, and where it stands among those of the same moment.
type source struct {
	*rows
	order int
}

func (s *source) before(other *source) bool {
	return s.tick.TimeMS < other.tick.TimeMS || s.tick.TimeMS == other.tick.TimeMS && s.order < other.order
}

// Open opens the collection in the directory dir, which no Collector has to know: all symbols, or those that are named. The
// last row of a file may lack its end. The error wraps [ErrNotFound] where there is no such symbol, [ErrDamaged] where a file
// does not begin as it has to, or is the system's.
func Open(dir string, symbols ...string) (*Reader, error) {
	all, err := symbolsIn(dir)
	if err != nil {
		return nil, err
	}
	return open(dir, &Status{Symbols: all, State: Stopped}, symbols)
}

// symbolsIn lists the symbols that have a file in dir.
func symbolsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	var symbols []string
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name(), pricesName)); err == nil && info.Mode().IsRegular() {
			symbols = append(symbols, e.Name())
		}
	}
	if len(symbols) == 0 {
		return nil, fmt.Errorf("%w: %s: there is no <SYMBOL>/%s", ErrNotFound, dir, pricesName)
	}
	if err := checkSymbols(symbols); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, dir, err)
	}
	return symbols, nil
}

// open opens the files of a collection. Of one that runs no more is read than its status counts.
func open(dir string, s *Status, symbols []string) (*Reader, error) {
	if len(symbols) == 0 {
		symbols = s.Symbols
	}
	r := &Reader{symbols: slices.Compact(slices.Sorted(slices.Values(symbols)))}
	for i, symbol := range r.symbols {
		if !slices.Contains(s.Symbols, symbol) {
			return nil, errors.Join(fmt.Errorf("%w: symbol %.140q: the collection has %s", ErrNotFound, symbol, brief(s.Symbols)), r.Close())
		}
		bytes := int64(-1)
		if s.State == Running {
			bytes = s.BySymbol[symbol].Bytes
		}
		if err := r.add(pricesPath(dir, symbol), symbol, i, bytes); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	r.ticks = make([]message.Tick, 0, BatchTicksMax)
	slices.SortFunc(r.heap, func(a, b *source) int {
		return cmp.Or(cmp.Compare(a.tick.TimeMS, b.tick.TimeMS), cmp.Compare(a.order, b.order))
	})
	return r, nil
}

// brief lists the first symbols.
func brief(symbols []string) string {
	text := ""
	for i, s := range symbols {
		if i == 10 {
			return fmt.Sprintf("%s and %d more", text, len(symbols)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += s
	}
	return text
}

// add opens a file and reads its first row.
func (r *Reader) add(path, symbol string, order int, bytes int64) error {
	in, err := openRows(path, symbol, bytes)
	if err != nil {
		return err
	}
	if bytes < 0 {
		info, err := os.Stat(path)
		if err != nil {
			return errors.Join(err, in.close())
		}
		bytes = info.Size()
	}
	r.bytes += bytes
	s := &source{in, order}
	r.open = append(r.open, s)
	switch err := in.advance(); {
	case err == io.EOF:
		return r.finish(s)
	case err != nil:
		return err
	}
	r.heap = append(r.heap, s)
	return nil
}

// finish lets go of a file that is read.
func (r *Reader) finish(s *source) error {
	r.open = slices.DeleteFunc(r.open, func(other *source) bool { return other == s })
	r.read += s.read
	return s.close()
}

// Symbols returns the symbols that are read, sorted.
func (r *Reader) Symbols() []string { return r.symbols }

// Next reads the next ticks: of one symbol, until another one's turn, a file's end or [BatchTicksMax]. It returns false
// behind the last tick and at an error, which Err tells apart.
func (r *Reader) Next() bool {
	r.ticks = r.ticks[:0]
	if r.err != nil || len(r.heap) == 0 {
		return false
	}
	first := r.heap[0]
	rival := r.rival()
	for len(r.ticks) < BatchTicksMax && (rival == nil || first.before(rival)) {
		r.ticks = append(r.ticks, first.tick)
		err := first.advance()
		if err == nil {
			continue
		}
		if err != io.EOF {
			r.err = err // behind the ticks before it
			return true
		}
		last := len(r.heap) - 1
		r.heap[0], r.heap = r.heap[last], r.heap[:last]
		if err := r.finish(first); err != nil {
			r.err = fmt.Errorf("collection: %w", err)
		}
		break
	}
	r.sink()
	return true
}

// rival returns the source whose turn is next after the first one's.
func (r *Reader) rival() *source {
	switch {
	case len(r.heap) < 2:
		return nil
	case len(r.heap) == 2 || r.heap[1].before(r.heap[2]):
		return r.heap[1]
	}
	return r.heap[2]
}

// sink moves the first source to where it belongs.
func (r *Reader) sink() {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(r.heap) {
			return
		}
		if child+1 < len(r.heap) && r.heap[child+1].before(r.heap[child]) {
			child++
		}
		if !r.heap[child].before(r.heap[i]) {
			return
		}
		r.heap[i], r.heap[child] = r.heap[child], r.heap[i]
		i = child
	}
}

// Ticks returns what Next read, at least one tick. The caller may change it; the next call of Next overwrites it.
func (r *Reader) Ticks() []message.Tick { return r.ticks }

// Err returns what ended the reading before its end: an error that wraps [ErrDamaged] and names file and line, or the
// system's. The ticks that were handed out before it are good.
func (r *Reader) Err() error { return r.err }

// Progress returns which part of the bytes was read, from 0 to 1.
func (r *Reader) Progress() float64 {
	read := r.read
	for _, s := range r.open {
		read += s.read
	}
	if read >= r.bytes {
		return 1
	}
	return float64(read) / float64(r.bytes)
}

// Close lets go of the files. A Reader that was read to its end has none.
func (r *Reader) Close() error {
	var errs []error
	for _, s := range r.open {
		errs = append(errs, s.close())
	}
	r.open, r.heap = nil, nil
	return errors.Join(errs...)
}

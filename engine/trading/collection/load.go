package collection

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// load takes in what is in the directory.
func (c *Collector) load() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("collection: %w", err)
	}
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), dirPrefix)
		if !ok {
			continue
		}
		s, err := c.take(id)
		if err != nil {
			c.opts.Warn(fmt.Errorf("%s is left out: %w", e.Name(), err))
			continue
		}
		c.ended[id] = s // nobody else has the Collector yet
	}
	return nil
}

// find takes in a collection that was put into the directory while the engine runs.
func (c *Collector) find(id string) (Status, error) {
	s, err := c.take(id)
	if err != nil {
		return Status{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.ended[id]; ok {
		return known.clone(), nil
	}
	c.ended[id] = s
	return s.clone(), nil
}

// take reads what is known of a collection that does not run, and brings its files in order where it did when the engine
// ended.
func (c *Collector) take(id string) (*Status, error) {
	dir, err := Dir(c.dir, id)
	if err != nil {
		return nil, err
	}
	s, err := readManifest(dir, id)
	switch {
	case err == nil && s.State == Running:
		return recovered(dir, s)
	case err == nil:
		return s, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	return imported(dir, id)
}

// imported makes the manifest of a collection that has none.
func imported(dir, id string) (*Status, error) {
	symbols, err := symbolsIn(dir)
	if err != nil {
		return nil, err
	}
	s := &Status{ID: id, State: Stopped, Reason: ReasonImported, Symbols: symbols, BySymbol: map[string]FileStatus{}}
	for _, symbol := range symbols {
		found, changed, err := count(pricesPath(dir, symbol), symbol)
		if err != nil {
			return nil, err
		}
		s.add(symbol, found)
		if s.Ended.Before(changed) {
			s.Ended = changed
		}
	}
	s.Started = s.Ended
	if err := writeManifest(dir, s); err != nil && !errors.Is(err, os.ErrPermission) {
		return nil, err
	}
	return s, nil
}

// count reads a whole file, and tells when it was written.
func count(path, symbol string) (FileStatus, time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return FileStatus{}, time.Time{}, err
	}
	r, err := openRows(path, symbol, -1)
	if err != nil {
		return FileStatus{}, time.Time{}, err
	}
	found := FileStatus{}
	for err = r.advance(); err == nil; err = r.advance() {
		found.Rows++
	}
	found.Bytes = r.read
	if err == io.EOF {
		err = nil
	}
	return found, info.ModTime().UTC(), errors.Join(err, r.close())
}

// recovered brings a collection in order that ran when the engine ended.
func recovered(dir string, s *Status) (*Status, error) {
	known := s.BySymbol
	s.State, s.Reason, s.Rows, s.Bytes, s.BySymbol, s.Failing = Stopped, ReasonRestarted, 0, 0, map[string]FileStatus{}, false
	s.Ended = s.Started
	var faults []error
	for _, symbol := range s.Symbols {
		found, cut, changed, err := repair(pricesPath(dir, symbol), symbol, known[symbol])
		s.add(symbol, found)
		s.Cut += cut
		if s.Ended.Before(changed) {
			s.Ended = changed
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		s.State, s.Reason = Failed, ReasonDisk
		s.LastError, s.LastErrorAt = strings.ReplaceAll(err.Error(), "\n", "; "), time.Now().UTC()
	}
	return s, writeManifest(dir, s)
}

// repair cuts off what follows the last whole row. What the manifest knows was synced; only what stands behind it is
// looked at. What was known and is gone is an error, and nothing is touched then.
func repair(path, symbol string, known FileStatus) (found FileStatus, cut uint64, changed time.Time, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return FileStatus{}, 0, time.Time{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return FileStatus{}, 0, time.Time{}, err
	}
	changed = info.ModTime().UTC()
	if known.Bytes < int64(len(header)) {
		known = FileStatus{Bytes: int64(len(header))}
	}
	if known.Rows == 0 && info.Size() < known.Bytes { // the header was not synced
		_, err := f.WriteAt([]byte(header), 0)
		return known, 0, changed, errors.Join(err, f.Sync())
	}
	if info.Size() < known.Bytes {
		return FileStatus{Bytes: info.Size()}, 0, changed, fmt.Errorf("%w: %s: has %d bytes where %d were synced", ErrDamaged, path, info.Size(), known.Bytes)
	}
	found, torn, err := whole(f, path, symbol, known)
	if err != nil || found.Bytes == info.Size() {
		return found, 0, changed, err
	}
	return found, torn, changed, errors.Join(f.Truncate(found.Bytes), f.Sync())
}

// whole counts the whole rows behind known, and the lines that follow them.
func whole(f *os.File, path, symbol string, known FileStatus) (found FileStatus, torn uint64, err error) {
	if _, err := f.Seek(known.Bytes, io.SeekStart); err != nil {
		return known, 0, err
	}
	r := newRows(filepath.Clean(path), symbol, f, -1)
	found = known
	for err = r.advance(); err == nil && !r.torn; err = r.advance() {
		found.Rows++
		found.Bytes = known.Bytes + r.read
	}
	switch {
	case err == io.EOF:
		return found, 0, nil
	case err != nil && !errors.Is(err, ErrDamaged):
		return found, 0, err
	}
	if _, err := f.Seek(found.Bytes, io.SeekStart); err != nil {
		return found, 0, err
	}
	lines, err := countLines(f)
	return found, lines, err
}

// countLines counts the lines of in, one that has no end included.
func countLines(in io.Reader) (lines uint64, err error) {
	buf := make([]byte, readBytes)
	last := byte('\n')
	for {
		n, err := in.Read(buf)
		if n > 0 {
			lines += uint64(bytes.Count(buf[:n], []byte{'\n'}))
			last = buf[n-1]
		}
		if err == io.EOF {
			if last != '\n' {
				lines++
			}
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}

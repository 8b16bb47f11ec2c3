package collection

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/wse-engine/wse/engine/trading/market"
)

// file is the file of one symbol that is written. It is opened for each batch: a hundred collections of a hundred symbols
// are more files than a process may have open.
type file struct {
	path string
	good int64  // bytes that are written and synced
	wait []byte // whole rows that are not
	rows uint64 // how many those are
}

// put adds a row to what waits.
func (f *file) put(r *row) {
	f.wait = append(market.AppendTime(f.wait, r.timeMS), ',')
	f.wait = append(market.AppendNumber(f.wait, r.price), ',')
	f.wait = append(market.AppendNumber(f.wait, r.volume), ',')
	f.wait = append(market.AppendNumber(f.wait, r.quoteVolume), '\n')
	f.rows++
}

// errFull wraps what a disk says that has no room now and may have later.
var errFull = errors.New("the disk is full")

// flush writes and syncs what waits. What it returns is on disk, also where there is an error; the file holds whole rows
// in any case, unless the disk fails for good. An error that wraps errFull leaves the rest waiting.
func (f *file) flush() (written FileStatus, err error) {
	to, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return FileStatus{}, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if info, err := to.Stat(); err != nil {
		return FileStatus{}, err
	} else if info.Size() != f.good {
		return FileStatus{}, fmt.Errorf("%s: has %d bytes where %d were written: another program changes it", f.path, info.Size(), f.good)
	}
	n, writeErr := to.Write(f.wait)
	whole := bytes.LastIndexByte(f.wait[:n], '\n') + 1
	if whole < n || writeErr != nil {
		if err := to.Truncate(f.good + int64(whole)); err != nil {
			return FileStatus{}, errors.Join(writeErr, err)
		}
	}
	if err := to.Sync(); err != nil {
		return FileStatus{}, errors.Join(writeErr, err)
	}
	written = FileStatus{Rows: uint64(bytes.Count(f.wait[:whole], []byte{'\n'})), Bytes: int64(whole)}
	f.good += written.Bytes
	f.rows -= written.Rows
	f.wait = f.wait[:copy(f.wait, f.wait[whole:])]
	if errors.Is(writeErr, syscall.ENOSPC) || errors.Is(writeErr, syscall.EDQUOT) {
		writeErr = fmt.Errorf("%w: %w", errFull, writeErr)
	}
	return written, writeErr
}

// create makes the directory and the file of a symbol, with its header.
func create(dir, symbol string) (*file, error) {
	f := &file{path: pricesPath(dir, symbol), good: int64(len(header))}
	if err := os.Mkdir(parent(f.path), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.path, []byte(header), 0o600); err != nil {
		return nil, err
	}
	return f, syncDir(parent(f.path))
}

package collection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

// running is a collection that runs. One goroutine, that of run, writes it; files, spare and told are its own.
type running struct {
	cfg     *Config
	dir     string
	warn    func(error)
	indexes map[string]int // of files, by symbol; does not change
	files   []*file
	spare   []row  // the queue's other half
	told    Status // as the manifest has it

	wake   chan struct{} // enough rows wait
	ending chan struct{} // closed by finish
	done   chan struct{} // closed when everything is written and the Collector knows

	mu     sync.Mutex
	status Status  // guarded by mu
	queue  []row   // waiting to be written; guarded by mu
	last   []int64 // time of each symbol's last row; guarded by mu
	closed bool    // finish was called: no more rows, and the status says why; guarded by mu
	state  State   // after the end; guarded by mu
	reason string  // of the end; guarded by mu
}

// row is a tick that waits for its file.
type row struct {
	file                       int32
	timeMS                     int64
	price, volume, quoteVolume float64
}

func newRunning(cfg *Config, warn func(error), dir string, s Status, files []*file) *running {
	r := &running{
		cfg: cfg, warn: warn, dir: dir, status: s, told: s, files: files, indexes: make(map[string]int, len(files)), last: make([]int64, len(files)),
		wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{}),
	}
	for i, symbol := range s.Symbols {
		r.indexes[symbol] = i
		r.last[i] = -1 << 63
	}
	return r
}

// append takes a tick, or counts why it does not.
func (r *running) append(t *message.Tick) {
	i := r.indexes[t.Symbol]
	bad := market.Check(t) != nil
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case bad:
		r.status.Invalid++
	case t.TimeMS < r.last[i]:
		r.status.OutOfOrder++
	case len(r.queue) >= r.cfg.QueueRowsMax:
		r.status.Dropped++
	default:
		r.last[i] = t.TimeMS
		if r.queue = append(r.queue, row{int32(i), t.TimeMS, t.Price, t.Volume, t.QuoteVolume}); len(r.queue) == r.cfg.SyncRows {
			select {
			case r.wake <- struct{}{}:
			default:
			}
		}
	}
}

// interrupted counts that ticks may be missing.
func (r *running) interrupted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.status.Interruptions++
	}
}

// finish lets no more rows in and has the rest written. The first call decides on state and reason.
func (r *running) finish(state State, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed, r.state, r.reason = true, state, reason
		close(r.ending)
	}
}

// now returns the status as it is.
func (r *running) now() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status.clone()
}

// run writes what comes until the collection ends, for whatever reason. It returns how it ended.
func (r *running) run(ctx context.Context) Status {
	r.mu.Lock()
	left := time.Until(r.status.Started.Add(time.Duration(r.status.DurationMS) * time.Millisecond))
	r.mu.Unlock()
	over := time.NewTimer(left)
	defer over.Stop()
	sync := time.NewTicker(r.cfg.SyncInterval)
	defer sync.Stop()
	for {
		select {
		case <-ctx.Done():
			r.finish(Stopped, ReasonRestarted)
		case <-over.C:
			r.finish(Completed, ReasonDuration)
		case <-r.wake:
			r.write()
			continue
		case <-sync.C:
			r.write()
			r.tell()
			continue
		case <-r.ending:
		}
		return r.end()
	}
}

// write writes all that waits. While the disk is full, what it took from the queue goes first, and new rows wait in the
// queue.
func (r *running) write() {
	if r.flush() && r.take() {
		r.flush()
	}
}

// take moves the rows of the queue to their files. It returns whether there were any.
func (r *running) take() bool {
	r.mu.Lock()
	rows, bytes := r.queue, r.status.Bytes
	r.queue, r.spare = r.spare[:0], rows
	r.mu.Unlock()
	limit := int64(r.cfg.MiBMax) << 20
	for i := range rows {
		f := r.files[rows[i].file]
		before := len(f.wait)
		f.put(&rows[i])
		if bytes += int64(len(f.wait) - before); bytes > limit {
			f.wait, f.rows = f.wait[:before], f.rows-1
			r.drop(uint64(len(rows) - i))
			r.finish(Stopped, ReasonSize)
			break
		}
	}
	return len(rows) > 0
}

func (r *running) drop(rows uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Dropped += rows
}

// flush writes what waits in the files. It returns false where something is left waiting.
func (r *running) flush() bool {
	for i, f := range r.files {
		if len(f.wait) == 0 {
			continue
		}
		written, err := f.flush()
		r.mu.Lock()
		r.status.add(r.status.Symbols[i], written)
		r.mu.Unlock()
		r.note(err)
		switch {
		case errors.Is(err, errFull):
			return false
		case err != nil:
			r.finish(Failed, ReasonDisk)
			return false
		}
	}
	return true
}

// note keeps what the disk says in the status. The operator is told of it once, and again when it was well in between.
func (r *running) note(err error) {
	r.mu.Lock()
	known := r.status.Failing
	r.status.Failing = errors.Is(err, errFull)
	if err != nil {
		r.status.LastError, r.status.LastErrorAt = strings.ReplaceAll(err.Error(), "\n", "; "), time.Now().UTC()
	}
	r.mu.Unlock()
	if err != nil && !known {
		r.warn(fmt.Errorf("collection %s: %w", r.status.ID, err))
	}
}

// tell writes the manifest, if it would say something new. Where it cannot be written it says what it said before, which
// the next start of the engine puts right; the status has the error.
func (r *running) tell() {
	s := r.now()
	if same(&s, &r.told) {
		return
	}
	if err := writeManifest(r.dir, &s); err != nil {
		r.mu.Lock()
		r.status.LastError, r.status.LastErrorAt = err.Error(), time.Now().UTC()
		r.mu.Unlock()
		return
	}
	r.told = s
}

// same compares what changes while a collection runs.
func same(a, b *Status) bool {
	return a.State == b.State && a.Rows == b.Rows && a.Invalid == b.Invalid && a.OutOfOrder == b.OutOfOrder && a.Dropped == b.Dropped && a.Interruptions == b.Interruptions &&
		a.Failing == b.Failing && a.LastErrorAt.Equal(b.LastErrorAt)
}

// end writes the rest, counts what cannot be written, and closes the books.
func (r *running) end() Status {
	r.mu.Lock()
	failed := r.state == Failed
	r.mu.Unlock()
	if !failed {
		r.write()
	}
	var lost uint64
	for _, f := range r.files {
		lost += f.rows
	}
	r.mu.Lock()
	lost += uint64(len(r.queue))
	r.queue = nil
	r.status.Dropped += lost
	r.status.State, r.status.Reason, r.status.Ended, r.status.Failing = r.state, r.reason, time.Now().UTC(), false
	r.mu.Unlock()
	r.tell()
	return r.now()
}

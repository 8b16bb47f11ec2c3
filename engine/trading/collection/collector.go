package collection

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Options are what a Collector tells of. Both may be nil; they are called without a lock held, by any goroutine.
type Options struct {
	// Warn takes what the operator should know: directories that cannot be read, and disks that are full or fail.
	Warn func(err error)
	// Ended takes the last status of a collection that ran, however it ended, once everything is on disk.
	Ended func(s Status)
}

// Collector runs the collections of one directory.
type Collector struct {
	dir  string
	cfg  Config
	opts Options

	begun chan struct{} // something waits in fresh

	mu       sync.RWMutex
	ended    map[string]*Status    // guarded by mu
	running  map[string]*running   // guarded by mu
	bySymbol map[string][]*running // guarded by mu
	fresh    []*running            // Run has not seen them; guarded by mu
	starting map[string]int        // collections that are being made, by owner; guarded by mu
	closed   bool                  // Run is over; guarded by mu
}

// New opens the collections in dir, which it makes where it is missing. Those that a crash left running it brings in order
// and stops, with the reason engine_restarted. A collection that cannot be read is left out, and told to opts.Warn. The error
// is that of cfg or of dir.
func New(dir string, cfg Config, opts Options) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("collection: %w", err)
	}
	if opts.Warn == nil {
		opts.Warn = func(error) {}
	}
	if opts.Ended == nil {
		opts.Ended = func(Status) {}
	}
	c := &Collector{
		dir: dir, cfg: cfg, opts: opts, begun: make(chan struct{}, 1), ended: map[string]*Status{}, running: map[string]*running{},
		bySymbol: map[string][]*running{}, starting: map[string]int{},
	}
	return c, c.load()
}

// Run writes the collections until ctx ends. Those that run then are stopped, with the reason engine_restarted, and
// everything is on disk when it returns. It may be called once.
func (c *Collector) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		for _, r := range c.takeFresh(ctx.Err() != nil) {
			all.Go(func() { c.settle(r, r.run(ctx)) })
		}
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-c.begun:
		}
	}
}

func (c *Collector) takeFresh(closing bool) []*running {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.fresh
	c.fresh, c.closed = nil, closing
	return fresh
}

// settle makes a collection one that has ended.
func (c *Collector) settle(r *running, s Status) {
	c.mu.Lock()
	c.ended[s.ID] = &s
	delete(c.running, s.ID)
	for _, symbol := range s.Symbols {
		if left := slices.DeleteFunc(c.bySymbol[symbol], func(other *running) bool { return other == r }); len(left) > 0 {
			c.bySymbol[symbol] = left
		} else {
			delete(c.bySymbol, symbol)
		}
	}
	c.mu.Unlock()
	close(r.done)
	c.opts.Ended(s.clone())
}

// Start begins a collection of the ticks of symbols, which ends after duration, or after collection_duration_max where it
// is 0. Its directories and files are there when Start returns. The error wraps [ErrInvalid], [ErrLimit] or [ErrClosed], and else
// is the disk's.
func (c *Collector) Start(owner string, symbols []string, duration time.Duration) (Status, error) {
	if err := c.check(symbols, duration); err != nil {
		return Status{}, err
	}
	if duration == 0 {
		duration = c.cfg.DurationMax
	}
	c.forgetRemoved()
	if err := c.reserve(owner); err != nil {
		return Status{}, err
	}
	now := time.Now().UTC()
	s := Status{
		ID: newID(now), Owner: owner, State: Running, Symbols: slices.Sorted(slices.Values(symbols)), Started: now,
		DurationMS: duration.Milliseconds(), BySymbol: make(map[string]FileStatus, len(symbols)),
	}
	r, err := c.create(&s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starting[owner]--; c.starting[owner] == 0 {
		delete(c.starting, owner)
	}
	if err == nil && c.closed {
		err = errors.Join(ErrClosed, os.RemoveAll(r.dir))
	}
	if err != nil {
		return Status{}, err
	}
	c.running[s.ID] = r
	for _, symbol := range s.Symbols {
		c.bySymbol[symbol] = append(c.bySymbol[symbol], r)
	}
	c.fresh = append(c.fresh, r)
	select {
	case c.begun <- struct{}{}:
	default:
	}
	return s.clone(), nil
}

func (c *Collector) check(symbols []string, duration time.Duration) error {
	if len(symbols) == 0 || len(symbols) > c.cfg.SymbolsMax {
		return fmt.Errorf("%w: %d symbols: a collection has 1 to %d (collection_symbols_max)", ErrInvalid, len(symbols), c.cfg.SymbolsMax)
	}
	if err := checkSymbols(symbols); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if duration != 0 && duration < time.Millisecond || duration > c.cfg.DurationMax {
		return fmt.Errorf("%w: duration: %s is not within 1ms to %s (collection_duration_max)", ErrInvalid, duration, c.cfg.DurationMax)
	}
	return nil
}

// reserve makes room for one more collection of owner.
func (c *Collector) reserve(owner string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine, all := c.starting[owner], len(c.running)
	for _, r := range c.running {
		if r.status.Owner == owner { // does not change
			mine++
		}
	}
	for _, n := range c.starting {
		all += n
	}
	switch {
	case c.closed:
		return ErrClosed
	case mine >= c.cfg.UserMax:
		return fmt.Errorf("%w: %d collections of this user run (collections_per_user_max); stop one", ErrLimit, mine)
	case all >= c.cfg.RunningMax:
		return fmt.Errorf("%w: %d collections run (collections_max); wait until one ends", ErrLimit, all)
	case all+len(c.ended) >= c.cfg.KeptMax:
		return fmt.Errorf("%w: %d collections are kept (collections_kept_max); the operator has to remove some", ErrLimit, all+len(c.ended))
	}
	c.starting[owner]++
	return nil
}

// forgetRemoved forgets collections whose directory the operator removed, where their number matters.
func (c *Collector) forgetRemoved() {
	c.mu.RLock()
	var ids []string
	if len(c.ended)+len(c.running) >= c.cfg.KeptMax {
		ids = slices.Collect(maps.Keys(c.ended))
	}
	c.mu.RUnlock()
	ids = slices.DeleteFunc(ids, func(id string) bool {
		_, err := os.Stat(filepath.Join(c.dir, dirPrefix+id))
		return !errors.Is(err, os.ErrNotExist)
	})
	if len(ids) > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range ids {
			delete(c.ended, id)
		}
	}
}

// newID makes the id of a collection that begins now.
func newID(now time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails
	return "coll_" + now.Format("20060102_150405_") + hex.EncodeToString(random[:])
}

// create makes the directory of a collection and what is in it, or nothing.
func (c *Collector) create(s *Status) (*running, error) {
	dir, err := Dir(c.dir, s.ID)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("collection: %w", err)
	}
	var files []*file
	for _, symbol := range s.Symbols {
		var f *file
		if f, err = create(dir, symbol); err != nil {
			break
		}
		files = append(files, f)
		s.add(symbol, FileStatus{Bytes: f.good})
	}
	if err == nil {
		err = writeManifest(dir, s)
	}
	if err == nil {
		err = syncDir(c.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("collection: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return newRunning(&c.cfg, c.opts.Warn, dir, s.clone(), files), nil
}

// Append hands a tick to the collections of its symbol that run. It never waits for a disk; a tick that is not taken is
// counted by those that do not take it. It allocates nothing but room in a queue.
func (c *Collector) Append(t *message.Tick) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, r := range c.bySymbol[t.Symbol] {
		r.append(t)
	}
}

// Interrupted tells the collections of a symbol that run that ticks of it may be missing since its last row.
func (c *Collector) Interrupted(symbol string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, r := range c.bySymbol[symbol] {
		r.interrupted()
	}
}

// Stop ends a collection and returns its last status, once everything is on disk or ctx ends. One that has ended already
// is left as it is. The error wraps [ErrNotFound], or is ctx's.
func (c *Collector) Stop(ctx context.Context, id string) (Status, error) {
	c.mu.RLock()
	r := c.running[id]
	c.mu.RUnlock()
	if r == nil {
		return c.Status(id)
	}
	r.finish(Stopped, ReasonRequested)
	select {
	case <-r.done:
		return r.now(), nil
	case <-ctx.Done():
		return r.now(), ctx.Err()
	}
}

// Status returns the status of a collection. One that was put into the directory meanwhile is found, which takes as long
// as reading it. The error wraps [ErrNotFound] or [ErrDamaged].
func (c *Collector) Status(id string) (Status, error) {
	c.mu.RLock()
	r, ended := c.running[id], c.ended[id]
	c.mu.RUnlock()
	switch {
	case r != nil:
		return r.now(), nil
	case ended != nil:
		return ended.clone(), nil
	}
	return c.find(id)
}

// List returns the status of all collections, the newest first.
func (c *Collector) List() []Status {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]Status, 0, len(c.running)+len(c.ended))
	for _, r := range c.running {
		all = append(all, r.now())
	}
	for _, s := range c.ended {
		all = append(all, s.clone())
	}
	slices.SortFunc(all, newestFirst)
	return all
}

// Newest returns the status of the newest collection of owner, and false where there is none.
func (c *Collector) Newest(owner string) (Status, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var newest *Status
	consider := func(s *Status) {
		if s.Owner == owner && (newest == nil || newestFirst(*s, *newest) < 0) {
			newest = s
		}
	}
	for r := range maps.Values(c.running) {
		s := r.now()
		consider(&s)
	}
	for _, s := range c.ended {
		consider(s)
	}
	if newest == nil {
		return Status{}, false
	}
	return newest.clone(), true
}

func newestFirst(a, b Status) int {
	return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.ID, a.ID))
}

// Open opens a collection to be read: all symbols, or those that are named. Of one that runs the rows that are counted by
// now are read. The error wraps [ErrNotFound] or [ErrDamaged].
func (c *Collector) Open(id string, symbols ...string) (*Reader, error) {
	s, err := c.Status(id)
	if err != nil {
		return nil, err
	}
	dir, err := Dir(c.dir, id)
	if err != nil {
		return nil, err
	}
	return open(dir, &s, symbols)
}

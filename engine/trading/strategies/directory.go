package strategies

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Options are what a Directory asks and tells. Functions may be nil. Check is called while files are read, one at a time;
// Changed and Warn are called afterwards without a lock held, by whoever had the files read.
type Options struct {
	// Debounce is how long a file has to be at rest before it is read. 0: files are not watched, and Reload reads them.
	Debounce time.Duration
	// Check says what is wrong with a strategy that a file holds. It is not called for what Put is given.
	Check func(name string, config []byte) error
	// Changed is told of strategies that come, change and go.
	Changed func(s message.Strategy, removed bool)
	// Warn takes what the operator should know: files that are wrong, each time they change.
	Warn func(err error)
}

// Problem is a file that is not what it should be.
type Problem struct {
	File   string // without the directory
	Reason string
}

// Directory is a directory of strategies.
type Directory struct {
	dir  string
	cfg  Config
	opts Options

	disk  sync.Mutex       // held while files are read and written, before mu
	files map[string]*file // by name, the directory itself by ""; guarded by disk

	mu       sync.RWMutex
	loaded   map[string]message.Strategy // by name; guarded by mu
	problems []Problem                   // guarded by mu
}

// file is what became of a file when it was last read.
type file struct {
	info    fs.FileInfo // nil: it could not be read
	rested  bool        // a later write changes its time for certain
	loaded  bool        // the Directory has a strategy of this name
	problem error
}

// restTime is how old a file's time has to be for a later write to change it for certain: file systems count time in steps
// of up to two seconds.
const restTime = 3 * time.Second

// New opens dir, which it makes where it is missing, and reads the strategies in it. Files that are wrong are told to opts.Warn
// and left out. The error is that of cfg or of dir.
func New(dir string, cfg Config, opts Options) (*Directory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		_, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("strategies: %w", err)
	}
	d := &Directory{dir: dir, cfg: cfg, opts: opts, files: map[string]*file{}, loaded: map[string]message.Strategy{}}
	d.Reload()
	return d, nil
}

// Get returns the strategy of that name.
func (d *Directory) Get(name string) (message.Strategy, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s, ok := d.loaded[name]
	return s, ok
}

// List returns all strategies, sorted by name.
func (d *Directory) List() []message.Strategy {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]message.Strategy, 0, len(d.loaded))
	for _, s := range d.loaded {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b message.Strategy) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Problems returns the files that are wrong now, sorted by name.
func (d *Directory) Problems() []Problem {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.problems)
}

// Put keeps a configuration under its strategy_name. It is on disk when Put returns. author is the user who asks; what
// there is already may be overwritten by its author or by an admin, and keeps its author. Put does not ask opts.Check. The
// error wraps [ErrInvalid], [ErrNotAuthor], [ErrCollision] or [ErrLimit], and else is the disk's.
func (d *Directory) Put(author string, admin bool, config []byte) (s message.Strategy, created bool, err error) {
	if len(config) > d.cfg.KiBMax<<10 {
		return s, false, fmt.Errorf("%w: %d bytes: a configuration has at most %d KiB (strategy_kib_max)", ErrInvalid, len(config), d.cfg.KiBMax)
	}
	if s, err = parse(config); err != nil {
		return s, false, err
	}
	if s.Author != "" {
		return s, false, fmt.Errorf("%w: %s: is the server's to set", ErrInvalid, authorMember)
	}
	var t told
	defer func() { d.tell(&t) }()
	d.disk.Lock()
	defer d.disk.Unlock()
	d.scan(&t) // the operator may have put something there just now
	if created, author, err = d.admit(s.Name, author, admin); err != nil {
		return s, false, err
	}
	if err := d.write(s.Name, withAuthor(config, author)); err != nil {
		return s, false, fmt.Errorf("strategies: %w", err)
	}
	if f := d.files[s.Name]; f != nil {
		f.info = nil
	}
	d.read(s.Name, nil, &t)
	d.report()
	if err := d.files[s.Name].problem; err != nil {
		return s, false, fmt.Errorf("strategies: %s was written and cannot be read back: %w", s.Name, err)
	}
	s, _ = d.Get(s.Name)
	return s, created, nil
}

// admit says whether the file of that name may be written, and who is its author then. disk is held.
func (d *Directory) admit(name, author string, admin bool) (created bool, _ string, err error) {
	for other := range d.files {
		if other != name && strings.EqualFold(other, name) {
			return false, "", fmt.Errorf("%w: %s: there is %s, and not every file system tells the two apart", ErrCollision, name, other)
		}
	}
	f := d.files[name]
	if f == nil {
		if len(d.files) >= d.cfg.Max {
			return false, "", fmt.Errorf("%w: there are %d strategies (strategies_max)", ErrLimit, len(d.files))
		}
		return true, author, nil
	}
	there, ok := d.Get(name)
	known := ok && f.problem == nil // else the file is not what was loaded, and nobody knows whose it is
	switch {
	case !admin && (!known || there.Author == ""):
		return false, "", fmt.Errorf("%w: %s: it is the operator's; choose another name, or ask an admin", ErrNotAuthor, name)
	case !admin && there.Author != author:
		return false, "", fmt.Errorf("%w: %s: it is another user's; choose another name, or ask its author or an admin", ErrNotAuthor, name)
	case known:
		author = there.Author
	default:
		author = ""
	}
	return false, author, nil
}

// write puts a file into place whole, or leaves what is there. disk is held.
func (d *Directory) write(name string, text []byte) (err error) {
	temp := filepath.Join(d.dir, ".put.tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, filepath.Join(d.dir, name+suffix))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	in, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(in.Sync(), in.Close())
}

// told is what has to be told once no lock is held.
type told struct {
	changes []change
	warn    []error
}

type change struct {
	strategy message.Strategy
	removed  bool
}

func (d *Directory) tell(t *told) {
	for _, c := range t.changes {
		if d.opts.Changed != nil {
			d.opts.Changed(c.strategy, c.removed)
		}
	}
	for _, err := range t.warn {
		if d.opts.Warn != nil {
			d.opts.Warn(err)
		}
	}
}

// Reload reads what has changed in the directory.
func (d *Directory) Reload() {
	var t told
	d.disk.Lock()
	d.scan(&t)
	d.disk.Unlock()
	d.tell(&t)
}

// scan looks at all files. disk is held.
func (d *Directory) scan(t *told) {
	defer d.report()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.fail("", fmt.Errorf("%w; what was read before stays", err), t)
		return
	}
	there := map[string]bool{}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && !strings.HasPrefix(name, ".") {
			there[name] = true
		}
	}
	for name := range d.files {
		if !there[name] && name != "" {
			d.remove(name, t)
		}
	}
	if len(there) <= d.cfg.Max {
		delete(d.files, "")
	} else {
		d.fail("", fmt.Errorf("%w: there are %d files, and only %d are read (strategies_max)", ErrLimit, len(there), d.cfg.Max), t)
	}
	taken := map[string]string{} // by the name in small letters
	for _, name := range d.order(there) {
		if other, ok := taken[strings.ToLower(name)]; ok {
			d.fail(name, fmt.Errorf("%w: %s%s is there as well, and not every file system tells the two apart", ErrCollision, other, suffix), t)
			continue
		}
		if err := CheckName(name); err != nil {
			d.fail(name, err, t)
			continue
		}
		taken[strings.ToLower(name)] = name
		d.read(name, d.opts.Check, t)
	}
}

// order sorts names so that those that are loaded come first, which keep their place, and leaves out those beyond the limit.
func (d *Directory) order(there map[string]bool) []string {
	var first, second []string
	for name := range there {
		if f := d.files[name]; f != nil && f.loaded {
			first = append(first, name)
		} else {
			second = append(second, name)
		}
	}
	slices.Sort(first)
	slices.Sort(second)
	all := append(first, second...)
	return all[:min(len(all), d.cfg.Max)]
}

// fail notes a file that is wrong. What was loaded of it stays. disk is held.
func (d *Directory) fail(name string, err error, t *told) {
	f := d.files[name]
	if f == nil {
		f = &file{}
		d.files[name] = f
	}
	if f.problem == nil || f.problem.Error() != err.Error() {
		t.warn = append(t.warn, fmt.Errorf("%s: %w", filepath.Join(d.dir, fileName(name)), err))
	}
	f.problem = err
}

func fileName(name string) string {
	if name == "" {
		return ""
	}
	return name + suffix
}

// remove forgets a file that is gone. disk is held.
func (d *Directory) remove(name string, t *told) {
	delete(d.files, name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.loaded[name]; ok {
		t.changes = append(t.changes, change{s, true})
		delete(d.loaded, name)
	}
}

// read reads a file, unless it is the one that was read before. disk is held.
func (d *Directory) read(name string, check func(string, []byte) error, t *told) {
	path := filepath.Join(d.dir, name+suffix)
	f := d.files[name]
	if f == nil {
		f = &file{}
		d.files[name] = f
	}
	info, err := os.Stat(path)
	if err == nil && f.problem == nil && f.info != nil && f.rested && os.SameFile(f.info, info) && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime()) {
		return
	}
	var s message.Strategy
	if err == nil {
		f.info, f.rested = info, time.Since(info.ModTime()) > restTime
		s, err = d.load(path, info)
	} else {
		f.info = nil
	}
	if err == nil && s.Name != name {
		err = fmt.Errorf("%w: %s: is %s, which belongs into %s%s", ErrInvalid, nameMember, s.Name, s.Name, suffix)
	}
	before, known := d.Get(name)
	same := known && before.SHA256 == s.SHA256 && before.Author == s.Author
	if err == nil && check != nil && !(same && f.problem == nil) {
		err = check(name, s.Config)
	}
	if err != nil {
		d.fail(name, err, t)
		return
	}
	f.problem, f.loaded = nil, true
	if same && before.UpdatedMS == s.UpdatedMS {
		return
	}
	d.mu.Lock()
	d.loaded[name] = s
	d.mu.Unlock()
	if !same {
		t.changes = append(t.changes, change{s, false})
	}
}

// load reads the file at path.
func (d *Directory) load(path string, info fs.FileInfo) (s message.Strategy, err error) {
	if !info.Mode().IsRegular() {
		return s, fmt.Errorf("%w: not a regular file", ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	most := d.cfg.KiBMax << 10
	raw, err := io.ReadAll(io.LimitReader(f, int64(most)+authorBytesMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return s, err
	}
	if len(raw) <= most+authorBytesMax {
		s, err = parse(raw)
	}
	if err == nil && len(s.Config) > most || len(raw) > most+authorBytesMax {
		err = fmt.Errorf("%w: more than %d KiB (strategy_kib_max)", ErrInvalid, d.cfg.KiBMax)
	}
	s.UpdatedMS = info.ModTime().UnixMilli()
	return s, err
}

// report makes the problems known. disk is held.
func (d *Directory) report() {
	var all []Problem
	for name, f := range d.files {
		if f.problem != nil {
			all = append(all, Problem{File: fileName(name), Reason: f.problem.Error()})
		}
	}
	slices.SortFunc(all, func(a, b Problem) int { return cmp.Compare(a.File, b.File) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problems = all
}

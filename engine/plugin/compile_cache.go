package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/plugin/lines"
	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

// What a module becomes is kept in data_dir/plugins/cache, a directory for each module and each recipe:
//
//	KEY/module        the rewritten module, with its digest and the checksum of what wazero made of it in front
//	KEY/wazero-…/…    what wazero compiled of it
//	KEY/lines         the source lines of its code, where it has debug information
//
// A module whose entry is whole was admitted, rewritten and compiled before under the very same limits, so that none of
// it is done again: BenchmarkLoadCachedGo. The directories used last stay, up to lifecycle.cache_mib_max together.

// admission is raised whenever the scan or the rewriter change what they admit or make of a module, since what they made
// before is in the cache. A test notices when it should have been.
const admission = 4

// workshop begins the name of a directory in which an entry is being made. It becomes the entry when it is whole, so that
// processes which share a cache, as the tools of an author do, never see half of one.
const workshop = "new-"

// A workshop that nobody holds any more was left behind by a process that died. A new one may not be held yet; and where
// the system cannot tell, it is one that is older than any compilation takes.
const (
	workshopYoung = time.Minute
	workshopAge   = 24 * time.Hour
)

// recipe is all that decides what becomes of a module.
type recipe struct {
	Scan   scan.Limits
	Fuel   int64
	Pages  uint32
	Tables uint32
}

func newRecipe(l *Limits) recipe {
	return recipe{Scan: l.Scan, Fuel: l.FuelInit, Pages: uint32(l.MemoryMiB * pagesPerMiB), Tables: uint32(l.Scan.TableElementsMax)}
}

// key names what this recipe makes of the module with that digest.
func (r *recipe) key(digest [sha256.Size]byte) (string, error) {
	told, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %x %s", admission, digest, told))
	return hex.EncodeToString(sum[:]), nil
}

// linesInstructionsMax bounds the modules whose traces tell source lines. A larger one's tell its functions: reading where
// every instruction went that can trap costs loading about 0.2 µs for each instruction of the module.
const linesInstructionsMax = 250_000

// rewrite returns the metered form, and tells moves, where it is not nil, where all code went.
func (r *recipe) rewrite(wasm []byte, m *scan.Module, moves *meter.Moves) ([]byte, error) {
	return meter.Rewrite(wasm, m, r.Scan, meter.Options{
		Fuel: r.Fuel, MemoryPagesMax: r.Pages, TableElementsMax: r.Tables, Moves: moves,
		Offsets: m.Instructions <= linesInstructionsMax && lines.Sections(wasm, m) != nil,
	})
}

// cached is an entry of the cache, whether it is there or not.
type cached struct{ dir string }

func (h *Host) cached(r *recipe, digest [sha256.Size]byte) (cached, error) {
	dir, err := h.cacheDir()
	if err != nil {
		return cached{}, err
	}
	key, err := r.key(digest)
	return cached{filepath.Join(dir, key)}, err
}

func (c cached) file() string { return filepath.Join(c.dir, "module") }

const moduleMagic = "wse module 2\n"

const moduleHead = len(moduleMagic) + sha256.Size + crc32.Size

// read returns the rewritten module, if the entry is there and whole.
func (c cached) read() ([]byte, bool) {
	data, err := os.ReadFile(c.file())
	if err != nil || len(data) < moduleHead || string(data[:len(moduleMagic)]) != moduleMagic {
		return nil, false
	}
	metered := data[moduleHead:]
	if head, err := c.head(metered); err != nil || !bytes.Equal(head, data[:moduleHead]) {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(c.file(), now, now) // only for prune: who may not set it loses the order, not the entry
	return metered, true
}

// write keeps the rewritten module: from now on the entry counts as whole.
func (c cached) write(metered []byte) error {
	head, err := c.head(metered)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, "module-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(slices.Concat(head, metered))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), c.file())
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// head is what stands before the rewritten module. The checksum is of everything that wazero compiled: its own covers the
// machine code, and not where the functions begin in it, so that damage there would be run. It is no digest, because it
// guards against broken disks alone; who may write here may do anything.
func (c cached) head(metered []byte) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(c.dir, "wazero-*", "*"))
	if err != nil {
		return nil, err
	}
	code := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buf := make([]byte, 64<<10) // a Go plugin's code takes 18 MiB, which need not be in memory twice
	for _, file := range files {
		if err := addFile(code, file, buf); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(metered)
	return binary.LittleEndian.AppendUint32(append([]byte(moduleMagic), sum[:]...), code.Sum32()), nil
}

func addFile(sum io.Writer, file string, buf []byte) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	_, err = io.CopyBuffer(sum, struct{ io.Reader }{f}, buf)
	return err
}

func (c cached) linesFile() string { return filepath.Join(c.dir, "lines") }

// writeLines reads the module's debug information and keeps what it says of the rewritten code, if anything. It ends
// within linesTime, and a failure costs only the lines.
func (c cached) writeLines(wasm []byte, m *scan.Module, moves *meter.Moves) {
	sections := lines.Sections(wasm, m)
	if sections == nil || m.Instructions > linesInstructionsMax {
		return
	}
	late := time.Now().Add(linesTime)
	if table := lines.Build(sections, moves, func() bool { return time.Now().After(late) }); table != nil {
		_ = os.WriteFile(c.linesFile(), table, 0o600)
	}
}

const linesTime = 2 * time.Second

// readLines returns the table of lines, which knows nothing where there is none.
func (c cached) readLines() *lines.Table {
	data, err := readLimited(c.linesFile(), lines.TableBytesMax>>10)
	if err != nil {
		return &lines.Table{}
	}
	t, err := lines.Parse(data)
	if err != nil {
		return &lines.Table{}
	}
	return t
}

// replace makes what was made in dir the entry, unless another process was faster; damaged says that what is there does not
// compile. What is in the way is moved out of it as a whole: were it removed file by file, another process that has just made an
// entry would find neither its own there nor another whole one.
func (c cached) replace(dir string, damaged bool) error {
	aside := dir + "-aside" // a workshop too, should this process die
	for tries := 0; ; tries++ {
		err := os.Rename(dir, c.dir)
		if err == nil {
			return nil
		}
		if _, whole := c.read(); whole && !damaged {
			return nil
		}
		if tries == replaceTries {
			return err
		}
		damaged = false // whatever comes in its place is another one
		if os.Rename(c.dir, aside) == nil {
			_ = os.RemoveAll(aside) // or prune does
		}
	}
}

// replaceTries is how often something else may be in the way of an entry: each time another process was faster, and then another
// one found that one gone.
const replaceTries = 20

// cacheDir makes the cache's directory, which nobody else may write to: what lies there is executed.
func (h *Host) cacheDir() (string, error) {
	dir := filepath.Join(h.deps.DataDir, "plugins", "cache")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s may be written to by others (mode %04o); make it 0700", dir, perm)
	}
	if !ownedByUs(info) { // its owner may write to it, whatever the mode, and would in a shared directory have made it first
		return "", fmt.Errorf("%s belongs to another user; remove it, or choose another data_dir", dir)
	}
	return dir, nil
}

// inUse reports whether somebody may be working in a workshop that last changed that long ago.
func inUse(shop string, ago time.Duration) bool {
	switch {
	case ago < workshopYoung:
		return true
	case ago > workshopAge:
		return false
	}
	held, err := holdDir(shop)
	if err != nil {
		return true
	}
	_ = held.Close() // which lets go of it
	return false
}

// prune removes the entries used longest ago until the cache is no larger than most bytes, but never the last one, and what
// is no entry.
func prune(dir string, most int64) {
	type aged struct {
		path string
		used time.Time
		size int64
	}
	var entries []aged
	var total int64
	listed, _ := os.ReadDir(dir) // a cache that cannot be tidied still works
	for _, d := range listed {
		if info, err := d.Info(); err != nil || strings.HasPrefix(d.Name(), workshop) && inUse(filepath.Join(dir, d.Name()), time.Since(info.ModTime())) {
			continue
		}
		e := aged{path: filepath.Join(dir, d.Name())}
		if info, err := os.Stat(filepath.Join(e.path, "module")); err == nil {
			e.used = info.ModTime()
		}
		_ = filepath.WalkDir(e.path, func(_ string, f fs.DirEntry, err error) error {
			if info, e2 := f.Info(); err == nil && e2 == nil && !f.IsDir() {
				e.size += info.Size()
			}
			return nil
		})
		total += e.size
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b aged) int { return a.used.Compare(b.used) })
	for i, e := range entries {
		if (total <= most || i == len(entries)-1) && len(filepath.Base(e.path)) == 2*sha256.Size {
			continue
		}
		_ = os.RemoveAll(e.path)
		total -= e.size
	}
}

package strategies

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounces bounds how often an event may put reading off: a directory in which there is always something going on is read
// all the same.
const debounces = 10

// Run follows the files until ctx ends. Where they are not to be watched, or the system does not let it, it only waits.
func (d *Directory) Run(ctx context.Context) error {
	if d.opts.Debounce <= 0 {
		<-ctx.Done()
		return nil
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		d.tell(&told{warn: []error{fmt.Errorf("strategies: files are not watched; a reload reads them: %w", err)}})
		<-ctx.Done()
		return nil
	}
	defer func() { _ = notify.Close() }()
	places := d.follow(notify)
	d.Reload() // what changed before it was watched
	timer := time.NewTimer(d.opts.Debounce)
	timer.Stop()
	put := 0
	later := func() {
		if put++; put <= debounces {
			timer.Reset(d.opts.Debounce)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-notify.Events:
			if e.Op != fsnotify.Chmod && (slices.Contains(places, e.Name) || slices.Contains(places, filepath.Dir(e.Name))) {
				later()
			}
		case <-notify.Errors: // events were lost
			later()
		case <-timer.C:
			put = 0
			places = d.follow(notify)
			d.Reload()
		}
	}
}

// follow watches the directory and, since it may be replaced as a whole, the one that it is in; the same of where a
// symbolic link leads. It returns the paths of the directory.
func (d *Directory) follow(notify *fsnotify.Watcher) []string {
	places := []string{d.dir}
	if real, err := filepath.EvalSymlinks(d.dir); err == nil && real != d.dir {
		places = append(places, real)
	}
	for _, place := range places {
		_ = notify.Add(filepath.Dir(place))
		if err := notify.Add(place); err != nil {
			d.tell(&told{warn: []error{fmt.Errorf("strategies: %s is not watched; a reload reads it: %w", place, err)}})
		}
	}
	return places
}

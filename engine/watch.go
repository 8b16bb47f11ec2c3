package engine

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/wse-engine/wse/engine/plugin"
)

// watcher makes changes of files take effect by themselves: of what a plugin is made of, for that plugin; of the
// configuration file, as a reload does. What something happens in is watched by directory, since a file may be replaced by
// renaming another over it, or by turning a symbolic link; whether something changed is decided by the content. Each
// content is tried once: one that is refused is logged and not tried again until it changes.
//
// It belongs to one goroutine, but for nudge.
type watcher struct {
	engine   *Engine
	notify   *fsnotify.Watcher
	imprints imprints
	config   string            // imprint of the configuration file when it was last tried
	tried    map[string]string // imprint of each plugin's files when they were last tried
	// wanted is the last configuration that could be read. While it is refused, a change of its files tries it again.
	wanted  plugin.Configs
	refused bool
	nudge   chan struct{} // a reload was adopted by other means
}

// newWatcher notes what the files are like now, before they are loaded.
func newWatcher(e *Engine) *watcher {
	w := &watcher{engine: e, imprints: imprints{}, tried: map[string]string{}, wanted: e.cfg.Plugins, nudge: make(chan struct{}, 1)}
	w.config = w.configImprint()
	for _, c := range w.wanted {
		w.tried[c.Name] = w.imprints.of(e.filesOf(c))
	}
	return w
}

// filesOf lists the files that a plugin is made of.
func (e *Engine) filesOf(c plugin.Config) []string {
	var files []string
	for _, f := range c.Files() {
		files = append(files, e.path(f))
	}
	return files
}

func (w *watcher) configImprint() string {
	if w.engine.opts.File == "" {
		return ""
	}
	return w.imprints.of([]string{w.engine.opts.File})
}

// wantedImprint covers all files that the last configuration names.
func (w *watcher) wantedImprint() string {
	var files []string
	for _, c := range w.wanted {
		files = append(files, w.engine.filesOf(c)...)
	}
	return w.imprints.of(files)
}

// debounces bounds how often an event may put a look at the files off: a directory in which there is always something
// going on is looked at all the same.
const debounces = 10

// run watches until ctx ends. Where the system does not let it, it says so and leaves it at that.
func (w *watcher) run(ctx context.Context) error {
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		w.engine.log.Warn("files are not watched; SIGHUP makes changes take effect", "error", err)
		return nil
	}
	defer func() { _ = w.notify.Close() }()
	w.look(ctx) // at what changed before it was watched
	debounce := w.engine.cfg.Lifecycle.Debounce
	timer := time.NewTimer(debounce)
	timer.Stop()
	put := 0
	later := func() {
		if put++; put <= debounces {
			timer.Reset(debounce)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.notify.Events:
			if e.Op != fsnotify.Chmod {
				later()
			}
		case <-w.notify.Errors: // events were lost
			later()
		case <-w.nudge:
			w.wanted, w.refused = w.engine.adopted(), false
			later()
		case <-timer.C:
			if put = 0; !w.look(ctx) {
				later()
			}
		}
	}
}

// follow watches the directories that matter now, and no others.
func (w *watcher) follow() {
	dirs := map[string]bool{}
	note := func(path string) {
		for _, d := range lookouts(path) {
			dirs[d] = true
		}
	}
	if file := w.engine.opts.File; file != "" {
		note(file)
	}
	for _, cfgs := range []plugin.Configs{w.wanted, w.engine.adopted()} {
		for _, c := range cfgs {
			for _, f := range w.engine.filesOf(c) {
				note(f)
			}
		}
	}
	var errs []error
	for d := range dirs {
		// Also where it is watched already: it may be another directory of that name by now.
		if err := w.notify.Add(d); err != nil {
			errs = append(errs, err)
		}
	}
	for _, d := range w.notify.WatchList() {
		if !dirs[d] {
			_ = w.notify.Remove(d) // it may be gone
		}
	}
	if err := errors.Join(errs...); err != nil {
		w.engine.log.Warn("some files are not watched; SIGHUP makes changes take effect", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// look tries what changed since it was last tried. It returns false where it has to look again.
func (w *watcher) look(ctx context.Context) bool {
	w.follow() // first, so that what changes while it looks is told
	done := true
	if now := w.configImprint(); now != w.config {
		w.config = now
		done = w.reread(ctx)
	} else if w.refused && w.wantedImprint() != w.tried[""] {
		done = w.adopt(ctx)
	}
	for _, c := range w.engine.adopted() {
		now := w.imprints.of(w.engine.filesOf(c))
		if now == w.tried[c.Name] || ctx.Err() != nil {
			continue
		}
		w.tried[c.Name] = now
		if _, err := w.engine.plugins.Refresh(ctx, c.Name, ""); errors.Is(err, plugin.ErrChanged) { // others are logged
			delete(w.tried, c.Name)
			done = false
		}
	}
	return done
}

// reread takes a configuration file that changed. It returns false where that has to be done again.
func (w *watcher) reread(ctx context.Context) bool {
	cfgs, err := w.engine.reread()
	if err != nil {
		return true // logged
	}
	w.wanted = cfgs
	w.follow()
	return w.adopt(ctx)
}

// adopt tries the configuration that was read last. The plugins of one that is taken have been tried with the files as they
// are now. It returns false where others kept changing plugins meanwhile, and it has to be tried again.
func (w *watcher) adopt(ctx context.Context) bool {
	w.tried[""] = w.wantedImprint()
	now := map[string]string{}
	for _, c := range w.wanted {
		now[c.Name] = w.imprints.of(w.engine.filesOf(c))
	}
	err := w.engine.adopt(ctx, w.wanted, plugin.HowFile)
	if w.refused = err != nil; !w.refused {
		w.tried = now
	}
	if errors.Is(err, plugin.ErrChanged) {
		w.tried[""] = ""
		return false
	}
	return true
}

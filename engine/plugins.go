package engine

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"

	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/store"
	"github.com/wse-engine/wse/plugins"
)

func (e *Engine) openPlugins() (err error) {
	e.current = e.cfg.Plugins
	if e.cfg.Lifecycle.Watch {
		e.watch = newWatcher(e)
	}
	e.plugins, err = plugin.New(e.cfg.Plugins, plugin.Deps{
		ConfigDir: e.opts.Dir, DataDir: e.cfg.DataDir, Stock: plugins.Stock, DecodeYAML: config.YAMLToJSON,
		NewAnswer: func() plugin.Answer { return ingest.NewAnswer(e.cfg.Limits.Ingest) },
		Log: func(name, version string, level int, text string) {
			e.log.Log(hclog.Level(level+1), text, "plugin", name, "version", version)
		},
		Notice: e.notice, Records: e.store.Bucket(bucketPlugins), Lifecycle: e.cfg.Lifecycle,
	})
	if err == nil {
		e.reviewer = newReviewer(e)
	}
	return err
}

// The store's buckets: where the plugin host and the refresh tokens have their records.
const (
	bucketPlugins  = "plugins"
	bucketFamilies = "auth_families"
)

// notice logs what happens to a plugin.
func (e *Engine) notice(n plugin.Notice) {
	args := []any{"plugin", n.Plugin}
	for _, a := range [][2]string{{"version", n.Version}, {"from", n.From}, {"how", string(n.How)}, {"who", n.Who}} {
		if a[1] != "" {
			args = append(args, a[0], a[1])
		}
	}
	if n.Err != nil {
		e.log.Error(n.Text, append(args, "error", n.Err)...)
		return
	}
	e.log.Info(n.Text, args...)
	e.reviewer.look()
}

// tellPlugins logs what serves, and how that came about: it may be something else than the files.
func (e *Engine) tellPlugins() {
	for _, p := range e.plugins.List() {
		n := plugin.Notice{Plugin: p.Name, Version: p.Version, Text: "plugin ready"}
		if d, err := e.plugins.Detail(p.Name); err == nil {
			for _, k := range d.Kept {
				if k.Serving {
					n.How, n.Who = k.How, k.Who
				}
			}
		}
		e.notice(n)
	}
}

// Reload reads the section plugins and the files it names again. Either every plugin is ready and serves from the next
// call on, or nothing changes and the error says why. No connection is touched.
func (e *Engine) Reload(ctx context.Context) error {
	cfgs, err := e.reread()
	if err == nil {
		err = e.adopt(ctx, cfgs, plugin.HowReload)
	}
	if e.strategies != nil {
		e.strategies.Reload()
	}
	if err == nil && e.watch != nil {
		select {
		case e.watch.nudge <- struct{}{}:
		default: // it is about to look anyway
		}
	}
	return err
}

// reread reads the section plugins again.
func (e *Engine) reread() (plugin.Configs, error) {
	if e.opts.Reread == nil {
		return e.cfg.Plugins, nil
	}
	cfgs, err := e.opts.Reread()
	if err != nil {
		e.log.Error("reload refused; what served before goes on", "error", err)
	}
	return cfgs, err
}

// adopt lets plugins serve as cfgs says.
func (e *Engine) adopt(ctx context.Context, cfgs plugin.Configs, how plugin.How) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if err := e.plugins.ReloadBy(ctx, cfgs, how, ""); err != nil {
		e.log.Error("reload refused; what served before goes on", "error", err)
		return err
	}
	e.current = cfgs
	e.reviewer.look()
	e.log.Info("reloaded", "plugins", len(cfgs), "how", string(how))
	return nil
}

// adopted is the section plugins as it is in force.
func (e *Engine) adopted() plugin.Configs {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	return e.current
}

// Forget drops what is kept of the plugin called name in the data directory of cfg, so that the next engine serves the files
// that its configuration names. No engine may be running there: the error is [store.ErrInUse] then, and
// [plugin.ErrUnknownPlugin] where nothing is kept of such a plugin.
func Forget(cfg Config, name string) (err error) {
	s, err := store.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return plugin.Forget(s.Bucket(bucketPlugins), name)
}

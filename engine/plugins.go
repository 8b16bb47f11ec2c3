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
	e.plugins, err = plugin.New(e.cfg.Plugins, plugin.Deps{
		ConfigDir: e.opts.Dir, DataDir: e.cfg.DataDir, Stock: plugins.Stock, DecodeYAML: config.YAMLToJSON,
		NewAnswer: func() plugin.Answer { return ingest.NewAnswer(e.cfg.Limits.Ingest) },
		Log: func(name, version string, level int, text string) {
			e.log.Log(hclog.Level(level+1), text, "plugin", name, "version", version)
		},
		Notice: e.notice, Records: e.store.Bucket(bucketPlugins), Lifecycle: e.cfg.Lifecycle,
	})
	return err
}

// bucketPlugins is where the plugin host keeps its records.
const bucketPlugins = "plugins"

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
}

// Reload reads the section plugins and the files it names again. Either every plugin is ready and serves from the next
// call on, or nothing changes and the error says why. No connection is touched.
func (e *Engine) Reload(ctx context.Context) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	cfgs := e.cfg.Plugins
	if e.opts.Reread != nil {
		var err error
		if cfgs, err = e.opts.Reread(); err != nil {
			e.log.Error("reload refused; what served before goes on", "error", err)
			return err
		}
	}
	if err := e.plugins.Reload(ctx, cfgs); err != nil {
		e.log.Error("reload refused; what served before goes on", "error", err)
		return err
	}
	e.log.Info("reloaded", "plugins", len(e.plugins.List()))
	return nil
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

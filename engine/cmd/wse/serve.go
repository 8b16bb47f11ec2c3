package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/plugin"
)

func newServe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the engine",
		Long: `Run the engine until a signal ends it. SIGTERM and SIGINT drain: connections are closed in batches with code
1012, so that their clients come back elsewhere or later; a second signal leaves at once. SIGHUP reads the
plugins' configuration again.`,
		Example: `  wse serve
  wse serve --config configs/wse.yaml
  wse serve --set listen=127.0.0.1:18080 --set admin.listen=127.0.0.1:19090 --set data_dir=/tmp/wse`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return g.serve(cmd.Context()) },
	}
}

// serve runs an engine until ctx ends, which is at the first signal.
func (g *globals) serve(ctx context.Context) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	e, err := engine.New(cfg, engine.Options{
		Log: engine.NewLogger(cfg.Logging, g.err), Version: programVersion(), Dir: g.dir(), File: g.file,
		Reread: g.reread,
	})
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running) }()
	defer cancel()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-hup:
			_ = e.Reload(running) // it logs what it refuses, and then everything is as it was
		}
	}
}

// reread reads the section plugins of a running engine again.
func (g *globals) reread() (plugin.Configs, error) {
	again, err := g.loadBy(config.Reload)
	return again.Plugins, err
}

// dir returns what relative paths in the configuration are relative to: the file's directory, or the working directory.
func (g *globals) dir() string {
	if g.file == "" {
		return ""
	}
	return filepath.Dir(g.file)
}

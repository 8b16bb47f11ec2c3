package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/store"
)

// newPluginForget returns the one command about plugins that needs the engine not to run: it is for when it cannot.
func newPluginForget(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "forget NAME",
		Short: "Drop the kept versions of a plugin while no engine runs",
		Long: `Drop what data_dir keeps of the plugin NAME, so that the next start serves the files that the configuration names.
It is the way out where the engine does not start because a version that was swapped in, or rolled back to, can no
longer be loaded. A running engine is not touched: there, swap and rollback do what is needed.`,
		Example: `  wse plugin forget mapping
  wse plugin forget mapping --config configs/wse.yaml`,
		Args: exactly("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			switch err := engine.Forget(cfg, args[0]); {
			case errors.Is(err, store.ErrInUse):
				return fmt.Errorf("an engine runs on %s; it forgets nothing while it runs. wse plugin rollback and swap change what serves", cfg.DataDir)
			case errors.Is(err, plugin.ErrUnknownPlugin):
				return fmt.Errorf("%s keeps nothing of a plugin %q", cfg.DataDir, args[0])
			case err != nil:
				return err
			}
			return g.printf("%s: forgotten; the next start serves the configuration's files\n", args[0])
		},
	}
}

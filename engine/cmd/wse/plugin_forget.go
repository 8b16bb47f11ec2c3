package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/store"
)

// newPluginForget returns the one command about plugins that needs the engine not to run: it is for when it cannot. With --cluster it is
// about what all nodes are to serve, and asks one that runs.
func newPluginForget(g *globals) *cobra.Command {
	o := &operation{globals: g}
	var all forAll
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Drop the kept versions of a plugin while no engine runs, or what the cluster wants",
		Long: `Drop what data_dir keeps of the plugin NAME, so that the next start serves the files that the configuration names.
It is the way out where the engine does not start because a version that was swapped in, or rolled back to, can no
longer be loaded. A running engine is not touched: there, swap and rollback do what is needed.

With --cluster a running engine is asked, and nothing is dropped of what nodes keep: what serves goes on, but the plugin
is not the cluster's any more, so that each node's files, swaps and rollbacks count again.`,
		Example: `  wse plugin forget mapping
  wse plugin forget mapping --config configs/wse.yaml
  wse plugin forget mapping --cluster`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				return o.forgetCluster(cmd, args[0])
			}
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
	o.flags(cmd)
	all.flag(cmd, "let each node go by its own files and changes again")
	return cmd
}

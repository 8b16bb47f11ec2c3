package main

import (
	"github.com/spf13/cobra"
)

// newPlugin returns the group of everything about plugins: what operators do with those that serve (plugin_operate.go), and
// what authors do with one that is being written.
func newPlugin(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "plugin",
		Short:   "Work with plugins",
		Long:    `Work with the plugins of a running engine, and write your own.`,
		Example: `  wse plugin list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misused(cmd, "there is no command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return misused(cmd, "name a command: %s", names(cmd)) },
	}
	cmd.AddCommand(pluginOperate(g)...)
	cmd.AddCommand(newPluginForget(g))
	return cmd
}

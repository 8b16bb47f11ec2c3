package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// group returns a command that only has others below it.
func group(name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misused(cmd, "there is no command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return misused(cmd, "name a command: %s", names(cmd)) },
	}
}

// names lists the commands of a group, as an error names them.
func names(cmd *cobra.Command) string {
	list := make([]string, 0, len(cmd.Commands()))
	for _, c := range cmd.Commands() {
		list = append(list, c.Name())
	}
	return strings.Join(list, ", ")
}

// newPlugin returns the group of everything about plugins: what operators do with those that serve (plugin_operate.go), and
// what authors do with one that is being written.
func newPlugin(g *globals) *cobra.Command {
	cmd := group("plugin", "Work with plugins")
	cmd.Long = `Work with the plugins of a running engine: look at them, try a candidate on recorded events, swap it in, go back.

A candidate is a module, a configuration for it, or both; what is not given is taken from what serves. A file that
begins as WebAssembly modules do is a module, any other is a configuration, as YAML or JSON. --version ID names a
version that the engine has kept instead. A candidate that is refused never touches what serves.

new, inspect, run, test and bench are for a plugin that is being written. They need no engine.`
	cmd.Example = `  wse plugin list
  wse plugin try mapping configs/mappings.yaml
  wse plugin swap mapping configs/mappings.yaml
  wse plugin rollback mapping
  wse plugin new fills --lang go`
	cmd.AddCommand(pluginOperate(g)...)
	cmd.AddCommand(newPluginForget(g))
	cmd.AddCommand(pluginAuthor(g)...)
	return cmd
}

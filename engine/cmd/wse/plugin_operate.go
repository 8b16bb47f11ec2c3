package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// pluginOperate returns the commands for the plugins of a running engine.
func pluginOperate(*globals) []*cobra.Command { return nil }

// names lists the commands of a group, as an error names them.
func names(cmd *cobra.Command) string {
	list := make([]string, 0, len(cmd.Commands()))
	for _, c := range cmd.Commands() {
		list = append(list, c.Name())
	}
	return strings.Join(list, ", ")
}

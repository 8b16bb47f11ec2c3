package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/config"
)

func newConfig(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Work with configurations",
		Example: "  wse config check configs/wse.yaml",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return misused(cmd, "name a command: check") },
	}
	var asJSON bool
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file",
		Long: `Read FILE as serve would, the environment and --set included, and tell everything that is wrong with it, each with
its file and line. Exit code 1 means that something is. Nothing is opened or started.`,
		Example: `  wse config check configs/wse.yaml
  wse config check my.yaml --set admin.listen=0.0.0.0:9090 --json`,
		Args: exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			g.file = args[0]
			_, err := g.load()
			if asJSON {
				return errors.Join(g.printFaults(err), err)
			}
			if err != nil {
				return err
			}
			return g.printf("%s: ok\n", g.file)
		},
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print {file, ok, faults[{source, path, text}]}")
	cmd.AddCommand(check)
	return cmd
}

// printFaults prints what is wrong as JSON.
func (g *globals) printFaults(err error) error {
	type fault struct {
		Source string `json:"source,omitempty"`
		Path   string `json:"path,omitempty"`
		Text   string `json:"text"`
	}
	faults := []fault{}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var f *config.Fault
			if errors.As(e, &f) {
				faults = append(faults, fault(*f))
			} else {
				faults = append(faults, fault{Text: e.Error()})
			}
		}
	}
	text, jsonErr := json.MarshalIndent(map[string]any{"file": g.file, "ok": err == nil, "faults": faults}, "", "  ")
	if jsonErr != nil {
		return jsonErr
	}
	return g.printf("%s\n", text)
}

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/plugin"
)

func newPluginInspect(g *globals) *cobra.Command {
	a := &authoring{globals: g}
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Tell what a module is, and whether the engine would take it",
		Long: `Print what a module exports and imports, its memory, size, digest, sections and toolchain, and the engine's
verdict. The module is scanned, compiled in a child process, started and configured exactly as the engine does,
so that looking at a hostile one is safe. Exit code 1 means that the engine would refuse it; step and reason are
those of the engine's log. FILE may be a directory with plugin.wasm in it, or stock:NAME.`,
		Example: `  wse plugin inspect plugin.wasm
  wse plugin inspect stock:mapping --config configs/mappings.yaml --json`,
		Args: exactly("FILE"),
	}
	a.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := a.target(cmd, args[0])
		if err != nil {
			return err
		}
		return workbench(func(w *plugin.Workbench) error {
			r := w.Inspect(cmd.Context(), t.specimen)
			if a.asJSON {
				if err := a.printJSON(r); err != nil {
					return err
				}
			} else {
				a.printReport(r)
			}
			if r.Admitted {
				return nil
			}
			return fmt.Errorf("%s: the engine would refuse it: %s: %s", t.file, r.Step, r.Reason)
		})
	}
	return cmd
}

func (a *authoring) printReport(r plugin.Report) {
	a.row("file", "%s, %s bytes", r.Name, grouped(r.Bytes))
	a.row("sha256", "%s", r.SHA256)
	if len(r.Sections) > 0 {
		a.printShape(r)
	}
	if !r.Admitted {
		a.row("verdict", "refused at step %s: %s", r.Step, r.Reason)
		return
	}
	a.row("start", "%s units of fuel, %s of memory", grouped(r.StartFuel), sized(r.StartBytes))
	a.row("verdict", "admitted; ready in %s", lasted(r.Ready))
}

func (a *authoring) printShape(r plugin.Report) {
	a.row("abi", "%s", orNone(r.ABI))
	a.row("hooks", "%s", orNone(strings.Join(r.Hooks, ", ")))
	a.row("imports", "%s", orNone(strings.Join(r.Imports, "\n           ")))
	memory := fmt.Sprintf("%s (%d pages)", sized(r.MemoryPages<<16), r.MemoryPages)
	if r.MemoryPagesMax > 0 {
		memory += fmt.Sprintf(", at most %s", sized(r.MemoryPagesMax<<16))
	}
	a.row("memory", "%s", memory)
	for i, n := range r.Tables {
		a.row("table", "%d: %s elements", i, grouped(n))
	}
	a.row("code", "%s functions, %s instructions", grouped(r.Functions), grouped(r.Instructions))
	sections := make([]string, 0, len(r.Sections))
	for _, s := range r.Sections {
		sections = append(sections, fmt.Sprintf("%s %s", s.Name, grouped(s.Bytes)))
	}
	a.row("sections", "%s", strings.Join(sections, ", "))
	names := "no name section: in a trap functions are numbers"
	switch {
	case r.NameSection && r.DWARF:
		names = "function names and debug information"
	case r.NameSection:
		names = "function names"
	}
	a.row("names", "%s", names)
	a.row("toolchain", "%s", orNone(strings.Join(r.Toolchain, "; ")))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

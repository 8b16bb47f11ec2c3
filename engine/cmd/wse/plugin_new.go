package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/sdk"
)

func newPluginNew(g *globals) *cobra.Command {
	var p sdk.Plugin
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a plugin",
		Long: `Make the directory NAME with a plugin that builds, passes its vectors and can be swapped in: source, Makefile,
vectors, README and a copy of the SDK. Nothing but this program and the language's compiler is needed. NAME may have a
path before it; its last part is what the engine calls the plugin. What exists is never overwritten.`,
		Example: `  wse plugin new fills --lang go --kind transform
  wse plugin new ~/plugins/door --lang c --kind authorize`,
		Args: exactly("NAME"),
	}
	cmd.Flags().StringVar(&p.Language, "lang", "", "`LANG`: "+strings.Join(sdk.Languages(), ", ")+" (required)")
	cmd.Flags().StringVar(&p.Kind, "kind", "transform", "`KIND`: "+strings.Join(sdk.Kinds(), ", "))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if p.Language == "" {
			return misused(cmd, "--lang is missing: one of %s", strings.Join(sdk.Languages(), ", "))
		}
		dir := filepath.Clean(args[0])
		p.Name = filepath.Base(dir)
		if err := (plugin.Config{Name: p.Name, Path: "x"}).Validate(); err != nil {
			return misused(cmd, "NAME: %w", err)
		}
		files, err := p.Files()
		if err != nil {
			return misused(cmd, "%w", err)
		}
		if err := makeDirectory(dir, files); err != nil {
			return err
		}
		return g.printNew(p, dir)
	}
	return cmd
}

// makeDirectory writes files into a new directory, or leaves nothing behind.
func makeDirectory(dir string, files map[string][]byte) error {
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; nothing was changed", dir)
	} else if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, files[name], 0o644)
		}
		if err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	return nil
}

// printNew says what comes next.
func (g *globals) printNew(p sdk.Plugin, dir string) error {
	module, err := filepath.Abs(filepath.Join(dir, "plugin.wasm"))
	if err != nil {
		return err
	}
	return g.printf(`%s is ready. Building it needs %s.

  cd %s
  make
  wse plugin test .
  wse plugin swap %s plugin.wasm

The engine knows a plugin that its configuration names. Once it is built, add, beside the plugins that are there,

  plugins:
    - name: %s
      kinds: [%s]
      path: %s%s

and start or reload the engine. From then on swap, and a changed file, take effect while it serves.
`, dir, p.Needs(), dir, p.Name, p.Name, p.Kind, module, p.Binding("\n      "))
}

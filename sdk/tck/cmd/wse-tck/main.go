// Command wse-tck runs the compatibility kit on the guest of an SDK: wse-tck plugin.wasm. Exit codes: 0 passed, 1 failed, 2 used
// wrongly. `wse plugin test --tck` does the same.
//
// Ownership: everything happens in the main goroutine.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/sdk/tck"
)

func main() {
	plugin.CompileChildMain() // does not return where this process was started to compile a plugin
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		_, _ = fmt.Fprintln(stderr, "usage: wse-tck FILE.wasm")
		return 2
	}
	failed, err := certify(args[0], stdout)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "wse-tck:", err)
	}
	if err != nil || failed > 0 {
		return 1
	}
	return 0
}

// certify prints what fails and a count.
func certify(file string, stdout io.Writer) (failed int, err error) {
	module, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "wse-tck-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	total := 0
	specimen := plugin.Specimen{Name: file, Module: module, Answer: ingest.NewAnswer(ingest.DefaultConfig())}
	err = tck.Run(context.Background(), plugin.NewWorkbench(dir), specimen, func(o tck.Outcome) {
		if total++; o.Err != nil {
			failed++
			_, _ = fmt.Fprintf(stdout, "FAIL %s\n%v\n\n", o.Name, o.Err)
		}
	})
	if err == nil {
		_, err = fmt.Fprintf(stdout, "%s: %d of %d passed\n", file, total-failed, total)
	}
	return failed, err
}

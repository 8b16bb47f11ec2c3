// Command wse is the engine and the tools to use one: serve, token, tail, event, publish, feed, plugin, nodes, deadletter,
// config check, version.
//
// Every command finds a local engine and its key through the same configuration. Exit codes: 0 done, 1 failed, 2 used wrongly,
// 3 done and found that a candidate differs from the plugin that serves.
//
// Ownership: main runs one command in its own goroutine; another waits for signals and ends the command's context.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/redis"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitDiffers
)

func main() {
	plugin.CompileChildMain() // does not return where this process was started to compile a plugin
	redis.Quiet()
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run runs one command line and returns the exit code.
func run(args []string, std streams) int {
	ctx, stop := untilSignal(std.err)
	defer stop()

	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errDiffers) {
		return exitDiffers
	}
	report(std.err, err)
	var usage *usageError
	if errors.As(err, &usage) {
		_, _ = fmt.Fprintf(std.err, "See: %s --help\n", usage.command)
		return exitUsage
	}
	return exitFailed
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. The second ends the process at once.
func untilSignal(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // both, should they come together
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-signals:
			case <-done:
				return
			}
			if !first {
				_, _ = fmt.Fprintln(stderr, "wse: a second signal; leaving at once")
				os.Exit(exitFailed)
			}
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// report prints an error, one line for each thing that is wrong. Faults of a configuration begin with their place, so that
// an editor can go there; all other lines begin with the program's name.
func report(w io.Writer, err error) {
	var fault *config.Fault
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		if !errors.As(err, &fault) {
			line = "wse: " + line
		}
		_, _ = fmt.Fprintln(w, line)
	}
}

// usageError is a command line that cannot be understood.
type usageError struct {
	command string
	err     error
}

// Error implements error.
func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns what is wrong.
func (e *usageError) Unwrap() error { return e.err }

// misused makes a usageError of cmd.
func misused(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd.CommandPath(), fmt.Errorf(format, args...)}
}

// Bench measures wse: `bench table` makes the table of the README, `bench fanout` and `bench churn` are the long runs.
// Servers run as processes of their own; the peers are this program again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/peer"
	"github.com/wse-engine/wse/test/bench/internal/row"
)

const usage = `usage: bench COMMAND [flags]

  table      measure every row beside its peer and print the table (what make bench runs)
  fanout     one topic, many connections: every publication in order, none lost, none doubled
  churn      connect, disconnect, subscribe and unsubscribe under traffic, then look for leaks
  constants  measure what the capacity model of test/scaling counts with
  peer       serve as a peer (the table starts these itself)

bench COMMAND -h lists the flags.
`

// errUsage marks a wrong command line, which exits with 2.
var errUsage = errors.New("wrong command line")

func main() {
	plugin.CompileChildMain() // the plugin host compiles modules in a child process, which is this program too
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "table":
		return table(ctx, args[1:])
	case "fanout":
		return fanout(ctx, args[1:])
	case "churn":
		return churn(ctx, args[1:])
	case "constants":
		return constants(ctx, args[1:])
	case "peer":
		return servePeer(args[1:])
	default:
		return errUsage
	}
}

func servePeer(args []string) error {
	flags := flag.NewFlagSet("peer", flag.ContinueOnError)
	pad := flags.Int("pad", 0, "bytes to add to every message")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("peer: name one of %s", strings.Join(peer.Kinds(), ", "))
	}
	return peer.Run(flags.Arg(0), *pad, os.Stdin, os.Stdout)
}

// setUp makes what every measuring command needs; done removes the data directories.
func setUp(binary string, log io.Writer) (b *row.Bench, done func(), err error) {
	path, err := filepath.Abs(binary)
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("%w; make build makes it", err)
	}
	dir, err := os.MkdirTemp("", "wse-bench-")
	if err != nil {
		return nil, nil, err
	}
	root := filepath.Dir(filepath.Dir(path))
	return &row.Bench{Binary: path, Configs: filepath.Join(root, "configs"), Dir: dir, Log: log}, func() { _ = os.RemoveAll(dir) }, nil
}

func table(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("table", flag.ContinueOnError)
	binary := flags.String("wse", "../../bin/wse", "the wse program")
	repetitions := flags.Int("repetitions", 3, "how often each row and its peer take turns")
	only := flags.String("rows", "", "run only the rows whose names match this expression; nothing is kept then")
	out := flags.String("out", "", "directory to keep the table and the raw output in")
	profiles := flags.String("profiles", "", "directory to write CPU profiles of wse to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	origin, err := figure.Here()
	if err != nil {
		return err
	}
	raw := &strings.Builder{}
	log := io.MultiWriter(os.Stderr, raw)
	b, done, err := setUp(*binary, log)
	if err != nil {
		return err
	}
	defer done()
	b.Repetitions, b.ProfileDir = *repetitions, *profiles
	fmt.Fprintln(log, origin)
	report := measure(ctx, b, match)
	if len(report.Planned) == 0 {
		return fmt.Errorf("-rows: %q matches none of the rows", *only)
	}
	fmt.Print(report.Markdown())
	if missed := report.Missed(); len(missed) > 0 {
		fmt.Fprintf(log, "targets missed: %d\n  %s\n", len(missed), strings.Join(missed, "\n  "))
	}
	if err := report.Check(); err != nil {
		return err
	}
	if *out == "" || *only != "" {
		return nil
	}
	return keep(*out, origin, report, raw.String())
}

// measure runs the rows whose names match.
func measure(ctx context.Context, b *row.Bench, match *regexp.Regexp) *figure.Report {
	report := &figure.Report{}
	for _, r := range row.All() {
		if !match.MatchString(r.Name) {
			continue
		}
		report.Planned = append(report.Planned, r.Name)
		begun := time.Now()
		figures, err := r.Run(ctx, b)
		report.Add(r.Name, figures, err)
		fmt.Fprintf(b.Log, "row %q took %s\n", r.Name, time.Since(begun).Round(time.Second))
		if err != nil {
			fmt.Fprintf(b.Log, "row %q failed: %v\n", r.Name, err)
		}
	}
	return report
}

// keep writes the table and the raw output to dir.
func keep(dir string, origin figure.Origin, report *figure.Report, raw string) error {
	md := fmt.Sprintf("Measured by `make bench` at %s.\nwse and its peer took turns in one run; \"beside\" names the peer.\n\n%s", origin, report.Markdown())
	txt := raw + "\n" + report.Raw() + "\n" + report.Markdown()
	for name, text := range map[string]string{"latest.md": md, "latest.txt": txt} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

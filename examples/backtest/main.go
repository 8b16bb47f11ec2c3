// Command backtest runs a strategy on real prices by the engine's public protocol: it records the prices as a collection,
// replays them in a backtest, asks for the results in every way there is, and prints and draws what came of it.
//
// Ownership: everything runs on the main goroutine, but for the child process's own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// options are the command line's.
type options struct {
	program  string // the engine's, which also feeds prices and makes tokens
	prices   source
	strategy string
	picture  string
	report   string
	public   string
	admin    string
	token    string
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "backtest:", err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	var o options
	flags := flag.NewFlagSet("backtest", flag.ContinueOnError)
	flags.StringVar(&o.program, "wse", "../../bin/wse", "the engine's `program`")
	flags.StringVar(&o.prices.file, "prices", "data/sp500.csv", "a CSV `file` of prices")
	flags.StringVar(&o.prices.symbol, "symbol", "SP500", "whose prices they are, where the file has no column symbol")
	flags.StringVar(&o.prices.time, "time", "date", "the `column` of times")
	flags.StringVar(&o.prices.price, "price", "close", "the `column` of prices")
	flags.StringVar(&o.prices.layout, "layout", "", "how times are written, as Go `writes` 2006-01-02T15:04:05 so; empty: ISO 8601")
	flags.StringVar(&o.strategy, "strategy", "strategies/trend.json", "a strategy's configuration, a JSON `file`")
	flags.StringVar(&o.picture, "picture", "", "draw the equity curve into this `file`: .png, .svg or .pdf")
	flags.StringVar(&o.report, "report", "", "write everything that the engine answered into this `file`, as JSON")
	flags.StringVar(&o.public, "engine", "", "`URL` of an engine that runs; empty: one is started in a directory of its own")
	flags.StringVar(&o.admin, "admin", "", "with -engine: `URL` of its admin API")
	flags.StringVar(&o.token, "token", "", "with -engine: a user's access `token` of level trader")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if o.public != "" && (o.admin == "" || o.token == "") {
		return errors.New("-engine needs -admin and -token")
	}
	if err := o.prices.read(); err != nil {
		return err
	}
	e, err := reach(ctx, &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	report, err := perform(ctx, &o, e)
	if err != nil {
		return err
	}
	return publish(&o, report)
}

// publish prints, draws and writes what came of it.
func publish(o *options, r *report) error {
	if err := r.print(os.Stdout, &o.prices); err != nil {
		return err
	}
	if o.picture != "" {
		if err := r.draw(o.picture, &o.prices); err != nil {
			return err
		}
		fmt.Println("\nThe equity curve is in", o.picture)
	}
	if o.report != "" {
		return r.write(o.report)
	}
	return nil
}

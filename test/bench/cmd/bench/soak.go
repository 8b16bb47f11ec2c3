package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/row"
)

func fanout(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fanout", flag.ContinueOnError)
	binary := flags.String("wse", "../../bin/wse", "the wse program")
	connections := flags.Int("connections", 10_000, "subscribers of the one topic")
	publications := flags.Int("publications", 1000, "publications to it")
	poller := flags.String("poller", "epoll", "how wse reads and writes: epoll or goroutine")
	limit := flags.Duration("within", 10*time.Minute, "give up after this time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, done, err := begin(*binary)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	return row.Fanout(ctx, b, row.FanoutConfig{Connections: *connections, Publications: *publications, Poller: *poller})
}

func churn(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("churn", flag.ContinueOnError)
	binary := flags.String("wse", "../../bin/wse", "the wse program")
	connections := flags.Int("connections", 2000, "connections that stand at a time")
	poller := flags.String("poller", "epoll", "how wse reads and writes: epoll or goroutine")
	length := flags.Duration("for", 2*time.Minute, "how long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, done, err := begin(*binary)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, *length+2*time.Minute)
	defer cancel()
	return row.Churn(ctx, b, row.ChurnConfig{Connections: *connections, Poller: *poller, Length: *length})
}

// begin sets up and prints what is measured.
func begin(binary string) (*row.Bench, func(), error) {
	origin, err := figure.Here()
	if err != nil {
		return nil, nil, err
	}
	b, done, err := setUp(binary, os.Stdout)
	if err == nil {
		fmt.Println(origin)
	}
	return b, done, err
}

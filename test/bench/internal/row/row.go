// Package row holds the measurements: each row starts its servers, wse and a peer side by side, repeats both in turn, and
// returns figures.
//
// Ownership: rows run one after the other on one goroutine. What a swarm's goroutine writes is atomic or read after the
// swarm was told to stop.
package row

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// Bench is what rows need: where the programs are, where to write, how often to repeat.
type Bench struct {
	Binary      string    // the wse program
	Configs     string    // the repository's configs directory
	Dir         string    // for data directories
	Log         io.Writer // progress
	Repetitions int
	ProfileDir  string // where CPU profiles of wse go; empty: none are taken
}

// Row is a measurement with a name.
type Row struct {
	Name string
	Run  func(ctx context.Context, b *Bench) ([]figure.Figure, error)
}

// All returns the rows in the order in which they run.
func All() []Row {
	return []Row{
		{"fan-out", fanOut},
		{"compressed", compressed},
		{"encrypted", encrypted},
		{"idle memory", idleMemory},
		{"plugins", pluginRow},
		{"swaps", swaps},
		{"urgent", urgent},
		{"slow readers", slowReaders},
		{"stalled readers", stalledReaders},
		{"stalled crowd", stalledCrowd},
		{"recovery", recovery},
		{"pings", pings},
		{"backtest", backtest},
		{"sessions", sessions},
		{"validation", validation},
		{"redis", redisRow},
	}
}

func (b *Bench) logf(format string, args ...any) {
	fmt.Fprintf(b.Log, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// wse starts the program with the classes and limits of the row; the defaults serve for the rest.
func (b *Bench) wse(set ...string) (*target.Server, error) {
	return target.StartWSE(b.Binary, b.Dir, benchConfig, set...)
}

// benchConfig lifts the limits that a single address would run into; everything else is as delivered.
const benchConfig = `# Generated for a benchmark.
`

// profile takes a CPU profile of a server while f, which is not measured, loads it for about so many seconds; where none is asked
// for it does nothing.
func (b *Bench) profile(ctx context.Context, server *target.Server, name string, seconds int, f func() error) error {
	if b.ProfileDir == "" {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		body, err := server.Profile(ctx, seconds)
		if err == nil {
			err = os.WriteFile(filepath.Join(b.ProfileDir, name+".pprof"), body, 0o644)
		}
		done <- err
	}()
	return errors.Join(f(), <-done)
}

// stopAll ends servers and returns the first error of one that had ended by itself.
func stopAll(servers []*target.Server, err *error) {
	for _, s := range servers {
		if e := s.Stop(); e != nil && *err == nil {
			*err = e
		}
	}
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

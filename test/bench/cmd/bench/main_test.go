package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/bench/internal/figure"
)

func TestAWrongCommandLineIsToldApartFromAFailure(t *testing.T) {
	for _, args := range [][]string{nil, {"tables"}} {
		require.ErrorIs(t, run(t.Context(), args), errUsage)
	}
	program := filepath.Join(t.TempDir(), "wse")
	require.ErrorContains(t, run(t.Context(), []string{"table", "-wse", program}), "make build")
	require.NoError(t, os.WriteFile(program, nil, 0o600))
	for _, c := range []struct {
		name, wants string
		args        []string
	}{
		{"no such row", "matches none of the rows", []string{"table", "-wse", program, "-rows", "nothing"}},
		{"a broken expression", "-rows", []string{"table", "-wse", program, "-rows", "("}},
		{"a peer without a name", "name one of bare, gorilla", []string{"peer"}},
		{"an unknown peer", `no peer "uws"`, []string{"peer", "uws"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.ErrorContains(t, run(t.Context(), c.args), c.wants) })
	}
}

func TestEveryCommandOfTheUsageExists(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for line := range strings.Lines(usage) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "  "), " "); ok && strings.HasPrefix(line, "  ") {
			err := run(ctx, []string{name, "-no-such-flag"})
			require.Error(t, err)
			require.False(t, errors.Is(err, errUsage), name)
		}
	}
}

func TestTheTableAndTheRawOutputAreKeptWithTheCommitTheyWereMadeAt(t *testing.T) {
	dir := t.TempDir()
	report := &figure.Report{}
	report.Add("r", []figure.Figure{{
		Name: "cpu", Unit: "µs", Ours: figure.Series{Name: "wse", Values: []float64{1, 2}},
		Peer: figure.Series{Name: "bare loop", Values: []float64{3, 4}}, Statistic: figure.Minimum(),
	}}, nil)
	origin := figure.Origin{Commit: "0123456789ab", Date: time.Date(2025, 1, 2, 3, 4, 0, 0, time.UTC), Go: "go1.26", CPU: "a CPU", Cores: 2, Kernel: "6.1"}
	require.NoError(t, keep(dir, origin, report, origin.String()+"\nprogress\n"))
	for name, parts := range map[string][]string{
		"latest.md":  {"make bench", "commit 0123456789ab, 2025-01-02 03:04 UTC, go1.26, 2 × a CPU", "| cpu | 1.00 µs | bare loop | 3.00 | 0.33 |"},
		"latest.txt": {"commit 0123456789ab", "progress", "min 1.00  median 1.00  of 1.00 2.00", "bare loop"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		for _, part := range parts {
			require.Contains(t, string(text), part)
		}
	}
}

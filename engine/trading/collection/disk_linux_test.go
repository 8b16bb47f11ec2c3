package collection_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
)

// childEnv makes the test program the child of a test, with this directory.
const childEnv = "WSE_COLLECTION_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child collects ticks until it is killed or its collection ends, and tells of every change of what is counted. A file of it
// can have no more than 64 KiB where it is asked for.
func child(dir string) {
	if os.Getenv(childEnv+"_LIMIT") != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			panic(err)
		}
	}
	cfg := collection.DefaultConfig()
	cfg.SyncRows, cfg.QueueRowsMax = 10, 100
	c, err := collection.New(dir, cfg, collection.Options{Ended: func(s collection.Status) {
		fmt.Printf("ended %s %d %s\n", s.State, s.Rows, s.LastError)
		os.Exit(0)
	}})
	if err != nil {
		panic(err)
	}
	s, err := c.Start("u1", []string{"A", "B"}, 0)
	if err != nil {
		panic(err)
	}
	fmt.Println("started", s.ID)
	go func() { _ = c.Run(context.Background()) }()
	for told, i := uint64(0), int64(0); ; i++ {
		for _, symbol := range []string{"A", "B"} {
			c.Append(&message.Tick{Symbol: symbol, TimeMS: t0 + i, Price: float64(i + 1), Volume: 1, QuoteVolume: 1})
		}
		if s, err := c.Status(s.ID); err == nil && s.Rows != told {
			told = s.Rows
			fmt.Println("rows", told)
		}
	}
}

// startChild starts one and returns its lines.
func startChild(t *testing.T, dir string, env ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func TestWhatWasCountedSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := startChild(t, dir)
	var id string
	var counted uint64
	for counted < 500 && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "started "); ok {
			id = text
		}
		_, _ = fmt.Sscanf(lines.Text(), "rows %d", &counted)
	}
	require.NoError(t, cmd.Process.Kill())
	for lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "rows %d", &counted)
	}
	require.Error(t, cmd.Wait())

	c := open(t, dir, nil)
	s, err := c.Status(id)
	require.NoError(t, err)
	require.Equal(t, collection.Stopped, s.State)
	require.Equal(t, collection.ReasonRestarted, s.Reason)
	require.GreaterOrEqual(t, s.Rows, counted)
	r, err := c.Open(id)
	all := ticks(t, r, err)
	require.Len(t, all, int(s.Rows))
	next := map[string]int64{"A": t0, "B": t0}
	for _, one := range all {
		require.GreaterOrEqual(t, one.TimeMS, next[one.Symbol], "none twice")
		require.Equal(t, float64(one.TimeMS-t0+1), one.Price)
		next[one.Symbol] = one.TimeMS + 1
	}
}

func TestADiskThatFailsEndsTheCollectionAndLeavesWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := startChild(t, dir, childEnv+"_LIMIT=1")
	var id, state string
	var rows int
	for lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "started %s", &id)
		_, _ = fmt.Sscanf(lines.Text(), "ended %s %d", &state, &rows)
	}
	require.NoError(t, cmd.Wait())
	require.Equal(t, "error", state)
	c := open(t, dir, nil)
	s, err := c.Status(id)
	require.NoError(t, err)
	require.Equal(t, collection.Failed, s.State)
	require.Equal(t, collection.ReasonDisk, s.Reason)
	require.Contains(t, s.LastError, "file too large")
	require.EqualValues(t, rows, s.Rows)
	require.Greater(t, s.Rows, uint64(1000))
	r, err := c.Open(id)
	require.Len(t, ticks(t, r, err), rows)
}

// tiny mounts a file system of 64 KiB, where the test may.
func tiny(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a file system cannot be mounted here (%v); what a failing disk does is tested by a limit as well", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestAFullDiskIsToldAndTriedAgainAndLosesNothingThatWasCounted(t *testing.T) {
	dir := tiny(t)
	c := run(t, dir, func(cfg *collection.Config) {
		cfg.SyncRows, cfg.QueueRowsMax, cfg.SyncInterval = 100, 500, 10*time.Millisecond
	})
	s := c.start("u1", "A")
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 32<<10), 0o600))
	sent := uint64(0)
	feed := func(until func(s collection.Status) bool) collection.Status {
		t.Helper()
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			c.Append(tick("A", t0+int64(sent), 1))
			sent++
			if now, err := c.Status(s.ID); err == nil && until(now) {
				return now
			}
		}
		t.Fatal("it never came to that")
		return s
	}
	full := feed(func(s collection.Status) bool { return s.Failing && s.Dropped > 0 })
	require.Equal(t, collection.Running, full.State)
	require.Contains(t, full.LastError, "no space left on device")
	require.Contains(t, full.Message().Reason, "the disk is full")
	require.NotContains(t, full.Message().Reason, dir)
	r, err := c.Open(s.ID)
	require.GreaterOrEqual(t, len(ticks(t, r, err)), int(full.Rows), "what was written stays readable")

	require.NoError(t, os.Remove(ballast))
	well := feed(func(s collection.Status) bool { return !s.Failing && s.Rows > full.Rows })
	require.Equal(t, collection.Running, well.State)
	require.NotZero(t, well.LastErrorAt, "that there was an error stays known")
	last := feed(func(s collection.Status) bool { return s.Failing }) // and full again
	last = c.halt(last.ID)
	require.Equal(t, collection.Stopped, last.State)
	require.Equal(t, sent, last.Rows+last.Dropped, "every tick is in the file or counted as dropped")
	text := c.read(s.ID, "A")
	require.True(t, strings.HasSuffix(text, "\n"))
	r, err = c.Open(s.ID)
	require.Len(t, ticks(t, r, err), int(last.Rows))
	require.GreaterOrEqual(t, len(c.warnings), 2, "the operator is told each time it fills up")

	_, err = c.Start("u1", []string{"A"}, 0)
	require.ErrorContains(t, err, "no space left on device")
	require.Len(t, c.List(), 1, "nothing is left of a start that failed")
}

func TestAFileThatSomebodyElseChangesEndsTheCollection(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"appended to": func(path string) error { return os.WriteFile(path, []byte(header+"junk"), 0o600) },
		"removed":     func(path string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(path))) },
	} {
		t.Run(name, func(t *testing.T) {
			c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.SyncRows = 1 })
			s := c.start("u1", "A")
			require.NoError(t, change(c.file(s.ID, "A")))
			c.Append(tick("A", t0, 1))
			s = c.next()
			require.Equal(t, collection.Failed, s.State)
			require.Equal(t, collection.ReasonDisk, s.Reason)
			require.EqualValues(t, 1, s.Dropped)
			require.Zero(t, s.Rows)
			require.Len(t, c.warnings, 1)
		})
	}
}

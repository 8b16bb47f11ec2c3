package scenario

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// build returns the program under test: $WSE_BINARY, or one built here, with the race detector where the test has it.
func build(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("WSE_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "wse")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../../engine/cmd/wse")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// pollers are the network cores that this system has.
func pollers() []string {
	if runtime.GOOS == "linux" {
		return []string{"epoll", "goroutine"}
	}
	return []string{"goroutine"}
}

// modes are the encodings that the scenarios run in: what a client gets that says nothing, and those that
// WSE_SCENARIO_ENCODING names, with commas between, or all of them.
func modes() []string {
	names := os.Getenv("WSE_SCENARIO_ENCODING")
	switch names {
	case "":
		return []string{""}
	case "all":
		return append([]string{""}, Encodings()...)
	}
	return strings.Split(names, ",")
}

// TestScenarios runs every scenario on every poller and broker, in every mode, and counts them: a combination that ran
// none, or fewer than another, is a failure.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("../scenarios/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	files, total := make([]*File, len(paths)), 0
	for i, path := range paths {
		files[i] = parseFile(t, path)
		total += len(files[i].Scenarios)
	}
	program := build(t)
	var summary strings.Builder
	for _, poller := range pollers() {
		for _, mode := range modes() {
			var ran atomic.Int64
			name := strings.TrimSuffix(poller+"/memory/"+mode, "/")
			t.Run(name, func(t *testing.T) {
				for _, f := range files {
					t.Run(strings.TrimSuffix(f.Name, ".txt"), func(t *testing.T) {
						t.Parallel() // each file has an engine of its own, and some wait for time to pass
						runFile(t, program, poller, mode, f, &ran)
					})
				}
			})
			fmt.Fprintf(&summary, "scenarios: poller %-9s  broker memory  %-15s  %d of %d ran\n", poller, mode, ran.Load(), total)
			if !strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
				require.EqualValues(t, total, ran.Load(), "on %s some were skipped", name)
			}
		}
	}
	report(t, summary.String())
}

// report prints the counts, and keeps them where the caller of go test, which swallows a passing test's output, wants them.
func report(t *testing.T, summary string) {
	t.Helper()
	fmt.Print(summary)
	if path := os.Getenv("WSE_SCENARIO_SUMMARY"); path != "" {
		require.NoError(t, os.WriteFile(path, []byte(summary), 0o644))
	}
}

func parseFile(t *testing.T, path string) *File {
	t.Helper()
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	f, err := Parse(filepath.Base(path), in)
	require.NoError(t, err)
	return f
}

// runFile runs the scenarios of one file against an engine of their own.
func runFile(t *testing.T, program, poller, mode string, f *File, ran *atomic.Int64) {
	dir := t.TempDir()
	for name, text := range f.Files {
		bytes, err := contents(name, text)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), bytes, 0o644))
	}
	settings := []string{"debug.poller=" + poller}
	if mode != "" {
		settings = append(settings, "limits.compress_bytes_min=0") // every message that gets shorter
	}
	e, err := Start(program, dir, append(settings, f.Settings...), f.TLS)
	require.NoError(t, err)
	defer func() {
		require.NoError(t, e.Stop())
		if t.Failed() {
			t.Logf("the engine printed:\n%s", e.Output())
		}
	}()
	r := NewRunner(e)
	if mode != "" {
		require.NoError(t, r.Use(mode))
	}
	for _, s := range f.Scenarios {
		ran.Add(1)
		t.Run(s.Title, func(t *testing.T) { require.NoError(t, r.Run(f.Name, s)) })
	}
}

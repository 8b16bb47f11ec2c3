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

	"github.com/wse-engine/wse/engine/redis/redistest"
)

// TestMain has several files played at a time on however few processors: most of a scenario is waiting.
func TestMain(m *testing.M) {
	redistest.Prepare()
	os.Exit(m.Run())
}

// build returns the program under test: $WSE_BINARY, or one built here, with the race detector where the test has it.
func build(t *testing.T) string {
	t.Helper()
	return buildWith(t, raceEnabled)
}

func buildWith(t *testing.T, race bool) string {
	t.Helper()
	if path := os.Getenv("WSE_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "wse")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../../engine/cmd/wse")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// compiled returns a directory with what an engine keeps of the plugins inside it once they are compiled, so that the
// hundreds of engines to come need not each compile them again.
func compiled(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	e, err := Start(program, dir, nil, false)
	require.NoError(t, err)
	require.NoError(t, e.Stop())
	return filepath.Join(dir, cacheDir)
}

// cacheDir is where compiled plugins are kept, in an engine's directory.
const cacheDir = "data/plugins/cache"

// pollers are the network cores that this system has.
func pollers() []string {
	if runtime.GOOS == "linux" {
		return []string{"epoll", "goroutine"}
	}
	return []string{"goroutine"}
}

// brokers are what the engine can be started with to keep its topics, on a poller and in a form. How messages look and leave is
// settled behind the broker, so Redis is played in the form that plays every file, and on one poller.
func brokers(poller, form string) []string {
	if form == silent && poller == pollers()[0] {
		return []string{memory, redis}
	}
	return []string{memory}
}

const (
	memory = "memory"
	redis  = "redis"
)

// forms returns those to play, and whether they were chosen by hand.
func forms(t *testing.T) (names []string, chosen bool) {
	t.Helper()
	all := append([]string{silent}, Encodings()...)
	switch value := os.Getenv("WSE_SCENARIO_ENCODING"); value {
	case "":
		return all, false
	case "all":
		return all, true
	default:
		names = strings.Split(value, ",")
		for _, name := range names {
			require.Contains(t, all, name, "WSE_SCENARIO_ENCODING names what is no form")
		}
		return names, true
	}
}

// group is one way of playing the scenarios: on a poller and a broker, with messages in a form.
type group struct {
	poller, broker, form string
	race                 bool // the engine has the race detector
	files                []*File
	total                int // scenarios in them
	ran                  atomic.Int64
}

func (g *group) name() string { return g.poller + "/" + g.broker + "/" + g.form }

// groups are all the ways that are to be played. The race detector makes an engine several times as slow, so a form has it
// on one poller only, but for that which plays every file, and those that were chosen by hand.
func groups(t *testing.T, files []*File) (all []*group) {
	t.Helper()
	names, chosen := forms(t)
	built := raceEnabled && os.Getenv("WSE_BINARY") == ""
	for i, form := range names {
		for j, poller := range pollers() {
			for _, broker := range brokers(poller, form) {
				g := &group{poller: poller, broker: broker, form: form}
				g.race = built && (chosen || form == silent || i%len(pollers()) == j)
				for _, f := range files {
					if f.In(form) && (broker == memory || !f.Alone) {
						g.files = append(g.files, f)
						g.total += len(f.Scenarios)
					}
				}
				all = append(all, g)
			}
		}
	}
	return all
}

// TestScenarios plays every scenario on every poller and broker, in every form that its file depends on, and counts them: a
// group that ran none, or fewer than it has, is a failure.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("../scenarios/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	files := make([]*File, len(paths))
	for i, path := range paths {
		files[i] = parseFile(t, path)
	}
	all := groups(t, files)
	programs := map[bool]string{} // by whether they have the race detector
	for _, g := range all {
		if programs[g.race] == "" {
			programs[g.race] = buildWith(t, g.race)
		}
	}
	cache := compiled(t, programs[all[0].race])
	t.Run("of", func(t *testing.T) { // ends when all of its groups have
		for _, g := range all {
			t.Run(g.name(), func(t *testing.T) {
				t.Parallel()
				for _, f := range g.files {
					t.Run(strings.TrimSuffix(f.Name, ".txt"), func(t *testing.T) {
						t.Parallel() // each file has an engine of its own, and some wait for time to pass
						g.play(t, programs[g.race], cache, f)
					})
				}
			})
		}
	})
	report(t, all)
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return
	}
	for _, g := range all {
		require.Positive(t, g.total, "%s has no scenario", g.name())
		require.EqualValues(t, g.total, g.ran.Load(), "of %s some were skipped", g.name())
	}
}

// report prints the counts, and keeps them where the caller of go test, which swallows a passing test's output, wants them.
func report(t *testing.T, all []*group) {
	t.Helper()
	var lines strings.Builder
	for _, g := range all {
		detector := ""
		if g.race {
			detector = ", with the race detector"
		}
		fmt.Fprintf(&lines, "scenarios: poller %-9s  broker %-6s  form %-15s  %d of %d ran%s\n",
			g.poller, g.broker, g.form, g.ran.Load(), g.total, detector)
	}
	fmt.Print(lines.String())
	if path := os.Getenv("WSE_SCENARIO_SUMMARY"); path != "" {
		require.NoError(t, os.WriteFile(path, []byte(lines.String()), 0o644))
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

// play runs the scenarios of one file against an engine of their own.
func (g *group) play(t *testing.T, program, cache string, f *File) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, cacheDir), os.DirFS(cache)))
	for name, text := range f.Files {
		bytes, err := contents(name, text)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), bytes, 0o644))
	}
	for _, name := range f.Fixtures {
		bytes, err := os.ReadFile(filepath.Join("../scenarios/testdata", filepath.Base(name)))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), bytes, 0o644))
	}
	settings := []string{"debug.poller=" + g.poller}
	if g.form != silent {
		settings = append(settings, "limits.compress_bytes_min=0") // every message that gets shorter
	}
	if g.broker == redis { // one for each engine, since channels are not divided by database
		settings = append(settings, "broker.redis.addrs=["+redistest.Single(t).Addr()+"]",
			// What an engine that was killed had is known for lost soon, and not while one waits for a processor.
			"cluster.beat_interval=200ms", "cluster.node_timeout=3s", "cluster.ask_timeout=2s")
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
	if g.form != silent {
		require.NoError(t, r.Use(g.form))
	}
	for _, s := range f.Scenarios {
		g.ran.Add(1)
		t.Run(s.Title, func(t *testing.T) { require.NoError(t, r.Run(f.Name, s)) })
	}
}

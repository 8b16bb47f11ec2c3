package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/test/scenario"
)

// program is the binary under test: WSE_BINARY, or what TestMain builds, with the race detector where the tests have it. compiled is
// what it makes of the plugins that come with it.
var program, compiled string

// abreast is how many topologies have a world at a time on however few processors. Most of a case is waiting, yet all five at a time are
// more than two slow processors can do.
const abreast = 3

func TestMain(m *testing.M) {
	redis.Quiet()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics write to a logger of their own
	toxics.Register("readdress", new(readdress))
	flag.Parse()
	parallel := false
	flag.Visit(func(f *flag.Flag) { parallel = parallel || f.Name == "test.parallel" })
	if !parallel {
		_ = flag.Set("test.parallel", strconv.Itoa(max(abreast, runtime.GOMAXPROCS(0)))) // a number is always taken
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wse-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if program = os.Getenv("WSE_BINARY"); program == "" {
		program = filepath.Join(dir, "wse")
		args := []string{"build", "-o", program}
		if raceEnabled {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, "./engine/cmd/wse")...)
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cluster: the program does not build: %v\n%s", err, out)
			return 1
		}
	}
	if err := compile(filepath.Join(dir, "first")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// compile has a node alone compile the plugins, which all others would do at once when they start, and takes longer than all else then.
func compile(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	compiled = filepath.Join(dir, "data", "plugins", "cache")
	e, err := scenario.Start(program, dir, nil, false)
	if err != nil {
		return err
	}
	return e.Stop()
}

// seed is what all choices follow from: WSE_CLUSTER_SEED, or one of its own.
func seed(t *testing.T) uint64 {
	if text := os.Getenv("WSE_CLUSTER_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "WSE_CLUSTER_SEED")
		return n
	}
	return rand.Uint64N(1 << 32)
}

// howLong returns how long something takes: what a variable says, or else.
func howLong(t testing.TB, variable string, otherwise time.Duration) time.Duration {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, variable)
	return d
}

// tally counts the cases that ran to their end on each topology.
type tally struct {
	mu    sync.Mutex
	cases map[string][2]int // ran, all; guarded by mu
}

func (c *tally) add(topology string, ran, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.cases[topology]
	c.cases[topology] = [2]int{n[0] + ran, n[1] + all}
}

// report prints how many cases ran on each topology, also into the file that WSE_CLUSTER_SUMMARY names, since go test hides
// what a passing test prints. A topology on which nothing ran, or less than it has, is a failure.
func (c *tally) report(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	for _, how := range topologies() {
		n := c.cases[how.name]
		text += fmt.Sprintf("cluster: %-16s %d of %d cases\n", how.name, n[0], n[1])
		if !t.Failed() {
			require.NotZero(t, n[0], "nothing ran on %s", how.name)
			require.Equal(t, n[1], n[0], "cases were left out on %s", how.name)
		}
	}
	t.Log("\n" + text)
	if path := os.Getenv("WSE_CLUSTER_SUMMARY"); path != "" {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

// testRun is what -run says.
func testRun() string {
	f := flag.Lookup("test.run")
	if f == nil {
		return ""
	}
	return f.Value.String()
}

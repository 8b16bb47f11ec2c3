package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// program is the binary under test: WSE_BIN, or what TestMain builds.
var program string

// counts says how many cases ran on each poller.
var counts tally

type tally struct {
	mu     sync.Mutex
	total  map[string]int // guarded by mu
	passed map[string]int // guarded by mu
}

func (c *tally) add(poller string, passed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total == nil {
		c.total, c.passed = make(map[string]int), make(map[string]int)
	}
	c.total[poller]++
	if passed {
		c.passed[poller]++
	}
}

// print tells the counts on standard output and, since go test hides that of what passes, in the file that
// WSE_CONFORMANCE_SUMMARY names. It reports whether every poller had cases.
func (c *tally) print() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines strings.Builder
	ran := true
	for _, poller := range pollers() {
		fmt.Fprintf(&lines, "conformance: poller %s: %d cases, %d passed\n", poller, c.total[poller], c.passed[poller])
		ran = ran && c.total[poller] > 0
	}
	fmt.Print(lines.String())
	if path := os.Getenv("WSE_CONFORMANCE_SUMMARY"); path != "" {
		if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "conformance:", err)
			return false
		}
	}
	return ran
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wse-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if program = os.Getenv("WSE_BIN"); program == "" {
		program = filepath.Join(dir, "wse")
		if out, err := exec.Command("go", "build", "-o", program, "../../engine/cmd/wse").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "conformance: the program does not build: %v\n%s", err, out)
			return 1
		}
	}
	code := m.Run()
	chosen := flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.list").Value.String() != ""
	if !counts.print() && !chosen && code == 0 {
		fmt.Fprintln(os.Stderr, "conformance: a poller had no case")
		return 1
	}
	return code
}

// pollers returns the pollers of this system.
func pollers() []string {
	if runtime.GOOS == "linux" {
		return []string{"epoll", "goroutine"}
	}
	return []string{"goroutine"}
}

// scenario is one case: run fails t unless the server does what the section in the name demands.
type scenario struct {
	name string
	run  func(t *testing.T, s *server)
}

// cases returns all of them. They are made once: some are large.
var cases = sync.OnceValue(func() []scenario {
	return slices.Concat(
		framing(), lengths(), bits(), controls(), fragmentation(), texts(), textsByTable(), closing(), closeCodes(), closingRaces(),
		sizes(), upgrades(), badUpgrades(), versions(), heads(), offers(), deflated(), deflateFaults(), publications(),
	)
})

func TestConformance(t *testing.T) {
	for _, poller := range pollers() {
		t.Run(poller, func(t *testing.T) {
			s := start(t, poller)
			for _, c := range cases() {
				t.Run(c.name, func(t *testing.T) {
					defer func() { counts.add(poller, !t.Failed()) }()
					c.run(t, s)
				})
			}
			s.requireRunning(t)
		})
	}
}

// TestLimits runs the cases that need a server of their own.
func TestLimits(t *testing.T) {
	for _, poller := range pollers() {
		t.Run(poller, func(t *testing.T) {
			for _, c := range limits() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					defer func() { counts.add(poller, !t.Failed()) }()
					c.run(t, poller)
				})
			}
		})
	}
}

func TestEveryCaseHasANameOfItsOwnThatBeginsWithItsSection(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range cases() {
		require.Regexp(t, `^(RFC (6455|7692|9112|3629)|PROTOCOL) §[0-9.]+: `, c.name)
		require.False(t, seen[c.name], "%s stands there twice", c.name)
		seen[c.name] = true
	}
	require.Greater(t, len(seen), 300)
}

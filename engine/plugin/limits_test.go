package plugin_test

import (
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/scan"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// logging is a transform plugin that logs its document so many times.
func logging(lines int) w.Module {
	log := w.Import{Module: "wse", Name: "log", Params: i32s(3)}
	return imported(log, repeatCode(lines, w.I32Const(2), w.I32Const(w.Buffer), w.LocalGet(0), w.Call(0)), w.I64Const(1))
}

func repeatCode(n int, code ...[]byte) []byte {
	return []byte(strings.Repeat(string(w.Cat(code...)), n))
}

func TestLog_of_a_guest_is_capped_by_call_by_second_and_by_line(t *testing.T) {
	for _, c := range []struct {
		name         string
		limits       plugin.Limits
		calls, lines int
		least, most  int // lines that come through
		bytes        int // of a line
	}{
		{"log_lines_per_call", plugin.Limits{LogLinesPerCall: 3, LogLinesPerSecond: 1000}, 2, 10, 6, 6, 100},
		{"log_lines_per_second", plugin.Limits{LogLinesPerCall: 1000, LogLinesPerSecond: 5}, 2, 10, 5, 5, 100},
		{"log_line_bytes", plugin.Limits{LogLineBytes: 7}, 1, 2, 2, 2, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "x", logging(c.lines))
			cfg.Limits = c.limits
			h := f.open(t, cfg)
			began := time.Now()
			for range c.calls {
				_, _, err := transform(t, h, "E", strings.Repeat("l", 100))
				require.NoError(t, err)
			}
			require.GreaterOrEqual(t, len(f.logs), c.least)
			most := c.most
			if each := c.limits.LogLinesPerSecond; each < c.calls*c.lines { // and seconds may have ended in between
				most += each * (1 + int(time.Since(began)/time.Second))
			}
			require.LessOrEqual(t, len(f.logs), most)
			require.Equal(t, uint64(c.calls*c.lines-len(f.logs)), h.Stats()[0].LinesDropped, "the others are counted")
			for _, line := range f.logs {
				require.Equal(t, "x: "+strings.Repeat("l", c.bytes), line)
			}
		})
	}
}

// The page about the sandbox names every limit, and every test that it names is there.
func TestSandbox_page_names_every_limit_and_a_test_for_it(t *testing.T) {
	page, err := os.ReadFile("SANDBOX.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `[a-z0-9_]+`.*$").FindAllString(string(page), -1) {
		first, _, _ := strings.Cut(row[2:], " |")
		for _, name := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(first, -1) {
			rows[name[1]] = row
		}
	}
	names := func(limits any) {
		for f := range reflect.TypeOf(limits).Fields() {
			if name := f.Tag.Get("yaml"); name != "-" && name != "scan" {
				require.Contains(t, rows, name, "a limit that the page does not explain")
				require.Regexp(t, `Test\w+`, rows[name], "a limit without its test")
				delete(rows, name)
			}
		}
	}
	names(plugin.Limits{})
	names(scan.Limits{})
	require.Empty(t, rows, "limits that there are not")
	for _, name := range regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)\w+`).FindAllString(string(page), -1) {
		out, err := exec.Command("grep", "-rl", "--include=*_test.go", "^func "+name+"(", ".").CombinedOutput()
		require.NoError(t, err, "%s is not there: %s", name, out)
	}
}

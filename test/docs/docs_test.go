package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis/redistest"
)

// patience bounds one run; what takes longer has failed. Installing a toolchain is not part of it.
const patience = 6 * time.Minute

// run is a part of a page that is pasted from its beginning to its end into one shell.
type run struct {
	name, needs string
	blocks      []block
}

// block is a pasted piece, and what it must print.
type block struct {
	line    int
	script  string
	printed *string // nil: whatever
}

// pages reads the runs of the pages that have some.
func pages(t *testing.T) map[string][]run {
	t.Helper()
	out := map[string][]run{}
	for _, file := range []string{"../../engine/OPERATING.md", "../../sdk/FIRST-PLUGIN.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		runs := parse(t, string(text))
		require.NotEmpty(t, runs, file)
		out[filepath.Base(file)] = runs
	}
	return out
}

func parse(t *testing.T, text string) (runs []run) {
	t.Helper()
	begin := regexp.MustCompile(`^<!-- run: (\S+)(?: needs (\S+))? -->$`)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if m := begin.FindStringSubmatch(lines[i]); m != nil {
			runs = append(runs, run{name: m[1], needs: m[2]})
			continue
		}
		kind, fenced := strings.CutPrefix(lines[i], "```")
		if !fenced {
			continue
		}
		from := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		require.Less(t, i, len(lines), "line %d: a fence that is not closed", from)
		body := strings.Join(lines[from:i], "\n")
		if len(runs) == 0 {
			continue
		}
		r := &runs[len(runs)-1]
		switch kind {
		case "sh":
			r.blocks = append(r.blocks, block{line: from, script: body})
		case "text":
			require.NotEmpty(t, r.blocks, "line %d: an output before the first command", from)
			r.blocks[len(r.blocks)-1].printed = &body
		}
	}
	return runs
}

func TestPages_do_what_they_say(t *testing.T) {
	wse := build(t)
	for page, runs := range pages(t) {
		for _, r := range runs {
			t.Run(page+"/"+r.name, func(t *testing.T) {
				if r.needs != "" {
					if out, err := exec.Command("../../.ci/setup", r.needs).CombinedOutput(); err != nil {
						if os.Getenv("CI") != "" && r.needs != "rust" {
							t.Fatalf("%s cannot be provided: %s", r.needs, out)
						}
						t.Skipf("LEFT OUT: %s cannot be provided: %s", r.needs, out)
					}
				}
				r.paste(t, wse)
			})
		}
	}
}

// build makes the program and returns the directory it is in.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "wse"), "../../engine/cmd/wse").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// mark ends what a block prints.
const mark = "=== end of block"

// paste runs the blocks in one shell, which stops at the first command that fails.
func (r *run) paste(t *testing.T, wse string) {
	var script strings.Builder
	script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n")
	for i, b := range r.blocks {
		fmt.Fprintf(&script, "%s\necho '%s %d'\n", b.script, mark, i)
	}
	dir := t.TempDir()
	for _, port := range r.ports() {
		redistest.ClaimPort(t, port)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	// The pages let the engine listen where it does by default; here it must not meet another one.
	cmd.Env = append(os.Environ(), "PATH="+wse+":"+os.Getenv("PATH"), "GOFLAGS=-mod=mod", "HOME="+home(t),
		"WSE_LISTEN="+redistest.FreeAddr(t), "WSE_ADMIN__LISTEN="+redistest.FreeAddr(t))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	rest := out.String()
	for i, b := range r.blocks {
		printed, after, ended := strings.Cut(rest, fmt.Sprintf("%s %d\n", mark, i))
		if !ended {
			t.Fatalf("the block at line %d failed (%v):\n%s\nprinted:\n%s", b.line, err, b.script, printed)
		}
		rest = after
		if b.printed != nil {
			require.Regexp(t, shape(*b.printed), printed, "the block at line %d printed something else:\n%s", b.line, printed)
		}
	}
}

// port finds the ports in commands. $n is the number of a node, of which there are two.
var port = regexp.MustCompile(`(?:127\.0\.0\.1:|--port )(\d+)(\$n)?`)

// ports are those that stand in the commands of a run, in ascending order.
func (r *run) ports() (all []int) {
	for _, b := range r.blocks {
		for _, m := range port.FindAllStringSubmatch(b.script, -1) {
			nodes := []string{""}
			if m[2] != "" {
				nodes = []string{"1", "2"}
			}
			for _, node := range nodes {
				number, _ := strconv.Atoi(m[1] + node) // digits are a number
				all = append(all, number)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// home keeps the Go toolchain's caches where they are.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.UserHomeDir()
	require.NoError(t, err)
	return dir
}

// shape is the pattern of an output that a page shows.
func shape(shown string) *regexp.Regexp {
	var p strings.Builder
	p.WriteString(`(?s)\A`)
	for line := range strings.Lines(shown + "\n") {
		if strings.TrimSpace(line) == "…" {
			p.WriteString(`.*?`)
			continue
		}
		parts := strings.Split(strings.TrimRight(line, " \n"), "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		p.WriteString(strings.Join(parts, `[^\n]*?`) + ` *\n`)
	}
	return regexp.MustCompile(p.String() + `\z`)
}

func TestPorts_are_all_that_stand_in_the_commands(t *testing.T) {
	for _, r := range pages(t)["OPERATING.md"] {
		want := map[string][]int{"nodes": {16380, 18081, 18082, 19091, 19092}}[r.name]
		require.Equal(t, want, r.ports(), r.name)
	}
}

func TestShape_matches_what_is_shown(t *testing.T) {
	require.Regexp(t, shape("a … c\n…\nz"), "a b c\nx\ny\nz\n")
	require.Regexp(t, shape("a … c\n…\nz"), "a b c\nz\n")
	require.NotRegexp(t, shape("a … c"), "a b c\nd\n")
	require.NotRegexp(t, shape("a"), "b\n")
}

package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tableRow is a row below a heading of a Markdown file: the heading, its first two cells, and its last one.
type tableRow struct{ heading, first, second, last string }

// tableRows reads the tables of a Markdown file, without their heads. An empty first cell is the one above it.
func tableRows(t *testing.T, path string) (rows []tableRow) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	heading, head := "", true
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			heading, head = strings.TrimLeft(line, "# "), true
		case !strings.HasPrefix(line, "|"):
			head = true
		case strings.HasPrefix(line, "|---"):
			head = false
		case !head:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			require.Greater(t, len(cells), 1, line)
			row := tableRow{heading, strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[len(cells)-1])}
			if row.first == "" {
				row.first = rows[len(rows)-1].first
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// code finds what stands in a cell as code.
var code = regexp.MustCompile("`[^`]+`")

// fields are what a request holds, behind its name.
var fields = regexp.MustCompile("^`([a-z_]+)\\{.*\\}`$")

// rowKey is what a row is called: its section and the code in its first cell, or all of that where there is none.
func rowKey(r tableRow) string {
	section, _, _ := strings.Cut(r.heading, " ")
	if words := code.FindAllString(r.first, -1); words != nil {
		for i := range words {
			words[i] = fields.ReplaceAllString(words[i], "`$1`")
		}
		return section + " " + strings.Join(words, ", ")
	}
	return section + " " + r.first
}

// named is what a scenario of a row must name: the identifiers that the code in its first cell begins with, and numbers.
func named(first string) (names []string) {
	for _, word := range code.FindAllString(first, -1) {
		name := regexp.MustCompile(`[A-Za-z_0-9]+`).FindString(word)
		if len(name) <= 3 { // a field, and no part of some other word
			name = `"` + name + `"`
		}
		names = append(names, name)
	}
	if names == nil {
		names = regexp.MustCompile(`\b[0-9]{4}\b`).FindAllString(first, -1)
	}
	return names
}

// scenarioTexts returns the text of every scenario, with what its engine is started with, by "file: title".
func scenarioTexts(t *testing.T) map[string]string {
	paths, err := filepath.Glob("../scenarios/*.txt")
	require.NoError(t, err)
	texts := map[string]string{}
	for _, path := range paths {
		f := parseFile(t, path)
		for _, s := range f.Scenarios {
			text := strings.Join(f.Settings, "\n") + f.Files["wse.yaml"]
			for _, step := range s.Steps {
				text += "\n" + step.Verb + " " + step.Rest + "\n" + step.Body
			}
			texts[strings.TrimSuffix(f.Name, ".txt")+": "+s.Title] = text
		}
	}
	return texts
}

// goTest reports whether there is a test, given as "go: package Test".
func goTest(t *testing.T, ref string) bool {
	pkg, name, ok := strings.Cut(strings.TrimPrefix(ref, "go: "), " ")
	require.True(t, ok, ref)
	files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*_test.go"))
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(path string) bool {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return strings.Contains(string(text), "\nfunc "+name+"(")
	})
}

func TestEveryRowOfTheProtocolHasItsScenario(t *testing.T) {
	isProtocols := func(r tableRow) bool { return strings.HasPrefix(r.heading, "2.") || strings.HasPrefix(r.heading, "3.") }
	texts, covered := scenarioTexts(t), map[string]string{} // by row: what its scenarios say
	for _, r := range tableRows(t, "../scenarios/ROWS.md") {
		text, ok := texts[r.second]
		if strings.HasPrefix(r.second, "go: ") {
			text, ok = strings.Join(named(r.first), " "), goTest(t, r.second)
		}
		if !ok {
			t.Errorf("%s, %s: there is no scenario %q", r.heading, r.first, r.second)
		}
		covered[rowKey(r)] += text
	}
	known := map[string]bool{}
	for _, r := range tableRows(t, "../../engine/dialect/PROTOCOL.md") {
		if !isProtocols(r) {
			continue
		}
		known[rowKey(r)] = true
		text, ok := covered[rowKey(r)]
		if !ok {
			t.Errorf("PROTOCOL §%s: no scenario covers the row %s", r.heading, r.first)
			continue
		}
		names := named(r.first)
		if strings.HasPrefix(r.heading, "3.3") && fields.MatchString(code.FindString(r.first)) { // its errors too
			names = append(names, named(r.last)...)
		}
		for _, name := range names {
			if !strings.Contains(text, name) {
				t.Errorf("PROTOCOL §%s: no scenario of the row %s says %s", r.heading, r.first, name)
			}
		}
	}
	require.Greater(t, len(known), 150)
	for _, r := range tableRows(t, "../scenarios/ROWS.md") {
		if isProtocols(r) && !known[rowKey(r)] {
			t.Errorf("ROWS.md: the protocol has no row %s in its section %s", r.first, r.heading)
		}
	}
}

package engine_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/configs"
	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/config"
)

func TestTheFullConfigurationIsExactlyTheDefaults(t *testing.T) {
	var got engine.Config // no defaults: what the file does not say stays zero
	require.NoError(t, config.Load("../configs/wse.yaml", nil, nil, &got))

	want := engine.DefaultConfig()
	require.NotNil(t, want.Plugins[0].Config)
	want.Plugins[0].Config, want.Plugins[0].ConfigFile = nil, "mappings.yaml" // the file that the program has a copy of
	// An empty list in the file is no list in the defaults.
	got.Auth.Keys, got.Auth.Audience, got.Origins = nil, nil, nil
	require.Equal(t, want, got)

	table, err := os.ReadFile("../configs/mappings.yaml")
	require.NoError(t, err)
	require.Equal(t, string(table), string(configs.Mappings()))
}

// The file must mention and explain every field, in lists in the first element. A comment of its own stands right above
// each.
func TestTheFullConfigurationExplainsEveryField(t *testing.T) {
	text, err := os.ReadFile("../configs/wse.yaml")
	require.NoError(t, err)
	explained := explainedPaths(t, strings.Split(string(text), "\n"))
	var paths []string
	collectPaths(reflect.TypeFor[engine.Config](), "", &paths)
	require.Greater(t, len(paths), 150)
	for _, path := range paths {
		if !slices.Contains(explained, path) {
			t.Errorf("configs/wse.yaml does not explain %s", path)
		}
	}
}

// explainedPaths returns the paths of a block-style YAML text whose line follows a comment.
func explainedPaths(t *testing.T, lines []string) []string {
	type level struct {
		indent int
		name   string
	}
	var open []level
	var paths []string
	for i, line := range lines {
		trimmed := strings.TrimLeft(line, " ")
		indent := len(line) - len(trimmed)
		if rest, item := strings.CutPrefix(trimmed, "- "); item {
			trimmed, indent = rest, indent+2
		}
		name, _, ok := strings.Cut(trimmed, ":")
		if !ok || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, "{") {
			continue
		}
		for len(open) > 0 && open[len(open)-1].indent >= indent {
			open = open[:len(open)-1]
		}
		open = append(open, level{indent, name})
		names := make([]string, len(open))
		for j, l := range open {
			names[j] = l.name
		}
		if i > 0 && strings.HasPrefix(strings.TrimLeft(lines[i-1], " "), "# ") {
			paths = append(paths, strings.Join(names, "."))
		}
	}
	require.NotEmpty(t, paths)
	return paths
}

// collectPaths lists the fields of a configuration, elements of lists without their index.
func collectPaths(typ reflect.Type, path string, paths *[]string) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		inner := field.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		switch {
		case name == "-":
		case options == "inline":
			collectPaths(inner, path, paths)
		default:
			at := strings.TrimPrefix(path+"."+name, ".")
			*paths = append(*paths, at)
			if inner.Kind() == reflect.Struct && at != "auth.keys" { // explained in one line
				collectPaths(inner, at, paths)
			}
		}
	}
}

func TestTheMinimalConfigurationIsValid(t *testing.T) {
	cfg := engine.DefaultConfig()
	require.NoError(t, config.Load("../configs/minimal.yaml", nil, nil, &cfg))
}

// Every file in configs/bad begins with what is to be said about it, each line after "# expect: ".
func TestEveryBadConfigurationIsRefusedAsItSays(t *testing.T) {
	files, err := filepath.Glob("../configs/bad/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var want []string
			for line := range strings.Lines(string(text)) {
				if expected, ok := strings.CutPrefix(line, "# expect: "); ok {
					want = append(want, strings.TrimRight(expected, "\n"))
				}
			}
			require.NotEmpty(t, want)
			cfg := engine.DefaultConfig()
			err = config.Load(file, nil, nil, &cfg)
			require.Error(t, err)
			got := strings.Split(strings.ReplaceAll(err.Error(), file, filepath.Base(file)), "\n")
			require.Equal(t, want, got)
		})
	}
}

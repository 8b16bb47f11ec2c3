package main

import (
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/sdk"
)

// needed is what must be in PATH to build plugins in a language.
func needed(language string) []string {
	return map[string][]string{
		"go": {"go"}, "assemblyscript": {"node", "npm"}, "c": {"clang-19"}, "rust": {"/usr/bin/rustc", "wasm-ld-14"}, "wat": {"wat2wasm"},
	}[language]
}

// TestANewPluginBuildsAndPassesItsVectors follows what new prints, in every language whose compiler is here, with nothing
// of the repository but the program.
func TestANewPluginBuildsAndPassesItsVectors(t *testing.T) {
	dir := filepath.Join(bench(t, nil), "my plugins") // makefiles do not like spaces
	require.NoError(t, os.Mkdir(dir, 0o700))
	for _, language := range sdk.Languages() {
		t.Run(language, func(t *testing.T) {
			for _, tool := range needed(language) {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("%s is not installed; .ci/setup does that", tool)
				}
			}
			for _, kind := range sdk.Kinds() {
				name := language + "-" + kind
				got := outside(t, dir, "", "plugin", "new", name, "--lang", language, "--kind", kind)
				require.Equal(t, exitOK, got.code, got.err)
				own := filepath.Join(dir, name)
				module := filepath.Join(own, "plugin.wasm")
				for _, part := range []string{"cd " + name + "\n", "  make\n", "  wse plugin test .\n", "  wse plugin swap " + name + " plugin.wasm\n",
					"- name: " + name + "\n", "path: " + module} {
					require.Contains(t, got.out, part)
				}
				build := exec.CommandContext(t.Context(), "make")
				if compiler := filepath.Join("..", language+"-transform", "sdk"); language == "assemblyscript" && kind != "transform" {
					build.Args = append(build.Args, "SDK="+compiler) // npm has fetched it there
				}
				build.Dir = own
				output, err := build.CombinedOutput()
				require.NoError(t, err, "%s", output)

				got = outside(t, own, "", "plugin", "test", ".", "--exact")
				require.Equal(t, exitOK, got.code, got.out+got.err)
				got = outside(t, own, "", "plugin", "inspect", ".")
				require.Equal(t, exitOK, got.code, got.err)
				require.Contains(t, got.out, "names      function names")
			}
		})
	}
}

func TestNewOverwritesNothing(t *testing.T) {
	dir := bench(t, nil)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "taken"), []byte("x"), 0o600))
	for _, name := range []string{"taken", "first"} {
		if name == "first" {
			require.Equal(t, exitOK, outside(t, dir, "", "plugin", "new", name, "--lang", "c").code)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name, "plugin.c"), []byte("mine"), 0o600))
		}
		got := outside(t, dir, "", "plugin", "new", name, "--lang", "c")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.err, name+" is there already; nothing was changed")
	}
	text, err := os.ReadFile(filepath.Join(dir, "first", "plugin.c"))
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	got := outside(t, dir, "", "plugin", "new", "no/such/place", "--lang", "c")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "no such file or directory")
	got = outside(t, dir, "", "plugin", "new", filepath.Join(dir, "elsewhere"), "--lang", "go")
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "- name: elsewhere\n")
}

func TestWhatNewWritesHasTheNameAndTheFormOfItsLanguage(t *testing.T) {
	for _, language := range sdk.Languages() {
		for _, kind := range sdk.Kinds() {
			files, err := sdk.Plugin{Name: "some-name", Language: language, Kind: kind}.Files()
			require.NoError(t, err)
			require.Contains(t, string(files["README.md"]), "# some-name\n")
			require.Contains(t, files, "Makefile")
			require.Contains(t, files, "vectors/"+kind+".json")
			sources := 0
			for name, text := range files {
				require.NotContains(t, string(text), "{{.", name)
				require.False(t, strings.HasSuffix(name, "_test.go"), name)
				if strings.HasPrefix(name, "sdk/") {
					sources++
				}
				if strings.HasSuffix(name, ".go") {
					formatted, err := format.Source(text)
					require.NoError(t, err, name)
					require.Equal(t, string(formatted), string(text), name)
				}
			}
			require.NotZero(t, sources, "%s has no copy of its SDK", language)
		}
	}
}

// TestANewPluginIsSwappedIntoARunningEngine adds a new plugin to a configuration as new says, changes it while the engine
// serves, and swaps.
func TestANewPluginIsSwappedIntoARunningEngine(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("clang-19 is not installed; .ci/setup does that")
	}
	dir := bench(t, nil)
	require.Equal(t, exitOK, outside(t, dir, "", "plugin", "new", "greet", "--lang", "c").code)
	own := filepath.Join(dir, "greet")
	build := func() {
		cmd := exec.CommandContext(t.Context(), "make", "-C", own)
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", output)
	}
	build()
	config := filepath.Join(dir, "wse.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`plugins:
  - name: greet
    kinds: [transform]
    path: greet/plugin.wasm
    bind: [Greeting]
    vectors: greet/vectors
  - {name: topicauth, path: "stock:topicauth"}
`), 0o600))
	e := serve(t, "--config", config, "--set", "lifecycle.watch=false")
	tail := start(t, e.with("tail", "public:greetings")...)
	tail.until("subscribed")
	greeting := e.with("event", "Greeting", "--user", "u1", "--payload", `{"text":"hi"}`)
	require.Equal(t, exitOK, once(t, "", greeting...).code)
	require.Equal(t, 5, decode(t, tail.until(`"t":`)).Pri)

	source := filepath.Join(own, "plugin.c")
	text, err := os.ReadFile(source)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(source, []byte(strings.Replace(string(text), "priority = 5", "priority = 7", 1)), 0o600))
	build()
	swap := e.with("plugin", "swap", "greet", filepath.Join(own, "plugin.wasm"))
	refused := once(t, "", swap...)
	require.Equal(t, exitFailed, refused.code, "the vectors still want the old priority")
	require.Contains(t, refused.err, "vectors")
	require.Contains(t, refused.err, "pri: want 5, got 7")

	vectors := filepath.Join(own, "vectors", "transform.json")
	text, err = os.ReadFile(vectors)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(vectors, []byte(strings.ReplaceAll(string(text), `"pri": 5`, `"pri": 7`)), 0o600))
	require.Equal(t, exitOK, outside(t, own, "", "plugin", "test", ".").code)
	got := once(t, "", swap...)
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, exitOK, once(t, "", greeting...).code)
	require.Equal(t, 7, decode(t, tail.until(`"t":`)).Pri, "the next event, on the same connection")
}

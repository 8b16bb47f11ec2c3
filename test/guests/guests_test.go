//go:build !race

// The race detector makes compiling a guest in Go take a minute, and finds nothing here: each guest belongs to one
// goroutine. .ci/test runs this package without it, and looks for its summary.

package guests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
	"github.com/wse-engine/wse/sdk"
	"github.com/wse-engine/wse/sdk/tck"
)

const (
	root = "../.."
	rust = "rust"
)

// tools are the languages, with what .ci/setup calls their tools.
var tools = map[string]string{"go": "go", "assemblyscript": "node", "c": "clang", rust: rust, "wat": "wabt"}

// noRust is why guests in Rust are left out; empty where they are not. Rust is the one language whose compiler cannot be
// had everywhere.
var noRust string

func TestMain(m *testing.M) {
	plugin.CompileChildMain() // does not return where this process was started to compile a plugin
	for _, tool := range tools {
		out, err := exec.Command(filepath.Join(root, ".ci/setup"), tool).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "guests: .ci/setup %s: %v\n%s", tool, err, out)
			os.Exit(1)
		}
		if tool == rust && bytes.Contains(out, []byte("not built")) {
			noRust = strings.TrimSpace(string(out))
			fmt.Fprintf(os.Stderr, "guests: NOTHING IN RUST IS TESTED: %s\n", noRust)
		}
	}
	// npm once, before two builds in AssemblyScript could do it at the same time.
	if out, err := exec.Command("make", "-s", "-C", filepath.Join(root, "sdk/assemblyscript/tck"), "../node_modules/.package-lock.json").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "guests: npm ci in sdk/assemblyscript: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if err := summarize(); err != nil {
		fmt.Fprintln(os.Stderr, "guests:", err)
		code = 1
	}
	os.Exit(code)
}

// built is how many guests were built and run.
var built atomic.Int32

// summarize leaves what ran where .ci/test looks for it.
func summarize() error {
	file := os.Getenv("WSE_GUESTS_SUMMARY")
	if file == "" {
		return nil
	}
	text := fmt.Sprintf("guests: %d built from source and run\n", built.Load())
	if noRust != "" {
		text += "guests: NOTHING IN RUST WAS TESTED: " + noRust + "\n"
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

// languages are those to be tested here, in their order.
func languages() []string {
	var names []string
	for name := range tools {
		if name != rust || noRust == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// making has a lock for each directory, by its name: more than one test wants the guest of some, and makes it anew.
var making sync.Map

// build makes the guest of a directory, with settings for make, and reads it.
func build(t testing.TB, dir string, settings ...string) []byte {
	t.Helper()
	lock, _ := making.LoadOrStore(filepath.Clean(dir), new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	wasm := filepath.Join(dir, "plugin.wasm")
	require.NoError(t, os.RemoveAll(wasm))
	out, err := exec.CommandContext(t.Context(), "make", append([]string{"-s", "-C", dir}, settings...)...).CombinedOutput()
	require.NoError(t, err, "make -C %s:\n%s", dir, out)
	return read(t, wasm)
}

func read(t testing.TB, wasm string) []byte {
	t.Helper()
	module, err := os.ReadFile(wasm)
	require.NoError(t, err)
	built.Add(1)
	return module
}

// open makes a module ready in a workbench of its own.
func open(t *testing.T, name string, module []byte) *plugin.Workpiece {
	t.Helper()
	p, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(),
		plugin.Specimen{Name: name, Module: module, Answer: ingest.NewAnswer(ingest.DefaultConfig())})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// examples builds and opens one example plugin in every language that it is written in.
func examples(t *testing.T, name string) map[string]*plugin.Workpiece {
	t.Helper()
	guests := make(map[string]*plugin.Workpiece)
	for _, language := range languages() {
		dir := filepath.Join(root, "examples/plugins", name, language)
		if _, err := os.Stat(dir); err != nil && name == "breakout" {
			continue // of a strategy one language is enough
		}
		guests[language] = open(t, name+"/"+language, build(t, dir))
	}
	return guests
}

// hooks are what each example exports, and nothing else of the ABI.
func hooks(name string) []string {
	return map[string][]string{"fills": {vector.Transform, vector.TransformBatch}, "desk": {vector.Authorize}, "breakout": {vector.Validate, vector.Strategy}}[name]
}

func TestExamplesAnswerTheirVectorsAlikeInEveryLanguage(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fills", "desk", "breakout"} {
		t.Run(name, func(t *testing.T) {
			vectors, err := vector.Read(filepath.Join(root, "examples/plugins", name, "vectors"))
			require.NoError(t, err)
			guests := examples(t, name)
			require.NotEmpty(t, guests)
			for language, p := range guests {
				require.ElementsMatch(t, hooks(name), p.Hooks(), language)
			}
			for _, v := range vectors {
				exact := v.Exact()
				t.Run(v.Name, func(t *testing.T) { answered(t, guests, &exact) })
			}
			for seed, v := range vectors {
				if v.Hook != vector.Configure && v.Hook != vector.Strategy && v.Hook != vector.TransformBatch && v.Config == nil && v.Pad == 0 {
					agree(t, guests, &v, uint64(seed))
				}
			}
		})
	}
}

// answered requires of every guest what a vector wants, twice, and error texts as a whole.
func answered(t *testing.T, guests map[string]*plugin.Workpiece, v *vector.Vector) {
	t.Helper()
	for language, p := range guests {
		got, err := p.Check(v)
		require.NoError(t, err, language)
		if v.Want == vector.Error { // of which a vector compares a part
			require.Equal(t, v.Error, got.Error, language)
		}
		if v.Hook != vector.Configure {
			_, err = p.Check(v)
			require.NoError(t, err, "%s: called again on the same instance", language)
		}
	}
}

// agree changes a vector's document in ways that nobody thought of, and requires the same of all guests.
func agree(t *testing.T, guests map[string]*plugin.Workpiece, v *vector.Vector, seed uint64) {
	t.Helper()
	const hostile = "\x00\"\\{}[]:,*0-.eu \n\x1f"
	whole := v.Document()
	if len(whole) == 0 || len(whole) > 2000 {
		return
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for range 12 {
		doc := bytes.Clone(whole)
		at := r.IntN(len(doc))
		switch r.IntN(4) {
		case 0:
			doc = doc[:at]
		case 1:
			doc[at] = hostile[r.IntN(len(hostile))]
		case 2:
			doc = slices.Delete(doc, at, at+1)
		default:
			from := r.IntN(len(whole))
			doc = slices.Insert(doc, at, whole[from:min(from+1+r.IntN(12), len(whole))]...)
		}
		same(t, guests, v.Hook, doc)
	}
}

func same(t *testing.T, guests map[string]*plugin.Workpiece, hook string, doc []byte) {
	t.Helper()
	var first *plugin.Called
	for _, language := range languages() {
		if guests[language] == nil {
			continue // an example of fewer languages
		}
		got, err := guests[language].Call(hook, doc)
		require.NoError(t, err)
		require.NotContains(t, []string{vector.Trap, vector.Fuel}, got.Said, "%s: %q: %s", language, doc, got.Error)
		got.Time, got.Fuel, got.MemoryBytes = 0, 0, 0
		if first == nil {
			first = &got
		}
		require.Equal(t, *first, got, "%s and those before: %q", language, doc)
	}
}

func TestSDKsPassTheCompatibilityKit(t *testing.T) {
	t.Parallel()
	for _, language := range languages() {
		t.Run(language, func(t *testing.T) {
			module := build(t, filepath.Join(root, "sdk", language, "tck"))
			specimen := plugin.Specimen{Name: language, Module: module, Answer: ingest.NewAnswer(ingest.DefaultConfig())}
			passed := 0
			err := tck.Run(t.Context(), plugin.NewWorkbench(t.TempDir()), specimen, func(o tck.Outcome) {
				if o.Err != nil {
					t.Errorf("%s: %v", o.Name, o.Err)
				}
				passed++
			})
			require.NoError(t, err)
			require.Greater(t, passed, 200)
		})
	}
}

// TestThePluginOfAnSDKsPageIsBuiltAsItSays puts the page's plugin into the directory that wse plugin new makes.
func TestThePluginOfAnSDKsPageIsBuiltAsItSays(t *testing.T) {
	t.Parallel()
	for _, page := range []struct{ language, fence, source string }{{"go", "go", "plugin.go"}, {"assemblyscript", "ts", "plugin.ts"},
		{"c", "c", "plugin.c"}, {rust, "rust", "plugin.rs"}, {"wat", "wat", "plugin.wat"}} {
		if !slices.Contains(languages(), page.language) {
			continue
		}
		t.Run(page.language, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, "sdk", page.language, "README.md"))
			require.NoError(t, err)
			_, code, ok := strings.Cut(string(text), "```"+page.fence+"\n")
			require.True(t, ok)
			code, _, ok = strings.Cut(code, "```\n")
			require.True(t, ok)
			files, err := sdk.Plugin{Name: "ping", Language: page.language, Kind: "transform"}.Files()
			require.NoError(t, err)
			require.Contains(t, files, page.source)
			files[page.source] = []byte(code)
			dir := t.TempDir()
			for name, content := range files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
			}
			tools, err := filepath.Abs(filepath.Join(root, "sdk", page.language)) // has the compiler from npm already
			require.NoError(t, err)
			guests := map[string]*plugin.Workpiece{page.language: open(t, "ping", build(t, dir, "SDK="+tools))}
			input, answer := `{"type":"P\u0069ng","payload":{},"user_id":"u1"}`, `{"t":"pinged","topic":"user:u1:events","p":{}}`
			answered(t, guests, &vector.Vector{Hook: vector.Transform, InputText: &input, Expect: vector.Expect{Want: vector.Data, DataText: &answer}})
			other := `{"type":"Pong","payload":{}}`
			answered(t, guests, &vector.Vector{Hook: vector.Transform, InputText: &other, Expect: vector.Expect{Want: vector.Yes}})
		})
	}
}

// TestAGuestInGoAllocatesNothing counts inside WebAssembly, where the compiler and the runtime are other ones.
func TestAGuestInGoAllocatesNothing(t *testing.T) {
	t.Parallel()
	wasm := filepath.Join(t.TempDir(), "allocs.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-o", wasm, "./testdata/allocs")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(), plugin.Specimen{Name: "allocs", Module: read(t, wasm)})
	require.NoError(t, err)
	defer p.Close()
	doc := []byte(`{"text":"caf\u00e9 \"x\"","li\u0073t":[1,-22,"x"],"other":{"a":[true,null]}}`)
	batch := vector.AppendBatch(nil, [][]byte{doc, doc, doc})
	call := func(hook string, doc []byte) string {
		got, err := p.Call(hook, doc)
		require.NoError(t, err)
		require.Equal(t, vector.Data, got.Said, got.Error)
		return string(got.Data)
	}
	call(vector.Transform, doc) // takes the buffers
	call(vector.TransformBatch, batch)
	before := call(vector.Transform, []byte(`{"count":1}`))
	for range 1000 {
		call(vector.Transform, doc)
		call(vector.TransformBatch, batch)
	}
	require.Equal(t, before, call(vector.Transform, []byte(`{"count":1}`)))
}

package plugin_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// openFile loads a module of testdata as a stranger's: it is compiled in a child process.
func openFile(t *testing.T, name string) *plugin.Host {
	f := newFixture(t)
	path, err := filepath.Abs("testdata/" + name)
	require.NoError(t, err)
	return f.open(t, plugin.Config{Name: "bad", Path: path})
}

func TestTrap_tells_functions_and_source_lines_of_a_module_with_debug_information(t *testing.T) {
	const hook = "\twse_transform(i32) i64\n\t\t"
	for _, c := range []struct{ module, doc, want string }{
		{"trap-O0.wasm", "d", "unreachable in deep at trap.c:14:5\n\tdeep(i32) i32\n\t\ttrap.c:14:5\n\tdeep(i32) i32\n\t\ttrap.c:15:10\n" +
			"\tdeep(i32) i32\n\t\ttrap.c:15:10\n" + hook + "trap.c:39:12"},
		{"trap-O0.wasm", "z", "integer divide by zero in divide at trap.c:20:14\n\tdivide(i32,i32) i32\n\t\ttrap.c:20:14\n" + hook + "trap.c:41:12"},
		{"trap-O0.wasm", "f", "used more than 10000000 units in forever at trap.c:23\n\tforever() i64\n\t\ttrap.c:23\n" + hook + "trap.c:43:12"},
		{"trap-O0.wasm", "o", "out of bounds memory access in outside at trap.c:29:10\n\toutside(i32) i32\n\t\ttrap.c:29:10\n" + hook + "trap.c:45:12"},
		{"trap-O2.wasm", "d", "unreachable in deep at trap.c:14:5\n\tdeep()\n\t\ttrap.c:14:5\n" + hook + "trap.c:39:12"},
		{"trap-O2.wasm", "z", "integer divide by zero in wse_transform at trap.c:20:14 (divide, inlined)\n" + hook +
			"trap.c:20:14 (divide, inlined)\n\t\ttrap.c:41:12"},
		{"trap-O2.wasm", "f", "used more than 10000000 units in forever at trap.c:23\n\tforever()\n\t\ttrap.c:23\n" + hook + "trap.c:43:12"},
		{"trap-O2.wasm", "o", "out of bounds memory access in outside at trap.c:29:10\n\toutside(i32) i32\n\t\ttrap.c:29:10\n" + hook + "trap.c:45:12"},
	} {
		t.Run(c.module+" "+c.doc, func(t *testing.T) {
			_, _, err := transform(t, openFile(t, c.module), "E", c.doc)
			require.Equal(t, c.want, callError(t, err).Text)
		})
	}
}

func TestTrap_tells_what_a_Go_runtime_printed(t *testing.T) {
	f := newFixture(t)
	cfg := plugin.Config{Name: "bad", Path: plugin.BuildGo(t, "gopanic")}
	cfg.Limits.CompileTimeout = 5 * time.Minute // a child with the race detector takes its time
	h := f.open(t, cfg)
	_, _, err := transform(t, h, "E", "\x05 ")
	text := callError(t, err).Text
	first, rest, _ := strings.Cut(text, "\n")
	require.Equal(t, "panic: runtime error: index out of range [65541] with length 65536 (unreachable)", first)
	stack, said, _ := strings.Cut(rest, "the guest said:\n")
	require.Contains(t, stack, "\tmain.level(i32) i32\n\tmain.transform(i32) i32\n\twse_transform(i32) i64\n")
	require.Regexp(t, `(?m)^\tgoroutine 1 \[running\]:\n\tmain\.level\(0x0\)\n\t\t.*/gopanic/main\.go:17 `, said)
	_, _, err = transform(t, h, "E", "x")
	require.True(t, strings.HasPrefix(callError(t, err).Text, "panic: x (unreachable)\n"), "what an earlier call said is forgotten")
}

// speaking is a transform plugin that logs its document, prints it to stderr without an end of line, and traps.
func speaking() w.Module {
	m := w.Plugin(w.Module{
		Imports: []w.Import{{Module: "wse", Name: "log", Params: i32s(3)}, wasi("fd_write", 4)},
		Funcs: []w.Func{w.Hook("wse_transform", w.I32Const(2), w.I32Const(w.Buffer), w.LocalGet(0), w.Call(0),
			w.I32Const(16), w.LocalGet(0), []byte{0x36, 2, 0}, // the length into the list of what to print
			w.I32Const(2), w.I32Const(12), w.I32Const(1), w.I32Const(32), w.Call(1), []byte{0x1a, 0x00})},
		Data: []w.Data{{At: 12, Bytes: []byte{0, 0, 1, 0}}}, // Buffer
	})
	return m
}

func TestTrap_tells_what_the_guest_said_in_the_call_and_why_it_ended(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "bad", speaking())
	cfg.Limits.BreakerTraps = 1000
	h := f.open(t, cfg)
	const bare = "unreachable in wse_transform\n\twse_transform(i32) i64"
	for _, c := range []struct{ name, doc, want string }{
		{"nothing", "", bare},
		{"a line logged, and one printed without an end", "hello", bare + "\nthe guest said:\n\thello\n\thello"},
		{"no control characters", "a\x00b\x1b[2J", bare + "\nthe guest said:\n\ta b [2J\n\ta b [2J"},
		{"a panic", "panic: boom", "panic: boom (unreachable)\n\twse_transform(i32) i64\nthe guest said:\n\tpanic: boom\n\tpanic: boom"},
		{"a panic of Rust", "thread 'main' panicked at src/lib.rs:3:5:\nboom",
			"thread 'main' panicked at src/lib.rs:3:5: boom (unreachable)\n\twse_transform(i32) i64\nthe guest said:\n" +
				"\tthread 'main' panicked at src/lib.rs:3:5:\n\tboom\n\tthread 'main' panicked at src/lib.rs:3:5:\n\tboom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := transform(t, h, "E", c.doc)
			require.Equal(t, c.want, callError(t, err).Text)
		})
	}
	t.Run("at most so much", func(t *testing.T) {
		_, _, err := transform(t, h, "E", strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)+"last")
		text := callError(t, err).Text
		require.Less(t, len(text), 3000)
		require.True(t, strings.HasSuffix(text, "x\n\tlast"), text)
	})
}

func TestTrap_of_an_abort_is_its_message_and_its_place_where_it_has_one(t *testing.T) {
	for _, c := range []struct {
		name       string
		file, line int64
		want       string
	}{
		{"AssemblyScript", 2064, 7, "abort: hi at a.ts:7:8"},
		{"Rust, whose message tells the place", 0, 0, "abort: hi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			m := imported(w.Import{Module: "env", Name: "abort", Params: i32s(4)},
				w.I32Const(2052), w.I32Const(c.file), w.I32Const(c.line), w.I32Const(8), w.Call(0), w.I64Const(1))
			m.Data = []w.Data{{At: 2048, Bytes: []byte("\x04\x00\x00\x00h\x00i\x00")}, {At: 2060, Bytes: []byte("\x08\x00\x00\x00a\x00.\x00t\x00s\x00")}}
			_, _, err := transform(t, f.open(t, f.add(t, "x", m)), "E", "")
			first, _, _ := strings.Cut(callError(t, err).Text, "\n")
			require.Equal(t, c.want, first)
		})
	}
}

func TestTrap_of_a_module_whose_debug_information_is_rubbish_tells_its_functions(t *testing.T) {
	m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", []byte{0x00})}})
	for _, name := range []string{".debug_info", ".debug_abbrev", ".debug_line", ".debug_str"} {
		m.Custom = append(m.Custom, w.Section(0, append(w.Text(nil, name), strings.Repeat("\xff\x01\x00\x80", 100)...)...)...)
	}
	f := newFixture(t)
	cfg := f.add(t, "bad", m)
	cfg.Path = "bad" // a stranger's, so that its debug information is read
	_, _, err := transform(t, f.open(t, cfg), "E", "")
	require.Equal(t, "unreachable in wse_transform\n\twse_transform(i32) i64", callError(t, err).Text)
}

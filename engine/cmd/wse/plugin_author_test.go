package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// outside runs the program itself, in a directory, as an author does.
func outside(t *testing.T, dir, stdin string, args ...string) ran {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}

const (
	guestEnvelope = `{"t":"x","topic":"public:x","p":{}}`
	guestVerdict  = `{"allow":true,"ttl_s":60}`
)

// guest answers transform with an envelope, authorize with a verdict, validate with a trap in a function with a name, and a
// batch of two with two answers.
func guest() w.Module {
	const batch = "\x02\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x03\x00\x00\x00\x02\x00\x00\x00no"
	m := w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", w.Pack(1024, len(guestEnvelope))), w.Hook("wse_authorize", w.Pack(1100, len(guestVerdict))),
			w.Hook("wse_validate", w.Call(3), w.I64Const(0)), {Name: "the_culprit", Code: []byte{0x00}},
			w.Hook("wse_transform_batch", w.Pack(1200, len(batch)))},
		Data: []w.Data{{At: 1024, Bytes: []byte(guestEnvelope)}, {At: 1100, Bytes: []byte(guestVerdict)}, {At: 1200, Bytes: []byte(batch)}},
	})
	return m
}

// only is a plugin with one transform hook.
func only(code ...[]byte) w.Module {
	return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", code...)}})
}

// bench makes a directory with modules in it, and a cache that no other test uses.
func bench(t *testing.T, modules map[string]w.Module) string {
	t.Helper()
	dir := t.TempDir()
	if cache, err := os.UserCacheDir(); err == nil && os.Getenv("GOCACHE") == "" {
		t.Setenv("GOCACHE", filepath.Join(cache, "go-build")) // a cold one makes building plugins in Go slow
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	for name, m := range modules {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), m.Bytes(), 0o600))
	}
	return dir
}

func TestInspectAdmitsAndDescribes(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest()})
	for _, name := range []string{"plugin.wasm", "."} {
		got := outside(t, dir, "", "plugin", "inspect", name)
		require.Equal(t, exitOK, got.code, got.err)
		require.Empty(t, got.err)
		for _, part := range []string{"plugin.wasm, ", "abi        1\n", "hooks      transform, authorize, validate, transform_batch\n",
			"imports    none\n", "memory     ", "names      function names\n", "verdict    admitted; ready in "} {
			require.Contains(t, got.out, part)
		}
	}
	got := outside(t, dir, "", "plugin", "inspect", "plugin.wasm", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var r plugin.Report
	require.NoError(t, json.Unmarshal([]byte(got.out), &r))
	require.True(t, r.Admitted)
	require.Equal(t, []string{"transform", "authorize", "validate", "transform_batch"}, r.Hooks)

	got = outside(t, dir, "", "plugin", "inspect", "stock:mapping")
	require.Equal(t, exitOK, got.code, got.err)
}

func TestInspectExitsWith1AndTheReasonForWhatTheEngineRefuses(t *testing.T) {
	noABI := w.Module{Pages: 1}
	dir := bench(t, map[string]w.Module{
		"noabi.wasm":   noABI,
		"import.wasm":  w.Plugin(w.Module{Imports: []w.Import{{Module: "env", Name: "system"}}, Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}),
		"loops.wasm":   only(bytes.Repeat([]byte{0x03, 0x40}, 100), bytes.Repeat([]byte{0x0b}, 100), w.I64Const(1)),
		"memory.wasm":  w.Plugin(w.Module{Pages: 300, Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}),
		"type.wasm":    only(w.I32Const(1)),
		"endless.wasm": w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1)), {Export: "_initialize", Code: w.Loop(w.Br(0))}}}),
		"fine.wasm":    only(w.I64Const(1)),
	})
	for name, text := range map[string]string{"text.wasm": "hello", "empty.wasm": "", "cut.wasm": string(guest().Bytes()[:60]), "component.wasm": "\x00asm\x0d\x00\x01\x00"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("a: 1\n"), 0o600))
	for _, tt := range []struct{ args, step, why string }{
		{"noabi.wasm", "exports", "this is no plugin"},
		{"import.wasm", "imports", "imports env.system"},
		{"loops.wasm", "scan", "loop"},
		{"memory.wasm", "scan", "memory_mib"},
		{"memory.wasm --memory-mib 20", "", ""},
		{"type.wasm", "compile", "cannot use i32 as result"},
		{"endless.wasm", "initialize", "fuel_init"},
		{"fine.wasm --config config.yaml", "configure", "does not export wse_configure"},
		{"text.wasm", "scan", "no WebAssembly module"},
		{"empty.wasm", "scan", "no WebAssembly module"},
		{"cut.wasm", "scan", "are left"},
		{"component.wasm", "scan", "this is a component"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := outside(t, dir, "", append([]string{"plugin", "inspect"}, strings.Fields(tt.args)...)...)
			if tt.step == "" {
				require.Equal(t, exitOK, got.code, got.err)
				return
			}
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.err, "the engine would refuse it: "+tt.step+": ")
			require.Contains(t, got.err, tt.why)
			require.Contains(t, got.out, "verdict    refused at step "+tt.step+": ")

			got = outside(t, dir, "", append([]string{"plugin", "inspect", "--json"}, strings.Fields(tt.args)...)...)
			require.Equal(t, exitFailed, got.code)
			var r plugin.Report
			require.NoError(t, json.Unmarshal([]byte(got.out), &r))
			require.False(t, r.Admitted)
			require.Equal(t, plugin.Step(tt.step), r.Step)
		})
	}
}

func TestRunPrintsTheAnswerAndWhatItTook(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest(), "one.wasm": only(w.I64Const(1))})
	got := outside(t, dir, "{}\n", "plugin", "run", "plugin.wasm", "--hook", "transform")
	require.Equal(t, exitOK, got.code, got.err)
	require.Regexp(t, `^result     data\n`+guestEnvelope+`\nfuel       \d+\ntime       \S+\nmemory     256 KiB\n$`, got.out)

	got = outside(t, dir, "{}", "plugin", "run", "one.wasm")
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "result     yes\n")

	got = outside(t, dir, "{}", "plugin", "run", ".", "--hook", "authorize", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var c called
	require.NoError(t, json.Unmarshal([]byte(got.out), &c))
	require.Equal(t, "data", c.Result)
	require.JSONEq(t, guestVerdict, string(c.Data))
	require.Positive(t, c.Fuel)
	require.Positive(t, c.NS)

	got = outside(t, dir, `[{"a":1},{}]`, "plugin", "run", ".", "--hook", "transform_batch")
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "result     data, 2 answers\nresult     yes\nresult     error: no\n")
	got = outside(t, dir, `[{"a":1},{}]`, "plugin", "run", ".", "--hook", "transform_batch", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	c = called{}
	require.NoError(t, json.Unmarshal([]byte(got.out), &c))
	require.Len(t, c.Answers, 2)
	require.Equal(t, "no", c.Answers[1].Error)
}

func TestRunExitsWith1AndSaysWhichWhenTheGuestGivesNoAnswer(t *testing.T) {
	failing := only(w.I64Const(-1<<63 | 1024<<32 | 3))
	failing.Data = []w.Data{{At: 1024, Bytes: []byte("bad")}}
	wrong := only(w.Pack(1024, 2))
	wrong.Data = []w.Data{{At: 1024, Bytes: []byte("{}")}}
	spinning := only(w.Call(1), w.I64Const(1))
	spinning.Funcs = append(spinning.Funcs[:1:1], append([]w.Func{{Name: "the_wheel", Code: w.Loop(w.Br(0))}}, spinning.Funcs[1:]...)...)
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest(), "failing.wasm": failing, "wrong.wasm": wrong, "spinning.wasm": spinning, "breach.wasm": only(w.I64Const(7))})
	for _, tt := range []struct {
		args string
		says []string
	}{
		{"plugin.wasm --hook validate", []string{"plugin.wasm: validate: trap: unreachable", "the_culprit"}},
		{"spinning.wasm --fuel 5000", []string{"spinning.wasm: transform: fuel: used more than 5000 units", "the_wheel"}},
		{"failing.wasm", []string{"failing.wasm: transform: error: bad"}},
		{"wrong.wasm", []string{"wrong.wasm: transform: violation: the answer of wse_transform"}},
		{"breach.wasm", []string{"breach.wasm: transform: violation: wse_transform returned 0x7"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := outside(t, dir, "{}", append([]string{"plugin", "run"}, strings.Fields(tt.args)...)...)
			require.Equal(t, exitFailed, got.code)
			for _, part := range tt.says {
				require.Contains(t, got.err, part)
			}
			require.Contains(t, got.out, "fuel       ")
		})
	}
	got := outside(t, dir, strings.Repeat("x", 1<<20+1), "plugin", "run", "wrong.wasm")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "too_large: a document of 1048577 bytes")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text.wasm"), []byte("hello"), 0o600))
	got = outside(t, dir, "", "plugin", "run", "text.wasm")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "text.wasm: the engine would refuse it: scan: ")
}

const vectorsGood = `[{"name":"an envelope","hook":"transform","input":{},"want":"data","data":{"topic":"public:x","t":"x","p":{}}},
	{"name":"a trap","hook":"validate","input":{},"want":"trap","error":"the_culprit"}]`

func TestTestRunsVectorsAndTellsWhatDiffers(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest()})
	got := outside(t, dir, "", "plugin", "test", ".")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "there are no vectors beside it")

	vectors := filepath.Join(dir, "vectors")
	require.NoError(t, os.Mkdir(vectors, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(vectors, "good.json"), []byte(vectorsGood), 0o600))
	for _, name := range []string{".", "plugin.wasm", dir} {
		got = outside(t, dir, "", "plugin", "test", name)
		require.Equal(t, exitOK, got.code, got.err)
		require.Regexp(t, `plugin.wasm: 2 of 2 passed in \S+\n$`, got.out)
	}
	got = outside(t, dir, "", "plugin", "test", ".", "-v")
	require.Contains(t, got.out, "ok    an envelope (transform): data, fuel ")

	got = outside(t, dir, "", "plugin", "test", ".", "--exact")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.out, "FAIL  an envelope (transform)\n      the same JSON in other bytes, from byte 3 on:\n")
	require.Contains(t, got.out, "plugin.wasm: 1 of 2 passed")
	require.Contains(t, got.err, "plugin.wasm: 1 of 2 failed")

	bad := `[{"name":"another","hook":"transform","input":{},"want":"data","data":{"t":"y","topic":"public:x","p":{}},"fuel_max":1}]`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.json"), []byte(bad), 0o600))
	got = outside(t, dir, "", "plugin", "test", ".", "--vectors", "bad.json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.out, `t: want "y", got "x"`)
	require.Contains(t, got.out, "fuel_max is 1")
	got = outside(t, dir, "", "plugin", "test", ".", "--vectors", "bad.json", "--json")
	require.Equal(t, exitFailed, got.code)
	var sum tested
	require.NoError(t, json.Unmarshal([]byte(got.out), &sum))
	require.Equal(t, 1, sum.Failed)
	require.Contains(t, sum.Results[0].Difference, `t: want "y", got "x"`)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.json"), []byte(`[{"name":"x","hook":"transform","input":{},"want":"ja"}]`), 0o600))
	got = outside(t, dir, "", "plugin", "test", ".", "--vectors", "bad.json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, `bad.json: vector 1 "x": want "ja" is none of`)

	got = outside(t, dir, "", "plugin", "test", ".", "--tck")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.out, "FAIL  drop (transform)\n      want no\n")
}

func TestBenchMeasuresAgainstTheFloor(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest(), "trap.wasm": only([]byte{0x00})})
	got := outside(t, dir, "{}", "plugin", "bench", "plugin.wasm", "--hook", "transform", "--time", "20ms")
	require.Equal(t, exitOK, got.code, got.err)
	require.Regexp(t, `^ +min ns +median ns +× floor +fuel +bytes in +bytes out\n +\d+ +\d+ +\d+\.\d\d +\d+ +2 +35  standard input \(transform\)\n$`, got.out)

	require.NoError(t, os.Mkdir(filepath.Join(dir, "vectors"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vectors", "good.json"), []byte(vectorsGood), 0o600))
	got = outside(t, dir, "", "plugin", "bench", ".", "--json", "--time", "20ms")
	require.Equal(t, exitOK, got.code, got.err)
	var all struct{ Results []measured }
	require.NoError(t, json.Unmarshal([]byte(got.out), &all))
	require.Len(t, all.Results, 1, "the vector that wants a trap is not measured")
	require.Positive(t, all.Results[0].MinNS)
	require.Positive(t, all.Results[0].FloorNS)
	require.LessOrEqual(t, all.Results[0].MinNS, all.Results[0].MedianNS)

	got = outside(t, dir, "{}", "plugin", "bench", "trap.wasm", "--time", "20ms")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "trap.wasm: standard input: trap: unreachable")
}

func TestAuthorsCommandsUsedWronglyExitWith2(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest()})
	for _, tt := range []struct{ args, says string }{
		{"inspect", "FILE is missing"},
		{"inspect a b", `"b" is one argument too many`},
		{"inspect plugin.wasm --fuel -1", "limits.fuel: -1 must be between 0"},
		{"inspect plugin.wasm --memory-mib 5000", "limits.memory_mib: 5000"},
		{"run plugin.wasm", "--hook is missing; the module has transform, validate, authorize, transform_batch"},
		{"run plugin.wasm --hook strategy_open", "the module does not export strategy_open"},
		{"run plugin.wasm --hook transform_batch", "takes a JSON array of documents"},
		{"test", "DIR|FILE is missing"},
		{"test plugin.wasm --tck --exact --vectors x", "the kit has vectors"},
		{"bench plugin.wasm --time 1ns", "--time: 1ns"},
		{"new", "NAME is missing"},
		{"new x", "--lang is missing"},
		{"new x --lang cobol", `language "cobol" is none of`},
		{"new x --lang go --kind magic", `kind "magic" is none of transform`},
		{"new Big --lang go", "small letters"},
		{"new .. --lang go", "small letters"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := outside(t, dir, "", append([]string{"plugin"}, strings.Fields(tt.args)...)...)
			require.Equal(t, exitUsage, got.code, got.err)
			require.Empty(t, got.out)
			require.Contains(t, got.err, tt.says)
			require.Contains(t, got.err, "See: wse plugin")
		})
	}
}

func TestAuthorsCommandsNameAFileThatCannotBeRead(t *testing.T) {
	dir := bench(t, nil)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "big.wasm"), nil, 0o600))
	require.NoError(t, os.Truncate(filepath.Join(dir, "big.wasm"), moduleMiBMax<<20+1))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "blank.yaml"), []byte(" \n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("a: [\n"), 0o600))
	for _, tt := range []struct{ args, says string }{
		{"inspect none.wasm", "none.wasm: no such file"},
		{"run empty", "empty holds no plugin.wasm; build it first (make -C empty)"},
		{"inspect big.wasm", "big.wasm has more than 64 MiB"},
		{"inspect stock:none", `there is no stock plugin "none"; there are mapping, strategy, topicauth, validator`},
		{"test stock:mapping --config none.yaml", "none.yaml: no such file"},
		{"inspect stock:mapping --config blank.yaml", "blank.yaml is empty"},
		{"inspect stock:mapping --config bad.yaml", "bad.yaml: "},
		{"inspect /dev/null", "/dev/null is no regular file"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := outside(t, dir, "", append([]string{"plugin"}, strings.Fields(tt.args)...)...)
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.err, tt.says)
			require.Empty(t, got.out)
		})
	}
}

func TestACompiledModuleIsKeptInTheUsersCache(t *testing.T) {
	dir := bench(t, map[string]w.Module{"plugin.wasm": guest()})
	got := outside(t, dir, "", "plugin", "inspect", ".")
	require.Equal(t, exitOK, got.code, got.err)
	cache := filepath.Join(dir, "cache", "wse", "plugins", "cache")
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	info, err := os.Stat(cache)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)

	require.NoError(t, os.Chmod(cache, 0o777))
	got = outside(t, dir, "", "plugin", "inspect", ".")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "may be written to by others")
}

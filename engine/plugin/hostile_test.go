package plugin_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// forever is a loop without an end.
func forever() []byte { return w.Loop(w.Br(0)) }

func i32s(n int) []byte { return []byte(strings.Repeat(string(w.I32), n)) }

// imported returns a transform plugin that imports f and runs code, in which f is function 0.
func imported(f w.Import, code ...[]byte) w.Module {
	return w.Plugin(w.Module{Imports: []w.Import{f}, Funcs: []w.Func{w.Hook("wse_transform", code...)}})
}

func wasi(name string, params int) w.Import {
	return w.Import{Module: "wasi_snapshot_preview1", Name: name, Params: i32s(params), Results: []byte{w.I32}}
}

func TestLoad_refuses_with_step_and_reason(t *testing.T) {
	hook := w.Hook("wse_transform", w.I64Const(1))
	without := func(export string) w.Module {
		m := w.Plugin(w.Module{Funcs: []w.Func{hook}})
		for i, f := range m.Funcs {
			if f.Export == export {
				m.Funcs[i].Export = ""
			}
		}
		return m
	}
	with := func(f w.Func) w.Module { return w.Plugin(w.Module{Funcs: []w.Func{hook, f}}) }
	version2 := without("wse_abi_v1")
	version2.Funcs[1].Export = "wse_abi_v2"
	noMemory := w.Plugin(w.Module{Funcs: []w.Func{hook}})
	noMemory.Pages = 0
	smallBuffer := without("wse_buffer")
	smallBuffer.Funcs = append(smallBuffer.Funcs, w.Func{Export: "wse_buffer", Params: i32s(1), Results: i32s(1), Code: w.I32Const(4<<16 - 10)})
	noBuffer := without("wse_buffer")
	noBuffer.Funcs = append(noBuffer.Funcs, w.Func{Export: "wse_buffer", Params: i32s(1), Results: i32s(1), Code: w.I32Const(0)})
	starting := with(w.Func{Code: forever()})
	starting.Start = 2
	busy := imported(wasi("random_get", 2), w.I64Const(1))
	busy.Funcs = append(busy.Funcs, w.Func{Code: w.Loop(w.I32Const(0), w.I32Const(200_000), w.Call(0), []byte{0x1a}, w.Br(0))})
	busy.Start = len(busy.Funcs) + 1 // behind the import
	for _, c := range []struct {
		name string
		m    w.Module
		step plugin.Step
		want string
	}{
		{"no memory", noMemory, plugin.StepExports, `no memory of its own`},
		{"no ABI", without("wse_abi_v1"), plugin.StepExports, `does not export "wse_abi_v1"`},
		{"another ABI", version2, plugin.StepExports, "built for ABI version 2, this host speaks 1"},
		{"no buffer function", without("wse_buffer"), plugin.StepExports, `"wse_buffer"`},
		{"no hook", w.Plugin(w.Module{}), plugin.StepExports, "exports none of wse_transform"},
		{"a hook of the wrong type", with(w.Func{Export: "wse_authorize", Code: nil}), plugin.StepExports, "wse_authorize has type () -> (), it must be (i32) -> (i64)"},
		{"an unknown import", imported(w.Import{Module: "env", Name: "system"}, w.I64Const(1)), plugin.StepImports, "imports env.system"},
		{"an import of the wrong type", imported(w.Import{Module: "wse", Name: "log"}, w.I64Const(1)), plugin.StepImports, "imports wse.log as () -> (), the host offers (i32, i32, i32) -> ()"},
		{"too much memory", w.Plugin(w.Module{Pages: 300, Funcs: []w.Func{hook}}), plugin.StepScan, "memory_mib"},
		{"an operand of the wrong type", with(w.Func{Code: w.Cat(w.I64Const(1), []byte{0x45, 0x1a})}), plugin.StepCompile, "type mismatch"},
		{"a start function without end", starting, plugin.StepInstantiate, "used more than fuel_init"},
		{"a start function that keeps the host busy", busy, plugin.StepInstantiate, "fuel_init"},
		{"an _initialize without end", with(w.Func{Export: "_initialize", Code: forever()}), plugin.StepInitialize, "fuel_init"},
		{"a buffer refused", noBuffer, plugin.StepBuffer, "wse_buffer(65536) refused"},
		{"a buffer outside", smallBuffer, plugin.StepBuffer, "does not lie inside the memory"},
		{"a configuration refused", with(w.Hook("wse_configure", w.I64Const(0))), plugin.StepConfigure, "answered no instead of yes"},
		{"a configuration without end", with(w.Hook("wse_configure", forever(), w.I64Const(1))), plugin.StepConfigure, "fuel_init"},
		{"the host's own name", with(w.Func{Export: "wse:fuel"}), plugin.StepRewrite, "wse:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "bad", c.m)
			cfg.Limits.FuelInit = 1_000_000
			_, err := plugin.New(plugin.Configs{cfg}, f.deps())
			var le *plugin.LoadError
			require.ErrorAs(t, err, &le)
			require.Equal(t, c.step, le.Step, err)
			require.ErrorContains(t, err, "plugin/bad: "+string(c.step)+": ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestLoad_refuses_what_the_configuration_does_not_mean(t *testing.T) {
	f := newFixture(t)
	good := f.add(t, "good", returning("wse_transform", 1))
	for _, c := range []struct {
		name   string
		change func(*plugin.Config)
		want   string
	}{
		{"a wrong digest", func(c *plugin.Config) { c.SHA256 = strings.Repeat("0", 64) }, "good: digest: the module's SHA-256 is "},
		{"a kind it has not", func(c *plugin.Config) { c.Kinds = []plugin.Kind{plugin.Authorize} }, "wants kind authorize"},
		{"a config it does not read", func(c *plugin.Config) { c.Config = map[string]any{"a": 1} }, "does not export wse_configure"},
		{"a file that is not there", func(c *plugin.Config) { c.Path = "none.wasm" }, "good: read: "},
		{"a stock plugin that is not there", func(c *plugin.Config) { c.Path = "stock:none" }, `there is no stock plugin "none"`},
		{"a config file that is not there", func(c *plugin.Config) { c.ConfigFile = "none.yaml" }, "good: config: "},
		{"a file too large", func(c *plugin.Config) { c.Path, c.Limits.Scan.ModuleKiBMax = "large.wasm", 1 }, "more than 1 KiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(f.dir, "large.wasm"), make([]byte, 2048), 0o600))
			cfg := good
			c.change(&cfg)
			_, err := plugin.New(plugin.Configs{cfg}, f.deps())
			require.ErrorContains(t, err, c.want)
		})
	}
}

// What the host does for a guest takes its time as well, however little of it is to be seen in the end.
func TestCall_pays_for_what_the_host_does(t *testing.T) {
	const units = 50_000
	drop := []byte{0x1a}
	lines := make([]byte, 2000)
	for i := range lines {
		lines[i] = "x\n"[i%2]
	}
	vector := []byte{0, 16, 0, 0, 0xd0, 7, 0, 0} // 2000 bytes at 4096
	write := func(at, vectors int) w.Module {
		m := imported(wasi("fd_write", 4), w.I32Const(1), w.I32Const(int64(at)), w.I32Const(int64(vectors)), w.I32Const(0), w.Call(0), drop, w.I64Const(1))
		m.Data = append(m.Data, w.Data{At: 8, Bytes: vector}, w.Data{At: 4096, Bytes: lines})
		return m
	}
	many := func(f w.Import, n int, args ...[]byte) w.Module {
		return imported(f, bytes.Repeat(w.Cat(w.Cat(args...), w.Call(0)), n), w.I64Const(1))
	}
	value := []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}
	for name, m := range map[string]w.Module{
		"a thousand lines":     write(8, 1),
		"a thousand vectors":   write(20_000, 1000),
		"two hundred messages": many(w.Import{Module: "wse", Name: "log", Params: i32s(3)}, 200, w.I32Const(2), w.I32Const(4096), w.I32Const(1)),
		"two hundred counts":   many(w.Import{Module: "wse", Name: "metric", Params: []byte{w.I32, w.I32, w.F64}}, 200, w.I32Const(4096), w.I32Const(1), value),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "p", m)
			cfg.Limits.Fuel = units
			_, _, err := transform(t, f.open(t, cfg), "E", "{}")
			var ce *plugin.CallError
			require.ErrorAs(t, err, &ce)
			require.Equal(t, plugin.OutOfFuel, ce.Kind, err)
		})
	}
}

func TestCall_contains_what_a_guest_does(t *testing.T) {
	log := w.Import{Module: "wse", Name: "log", Params: i32s(3)}
	recursion := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.LocalGet(0), w.Call(0))}})
	bombs := w.Loop(w.I32Const(1), []byte{0x40, 0, 0x1a}, w.Br(0))
	hook := func(code ...[]byte) w.Module {
		return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", code...)}})
	}
	for _, c := range []struct {
		name string
		m    w.Module
		kind plugin.Failure
		want string
	}{
		{"loops", hook(forever(), w.I64Const(1)), plugin.OutOfFuel, "used more than"},
		{"recurses", recursion, plugin.OutOfFuel, "used more than"},
		{"grows its memory for ever", hook(bombs, w.I64Const(1)), plugin.OutOfFuel, "used more than"},
		{"logs for ever", imported(log, w.Loop(w.I32Const(2), w.I32Const(0), w.I32Const(9), w.Call(0), w.Br(0)), w.I64Const(1)), plugin.OutOfFuel, "used more than"},
		{"logs from outside its memory", imported(log, w.I32Const(2), w.I32Const(-9), w.I32Const(9), w.Call(0), w.I64Const(1)), plugin.Trap, "wse.log was given 9 bytes at 4294967287"},
		{"asks for endless random bytes", imported(wasi("random_get", 2), w.Loop(w.I32Const(0), w.I32Const(200_000), w.Call(0), []byte{0x1a}, w.Br(0)), w.I64Const(1)), plugin.OutOfFuel, "used more than"},
		{"exits", imported(w.Import{Module: "wasi_snapshot_preview1", Name: "proc_exit", Params: i32s(1)}, w.I32Const(3), w.Call(0), w.I64Const(1)), plugin.Trap, "proc_exit(3)"},
		{"aborts", imported(w.Import{Module: "env", Name: "abort", Params: i32s(4)}, w.I32Const(0), w.I32Const(0), w.I32Const(7), w.I32Const(8), w.Call(0), w.I64Const(1)), plugin.Trap, "abort: ? at ?:7:8"},
		{"aborts nowhere", imported(w.Import{Module: "env", Name: "abort", Params: i32s(4)}, w.I32Const(0), w.I32Const(0), w.I32Const(0), w.I32Const(0), w.Call(0), w.I64Const(1)), plugin.Trap, "abort: ?\n"},
		{"divides by zero", hook(w.I64Const(1), w.I64Const(0), []byte{0x7f}), plugin.Trap, "integer divide by zero"},
		{"reads outside", hook(w.I32Const(-1), []byte{0x29, 0, 0}), plugin.Trap, "out of bounds memory access"},
		{"answers from outside", hook(w.Pack(4<<16, 1)), plugin.Violation, "outside the memory"},
		{"answers across the end", hook(w.Pack(4<<16-1, 2)), plugin.Violation, "outside the memory"},
		{"answers more than allowed", hook(w.Pack(16, 3<<20)), plugin.Violation, "out_kib"},
		{"answers no result", hook(w.I64Const(2)), plugin.Violation, "no result"},
		{"reports an error from outside", hook(w.I64Const(-1<<63 | 4<<48 | 5)), plugin.Guest, "an error without a text"},
		{"reports an error that cannot be printed", hook(w.I64Const(-1<<63 | 1<<32 | 99)), plugin.Guest, "an error without a text"},
		{"reports a number", hook(w.I64Const(-1<<63 | 42)), plugin.Guest, "error 42"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "bad", c.m)
			cfg.Limits.Fuel = 1_000_000
			h := f.open(t, cfg, f.add(t, "good", returning("wse_authorize", 1)))
			begin := time.Now()
			_, d, err := transform(t, h, "E", `{}`)
			ce := callError(t, err)
			require.Equal(t, c.kind, ce.Kind, ce.Text)
			require.Contains(t, ce.Text, c.want)
			require.Equal(t, plugin.NotMine, d)
			require.Less(t, time.Since(begin), time.Minute)
			v, err := h.Authorize(t.Context(), plugin.AuthorizeRequest{})
			require.NoError(t, err)
			require.True(t, v.Allow, "others serve on")
			require.LessOrEqual(t, len(f.logs), 16)
		})
	}
}

func TestCall_takes_an_answer_that_is_none_for_a_breach_of_the_ABI(t *testing.T) {
	for _, c := range []struct{ hook, answer, want string }{
		{"wse_authorize", "hello", "an object is missing"},
		{"wse_authorize", "", "an object is missing"},
		{"wse_authorize", "[]", "an object is missing"},
		{"wse_authorize", `{"allow":true`, "unexpected end"},
		{"wse_authorize", `{"allow":true}{}`, "unexpected byte after the value"},
		{"wse_authorize", `{}`, `"allow" is missing`},
		{"wse_authorize", `{"allow":1}`, `"allow" is unknown or of the wrong type`},
		{"wse_authorize", `{"allow":true,"reason":5}`, `"reason" is unknown or of the wrong type`},
		{"wse_authorize", `{"allow":true,"ttl_s":-1}`, `"ttl_s" is unknown or of the wrong type`},
		{"wse_authorize", `{"allow":true,"Allow":true}`, `"Allow" is unknown or of the wrong type`},
		{"wse_authorize", "{\"allow\":true,\"reason\":\"\xff\"}", "invalid UTF-8"},
		{"wse_authorize", `{"allow":false,"allow":true}`, `"allow" is there twice`},
		{"wse_authorize", `{"allow":true,"reason":"a","reason":"b"}`, `"reason" is there twice`},
		{"wse_authorize", `{"allow":true,"ttl_s":1,"ttl_s":1}`, `"ttl_s" is there twice`},
		{"wse_validate", "hello", "a value is missing"},
		{"wse_validate", `[]`, "an object is missing"},
		{"wse_validate", `{}`, `"valid" is missing`},
		{"wse_validate", `{"valid":"yes"}`, `"valid": jsonscan: the value is of another kind`},
		{"wse_validate", `{"valid":true,"errors":[{"path":"a","message":"b"}]}`, "contradicts itself"},
		{"wse_validate", `{"valid":false,"errors":[{"path":"a"}]}`, "no path or no message"},
		{"wse_validate", `{"valid":false,"valid":true}`, `"valid" is there twice`},
		{"wse_validate", `{"Valid":true}`, `"Valid" is unknown`},
		{"wse_validate", `{"valid":true,"admin":1}`, `"admin" is unknown`},
		{"wse_validate", `{"valid":false,"errors":[{"path":"a","path":"b","message":"c"}]}`, `"path" is there twice`},
		{"wse_validate", `{"valid":false,"errors":[{"message":"c","path":5}]}`, `"path": `},
		{"wse_validate", `{"valid":false,"errors":[5]}`, `"errors": `},
		{"wse_validate", "{\"valid\":true,\"warnings\":[{\"path\":\"a\",\"message\":\"\xff\"}]}", "invalid UTF-8"},
	} {
		t.Run(c.hook+" "+c.answer, func(t *testing.T) {
			f := newFixture(t)
			h := f.open(t, f.add(t, "bad", w.Plugin(w.Module{
				Funcs: []w.Func{w.Hook(c.hook, w.Pack(1024, len(c.answer)))}, Data: []w.Data{{At: 1024, Bytes: []byte(c.answer)}},
			})))
			var err error
			if c.hook == "wse_validate" {
				_, err = h.Validate(t.Context(), "", []byte(`{}`))
			} else {
				var v plugin.Verdict
				v, err = h.Authorize(t.Context(), subscribe("user:u1:events"))
				require.False(t, v.Allow)
			}
			ce := callError(t, err)
			require.Equal(t, plugin.Violation, ce.Kind)
			require.Contains(t, ce.Text, "the answer of "+c.hook+": ")
			require.Contains(t, ce.Text, c.want)
		})
	}
}

func TestTransform_takes_what_the_reader_refuses_for_a_breach_of_the_ABI(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "some", failingOn())
	cfg.OnError, cfg.Limits.Instances, cfg.Limits.BreakerTraps = plugin.Drop, 1, 2
	next := f.add(t, "next", answering(envelope))
	h := f.open(t, cfg, next)
	answer := &keeper{wrong: errors.New("t: is missing")}
	refused := func() *plugin.CallError {
		d, err := h.Transform(t.Context(), "E", []byte(`{}`), answer)
		require.Equal(t, plugin.Decision{}, d)
		return callError(t, err)
	}
	ce := refused()
	require.Equal(t, plugin.CallError{Plugin: "some", Version: h.List()[0].Version, Kind: plugin.Violation, Policy: plugin.Drop,
		Text: "the answer of wse_transform: t: is missing"}, *ce)
	require.Contains(t, string(answer.doc), `"n":2`, "the reader saw what the guest said, and the chain ended there")
	require.Zero(t, h.Stats()[0].Instances)
	require.Equal(t, plugin.Violation, refused().Kind)
	require.Contains(t, string(answer.doc), `"n":2`, "a new instance answered")
	s := h.Stats()[0]
	require.Equal(t, uint64(1), s.Replaced)
	require.Equal(t, uint64(2), s.Hooks[0].Calls[plugin.OutcomeViolation])
	require.Zero(t, s.Hooks[0].Calls[plugin.OutcomeData])
	require.Equal(t, "open", s.Breaker)
	require.Equal(t, plugin.Open, refused().Kind)
}

// failingOn returns a transform plugin that traps when its document begins with a t, and else counts its calls in its
// answer: a number that starts anew shows a new instance.
func failingOn() w.Module {
	const body = `{"t":"a","topic":"b","p":{"n":1}}`
	one := int64(strings.Index(body, "1"))
	return w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform",
			w.I32Const(w.Buffer), []byte{0x2d, 0, 0}, w.I32Const('t'), []byte{0x46, 0x04, 0x40, 0x00, 0x0b},
			w.I32Const(1024+one), w.I32Const(1024+one), []byte{0x2d, 0, 0}, w.I32Const(1), []byte{0x6a, 0x3a, 0, 0},
			w.Pack(1024, len(body)))},
		Data: []w.Data{{At: 1024, Bytes: []byte(body)}},
	})
}

func TestCall_replaces_an_instance_that_trapped(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "some", failingOn())
	cfg.Limits.Instances = 1
	h := f.open(t, cfg)
	say := func() string {
		out, _, err := transform(t, h, "E", `{}`)
		require.NoError(t, err)
		return out
	}
	require.Contains(t, say(), `"n":2`)
	require.Contains(t, say(), `"n":3`, "state lives as long as its instance")
	_, _, err := transform(t, h, "E", `t`)
	require.Equal(t, plugin.Trap, callError(t, err).Kind)
	require.Zero(t, h.Stats()[0].Instances)
	require.Contains(t, say(), `"n":2`, "a new instance")
	s := h.Stats()[0]
	require.Equal(t, 1, s.Instances)
	require.Equal(t, uint64(1), s.Replaced)
	require.Equal(t, uint64(3), s.Hooks[0].Calls[plugin.OutcomeData])
	require.Equal(t, uint64(1), s.Hooks[0].Calls[plugin.OutcomeTrap])
}

func TestBreaker_opens_after_traps_in_a_row_and_closes_when_a_try_succeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that no pause ends but where it is awaited
		f := newFixture(t)
		cfg := f.add(t, "some", failingOn())
		cfg.Limits.BreakerTraps, cfg.Limits.BreakerPause = 3, 20*time.Millisecond
		h := f.open(t, cfg)
		call := func(doc string) plugin.Failure {
			_, _, err := transform(t, h, "E", doc)
			if err == nil {
				return ""
			}
			return callError(t, err).Kind
		}
		for range 2 {
			require.Equal(t, plugin.Trap, call("t"))
		}
		require.Empty(t, call("{}"), "a success in between starts the count anew")
		for range 3 {
			require.Equal(t, plugin.Trap, call("t"))
		}
		require.Equal(t, "open", h.List()[0].Breaker)
		require.Equal(t, plugin.Open, call("{}"))
		require.Eventually(t, func() bool { return h.List()[0].Breaker == "half_open" }, time.Minute, time.Millisecond)
		require.Equal(t, plugin.Trap, call("t"), "the try is made")
		require.Equal(t, plugin.Open, call("{}"), "and failed")
		require.Eventually(t, func() bool { return call("{}") == "" }, time.Minute, time.Millisecond)
		require.Equal(t, "closed", h.List()[0].Breaker)
		require.Equal(t, []string{
			"some: failed 3 times in a row and rests for 20ms, last with trap: unreachable in wse_transform", "some: serves again",
		}, f.logs, "a silenced plugin is told of once, not at every try")
	})
}

func TestCompile_happens_in_a_child_under_limits(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", answering(envelope))
	cfg.Path = "say"
	h := f.open(t, cfg)
	_, d, err := transform(t, h, "E", `{}`)
	require.NoError(t, err)
	require.Equal(t, plugin.Answered, d)
	kept, err := filepath.Glob(filepath.Join(f.dir, "data/plugins/cache/*/module"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	for dir := filepath.Dir(kept[0]); filepath.Base(dir) != "plugins"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), dir)
	}
}

func TestCompile_that_takes_too_long_or_too_much_is_refused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*plugin.Limits)
		want   string
	}{
		{"time", func(l *plugin.Limits) { l.CompileTimeout = time.Millisecond }, "took longer than 1ms (compile_timeout)"},
		{"memory", func(l *plugin.Limits) { l.CompileMiB = 4 }, "needs more than 4 MiB (compile_mib)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// 120,000 values that are all alive at the end.
			body := bytes.Repeat(w.Cat(w.LocalGet(0), []byte{0xad}), 120_000)
			body = append(body, bytes.Repeat([]byte{0x7c}, 119_999)...)
			f := newFixture(t)
			cfg := f.add(t, "say", w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", body)}}))
			cfg.Path = "say"
			c.change(&cfg.Limits)
			_, err := plugin.New(plugin.Configs{cfg}, f.deps())
			require.ErrorContains(t, err, "plugin/say: compile: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestCompile_heals_a_damaged_cache(t *testing.T) {
	for _, c := range []struct{ name, files string }{
		{"what wazero made", "*/wazero-*/*"}, {"the rewritten module", "*/module"}, {"both", "*/*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.add(t, "say", answering(envelope))
			f.open(t, cfg)
			files, err := filepath.Glob(filepath.Join(f.dir, "data/plugins/cache", c.files))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil { // a directory
					require.NoError(t, os.RemoveAll(file))
					continue
				}
				b[len(b)/2] ^= 0xff
				require.NoError(t, os.WriteFile(file, b, 0o600))
			}
			out, _, err := transform(t, f.open(t, cfg), "E", `{}`)
			require.NoError(t, err)
			require.Equal(t, envelope, out)
		})
	}
}

func TestCompile_refuses_a_cache_that_others_may_write_to(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", answering(envelope))
	dir := filepath.Join(f.dir, "data/plugins/cache")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err := plugin.New(plugin.Configs{cfg}, f.deps())
	require.ErrorContains(t, err, "make it 0700")
}

func TestCompile_refuses_a_cache_that_belongs_to_somebody_else(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", answering(envelope))
	dir := filepath.Join(f.dir, "data/plugins/cache")
	if os.Geteuid() == 0 {
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, os.Chown(dir, 65534, 65534))
	} else {
		require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o700))
		require.NoError(t, os.Symlink("/usr", dir))
	}
	_, err := plugin.New(plugin.Configs{cfg}, f.deps())
	require.ErrorContains(t, err, "belongs to another user")
}

// slow waits for a log line, which the test answers: it holds its instance until then.
func TestCall_gives_up_when_no_instance_comes_free(t *testing.T) {
	f := newFixture(t)
	log := w.Import{Module: "wse", Name: "log", Params: i32s(3)}
	cfg := f.add(t, "slow", imported(log, w.I32Const(2), w.I32Const(1024), w.I32Const(1), w.Call(0), w.I64Const(1)))
	cfg.Limits.Instances, cfg.Limits.InstanceWait = 1, time.Millisecond
	held, release := make(chan struct{}), make(chan struct{})
	deps := f.deps()
	deps.Log = func(string, string, int, string) { held <- struct{}{}; <-release }
	h, err := plugin.New(plugin.Configs{cfg}, deps)
	require.NoError(t, err)
	first := make(chan error)
	go func() {
		_, _, err := transform(t, h, "E", "")
		first <- err
	}()
	<-held
	_, _, err = transform(t, h, "E", "")
	require.Equal(t, plugin.Busy, callError(t, err).Kind)
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	close(release)
	require.NoError(t, <-first, "a call under way ends well while the host closes")
	require.NoError(t, <-closed)
}

func TestGuest_sees_a_clock_that_stands_still_and_repeating_random_numbers(t *testing.T) {
	clock := w.Import{Module: "wasi_snapshot_preview1", Name: "clock_time_get", Params: []byte{w.I32, w.I64, w.I32}, Results: i32s(1)}
	read := func(at int64) []byte {
		return w.Cat(w.I32Const(0), w.I64Const(1), w.I32Const(at), w.Call(0), []byte{0x1a})
	}
	load := func(at int64) []byte { return w.Cat(w.I32Const(at), []byte{0x29, 3, 0}) }
	// 1 (not mine) when both readings are the same and not zero, 0 (drop) otherwise.
	same := w.Cat(load(1024), load(1032), []byte{0x51}, load(1024), []byte{0x50, 0x45, 0x71, 0xad})
	f := newFixture(t)
	h := f.open(t, f.add(t, "clock", imported(clock, read(1024), read(1032), same)))
	_, d, err := transform(t, h, "E", "")
	require.NoError(t, err)
	require.Equal(t, plugin.NotMine, d)
}

func TestMetrics_of_a_guest_are_counted_under_capped_names(t *testing.T) {
	metric := w.Import{Module: "wse", Name: "metric", Params: []byte{w.I32, w.I32, w.F64}}
	count := func(at, n int64) []byte {
		return w.Cat(w.I32Const(at), w.I32Const(n), []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, w.Call(0)) // 1.5
	}
	m := imported(metric, count(1024, 2), count(1024, 2), count(1025, 2), count(1026, 2), count(1027, 1), w.I64Const(1))
	m.Data = []w.Data{{At: 1024, Bytes: []byte("abcd-")}}
	f := newFixture(t)
	cfg := f.add(t, "count", m)
	cfg.Limits.Metrics = 2
	h := f.open(t, cfg)
	_, _, err := transform(t, h, "E", "")
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"ab": 3, "bc": 1.5}, h.Stats()[0].Metrics)
}

// What a module calls its functions and imports, and what it logs, ends on terminals.
func TestNames_and_texts_of_a_guest_give_the_terminal_no_orders(t *testing.T) {
	const evil = "\x1b[31m\u009b31m\u202eX\u2028\x07"
	orders := "\x1b\u009b\u202e\u2028\x07\r"
	f := newFixture(t)
	_, err := plugin.New(plugin.Configs{f.add(t, "imports", imported(w.Import{Module: evil, Name: evil}, w.I64Const(1)))}, f.deps())
	require.ErrorContains(t, err, "X")
	require.False(t, strings.ContainsAny(err.Error(), orders), "%q", err)

	report := plugin.NewWorkbench(t.TempDir()).Inspect(t.Context(), plugin.Specimen{Name: "p", Module: imported(w.Import{Module: evil, Name: evil}, w.I64Const(1)).Bytes()})
	require.Contains(t, report.Imports[0], "X")
	require.False(t, strings.ContainsAny(strings.Join(report.Imports, ""), orders), "%q", report.Imports)

	hook := w.Hook("wse_transform", []byte{0x00})
	hook.Name = evil
	cfg := f.add(t, "names", w.Plugin(w.Module{Funcs: []w.Func{hook}}))
	_, _, err = transform(t, f.open(t, cfg), "E", "{}")
	require.ErrorContains(t, err, "X")
	require.False(t, strings.ContainsAny(err.Error(), orders), "%q", err)
}

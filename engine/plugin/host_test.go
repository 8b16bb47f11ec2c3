package plugin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// fixture is a host's surroundings: a directory with modules, and what guests log.
type fixture struct {
	dir  string
	mu   sync.Mutex
	logs []string // guarded by mu
}

func newFixture(t testing.TB) *fixture { return &fixture{dir: t.TempDir()} }

func (f *fixture) deps() plugin.Deps {
	return plugin.Deps{ConfigDir: f.dir, DataDir: filepath.Join(f.dir, "data"),
		Stock: func(name string) ([]byte, bool) {
			b, err := os.ReadFile(filepath.Join(f.dir, name))
			return b, err == nil
		},
		Log: func(name, _ string, _ int, text string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.logs = append(f.logs, name+": "+text)
		}}
}

// add writes a module and returns a configuration for it. It is loaded as a stock module, which compiles in this
// process: tests of the child name their files otherwise. Where a test is not about how long calls wait for an instance, or how
// long the child may take, they have the time they need.
func (f *fixture) add(t testing.TB, name string, m w.Module) plugin.Config {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, name), m.Bytes(), 0o600))
	return plugin.Config{Name: name, Path: "stock:" + name, Limits: plugin.Limits{InstanceWait: time.Minute, CompileTimeout: 5 * time.Minute}}
}

func (f *fixture) open(t testing.TB, cfgs ...plugin.Config) *plugin.Host {
	t.Helper()
	h, err := plugin.New(cfgs, f.deps())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// keeper is an Answer that takes anything, or nothing where it has a reason, and keeps what it was given.
type keeper struct {
	doc   []byte
	wrong error
}

var _ plugin.Answer = (*keeper)(nil)

func (k *keeper) Read(doc []byte) error {
	k.doc = append(k.doc[:0], doc...)
	return k.wrong
}

// transform returns what a plugin said of an event.
func transform(t testing.TB, h *plugin.Host, event, doc string) (string, plugin.Fate, error) {
	t.Helper()
	var answer keeper
	d, err := h.Transform(context.Background(), event, []byte(doc), &answer)
	return string(answer.doc), d.Fate, err
}

const envelope = `{"t":"a_b","topic":"user:u1:events","p":{"x":1}}`

// answering is a transform plugin that gives a fixed answer.
func answering(answer string) w.Module {
	return w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", w.Pack(1024, len(answer)))},
		Data:  []w.Data{{At: 1024, Bytes: []byte(answer)}},
	})
}

func returning(hook string, result int64) w.Module {
	return w.Plugin(w.Module{Funcs: []w.Func{w.Hook(hook, w.I64Const(result))}})
}

func TestTransform_runs_the_chain_until_a_plugin_decides(t *testing.T) {
	f := newFixture(t)
	pass, drop, say := f.add(t, "pass", returning("wse_transform", 1)), f.add(t, "drop", returning("wse_transform", 0)), f.add(t, "say", answering(envelope))
	pass.Bind, drop.Bind, say.Bind = []string{"*"}, []string{"Secret*"}, []string{"User?reated", "*Order*"}
	h := f.open(t, pass, drop, say)
	for _, c := range []struct {
		name, event string
		fate        plugin.Fate
		out         string
	}{
		{"all pass it on", "Else", plugin.NotMine, ""},
		{"the second drops it", "SecretOrder", plugin.Dropped, ""},
		{"the third answers", "UserCreated", plugin.Answered, envelope},
		{"by an inner pattern", "SomeOrderFilled", plugin.Answered, envelope},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, d, err := transform(t, h, c.event, `{}`)
			require.NoError(t, err)
			require.Equal(t, c.fate, d)
			require.Equal(t, c.out, out)
		})
	}
}

// echo is a transform whose answer is its input.
func echo() w.Module {
	return w.Plugin(w.Module{Pages: 40, Funcs: []w.Func{w.Hook("wse_transform",
		w.I64Const(int64(w.Buffer)<<32), w.LocalGet(0), []byte{0xad, 0x84})}})
}

func TestTransform_hands_documents_over_whole_and_asks_for_a_larger_buffer_when_one_needs_it(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "echo", echo()))
	for _, n := range []int{0, 1, 60_000, 65_400, 65_536, 200_000, 1_000_000} {
		doc := `{"t":"a","topic":"b","p":{"x":"` + strings.Repeat("ä", n/2) + `"}}`
		out, d, err := transform(t, h, "E", doc)
		require.NoError(t, err)
		require.Equal(t, plugin.Answered, d)
		require.Equal(t, doc, out)
	}
}

func TestTransform_refuses_a_document_over_in_kib_without_calling_the_guest(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "echo", echo())
	cfg.Limits.InKiB = 1
	h := f.open(t, cfg)
	_, _, err := transform(t, h, "E", strings.Repeat("x", 1025))
	require.Equal(t, plugin.TooLarge, callError(t, err).Kind)
	require.Zero(t, h.Stats()[0].Hooks[0].Fuel.Counts)
}

func callError(t *testing.T, err error) *plugin.CallError {
	t.Helper()
	var ce *plugin.CallError
	require.ErrorAs(t, err, &ce)
	return ce
}

func TestTransform_allocates_nothing(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.add(t, "say", answering(envelope)))
	doc, answer := []byte(`{"type":"E"}`), &keeper{doc: make([]byte, 0, 1024)}
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if _, err := h.Transform(context.Background(), "E", doc, answer); err != nil {
			panic(err)
		}
	}))
}

func TestTransform_says_which_plugin_decided(t *testing.T) {
	f := newFixture(t)
	drop, say := f.add(t, "drop", returning("wse_transform", 0)), f.add(t, "say", answering(envelope))
	drop.Bind, say.Bind = []string{"Secret"}, []string{"Open"}
	h := f.open(t, drop, say)
	versions := h.List()
	for event, want := range map[string]plugin.Decision{
		"Secret": {Fate: plugin.Dropped, Plugin: "drop", Version: versions[0].Version},
		"Open":   {Fate: plugin.Answered, Plugin: "say", Version: versions[1].Version},
		"Else":   {},
	} {
		d, err := h.Transform(t.Context(), event, []byte(`{}`), &keeper{})
		require.NoError(t, err)
		require.Equal(t, want, d)
	}
}

func TestTransform_error_carries_plugin_version_and_policy(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "bad", w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", []byte{0x00})}}))
	cfg.OnError = plugin.Deny
	h := f.open(t, cfg)
	_, _, err := transform(t, h, "E", `{}`)
	ce := callError(t, err)
	require.Equal(t, "bad", ce.Plugin)
	require.Equal(t, h.List()[0].Version, ce.Version)
	require.Equal(t, plugin.Deny, ce.Policy)
	require.Equal(t, plugin.Trap, ce.Kind)
	require.Contains(t, ce.Text, "wse_transform", "the guest's function is named")
}

func TestClosed_host_refuses_calls_and_a_second_close_is_harmless(t *testing.T) {
	f := newFixture(t)
	h, err := plugin.New(plugin.Configs{f.add(t, "say", answering(envelope))}, f.deps())
	require.NoError(t, err)
	require.NoError(t, h.Close())
	require.NoError(t, h.Close())
	_, _, err = transform(t, h, "E", "")
	require.ErrorIs(t, err, plugin.ErrClosed)
	_, err = h.Authorize(t.Context(), plugin.AuthorizeRequest{})
	require.ErrorIs(t, err, plugin.ErrClosed)
	require.ErrorIs(t, h.Reload(t.Context(), nil), plugin.ErrClosed)
	require.Empty(t, h.List())
}

func TestReload_lets_the_new_plugins_serve_and_keeps_what_did_not_change(t *testing.T) {
	f := newFixture(t)
	keep, change := f.add(t, "keep", returning("wse_transform", 1)), f.add(t, "change", answering(envelope))
	h := f.open(t, keep, change)
	before := h.List()
	other := strings.Replace(envelope, "u1", "u2", 1)
	f.add(t, "change", answering(other))
	keep.OnError = plugin.Drop
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{keep, change}))
	after := h.List()
	require.Equal(t, before[0].Loaded, after[0].Loaded, "routing alone makes no new version")
	require.Equal(t, plugin.Drop, after[0].OnError)
	require.NotEqual(t, before[1].Version, after[1].Version)
	out, _, err := transform(t, h, "E", "")
	require.NoError(t, err)
	require.Equal(t, other, out)
}

func TestReload_that_fails_leaves_everything_as_it_was(t *testing.T) {
	f := newFixture(t)
	good := f.add(t, "good", answering(envelope))
	h := f.open(t, good)
	bad := f.add(t, "bad", w.Module{})
	err := h.Reload(t.Context(), plugin.Configs{good, bad, {Name: "gone", Path: "gone.wasm"}})
	var le *plugin.LoadError
	require.ErrorAs(t, err, &le)
	require.ErrorContains(t, err, "plugin/bad: exports: ")
	require.ErrorContains(t, err, "plugin/gone: read: ")
	require.Len(t, h.List(), 1)
	out, _, err := transform(t, h, "E", "")
	require.NoError(t, err)
	require.Equal(t, envelope, out)
}

func TestReload_under_calls_loses_none(t *testing.T) {
	f := newFixture(t)
	cfg := f.add(t, "say", answering(envelope))
	h := f.open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				out, d, err := transform(t, h, "E", `{}`)
				if err != nil || d != plugin.Answered || len(out) != len(envelope) {
					t.Errorf("%v %v %s", err, d, out)
					return
				}
			}
		})
	}
	for i := range 20 {
		f.add(t, "say", answering(strings.Replace(envelope, "u1", "u"+string(rune('1'+i%9)), 1)))
		require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	}
	cancel()
	wg.Wait()
}

func TestAuthorize_needs_every_bound_plugin_to_allow(t *testing.T) {
	f := newFixture(t)
	yes, no := f.add(t, "yes", returning("wse_authorize", 1)), f.add(t, "no", returning("wse_authorize", 0))
	trap := f.add(t, "trap", w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", []byte{0x00})}}))
	yes.Bind, no.Bind, trap.Bind = []string{"user:*", "public:*"}, []string{"user:root:*"}, []string{"public:bad"}
	h := f.open(t, yes, no, trap)
	for _, c := range []struct {
		name, topic string
		allow, fail bool
	}{
		{"one allows", "user:u1:events", true, false},
		{"one of two denies", "user:root:events", false, false},
		{"nobody is bound", "system:x", false, false},
		{"one fails", "public:bad", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := h.Authorize(t.Context(), plugin.AuthorizeRequest{Action: "subscribe", Topic: c.topic})
			require.Equal(t, c.allow, v.Allow)
			require.Equal(t, c.fail, err != nil)
		})
	}
}

func TestAuthorize_writes_its_request_as_JSON_whatever_the_strings_hold(t *testing.T) {
	f := newFixture(t)
	m := w.Plugin(w.Module{
		Imports: []w.Import{{Module: "wse", Name: "log", Params: []byte{w.I32, w.I32, w.I32}}},
		Funcs: []w.Func{w.Hook("wse_authorize", w.I32Const(2), w.I32Const(w.Buffer), w.LocalGet(0), w.Call(0),
			w.I64Const(1))},
	})
	h := f.open(t, f.add(t, "log", m))
	v, err := h.Authorize(t.Context(), plugin.AuthorizeRequest{
		Action: "subscribe", Topic: "user:\"\\\n\xff:x",
		Identity:   plugin.Identity{UserID: "u", Permissions: []string{"a", "b"}, Claims: []byte(` {"k":[1]} `)},
		Connection: plugin.Connection{ID: "c", Dialect: "wse", RemoteIP: "127.0.0.1"},
	})
	require.NoError(t, err)
	require.True(t, v.Allow)
	require.JSONEq(t, `{"action":"subscribe","topic":"user:\"\\\n`+"\ufffd"+`:x","identity":{"user_id":"u","permissions":["a","b"],
		"claims":{"k":[1]}},"connection":{"id":"c","dialect":"wse","remote_ip":"127.0.0.1"}}`, strings.TrimPrefix(f.logs[0], "log: "))
}

func TestValidate_gives_the_plugins_verdict(t *testing.T) {
	verdict := `{"valid":false,"errors":[{"path":"a.b","message":"no"}],"warnings":[{"message":"\u00fcber","path":""}]}`
	data := w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_validate", w.Pack(1024, len(verdict)))}, Data: []w.Data{{At: 1024, Bytes: []byte(verdict)}},
	})
	for _, c := range []struct {
		name string
		m    w.Module
		want plugin.Validation
	}{
		{"a verdict", data, plugin.Validation{Errors: []plugin.Finding{{Path: "a.b", Message: "no"}}, Warnings: []plugin.Finding{{Message: "über"}}}},
		{"yes", returning("wse_validate", 1), plugin.Validation{Valid: true}},
		{"no", returning("wse_validate", 0), plugin.Validation{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			out, err := f.open(t, f.add(t, "v", c.m)).Validate(t.Context(), "", []byte(`{}`))
			require.NoError(t, err)
			require.Equal(t, c.want, out)
		})
	}
	t.Run("the first that is bound to the name", func(t *testing.T) {
		f := newFixture(t)
		own := f.add(t, "own", returning("wse_validate", 0))
		own.Bind = []string{"mine*"}
		h := f.open(t, own, f.add(t, "stock", returning("wse_validate", 1)))
		for name, want := range map[string]bool{"mine2": false, "other": true, "": true} {
			out, err := h.Validate(t.Context(), name, []byte(`{}`))
			require.NoError(t, err)
			require.Equal(t, want, out.Valid, name)
		}
	})
	t.Run("none", func(t *testing.T) {
		_, err := newFixture(t).open(t).Validate(t.Context(), "", nil)
		require.True(t, errors.Is(err, plugin.ErrNone))
	})
}

func TestAuthorize_remembers_a_verdict_with_a_TTL_until_the_plugin_changes(t *testing.T) {
	f := newFixture(t)
	verdict := func(s string) w.Module {
		return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", w.Pack(1024, len(s)))}, Data: []w.Data{{At: 1024, Bytes: []byte(s)}}})
	}
	cfg := f.add(t, "auth", verdict(`{"allow":false,"reason":"no \"x\"","ttl_s":60}`))
	h := f.open(t, cfg)
	ask := func(user string) plugin.Verdict {
		v, err := h.Authorize(t.Context(), plugin.AuthorizeRequest{Action: "subscribe", Topic: "t", Identity: plugin.Identity{UserID: user}})
		require.NoError(t, err)
		return v
	}
	calls := func() uint64 { return h.Stats()[0].Hooks[0].Calls[plugin.OutcomeData] }
	require.Equal(t, plugin.Verdict{Reason: `no "x"`, TTL: time.Minute}, ask("u1"))
	require.False(t, ask("u1").Allow)
	require.Equal(t, uint64(1), calls(), "the second time it was remembered")
	ask("u2")
	require.Equal(t, uint64(2), calls(), "per identity")
	f.add(t, "auth", verdict(`{"allow":true}`))
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	require.True(t, ask("u1").Allow)
}

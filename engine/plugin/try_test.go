package plugin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// longer is code that leaves what long leaves for a document of more than n bytes, else what short leaves: an i64 each.
func longer(n int64, long, short []byte) []byte {
	return w.Cat(w.LocalGet(0), w.I32Const(n), []byte{0x4b, 0x04, 0x7e}, long, []byte{0x05}, short, []byte{0x0b})
}

// trapping is code that never leaves anything.
func trapping() []byte { return []byte{0x00} }

// sayingBut answers like [saying], and does what long does with documents of more than 20 bytes.
func sayingBut(user string, long []byte) w.Module {
	answer := strings.Replace(envelope, "u1", user, 1)
	return w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", longer(20, long, w.Pack(1024, len(answer))))},
		Data:  []w.Data{{At: 1024, Bytes: []byte(answer)}},
	})
}

const (
	shortEvent = `{"type":"E"}`
	longEvent  = `{"type":"E","token":"s3cret"}`
)

// recording is a configuration of m that records.
func (f *fixture) recording(t testing.TB, name string, m w.Module) plugin.Config {
	cfg := f.add(t, name, m)
	cfg.Record = plugin.DefaultRecord()
	return cfg
}

// feed hands events to the plugins.
func feed(t testing.TB, h *plugin.Host, docs ...string) {
	t.Helper()
	for _, doc := range docs {
		_, err := h.Transform(context.Background(), "E", []byte(doc), &keeper{})
		require.NoError(t, err)
	}
}

func (f *fixture) try(t testing.TB, h *plugin.Host, name string, m w.Module) plugin.Comparison {
	t.Helper()
	c, err := h.Try(t.Context(), name, f.candidate(t, m))
	require.NoError(t, err)
	return c
}

func counts(c plugin.Comparison) [5]int {
	return [5]int{c.Compared, c.Same, c.Different, c.Failed, c.Skipped}
}

func TestTry_shows_what_a_candidate_would_answer_to_recorded_events(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.recording(t, "say", saying("u1")))
	feed(t, h, shortEvent, longEvent, shortEvent)
	c := f.try(t, h, "say", sayingBut("u1", w.I64Const(0)))
	require.Equal(t, [5]int{3, 2, 1, 0, 0}, counts(c))
	require.Equal(t, []string{"say", h.List()[0].Version}, []string{c.Plugin, c.Serving})
	require.NotEqual(t, c.Serving, c.Candidate)
	require.Len(t, c.Differences, 1)
	d := c.Differences[0]
	require.Equal(t, []string{"transform", longEvent}, []string{string(d.Hook), d.Input})
	require.Equal(t, []string{"data", envelope}, []string{d.Serving.Verdict, d.Serving.Data})
	require.Equal(t, "no", d.Candidate.Verdict)
	require.Positive(t, d.Serving.Fuel)
	require.Equal(t, "--- "+c.Serving+"\n+++ "+c.Candidate+`
@@ -1,5 +1,1 @@
- "p": {
-   "x": 1
- }
- "t": "a_b"
- "topic": "user:u1:events"
+ no: the event is dropped
`, d.Diff)
}

func TestTry_changes_nothing_that_serves(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.recording(t, "say", saying("u1")))
	feed(t, h, shortEvent, longEvent)
	list, stats := h.List(), h.Stats()
	detail, err := h.Detail("say")
	require.NoError(t, err)
	c := f.try(t, h, "say", sayingBut("u1", trapping()))
	require.Equal(t, [5]int{2, 1, 0, 1, 0}, counts(c))
	require.Equal(t, list, h.List())
	require.Equal(t, stats, h.Stats(), "nothing is counted, and no instance is left")
	after, err := h.Detail("say")
	require.NoError(t, err)
	require.Equal(t, detail, after, "nothing is kept, and nothing more is recorded")
}

func TestTry_tells_how_a_candidate_fails(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.recording(t, "say", saying("u1")))
	feed(t, h, longEvent, shortEvent, longEvent)
	for _, c := range []struct {
		name, verdict, why string
		long               []byte
	}{
		{"a trap, with the function's name", "trap", "wse_transform", trapping()},
		{"no end", "fuel", "used more than", w.Cat(w.Loop(w.Br(0)), w.I64Const(0))},
		{"no result of the ABI", "violation", "wse_transform returned 0x2", w.I64Const(2)},
		{"an answer outside its memory", "violation", "outside the memory", w.Pack(1<<20, 8)},
		{"an answer that is no JSON", "violation", "the answer of wse_transform: ", w.Pack(2048, 3)},
		{"an error that it reports", "error", "error 7", w.I64Const(-1<<63 | 7)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := f.try(t, h, "say", sayingBut("u1", c.long))
			require.Equal(t, [5]int{3, 1, 0, 2, 0}, counts(got))
			require.Equal(t, c.verdict, got.Differences[0].Candidate.Verdict)
			require.Contains(t, got.Differences[0].Candidate.Error, c.why)
			require.Contains(t, got.Differences[0].Diff, "\n+ "+c.verdict+": ")
		})
	}
}

func TestTry_holds_answers_to_what_their_events_are_held_to(t *testing.T) {
	f := newFixture(t)
	deps := f.deps()
	deps.NewAnswer = func() plugin.Answer { return ingest.NewAnswer(ingest.DefaultConfig()) }
	h, err := plugin.New(plugin.Configs{f.recording(t, "say", saying("u1"))}, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	feed(t, h, shortEvent)
	c := f.try(t, h, "say", answering(`{"t":"a_b","topic":"user:u1:events","p":{},"prio":1}`))
	require.Equal(t, [5]int{1, 0, 0, 1, 0}, counts(c))
	require.Equal(t, `the answer of wse_transform: prio: is no field here`, c.Differences[0].Candidate.Error)
}

func TestTry_asks_authorize_plugins_without_touching_what_they_have_remembered(t *testing.T) {
	f := newFixture(t)
	verdict := func(text string) w.Module {
		return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", w.Pack(1024, len(text)))}, Data: []w.Data{{At: 1024, Bytes: []byte(text)}}})
	}
	h := f.open(t, f.recording(t, "say", verdict(`{"allow":true,"ttl_s":3600}`)))
	for range 3 {
		v, err := h.Authorize(t.Context(), subscribe("user:u1:events"))
		require.NoError(t, err)
		require.True(t, v.Allow)
	}
	calls := h.Stats()[0].Hooks[0].Calls
	c := f.try(t, h, "say", verdict(`{"allow":false,"reason":"closed"}`))
	require.Equal(t, [5]int{1, 0, 1, 0, 0}, counts(c), "what was answered from memory was not given to the plugin")
	require.Equal(t, plugin.Authorize, c.Differences[0].Hook)
	require.Contains(t, c.Differences[0].Input, `"topic":"user:u1:events"`)
	require.Contains(t, c.Differences[0].Diff, "- \"allow\": true\n- \"ttl_s\": 3600\n+ \"allow\": false\n+ \"reason\": \"closed\"\n")
	v, err := h.Authorize(t.Context(), subscribe("user:u1:events"))
	require.NoError(t, err)
	require.True(t, v.Allow)
	require.Equal(t, calls, h.Stats()[0].Hooks[0].Calls, "it is still remembered")
}

func TestTry_asks_validate_plugins(t *testing.T) {
	f := newFixture(t)
	h := f.open(t, f.recording(t, "check", returning("wse_validate", 1)))
	_, err := h.Validate(t.Context(), "", []byte(`{"strategy_config":{}}`))
	require.NoError(t, err)
	c := f.try(t, h, "check", returning("wse_validate", 0))
	require.Equal(t, [5]int{1, 0, 1, 0, 0}, counts(c))
	require.Contains(t, c.Differences[0].Diff, "- \"valid\": true\n+ \"valid\": false\n")
}

func TestTry_never_shows_what_is_redacted(t *testing.T) {
	f := newFixture(t)
	cfg := f.recording(t, "echo", echo())
	cfg.Record.Redact = []string{"token"}
	h := f.open(t, cfg)
	feed(t, h, longEvent)
	c := f.try(t, h, "echo", returning("wse_transform", 0))
	require.Equal(t, `{"type":"E","token":""}`, c.Differences[0].Input)
	require.Equal(t, `{"type":"E","token":""}`, c.Differences[0].Serving.Data)
	require.NotContains(t, c.Differences[0].Diff, "s3cret")
}

func TestTry_says_why_nothing_was_tried(t *testing.T) {
	f := newFixture(t)
	off := f.add(t, "off", saying("u1"))
	h := f.open(t, f.recording(t, "say", saying("u1")), off)
	candidate := plugin.Candidate{Module: saying("u2").Bytes()}
	_, err := h.Try(t.Context(), "say", candidate)
	require.ErrorIs(t, err, plugin.ErrNothingRecorded)
	feed(t, h, shortEvent)
	_, err = h.Try(t.Context(), "off", candidate)
	require.ErrorIs(t, err, plugin.ErrNothingRecorded)
	_, err = h.Try(t.Context(), "else", candidate)
	require.ErrorIs(t, err, plugin.ErrUnknownPlugin)
	_, err = h.Try(t.Context(), "say", plugin.Candidate{Module: []byte("no module")})
	var le *plugin.LoadError
	require.ErrorAs(t, err, &le)
	require.Equal(t, plugin.StepScan, le.Step)
}

func TestTry_ends_with_its_context_and_says_how_far_it_came(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	deps := f.deps()
	deps.NewAnswer = func() plugin.Answer { return &last{2, cancel} }
	h, err := plugin.New(plugin.Configs{f.recording(t, "say", saying("u1"))}, deps)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	feed(t, h, shortEvent, shortEvent, shortEvent)
	c, err := h.Try(ctx, "say", f.candidate(t, saying("u2")))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "plugin/say: 1 of 3 recorded events were tried")
	require.Equal(t, [5]int{1, 0, 1, 0, 2}, counts(c))
}

// last is an Answer that cancels once it has been asked that often. Each version has one of its own.
type last struct {
	left   int
	cancel context.CancelFunc
}

func (l *last) Read([]byte) error {
	if l.left--; l.left == 0 {
		l.cancel()
	}
	return nil
}

func TestRecording_belongs_to_the_plugin_and_survives_its_versions(t *testing.T) {
	f := newFixture(t)
	cfg := f.recording(t, "say", saying("u1"))
	h := f.open(t, cfg)
	recorded := func() int {
		d, err := h.Detail("say")
		require.NoError(t, err)
		return d.Recorded
	}
	feed(t, h, shortEvent, longEvent)
	require.Equal(t, 2, recorded())
	f.swap(t, h, "u2")
	require.Equal(t, 2, recorded())
	feed(t, h, shortEvent)
	require.Equal(t, 3, recorded(), "the new version is looked at too")
	cfg.Record.Events = 2
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	require.Equal(t, 2, recorded())
	bad := cfg
	bad.Name, bad.Path, cfg.Record.Events = "bad", "stock:missing", 0
	require.Error(t, h.Reload(t.Context(), plugin.Configs{cfg, bad}))
	require.Equal(t, 2, recorded(), "a reload that fails changes nothing")
	require.NoError(t, h.Reload(t.Context(), plugin.Configs{cfg}))
	require.Zero(t, recorded())
	feed(t, h, shortEvent)
	require.Zero(t, recorded())
}

func TestTransform_allocates_nothing_while_it_is_recorded(t *testing.T) {
	f := newFixture(t)
	cfg := f.recording(t, "say", answering(envelope))
	cfg.Record.Events, cfg.Record.Redact = 10, []string{"token"}
	h := f.open(t, cfg)
	doc, answer := []byte(longEvent), &keeper{doc: make([]byte, 0, 1024)}
	event := func() {
		if _, err := h.Transform(context.Background(), "E", doc, answer); err != nil {
			panic(err)
		}
	}
	for range 20 {
		event()
	}
	require.Zero(t, testing.AllocsPerRun(200, event))
}

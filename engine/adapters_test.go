package engine

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/feed"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// silent is a broker that nothing may reach.
type silent struct{ t *testing.T }

func (s silent) Publish(context.Context, *message.Envelope) (broker.Published, error) {
	s.t.Error("something was published")
	return broker.Published{}, nil
}

// hosting returns a host with one plugin, guest.
func hosting(t *testing.T, m wasmtest.Module) *plugin.Host {
	t.Helper()
	h, err := plugin.New(plugin.Configs{{Name: "guest", Path: "stock:guest"}}, plugin.Deps{DataDir: t.TempDir(),
		Stock: func(string) ([]byte, bool) { return m.Bytes(), true }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// saying is a plugin that answers every event with answer.
func saying(answer string) wasmtest.Module {
	return wasmtest.Plugin(wasmtest.Module{
		Funcs: []wasmtest.Func{wasmtest.Hook("wse_transform", wasmtest.Pack(1024, len(answer)))},
		Data:  []wasmtest.Data{{At: 1024, Bytes: []byte(answer)}},
	})
}

func TestAnAnswerThatIsNoneCostsTheInstanceAndTheEventIsADeadLetter(t *testing.T) {
	for answer, want := range map[string]string{
		`hello`: "neither an object nor an array",
		`{"t":"x","topic":"user:u1:events","p":{}`:                                       "unexpected end",
		`{"t":"x","topic":"user:u1:*","p":{}}`:                                           "topic: invalid topic",
		`[{"t":"x","topic":"user:u1:events","p":{}},{"t":"x","topic":"user:u1:events"}]`: "[1]: p: is missing",
		`{"t":"x","topic":"user:u1:events","p":{},"seq":1}`:                              "seq: is no field here",
		"{\"t\":\"x\",\"topic\":\"user:u1:events\",\"p\":{\"a\":\"\xff\"}}":              "invalid UTF-8",
		`{"t":"x","topic":"user:u1:events","p":{},"p":{"a":1}}`:                          "p: is given twice",
	} {
		t.Run(answer, func(t *testing.T) {
			h := hosting(t, saying(answer))
			before := h.List()[0]
			in, err := ingest.New(ingest.DefaultConfig(), transformer{h}, silent{t})
			require.NoError(t, err)
			results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", ID: "e1", Payload: []byte(`{}`)})
			require.NoError(t, err)
			reason := "plugin/guest@" + before.Version + ": violation: the answer of wse_transform: "
			require.Equal(t, ingest.DeadLettered, results[0].Status)
			require.Contains(t, results[0].Reason, reason)
			require.Contains(t, results[0].Reason, want)
			letters, _, err := in.DeadLetters(t.Context(), ingest.LetterQuery{Plugin: "guest"}, 1)
			require.NoError(t, err)
			require.Equal(t, before.Version, letters[0].Version)
			require.Equal(t, before.Instances-1, h.Stats()[0].Instances)
			require.Equal(t, uint64(1), h.Stats()[0].Hooks[0].Calls[plugin.OutcomeViolation])
		})
	}
}

func TestADroppedEventSaysWhichPluginDroppedIt(t *testing.T) {
	h := hosting(t, wasmtest.Plugin(wasmtest.Module{Funcs: []wasmtest.Func{wasmtest.Hook("wse_transform", wasmtest.I64Const(0))}}))
	in, err := ingest.New(ingest.DefaultConfig(), transformer{h}, silent{t})
	require.NoError(t, err)
	results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", ID: "e1", Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.Equal(t, []ingest.Result{{Status: ingest.Dropped, ID: "e1", Reason: "plugin/guest@" + h.List()[0].Version + " dropped it"}}, results)
}

func TestAskingThePluginsWhetherSomebodyMayNamesEveryPermission(t *testing.T) {
	log := wasmtest.Import{Module: "wse", Name: "log", Params: []byte{wasmtest.I32, wasmtest.I32, wasmtest.I32}}
	m := wasmtest.Plugin(wasmtest.Module{Imports: []wasmtest.Import{log}, Funcs: []wasmtest.Func{
		wasmtest.Hook("wse_authorize", wasmtest.I32Const(2), wasmtest.I32Const(wasmtest.Buffer), wasmtest.LocalGet(0), wasmtest.Call(0), wasmtest.I64Const(1)),
	}})
	var asked string
	h, err := plugin.New(plugin.Configs{{Name: "guest", Path: "stock:guest"}}, plugin.Deps{DataDir: t.TempDir(),
		Stock: func(string) ([]byte, bool) { return m.Bytes(), true },
		Log:   func(_, _ string, _ int, text string) { asked = text }})
	require.NoError(t, err)
	defer h.Close()
	everything := ^auth.Permissions(0)
	require.LessOrEqual(t, len(everything.AppendNames(nil)), permissionsMax)
	allowed, _, err := authorizer{h}.Authorize(t.Context(), feed.Access{
		Action: "subscribe", Topic: "user:u1:events", ConnID: "c1", Dialect: "wse", RemoteIP: "192.0.2.7",
		Identity: &auth.Identity{UserID: "u1", Permissions: everything, Claims: []byte(`{"sub":"u1"}`)},
	})
	require.NoError(t, err)
	require.True(t, allowed)
	require.JSONEq(t, `{"action":"subscribe","topic":"user:u1:events","identity":{"user_id":"u1","permissions":["read_market_data",
		"read_indicators","execute_backtest","execute_paper_trading","read_signals","execute_live_trading","admin"],"claims":{"sub":"u1"}},
		"connection":{"id":"c1","dialect":"wse","remote_ip":"192.0.2.7"}}`, asked)
}

func TestAnArrayOfEventsGoesThroughThePluginInBatches(t *testing.T) {
	h := hosting(t, wasmtest.Letters(true))
	in, err := ingest.New(ingest.DefaultConfig(), transformer{h}, silent{t})
	require.NoError(t, err)
	var events []*message.Event
	for range 1000 {
		events = append(events, &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{}`)})
	}
	// The guest goes by the first letter of the document, which is a brace: NO.
	for _, o := range in.PublishEvents(t.Context(), events) {
		require.NoError(t, o.Err)
		require.Equal(t, ingest.Dropped, o.Results[0].Status)
	}
	s := h.Stats()[0]
	require.Equal(t, uint64(1000), s.Hooks[0].Calls[plugin.OutcomeNo])
	require.Greater(t, s.BatchEvents, uint64(900))
	require.LessOrEqual(t, s.Batches, uint64(40))
}

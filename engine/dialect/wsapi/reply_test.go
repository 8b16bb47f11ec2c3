package wsapi_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wsapi"
	"github.com/wse-engine/wse/engine/message"
)

// at is the moment of all messages here.
const at = 1764065130500

func reply(t *testing.T, id string, body message.ReplyBody) map[string]any {
	t.Helper()
	out := wsapi.Dialect{}.AppendReply(nil, &message.Reply{ID: "m1", TimeMS: at, CID: id, Body: body})
	var got map[string]any
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	require.Equal(t, "1.0", got["version"])
	delete(got, "version")
	if body, seed := body.(*message.Seed); !seed || body.Last == nil {
		require.Equal(t, "2025-11-25T10:05:30.500Z", got["timestamp"])
	}
	delete(got, "timestamp")
	return got
}

// sample is a session with something in every field.
func sample() *message.Session {
	sharpe := 1.5
	return &message.Session{
		ID: "exec_1", Type: "backtest", State: "stopped", Reason: "finished", Owner: "u1", Symbols: []string{"A", "B"},
		Strategies: []message.StrategyState{
			{Strategy: "s", Symbol: "A", State: "monitoring", SessionID: "exec_1", Plugin: "strategy@1"},
			{Strategy: "s", Symbol: "B", State: "exited", Since: at, SessionID: "exec_1"},
			{Strategy: "t", Symbol: "A", State: "inactive", SessionID: "exec_1", Reason: "why"},
		},
		Config: []byte(`{"a":1}`), Source: "c1", Progress: 1, CreatedMS: at, EndedMS: at,
		Performance: message.Performance{
			TicksProcessed: 10, SignalsDetected: 2, OrdersPlaced: 2, OrdersFilled: 1, OrdersRejected: 1, Trades: 1, Wins: 1,
			RealizedPnL: "12.50", NetPnL: "12.4", Fees: "0.1", Equity: "10012.4", TicksInvalid: 3, InitialBalance: "10000", Balance: "10012.4",
			MaxDrawdown: "3.25", MaxDrawdownPct: 0.5, WinRate: 1, Sharpe: &sharpe,
		},
	}
}

func TestAnswersHaveTheStatusAndFieldsOfTheProtocol(t *testing.T) {
	collection := &message.Collection{ID: "c1", Symbols: []string{"A"}, Duration: time.Hour, State: "running", StartedMS: at, Records: 3, BySymbol: map[string]uint64{"A": 3}}
	fault := message.Fault{Path: "a.b", Message: "a.b must be"}
	for _, c := range []struct {
		body         message.ReplyBody
		kind, status string
		fields       map[string]any // some of them
	}{
		{&message.Ready{ConnectionID: "c"}, "status", "connected", map[string]any{"client_id": "c", "authenticated": false}},
		{&message.Ready{ConnectionID: "c", UserID: "u"}, "status", "connected", map[string]any{"authenticated": true, "user_id": "u"}},
		{&message.Restarted{Topic: "stream:market_data:BTC", Epoch: 1, Offset: 2}, "status", "stream_interrupted",
			map[string]any{"streams": []any{"market_data"}, "symbol": "BTC"}},
		{&message.Restarted{Topic: "stream:system_health:engine"}, "status", "stream_interrupted",
			map[string]any{"streams": []any{"system_health"}, "symbol": "engine"}},
		{&message.Restarted{Topic: "user:u1:order_events"}, "status", "stream_interrupted", map[string]any{"streams": []any{"orders"}, "symbol": nil}},
		{&message.Restarted{Topic: "user:u1:position_events"}, "status", "stream_interrupted", map[string]any{"streams": []any{"positions"}}},
		{&message.Restarted{Topic: "user:u1:portfolio_events"}, "status", "stream_interrupted", map[string]any{"streams": []any{"portfolio"}}},
		{&message.Restarted{Topic: "user:u1:automation_events"}, "status", "stream_interrupted",
			map[string]any{"streams": []any{"indicators", "signals", "execution_status"}}},
		{&message.Pong{ConnectionID: "c"}, "status", "pong", map[string]any{"client_id": "c"}},
		{&message.HeartbeatNotice{}, "status", "heartbeat", nil},
		{&message.StateChange{OldState: "a", NewState: "b"}, "status", "connection_state_change", map[string]any{"new_state": "b"}},
		{&message.Subscribed{Action: "unsubscribe", SuccessTopics: []message.Topic{"system:a"}, FailedTopics: []message.FailedTopic{{Topic: "system:a", Err: message.Errorf(message.CodeForbidden, "no")}}},
			"status", "subscription_update", map[string]any{"success_topics": []any{"system:a"}, "topics": []any{}}},
		{&message.SnapshotComplete{}, "status", "snapshot_complete", nil},
		{&message.HandshakeAck{ConnectionID: "c"}, "handshake_ack", "accepted", map[string]any{"client_id": "c"}},
		{&message.Authenticated{UserID: "u", ExpiresMS: at, Permissions: []string{"read_market_data"}}, "response", "authenticated",
			map[string]any{"user_id": "u", "permissions": []any{"read_market_data"}, "session_expires": "2025-11-25T10:05:30.500Z"}},
		{&message.TokenRefreshed{AccessToken: "a", RefreshToken: "b", ExpiresIn: time.Hour}, "response", "token_refreshed",
			map[string]any{"access_token": "a", "refresh_token": "b", "expires_in": 3600.0}},
		{&message.StreamAnswer{Stream: "signals"}, "response", "subscribed", map[string]any{"stream": "signals", "params": map[string]any{}, "session_id": nil}},
		{&message.StreamAnswer{Stream: "signals", Left: true, SessionID: "x"}, "response", "unsubscribed", map[string]any{"session_id": "x"}},
		{&message.SessionStarted{Session: sample(), Reused: true, Activations: []message.Activation{{Strategy: "s", Symbol: "A"}, {Strategy: "s", Symbol: "B", Reason: "no"}}},
			"response", "session_started", map[string]any{
				"session_id": "exec_1", "session_type": "backtest", "reused": true, "symbols": []any{"A", "B"},
				"strategy_config": map[string]any{"s": []any{"A", "B"}, "t": []any{"A"}},
			}},
		{&message.SessionChanged{Session: sample()}, "response", "session_stopped", map[string]any{"session_id": "exec_1"}},
		{&message.SessionChanged{Session: sample(), Change: message.SessionPause}, "response", "session_paused", nil},
		{&message.SessionChanged{Session: sample(), Change: message.SessionResume}, "response", "session_resumed", nil},
		{&message.SessionStatus{Session: sample()}, "response", "session_status", map[string]any{"session_id": "exec_1"}},
		{&message.SessionStatus{}, "response", "no_active_session", nil},
		{&message.SessionList{Sessions: []*message.Session{sample()}}, "response", "sessions_list", nil},
		{&message.ResultsAnswer{RequestType: "symbol_results", SessionID: "exec_1", Symbol: "A", Results: &message.Results{}}, "response", "results",
			map[string]any{"request_type": "symbol_results", "session_id": "exec_1", "symbol": "A"}},
		{&message.StrategiesList{Strategies: []message.Strategy{{Name: "s", Config: []byte("{}")}}}, "response", "strategies_list", nil},
		{&message.StrategyActivated{State: message.StrategyState{Strategy: "s", Symbol: "A", State: "monitoring"}}, "response", "strategy_activated",
			map[string]any{"strategy_name": "s", "symbol": "A", "session_id": nil}},
		{&message.StrategyActivated{Deactivated: true}, "response", "strategy_deactivated", nil},
		{&message.StrategyStates{}, "response", "all_strategies_status", map[string]any{"strategies": []any{}, "data": []any{}}},
		{&message.StrategyStates{Strategy: "s", States: sample().Strategies[:1]}, "response", "strategy_status", map[string]any{"strategy_name": "s"}},
		{&message.StrategyValidation{Errors: []message.Fault{fault}}, "response", "strategy_validation",
			map[string]any{"valid": false, "errors": []any{map[string]any{"path": "a.b", "message": "a.b must be"}}, "warnings": []any{}}},
		{&message.StrategyUpserted{Strategy: "s"}, "response", "strategy_upserted", map[string]any{"strategy_name": "s"}},
		{&message.CollectionStarted{Collection: collection}, "response", "collection_started", map[string]any{"collection_id": "c1", "duration": 3600.0, "symbols": []any{"A"}}},
		{&message.CollectionStopped{Collection: collection}, "response", "collection_stopped", nil},
		{&message.CollectionStatus{Collection: collection}, "response", "collection_status", map[string]any{"records_collected": 3.0}},
		{&message.CollectionStatus{}, "response", "no_active_collection", nil},
	} {
		got := reply(t, `"r1"`, c.body)
		require.Equal(t, c.kind, got["type"], "%T", c.body)
		require.Equal(t, c.status, got["status"], "%T", c.body)
		require.Equal(t, "r1", got["id"])
		for key, want := range c.fields {
			require.Equal(t, want, got[key], "%T %s", c.body, key)
		}
	}
}

func TestAnErrorHasItsCodeAndItsDetailsBesideIt(t *testing.T) {
	e := message.Errorf(message.CodeSessionConflict, "taken").WithDetails(map[string]any{"session_id": "exec_2", "type": "no"})
	got := reply(t, "5", &message.Failure{Err: e})
	require.Equal(t, map[string]any{
		"type": "error", "id": 5.0, "error_code": "session_conflict", "error_message": "taken", "recoverable": true, "session_id": "exec_2",
	}, got)
	warning := reply(t, "", &message.Failure{Err: message.Errorf(message.CodeRateLimited, "near"), Warning: true})
	require.Equal(t, "status", warning["type"])
	require.Equal(t, "warning", warning["status"])
	unknown := reply(t, "", &message.Members{})
	require.Equal(t, "handler_error", unknown["error_code"])
}

func TestASessionsFiguresHaveTheSameNamesEverywhere(t *testing.T) {
	got := reply(t, "", &message.SessionStatus{Session: sample()})
	require.Equal(t, got["data"], got["session_data"])
	metrics := got["data"].(map[string]any)["metrics"].(map[string]any)
	require.Equal(t, 12.5, metrics["realized_pnl"])
	require.Equal(t, 10012.4, metrics["equity"])
	require.Equal(t, 1.5, metrics["sharpe"])
	require.EqualValues(t, 3, metrics["ticks_invalid"])
	require.Nil(t, metrics["sortino"])
	results := reply(t, "", &message.ResultsAnswer{RequestType: "session_results", Results: &message.Results{
		Performance: sample().Performance, BySymbol: []message.PartResults{{Name: "A", Performance: message.Performance{Trades: 3}}},
		Positions: []message.Position{{Strategy: "s", Symbol: "A", Quantity: "-1.5"}}, Trades: []message.Trade{{Side: "LONG", Net: "3"}},
		Equity: []message.EquityPoint{{TimeMS: at, Equity: "5"}}, Rejections: []message.Rejection{{Reason: "budget_cap_exceeded", Count: 2}},
	}})["data"].(map[string]any)
	require.Equal(t, metrics, results["metrics"])
	require.Equal(t, 3.0, results["symbols"].(map[string]any)["A"].(map[string]any)["trades"])
	require.Equal(t, -1.5, results["positions"].([]any)[0].(map[string]any)["quantity"])
	require.Equal(t, 3.0, results["trades_list"].([]any)[0].(map[string]any)["net_pnl"])
	require.Equal(t, map[string]any{"budget_cap_exceeded": 2.0}, results["rejections"])
}

func TestAWSEOnlyReplyIsAnErrorAndNotANonsense(t *testing.T) {
	require.Equal(t, "error", reply(t, "", &message.PresenceAccepted{})["type"])
}

func publication(t *testing.T, topic, kind, payload string) map[string]any {
	t.Helper()
	env := &message.Envelope{Type: kind, Topic: message.Topic(topic), Payload: []byte(payload), ID: "e1", TimeMS: at, Seq: 4}
	out := wsapi.Dialect{}.AppendPublication(nil, env)
	var got map[string]any
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	require.NotContains(t, got, "id", "ids are of requests")
	delete(got, "version")
	delete(got, "timestamp")
	return got
}

func TestPublicationsAreSpelledAsTheStreamTheyBelongTo(t *testing.T) {
	for _, c := range []struct{ topic, kind, payload, want string }{
		{"stream:market_data:BTC_USDT", message.TypeMarketData, `{"symbol":"BTC_USDT","price":1.5}`,
			`{"type":"data","stream":"market_data","session_id":null,"market_data":{"symbol":"BTC_USDT","price":1.5}}`},
		{"stream:system_health:node", message.TypeSystemHealth, `{"cpu":1}`, `{"type":"data","stream":"system_health","session_id":null,"data":{"cpu":1}}`},
		{"user:u:automation_events", message.TypeSignal, `{"session_id":"x","signal":{"type":"S1"}}`, `{"type":"signal","stream":"signals","session_id":"x","signal":{"type":"S1"}}`},
		{"user:u:automation_events", message.TypeIndicators, `{"session_id":null,"indicators":[{"name":"RSI"}]}`,
			`{"type":"data","stream":"indicators","session_id":null,"indicators":[{"name":"RSI"}],"data":{"session_id":null,"indicators":[{"name":"RSI"}]}}`},
		{"user:u:automation_events", message.TypeExecutionStatus, `{"session_id":"x","execution_status":{"state":"exited"}}`,
			`{"type":"data","stream":"execution_status","session_id":"x","event":"execution_status","data":{"state":"exited"}}`},
		{"user:u:automation_events", message.TypeAlert, `{"session_id":"x","alert":{"type":"emergency_exit"}}`, `{"type":"alert","session_id":"x","alert":{"type":"emergency_exit"}}`},
		{"user:u:order_events", message.TypeOrderFilled, `{"session_id":"x","order":{"order_id":"1"}}`,
			`{"type":"data","stream":"orders","session_id":"x","event":"order_filled","data":{"order_id":"1"}}`},
		{"user:u:position_events", message.TypePosition, `{"session_id":"x","position":{"quantity":1}}`,
			`{"type":"data","stream":"positions","session_id":"x","event":"position_update","data":{"quantity":1}}`},
		{"user:u:portfolio_events", message.TypePortfolio, `{"session_id":"x","portfolio":{"equity":1}}`,
			`{"type":"data","stream":"portfolio","session_id":"x","event":"portfolio_update","data":{"equity":1}}`},
		{"user:u:order_events", "foreign", `{"a":1}`, `{"type":"data","stream":"orders","session_id":null,"event":"foreign","data":{"a":1}}`},
		{"user:u:events", "foreign", ``, `{"type":"data","stream":"execution_status","session_id":null,"event":"foreign","data":{}}`},
	} {
		var want map[string]any
		require.NoError(t, json.Unmarshal([]byte(c.want), &want))
		require.Equal(t, want, publication(t, c.topic, c.kind, c.payload), c.topic+" "+c.kind)
	}
}

func TestSeedsAreMarkedUnlessTheyShowALastPublicationAgain(t *testing.T) {
	for _, stream := range []string{"market_data", "indicators", "signals", "orders", "positions", "portfolio", "execution_status", "system_health"} {
		got := reply(t, "", &message.Seed{Stream: stream, Symbol: "A"})
		require.Equal(t, true, got["seed"], stream)
		require.Equal(t, stream, got["stream"])
		require.Contains(t, got, "session_id")
		require.Nil(t, got["session_id"])
		raw, err := json.Marshal(got)
		require.NoError(t, err)
		require.Contains(t, string(raw), `"A"`, stream)
		if stream != "indicators" {
			require.Contains(t, string(raw), `"price":0`, stream)
		}
	}
	last := &message.Envelope{Type: message.TypeMarketData, Topic: "stream:market_data:A", Payload: []byte(`{"symbol":"A","price":7}`)}
	got := reply(t, "", &message.Seed{Stream: "market_data", SessionID: "x", Last: last})
	require.NotContains(t, got, "seed")
	require.Equal(t, "x", got["session_id"])
	require.Equal(t, 7.0, got["market_data"].(map[string]any)["price"])
}

func FuzzAppendPublication(f *testing.F) {
	f.Add("user:u:order_events", "order_filled", `{"session_id":"x","order":{}}`)
	f.Add("stream:market_data:A", "market_data_update", `{}`)
	f.Add("user:u:automation_events", "signal_generated", `{"signal":null}`)
	f.Fuzz(func(t *testing.T, topic, kind, payload string) {
		if !json.Valid([]byte(payload)) || payload[0] != '{' {
			return
		}
		out := wsapi.Dialect{}.AppendPublication(nil, &message.Envelope{Topic: message.Topic(topic), Type: kind, Payload: []byte(payload)})
		require.True(t, json.Valid(out), string(out))
	})
}

func TestMarketDataIsWrittenWithoutAnAllocation(t *testing.T) {
	env := &message.Envelope{Type: message.TypeMarketData, Topic: "stream:market_data:A", Payload: []byte(`{"symbol":"A","price":7}`), TimeMS: at}
	buf := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = wsapi.Dialect{}.AppendPublication(buf[:0], env) }))
}

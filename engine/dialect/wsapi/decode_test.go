package wsapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/dialect/wsapi"
	"github.com/wse-engine/wse/engine/message"
)

func TestEveryRequestIsRead(t *testing.T) {
	for text, want := range map[string]message.Body{
		`{"type":"handshake","version":"1.0","client_id":"ui","capabilities":["a",1,"b"]}`: &message.Handshake{Version: "1.0", ClientID: "ui", Capabilities: []string{"a", "b"}},
		`{"type":"heartbeat"}`:                               &message.Ping{},
		`{"type":"ping","id":7}`:                             &message.Ping{},
		`{"type":"auth","token":"a.b.c"}`:                    &message.Authenticate{Token: "a.b.c"},
		`{"type":"refresh","refresh_token":"a.b.c"}`:         &message.RefreshToken{Token: "a.b.c"},
		`{"type":"subscribe","stream":"signals"}`:            &message.StreamRequest{Stream: "signals"},
		`{"type":"subscribe","stream":"orders","params":{}}`: &message.StreamRequest{Stream: "orders", Params: []byte("{}")},
		`{"type":"subscribe","stream":"market_data","params":{"symbols":["BTC_USDT","ETH_USDT"]}}`: &message.StreamRequest{
			Stream: "market_data", Symbols: []string{"BTC_USDT", "ETH_USDT"}, Params: []byte(`{"symbols":["BTC_USDT","ETH_USDT"]}`)},
		`{"type":"unsubscribe","stream":"market_data","params":{"symbol":"BTC_USDT"}}`: &message.StreamRequest{
			Stream: "market_data", Symbols: []string{"BTC_USDT"}, Params: []byte(`{"symbol":"BTC_USDT"}`), Leave: true},
		`{"type":"session_start","session_type":"paper","strategy_config":{"s":["BTC_USDT"]},"config":{"budget":{}}}`: &message.SessionStart{
			SessionType: "paper", StrategyConfig: []byte(`{"s":["BTC_USDT"]}`), Config: []byte(`{"budget":{}}`)},
		`{"type":"session_start"}`:                                               &message.SessionStart{}, // refused by its handler, with codes of their own
		`{"type":"session_stop","session_id":"exec_1"}`:                          &message.SessionChange{Change: message.SessionStop, SessionID: "exec_1"},
		`{"type":"session_pause","session_id":"exec_1"}`:                         &message.SessionChange{Change: message.SessionPause, SessionID: "exec_1"},
		`{"type":"session_resume","session_id":"x"}`:                             &message.SessionChange{Change: message.SessionResume, SessionID: "x"},
		`{"type":"session_status"}`:                                              &message.SessionQuery{},
		`{"type":"session_status","session_id":null}`:                            &message.SessionQuery{},
		`{"type":"session_status","session_id":"x"}`:                             &message.SessionQuery{SessionID: "x"},
		`{"type":"get_strategies"}`:                                              &message.StrategiesRequest{},
		`{"type":"activate_strategy","strategy_name":"s","symbol":"BTC_USDT"}`:   &message.StrategyActivation{Strategy: "s", Symbol: "BTC_USDT"},
		`{"type":"deactivate_strategy","strategy_name":"s","symbol":"BTC_USDT"}`: &message.StrategyActivation{Strategy: "s", Symbol: "BTC_USDT", Deactivate: true},
		`{"type":"get_strategy_status","strategy_name":"s"}`:                     &message.StrategyQuery{Strategy: "s"},
		`{"type":"validate_strategy_config","strategy_config":{}}`:               &message.StrategyConfig{Config: []byte("{}")},
		`{"type":"upsert_strategy","strategy_config":{"a":1}}`:                   &message.StrategyConfig{Config: []byte(`{"a":1}`), Save: true},
		`{"type":"results_request","request_type":"symbol_results","session_id":"x","symbol":"S","strategy":"t"}`: &message.ResultsRequest{
			RequestType: "symbol_results", SessionID: "x", Symbol: "S", Strategy: "t"},
		`{"type":"collection_start","symbols":["A"],"duration":90}`:    &message.CollectionStart{Symbols: []string{"A"}, Duration: 90 * time.Second},
		`{"type":"collection_start","symbols":["A"],"duration":"2d"}`:  &message.CollectionStart{Symbols: []string{"A"}, Duration: 48 * time.Hour},
		`{"type":"collection_start","symbols":["A"],"duration":"15m"}`: &message.CollectionStart{Symbols: []string{"A"}, Duration: 15 * time.Minute},
		`{"type":"collection_stop","collection_id":"c"}`:               &message.CollectionStop{CollectionID: "c"},
		` {"type":"collection_status"} `:                               &message.CollectionQuery{},
	} {
		req, err := wsapi.Dialect{}.Decode([]byte(text), false)
		require.NoError(t, err, text)
		require.Equal(t, want, req.Body, text)
	}
}

func TestARequestsIDIsToldBackAsItCameAndMakesNoRepeat(t *testing.T) {
	for id, want := range map[string]string{`"a\"b"`: `"a\"b"`, `12`: `12`, `1.50`: `1.50`, `null`: ""} {
		req, err := wsapi.Dialect{}.Decode([]byte(`{"type":"ping","id":`+id+`}`), false)
		require.NoError(t, err)
		require.Empty(t, req.ID)
		require.Equal(t, want, req.ReplyCID())
		out := wsapi.Dialect{}.AppendReply(nil, &message.Reply{CID: req.ReplyCID(), Body: &message.Pong{}})
		require.Equal(t, want != "", strings.Contains(string(out), `"id":`+id))
	}
}

func TestAllFaultsOfARequestAreToldAtOnceWithTheirPaths(t *testing.T) {
	for text, want := range map[string][]string{
		`{"type":"subscribe","id":{},"stream":7,"params":{"symbols":["A",5,"b c",""],"symbol":[]}}`: {
			"id must be", "stream must be a string, not a number", "params.symbols[1] must be a string", "params.symbols[2] must be 1 to", "params.symbols[3] must be", "params.symbol must be"},
		`{"type":"subscribe"}`:                                          {"stream is required"},
		`{"type":"subscribe","stream":"weather"}`:                       {`stream must be market_data, indicators`},
		`{"type":"subscribe","stream":"orders","params":[]}`:            {"params must be an object, not an array"},
		`{"type":"auth"}`:                                               {"token is required"},
		`{"type":"auth","token":""}`:                                    {"token is required"},
		`{"type":"auth","token":{}}`:                                    {"token must be a string, not an object"},
		`{"type":"refresh","refresh_token":null}`:                       {"refresh_token is required"},
		`{"type":"session_start","session_type":5,"config":"x"}`:        {"session_type must be a string", "config must be an object"},
		`{"type":"session_start","strategy_config":[1]}`:                {"strategy_config must be an object"},
		`{"type":"session_stop"}`:                                       {"session_id is required"},
		`{"type":"session_stop","session_id":"../x"}`:                   {"session_id may hold"},
		`{"type":"session_stop","session_id":""}`:                       {"session_id is required"},
		`{"type":"activate_strategy"}`:                                  {"strategy_name is required", "symbol is required"},
		`{"type":"activate_strategy","strategy_name":1,"symbol":2}`:     {"strategy_name must be", "symbol must be"},
		`{"type":"validate_strategy_config"}`:                           {"strategy_config is required"},
		`{"type":"upsert_strategy","strategy_config":"x"}`:              {"strategy_config must be an object"},
		`{"type":"collection_start"}`:                                   {"symbols is required"},
		`{"type":"collection_start","symbols":[]}`:                      {"symbols is required"},
		`{"type":"collection_start","symbols":["A"],"duration":-1}`:     {"duration must be a number of seconds"},
		`{"type":"collection_start","symbols":["A"],"duration":1e300}`:  {"duration must be"},
		`{"type":"collection_start","symbols":["A"],"duration":"soon"}`: {"duration must be"},
		`{"type":"collection_start","symbols":["A"],"duration":true}`:   {"duration must be"},
		`{"type":"collection_stop"}`:                                    {"collection_id is required"},
		`{"type":"make_coffee"}`:                                        {`type "make_coffee" is not one of`},
		`{"id":"1"}`:                                                    {"type is required"},
		`{"type":["auth"]}`:                                             {"type must be a string"},
		`{"type":"ping","type":"auth"}`:                                 {"type is there twice"},
		`[]`:                                                            {"must be a JSON object with a type, not an array"},
		`"ping"`:                                                        {"not a string"},
	} {
		req, err := wsapi.Dialect{}.Decode([]byte(text), false)
		require.Error(t, err, text)
		require.Nil(t, req.Body)
		e := message.AsError(err)
		require.Equal(t, "validation_error", dialect.SpellingOf(e.Code).API, text)
		for _, part := range want {
			require.Contains(t, e.Message, part, text)
		}
		var details struct {
			Errors []struct{ Path, Message string }
		}
		if e.Details != nil {
			require.NoError(t, json.Unmarshal(e.Details, &details))
			require.Len(t, details.Errors, len(want), text)
		}
	}
}

func TestWhatIsNoJSONIsSaidToBeNone(t *testing.T) {
	for _, text := range []string{"", "{", `{"type":"ping"}}`, "PING", "{\"type\":\"\xff\"}", strings.Repeat("[", 100) + strings.Repeat("]", 100), `{"a":NaN}`} {
		_, err := wsapi.Dialect{}.Decode([]byte(text), false)
		require.Equal(t, "invalid_json", dialect.SpellingOf(message.AsError(err).Code).API, text)
	}
}

func TestFaultsAreToldUpToALimit(t *testing.T) {
	_, err := wsapi.Dialect{}.Decode([]byte(`{"type":"collection_start","symbols":[`+strings.Repeat("1,", 500)+`1]}`), false)
	require.Contains(t, err.Error(), "and 401 more")
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"type":"subscribe","id":"1","stream":"market_data","params":{"symbols":["A"]}}`, `{"type":"collection_start","duration":"1d"}`,
		`{"type":"session_start","session_type":"live","strategy_config":{"a":["b"]}}`, `[]`, `{"id":{}}`, `{"type":"ping","id":1e5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := wsapi.Dialect{}.Decode(data, false)
		require.NotNil(t, req)
		reply := &message.Reply{CID: req.ReplyCID(), Body: &message.Pong{}}
		if err != nil {
			require.Nil(t, req.Body)
			reply.Body = &message.Failure{Err: message.AsError(err)}
		} else {
			require.NotNil(t, req.Body)
		}
		require.True(t, json.Valid(wsapi.Dialect{}.AppendReply(nil, reply)))
	})
}

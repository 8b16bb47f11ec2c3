package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"
)

// apiSlots are every field of every request of protocol v1 (PROTOCOL §3.2–3.3).
func apiSlots() []slot {
	all := []slot{
		{`{"type":@,"id":"$"}`, "type", "s", `"ping"`},
		{`{"type":"handshake","id":@}`, "id", "ns#", `"$"`},
		{`{"type":"handshake","id":"$","version":@}`, "version", "ns", `"1"`},
		{`{"type":"handshake","id":"$","client_id":@}`, "client_id", "ns", `"1"`},
		{`{"type":"handshake","id":"$","capabilities":@}`, "", "nb#sao", `[]`},
		{`{"type":"handshake","id":"$","nonsense":@}`, "", "nb#sao", `1`},
		{`{"type":"auth","id":"$","token":@}`, "token", "s", `"x"`},
		{`{"type":"refresh","id":"$","refresh_token":@}`, "refresh_token", "s", `"x"`},
		{`{"type":"session_status","id":"$","session_id":@}`, "session_id", "ns", `"x"`},
		{`{"type":"get_strategy_status","id":"$","strategy_name":@}`, "strategy_name", "ns", `"puppet"`},
		{`{"type":"get_strategy_status","id":"$","symbol":@}`, "symbol", "ns", `"A"`},
		{`{"type":"get_strategies","id":"$","nonsense":@}`, "", "nb#sao", `1`},
		{`{"type":"validate_strategy_config","id":"$","strategy_config":@}`, "strategy_config", "o", `{}`},
		{`{"type":"upsert_strategy","id":"$","strategy_config":@}`, "strategy_config", "o", `{}`},
		{`{"type":"collection_start","id":"$","symbols":@}`, "symbols", "a", `["A"]`},
		{`{"type":"collection_start","id":"$","symbols":["A",@]}`, "symbols[1]", "s", `"B"`},
		{`{"type":"collection_start","id":"$","symbols":["A"],"duration":@}`, "duration", "n#s", `5`},
		{`{"type":"collection_stop","id":"$","collection_id":@}`, "collection_id", "s", `"x"`},
		{`{"type":"collection_status","id":"$","collection_id":@}`, "collection_id", "ns", `"x"`},
	}
	for _, t := range []string{"subscribe", "unsubscribe"} {
		p := func(rest string) string { return `{"type":"` + t + `","id":"$",` + rest + `}` }
		all = append(all,
			slot{p(`"stream":@`), "stream", "s", `"orders"`},
			slot{p(`"stream":"market_data","params":@`), "params", "no", `{}`},
			slot{p(`"stream":"market_data","params":{"symbols":@}`), "params.symbols", "na", `["A"]`},
			slot{p(`"stream":"market_data","params":{"symbols":["A",@]}`), "params.symbols[1]", "s", `"B"`},
			slot{p(`"stream":"market_data","params":{"symbol":@}`), "params.symbol", "ns", `"B"`},
			slot{p(`"stream":"orders","params":{"nonsense":@}`), "", "nb#sao", `1`},
		)
	}
	for _, t := range []string{"session_stop", "session_pause", "session_resume"} {
		all = append(all, slot{`{"type":"` + t + `","id":"$","session_id":@}`, "session_id", "s", `"x"`})
	}
	for _, t := range []string{"activate_strategy", "deactivate_strategy"} {
		all = append(all,
			slot{`{"type":"` + t + `","id":"$","strategy_name":@,"symbol":"A"}`, "strategy_name", "s", `"puppet"`},
			slot{`{"type":"` + t + `","id":"$","strategy_name":"puppet","symbol":@}`, "symbol", "s", `"A"`})
	}
	for name, kind := range map[string]string{"session_id": "session", "symbol": "symbol", "strategy": "strategy"} {
		all = append(all, slot{`{"type":"results_request","id":"$","request_type":"` + kind + `_results","` + name + `":@}`, name, "ns", `"x"`})
	}
	all = append(all, slot{`{"type":"results_request","id":"$","request_type":@}`, "request_type", "ns", `"session_results"`})
	return append(append(all, startSlots()...), configurationSlots()...)
}

// startSlots are those of a start.
func startSlots() []slot {
	all := []slot{
		{`{"type":"session_start","id":"$","session_type":@,"strategy_config":{"puppet":["A"]}}`, "session_type", "ns", `"paper"`},
		{`{"type":"session_start","id":"$","session_type":"paper","strategy_config":@}`, "strategy_config", "no", `{"puppet":["A"]}`},
		{`{"type":"session_start","id":"$","session_type":"paper","strategy_config":{"puppet":@}}`, "strategy_config.puppet", "a", `["A"]`},
		{`{"type":"session_start","id":"$","session_type":"paper","strategy_config":{"puppet":["A",@]}}`, "strategy_config.puppet", "s", `"B"`},
		{`{"type":"session_start","id":"$","session_type":"paper","strategy_config":{"puppet":["A"]},"config":@}`, "config", "no", `{}`},
		{`{"type":"session_start","id":"$","session_type":"backtest","strategy_config":{"puppet":["A"]},"config":{"collection_id":@}}`, "config.collection_id", "s", `"x"`},
	}
	for path, kinds := range map[string]string{
		"acceleration_factor": "n#", "initial_balance": "n#", "fee_bps": "n#", "slippage_bps": "n#", "indicator_interval_ms": "n#",
		"close_at_end": "nb", "budget": "no", "budget.global_cap": "n#", "budget.allocations": "no", "budget.allocations.puppet": "#s",
	} {
		value := "@"
		names := strings.Split(path, ".")
		for _, name := range slices.Backward(names) {
			value = `{"` + name + `":` + value + `}`
		}
		field := "config." + path
		if path == "budget.allocations" {
			field = "config.budget" // read as a whole
		}
		all = append(all, slot{`{"type":"session_start","id":"$","session_type":"paper","strategy_config":{"puppet":["A"]},"config":` + value + `}`, field, kinds, `1`})
	}
	return all
}

// configurationSlots are those of a strategy's configuration, about which the validator has its say.
func configurationSlots() (all []slot) {
	const whole = `{"strategy_name":"bad","s1_signal":{"conditions":[{"id":"c","indicatorId":"RSI","operator":"<","value":30}]},` +
		`"z1_entry":{"conditions":[{"id":"c","indicatorId":"PRICE","operator":">","value":0}],"positionSize":{"type":"fixed","value":100},"leverage":1},` +
		`"ze1_close":{"conditions":[]},"o1_cancel":{"timeoutSeconds":0,"conditions":[]},` +
		`"emergency_exit":{"conditions":[],"cooldownMinutes":0,"actions":{"cancelPending":true,"closePosition":true,"logEvent":true}}}`
	for _, part := range []string{
		`"bad"`, `{"conditions":[{"id":"c","indicatorId":"RSI","operator":"<","value":30}]}`, `"RSI"`, `"<"`, `30`, `"fixed"`, `100`, `1}`, `[]`, `true`,
	} {
		value, tail := strings.TrimSuffix(part, "}"), ""
		if part == "1}" {
			tail = "}"
		} else {
			value = part
		}
		text := strings.Replace(whole, value+tail, "@"+tail, 1)
		all = append(all, slot{`{"type":"upsert_strategy","id":"$","strategy_config":` + text + `}`, "", "nb#sao", value})
	}
	return all
}

// apiAnswer is what every message of protocol v1 has to be.
type apiAnswer struct {
	Type      string
	Version   string
	Timestamp string
	ID        json.RawMessage
	Code      string `json:"error_code"`
	Message   string `json:"error_message"`
	Errors    []struct{ Path, Message string }
	raw       []byte
}

// apiCodes are those of PROTOCOL §3 that a request may be answered with while nothing is wrong with the engine.
var apiCodes = []string{
	"invalid_json", "validation_error", "authentication_required", "insufficient_permissions", "invalid_token", "subscription_failed", "unsubscription_failed",
	"invalid_session_type", "missing_strategy_config", "session_conflict", "session_not_found", "strategy_activation_failed", "strategy_not_found",
	"deactivation_failed", "budget_cap_exceeded", "invalid_request_type", "collection_start_failed", "command_failed",
}

// tryAPI sends a request and returns what came before the answer to the next good one, stream data left out.
func (a *attacker) tryAPI(t *testing.T, binary bool, text string) (got []apiAnswer) {
	t.Helper()
	a.n++
	op := ws.OpText
	if binary {
		op = ws.OpBinary
	}
	require.NoError(t, a.send(op, []byte(strings.ReplaceAll(text, "$", fmt.Sprintf("a%d", a.n)))))
	last := fmt.Sprintf(`"good%d"`, a.n)
	require.NoError(t, a.send(ws.OpText, []byte(`{"type":"handshake","id":`+last+`}`)))
	for {
		r, _, err := a.received(false)
		require.NoError(t, err, "after %.300s", text)
		var m apiAnswer
		require.NoError(t, json.Unmarshal(r.text, &m), "%s", r.text)
		m.raw = r.text
		require.True(t, bytes.HasPrefix(m.raw, []byte(`{"type":"`)) && m.Version == "1.0" && m.Timestamp != "", "%s", m.raw)
		switch {
		case string(m.ID) == last:
			return got
		case m.Type == "error":
			require.Contains(t, apiCodes, m.Code, "after %.300s: %.300s", text, m.raw)
			require.NotEmpty(t, m.Message)
		case m.Type == "data" || m.Type == "signal" || m.Type == "alert" || m.Type == "status" && m.ID == nil:
			require.Nil(t, m.ID)
			continue
		}
		got = append(got, m)
	}
}

// refusedAPI asserts that a request was refused once, with a code, and that one of its faults is the field's.
func refusedAPI(t *testing.T, got []apiAnswer, code, field, text string) {
	t.Helper()
	require.Len(t, got, 1, "after %.300s", text)
	require.Equal(t, code, got[0].Code, "after %.300s: %.300s", text, got[0].raw)
	require.Less(t, len(got[0].raw), 4000, "an error is short, whatever was sent")
	if field == "" {
		return
	}
	for _, e := range got[0].Errors {
		if e.Path == field {
			return
		}
	}
	t.Fatalf("after %.300s: no fault of %s in %.600s", text, field, got[0].raw)
}

// attackAPI puts every value into every slot.
func attackAPI(t *testing.T, a *attacker, every func()) {
	for _, s := range apiSlots() {
		for kind, list := range values() {
			for i, value := range list {
				every()
				text := strings.Replace(s.text, "@", value, 1)
				got := a.tryAPI(t, kind == "%" || i%2 == 1, text) // as text what is no UTF-8 ends the connection, RFC 6455 §8.1
				switch {
				case kind == "!" || kind == "%":
					refusedAPI(t, got, "invalid_json", "", text)
				case !strings.Contains(s.kinds, kind):
					refusedAPI(t, got, "validation_error", s.field, text)
				default:
					require.Len(t, got, 1, "after %.300s", text)
				}
			}
		}
	}
}

// market starts an engine that has patience, with the puppet for a strategy.
func market(t *testing.T, program, poller string) *Runner {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"wse.yaml", "puppet.wasm", "puppet.json"} {
		data, err := os.ReadFile(filepath.Join("../scenarios/testdata", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	e, err := Start(program, dir, []string{
		"debug.poller=" + poller, "limits.bad_messages_per_minute=1000000", "limits.messages_per_second=0", "limits.receive_kib_per_second=0",
		"limits.topics_per_connection=100000", "limits.request_timeout=1m", "auth.failures_per_minute=1000000", "trading.collections_per_user_max=3",
	}, false)
	require.NoError(t, err)
	r := NewRunner(e)
	r.vars, r.clients = vars{}, map[string]*client{}
	t.Cleanup(func() {
		r.closeAll()
		require.NoError(t, e.Stop())
	})
	return r
}

func TestWhateverIsPutIntoAnyFieldOfAnyRequestOfProtocolV1IsAnsweredAndDisturbsNobody(t *testing.T) {
	// One poller will do: the frames are those of protocol v2, whose test has both.
	r := market(t, build(t), pollers()[0])
	r.must(t, "open alice path=/ws level=trader", "open bob path=/ws level=trader",
		`ask bob {"type":"session_start","session_type":"paper","strategy_config":{"puppet":["CALM"]}} => {"session_id":"$session"}`,
		`ask bob {"type":"subscribe","stream":"orders"} => {"session_id":"$session"}`, `repeat 5 expect bob {"seed":true}`)
	a := &attacker{client: r.clients["alice"]}
	n, ticks := 0, 0
	attackAPI(t, a, func() {
		if n++; n%500 == 1 {
			ticks++
			r.must(t, "tick CALM 100 volume=100")
		}
	})
	r.must(t, "no-more bob", fmt.Sprintf(`ask bob {"type":"session_status"} => {"session_id":"$session","data":{"state":"running","metrics":{"ticks_processed":%d}}}`, ticks))
	written(t, r.engine.Dir)
	t.Logf("%d bad requests", a.n)
}

// written asserts that nothing was written but what may be: strategies that were kept, and collections by their ids.
func written(t *testing.T, dir string) {
	t.Helper()
	names := func(in string) (list []string) {
		entries, err := os.ReadDir(in)
		require.NoError(t, err)
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	for _, name := range names(dir) {
		require.Regexp(t, `^(data|wse\.yaml|puppet\.wasm|[A-Za-z0-9_-]{1,100}\.json)$`, name)
	}
	for _, name := range names(filepath.Join(dir, "data")) {
		if strings.HasPrefix(name, "session_") {
			require.Regexp(t, `^session_coll_\d{8}_\d{6}_[0-9a-f]{8}$`, name)
			for _, symbol := range names(filepath.Join(dir, "data", name)) {
				require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`), symbol)
			}
		}
	}
}

func TestAStormOfStartsAndStopsEndsInOneSessionOrNone(t *testing.T) {
	program := build(t)
	r := market(t, program, pollers()[0])
	const clients, each = 50, 20
	for i := range clients {
		r.must(t, fmt.Sprintf("open c%d as=alice path=/ws level=trader", i))
	}
	storm := func(text func(i, j int) string) (answers []map[string]any) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				c := r.clients[fmt.Sprintf("c%d", i)]
				for j := range each {
					_, answer, err := c.ask(text(i, j))
					mu.Lock()
					answers = append(answers, answer)
					mu.Unlock()
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return answers
	}
	const start = `{"type":"session_start","session_type":"paper","strategy_config":{"puppet":["A","B"]}}`
	ids, begun := map[any]bool{}, 0
	for _, answer := range storm(func(int, int) string { return start }) {
		require.Equal(t, "session_started", answer["status"], "%v", answer)
		ids[answer["session_id"]] = true
		if answer["reused"] == false {
			begun++
		}
	}
	require.Len(t, ids, 1, "a thousand starts with one key are one session")
	require.Equal(t, 1, begun)
	for _, answer := range storm(func(i, j int) string {
		switch (i + j) % 3 {
		case 0:
			return `{"type":"session_start","session_type":"paper","strategy_config":{"puppet":["A"]}}`
		case 1:
			return `{"type":"session_status"}`
		}
		return start
	}) {
		require.NotEqual(t, "error", answer["type"], "%v", answer)
	}
	for range 3 { // whatever is left
		r.must(t, `ask c0 {"type":"session_status"} => {"status":"$status"}`)
		if r.vars["status"] == "no_active_session" {
			break
		}
		delete(r.vars, "status")
		r.must(t, `ask c0 {"type":"session_status"} => {"session_id":"$left"}`, `ask c0 {"type":"session_stop","session_id":"$left"} => {"status":"session_stopped"}`)
		delete(r.vars, "left")
	}
	r.must(t, `ask c0 {"type":"session_status"} => {"status":"no_active_session"}`, `get /metrics => 200 ~wse_sessions\{session_type="paper"\} 0`)
}

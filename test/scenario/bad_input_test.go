package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"
)

// slot is a place in a request that any value can be put into.
type slot struct {
	text  string // the request, with @ for the value and $ for an id of its own
	field string // what an error calls the place; empty: whatever stands there says nothing to the engine
	kinds string // the kinds of values that belong there, by their first letters: null, bool, number, string, array, object
	good  string // a value that belongs there
}

// slots are every field of every request (PROTOCOL §2.1 and §2.3).
func slots() []slot {
	all := []slot{
		{`{"t":@,"id":"$"}`, "t", "s", `"ping"`},
		{`{"type":@,"id":"$"}`, "t", "s", `"ping"`},
		{`{"event_type":@,"id":"$"}`, "t", "s", `"ping"`},
		{`{"t":"ping","id":"$","p":@}`, "p", "no", `{}`},
		{`{"t":"ping","id":"$","payload":@}`, "p", "no", `{}`},
		{`{"t":"ping","id":@}`, "id", "ns", `"$"`},
		{`{"t":"ping","id":"$","cid":@}`, "cid", "ns", `"c"`},
		{`{"t":"ping","id":"$","correlation_id":@}`, "cid", "ns", `"c"`},
		{`{"t":"ping","id":"$","pri":@}`, "pri", "n#", `5`},
		{`{"t":"ping","id":"$","priority":@}`, "pri", "n#", `5`},
		{`{"t":"ping","id":"$","_msg_cat":@}`, "_msg_cat", "ns", `"WSE"`},
		{`{"t":"ping","id":"$","c":@}`, "_msg_cat", "ns", `"WSE"`},
		{`{"t":"ping","id":"$","cmp":@}`, "cmp", "nb", `false`},
		{`{"t":"ping","id":"$","compressed":@}`, "cmp", "nb", `false`},
		{`{"t":"ping","id":"$","enc":@}`, "enc", "nb", `false`},
		{`{"t":"ping","id":"$","encrypted":@}`, "enc", "nb", `false`},
		{`{"t":"chat","id":"$","p":@}`, "p", "no", `{}`},
		{`{"t":"chat","id":"$","trace_id":@}`, "trace_id", "ns", `"t"`},
		{`{"t":"chat","id":"$","event_version":@}`, "event_version", "n#", `1`},
		{`{"t":"ping","id":"$","p":{"timestamp":@}}`, "p.timestamp", "n#", `5`},
		{`{"t":"auth","id":"$","p":{"token":@}}`, "p.token", "ns", `"x"`},
		{`{"t":"batch_message","id":"$","p":{"messages":@}}`, "p.messages", "a", `[]`},
		{`{"t":"batch_message","id":"$","p":{"messages":[{"t":"ping"},@]}}`, "p.messages[1]", "o", `{"t":"ping"}`},
		{`{"t":"presence_request","id":"$","p":{"topic":@}}`, "p.topic", "s", `"public:x"`},
		{`{"t":"presence_update","id":"$","p":{"topic":@,"data":{}}}`, "p.topic", "s", `"public:x"`},
		{`{"t":"presence_update","id":"$","p":{"topic":"public:x","data":@}}`, "p.data", "o", `{}`},
	}
	for _, name := range []string{"ts", "timestamp", "seq", "sequence", "latency_ms", "v", "version", "tp", "e", "o", "nonsense"} {
		all = append(all, slot{`{"t":"ping","id":"$","` + name + `":@}`, "", "nb#sao", `1`})
	}
	for _, t := range []string{"heartbeat", "PONG", "connection_state_request", "metrics_request", "client_hello"} {
		all = append(all, slot{`{"t":"` + t + `","id":"$","p":{"nonsense":@}}`, "", "nb#sao", `1`})
	}
	return append(all, helloSlots(subscriptionSlots())...)
}

func helloSlots(all []slot) []slot {
	for name, kinds := range map[string]string{
		"version": "n#s", "client_version": "ns", "protocol_version": "n#", "encryption_public_key": "ns",
	} {
		good := map[bool]string{true: `"1"`, false: `1`}[strings.Contains(kinds, "s")]
		all = append(all, slot{`{"t":"client_hello","id":"$","p":{"` + name + `":@}}`, "p." + name, kinds, good})
	}
	return append(all, slot{`{"t":"client_hello","id":"$","p":{"features":@}}`, "", "nb#sao", `{}`})
}

func subscriptionSlots() (all []slot) {
	for _, t := range []string{"subscription_update", "subscription"} {
		p := func(rest string) string { return `{"t":"` + t + `","id":"$","p":{` + rest + `}}` }
		named := `"action":"subscribe","topics":["events"],`
		all = append(all,
			slot{p(`"action":@,"topics":["events"]`), "p.action", "ns", `"subscribe"`},
			slot{p(`"action":"subscribe","topics":@`), "p.topics", "na", `["events"]`},
			slot{p(`"action":"subscribe","topics":["events",@]`), "p.topics[1]", "s", `"order_events"`},
			slot{p(`"action":"unsubscribe","topics":["sync_progress",@]`), "p.topics[1]", "s", `"order_events"`},
			slot{p(named + `"event_types":@`), "p.event_types", "no", `{}`},
			slot{p(named + `"event_types":{"events":@}`), `p.event_types["events"]`, "na", `["a"]`},
			slot{p(named + `"event_types":{"events":["a",@]}`), `p.event_types["events"][1]`, "s", `"b"`},
			slot{p(named + `"recover":@`), "p.recover", "nb", `true`},
			slot{p(named + `"recover":true,"recovery":@`), "p.recovery", "no", `{}`},
			slot{p(named + `"recover":true,"recovery":{"events":@}`), `p.recovery["events"]`, "o", `{"epoch":"0000beef","offset":1}`},
			slot{p(named + `"recover":true,"recovery":{"events":{"epoch":@,"offset":1}}`), `p.recovery["events"].epoch`, "s", `"0000beef"`},
			slot{p(named + `"recover":true,"recovery":{"events":{"epoch":"0000beef","offset":@}}`), `p.recovery["events"].offset`, "#", `1`},
		)
	}
	sync := func(rest string) string { return `{"t":"sync_request","id":"$","p":{` + rest + `}}` }
	return append(all,
		slot{sync(`"topics":@`), "p.topics", "na", `[]`},
		slot{sync(`"topics":["events",@]`), "p.topics[1]", "s", `"events"`},
		slot{sync(`"include_snapshots":@`), "p.include_snapshots", "nb", `true`},
		slot{sync(`"include_history":@`), "p.include_history", "nb", `true`},
		slot{sync(`"last_sequence":@`), "p.last_sequence", "n#", `1`},
	)
}

// values are by kind; ! are texts that are no JSON, and % are those that are no UTF-8.
func values() map[string][]string {
	deep := strings.Repeat("[", 50) + strings.Repeat("]", 50)
	return map[string][]string{
		"n": {`null`},
		"b": {`true`, `false`},
		"#": {
			`0`, `-0`, `-1`, `1.5`, `1e3`, `11`, `9007199254740993`, `18446744073709551615`, `18446744073709551616`, `1e400`, `-1e400`,
			`1e-400`, strings.Repeat("9", 5000), `-` + strings.Repeat("9", 5000), `0.` + strings.Repeat("1", 5000), `1e99999999999999999999`,
		},
		"s": {
			`""`, `"x"`, `"null"`, `"5"`, `" "`, `"\u0000"`, `"\ud800"`, `"\udc00\ud800"`, `"\n\r\t\u2028\u202e"`, `"é\u200b"`, `"*"`, `"user:*:*"`,
			`"` + strings.Repeat("x", 70_000) + `"`, `"__proto__"`, `"'; DROP TABLE users; --"`, `"%00%s%n"`, `"../../etc/passwd"`,
		},
		"a": {`[]`, `[null]`, `[1,"x",{}]`, deep, `[` + strings.TrimSuffix(strings.Repeat(`"x",`, 300), ",") + `]`},
		"o": {`{}`, `{"a":1}`, `{"":{}}`, `{"a":1,"a":2}`, `{"t":"ping"}`, `{"events":` + deep + `}`, `{"__proto__":{"x":1}}`},
		"!": {
			`NaN`, `Infinity`, `-Infinity`, `undefined`, `01`, `1.`, `.5`, `+1`, `0x10`, `1e`, `'x'`, `tru`, `nul`, `"x`, `"\x"`, `"\u12"`, "\"\x01\"",
			`{"a":1,}`, `[1,]`, `[1 2]`, `{a:1}`, `{"a"}`, `{"a":}`, `{1:2}`, `/*c*/1`, "\ufeff1", ``, `]`, `}`,
			strings.Repeat("[", 100_000), strings.Repeat("[", 65) + strings.Repeat("]", 65), strings.Repeat(`{"a":`, 100_000),
		},
		"%": {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "{\"\xfe\":1}"},
	}
}

// answer is what every message of the engine has to be.
type answer struct {
	T   string
	CID string
	ID  string
	TS  string
	V   int
	P   struct {
		Code        string
		Message     string
		Recoverable *bool
		Details     struct{ Field, Reason string }
		Topics      []string
	}
	raw []byte
}

// codes are those of PROTOCOL §2.7 that a request may be answered with while nothing is wrong with the engine.
var codes = []string{
	"AUTH_FAILED", "INVALID_MESSAGE", "MESSAGE_TOO_LARGE", "UNKNOWN_TYPE", "INVALID_SUBSCRIPTION", "INVALID_ACTION",
	"SUBSCRIPTION_FAILED", "SUBSCRIPTION_LIMIT", "SYNC_ERROR", "KEY_EXCHANGE_FAILED",
}

// attacker is a client that sends bad requests and reads what comes.
type attacker struct {
	*client
	n int
}

// try sends a request in a form, if it has that form, and returns what came before the answer to the next good one.
func (a *attacker) try(t *testing.T, form, text string) []answer {
	t.Helper()
	a.n++
	text = strings.ReplaceAll(text, "$", fmt.Sprintf("a%d", a.n))
	data, op := []byte(text), ws.OpText
	switch packed, err := packForm(form, data); {
	case form == "binary":
		op = ws.OpBinary
	case err == nil && form != formText && form != formCmp:
		data, op = packed, ws.OpBinary
	case err == nil:
		data = packed
	}
	require.NoError(t, a.send(op, data))
	last := fmt.Sprintf("good%d", a.n)
	require.NoError(t, a.send(ws.OpText, []byte(`{"t":"health_check","id":"`+last+`"}`)))
	var got []answer
	for {
		raw, _, err := a.message(false)
		require.NoError(t, err, "after %.300s", text)
		var m answer
		require.NoError(t, json.Unmarshal(raw, &m), "%s", raw)
		require.True(t, bytes.HasPrefix(raw, []byte(`{"t":"`)) && m.ID != "" && m.TS != "" && m.V == 2, "%s", raw)
		if m.raw = raw; m.CID == last {
			return got
		}
		if m.T == "error" {
			require.Contains(t, codes, m.P.Code, "after %.300s: %.300s", text, raw)
			require.NotEmpty(t, m.P.Message)
			require.NotNil(t, m.P.Recoverable)
		}
		got = append(got, m)
	}
}

// refused asserts that the request was refused as no message, once, and that the fault is the field's where it is named.
func refused(t *testing.T, got []answer, field, text string) {
	t.Helper()
	require.Len(t, got, 1, "after %.300s", text)
	require.Equal(t, "error", got[0].T, "after %.300s: %.300s", text, got[0].raw)
	require.Equal(t, "INVALID_MESSAGE", got[0].P.Code, "after %.300s: %.300s", text, got[0].raw)
	require.NotEmpty(t, got[0].P.Details.Reason)
	require.Less(t, len(got[0].raw), 2000, "an error is short, whatever was sent")
	if field != "" {
		require.Equal(t, field, got[0].P.Details.Field, "after %.300s: %.300s", text, got[0].raw)
	}
}

// attack puts every value into every slot.
func attack(t *testing.T, a *attacker, every func()) {
	forms := []string{formText, formZlib, formMsgpack, "binary"}
	for _, s := range slots() {
		for kind, list := range values() {
			for i, value := range list {
				every()
				text := strings.Replace(s.text, "@", value, 1)
				form := forms[i%len(forms)]
				if kind == "%" {
					form = "binary" // as text it ends the connection, RFC 6455 §8.1
				}
				got := a.try(t, form, text)
				switch {
				case kind == "!" || kind == "%":
					refused(t, got, "", text)
				case !strings.Contains(s.kinds, kind):
					refused(t, got, s.field, text)
				}
			}
		}
	}
}

// key is the name of the member that holds a slot.
var key = regexp.MustCompile(`"(\w+)":@`)

// twice gives a field twice: the last counts, and what the first is matters to a payload only (PROTOCOL §2.1).
func twice(t *testing.T, a *attacker) {
	for _, s := range slots() {
		name := key.FindStringSubmatch(s.text)
		if name == nil || s.field == "" {
			continue // an element of an array, or nothing
		}
		bad := map[bool]string{true: `true`, false: `7`}[!strings.Contains(s.kinds, "b")]
		doubled := func(first, second string) string {
			return strings.Replace(s.text, name[0], fmt.Sprintf(`"%s":%s,"%s":%s`, name[1], first, name[1], second), 1)
		}
		refused(t, a.try(t, formText, doubled(s.good, bad)), s.field, s.text)
		if strings.HasPrefix(s.field, "p.") {
			continue
		}
		text := doubled(bad, s.good)
		for _, m := range a.try(t, formText, text) {
			require.NotEqual(t, s.field, m.P.Details.Field, "after %s: %s", text, m.raw)
		}
	}
}

func TestWhateverIsPutIntoAnyFieldOfAnyRequestIsAnsweredAndDisturbsNobody(t *testing.T) {
	program := build(t)
	for _, poller := range pollers() {
		t.Run(poller, func(t *testing.T) {
			t.Parallel()
			r := besieged(t, program, poller)
			a := &attacker{client: r.clients["alice"]}
			n, published := 0, 0
			attack(t, a, func() {
				if n++; n%200 == 1 {
					published++
					r.must(t, `publish {"topic":"user:$bob:events","t":"a_update","p":{"n":1}}`)
				}
			})
			twice(t, a)
			r.must(t, fmt.Sprintf("sequence bob 1 %d", published), "no-more bob")
			for _, topic := range topicsOf(t, a) {
				require.Contains(t, topic, ":"+r.userID("alice")+":")
			}
			t.Logf("%d bad requests", a.n)
		})
	}
}

// besieged starts an engine that has patience, with alice who is to attack it and bob who follows his topics.
func besieged(t *testing.T, program, poller string) *Runner {
	t.Helper()
	e, err := Start(program, t.TempDir(), []string{
		"debug.poller=" + poller, "client_messages.enabled=true", "limits.bad_messages_per_minute=1000000",
		"limits.messages_per_second=0", "limits.receive_kib_per_second=0", "limits.topics_per_connection=100000", "limits.request_timeout=1m",
	}, false)
	require.NoError(t, err)
	r := NewRunner(e)
	r.vars, r.clients = vars{}, map[string]*client{}
	t.Cleanup(func() {
		r.closeAll()
		require.NoError(t, e.Stop())
	})
	r.must(t, "open bob encoding=plain query=topics=events", `expect bob {"t":"subscription_update"}`, `expect bob {"t":"snapshot_complete"}`,
		"open alice encoding=plain")
	return r
}

// must runs steps.
func (r *Runner) must(t *testing.T, steps ...string) {
	t.Helper()
	for _, line := range steps {
		s := Step{}
		s.Verb, s.Rest, _ = strings.Cut(line, " ")
		require.NoError(t, r.step(s), line)
	}
}

// topicsOf asks what a client is subscribed to.
func topicsOf(t *testing.T, a *attacker) []string {
	t.Helper()
	got := a.try(t, formText, `{"t":"connection_state_request","id":"$"}`)
	require.NotEmpty(t, got)
	return got[len(got)-1].P.Topics
}

// spellings are ways to write a topic so that a careless reader takes it for that topic.
func spellings(topic string) []string {
	var all []string
	inserted := []string{
		"*", ":", "::", " ", "\t", "\n", "\r", "\x00", "/", "\\", "..", "%00", "%", ",", ";", "?", "#", "&", "+", "'", "`", "|", "\u00a0",
		"\u00ad", "\u200b", "\u200d", "\u202e", "\u2060", "\u0301", "\ufeff", "\ufe0f",
	}
	alike := map[byte]string{
		'a': "а", 'c': "с", 'e': "е", 'i': "і", 'o': "о", 'p': "р", 's': "ѕ", 'x': "х", 'y': "у", 'u': "ս", 'b': "Ь", ':': "：", '-': "‐", '1': "１", 'n': "ո",
	}
	for i := 0; i <= len(topic); i++ {
		for _, text := range inserted {
			all = append(all, topic[:i]+text+topic[i:])
		}
		if i == len(topic) {
			break
		}
		c := topic[i]
		all = append(all, topic[:i]+topic[i+1:], topic[:i]+fmt.Sprintf("%%%02x", c)+topic[i+1:], topic[:i]+fmt.Sprintf("%%25%02X", c)+topic[i+1:],
			topic[:i]+fmt.Sprintf("&#%d;", c)+topic[i+1:], topic[:i]+"*"+topic[i+1:], topic[:i]+string(rune(c)+0xfee0)+topic[i+1:])
		if c >= 'a' && c <= 'z' {
			all = append(all, topic[:i]+strings.ToUpper(topic[i:i+1])+topic[i+1:])
		}
		if twin := alike[c]; twin != "" {
			all = append(all, topic[:i]+twin+topic[i+1:])
		}
	}
	parts := strings.Split(topic, ":")
	for i := range parts {
		starred, empty := slices.Clone(parts), slices.Clone(parts)
		starred[i], empty[i] = "*", ""
		all = append(all, strings.Join(starred, ":"), strings.Join(empty, ":"), strings.Join(parts[:i], ":"), strings.Join(parts[:i], ":")+":*")
	}
	return append(all, topic, strings.ToUpper(topic), "wse:"+topic, topic+":"+topic, "public:../"+topic, strings.ReplaceAll(topic, ":", "%3A"),
		strings.ReplaceAll(topic, ":", "."), strings.ReplaceAll(topic, ":", "\\u003a"))
}

func TestNoSpellingOfSomebodyElsesTopicGivesThatTopic(t *testing.T) {
	program := build(t)
	for _, poller := range pollers() {
		t.Run(poller, func(t *testing.T) {
			t.Parallel()
			r := besieged(t, program, poller)
			a := &attacker{client: r.clients["alice"]}
			bob, tried := r.userID("bob"), 0
			topics := []string{"user:" + bob + ":events", "user:" + bob + ":*", "priority:" + bob + ":messages", "client:" + bob + ":messages"}
			r.must(t, `publish {"topic":"user:$bob:events","t":"secret_snapshot","p":{}}`, `expect bob {"t":"secret_snapshot"}`)
			for _, topic := range topics {
				all := spellings(topic)
				tried += len(all)
				for names := range slices.Chunk(all, 200) {
					tryTopics(t, a, names)
				}
			}
			for _, topic := range []string{topics[0], topics[2], topics[3]} {
				r.must(t, `publish {"topic":"`+topic+`","t":"secret_update","p":{}}`)
			}
			require.Empty(t, topicsOf(t, a))
			r.must(t, "no-more alice", `expect bob {"t":"secret_update"}`, "no-more bob")
			t.Logf("%d spellings", tried)
		})
	}
}

// tryTopics names topics in every request that takes some, none of which may be answered with anything of theirs.
func tryTopics(t *testing.T, a *attacker, names []string) {
	t.Helper()
	list, err := json.Marshal(names)
	require.NoError(t, err)
	for _, p := range []string{
		`"subscription","p":{"action":"subscribe","topics":@}`, `"sync_request","p":{"topics":@,"include_history":true}`,
	} {
		for _, m := range a.try(t, formText, strings.Replace(`{"id":"$","t":`+p+`}`, "@", string(list), 1)) {
			require.Contains(t, []string{"subscription_update", "error"}, m.T, "%.300s", m.raw)
			require.Empty(t, m.P.Topics)
		}
	}
	for _, name := range names[:min(len(names), 20)] {
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		for _, p := range []string{`"presence_request","p":{"topic":@}`, `"presence_update","p":{"topic":@,"data":{}}`} {
			for _, m := range a.try(t, formText, strings.Replace(`{"id":"$","t":`+p+`}`, "@", string(quoted), 1)) {
				require.Equal(t, "error", m.T, "%.300s", m.raw)
			}
		}
	}
}

package plugins_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/sdk/abi"
)

func deterministic() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// TestTheShippedTableHasTheNineRowsOfTheSpec is the table of WSE v2 §8, through configs/mappings.yaml itself.
func TestTheShippedTableHasTheNineRowsOfTheSpec(t *testing.T) {
	g := stock(t, "mapping", shippedTable(t))
	rows := []struct {
		event, envelope, topic string
		priority               int
	}{
		{"BrokerAccountLinked", "broker_account_update", "broker_account_events", 8},
		{"BrokerAccountUpdated", "broker_account_update", "broker_account_events", 8},
		{"BrokerAccountBalanceUpdated", "broker_account_balance_update", "broker_account_events", 8},
		{"BrokerConnectionInitiated", "broker_connection_update", "broker_connection_events", 8},
		{"BrokerConnectionEstablished", "broker_connection_update", "broker_connection_events", 8},
		{"BrokerConnectionDisconnected", "broker_connection_update", "broker_connection_events", 8},
		{"OrderPlacedEvent", "order_update", "order_events", 10},
		{"OrderFilledEvent", "order_update", "order_events", 10},
		{"PositionOpenedEvent", "position_update", "position_events", 8},
	}
	for _, row := range rows {
		t.Run(row.event, func(t *testing.T) {
			got := g.call(t, abi.ExportTransform, fmt.Appendf(nil, `{"type":%q,"payload":{"a":1},"user_id":"u1"}`, row.event))
			require.Equal(t, answer{abi.Data, fmt.Sprintf(`{"t":%q,"topic":"user:u1:%s","p":{"original_event_type":%q,"a":1},"pri":%d}`,
				row.envelope, row.topic, row.event, row.priority)}, got)
		})
	}
	t.Run("any other", func(t *testing.T) {
		got := g.call(t, abi.ExportTransform, []byte(`{"type":"FooBarHappened","payload":{"a":1},"user_id":"u1"}`))
		require.Equal(t, answer{abi.Data, `{"t":"foo_bar_happened","topic":"user:u1:events","p":{"original_event_type":"FooBarHappened","a":1}}`}, got)
	})
}

func TestABatchIsAnsweredAsItsEventsAre(t *testing.T) {
	g := stock(t, "mapping", `{"mappings":[{"event":"Tick","topic":"stream:market_data:{payload.s}"}],"default":false}`)
	events := []string{
		`{"type":"Tick","payload":{"s":"A"}}`, `{"type":"Other"}`, `{"type":"Tick"}`, ``, `{`, `{"type":"Tick","payload":{"s":"B","n":[1,2]},"pri":3} `,
	}
	var want strings.Builder
	u32 := func(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
	want.WriteString(u32(len(events)))
	tags := map[abi.Kind]int{abi.Yes: 1, abi.Data: 2, abi.ErrorText: 3}
	for _, event := range events {
		a := g.call(t, abi.ExportTransform, []byte(event))
		want.WriteString(u32(tags[a.kind]) + u32(len(a.text)) + a.text)
	}
	require.Equal(t, answer{abi.Data, want.String()}, g.call(t, abi.ExportTransformBatch, batch(events)))
	require.Equal(t, answer{abi.Data, "\x00\x00\x00\x00"}, g.call(t, abi.ExportTransformBatch, batch(nil)))
}

func TestABatchThatIsCutShortOrTooLongIsAnError(t *testing.T) {
	g := stock(t, "mapping", "")
	whole := batch([]string{`{"type":"A","user_id":"u"}`, `{}`})
	for n := range whole {
		require.Equal(t, answer{abi.ErrorText, "batch is cut short"}, g.call(t, abi.ExportTransformBatch, whole[:n]))
	}
	require.Equal(t, abi.ErrorText, g.call(t, abi.ExportTransformBatch, append(whole, 0)).kind)
	huge := []byte("\xff\xff\xff\xff\xff\xff\xff\xff{}")
	require.Equal(t, abi.ErrorText, g.call(t, abi.ExportTransformBatch, huge).kind)
}

func batch(events []string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(events)))
	for _, event := range events {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(event)))
		b = append(b, event...)
	}
	return b
}

func TestAnEventOfAMillionBytesAndOneOfManyMembersAreTransformed(t *testing.T) {
	g := stock(t, "mapping", "")
	g.room(t, 2<<20)
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, `,"k%d":%d`, i, i)
	}
	for _, payload := range []string{`"a":"` + strings.Repeat("x", 1<<20) + `"`, many.String()[1:]} {
		got := g.call(t, abi.ExportTransform, []byte(`{"type":"A","user_id":"u","payload":{`+payload+`}}`))
		require.Equal(t, abi.Data, got.kind, got.text)
		require.Equal(t, `{"t":"a","topic":"user:u:events","p":{"original_event_type":"A",`+payload+`}}`, got.text)
	}
}

func TestTheTableHoldsItsMostRowsAndNoMore(t *testing.T) {
	table := func(n int) []byte {
		var b strings.Builder
		b.WriteString(`{"mappings":[`)
		for i := range n {
			fmt.Fprintf(&b, `{"event":"E%d","topic":"public:t%d"},`, i, i)
		}
		return []byte(strings.TrimSuffix(b.String(), ",") + `]}`)
	}
	rt, compiled := compile(t, module(t, "mapping"))
	for n, want := range map[int]answer{4096: {kind: abi.Yes}, 4097: {abi.ErrorText, "config: mappings: has more than 4096 rows"}} {
		g, _ := start(t, rt, compiled, nil)
		g.room(t, 1<<20)
		require.Equal(t, want, g.call(t, abi.ExportConfigure, table(n)))
		if n == 4096 {
			for _, i := range []int{0, 1, 2047, 4095} {
				got := g.call(t, abi.ExportTransform, fmt.Appendf(nil, `{"type":"E%d"}`, i))
				require.Contains(t, got.text, fmt.Sprintf(`"topic":"public:t%d"`, i))
			}
		}
	}
}

func TestAPluginIsConfiguredOnce(t *testing.T) {
	for name := range map[string]bool{"mapping": true, "topicauth": true} {
		g := stock(t, name, "{}")
		require.Equal(t, answer{abi.ErrorText, "already configured"}, g.call(t, abi.ExportConfigure, []byte("{}")))
	}
}

// FuzzMapping holds the plugin to what must be true of any document: no trap; JSON gives JSON, with the payload's members
// and the event's own type in p; anything else is an error.
func FuzzMapping(f *testing.F) {
	for _, v := range vectors(f, "mapping") {
		if v.Hook == "transform" {
			f.Add(v.Document())
		}
	}
	g := stock(f, "mapping", shippedTable(f))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > abi.BufferBytes {
			return
		}
		got := g.call(t, abi.ExportTransform, doc)
		if got.kind == abi.ErrorText {
			return
		}
		require.Equal(t, abi.Data, got.kind)
		require.True(t, json.Valid(doc), "%q is no JSON and gave %s", doc, got.text)
		var event, envelope map[string]json.RawMessage // maps, because encoding/json mixes up fields that differ by case
		before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		require.NoError(t, json.Unmarshal(doc, &event))
		require.NoError(t, json.Unmarshal([]byte(got.text), &envelope), got.text)
		require.NoError(t, json.Unmarshal(envelope["p"], &after))
		require.Equal(t, string(event["type"]), string(after["original_event_type"]))
		if payload := event["payload"]; payload != nil && string(payload) != "null" {
			require.NoError(t, json.Unmarshal(payload, &before))
		}
		before["original_event_type"] = event["type"]
		require.Equal(t, before, after)
	})
}

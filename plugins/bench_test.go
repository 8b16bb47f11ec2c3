package plugins_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/sdk/abi"
)

// event300 is the 300-byte event that the figures are given for.
const event300 = `{"type":"BrokerAccountLinked","payload":{"broker_account_id":"acc_1234567","broker_id":"alpaca",` +
	`"account_number":"PA1234567","status":"linked","currency":"USD","buying_power":50000.00,"cash":25000.00` +
	`},"user_id":"u1","id":"evt_acc_001","ts":"2025-11-25T10:00:00.000Z","cid":"req-77","event_version":2}`

const request = `{"action":"subscribe","topic":"stream:market_data:BTC_USDT","identity":{"user_id":"u1",` +
	`"permissions":["read_market_data","trader"],"claims":{"sub":"u1","iss":"https://id.example.com","exp":1764064800}},` +
	`"connection":{"id":"c-0001","dialect":"wse","remote_ip":"192.0.2.7"}}`

const ownRequest = `{"action":"subscribe","topic":"user:u1:order_events","identity":{"user_id":"u1",` +
	`"permissions":["read_market_data","trader"],"claims":{"sub":"u1","iss":"https://id.example.com","exp":1764064800}},` +
	`"connection":{"id":"c-0001","dialect":"wse","remote_ip":"192.0.2.7"}}`

// shippedTable is configs/mappings.yaml as the engine hands it to the plugin.
func shippedTable(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("../configs/mappings.yaml")
	require.NoError(t, err)
	config, err := yaml.YAMLToJSON(raw)
	require.NoError(t, err)
	return string(config)
}

// BenchmarkMapping transforms a 300-byte event with the shipped table: bare on a runtime of its own, and through the
// engine's host, which meters the guest, with the answer read as the engine reads it.
func BenchmarkMapping(b *testing.B) {
	require.Len(b, event300, 300)
	b.Run("bare", func(b *testing.B) {
		run(b, stock(b, "mapping", shippedTable(b)), abi.ExportTransform, []byte(event300))
	})
	b.Run("host", func(b *testing.B) {
		h := host(b, "mapping", decoded(b, json.RawMessage(shippedTable(b))))
		doc, answer := []byte(event300), ingest.NewAnswer(ingest.DefaultConfig())
		b.ReportAllocs()
		for b.Loop() {
			if d, err := h.Transform(b.Context(), "BrokerAccountLinked", doc, answer); err != nil || d.Fate != plugin.Answered {
				b.Fatal(d, err)
			}
		}
	})
}

// BenchmarkMappingBatch is the same, 64 events a call; a turn is one event.
func BenchmarkMappingBatch(b *testing.B) {
	const events = 64
	batch := binary.LittleEndian.AppendUint32(nil, events)
	for range events {
		batch = binary.LittleEndian.AppendUint32(batch, uint32(len(event300)))
		batch = append(batch, event300...)
	}
	g := stock(b, "mapping", shippedTable(b))
	for i := 0; b.Loop(); i++ {
		if i%events == 0 {
			_, err := g.raw(b.Context(), abi.ExportTransformBatch, batch)
			require.NoError(b, err)
		}
	}
}

// BenchmarkTopicAuth authorizes an own topic, and one that a permission opens, which is the longest way to a yes.
func BenchmarkTopicAuth(b *testing.B) {
	b.Run("own", func(b *testing.B) { run(b, stock(b, "topicauth", ""), abi.ExportAuthorize, []byte(ownRequest)) })
	b.Run("permission", func(b *testing.B) { run(b, stock(b, "topicauth", ""), abi.ExportAuthorize, []byte(request)) })
	for name, document := range map[string]string{"own host": ownRequest, "permission host": request} {
		b.Run(name, func(b *testing.B) { askHost(b, authorizeRequest(b, document)) })
	}
}

// askHost asks through the engine's host.
func askHost(b *testing.B, ask plugin.AuthorizeRequest) {
	b.Helper()
	h := host(b, "topicauth", nil)
	b.ReportAllocs()
	for b.Loop() {
		if v, err := h.Authorize(b.Context(), ask); err != nil || !v.Allow {
			b.Fatal(v, err)
		}
	}
}

// run calls a hook without reading the answer out of the guest's memory.
func run(b *testing.B, g *guest, hook string, doc []byte) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		result, err := g.raw(b.Context(), hook, doc)
		if err != nil || result.Kind == abi.No || result.Kind == abi.ErrorText {
			b.Fatal(result, err)
		}
	}
}

// BenchmarkMappingTogether is one event of 64 that are handed over together, beside one alone, in turns: the stock mapping
// through the engine's host, with the answers read as the engine reads them.
func BenchmarkMappingTogether(b *testing.B) {
	h := host(b, "mapping", decoded(b, json.RawMessage(shippedTable(b))))
	const together = 64
	all := make([]plugin.Event, together)
	for i := range all {
		all[i] = plugin.Event{Type: "BrokerAccountLinked", Doc: []byte(event300), Answer: ingest.NewAnswer(ingest.DefaultConfig())}
	}
	var alone, batched time.Duration
	for b.Loop() {
		begin := time.Now()
		for i := range all {
			if _, err := h.Transform(b.Context(), all[i].Type, all[i].Doc, all[i].Answer); err != nil {
				b.Fatal(err)
			}
		}
		between := time.Now()
		h.TransformAll(b.Context(), all)
		alone, batched = alone+between.Sub(begin), batched+time.Since(between)
		require.Equal(b, plugin.Answered, all[together-1].Decision.Fate)
	}
	events := float64(b.N * together)
	b.ReportMetric(float64(alone)/events, "alone-ns/event")
	b.ReportMetric(float64(batched)/events, "together-ns/event")
	b.ReportMetric(float64(batched)/float64(alone), "together/alone")
	b.ReportMetric(0, "ns/op")
}

package plugin_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/plugins"
)

const event300 = `{"type":"BrokerAccountLinked","payload":{"broker_account_id":"acc_1234567","broker_id":"alpaca",` +
	`"account_number":"PA1234567","status":"linked","currency":"USD","buying_power":50000.00,"cash":25000.00` +
	`},"user_id":"u1","id":"evt_acc_001","ts":"2025-11-25T10:00:00.000Z","cid":"req-77","event_version":2}`

// openStock opens the two stock plugins as the shipped configuration does.
func openStock(t testing.TB) (*plugin.Host, *fixture, plugin.Configs) {
	t.Helper()
	f := newFixture(t)
	table, err := os.ReadFile("../../configs/mappings.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(f.dir+"/mappings.yaml", table, 0o600))
	cfgs := plugin.Configs{
		{Name: "mapping", Path: "stock:mapping", ConfigFile: "mappings.yaml"},
		{Name: "topicauth", Path: "stock:topicauth"},
	}
	deps := f.deps()
	deps.Stock, deps.DecodeYAML = plugins.Stock, yaml.YAMLToJSON
	h, err := plugin.New(cfgs, deps)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h, f, cfgs
}

func subscribe(topic string) plugin.AuthorizeRequest {
	return plugin.AuthorizeRequest{
		Action: "subscribe", Topic: topic,
		Identity: plugin.Identity{UserID: "u1", Permissions: []string{"read_market_data", "trader"},
			Claims: []byte(`{"sub":"u1","iss":"https://id.example.com","exp":1764064800}`)},
		Connection: plugin.Connection{ID: "c-0001", Dialect: "wse", RemoteIP: "192.0.2.7"},
	}
}

func TestStock_plugins_transform_and_authorize(t *testing.T) {
	h, _, _ := openStock(t)
	out, d, err := transform(t, h, "BrokerAccountLinked", event300)
	require.NoError(t, err)
	require.Equal(t, plugin.Answered, d)
	require.Contains(t, out, `"topic":"user:u1:broker_account_events"`)
	for topic, allow := range map[string]bool{"user:u1:order_events": true, "user:u2:order_events": false} {
		v, err := h.Authorize(t.Context(), subscribe(topic))
		require.NoError(t, err)
		require.Equal(t, allow, v.Allow, topic)
	}
}

func TestReload_of_a_config_file_changes_what_the_next_event_becomes(t *testing.T) {
	h, f, cfgs := openStock(t)
	require.NoError(t, os.WriteFile(f.dir+"/mappings.yaml", []byte("mappings:\n  - event: Broker*\n    type: changed\n    topic: user:{user_id}:events\n"), 0o600))
	require.NoError(t, h.Reload(t.Context(), cfgs))
	out, _, err := transform(t, h, "BrokerAccountLinked", event300)
	require.NoError(t, err)
	require.Contains(t, out, `"t":"changed"`)
	require.NoError(t, os.WriteFile(f.dir+"/mappings.yaml", []byte("mappings:\n  - event: 7\n"), 0o600))
	err = h.Reload(t.Context(), cfgs)
	require.ErrorContains(t, err, "plugin/mapping: configure: ")
	again, _, err := transform(t, h, "BrokerAccountLinked", event300)
	require.NoError(t, err)
	require.Equal(t, out, string(again))
}

func TestStock_plugins_cost_no_host_allocations(t *testing.T) {
	h, _, _ := openStock(t)
	doc, answer, r := []byte(event300), ingest.NewAnswer(ingest.DefaultConfig()), subscribe("user:u1:order_events")
	most := 0.0
	if plugin.RaceDetector {
		most = 1
	}
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		d, err := h.Transform(context.Background(), "BrokerAccountLinked", doc, answer)
		if err != nil || d.Fate != plugin.Answered {
			panic(err)
		}
		if v, err := h.Authorize(context.Background(), r); err != nil || !v.Allow {
			panic(err)
		}
	}), most)
}

func TestStock_plugin_reports_a_bad_document_and_does_not_trap_on_it(t *testing.T) {
	h, _, _ := openStock(t)
	_, _, err := transform(t, h, "E", strings.Repeat("[", 60_000))
	require.Equal(t, plugin.Guest, callError(t, err).Kind)
}

// BenchmarkStock is the figure of the README: a 300-byte event through the mapping, metered and checked, and a topic
// through the authorizer.
func BenchmarkStock(b *testing.B) {
	h, _, _ := openStock(b)
	b.Run("transform", func(b *testing.B) {
		doc, answer := []byte(event300), ingest.NewAnswer(ingest.DefaultConfig())
		require.Len(b, doc, 300)
		b.ReportAllocs()
		for b.Loop() {
			if d, err := h.Transform(context.Background(), "BrokerAccountLinked", doc, answer); err != nil || d.Fate != plugin.Answered {
				b.Fatal(d, err)
			}
		}
	})
	for _, topic := range []string{"user:u1:order_events", "stream:market_data:BTC_USDT"} {
		r := subscribe(topic)
		b.Run("authorize/"+topic, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v, err := h.Authorize(context.Background(), r); err != nil || !v.Allow {
					b.Fatal(v, err)
				}
			}
		})
	}
}

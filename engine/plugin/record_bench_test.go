package plugin_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
)

// BenchmarkRecord is what recording adds to a call, and what a shadow adds whose queue is full most of the time: with a guest
// that does nothing, 300 bytes in and 400 bytes out, so that the ratio is the worst there is; and with the stock mapping. The
// variants take turns in short windows, and the fastest of each counts, so that the ratios hold on a busy machine.
func BenchmarkRecord(b *testing.B) {
	variants := []string{"off", "on", "redacting", "shadowed"}
	records := []plugin.Record{{}, plugin.DefaultRecord(), {Events: 100, KiB: 1024, Redact: []string{"token", "password", "account_number"}}, {}}
	var border, mapping []*plugin.Host
	for _, record := range records {
		f := newFixture(b)
		cfg := f.add(b, "say", answering(string(document(400))))
		cfg.Record = record
		border = append(border, f.open(b, cfg))
		h, _, cfgs := openStock(b)
		cfgs[0].Record = record
		if err := h.Reload(context.Background(), cfgs); err != nil {
			b.Fatal(err)
		}
		mapping = append(mapping, h)
	}
	shadow(b, border[3], "say", plugin.Candidate{Module: answering(string(document(401))).Bytes()})
	shadow(b, mapping[3], "mapping", plugin.Candidate{Config: []byte("{}")})
	b.Run("border", func(b *testing.B) { takeTurns(b, variants, border, "E", document(300)) })
	b.Run("mapping", func(b *testing.B) { takeTurns(b, variants, mapping, "BrokerAccountLinked", []byte(event300)) })
}

// shadow has a candidate run beside what serves for longer than a benchmark takes.
func shadow(b *testing.B, h *plugin.Host, name string, c plugin.Candidate) {
	if _, err := h.Swap(context.Background(), name, c, plugin.Shadow{For: time.Hour, Only: true}); err != nil {
		b.Fatal(err)
	}
}

func takeTurns(b *testing.B, names []string, hosts []*plugin.Host, event string, doc []byte) {
	const calls = 500
	answer, least := ingest.NewAnswer(ingest.DefaultConfig()), slices.Repeat([]time.Duration{time.Hour}, len(hosts))
	for n := 0; b.Loop(); n++ {
		i := n % len(hosts)
		begun := time.Now()
		for range calls {
			if _, err := hosts[i].Transform(context.Background(), event, doc, answer); err != nil {
				b.Fatal(err)
			}
		}
		least[i] = min(least[i], time.Since(begun))
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range names {
		b.ReportMetric(float64(least[i])/calls, name+"-ns/call")
		b.ReportMetric(float64(least[i])/float64(least[0]), name+"/off")
	}
}

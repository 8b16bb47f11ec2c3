package admin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/intake"
)

var (
	_ admin.Letters  = (*intake.Intake)(nil)
	_ admin.Replayer = (*intake.Intake)(nil)
)

func TestWhatWasTakenFromRedisIsMeasured(t *testing.T) {
	a := serve(t, config())
	require.NotContains(t, string(a.get("/metrics").body), "wse_ingress", "without Redis there is none")
	a.world.intake = &intake.Stats{
		Streams: []intake.StreamStats{
			{Stream: "wse:events", Reading: true, LeaseChanges: 1, Consumed: 2, Claims: 3, Published: 4, Duplicates: 5, DeadLetters: 6, Pending: 7, Lag: 8, Behind: 1500 * time.Millisecond},
			{Stream: "wse:other", Lag: -1},
		},
		Ingress: intake.IngressStats{Hearing: true, Heard: 9, Passed: 10, Fenced: 11, Lost: 12},
		Letters: map[string]uint64{"events": 6, "user:u1:*": 1},
	}
	text := string(a.get("/metrics").body)
	for _, want := range []string{
		`wse_stream_reading{stream="wse:events"} 1`, `wse_stream_reading{stream="wse:other"} 0`, `wse_stream_lease_changes_total{stream="wse:events"} 1`,
		`wse_stream_consumed_total{stream="wse:events"} 2`, `wse_stream_claims_total{stream="wse:events"} 3`,
		`wse_stream_results_total{result="published",stream="wse:events"} 4`, `wse_stream_results_total{result="duplicate",stream="wse:events"} 5`,
		`wse_stream_results_total{result="dead_letter",stream="wse:events"} 6`, `wse_stream_pending{stream="wse:events"} 7`, `wse_stream_lag{stream="wse:events"} 8`,
		`wse_stream_behind_seconds{stream="wse:events"} 1.5`, "wse_ingress_hearing 1", "wse_ingress_heard_total 9", "wse_ingress_passed_total 10",
		`wse_ingress_results_total{result="fenced"} 11`, `wse_ingress_results_total{result="lost"} 12`,
		`wse_intake_dead_letters_total{channel="events"} 6`, `wse_intake_dead_letters_total{channel="user:u1:*"} 1`,
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, `wse_stream_lag{stream="wse:other"}`, "who does not read it does not know")
}

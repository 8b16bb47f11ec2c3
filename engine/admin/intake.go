package admin

import "github.com/wse-engine/wse/engine/intake"

// intake tells of what was taken in from Redis.
func (e emitter) intake(s *intake.Stats) {
	for i := range s.Streams {
		e.stream(&s.Streams[i])
	}
	e.ingress(&s.Ingress)
	e.counters("wse_intake_dead_letters_total", "Dead letters that this node kept in Redis, by channel; those of more than 100 channels as _other.", "channel", s.Letters)
}

func (e emitter) stream(s *intake.StreamStats) {
	name := label{"stream", s.Stream}
	e.gauge("wse_stream_reading", "Whether this node is the one that reads the stream.", oneIf(s.Reading), name)
	e.counter("wse_stream_lease_changes_total", "Turns that this node had at reading the stream.", s.LeaseChanges, name)
	e.counter("wse_stream_consumed_total", "Entries of the stream that were read; those that came again are counted again.", s.Consumed, name)
	e.counter("wse_stream_claims_total", "Entries that another reader had begun.", s.Claims, name)
	e.counter("wse_stream_retries_total", "Times that a batch could not be published and was tried again.", s.Retries, name)
	const results = "What entries of the stream became: envelopes published, or published before; events dropped, or dead letters."
	for result, n := range map[string]uint64{
		"published": s.Published, "duplicate": s.Duplicates, "dropped": s.Dropped, "dead_letter": s.DeadLetters,
	} {
		e.counter("wse_stream_results_total", results, n, name, label{"result", result})
	}
	if !s.Reading {
		return // whoever reads it knows
	}
	e.gauge("wse_stream_pending", "Entries that were read and are not done.", float64(s.Pending), name)
	if s.Lag >= 0 {
		e.gauge("wse_stream_lag", "Entries that were not read.", float64(s.Lag), name)
	}
	e.gauge("wse_stream_behind_seconds", "Age of the oldest entry that is not done.", s.Behind.Seconds(), name)
}

func (e emitter) ingress(s *intake.IngressStats) {
	e.gauge("wse_ingress_hearing", "Whether this node is the one that hears what foreign programs publish.", oneIf(s.Hearing))
	e.counter("wse_ingress_lease_changes_total", "Turns that this node had at hearing.", s.LeaseChanges)
	e.counter("wse_ingress_passed_total", "Publications of nodes, which are passed over.", s.Passed)
	e.counter("wse_ingress_heard_total", "Publications of foreign programs.", s.Heard)
	e.counter("wse_ingress_retries_total", "Times that a publication could not be published and was tried again.", s.Retries)
	e.counter("wse_ingress_interrupted_total", "Times that hearing was interrupted, so that something may have been missed.", s.Interrupted)
	e.counters("wse_ingress_results_total",
		"What foreign publications became: envelopes published, or published before; events dropped, or dead letters; refused or given up after a turn.", "result",
		map[string]uint64{
			"published": s.Published, "duplicate": s.Duplicates, "dropped": s.Dropped, "dead_letter": s.DeadLetters, "fenced": s.Fenced, "lost": s.Lost,
		})
}

package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
)

// metrics is the registry behind /metrics. It is the server's own: nothing registers itself from elsewhere.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
}

func newMetrics(deps Deps) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wse_admin_requests_total", Help: "Requests to the admin API.",
		}, []string{"route", "status"}),
	}
	m.registry.MustRegister(m.requests, &collector{deps: deps}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// counted counts the requests that next answers.
func (m *metrics) counted(pattern string, next http.Handler) http.Handler {
	route := strings.TrimSuffix(pattern, "{$}")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		observed := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(observed, r)
		m.requests.WithLabelValues(route, strconv.Itoa(observed.status)).Inc()
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what the server gave.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// collector turns the engine's figures into metrics when they are asked for, so that counting costs the engine nothing
// that it does not do anyway.
type collector struct{ deps Deps }

var _ prometheus.Collector = (*collector)(nil)

// Describe implements prometheus.Collector. It sends nothing, because which plugins there are changes.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := emitter{ch}
	e.gauge("wse_build_info", "Which program this is; always 1.", 1, label{"version", c.deps.Version})
	m := c.deps.Engine.Measure()
	e.engine(m)
	if m.Cluster != nil {
		e.cluster(m.Cluster)
	}
	e.ingest(c.deps.Intake.Stats())
	e.letters(c.deps.Intake.LetterStats())
	ctx, cancel := context.WithTimeout(context.Background(), sessionsAskedFor)
	e.sessions(c.deps.Sessions.Stats(), c.deps.Sessions.Running(ctx))
	cancel()
	for _, st := range c.deps.Plugins.Stats() {
		e.plugin(&st)
	}
	if c.deps.Wants != nil {
		e.rollout(c.deps.Wants.Stats())
	}
	for _, p := range c.deps.Plugins.List() {
		if d, err := c.deps.Prover.Detail(p.Name); err == nil { // else it has just been taken out of the configuration
			e.life(&d)
		}
	}
}

type label struct{ name, value string }

// emitter makes metrics.
type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) gauge(name, help string, v float64, labels ...label) {
	e.send(prometheus.GaugeValue, name, help, v, labels)
}

func (e emitter) counter(name, help string, v uint64, labels ...label) {
	e.send(prometheus.CounterValue, name, help, float64(v), labels)
}

// oneIf is the gauge of something that is so or not.
func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// counters makes one counter per key of byLabel.
func (e emitter) counters(name, help, key string, byLabel map[string]uint64) {
	for value, n := range byLabel {
		e.counter(name, help, n, label{key, value})
	}
}

func (e emitter) send(kind prometheus.ValueType, name, help string, v float64, labels []label) {
	desc, values := describe(name, help, labels)
	m, err := prometheus.NewConstMetric(desc, kind, v, values...)
	e.emit(desc, m, err)
}

func describe(name, help string, labels []label) (*prometheus.Desc, []string) {
	names, values := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.name, strings.ToValidUTF8(l.value, "?")
	}
	return prometheus.NewDesc(name, help, names, nil), values
}

func (e emitter) emit(desc *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	e.ch <- m
}

func (e emitter) engine(m Measurements) {
	e.gauge("wse_connections", "Open WebSocket connections.", float64(m.Connections))
	e.gauge("wse_handshakes", "Handshakes that are not finished.", float64(m.Handshakes))
	e.gauge("wse_connections_stalled", "Connections with a backlog that the socket does not take.", float64(m.Stalled))
	e.counter("wse_connections_accepted_total", "Connections accepted.", m.Accepted)
	e.counter("wse_connections_upgraded_total", "Connections that became WebSocket connections.", m.Upgraded)
	e.counter("wse_connections_degraded_total", "Connections told that they are degraded.", m.Degraded)
	e.counters("wse_handshakes_refused_total", "Handshakes refused.", "reason", m.HandshakesRefused)
	e.counters("wse_connections_closed_total", "Connections the engine closed.", "reason", m.Closed)
	for _, m := range m.Limits {
		e.counter("wse_limits_met_total", "How often clients came to a limit: were warned of it, had something refused, were closed.", m.Count,
			label{"limit", m.Limit}, label{"result", m.Result})
	}
	e.counters("wse_subscriptions_reviewed_total", "Subscriptions asked about again since a token or an authorize plugin changed.", "result", m.Reviewed)
	e.counter("wse_messages_received_total", "Messages from clients.", m.MessagesReceived)
	e.counter("wse_messages_sent_total", "Messages to clients.", m.MessagesSent)
	e.counter("wse_received_bytes_total", "Bytes from clients.", m.BytesReceived)
	e.counter("wse_sent_bytes_total", "Bytes to clients.", m.BytesSent)
	e.counter("wse_socket_writes_total", "System calls that sent something.", m.Writes)
	e.gauge("wse_queue_bytes", "Bytes waiting in the connections' queues.", float64(m.QueuedBytes))
	e.gauge("wse_partial_bytes", "Bytes of messages that have not arrived whole.", float64(m.PartialBytes))
	e.counters("wse_dropped_total", "Publications not delivered to a slow client.", "reason", m.Dropped)
	e.counter("wse_deliveries_total", "Publications handed to subscribers' connections.", m.Deliveries)
	c := m.Encryption
	e.gauge("wse_encryption_connections", "Encrypted connections.", float64(c.Connections))
	e.gauge("wse_encryption_remembered_bytes", "What is remembered so that no encrypted message is taken twice.", float64(c.RememberedBytes))
	e.counters("wse_encryption_keys_total", "Clients' public keys.", "result", c.Keys)
	e.counters("wse_encryption_messages_total", "Encrypted messages.", "direction", c.Messages)
	e.counters("wse_encryption_refused_total", "Messages that encrypted connections refused.", "reason", c.Refused)
	e.counter("wse_auth_failures_total", "Tokens that were refused, refresh tokens included.", m.Logins.Failures)
	e.counter("wse_auth_addresses_blocked_total", "Times that an address was blocked, since too many of its tokens were refused.", m.Logins.Blocked)
	e.gauge("wse_auth_families", "Logins whose refresh token was used and may still be.", float64(m.Logins.Families))
	e.counters("wse_auth_refresh_total", "Refresh tokens that bought others, and those that came twice, which revoked their family.", "result", m.Logins.Refresh)
	e.gauge("wse_subscribed_topics", "Topics and patterns with a subscriber on this node.", float64(m.SubscribedTopics))
	e.presence(m.Presence)
	if m.Intake != nil {
		e.intake(m.Intake)
	}
	b := m.Broker
	e.gauge("wse_topics", "Topics that exist.", float64(b.Topics))
	e.gauge("wse_history_bytes", "Bytes kept: histories, retained snapshots, ids.", float64(b.BytesKept))
	e.gauge("wse_history_bytes_max", "The limit of wse_history_bytes.", float64(b.BytesKeptMax))
	e.counter("wse_publications_total", "Publications numbered.", b.Published)
	e.counter("wse_publications_duplicate_total", "Publishes of an id that had been published.", b.Duplicates)
	e.counter("wse_publications_refused_total", "Publishes refused for want of room.", b.Refused)
	e.counter("wse_history_expired_total", "Publications dropped from histories for their age.", b.Expired)
	e.counter("wse_history_evicted_total", "Publications dropped from histories for the byte budget.", b.Evicted)
}

func (e emitter) presence(p PresenceFigures) {
	e.gauge("wse_presence_topics", "Topics that somebody is on.", float64(p.Topics))
	e.gauge("wse_presence_members", "Users on topics with presence, once for each topic.", float64(p.Members))
	e.gauge("wse_presence_bytes", "What members say of themselves.", float64(p.Bytes))
	e.gauge("wse_presence_bytes_max", "The limit of wse_presence_bytes.", float64(p.BytesMax))
	e.counters("wse_presence_notices_total", "Notices of members that came, went or changed.", "type", p.Notices)
	e.counters("wse_presence_refused_total", "Users that were not listed, and updates that were refused.", "reason", p.Refused)
}

func (e emitter) ingest(s ingest.Stats) {
	const name, help = "wse_ingest_results_total", "What became of events and envelopes handed in."
	e.counters(name, help, "result", map[string]uint64{
		ingest.Published.String(): s.Published, ingest.Duplicate.String(): s.Duplicates, ingest.Dropped.String(): s.Dropped,
		ingest.DeadLettered.String(): s.DeadLettered, "refused": s.Refused,
	})
	e.counter("wse_ingest_default_total", "Events that no plugin took, published by the default rule.", s.Defaulted)
}

func (e emitter) letters(s ingest.LetterStats) {
	e.gauge("wse_dead_letters", "Dead letters that are kept.", float64(s.Kept))
	e.gauge("wse_dead_letters_bytes", "What the dead letters take.", float64(s.BytesKept))
	e.counters("wse_dead_letters_total", "Events that became a dead letter, by the plugin that failed.", "plugin", s.ByPlugin)
	e.counter("wse_dead_letters_evicted_total", "Dead letters lost because newer ones took their room.", s.Evicted)
	e.counter("wse_dead_letters_dropped_total", "Dead letters that an operator dropped.", s.Dropped)
	e.counters("wse_dead_letter_replays_total", "Dead letters handed in again, by what became of it.", "result",
		map[string]uint64{replayed: s.Replayed, replayFailed: s.ReplayFail})
}

func (e emitter) plugin(st *plugin.Stats) {
	who := []label{{"plugin", st.Plugin}, {"version", st.Version}}
	with := func(more ...label) []label { return append(who[:len(who):len(who)], more...) }
	e.gauge("wse_plugin_instances", "Instances that are ready.", float64(st.Instances), who...)
	e.send(prometheus.CounterValue, "wse_plugin_cpu_seconds_total", "What calls and the making of instances cost the processor; an estimate.",
		st.CPU.Seconds(), who)
	e.counter("wse_plugin_ticks_total", "Ticks that strategies consumed.", st.Ticks, who...)
	e.counter("wse_plugin_instances_replaced_total", "Instances discarded after a failure.", st.Replaced, who...)
	e.gauge("wse_plugin_waiting", "Events and requests that wait for an instance.", float64(st.Waiting), who...)
	e.counter("wse_plugin_batches_total", "Batches of events that were answered.", st.Batches, who...)
	e.counter("wse_plugin_batch_events_total", "Events in batches that were answered.", st.BatchEvents, who...)
	e.counter("wse_plugin_batches_failed_total", "Batches whose events were then asked about one by one.", st.BatchesFailed, who...)
	e.counter("wse_plugin_log_lines_dropped_total", "Log lines of the guest over its cap.", st.LinesDropped, who...)
	for _, state := range []string{"closed", "half_open", "open"} {
		e.gauge("wse_plugin_breaker", "The breaker's state: 1 for the one it is in.", oneIf(st.Breaker == state), with(label{"state", state})...)
	}
	for name, v := range st.Metrics {
		e.gauge("wse_plugin_guest_metric", "What the guest counts itself.", v, with(label{"name", name})...)
	}
	for i := range st.Hooks {
		hook := &st.Hooks[i]
		h := label{"hook", hook.Hook}
		for outcome, n := range hook.Calls {
			o := plugin.Outcome(outcome)
			e.counter("wse_plugin_calls_total", "Calls by how they ended.", n, with(h, label{"result", o.String()})...)
		}
		e.histogram("wse_plugin_fuel", "Fuel used by a call.", &hook.Fuel, 1, with(h)...)
		e.histogram("wse_plugin_latency_seconds", "Time that a call took; a sample of the calls.", &hook.LatencyNS, 1e-9, with(h)...)
	}
}

// life tells of what outlasts a plugin's versions.
func (e emitter) life(d *plugin.Detail) {
	name := label{"plugin", d.Name}
	e.gauge("wse_plugin_info", "The version that serves; always 1.", 1, name, label{"version", d.Version}, label{"sha256", d.SHA256})
	e.gauge("wse_plugin_generation", "Versions that came to serve since the engine started.", float64(d.Generation), name)
	e.gauge("wse_plugin_versions_kept", "Versions that can be let serve again.", float64(len(d.Kept)), name)
	e.gauge("wse_plugin_recorded", "Events recorded to try a candidate on.", float64(d.Recorded), name)
	e.gauge("wse_plugin_strategies", "Strategies that run, by whether their version is the one that serves.", float64(d.Strategies), name, label{"version", "serving"})
	e.gauge("wse_plugin_strategies", "Strategies that run, by whether their version is the one that serves.", float64(d.StrategiesBefore), name, label{"version", "earlier"})
	var c plugin.Comparison
	running := false
	if d.Shadow != nil {
		c, running = d.Shadow.Comparison, d.Shadow.Phase == plugin.PhaseRunning
	}
	e.gauge("wse_plugin_shadow_running", "1 while a candidate runs beside what serves.", oneIf(running), name)
	for result, n := range map[string]int{"same": c.Same, "different": c.Different, "failed": c.Failed, "skipped": c.Skipped} {
		e.gauge("wse_plugin_shadow_events", "What the shadow that runs found, or the last one.", float64(n), name, label{"result", result})
	}
}

// histogram makes a histogram whose values are scaled to the metric's unit.
func (e emitter) histogram(name, help string, h *plugin.Histogram, scale float64, labels ...label) {
	desc, values := describe(name, help, labels)
	buckets := make(map[float64]uint64, len(h.Bounds))
	count := uint64(0)
	for i, n := range h.Counts {
		count += n
		if i < len(h.Bounds) {
			buckets[float64(h.Bounds[i])*scale] = count
		}
	}
	m, err := prometheus.NewConstHistogram(desc, count, float64(h.Sum)*scale, buckets, values...)
	e.emit(desc, m, err)
}

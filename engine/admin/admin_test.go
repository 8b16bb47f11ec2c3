package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/intake"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an engine as far as the admin API sees one: a real broker and a real ingest, and the rest as a test sets it.
type world struct {
	intake *intake.Stats
	joined *admin.ClusterFigures
	broker *memory.Broker
	mu     sync.Mutex
	conns  []admin.Connection // guarded by mu
	reload error
	ready  error
	hold   func()      // called by Reload, which it may keep waiting
	healed atomic.Bool // the plugin fails no more on what is Broken
	nodes  nodes
	host   host
}

var (
	_ admin.Topics      = (*world)(nil)
	_ admin.Connections = (*world)(nil)
	_ admin.Engine      = (*world)(nil)
	_ admin.Plugins     = (*world)(nil)
	_ admin.Plugins     = (*plugin.Host)(nil)
	_ admin.Changer     = (*plugin.Host)(nil)
	_ admin.Prover      = (*plugin.Host)(nil)
	_ admin.Publisher   = (*ingest.Ingest)(nil)
	_ admin.Intake      = (*ingest.Ingest)(nil)
	_ admin.Letters     = (*ingest.Ingest)(nil)
	_ admin.Replayer    = (*ingest.Ingest)(nil)
)

func (w *world) Deliver(*message.Envelope) {}

func (w *world) Topics(_ context.Context, prefix string, limit int) (out []admin.Topic, _ error) {
	for _, t := range w.broker.Topics(prefix, limit) {
		out = append(out, admin.Topic{Topic: t.Topic, Class: t.Class, Seq: t.Seq, Epoch: admin.Epoch(t.Epoch), Publications: t.Publications})
	}
	return out, nil
}

func (w *world) Connections(user string, limit int) (out []admin.Connection, total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		if user == "" || c.UserID == user {
			if total++; total <= limit {
				out = append(out, c)
			}
		}
	}
	return out, total
}

func (w *world) Members(_ context.Context, topic message.Topic, limit int) (admin.Presence, error) {
	if topic != "public:room" {
		return admin.Presence{}, message.Errorf(message.CodeNotFound, "%s has no members", topic)
	}
	members := []admin.Member{{UserID: "u1", Data: []byte(`{"a":1}`), Connections: 2, SinceMS: 5}, {UserID: "u2", Data: []byte("{}")}}
	return admin.Presence{Topic: topic, Version: 7, Count: 2, Members: members[:min(limit, 2)]}, nil
}

func (w *world) Reload(context.Context) error {
	if w.hold != nil {
		w.hold()
	}
	return w.reload
}

func (w *world) Ready(context.Context) error { return w.ready }

func (w *world) Measure() admin.Measurements {
	s := w.broker.Stats()
	return admin.Measurements{
		Connections: 3, Deliveries: 42, Dropped: map[string]uint64{"queue": 7},
		Presence: admin.PresenceFigures{Members: 5, Notices: map[string]uint64{"presence_join": 6}, Refused: map[string]uint64{"data": 8}},
		Broker:   admin.BrokerFigures{Topics: s.Topics, BytesKept: s.BytesKept, Published: s.Published},
		Intake:   w.intake, Cluster: w.joined,
	}
}

func (w *world) List() []plugin.Info {
	return []plugin.Info{{
		Name: "mapping", Version: "abc", Kinds: []plugin.Kind{plugin.Transform}, Bind: []string{"*"}, OnError: plugin.Drop,
		Loaded: time.Unix(1_700_000_000, 0), Breaker: "open",
	}}
}

func (w *world) Stats() []plugin.Stats {
	hook := plugin.HookStats{Hook: "transform"}
	hook.Calls[plugin.OutcomeData], hook.Calls[plugin.OutcomeTrap] = 5, 2
	for i := range hook.Fuel.Bounds {
		hook.Fuel.Bounds[i], hook.LatencyNS.Bounds[i] = 1<<(4+2*i)-1, 1<<(8+i)-1
	}
	hook.Fuel.Counts[1], hook.Fuel.Counts[plugin.Buckets-1], hook.Fuel.Sum = 4, 1, 99
	return []plugin.Stats{{
		Plugin: "mapping", Version: "abc", Hooks: []plugin.HookStats{hook}, Breaker: "open", CPU: 1500 * time.Millisecond,
		Metrics: map[string]float64{"rows\xff": 9}, Waiting: 3, Batches: 4, BatchEvents: 50, BatchesFailed: 6,
	}}
}

// transformer makes of an event what its type says.
type transformer struct{ world *world }

func (t transformer) TransformAll(ctx context.Context, questions []ingest.Question) {
	for i := range questions {
		q := &questions[i]
		q.Decision, q.Err = t.Transform(ctx, q.Type, q.Doc, q.Answer)
	}
}

func (t transformer) Transform(_ context.Context, eventType string, _ []byte, answer *ingest.Answer) (ingest.Decision, error) {
	d := ingest.Decision{Verdict: ingest.Data, Plugin: "mapping", Version: "abc"}
	switch eventType {
	case "Two":
		return d, answer.Read([]byte(`[{"t":"one","topic":"user:u1:events","p":{}},{"t":"two","topic":"user:u2:events","p":{}}]`))
	case "Dropped":
		d.Verdict = ingest.Drop
		return d, nil
	case "Broken":
		if t.world.healed.Load() {
			return d, answer.Read([]byte(`{"t":"one","topic":"user:u1:events","p":{}}`))
		}
		return d, errors.New("plugin/mapping@abc: trap: unreachable")
	case "Denied":
		d.OnError = ingest.OnErrorDeny
		return d, errors.New("plugin/mapping@abc: trap: unreachable")
	}
	return ingest.Decision{}, nil
}

// deps returns what a Server needs, all of it working.
func deps(t testing.TB) (*world, admin.Deps) {
	w := new(world)
	classes, err := broker.CompileClasses(broker.DefaultClasses())
	require.NoError(t, err)
	w.broker, err = memory.New(memory.DefaultConfig(), classes, w)
	require.NoError(t, err)
	in, err := ingest.New(ingest.DefaultConfig(), transformer{w}, w.broker)
	require.NoError(t, err)
	return w, admin.Deps{
		Version: "v1.2.3", Started: time.Now(), Publisher: in, Intake: in, Letters: in, Replayer: in, Topics: w, Members: w, History: w.broker,
		Sessions: desk{}, Connections: w, Commander: w, Nodes: w, Plugins: w, Changer: &w.host, Prover: &w.host, Engine: w,
	}
}

func config() admin.Config {
	cfg := admin.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	return cfg
}

// api is a server under test.
type api struct {
	t     testing.TB
	world *world
	url   string
	token string
}

// serve runs a server with cfg on a real listener until the test ends.
func serve(t testing.TB, cfg admin.Config) *api { return serveWith(t, cfg, func(*admin.Deps) {}) }

// serveWith is serve with other deps.
func serveWith(t testing.TB, cfg admin.Config, change func(*admin.Deps)) *api {
	w, d := deps(t)
	change(&d)
	s, err := admin.New(cfg, d)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		require.NoError(t, <-ended)
	})
	return &api{t: t, world: w, url: "http://" + s.Addr().String(), token: cfg.Token.Reveal()}
}

// answer is a response, read.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// do sends a request; change may spoil it.
func (a *api) do(method, path, body string, change func(r *http.Request)) answer {
	a.t.Helper()
	r, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	require.NoError(a.t, err)
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if change != nil {
		change(r)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(a.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	return answer{a.t, resp.StatusCode, resp.Header, raw}
}

func (a *api) get(path string) answer {
	a.t.Helper()
	return a.do("GET", path, "", nil)
}

func (a *api) post(path, body string) answer {
	a.t.Helper()
	return a.do("POST", path, body, nil)
}

// json requires a status of 200 and returns the answer.
func (a answer) json() map[string]any {
	a.t.Helper()
	require.Equal(a.t, http.StatusOK, a.status, "%s", a.body)
	require.Equal(a.t, "application/json", a.header.Get("Content-Type"))
	var v map[string]any
	require.NoError(a.t, json.Unmarshal(a.body, &v), "%s", a.body)
	return v
}

// list requires a status of 200 and returns the array.
func (a answer) list() (v []map[string]any) {
	a.t.Helper()
	require.Equal(a.t, http.StatusOK, a.status, "%s", a.body)
	require.NoError(a.t, json.Unmarshal(a.body, &v), "%s", a.body)
	return v
}

// problem requires a problem with this status and code and returns it.
func (a answer) problem(status int, code string) map[string]any {
	a.t.Helper()
	require.Equal(a.t, status, a.status, "%s", a.body)
	require.Equal(a.t, "application/problem+json", a.header.Get("Content-Type"))
	var v map[string]any
	require.NoError(a.t, json.Unmarshal(a.body, &v), "%s", a.body)
	require.Equal(a.t, code, v["code"], "%s", a.body)
	require.EqualValues(a.t, status, v["status"])
	require.Equal(a.t, "about:blank", v["type"])
	require.Equal(a.t, http.StatusText(status), v["title"])
	require.NotEmpty(a.t, v["detail"])
	return v
}

func TestAnEnvelopeIsPublished(t *testing.T) {
	a := serve(t, config())
	got := a.post("/api/v1/publish", ` {"topic":"user:u1:order_events","t":"order_update","p":{"a":1},"id":"e1","pri":10}`).json()
	require.Regexp(t, "^[0-9a-f]{8}$", got["epoch"])
	delete(got, "epoch")
	require.Equal(t, map[string]any{"status": "published", "id": "e1", "topic": "user:u1:order_events", "seq": 1.0}, got)
	again := a.post("/api/v1/publish", `{"topic":"user:u1:order_events","t":"order_update","p":{"a":1},"id":"e1"}`).json()
	require.Equal(t, "duplicate", again["status"])
	require.Equal(t, 1.0, again["seq"])
	require.Equal(t, "00000000", a.post("/api/v1/publish", `{"topic":"system:a","t":"x","p":{}}`).json()["epoch"], "no history, no epoch")
}

func TestAnArrayIsAnsweredPerItemInOrder(t *testing.T) {
	a := serve(t, config())
	got := a.post("/api/v1/publish", `[{"topic":"user:u1:events","t":"x","p":{},"id":"a"},{"topic":"nonsense","t":"x","p":{}},7,
		{"topic":"user:u1:events","t":"x","p":{},"id":"b"}]`).list()
	require.Len(t, got, 4)
	require.Equal(t, []any{"a", 1.0, "b", 2.0}, []any{got[0]["id"], got[0]["seq"], got[3]["id"], got[3]["seq"]})
	fault := got[1]["error"].(map[string]any)
	require.Equal(t, "INVALID_ARGUMENT", fault["code"])
	require.Contains(t, fault["message"], "topic: ")
	require.Equal(t, "topic", fault["details"].(map[string]any)["field"])
	require.Equal(t, "INVALID_MESSAGE", got[2]["error"].(map[string]any)["code"])
	require.Empty(t, a.post("/api/v1/publish", "[]").list())
}

func TestAnEventGoesThroughThePlugins(t *testing.T) {
	a := serve(t, config())
	event := func(kind string) string {
		return `{"type":"` + kind + `","user_id":"u1","id":"` + kind + `","payload":{}}`
	}
	t.Run("to one envelope", func(t *testing.T) {
		got := a.post("/api/v1/events", event("Plain")).json()
		require.Equal(t, []any{"published", "Plain", "user:u1:events"}, []any{got["status"], got["id"], got["topic"]})
		require.NotContains(t, got, "envelopes")
	})
	t.Run("to several", func(t *testing.T) {
		got := a.post("/api/v1/events", event("Two")).json()
		require.Equal(t, "Two", got["id"])
		all := got["envelopes"].([]any)
		require.Len(t, all, 2)
		require.Equal(t, "Two.1", all[1].(map[string]any)["id"])
		require.Equal(t, "user:u2:events", all[1].(map[string]any)["topic"])
	})
	t.Run("to nothing", func(t *testing.T) {
		got := a.post("/api/v1/events", event("Dropped")).json()
		require.Equal(t, map[string]any{"status": "dropped", "id": "Dropped", "reason": "plugin/mapping@abc dropped it"}, got)
	})
	t.Run("to the dead letters", func(t *testing.T) {
		got := a.post("/api/v1/events", event("Broken"))
		require.Equal(t, http.StatusAccepted, got.status)
		require.Contains(t, string(got.body), `"status":"dead_letter"`)
		letters := a.get("/api/v1/dead-letters").json()["dead_letters"].([]any)
		require.Len(t, letters, 1)
		require.Equal(t, "Broken", letters[0].(map[string]any)["event"])
		require.Contains(t, letters[0].(map[string]any)["document"], `{"type":"Broken"`)
	})
	t.Run("to a refusal", func(t *testing.T) {
		p := a.post("/api/v1/events", event("Denied")).problem(http.StatusServiceUnavailable, "PLUGIN_UNAVAILABLE")
		require.Contains(t, p["detail"], "unreachable")
	})
	t.Run("all at once", func(t *testing.T) {
		got := a.post("/api/v1/events", "["+event("Two")+","+event("Denied")+","+event("Dropped")+"]").list()
		require.Equal(t, "duplicate", got[0]["status"])
		require.Len(t, got[0]["envelopes"], 2)
		require.Equal(t, "PLUGIN_UNAVAILABLE", got[1]["error"].(map[string]any)["code"])
		require.Equal(t, "dropped", got[2]["status"])
	})
}

func TestWhatCannotBePublishedIsAProblem(t *testing.T) {
	cfg := config()
	cfg.BodyKiBMax, cfg.BatchItemsMax = 300, 3
	a := serve(t, cfg)
	envelope := `{"topic":"user:u1:events","t":"x","p":{}}`
	for _, c := range []struct {
		name, path, body string
		status           int
		code, detail     string
	}{
		{"nothing", "publish", "", 400, "INVALID_MESSAGE", "not a JSON object"},
		{"no JSON", "events", "type=A", 400, "INVALID_MESSAGE", "not a JSON object"},
		{"a misspelt field", "events", `{"type":"A","payload":{},"usr_id":"u1"}`, 400, "INVALID_ARGUMENT", "usr_id: is no field here"},
		{"no user", "events", `{"type":"A","payload":{}}`, 400, "INVALID_ARGUMENT", "user_id: is missing"},
		{"an array with no end", "publish", "[" + envelope, 400, "INVALID_MESSAGE", "nothing of it was taken"},
		{"an array and more", "publish", "[" + envelope + "] x", 400, "INVALID_MESSAGE", "nothing of it was taken"},
		{"too many", "publish", "[" + strings.Repeat(envelope+",", 3) + envelope + "]", 413, "MESSAGE_TOO_LARGE", "admin.batch_items_max"},
		{"one too large", "publish", `{"topic":"user:u1:events","t":"x","p":{"a":"` + strings.Repeat("x", 270<<10) + `"}}`, 413, "MESSAGE_TOO_LARGE", "event_kib_max"},
		{"all too large", "publish", strings.Repeat(" ", 301<<10), 413, "MESSAGE_TOO_LARGE", "admin.body_kib_max"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := a.post("/api/v1/"+c.path, c.body).problem(c.status, c.code)
			require.Contains(t, p["detail"], c.detail)
		})
	}
	require.Empty(t, a.get("/api/v1/topics").json()["topics"], "nothing was published")
}

func TestTheClientIsNotToldWhatOnlyTheLogShouldKnow(t *testing.T) {
	_, d := deps(t)
	var logged []any
	d.Log = func(_ string, args ...any) { logged = append(logged, args...) }
	d.Publisher = failing{}
	s, err := admin.New(config(), d)
	require.NoError(t, err)
	defer s.Close()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "http://localhost/api/v1/publish", strings.NewReader("{}"))
	s.Handler().ServeHTTP(w, r)
	answer{t, w.Code, w.Header(), w.Body.Bytes()}.problem(500, "SERVER_ERROR")
	require.NotContains(t, w.Body.String(), "secret")
	require.Len(t, logged, 4)
	require.Contains(t, logged[3].(error).Error(), "secret")
}

type failing struct{}

func (failing) PublishJSON(context.Context, []byte) ([]ingest.Result, error) {
	return nil, errors.New("secret")
}

func (failing) PublishEventJSON(context.Context, []byte) ([]ingest.Result, error) {
	return []ingest.Result{{ID: "e1"}}, message.Errorf(message.CodeUnavailable, "full")
}

func (f failing) PublishEventsJSON(ctx context.Context, raws [][]byte) []ingest.Outcome {
	outcomes := make([]ingest.Outcome, len(raws))
	for i, raw := range raws {
		outcomes[i].Results, outcomes[i].Err = f.PublishEventJSON(ctx, raw)
	}
	return outcomes
}

func TestWhatWasPublishedBeforeAnErrorIsInTheProblem(t *testing.T) {
	_, d := deps(t)
	d.Publisher = failing{}
	s, err := admin.New(config(), d)
	require.NoError(t, err)
	defer s.Close()
	for body, want := range map[string]string{
		"{}":   `"envelopes":[{"status":"published","id":"e1","epoch":"00000000"}]}`,
		"[{}]": `[{"envelopes":[{"status":"published","id":"e1","epoch":"00000000"}],"error":{"code":"UNAVAILABLE","message":"full"}}]`,
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "http://localhost/api/v1/events", strings.NewReader(body)))
		require.Contains(t, w.Body.String(), want)
	}
}

func TestTopicsAndTheirHistoryAreShown(t *testing.T) {
	a := serve(t, config())
	for _, kind := range []string{"order_snapshot", "order_update", "order_update"} {
		a.post("/api/v1/publish", `{"topic":"user:u1:order_events","t":"`+kind+`","p":{"n":1},"ts":"2025-01-13T10:30:00Z"}`).json()
	}
	a.post("/api/v1/publish", `{"topic":"user:u2:events","t":"x","p":{}}`).json()
	got := a.get("/api/v1/topics?prefix=user:u1").json()
	require.Equal(t, 2.0, got["total"])
	topics := got["topics"].([]any)
	require.Len(t, topics, 1)
	require.Equal(t, "user:u1:order_events", topics[0].(map[string]any)["topic"])
	require.Regexp(t, "^[0-9a-f]{8}$", topics[0].(map[string]any)["epoch"])
	require.Len(t, a.get("/api/v1/topics?limit=1").json()["topics"], 1)

	h := a.get("/api/v1/history?topic=user:u1:order_events&limit=2").json()
	require.Equal(t, 3.0, h["offset"])
	require.Len(t, h["snapshots"], 1)
	publications := h["publications"].([]any)
	require.Len(t, publications, 2)
	last := publications[1].(map[string]any)
	require.Equal(t, []any{"order_update", 3.0, "U", "2025-01-13T10:30:00.000Z", h["epoch"], 2.0},
		[]any{last["t"], last["seq"], last["_msg_cat"], last["ts"], last["e"], last["v"]})
	empty := a.get("/api/v1/history?topic=user:u9:events").json()
	require.Equal(t, []any{}, empty["publications"])
	require.Equal(t, []any{}, empty["snapshots"])
	a.get("/api/v1/history?topic=nonsense").problem(400, "INVALID_ARGUMENT")
	a.get("/api/v1/history").problem(400, "INVALID_ARGUMENT")
}

func TestMembersOfATopicAreListed(t *testing.T) {
	a := serve(t, config())
	require.Equal(t, map[string]any{"topic": "public:room", "version": 7.0, "count": 2.0, "members": []any{
		map[string]any{"user_id": "u1", "data": map[string]any{"a": 1.0}, "connections": 2.0, "since_ms": 5.0},
	}}, a.get("/api/v1/presence?topic=public:room&limit=1").json())
	require.Equal(t, []any{}, a.get("/api/v1/presence?topic=public:room&limit=0").json()["members"])
	a.get("/api/v1/presence?topic=public:other").problem(404, "NOT_FOUND")
	a.get("/api/v1/presence?topic=nonsense").problem(400, "INVALID_ARGUMENT")
	a.get("/api/v1/presence").problem(400, "INVALID_ARGUMENT")
	a.get("/api/v1/presence?topics=public:room").problem(400, "BAD_REQUEST")
}

func TestConnectionsAreListedAndClosed(t *testing.T) {
	a := serve(t, config())
	require.Equal(t, []any{}, a.get("/api/v1/connections").json()["connections"])
	a.world.conns = []admin.Connection{{ID: "c1", UserID: "u1"}, {ID: "c2", UserID: "u2"}, {ID: "c3", UserID: "u1"}}
	got := a.get("/api/v1/connections?user=u1&limit=1").json()
	require.Equal(t, 2.0, got["total"])
	require.Len(t, got["connections"], 1)
	gone := a.do("DELETE", "/api/v1/connections/c1", "", nil)
	require.Equal(t, http.StatusNoContent, gone.status)
	require.Empty(t, gone.body)
	a.do("DELETE", "/api/v1/connections/c1", "", nil).problem(404, "NOT_FOUND")
	require.Equal(t, 2.0, a.get("/api/v1/connections").json()["total"])
}

func TestAQueryThatIsNotUnderstoodIsRefused(t *testing.T) {
	a := serve(t, config())
	for _, path := range []string{
		"/api/v1/connections?users=u1", "/api/v1/connections?user=a&user=b", "/api/v1/topics?limit=ten", "/api/v1/topics?limit=-1",
		"/api/v1/topics?limit=10001", "/api/v1/topics?limit=", "/api/v1/plugins?limit=1", "/api/v1/topics?a=%zz",
	} {
		a.get(path).problem(400, "BAD_REQUEST")
	}
}

func TestReloadSaysWhetherItWorked(t *testing.T) {
	a := serve(t, config())
	require.Equal(t, true, a.post("/api/v1/reload", "").json()["reloaded"])
	a.world.reload = errors.New("config: topics[0].overflow: no")
	p := a.post("/api/v1/reload", "").problem(422, "RELOAD_FAILED")
	require.Contains(t, p["detail"], "topics[0].overflow")
}

func TestHealthAndReadiness(t *testing.T) {
	a := serve(t, config())
	require.Equal(t, "ok", a.get("/healthz").json()["status"])
	require.Equal(t, "ready", a.get("/readyz").json()["status"])
	require.Equal(t, true, a.get("/api/v1/status").json()["ready"])
	a.world.ready = errors.New("draining")
	require.Equal(t, "draining", a.get("/readyz").problem(503, "NOT_READY")["detail"])
	require.Equal(t, "ok", a.get("/healthz").json()["status"], "alive, only not ready")
	status := a.get("/api/v1/status").json()
	require.Equal(t, false, status["ready"])
	require.Equal(t, "v1.2.3", status["version"])
	require.Equal(t, 42.0, status["engine"].(map[string]any)["deliveries"])
}

func TestMetricsTellTheFigures(t *testing.T) {
	a := serve(t, config())
	a.world.host.shadowing = &plugin.ShadowState{Phase: plugin.PhaseRunning, Comparison: compared}
	a.post("/api/v1/events", `{"type":"Plain","user_id":"u1","payload":{}}`).json()
	a.get("/nothing/here").problem(404, "NOT_FOUND")
	got := a.get("/metrics")
	require.Equal(t, http.StatusOK, got.status)
	text := string(got.body)
	for _, want := range []string{
		`wse_build_info{version="v1.2.3"} 1`, "wse_connections 3", "wse_deliveries_total 42", `wse_dropped_total{reason="queue"} 7`,
		"wse_presence_members 5", `wse_presence_notices_total{type="presence_join"} 6`, `wse_presence_refused_total{reason="data"} 8`,
		"wse_topics 1", "wse_publications_total 1", `wse_ingest_results_total{result="published"} 1`, "wse_ingest_default_total 1",
		`wse_plugin_calls_total{hook="transform",plugin="mapping",result="trap",version="abc"} 2`,
		`wse_plugin_cpu_seconds_total{plugin="mapping",version="abc"} 1.5`,
		`wse_plugin_breaker{plugin="mapping",state="open",version="abc"} 1`, `wse_plugin_breaker{plugin="mapping",state="closed",version="abc"} 0`,
		`wse_plugin_info{plugin="mapping",sha256="",version="abc"} 1`, `wse_plugin_generation{plugin="mapping"} 4`, `wse_plugin_versions_kept{plugin="mapping"} 2`,
		`wse_plugin_recorded{plugin="mapping"} 7`, `wse_plugin_shadow_running{plugin="mapping"} 1`, `wse_plugin_shadow_events{plugin="mapping",result="different"} 1`,
		`wse_plugin_shadow_events{plugin="mapping",result="skipped"} 2`, `wse_plugin_waiting{plugin="mapping",version="abc"} 3`,
		`wse_plugin_batches_total{plugin="mapping",version="abc"} 4`, `wse_plugin_batch_events_total{plugin="mapping",version="abc"} 50`,
		`wse_plugin_batches_failed_total{plugin="mapping",version="abc"} 6`,
		`wse_plugin_guest_metric{name="rows?",plugin="mapping",version="abc"} 9`,
		`wse_plugin_fuel_bucket{hook="transform",plugin="mapping",version="abc",le="15"} 0`,
		`wse_plugin_fuel_bucket{hook="transform",plugin="mapping",version="abc",le="63"} 4`,
		`wse_plugin_fuel_bucket{hook="transform",plugin="mapping",version="abc",le="+Inf"} 5`,
		`wse_plugin_fuel_sum{hook="transform",plugin="mapping",version="abc"} 99`,
		`wse_admin_requests_total{route="/api/v1/events",status="200"} 1`, `wse_admin_requests_total{route="none",status="404"} 1`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		require.Contains(t, text, want, "the metrics:\n%s", text)
	}
	families := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# HELP wse_") {
			families++
		}
	}
	require.Greater(t, families, 30)
}

func TestEveryPathRefusesMethodsItDoesNotHave(t *testing.T) {
	a := serve(t, config())
	for path, allow := range map[string]string{
		"/": "GET, HEAD", "/healthz": "GET, HEAD", "/readyz": "GET, HEAD", "/metrics": "GET, HEAD", "/api/v1/status": "GET, HEAD",
		"/api/v1/publish": "POST", "/api/v1/events": "POST", "/api/v1/topics": "GET, HEAD", "/api/v1/history": "GET, HEAD",
		"/api/v1/presence": "GET, HEAD", "/api/v1/connections": "DELETE, GET, HEAD", "/api/v1/nodes": "GET, HEAD", "/api/v1/refresh-tokens": "DELETE", "/api/v1/sessions": "GET, HEAD", "/api/v1/connections/c1": "DELETE", "/api/v1/plugins": "GET, HEAD",
		"/api/v1/plugins/p": "GET, HEAD", "/api/v1/plugins/p/upload": "POST", "/api/v1/plugins/p/try": "POST", "/api/v1/plugins/p/swap": "POST",
		"/api/v1/plugins/p/rollback": "POST", "/api/v1/plugins/p/shadow": "DELETE, GET, HEAD",
		"/api/v1/dead-letters": "GET, HEAD", "/api/v1/dead-letters/x": "DELETE, GET, HEAD", "/api/v1/dead-letters/replay": "POST", "/api/v1/reload": "POST", "/debug/pprof/": "GET, HEAD",
	} {
		got := a.do("PATCH", path, "{}", nil)
		got.problem(405, "METHOD_NOT_ALLOWED")
		require.Equal(t, allow, got.header.Get("Allow"), path)
	}
	head := a.do("HEAD", "/healthz", "", nil)
	require.Equal(t, http.StatusOK, head.status)
	require.Empty(t, head.body)
	for _, path := range []string{"/nothing", "/api/v1", "/api/v1/publish/x", "/api/v2/topics", "/connections"} {
		a.get(path).problem(404, "NOT_FOUND")
	}
}

func TestWithATokenEverythingButMetricsNeedsIt(t *testing.T) {
	cfg := config()
	cfg.Token = "correct-horse"
	a := serve(t, cfg)
	for _, path := range []string{
		"/", "/healthz", "/readyz", "/api/v1/status", "/api/v1/topics", "/api/v1/connections", "/api/v1/sessions", "/api/v1/plugins", "/api/v1/dead-letters",
		"/debug/pprof/", "/debug/pprof/heap", "/nothing", "/metrics/", "//metrics",
	} {
		for _, header := range []string{"", "Bearer wrong", "Bearer", "correct-horse", "Basic correct-horse", "Bearer correct-hors", "Bearer correct-horse2"} {
			got := a.do("GET", path, "", func(r *http.Request) { r.Header.Set("Authorization", header) })
			got.problem(401, "UNAUTHORIZED")
			require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
		}
	}
	require.Equal(t, "ok", a.get("/healthz").json()["status"])
	a.do("GET", "/healthz", "", func(r *http.Request) { r.Header.Set("Authorization", "bearer  correct-horse") }).json()
	a.post("/api/v1/publish", `{"topic":"user:u1:events","t":"x","p":{}}`).json()
	open := a.do("GET", "/metrics", "", func(r *http.Request) { r.Header.Del("Authorization") })
	require.Equal(t, http.StatusOK, open.status)
	elsewhere := a.do("GET", "/healthz", "", func(r *http.Request) { r.Host = "wse.example.com" })
	elsewhere.json()
}

func TestWithoutATokenOtherPagesAndNamesAreRefused(t *testing.T) {
	a := serve(t, config())
	host := strings.TrimPrefix(a.url, "http://")
	port := host[strings.LastIndex(host, ":"):]
	for _, c := range []struct {
		name    string
		change  func(r *http.Request)
		refused bool
	}{
		{"a plain request", func(*http.Request) {}, false},
		{"by name", func(r *http.Request) { r.Host = "localhost" + port }, false},
		{"by name in capitals", func(r *http.Request) { r.Host = "LOCALHOST" + port }, false},
		{"by another loopback address", func(r *http.Request) { r.Host = "127.8.8.8" }, false},
		{"by IPv6", func(r *http.Request) { r.Host = "[::1]" + port }, false},
		{"by IPv6 without a port", func(r *http.Request) { r.Host = "[::1]" }, false},
		{"from our own page", func(r *http.Request) { r.Header.Set("Origin", a.url); r.Header.Set("Sec-Fetch-Site", "same-origin") }, false},
		{"typed in by hand", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, false},
		{"a rebound name", func(r *http.Request) { r.Host = "evil.example" + port }, true},
		{"a name that begins like ours", func(r *http.Request) { r.Host = "localhost.evil.example" }, true},
		{"an address outside", func(r *http.Request) { r.Host = "192.0.2.1" + port }, true},
		{"from another page", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, true},
		{"from another port", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, true},
		{"from our own address over TLS", func(r *http.Request) { r.Header.Set("Origin", "https://"+host) }, true},
		{"from a file", func(r *http.Request) { r.Header.Set("Origin", "null") }, true},
		{"an image of another page", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, true},
		{"of a sister site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/healthz", "/metrics", "/"} {
				got := a.do("GET", path, "", c.change)
				if c.refused {
					got.problem(403, "FOREIGN_REQUEST")
				} else {
					require.Equal(t, http.StatusOK, got.status)
				}
			}
		})
	}
}

func TestThePageComesWholeAndAsksForTheToken(t *testing.T) {
	cfg := config()
	cfg.Token = "correct-horse"
	a := serve(t, cfg)
	browser := func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("Accept", "text/html,*/*;q=0.8")
	}
	locked := a.do("GET", "/", "", browser)
	require.Equal(t, http.StatusUnauthorized, locked.status)
	open := a.get("/")
	require.Equal(t, http.StatusOK, open.status)
	require.Equal(t, open.body, locked.body)
	a.do("GET", "/api/v1/status", "", browser).problem(401, "UNAUTHORIZED")
	page := string(open.body)
	require.True(t, strings.HasPrefix(page, "<!doctype html>"))
	for _, outside := range []string{"http://", "https://", `src="`, "@import", "url(", "innerHTML", "correct-horse", "/*style*/", "/*script*/"} {
		require.NotContains(t, page, outside)
	}
	require.Contains(t, open.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'sha256-")
	require.NotContains(t, open.header.Get("Content-Security-Policy"), "unsafe")
}

func TestShutdownLetsRequestsUnderWayFinish(t *testing.T) {
	w, d := deps(t)
	s, err := admin.New(config(), d)
	require.NoError(t, err)
	inside, release := make(chan struct{}), make(chan struct{})
	w.hold = func() { close(inside); <-release }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	status := make(chan int, 1)
	go func() {
		resp, err := http.Post("http://"+s.Addr().String()+"/api/v1/reload", "", nil)
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-inside
	cancel()
	close(release)
	require.Equal(t, http.StatusOK, <-status)
	require.NoError(t, <-ended)
	_, err = http.Get("http://" + s.Addr().String() + "/healthz")
	require.Error(t, err, "nobody listens any more")
}

func TestShutdownCutsWhatDoesNotFinishInTime(t *testing.T) {
	w, d := deps(t)
	cfg := config()
	cfg.ShutdownTimeout = time.Millisecond
	s, err := admin.New(cfg, d)
	require.NoError(t, err)
	inside, release := make(chan struct{}), make(chan struct{})
	w.hold = func() { close(inside); <-release }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	failed := make(chan error, 1)
	go func() {
		_, err := http.Post("http://"+s.Addr().String()+"/api/v1/reload", "", nil)
		failed <- err
	}()
	<-inside
	cancel()
	require.NoError(t, <-ended)
	require.Error(t, <-failed)
	close(release)
}

func TestProfilesAreServed(t *testing.T) {
	a := serve(t, config())
	require.Contains(t, string(a.get("/debug/pprof/").body), "goroutine")
	require.Contains(t, string(a.get("/debug/pprof/goroutine?debug=1").body), "goroutine profile:")
	require.NotEmpty(t, a.get("/debug/pprof/cmdline").body)
}

func TestAPortInUseIsOneClearError(t *testing.T) {
	_, d := deps(t)
	first, err := admin.New(config(), d)
	require.NoError(t, err)
	defer first.Close()
	cfg := config()
	cfg.Listen = first.Addr().String()
	_, err = admin.New(cfg, d)
	require.ErrorContains(t, err, "admin: cannot listen on "+cfg.Listen)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	_, d := deps(t)
	d.Connections = nil
	_, err := admin.New(config(), d)
	require.EqualError(t, err, "admin: deps lack Connections")
}

func TestConfigFaultsNameTheirFields(t *testing.T) {
	require.NoError(t, admin.DefaultConfig().Validate())
	for _, listen := range []string{"localhost:9090", "127.1.2.3:0", "[::1]:9090"} {
		cfg := admin.DefaultConfig()
		cfg.Listen = listen
		require.NoError(t, cfg.Validate(), listen)
	}
	for _, listen := range []string{":9090", "0.0.0.0:9090", "[::]:9090", "192.0.2.1:80", "example.com:80"} {
		cfg := admin.DefaultConfig()
		cfg.Listen = listen
		require.ErrorContains(t, cfg.Validate(), "listen: ", listen)
		require.ErrorContains(t, cfg.Validate(), "admin.token", listen)
		cfg.Token = "s3cret"
		require.NoError(t, cfg.Validate(), listen)
	}
	for _, listen := range []string{"", "9090", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"} {
		cfg := admin.DefaultConfig()
		cfg.Listen = listen
		require.ErrorContains(t, cfg.Validate(), "is not host:port", listen)
	}
	bad := admin.Config{Listen: "127.0.0.1:1", Token: "a b"}
	for _, field := range []string{
		"token", "body_kib_max", "module_kib_max", "candidates_max", "batch_items_max", "list_max", "connections_max", "header_timeout", "read_timeout",
		"write_timeout", "request_timeout", "candidate_timeout", "shutdown_timeout",
	} {
		require.ErrorContains(t, bad.Validate(), field+": ")
	}
	require.NotContains(t, bad.Validate().Error(), "a b", "a token is never shown")
}

func TestARequestThatTakesTooLongIsEnded(t *testing.T) {
	_, d := deps(t)
	d.Publisher = waiting{}
	cfg := config()
	cfg.RequestTimeout = time.Millisecond
	s, err := admin.New(cfg, d)
	require.NoError(t, err)
	defer s.Close()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "http://localhost/api/v1/publish", bytes.NewReader([]byte("{}"))))
	answer{t, w.Code, w.Header(), w.Body.Bytes()}.problem(503, "UNAVAILABLE")
}

type waiting struct{ failing }

func (waiting) PublishJSON(ctx context.Context, _ []byte) ([]ingest.Result, error) {
	<-ctx.Done()
	return nil, message.Errorf(message.CodeUnavailable, "too late")
}

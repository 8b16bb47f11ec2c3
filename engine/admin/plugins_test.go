package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/plugin"
)

// host answers what a test tells it to, and keeps what it was asked.
type host struct {
	mu        sync.Mutex
	asked     []string         // guarded by mu
	candidate plugin.Candidate // guarded by mu; the last one
	shadow    plugin.Shadow    // guarded by mu; of the last swap
	err       error
	shadowing *plugin.ShadowState
	last      plugin.Change
	hold      func(ctx context.Context) // called by Try and Swap
}

func (h *host) note(c plugin.Candidate, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.candidate = c
	h.asked = append(h.asked, fmt.Sprintf(format, args...))
}

func (h *host) Upload(_ context.Context, name string, c plugin.Candidate) (plugin.Kept, error) {
	h.note(c, "upload %s", name)
	return kept("def", "upload"), h.err
}

func (h *host) Swap(ctx context.Context, name string, c plugin.Candidate, s plugin.Shadow) (plugin.Change, error) {
	h.note(c, "swap %s", name)
	h.shadow = s
	if h.hold != nil {
		h.hold(ctx)
	}
	done := plugin.Change{Plugin: name, From: "abc", To: "def", How: plugin.HowSwap, Who: c.Who, Time: moment, Generation: 2}
	if s != (plugin.Shadow{}) {
		done.To = ""
	}
	return done, h.err
}

func (h *host) Rollback(_ context.Context, name, version, who string) (plugin.Change, error) {
	h.note(plugin.Candidate{Who: who}, "rollback %s to %q", name, version)
	return plugin.Change{Plugin: name, From: "def", To: "abc", How: plugin.HowRollback, Who: who, Time: moment, Generation: 3}, h.err
}

func (h *host) Try(_ context.Context, name string, c plugin.Candidate) (plugin.Comparison, error) {
	h.note(c, "try %s", name)
	return compared, h.err
}

func (h *host) CancelShadow(name, who string) error {
	h.note(plugin.Candidate{Who: who}, "cancel %s", name)
	return h.err
}

func (h *host) Detail(name string) (plugin.Detail, error) {
	if name != "mapping" {
		return plugin.Detail{}, fmt.Errorf("%w %q", plugin.ErrUnknownPlugin, name)
	}
	return plugin.Detail{
		Info: (*world)(nil).List()[0], Generation: 4, Last: h.last, Kept: []plugin.Kept{kept("def", "upload"), kept("abc", "start")}, Recorded: 7,
		Shadow: h.shadowing,
	}, nil
}

var (
	moment   = time.Unix(1_700_000_000, 0) // read only, as the others
	compared = plugin.Comparison{
		Plugin: "mapping", Serving: "abc", Candidate: "def", Compared: 3, Same: 1, Different: 1, Failed: 1, Skipped: 2,
		Differences: []plugin.Difference{{
			Hook: plugin.Transform, Input: `{"type":"A"}`, Serving: plugin.Said{Verdict: "data", Data: `{"t":"a"}`, Fuel: 10},
			Candidate: plugin.Said{Verdict: "trap", Error: "unreachable", Fuel: 11}, Diff: "-t: a\n+trap",
		}},
	}
)

func kept(version string, how plugin.How) plugin.Kept {
	return plugin.Kept{Version: version, SHA256: strings.Repeat(version[:1], 64), Bytes: 100, Time: moment, Who: "alice", How: how, Serving: version == "abc"}
}

func TestPluginsAreListedWithTheirCalls(t *testing.T) {
	a := serve(t, config())
	a.letter("e1")
	list := a.get("/api/v1/plugins").json()["plugins"].([]any)
	require.Len(t, list, 1)
	p := list[0].(map[string]any)
	require.Equal(t, []any{"mapping", "abc", "open", "drop", "2023-11-14T22:13:20Z"}, []any{p["name"], p["version"], p["breaker"], p["on_error"], p["loaded"]})
	require.Equal(t, map[string]any{"data": 5.0, "trap": 2.0}, p["calls"])
	require.Equal(t, []any{"start", "alice", 4.0, 7.0, 1.0}, []any{p["how"], p["who"], p["generation"], p["recorded"], p["dead_letters"]})
	require.NotContains(t, p, "shadow")
	require.Equal(t, "2023-11-14T22:13:20Z", p["since"])
	a.world.host.last = plugin.Change{From: "def", To: "abc", How: plugin.HowRollback, Who: "bob", Time: moment.Add(time.Hour)}
	p = a.get("/api/v1/plugins/mapping").json()
	require.Equal(t, []any{"rollback", "bob", "2023-11-14T23:13:20Z"}, []any{p["how"], p["who"], p["since"]}, "who let it serve, and not who made it")
}

func TestAPluginIsShownWithItsVersionsAndShadow(t *testing.T) {
	a := serve(t, config())
	a.world.host.shadowing = &plugin.ShadowState{Candidate: "def", Phase: "running", Started: moment, Comparison: compared}
	p := a.get("/api/v1/plugins/mapping").json()
	require.Equal(t, "abc", p["version"])
	require.Equal(t, map[string]any{"version": "abc", "sha256": strings.Repeat("a", 64), "bytes": 100.0, "time": "2023-11-14T22:13:20Z",
		"who": "alice", "how": "start", "serving": true}, p["versions"].([]any)[1])
	shadow := p["shadow"].(map[string]any)
	require.Equal(t, []any{"def", "running"}, []any{shadow["candidate"], shadow["phase"]})
	require.Equal(t, shadow, a.get("/api/v1/plugins/mapping/shadow").json())
	require.Equal(t, "running", a.get("/api/v1/plugins").json()["plugins"].([]any)[0].(map[string]any)["shadow"])
	a.get("/api/v1/plugins/nobody").problem(404, "UNKNOWN_PLUGIN")

	a.world.host.shadowing = nil
	a.get("/api/v1/plugins/mapping/shadow").problem(404, "NO_SHADOW")
}

// typed sets a request's Content-Type.
func typed(kind string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
}

// form makes a multipart body of parts, name by name.
func form(t testing.TB, parts ...string) (body, kind string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + parts[i] + `"; filename="x"`}})
		require.NoError(t, err)
		_, err = io.WriteString(p, parts[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.String(), w.FormDataContentType()
}

func TestACandidateIsAModuleAConfigBothOrAKeptVersion(t *testing.T) {
	a := serve(t, config())
	both, kind := form(t, "module", "\x00asm", "config", "a: 1")
	for _, c := range []struct {
		name, path, kind, body string
		want                   plugin.Candidate
	}{
		{"a module", "try", "application/wasm", "\x00asm\x00", plugin.Candidate{Module: []byte("\x00asm\x00")}},
		{"YAML", "upload", "application/yaml", "a: 1", plugin.Candidate{Config: []byte("a: 1")}},
		{"JSON", "swap", "application/json; charset=utf-8", "{}", plugin.Candidate{Config: []byte("{}")}},
		{"both", "swap", kind, both, plugin.Candidate{Module: []byte("\x00asm"), Config: []byte("a: 1")}},
		{"a version", "swap?version=abc", "", "", plugin.Candidate{Version: "abc"}},
		{"a version with a config", "try?version=abc+def", "", "", plugin.Candidate{Version: "abc+def"}},
		{"the same, escaped", "try?version=abc%2Bdef", "", "", plugin.Candidate{Version: "abc+def"}},
		{"a version and the type of nothing", "try?version=abc", "application/json", "", plugin.Candidate{Version: "abc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.do("POST", "/api/v1/plugins/mapping/"+c.path, c.body, typed(c.kind)).json()
			c.want.Who = "127.0.0.1"
			require.Equal(t, c.want, a.world.host.candidate)
		})
	}
	a.do("POST", "/api/v1/plugins/mapping/swap?version=abc", "", func(r *http.Request) { r.Header.Set("X-Wse-Who", "alice@desk") }).json()
	require.Equal(t, "alice@desk", a.world.host.candidate.Who)
}

func TestACandidateThatIsNoneIsRefused(t *testing.T) {
	cfg := config()
	cfg.ModuleKiBMax, cfg.BodyKiBMax = 2, 1
	a := serve(t, cfg)
	big := strings.Repeat("x", 2<<10+1)
	build := func(parts ...string) [2]string {
		body, kind := form(t, parts...)
		return [2]string{kind, body}
	}
	for _, c := range []struct {
		name, query string
		in          [2]string // type and body
		status      int
		code, says  string
	}{
		{"nothing", "", [2]string{"application/wasm", ""}, 400, "BAD_REQUEST", "there is no candidate"},
		{"no parts", "", build(), 400, "BAD_REQUEST", "there is no candidate"},
		{"a form", "", [2]string{"application/x-www-form-urlencoded", "a=b"}, 415, "UNSUPPORTED_MEDIA_TYPE", "application/wasm (a module)"},
		{"no type", "", [2]string{"", "a: 1"}, 415, "UNSUPPORTED_MEDIA_TYPE", "multipart/form-data"},
		{"a type that is none", "", [2]string{"a;b", "a: 1"}, 415, "UNSUPPORTED_MEDIA_TYPE", "multipart/form-data"},
		{"version and body", "?version=abc", [2]string{"application/yaml", "a: 1"}, 400, "BAD_REQUEST", "without a body"},
		{"another part", "", build("modul", "x"), 400, "BAD_REQUEST", `there is a part "modul"`},
		{"a part twice", "", build("config", "a: 1", "config", "a: 2"), 400, "BAD_REQUEST", "the config is given twice"},
		{"an empty part", "", build("module", ""), 400, "BAD_REQUEST", "the module is empty"},
		{"parts that do not end", "", [2]string{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=module\r\n\r\nabc"}, 400, "BAD_REQUEST", "could not be read to its end"},
		{"parts without a boundary", "", [2]string{"multipart/form-data", "--x\r\n"}, 400, "BAD_REQUEST", "could not be read to its end"},
		{"a large module", "", [2]string{"application/wasm", big}, 413, "MESSAGE_TOO_LARGE", "admin.module_kib_max"},
		{"a large config", "", [2]string{"application/yaml", big[:1<<10+1]}, 413, "MESSAGE_TOO_LARGE", "admin.body_kib_max"},
		{"a larger body", "", [2]string{"application/wasm", big + big}, 413, "MESSAGE_TOO_LARGE", "more than 3 KiB"},
		{"an unknown parameter", "?shadow=1", [2]string{"application/yaml", "a: 1"}, 400, "BAD_REQUEST", "shadow_events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := a.do("POST", "/api/v1/plugins/mapping/swap"+c.query, c.in[1], typed(c.in[0])).problem(c.status, c.code)
			require.Contains(t, p["detail"], c.says)
		})
	}
	for _, who := range []string{strings.Repeat("x", 129), "tab\tbed", "naïve"} {
		for _, path := range []string{"swap?version=abc", "rollback"} {
			a.do("POST", "/api/v1/plugins/mapping/"+path, "", func(r *http.Request) { r.Header.Set("X-Wse-Who", who) }).problem(400, "BAD_REQUEST")
		}
	}
	require.Empty(t, a.world.host.asked)
	a.do("POST", "/api/v1/plugins/mapping/swap", big[:2<<10], typed("application/wasm")).json()
}

func TestWhatWasChangedIsAnswered(t *testing.T) {
	a := serve(t, config())
	who := func(r *http.Request) {
		r.Header.Set("X-Wse-Who", "bob")
		r.Header.Set("Content-Type", "application/yaml")
	}
	require.Equal(t, map[string]any{"plugin": "mapping", "from": "abc", "to": "def", "how": "swap", "who": "bob", "time": "2023-11-14T22:13:20Z", "generation": 2.0},
		a.do("POST", "/api/v1/plugins/mapping/swap", "a: 1", who).json())
	require.Equal(t, "def", a.do("POST", "/api/v1/plugins/mapping/upload", "a: 1", who).json()["version"])
	back := a.do("POST", "/api/v1/plugins/mapping/rollback", "", who).json()
	require.Equal(t, []any{"def", "abc", "rollback", "bob"}, []any{back["from"], back["to"], back["how"], back["who"]})
	a.do("POST", "/api/v1/plugins/mapping/rollback", `{"version":"abc"}`, who).json()
	require.Equal(t, []string{"swap mapping", "upload mapping", `rollback mapping to ""`, `rollback mapping to "abc"`}, a.world.host.asked)
	for _, body := range []string{"abc", `{"versoin":"abc"}`, "{} {}", `"abc"`} {
		a.do("POST", "/api/v1/plugins/mapping/rollback", body, nil).problem(400, "BAD_REQUEST")
	}
}

func TestACandidateIsTriedAndItsDifferencesShown(t *testing.T) {
	a := serve(t, config())
	got := a.do("POST", "/api/v1/plugins/mapping/try", "a: 1", typed("application/yaml")).json()
	require.Equal(t, map[string]any{
		"plugin": "mapping", "serving": "abc", "candidate": "def", "compared": 3.0, "same": 1.0, "different": 1.0, "failed": 1.0, "skipped": 2.0,
		"differences": []any{map[string]any{
			"hook": "transform", "input": `{"type":"A"}`, "serving": map[string]any{"verdict": "data", "data": `{"t":"a"}`, "fuel": 10.0},
			"candidate": map[string]any{"verdict": "trap", "error": "unreachable", "fuel": 11.0}, "diff": "-t: a\n+trap",
		}},
	}, got)
}

func TestASwapMayHaveAShadow(t *testing.T) {
	a := serve(t, config())
	a.world.host.shadowing = &plugin.ShadowState{Candidate: "def", Phase: "running", Started: moment}
	for query, want := range map[string]plugin.Shadow{
		"shadow_events=100":                     {Events: 100, DifferencesMax: -1},
		"shadow_seconds=90&differences_max=0":   {For: 90 * time.Second},
		"shadow_events=5&shadow_only=true":      {Events: 5, Only: true, DifferencesMax: -1},
		"shadow_events=5&differences_max=12":    {Events: 5, DifferencesMax: 12},
		"shadow_events=5&shadow_seconds=604800": {Events: 5, For: 7 * 24 * time.Hour, DifferencesMax: -1},
	} {
		got := a.do("POST", "/api/v1/plugins/mapping/swap?version=def&"+query, "", nil)
		require.Equal(t, http.StatusAccepted, got.status, "%s", got.body)
		require.Contains(t, string(got.body), `"from":"abc","how":"swap"`)
		require.Contains(t, string(got.body), `"phase":"running"`)
		require.Equal(t, want, a.world.host.shadow, query)
	}
	for query, says := range map[string]string{
		"shadow_events=many": "shadow_events", "shadow_events=-1": "from 0 to", "shadow_events=1073741825": "shadow_events",
		"shadow_seconds=604801": "shadow_seconds", "shadow_only=maybe&shadow_events=1": "neither true nor false",
		"shadow_only=true": "it has no end", "differences_max=3": "it has no end", "shadow_events=1&differences_max=-1": "differences_max",
		"shadow_events=": "shadow_events",
	} {
		p := a.do("POST", "/api/v1/plugins/mapping/swap?version=def&"+query, "", nil).problem(400, "BAD_REQUEST")
		require.Contains(t, p["detail"], says)
	}
	a.do("POST", "/api/v1/plugins/mapping/swap?version=def&shadow_events=0&shadow_only=false", "", nil).json()
	require.Zero(t, a.world.host.shadow)
	require.Equal(t, http.StatusNoContent, a.do("DELETE", "/api/v1/plugins/mapping/shadow", "", nil).status)
	require.Equal(t, "cancel mapping", a.world.host.asked[len(a.world.host.asked)-1])
}

func TestEveryRefusalOfAChangeSaysWhatItIs(t *testing.T) {
	a := serve(t, config())
	requests := map[string]string{"upload": "POST", "try": "POST", "swap": "POST", "rollback": "POST", "shadow": "DELETE"}
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{plugin.ErrUnknownPlugin, 404, "UNKNOWN_PLUGIN"}, {plugin.ErrUnknownVersion, 404, "UNKNOWN_VERSION"}, {plugin.ErrNoCandidate, 400, "BAD_REQUEST"},
		{plugin.ErrShadowing, 409, "SHADOW_RUNNING"}, {plugin.ErrNoShadow, 404, "NO_SHADOW"}, {plugin.ErrNothingBefore, 409, "NOTHING_BEFORE"},
		{plugin.ErrNothingRecorded, 409, "NOTHING_RECORDED"}, {plugin.ErrStateful, 409, "STATEFUL"}, {plugin.ErrChanged, 409, "CONFLICT"}, {plugin.ErrClosed, 503, "UNAVAILABLE"},
		{&plugin.LoadError{Plugin: "mapping", Step: plugin.StepScan, Err: errors.New("is no module")}, 422, "CANDIDATE_REFUSED"},
		{errors.New("the disk is full"), 500, "SERVER_ERROR"},
	} {
		a.world.host.err = fmt.Errorf("plugin/mapping: %w", c.err)
		for path, method := range requests {
			body, kind := "a: 1", "application/yaml"
			if path == "rollback" {
				body = ""
			}
			p := a.do(method, "/api/v1/plugins/mapping/"+path, body, typed(kind)).problem(c.status, c.code)
			if c.code == "CANDIDATE_REFUSED" {
				require.Equal(t, map[string]any{"plugin": "mapping", "step": "scan", "reason": "is no module", "serving": "abc"}, p["details"])
				require.Contains(t, p["detail"], "scan: is no module")
			}
			if c.status == 500 {
				require.NotContains(t, p["detail"], "disk", "what is not meant for clients stays in the log")
			}
		}
	}
}

func TestAChangeThatTakesTooLongSaysThatNothingChanged(t *testing.T) {
	w, d := deps(t)
	cfg := config()
	cfg.CandidateTimeout = time.Nanosecond // over at once, though there is a place
	w.host.hold = func(ctx context.Context) { <-ctx.Done(); w.host.err = ctx.Err() }
	s, err := admin.New(cfg, d)
	require.NoError(t, err)
	defer s.Close()
	got := httptest.NewRecorder()
	s.Handler().ServeHTTP(got, httptest.NewRequest("POST", "http://localhost/api/v1/plugins/mapping/swap?version=def", nil))
	p := answer{t, got.Code, got.Header(), got.Body.Bytes()}.problem(503, "UNAVAILABLE")
	require.Contains(t, p["detail"], "admin.candidate_timeout")
	require.Contains(t, p["detail"], "nothing was changed")
}

// piped is a listener of one connection.
type piped struct{ conns chan net.Conn }

func (p piped) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p piped) Close() error   { close(p.conns); return nil }
func (p piped) Addr() net.Addr { return &net.TCPAddr{} }

func TestACandidateMayTakeLongerThanOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := deps(t)
		cfg := config()
		s, err := admin.New(cfg, d)
		require.NoError(t, err)
		defer s.Close()
		w.host.hold = func(ctx context.Context) {
			time.Sleep(cfg.CandidateTimeout - cfg.ReadTimeout - 2*time.Second)
			w.host.err = ctx.Err()
		}
		require.Greater(t, cfg.CandidateTimeout-2*time.Second, max(cfg.ReadTimeout, cfg.WriteTimeout, cfg.RequestTimeout))
		server := &http.Server{Handler: s.Handler(), ReadTimeout: cfg.ReadTimeout, WriteTimeout: cfg.WriteTimeout}
		listener := piped{make(chan net.Conn, 1)}
		client, far := net.Pipe()
		listener.conns <- far
		served := make(chan error)
		go func() { served <- server.Serve(listener) }()
		_, err = io.WriteString(client, "POST /api/v1/plugins/mapping/swap HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/yaml\r\nContent-Length: 5\r\n\r\na: ")
		require.NoError(t, err)
		time.Sleep(cfg.ReadTimeout + time.Second)
		_, err = io.WriteString(client, "1 ")
		require.NoError(t, err)
		got, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

func TestOnlySoManyCandidatesAreWorkedOnAtATime(t *testing.T) {
	cfg := config()
	cfg.CandidatesMax = 1
	a := serve(t, cfg)
	inside, release := make(chan struct{}, 2), make(chan struct{})
	a.world.host.hold = func(context.Context) { inside <- struct{}{}; <-release }
	done := make(chan answer, 2)
	for range 2 {
		go func() { done <- a.do("POST", "/api/v1/plugins/mapping/swap?version=def", "", nil) }()
	}
	<-inside
	require.Empty(t, inside, "the other one waits")
	release <- struct{}{}
	<-inside
	release <- struct{}{}
	for range 2 {
		require.Equal(t, http.StatusOK, (<-done).status)
	}
}

func TestARollbackDoesNotWaitForCandidatesThatAreHandedIn(t *testing.T) {
	cfg := config()
	cfg.CandidatesMax = 1
	a := serve(t, cfg)
	inside, release, done := make(chan struct{}), make(chan struct{}), make(chan answer)
	a.world.host.hold = func(context.Context) { close(inside); <-release }
	go func() { done <- a.do("POST", "/api/v1/plugins/mapping/swap?version=def", "", nil) }()
	<-inside
	require.Equal(t, http.StatusOK, a.do("POST", "/api/v1/plugins/mapping/rollback", "", nil).status)
	require.Equal(t, http.StatusOK, a.do("POST", "/api/v1/reload", "", nil).status)
	close(release)
	require.Equal(t, http.StatusOK, (<-done).status)
}

func TestAWebPageOfSomebodyElseChangesNothing(t *testing.T) {
	open := serve(t, config())
	cfg := config()
	cfg.Token = "correct-horse"
	locked := serve(t, cfg)
	body, kind := form(t, "module", "\x00asm")
	for _, path := range []string{"plugins/mapping/swap", "plugins/mapping/swap?version=abc", "plugins/mapping/upload", "plugins/mapping/try", "plugins/mapping/rollback", "dead-letters/replay"} {
		for name, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
			open.do("POST", "/api/v1/"+path, body, func(r *http.Request) {
				r.Header.Set("Content-Type", kind) // one that a form can send without asking first
				r.Header.Set(name, value)
			}).problem(403, "FOREIGN_REQUEST")
		}
		locked.do("POST", "/api/v1/"+path, body, func(r *http.Request) {
			r.Header.Set("Content-Type", kind)
			r.Header.Del("Authorization") // a page cannot know it
		}).problem(401, "UNAUTHORIZED")
	}
	for _, method := range []string{"DELETE", "GET"} {
		open.do(method, "/api/v1/plugins/mapping/shadow", "", func(r *http.Request) { r.Header.Set("Origin", "null") }).problem(403, "FOREIGN_REQUEST")
	}
	require.Empty(t, open.world.host.asked)
	require.Empty(t, locked.world.host.asked)
}

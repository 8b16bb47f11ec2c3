package engine_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/auth"
	client "github.com/wse-engine/wse/sdk/client/go"
)

// answered is an answer of the public port.
type answered struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// ask sends a request to the public port. Headers are names and values in turn.
func (r *running) ask(t *testing.T, method, path, body string, headers ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.Addr().String()+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answered{t, res.StatusCode, res.Header, raw}
}

func (r *running) refresh(t *testing.T, token string) answered {
	t.Helper()
	body, err := json.Marshal(map[string]string{"refresh_token": token})
	require.NoError(t, err)
	return r.ask(t, "POST", "/api/v1/auth/refresh", string(body), "Content-Type", "application/json")
}

// problem requires a problem with this status and code and returns it.
func (a answered) problem(status int, code string) map[string]any {
	a.t.Helper()
	require.Equal(a.t, status, a.status, string(a.body))
	require.Equal(a.t, "application/problem+json", a.header.Get("Content-Type"))
	require.Equal(a.t, "no-store", a.header.Get("Cache-Control"))
	var p map[string]any
	require.NoError(a.t, json.Unmarshal(a.body, &p))
	require.Equal(a.t, code, p["code"])
	require.EqualValues(a.t, status, p["status"])
	require.NotEmpty(a.t, p["detail"])
	return p
}

type pair struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

// pair requires that the answer is a pair of tokens.
func (a answered) pair() (p pair) {
	a.t.Helper()
	require.Equal(a.t, http.StatusOK, a.status, string(a.body))
	require.Equal(a.t, "application/json", a.header.Get("Content-Type"))
	require.Equal(a.t, "no-store", a.header.Get("Cache-Control"))
	require.NoError(a.t, json.Unmarshal(a.body, &p))
	require.Equal(a.t, "Bearer", p.TokenType)
	require.NotZero(a.t, p.ExpiresIn)
	return p
}

// login issues the first refresh token of a family the way wse token --refresh does: beside the engine, which is running.
func (r *running) login(t *testing.T, spec auth.Spec) string {
	t.Helper()
	a, err := auth.New(r.cfg.Auth, r.cfg.DataDir)
	require.NoError(t, err)
	spec.Refresh = true
	token, err := a.Issue(spec)
	require.NoError(t, err)
	return token
}

func TestARefreshTokenBuysAPairByHTTPOnceAndTheSecondTimeRevokesItsFamily(t *testing.T) {
	r := start(t, func(c *engine.Config) { c.Auth.AccessTTL = time.Hour })
	first := r.login(t, auth.Spec{UserID: "u1", Level: "trader"})
	p := r.refresh(t, first).pair()
	require.Equal(t, 3600, p.ExpiresIn)
	next := r.refresh(t, p.RefreshToken).pair()

	require.ErrorContains(t, r.connect(t, "u1", p.RefreshToken), "AUTH_FAILED", "it is no access token")
	a, err := auth.New(r.cfg.Auth, r.cfg.DataDir)
	require.NoError(t, err)
	identity, err := a.Verify(t.Context(), p.AccessToken)
	require.NoError(t, err)
	require.Equal(t, "u1", identity.UserID)
	require.Equal(t, "trader", identity.Level)
	require.Equal(t, "invalid_token", r.refresh(t, p.AccessToken).problem(401, "invalid_token")["code"])

	reused := r.refresh(t, first)
	reused.problem(401, "invalid_token")
	require.Contains(t, reused.header.Get("WWW-Authenticate"), `error="invalid_token"`)
	r.refresh(t, next.RefreshToken).problem(401, "invalid_token")
	metrics := r.metrics(t)
	require.Contains(t, metrics, `wse_auth_refresh_total{result="renewed"} 2`)
	require.Contains(t, metrics, `wse_auth_refresh_total{result="reused"} 1`)
	require.Contains(t, metrics, `wse_auth_families 1`)
	require.Contains(t, metrics, `wse_auth_failures_total 4`)
}

func (r *running) metrics(t *testing.T) string {
	t.Helper()
	res, err := http.Get("http://" + r.AdminAddr().String() + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(raw)
}

func TestAnEngineThatIsStartedAgainKnowsWhichRefreshTokensAreSpent(t *testing.T) {
	r := start(t, nil)
	spent := r.login(t, auth.Spec{UserID: "u1"})
	p := r.refresh(t, spent).pair()
	require.NoError(t, r.stop())

	again := start(t, func(c *engine.Config) { c.DataDir = r.cfg.DataDir })
	p = again.refresh(t, p.RefreshToken).pair()
	again.refresh(t, spent).problem(401, "invalid_token")
	again.refresh(t, p.RefreshToken).problem(401, "invalid_token")
}

func TestARefreshRequestThatIsWrongIsToldWhatIsWrong(t *testing.T) {
	r := start(t, func(c *engine.Config) { c.Auth.FailuresPerMinute = 0 })
	const path, js = "/api/v1/auth/refresh", "application/json"
	for name, c := range map[string]struct {
		body, kind string
		status     int
		code       string
	}{
		"no body":             {"", js, 400, "invalid_json"},
		"an array":            {"[]", js, 400, "invalid_json"},
		"half an object":      {`{"refresh_token":"x"`, js, 400, "invalid_json"},
		"more than an object": {`{"refresh_token":"x"}{}`, js, 400, "invalid_json"},
		"no token":            {`{"Refresh_Token":"x"}`, js, 400, "validation_error"},
		"null":                {`{"refresh_token":null}`, js, 400, "validation_error"},
		"a number":            {`{"refresh_token":1}`, js, 400, "validation_error"},
		"empty":               {`{"refresh_token":""}`, js, 400, "validation_error"},
		"twice":               {`{"refresh_token":"x","refresh_token":"y"}`, js, 400, "validation_error"},
		"too large":           {`{"refresh_token":"` + strings.Repeat("x", 10<<10) + `"}`, js, 413, "rate_limit_exceeded"},
		"a form":              {"refresh_token=x", "application/x-www-form-urlencoded", 415, "validation_error"},
		"of no kind":          {`{"refresh_token":"x"}`, "", 415, "validation_error"},
		"no JWT":              {`{"refresh_token":"x","grant_type":"refresh_token"}`, js + "; charset=utf-8", 401, "invalid_token"},
		"undefined":           {`{"refresh_token":"undefined"}`, js, 401, "authentication_required"},
		"zero in it":          {"{\"refresh_token\":\"a\\u0000b.c.d\"}", js, 401, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			r.ask(t, "POST", path, c.body, "Content-Type", c.kind).problem(c.status, c.code)
		})
	}
	got := r.ask(t, "GET", path, "")
	got.problem(405, "validation_error")
	require.Equal(t, "POST, OPTIONS", got.header.Get("Allow"))
}

func TestPagesOfAllowedOriginsMayRenewTheirTokens(t *testing.T) {
	r := start(t, func(c *engine.Config) { c.Origins = []string{"https://app.example.com"} })
	const path = "/api/v1/auth/refresh"
	got := r.ask(t, "OPTIONS", path, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
	require.Equal(t, http.StatusNoContent, got.status)
	require.Equal(t, "https://app.example.com", got.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Content-Type", got.header.Get("Access-Control-Allow-Headers"))
	require.Equal(t, "Origin", got.header.Get("Vary"))
	require.Empty(t, got.header.Get("Access-Control-Allow-Credentials"), "no cookie is asked for")

	body := `{"refresh_token":"` + r.login(t, auth.Spec{UserID: "u1"}) + `"}`
	got = r.ask(t, "POST", path, body, "Origin", "https://evil.example.com", "Content-Type", "application/json")
	got.problem(403, "insufficient_permissions")
	require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
	got = r.ask(t, "POST", path, body, "Origin", "https://app.example.com", "Content-Type", "application/json")
	got.pair()
	require.Equal(t, "https://app.example.com", got.header.Get("Access-Control-Allow-Origin"))
}

func TestAnAddressWhoseTokensAreRefusedTooOftenIsRefusedWhateverItComesWith(t *testing.T) {
	r := start(t, func(c *engine.Config) { c.Auth.FailuresPerMinute, c.Auth.FailuresBlock = 4, 90*time.Second })
	good := r.login(t, auth.Spec{UserID: "u1"})
	for range 10 {
		r.ask(t, "POST", "/api/v1/auth/refresh", `{}`, "Content-Type", "application/json").problem(400, "validation_error")
	}
	r.refresh(t, "a.b.c").problem(401, "invalid_token")
	r.refresh(t, "a.b.c").problem(401, "invalid_token")
	require.ErrorContains(t, r.connect(t, "u1", "a.b.c"), "AUTH_FAILED")
	good = r.refresh(t, good).pair().RefreshToken
	before := time.Now()
	require.ErrorContains(t, r.connect(t, "u1", "a.b.c"), "AUTH_FAILED", "the fourth")

	got := r.refresh(t, good)
	p := got.problem(429, "rate_limit_exceeded")
	left, err := strconv.Atoi(got.header.Get("Retry-After"))
	require.NoError(t, err)
	require.LessOrEqual(t, left, 90)
	require.GreaterOrEqual(t, time.Duration(left)*time.Second, 90*time.Second-time.Since(before))
	require.Equal(t, "auth.failures_per_minute", p["details"].(map[string]any)["limit"])
	upgrade := r.ask(t, "GET", "/wse?token="+r.token(t, "u1"), "", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	require.Equal(t, http.StatusSwitchingProtocols, upgrade.status, "it is let in to be told")
	require.Contains(t, string(upgrade.body), `"RATE_LIMITED"`)
	require.Contains(t, string(upgrade.body), "\x11\x4d", "4429")
	metrics := r.metrics(t)
	require.Contains(t, metrics, `wse_limits_met_total{limit="auth.failures_per_minute",result="refused"} 2`)
	require.Contains(t, metrics, `wse_auth_addresses_blocked_total 1`)
	require.Contains(t, metrics, `wse_auth_failures_total 4`)
}

func TestTestUsersNeedALoopbackListenerAndAreAnnounced(t *testing.T) {
	cfg := engine.DefaultConfig()
	cfg.DataDir, cfg.Admin.Listen, cfg.Auth.DevTokens = t.TempDir(), "127.0.0.1:0", true
	for _, listen := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:8080"} {
		cfg.Listen = listen
		_, err := engine.New(cfg, engine.Options{})
		require.ErrorContains(t, err, "auth.dev_tokens: ")
	}
	cfg.Listen = "127.0.0.1:0"
	var log strings.Builder
	e, err := engine.New(cfg, engine.Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.Contains(t, log.String(), "[WARN]  auth.dev_tokens is on")
}

func TestATestUserIsWhoHeSaysHeIs(t *testing.T) {
	r := start(t, func(c *engine.Config) { c.Auth.DevTokens = true })
	connected := make(chan string, 1)
	c, err := client.New(client.Config{
		URL: "http://" + r.Addr().String(), Token: client.StaticToken("tester.1"), Topics: []string{"user:tester.1:events"},
		OnNotice: func(n client.Notice) {
			if n.Kind == client.Connected {
				connected <- "yes"
			}
		},
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context(), func(client.Publication) error { return nil }) }()
	select {
	case <-connected:
	case err := <-done:
		t.Fatal(err)
	}
	// Where it is off such a token is as bad as any other.
	off := start(t, nil)
	require.ErrorContains(t, off.connect(t, "tester.1", "tester.1"), "AUTH_FAILED")
}

// connect connects with a token that is refused, and returns why.
func (r *running) connect(t *testing.T, user, token string) error {
	t.Helper()
	c, err := client.New(client.Config{
		URL: "http://" + r.Addr().String(), Token: client.StaticToken(token), Topics: []string{"user:" + user + ":events"},
	})
	require.NoError(t, err)
	return c.Run(t.Context(), nil)
}

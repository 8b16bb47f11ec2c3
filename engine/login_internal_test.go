package engine

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
)

func TestBlockedAddressesDoNotFillTheLog(t *testing.T) {
	cfg := auth.DefaultConfig()
	cfg.FailuresPerMinute = 1
	a, err := auth.New(cfg, t.TempDir())
	require.NoError(t, err)
	var log bytes.Buffer
	l, err := newLogin(a, &cfg, 10_000, hclog.New(&hclog.LoggerOptions{Output: &log}))
	require.NoError(t, err)
	for i := range 1000 {
		_, err := l.Verify(t.Context(), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "a.b.c")
		require.Error(t, err)
	}
	require.EqualValues(t, 1000, l.failures.Stats().Blocked)
	lines := strings.Count(log.String(), "is blocked")
	require.Positive(t, lines)
	require.Less(t, lines, 50)
}

func TestMoreTokensAreNotRenewedAtATimeThanUpgradesCanSpare(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	e, err := New(cfg, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	token, err := e.auth.Issue(auth.Spec{UserID: "u1", Refresh: true})
	require.NoError(t, err)
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathRefresh, strings.NewReader(`{"refresh_token":"`+token+`"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.publicHTTP().ServeHTTP(w, r)
		return w
	}
	require.Equal(t, cfg.Limits.AdmitWorkers/2, cap(e.renewals))
	for range cap(e.renewals) {
		e.renewals <- struct{}{}
	}
	w := ask()
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	<-e.renewals
	require.Equal(t, http.StatusOK, ask().Code, "the token was not spent")
}

package engine_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
)

// admin sends a request to the admin API and returns the status and the answer.
func (r *running) admin(t *testing.T, method, path string) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.AdminAddr().String()+path, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &answer), "%s", raw)
	}
	return resp.StatusCode, answer
}

func TestAnOperatorClosesAllConnectionsOfAUserAndNobodyElses(t *testing.T) {
	r := start(t, nil)
	for _, user := range []string{"u1", "u1", "u2"} {
		r.tail(t, user, "events")
	}
	status, answer := r.admin(t, "DELETE", "/api/v1/connections?user=u1")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"done": 2.0, "complete": true, "nodes": []any{}}, answer)
	require.Eventually(t, func() bool {
		_, left := r.admin(t, "GET", "/api/v1/connections")
		return left["total"] == 1.0
	}, soon, 5*time.Millisecond)
	_, left := r.admin(t, "GET", "/api/v1/connections?user=u2")
	require.Equal(t, 1.0, left["total"])
	status, answer = r.admin(t, "GET", "/api/v1/nodes")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []any{}, answer["nodes"], "it is alone")
}

func TestAnOperatorRevokesTheRefreshTokensOfAUser(t *testing.T) {
	r := start(t, nil)
	a, err := auth.New(r.cfg.Auth, r.cfg.DataDir)
	require.NoError(t, err)
	token, err := a.Issue(auth.Spec{UserID: "u1", Refresh: true})
	require.NoError(t, err)
	status, answer := r.admin(t, "DELETE", "/api/v1/refresh-tokens?user=u1")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"done": 1.0, "complete": true, "nodes": []any{}}, answer)
	r.refresh(t, token).problem(http.StatusUnauthorized, "invalid_token")
	status, _ = r.admin(t, "DELETE", "/api/v1/refresh-tokens?user=a%2Fb")
	require.Equal(t, http.StatusBadRequest, status)
}

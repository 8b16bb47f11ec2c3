package admin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/admin"
)

// FuzzChanges hands in anything at all where plugins and dead letters are changed. Whatever it is, the answer is one of
// those that the API has, and what the host is asked is within the limits.
func FuzzChanges(f *testing.F) {
	body, kind := form(f, "module", "\x00asm", "config", "a: 1")
	f.Add("plugins/mapping/swap", "shadow_events=5&differences_max=0", kind, body, "alice")
	f.Add("plugins/mapping/try", "version=abc+def", "", "", "")
	f.Add("plugins/mapping/upload", "", "application/wasm", "\x00asm\x01\x00\x00\x00", "a\x00")
	f.Add("plugins/mapping/rollback", "", "application/json", `{"version":"abc"}`, "")
	f.Add("plugins/%2F/swap", "shadow_only=x;y", "multipart/form-data; boundary=\"", "--", "é")
	f.Add("dead-letters/replay", "", "application/json", `{"ids":["a"],"all":false}`, "")
	w, d := deps(f)
	cfg := config()
	cfg.ModuleKiBMax, cfg.BodyKiBMax = 4, 2
	s, err := admin.New(cfg, d)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, s.Close()) })
	f.Fuzz(func(t *testing.T, path, query, kind, body, who string) {
		r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(body))
		r.URL = &url.URL{Scheme: "http", Host: "localhost", Path: "/api/v1/" + path, RawQuery: query}
		r.Header.Set("Content-Type", kind)
		r.Header.Set("X-Wse-Who", who)
		got := httptest.NewRecorder()
		w.host.asked = nil
		s.Handler().ServeHTTP(got, r)
		switch got.Code {
		case http.StatusOK, http.StatusAccepted, http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
			require.Empty(t, w.host.asked, "what is refused asks the host for nothing")
		default:
			t.Fatalf("%d: %s", got.Code, got.Body)
		}
		if len(w.host.asked) > 0 {
			c := w.host.candidate
			require.LessOrEqual(t, len(c.Who), 128)
			require.LessOrEqual(t, len(c.Module), 4<<10)
			require.LessOrEqual(t, len(c.Config), 2<<10)
			require.True(t, w.host.shadow.DifferencesMax >= -1 && w.host.shadow.Events >= 0 && w.host.shadow.For >= 0)
		}
	})
}

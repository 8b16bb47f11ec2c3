package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// letter makes a dead letter of an event and returns its id.
func (a *api) letter(id string) string {
	a.t.Helper()
	got := a.post("/api/v1/events", `{"type":"Broken","user_id":"u1","id":"`+id+`","payload":{"x":"`+strings.Repeat("x", 600)+`"}}`)
	require.Equal(a.t, http.StatusAccepted, got.status, "%s", got.body)
	got.status = http.StatusOK
	letter, _ := got.json()["letter"].(string)
	require.NotEmpty(a.t, letter)
	return letter
}

func TestADeadLetterIsListedShownAndDropped(t *testing.T) {
	a := serve(t, config())
	id := a.letter("e1")
	a.letter("e2")
	list := a.get("/api/v1/dead-letters?plugin=mapping&limit=1").json()
	require.Equal(t, 2.0, list["total"])
	require.Len(t, list["dead_letters"], 1)
	require.Equal(t, "e2", list["dead_letters"].([]any)[0].(map[string]any)["event_id"], "the newest first")
	require.Equal(t, 2.0, a.get("/api/v1/dead-letters?channel=events").json()["total"])
	require.Equal(t, 0.0, a.get("/api/v1/dead-letters?channel=user:u1:events").json()["total"])
	require.Equal(t, "events", list["dead_letters"].([]any)[0].(map[string]any)["channel"])
	none := a.get("/api/v1/dead-letters?plugin=other").json()
	require.Equal(t, map[string]any{"dead_letters": []any{}, "total": 0.0}, none)

	shown := a.get("/api/v1/dead-letters/" + id).json()
	require.Equal(t, []any{id, "e1", "Broken", "mapping", "abc", 1.0, "plugin/mapping@abc: trap: unreachable"},
		[]any{shown["id"], shown["event_id"], shown["event"], shown["plugin"], shown["version"], shown["attempts"], shown["reason"]})
	require.Len(t, shown["document"], int(shown["bytes"].(float64)))
	require.Greater(t, shown["bytes"], 600.0)
	require.Len(t, list["dead_letters"].([]any)[0].(map[string]any)["document"], 512)

	require.Equal(t, http.StatusNoContent, a.do("DELETE", "/api/v1/dead-letters/"+id, "", nil).status)
	a.do("DELETE", "/api/v1/dead-letters/"+id, "", nil).problem(404, "NOT_FOUND")
	a.get("/api/v1/dead-letters/"+id).problem(404, "NOT_FOUND")
	require.Equal(t, 1.0, a.get("/api/v1/dead-letters").json()["total"])
}

func TestDeadLettersAreReplayed(t *testing.T) {
	a := serve(t, config())
	first, second := a.letter("e1"), a.letter("e2")
	failed := a.post("/api/v1/dead-letters/replay", `{"ids":["`+first+`","dl_gone"]}`).json()
	require.Equal(t, []any{0.0, 1.0, 0.0}, []any{failed["replayed"], failed["failed"], failed["left"]})
	letters := failed["letters"].([]any)
	require.Equal(t, map[string]any{"id": "dl_gone", "status": "not_found"}, letters[1])
	require.Equal(t, "failed", letters[0].(map[string]any)["status"])
	require.Contains(t, letters[0].(map[string]any)["error"].(map[string]any)["message"], "unreachable")
	require.Equal(t, 2.0, a.get("/api/v1/dead-letters/" + first).json()["attempts"])

	a.world.healed.Store(true)
	done := a.post("/api/v1/dead-letters/replay", `{"plugin":"mapping"}`).json()
	require.Equal(t, []any{2.0, 0.0, 0.0}, []any{done["replayed"], done["failed"], done["left"]})
	envelope := done["letters"].([]any)[0].(map[string]any)["envelopes"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"published", "e2", 1.0}, []any{envelope["status"], envelope["id"], envelope["seq"]}, "the one that failed less often comes first")
	require.Equal(t, second, done["letters"].([]any)[0].(map[string]any)["id"])
	require.Equal(t, 0.0, a.get("/api/v1/dead-letters").json()["total"])
	again := a.post("/api/v1/dead-letters/replay", `{"channel":"events"}`).json()
	require.Equal(t, map[string]any{"replayed": 0.0, "failed": 0.0, "left": 0.0, "letters": []any{}}, again)
	text := string(a.get("/metrics").body)
	for _, want := range []string{
		"wse_dead_letters 0", "wse_dead_letters_bytes 0", `wse_dead_letters_total{plugin="mapping"} 2`, "wse_dead_letters_evicted_total 0",
		`wse_dead_letter_replays_total{result="failed"} 1`, `wse_dead_letter_replays_total{result="replayed"} 2`,
	} {
		require.Contains(t, text, want)
	}
}

func TestAReplayOfAllEndsWhereThePluginKeepsFailing(t *testing.T) {
	a := serve(t, config())
	var ids []string
	for i := range 5 {
		ids = append(ids, a.letter(fmt.Sprint(i)))
	}
	got := a.post("/api/v1/dead-letters/replay", `{"all":true}`).json()
	require.Equal(t, []any{0.0, 3.0, 2.0}, []any{got["replayed"], got["failed"], got["left"]})
	require.Contains(t, got["stopped"], "3 letters failed in a row; the last: plugin/mapping@abc: trap")
	require.Len(t, got["letters"], 3)
	named := a.post("/api/v1/dead-letters/replay", `{"ids":["`+strings.Join(ids, `","`)+`"]}`).json()
	require.Equal(t, 5.0, named["failed"], "those that are named are all attempted")
}

func TestAReplayHasALimitOfLetters(t *testing.T) {
	cfg := config()
	cfg.BatchItemsMax = 2
	a := serve(t, cfg)
	for i := range 3 {
		a.letter(fmt.Sprint(i))
	}
	a.world.healed.Store(true)
	got := a.post("/api/v1/dead-letters/replay", `{"all":true}`).json()
	require.Equal(t, []any{2.0, 1.0}, []any{got["replayed"], got["left"]})
	require.Contains(t, got["stopped"], "admin.batch_items_max")
	a.post("/api/v1/dead-letters/replay", `{"ids":["a","b","c"]}`).problem(413, "MESSAGE_TOO_LARGE")
	require.Equal(t, 1.0, a.post("/api/v1/dead-letters/replay", `{"all":true}`).json()["replayed"])
}

func TestAReplayThatIsNotUnderstoodIsRefused(t *testing.T) {
	a := serve(t, config())
	for _, body := range []string{
		"", "{}", "[]", `{"all":false}`, `{"all":true,"plugin":"mapping"}`, `{"ids":[]}`, `{"ids":"a"}`, `{"channel":"events","all":true}`, `{"al":true}`, `{"all":true}{}`, "null",
	} {
		p := a.post("/api/v1/dead-letters/replay", body).problem(400, "BAD_REQUEST")
		require.Contains(t, p["detail"], `{"all":true}`)
	}
	a.do("POST", "/api/v1/dead-letters/replay?all=true", "", nil).problem(400, "BAD_REQUEST")
}

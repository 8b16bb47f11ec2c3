package trading

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestNoMoreSessionsAreKeptThanAllowedTheNewestOnes(t *testing.T) {
	dir := t.TempDir()
	few := func(c *Config) { c.SessionsKeptMax = 2 }
	w, stop := open(t, dir, few)
	u1 := user("u1", "trader")
	var ids []string
	for range 4 {
		id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
		must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id})
		ids = append(ids, id)
	}
	require.Equal(t, 2, w.Stats().Kept)
	require.Len(t, listed(t, w, "u1"), 2)
	code, _ := refused(t, w, u1, &message.SessionQuery{SessionID: oldestOf(t, w, ids)})
	require.Equal(t, message.CodeSessionNotFound, code)
	stop()
	w, _ = open(t, dir, nil)
	require.Equal(t, 2, w.Stats().Kept, "nor on disk")
}

// oldestOf returns one of ids that is not kept.
func oldestOf(t *testing.T, w *world, ids []string) string {
	t.Helper()
	for _, id := range ids {
		if _, kept := w.ended.owner(id); !kept {
			return id
		}
	}
	t.Fatal("all are kept")
	return ""
}

// kept is a document with books of a size.
func kept(t testing.TB, bytes int) []byte {
	t.Helper()
	doc, err := json.Marshal(&document{
		Version: documentVersion, ID: "exec_1", Type: paper, State: stopped, Reason: `with "created_ms":1 in it`, Owner: "u1", Symbols: []string{"A"},
		Config: json.RawMessage(`{"state":"running","created_ms":5}`), CreatedMS: 1764065130500, KeptMS: 1764065130600,
		Ledger: json.RawMessage(`{"books":"` + strings.Repeat("x", bytes) + `"}`),
	})
	require.NoError(t, err)
	return doc
}

func TestTheHeadOfADocumentSaysWhoseItIs(t *testing.T) {
	doc := kept(t, 10)
	d, err := head(doc)
	require.NoError(t, err)
	require.Equal(t, document{Version: documentVersion, ID: "exec_1", State: stopped, Owner: "u1", CreatedMS: 1764065130500}, d)
	for _, bad := range []string{"", "{}", "[]", `{"version":"1"}`, `{"version":1,"id":5}`, string(doc[:40])} {
		_, err := head([]byte(bad))
		require.Error(t, err, bad)
	}
}

func BenchmarkHead(b *testing.B) {
	doc := kept(b, 80<<10)
	b.Run("head", func(b *testing.B) {
		for b.Loop() {
			_, _ = head(doc)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			var d document
			_ = json.Unmarshal(doc, &d)
		}
	})
}

package engine_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/store"
)

func TestASecondEngineOnOneDataDirectoryIsRefusedAsLongAsTheFirstIsThere(t *testing.T) {
	r := start(t, nil)
	cfg := r.cfg
	_, err := engine.New(cfg, engine.Options{})
	require.ErrorIs(t, err, store.ErrInUse)
	require.ErrorContains(t, err, "another engine uses "+cfg.DataDir+"; stop it, or give each a data_dir of its own")
	require.ErrorIs(t, engine.Forget(cfg, "mapping"), store.ErrInUse)
	require.NoError(t, r.stop())
	e, err := engine.New(cfg, engine.Options{})
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, engine.Forget(cfg, "mapping"))
	require.ErrorIs(t, engine.Forget(cfg, "mapping"), plugin.ErrUnknownPlugin)
}

func TestWhatWasSwappedInServesAfterARestart(t *testing.T) {
	dir := t.TempDir()
	r := start(t, func(cfg *engine.Config) { cfg.DataDir = dir })
	becomes := func() string {
		results, err := r.PublishEvent(t.Context(), &message.Event{Type: "Ping", UserID: "u1", Payload: []byte(`{}`)})
		require.NoError(t, err)
		require.Len(t, results, 1)
		return string(results[0].Topic)
	}
	require.Equal(t, "user:u1:events", becomes())
	table := "mappings: [{event: Ping, type: ping, topic: 'user:{user_id}:pings'}]"
	answer, err := http.Post("http://"+r.AdminAddr().String()+"/api/v1/plugins/mapping/swap", "application/yaml", strings.NewReader(table))
	require.NoError(t, err)
	defer answer.Body.Close()
	var change struct{ From, To string }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&change))
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, change.From[:12], change.To[:12], "the module is the same")
	require.Equal(t, "user:u1:pings", becomes())

	require.NoError(t, r.stop())
	r = start(t, func(cfg *engine.Config) { cfg.DataDir = dir })
	require.Equal(t, "user:u1:pings", becomes())
}

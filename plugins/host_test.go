package plugins_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/plugins"
)

// host loads one stock plugin the way the engine does: scanned, metered, checked answers.
func host(t testing.TB, name string, config any) *plugin.Host {
	t.Helper()
	h, err := tryHost(t, t.TempDir(), name, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// tryHost keeps what it compiles in dataDir, so that a test which loads many hosts compiles once.
func tryHost(t testing.TB, dataDir, name string, config any) (*plugin.Host, error) {
	t.Helper()
	return plugin.New(plugin.Configs{{Name: name, Path: "stock:" + name, Config: config}},
		plugin.Deps{ConfigDir: dataDir, DataDir: dataDir, Stock: plugins.Stock})
}

// decoded is a vector's configuration as the engine has it, from YAML; nil where it has none.
func decoded(t testing.TB, raw json.RawMessage) (config any) {
	t.Helper()
	if raw != nil {
		require.NoError(t, json.Unmarshal(raw, &config))
	}
	return config
}

// answered reads as the engine does, and keeps what the plugin said.
type answered struct{ doc []byte }

func (a *answered) Read(doc []byte) error {
	a.doc = bytes.Clone(doc)
	return ingest.NewAnswer(ingest.DefaultConfig()).Read(doc)
}

func TestTheEngineTakesEveryAnswerOfMapping(t *testing.T) {
	hosts, dataDir := map[string]*plugin.Host{}, t.TempDir()
	for _, v := range vectors(t, "mapping") {
		if v.Hook != "transform" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			h := hosts[string(v.Config)]
			if h == nil {
				var err error
				h, err = tryHost(t, dataDir, "mapping", decoded(t, v.Config))
				require.NoError(t, err)
				hosts[string(v.Config)] = h
			}
			var got answered
			decision, err := h.Transform(t.Context(), "Any", v.Document(), &got)
			switch v.Want {
			case "error":
				var refused *plugin.CallError
				require.ErrorAs(t, err, &refused)
				require.Contains(t, err.Error(), v.Error)
			case "yes":
				require.NoError(t, err)
				require.Equal(t, plugin.NotMine, decision.Fate)
			default:
				require.NoError(t, err)
				require.Equal(t, plugin.Answered, decision.Fate)
				require.Equal(t, wanted(&v), string(got.doc))
			}
		})
	}
	for _, h := range hosts {
		require.NoError(t, h.Close())
	}
}

// TestTheEngineTakesEveryAnswerOfTopicAuth runs the vectors whose request the engine would write itself.
func TestTheEngineTakesEveryAnswerOfTopicAuth(t *testing.T) {
	h, ran := host(t, "topicauth", nil), 0
	for _, v := range vectors(t, "topicauth") {
		var request struct {
			Action, Topic string
			Identity      struct {
				UserID      string   `json:"user_id"`
				Permissions []string `json:"permissions"`
				Claims      json.RawMessage
			}
		}
		if v.Hook != "authorize" || v.Config != nil || json.Unmarshal(v.Document(), &request) != nil || v.Want == "error" {
			continue
		}
		ran++
		t.Run(v.Name, func(t *testing.T) {
			got, err := h.Authorize(t.Context(), plugin.AuthorizeRequest{Action: request.Action, Topic: request.Topic,
				Identity: plugin.Identity{UserID: request.Identity.UserID, Permissions: request.Identity.Permissions, Claims: request.Identity.Claims}})
			require.NoError(t, err)
			require.Equal(t, v.Want == "yes", got.Allow, got.Reason)
			if !got.Allow {
				var want plugin.Verdict
				require.NoError(t, json.Unmarshal([]byte(wanted(&v)), &want))
				require.Equal(t, want.Reason, got.Reason)
			}
		})
	}
	require.Greater(t, ran, 50)
}

func TestTheEngineRefusesAConfigurationWithThePluginsReason(t *testing.T) {
	dataDir := t.TempDir()
	for _, name := range plugins.Names() {
		for _, v := range vectors(t, name) {
			config := json.RawMessage(v.Document())
			if v.Hook != "configure" || v.Want != "error" || !json.Valid(config) {
				continue
			}
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				_, err := tryHost(t, dataDir, name, decoded(t, config))
				var refused *plugin.LoadError
				require.True(t, errors.As(err, &refused), "%v", err)
				require.Contains(t, err.Error(), v.Error)
			})
		}
	}
}

// authorizeRequest is what BenchmarkTopicAuth asks with document, as the engine has it.
func authorizeRequest(t testing.TB, document string) plugin.AuthorizeRequest {
	t.Helper()
	var r struct {
		Topic    string
		Identity struct {
			Permissions []string
			Claims      json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal([]byte(document), &r))
	return plugin.AuthorizeRequest{Action: "subscribe", Topic: r.Topic,
		Identity:   plugin.Identity{UserID: "u1", Permissions: r.Identity.Permissions, Claims: r.Identity.Claims},
		Connection: plugin.Connection{ID: "c-0001", Dialect: "wse", RemoteIP: "192.0.2.7"}}
}

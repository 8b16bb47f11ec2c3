package rollout

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// nobody is a bus on which there are no others.
type nobody struct{}

func (nobody) ID() string { return "a" }

func (nobody) Handle(string, func(context.Context, string, []byte) ([]byte, error)) {}

func (nobody) Ask(context.Context, string, []byte) ([]cluster.Answer, error) { return nil, nil }

func TestANodeThatHasReadWhatTheClusterWantsIsNotReadyBeforeItServesIt(t *testing.T) {
	m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(0))}})
	host, err := plugin.New(plugin.Configs{{Name: "say", Path: "stock:say"}}, plugin.Deps{
		DataDir: t.TempDir(), Stock: func(string) ([]byte, bool) { return m.Bytes(), true },
	})
	require.NoError(t, err)
	defer host.Close()
	way := redis.DefaultConfig()
	way.Addrs = []string{"127.0.0.1:1"}
	r, err := New(DefaultConfig(), Deps{Host: host, Bus: nobody{}, Client: redistest.Open(t, way), VersionsMax: 3})
	require.NoError(t, err)
	serves := host.List()[0]
	wanted := version{Version: "v2", Module: "another"}
	r.take(map[string]record{"say": {Number: 1, Change: "x", Versions: []version{wanted}}}, nil)
	require.ErrorContains(t, r.Ready(), "v2, which the cluster wants, is being made ready")
	require.Equal(t, []string{"say"}, r.behind())
	wanted = version{Version: serves.Version, Module: serves.SHA256, Config: serves.ConfigSHA256}
	r.take(map[string]record{"say": {Number: 2, Change: "y", Versions: []version{wanted}}}, nil)
	require.NoError(t, r.Ready())
	require.Empty(t, r.behind())
}

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/vector"
	wse "github.com/wse-engine/wse/sdk/go"
)

// TestVectorsWithoutWebAssembly runs the plugin as the Go program that it is, with a debugger where need be. test/guests
// runs it as the engine does.
func TestVectorsWithoutWebAssembly(t *testing.T) {
	vectors, err := vector.Read("../vectors")
	require.NoError(t, err)
	hooks := map[string]wse.Hook{vector.Configure: configure, vector.Authorize: authorize}
	for _, v := range vectors {
		hook := hooks[v.Hook]
		if hook == nil {
			continue // a batch, which is the SDK's
		}
		t.Run(v.Name, func(t *testing.T) {
			ttl, scratch = 30, request{}
			if config := v.Configuration(); config != nil {
				require.Equal(t, "yes", wse.Try(configure, string(config)).Kind)
			}
			a := wse.Try(hook, string(v.Document()))
			got := vector.Got{Said: a.Kind, Log: a.Log, Metrics: a.Metrics}
			if a.Kind == vector.Error {
				got.Error = a.Text
			} else {
				got.Data = []byte(a.Text)
			}
			exact := v.Exact()
			require.NoError(t, exact.Check(got))
		})
	}
}

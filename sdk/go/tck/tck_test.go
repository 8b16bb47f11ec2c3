package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/vector"
	wse "github.com/wse-engine/wse/sdk/go"
	"github.com/wse-engine/wse/sdk/tck"
)

// TestCasesWithoutWebAssembly runs the guest as the Go program that it is. test/guests runs it as the engine does.
func TestCasesWithoutWebAssembly(t *testing.T) {
	cases, err := tck.Cases()
	require.NoError(t, err)
	hooks := map[string]wse.Hook{vector.Configure: configure, vector.Transform: transform, vector.Authorize: authorize, vector.Validate: validate}
	for _, v := range cases {
		hook := hooks[v.Hook]
		if hook == nil || v.Want == vector.Trap || v.Want == vector.Fuel {
			continue // a batch, which is the SDK's, and what ends a program
		}
		t.Run(v.Name, func(t *testing.T) {
			greeting = "hello"
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
			require.NoError(t, v.Check(got))
		})
	}
}

//go:build !race

// The race detector makes sync.Pool forget at random, so this holds only without it.

package plugins_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStockPluginsThroughTheEngineAllocateNothing(t *testing.T) {
	mapping, auth := host(t, "mapping", decoded(t, json.RawMessage(shippedTable(t)))), host(t, "topicauth", nil)
	doc, dst := []byte(event300), make([]byte, 0, 1024)
	ask := authorizeRequest(t)
	for name, call := range map[string]func() error{
		"transform": func() error { _, _, err := mapping.Transform(t.Context(), "BrokerAccountLinked", doc, dst); return err },
		"authorize": func() error { _, err := auth.Authorize(t.Context(), ask); return err },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, call())
			require.Zero(t, testing.AllocsPerRun(200, func() {
				if err := call(); err != nil {
					panic(err)
				}
			}))
		})
	}
}

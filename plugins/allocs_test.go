//go:build !race

// The race detector makes sync.Pool forget at random, so this holds only without it.

package plugins_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
)

func TestStockPluginsThroughTheEngineAllocateNothing(t *testing.T) {
	mapping, auth := host(t, "mapping", decoded(t, json.RawMessage(shippedTable(t)))), host(t, "topicauth", nil)
	doc, answer := []byte(event300), ingest.NewAnswer(ingest.DefaultConfig())
	ask := authorizeRequest(t, request)
	for name, call := range map[string]func() error{
		"transform": func() error { _, err := mapping.Transform(t.Context(), "BrokerAccountLinked", doc, answer); return err },
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

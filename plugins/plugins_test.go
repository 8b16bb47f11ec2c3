package plugins_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/plugins"
	"github.com/wse-engine/wse/sdk/abi"
)

func module(t testing.TB, name string) []byte {
	t.Helper()
	wasm, ok := plugins.Stock(name)
	require.True(t, ok, "no stock plugin %s", name)
	return wasm
}

func TestStockPluginsExportTheContractAndImportNothing(t *testing.T) {
	hooks := map[string][]string{
		"mapping":   {abi.ExportTransform, abi.ExportTransformBatch, abi.ExportConfigure},
		"topicauth": {abi.ExportAuthorize, abi.ExportConfigure},
		"validator": {abi.ExportValidate},
	}
	require.Len(t, plugins.Names(), len(hooks))
	for _, name := range plugins.Names() {
		t.Run(name, func(t *testing.T) {
			_, module := compile(t, module(t, name))
			require.Empty(t, module.ImportedFunctions())
			exports := module.ExportedFunctions()
			for _, export := range append(hooks[name], abi.ExportABI, abi.ExportBuffer) {
				require.Contains(t, exports, export)
			}
			require.Contains(t, module.ExportedMemories(), abi.ExportMemory)
		})
	}
}

func TestAnUnknownNameIsNoStockPlugin(t *testing.T) {
	_, ok := plugins.Stock("nothing")
	require.False(t, ok)
}

func TestStockGivesACopyThatMayBeWrittenTo(t *testing.T) {
	wasm := module(t, "mapping")
	wasm[0] = 'x'
	require.NotEqual(t, wasm, module(t, "mapping"))
}

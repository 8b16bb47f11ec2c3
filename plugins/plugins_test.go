package plugins_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/plugins"
	"github.com/wse-engine/wse/sdk/abi"
)

// TestMain is also the compiling child process of hosts and workbenches.
func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	os.Exit(m.Run())
}

func module(t testing.TB, name string) []byte {
	t.Helper()
	wasm, ok := plugins.Stock(name)
	require.True(t, ok, "no stock plugin %s", name)
	return wasm
}

// TestStockPluginsExportTheContractAndImportNoMore: only strategy has something to log.
func TestStockPluginsExportTheContractAndImportNoMore(t *testing.T) {
	hooks := map[string][]string{
		"mapping":   {abi.ExportTransform, abi.ExportTransformBatch, abi.ExportConfigure},
		"topicauth": {abi.ExportAuthorize, abi.ExportConfigure},
		"strategy":  {abi.ExportStrategyOpen, abi.ExportStrategyTicks, abi.ExportStrategyUpdate},
		"validator": {abi.ExportValidate},
	}
	require.Len(t, plugins.Names(), len(hooks))
	for _, name := range plugins.Names() {
		t.Run(name, func(t *testing.T) {
			_, module := compile(t, module(t, name))
			var imports []string
			for _, f := range module.ImportedFunctions() {
				from, name, _ := f.Import()
				imports = append(imports, from+"."+name)
			}
			require.Equal(t, map[string][]string{"strategy": {"wse.log"}}[name], imports)
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

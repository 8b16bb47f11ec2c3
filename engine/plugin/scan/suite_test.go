package scan_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// suiteModules returns the modules of the official core test suite, valid ones and others, which the wazero Go module
// carries.
func suiteModules(t testing.TB) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "internal/integration_test/spectest/v[12]/testdata/*.wasm"))
	require.NoError(t, err)
	require.Greater(t, len(files), 5000)
	return files
}

func TestScan_admits_every_valid_module_of_the_core_suite(t *testing.T) {
	// The suite's tables of ten million elements and memories of 4 GiB are for limits to refuse.
	limits := scan.Limits{TableElementsMax: 1 << 20, MemoryPagesMax: 65536}
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(context.Background())
	admitted, refused := 0, 0
	for _, file := range suiteModules(t) {
		wasm, err := os.ReadFile(file)
		require.NoError(t, err)
		_, scanErr := scan.Scan(wasm, limits)
		if scanErr == nil {
			admitted++
			continue
		}
		refused++
		require.ErrorIs(t, scanErr, scan.ErrModule)
		if tooMuch(scanErr) {
			continue
		}
		_, err = rt.CompileModule(t.Context(), wasm)
		require.Error(t, err, "%s: %v", filepath.Base(file), scanErr)
	}
	t.Logf("%d admitted, %d refused", admitted, refused)
	require.Greater(t, admitted, 2000)
	require.Greater(t, refused, 300)
}

func tooMuch(err error) bool {
	return strings.Contains(err.Error(), "are allowed") || strings.Contains(err.Error(), "locals_max")
}

package scan_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// suiteModules returns the modules of the official core test suite, which the wazero Go module carries.
func suiteModules(t testing.TB) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "internal/integration_test/spectest/v[12]/testdata/*.wasm"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func TestScan_x(t *testing.T) {
	ok, bad := 0, map[string]int{}
	for _, f := range suiteModules(t) {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		if _, err := scan.Scan(data, scan.Limits{}); err != nil {
			bad[err.Error()]++
			t.Log(filepath.Base(f), err)
			continue
		}
		ok++
	}
	t.Log(ok, len(bad))
}

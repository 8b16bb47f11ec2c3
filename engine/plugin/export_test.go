package plugin

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BuildGo builds a Go plugin and returns its file.
func BuildGo(t testing.TB, source string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plugin.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./testdata/"+source)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// OccupyGate has slow calls wait until leave is called.
func OccupyGate(h *Host) (leave func()) {
	for range cap(h.gate) {
		h.gate <- struct{}{}
	}
	return func() {
		for range cap(h.gate) {
			h.gate.leave()
		}
	}
}

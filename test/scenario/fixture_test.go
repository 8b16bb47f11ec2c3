package scenario

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePuppetIsMadeFromItsSource(t *testing.T) {
	assembler, err := exec.LookPath("wat2wasm")
	if err != nil {
		t.Skip("wat2wasm is not installed (.ci/setup wabt)")
	}
	made := filepath.Join(t.TempDir(), "puppet.wasm")
	out, err := exec.Command(assembler, "../scenarios/testdata/puppet.wat", "-o", made).CombinedOutput()
	require.NoError(t, err, "%s", out)
	want, err := os.ReadFile(made)
	require.NoError(t, err)
	have, err := os.ReadFile("../scenarios/testdata/puppet.wasm")
	require.NoError(t, err)
	require.Equal(t, want, have, "wat2wasm puppet.wat -o puppet.wasm")
}

package plugin_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
)

func TestABI_example_of_the_document_is_a_plugin(t *testing.T) {
	text, err := os.ReadFile("../../sdk/ABI.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "```hex\n")
	require.True(t, ok)
	block, _, _ := strings.Cut(rest, "```")
	var wasm []byte
	for line := range strings.Lines(block) {
		digits, _, _ := strings.Cut(line, ";")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		require.NoError(t, err, line)
		wasm = append(wasm, b...)
	}
	f := newFixture(t)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "example"), wasm, 0o600))
	h := f.open(t, plugin.Config{Name: "example", Path: "stock:example"})
	out, d, err := transform(t, h, "E", `{}`)
	require.NoError(t, err)
	require.Equal(t, plugin.Answered, d)
	require.Equal(t, `{"t":"hello","topic":"public:news","p":{}}`, out)
}

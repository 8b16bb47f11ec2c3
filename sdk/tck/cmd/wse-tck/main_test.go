package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	m.Run()
}

func TestTheExitCodeTellsWhatCameOfIt(t *testing.T) {
	dir := t.TempDir()
	wrong, none := filepath.Join(dir, "wrong.wasm"), filepath.Join(dir, "none.wasm")
	module := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_transform", w.I64Const(1))}}).Bytes()
	require.NoError(t, os.WriteFile(wrong, module, 0o600))
	require.NoError(t, os.WriteFile(none, []byte("hello"), 0o600))
	for _, tt := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"a guest that does other things", []string{wrong}, 1, "FAIL drop\nwant no\ngot  yes\n", ""},
		{"no module", []string{none}, 1, "", "scan: "},
		{"no file", []string{none + "x"}, 1, "", "no such file"},
		{"no argument", nil, 2, "", "usage: wse-tck FILE.wasm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, err bytes.Buffer
			require.Equal(t, tt.code, run(tt.args, &out, &err))
			require.Contains(t, out.String(), tt.out)
			require.Contains(t, err.String(), tt.err)
			if tt.out != "" {
				require.Regexp(t, `wrong.wasm: \d+ of 2\d\d passed\n$`, out.String())
			}
		})
	}
}

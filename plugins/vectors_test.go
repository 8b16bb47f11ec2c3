package plugins_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/wse-engine/wse/plugins"
	"github.com/wse-engine/wse/sdk/abi"
)

// vector is one case of a plugin: a document, the configuration the plugin has when it gets it, and the answer.
type vector struct {
	Name      string          `json:"name"`
	Hook      string          `json:"hook"`       // transform or authorize; with configure the input is the configuration
	Config    json.RawMessage `json:"config"`     // absent: the plugin is not configured
	Input     json.RawMessage `json:"input"`      // compacted before it is sent
	InputText string          `json:"input_text"` // instead of input: sent as it is
	Want      string          `json:"want"`       // no, yes, data, error
	Data      json.RawMessage `json:"data"`       // with data: compacted, these are the exact bytes
	DataText  string          `json:"data_text"`  // instead of data: the exact bytes
	Error     string          `json:"error"`      // with error: part of the text
}

func (v *vector) document(t testing.TB) []byte {
	if v.Input == nil {
		return []byte(v.InputText)
	}
	return compact(t, v.Input)
}

func (v *vector) check(t testing.TB, got answer) {
	t.Helper()
	require.Equal(t, v.Want, got.kind.String(), "answer: %s", got.text)
	if v.Want != "error" {
		require.Equal(t, v.answer(t), got.text)
		return
	}
	require.NotEmpty(t, v.Error)
	require.Contains(t, got.text, v.Error)
}

// answer is the exact bytes of a vector that wants data, "" of any other.
func (v *vector) answer(t testing.TB) string {
	if v.Data == nil {
		return v.DataText
	}
	return string(compact(t, v.Data))
}

func compact(t testing.TB, raw []byte) []byte {
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, raw))
	return b.Bytes()
}

// vectors reads every vector of a plugin.
func vectors(t testing.TB, name string) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(name, "vectors", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []vector
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var some []vector
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(&some), file)
		all = append(all, some...)
	}
	return all
}

// instance gives a guest its vector's configuration and returns it with the hook and the document to call it with.
func (v *vector) instance(t testing.TB, rt wazero.Runtime, module wazero.CompiledModule) (g *guest, hook string, doc []byte) {
	t.Helper()
	g, ready := start(t, rt, module, v.Config)
	require.Equal(t, abi.Yes, ready.kind, "configuration: %s", ready.text)
	return g, "wse_" + v.Hook, v.document(t)
}

func TestVectorsAreAnsweredToTheByte(t *testing.T) {
	for _, name := range plugins.Names() {
		rt, module := compile(t, module(t, name))
		for _, v := range vectors(t, name) {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g, hook, doc := v.instance(t, rt, module)
				v.check(t, g.call(t, hook, doc))
				if v.Hook != "configure" {
					v.check(t, g.call(t, hook, doc)) // a call leaves nothing behind that changes the next
				}
			})
		}
	}
}

func TestAVectorCutShortIsAnErrorAndNeverATrap(t *testing.T) {
	for _, name := range plugins.Names() {
		rt, module := compile(t, module(t, name))
		for _, v := range vectors(t, name) {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g, hook, doc := v.instance(t, rt, module)
				for n := 0; n < len(doc); n += 1 + len(doc)/500 {
					if v.Hook == "configure" { // which an instance takes once
						g.close(t)
						g, _ = start(t, rt, module, nil)
					}
					got := g.call(t, hook, doc[:n])
					if got.kind != abi.ErrorText && !json.Valid(doc[:n]) { // blanks at the end may still make a whole document
						require.Fail(t, "cut short and taken", "%q: %v", doc[:n], got)
					}
				}
			})
		}
	}
}

func TestAVectorWithOneByteChangedNeverTraps(t *testing.T) {
	hostile := []byte("\x00\"\\{}]:,*0\xff")
	for _, name := range plugins.Names() {
		rt, module := compile(t, module(t, name))
		for _, v := range vectors(t, name) {
			if v.Hook == "configure" {
				continue
			}
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g, hook, doc := v.instance(t, rt, module)
				for i, old := range doc {
					for _, c := range hostile {
						doc[i] = c
						got := g.call(t, hook, doc)
						if got.kind == abi.Data && !json.Valid([]byte(got.text)) || got.kind != abi.ErrorText && !json.Valid(doc) {
							require.Fail(t, "no JSON", "%q: %v", doc, got)
						}
					}
					doc[i] = old
				}
				if v.Want != "error" {
					v.check(t, g.call(t, hook, doc))
				}
			})
		}
	}
}

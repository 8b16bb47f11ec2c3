package plugins_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/wse-engine/wse/engine/plugin/vector"
	"github.com/wse-engine/wse/plugins"
	"github.com/wse-engine/wse/sdk/abi"
)

// documents reads the vectors of a plugin that are one document each: not those of strategies, which have steps.
func documents(t testing.TB, name string) []vector.Vector {
	t.Helper()
	return slices.DeleteFunc(vectors(t, name), func(v vector.Vector) bool { return v.Hook == vector.Strategy })
}

// vectors reads every vector of a plugin. Their data is compared byte by byte.
func vectors(t testing.TB, name string) []vector.Vector {
	t.Helper()
	list, err := vector.Read(filepath.Join(name, "vectors"))
	require.NoError(t, err)
	for i := range list {
		list[i] = list[i].Exact()
	}
	return list
}

// wanted is the exact bytes that a vector wants, "" where it wants no data.
func wanted(v *vector.Vector) string {
	if v.DataText == nil {
		return ""
	}
	return *v.DataText
}

// check compares an answer with what a vector wants.
func check(t testing.TB, v *vector.Vector, got answer) {
	t.Helper()
	said := vector.Got{Said: got.kind.String()}
	if got.kind == abi.Data {
		said.Data = []byte(got.text)
	} else {
		said.Error = got.text
	}
	require.NoError(t, v.Check(said), "answer: %s", got.text)
}

// instance gives a guest its vector's configuration and returns it with the hook and the document to call it with.
func instance(t testing.TB, v *vector.Vector, rt wazero.Runtime, module wazero.CompiledModule) (g *guest, hook string, doc []byte) {
	t.Helper()
	g, ready := start(t, rt, module, v.Config)
	require.Equal(t, abi.Yes, ready.kind, "configuration: %s", ready.text)
	return g, "wse_" + v.Hook, v.Document()
}

func TestVectorsAreAnsweredToTheByte(t *testing.T) {
	for _, name := range plugins.Names() {
		rt, module := compile(t, module(t, name))
		for _, v := range documents(t, name) {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g, hook, doc := instance(t, &v, rt, module)
				check(t, &v, g.call(t, hook, doc))
				if v.Hook != "configure" {
					check(t, &v, g.call(t, hook, doc)) // a call leaves nothing behind that changes the next
				}
			})
		}
	}
}

func TestAVectorCutShortIsAnErrorAndNeverATrap(t *testing.T) {
	for _, name := range plugins.Names() {
		rt, module := compile(t, module(t, name))
		list := documents(t, name)
		for _, v := range list {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g, hook, doc := instance(t, &v, rt, module)
				for n := 0; n < len(doc); n += 1 + len(doc)/500 + len(list)/100 {
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

// TestAVectorWithOneByteChangedNeverTraps changes every byte, or where a plugin has very many vectors, which are alike then,
// every byte of some of them: each place is changed in one of stride vectors.
func TestAVectorWithOneByteChangedNeverTraps(t *testing.T) {
	hostile := []byte("\x00\"\\{}]:,*0\xff")
	for _, name := range plugins.Names() {
		rt, module := compile(t, module(t, name))
		list, stride := documents(t, name), 1
		for i, bytes := 0, 0; i < len(list); i++ {
			bytes += len(list[i].Document())
			stride = 1 + bytes/30_000
		}
		for turn, v := range list {
			if v.Hook == "configure" {
				continue
			}
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g, hook, doc := instance(t, &v, rt, module)
				for i := turn % stride; i < len(doc); i += stride {
					old := doc[i]
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
					check(t, &v, g.call(t, hook, doc))
				}
			})
		}
	}
}

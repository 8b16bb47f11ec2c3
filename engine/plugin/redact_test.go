package plugin

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/jsonscan"
)

func TestRedact_empties_members_by_name_at_any_depth_and_leaves_every_other_byte(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"a string", `{"token":"s3cret","a":1}`, `{"token":"","a":1}`},
		{"a number", `{"pin": -12.5e3 ,"a":1}`, `{"pin": 0 ,"a":1}`},
		{"a boolean", `{"pin":true}`, `{"pin":false}`},
		{"null", `{"pin":null}`, `{"pin":null}`},
		{"an object with brackets in its strings", `{"pin":{"x":["}",{"y":"\"]"}]},"a":1}`, `{"pin":{},"a":1}`},
		{"an array", `{"pin":[1,[2],"]"]}`, `{"pin":[]}`},
		{"inside objects and arrays", `{"p":[{"q":{"token":"x"}},{"token":["y"]}]}`, `{"p":[{"q":{"token":""}},{"token":[]}]}`},
		{"as often as it comes", `{"token":"x","token":"y"}`, `{"token":"","token":""}`},
		{"a name with escapes", `{"\u0074o\u006ben":"x"}`, `{"\u0074o\u006ben":""}`},
		{"a name with a quote", `{"a\"b":"x"}`, `{"a\"b":""}`},
		{"white space round it", "\n{ \"token\"\t: \"x\" }\r\n", "\n{ \"token\"\t: \"\" }\r\n"},
		{"not a value of that text", `{"a":"token","b":["token","pin"]}`, `{"a":"token","b":["token","pin"]}`},
		{"not another name", `{"Token":"x","tokens":"y","toke":"z"}`, `{"Token":"x","tokens":"y","toke":"z"}`},
		{"a colon inside a string", `{"a":"\"token\":\"x\""}`, `{"a":"\"token\":\"x\""}`},
		{"no object at all", `["token",1]`, `["token",1]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, ok := redact([]byte("kept "), []byte(c.in), []string{"pin", "token", `a"b`})
			require.True(t, ok)
			require.Equal(t, "kept "+c.out, string(out))
		})
	}
}

func TestRedact_refuses_what_it_cannot_read(t *testing.T) {
	for _, in := range []string{"", `{"token":"x"`, `{"token":x}`, "{\"token\":\"\xff\"}", `{"token":"x"} {`, string(bytes.Repeat([]byte("["), 1000))} {
		out, ok := redact([]byte("kept"), []byte(in), []string{"token"})
		require.False(t, ok, in)
		require.Equal(t, "kept", string(out))
	}
}

// FuzzRedact compares redact with one that builds the whole document.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{`{"token":"x","a":[{"pin":{"b":1}}]}`, `{"\u0074oken":[1,"]"],"x":"token"}`, `"token"`, ` [ ] `, `{"a":{"token":true,"token":{"pin":1e5}}}`} {
		f.Add([]byte(s))
	}
	names := []string{"token", "pin"}
	f.Fuzz(func(t *testing.T, doc []byte) {
		before := bytes.Clone(doc)
		out, ok := redact(nil, doc, names)
		require.Equal(t, before, doc, "the document is only read")
		require.Equal(t, jsonscan.Valid(doc, jsonscan.DepthMax) == nil, ok)
		if !ok {
			return
		}
		var in, redacted any
		require.NoError(t, json.Unmarshal(doc, &in))
		require.NoError(t, json.Unmarshal(out, &redacted), "%s", out)
		require.Equal(t, emptied(in, names), redacted)
	})
}

func emptied(v any, names []string) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = emptied(v[i], names)
		}
	case map[string]any:
		for name, inner := range v {
			v[name] = emptied(inner, names)
			if name == names[0] || name == names[1] {
				v[name] = map[jsonscan.Kind]any{
					jsonscan.KindString: "", jsonscan.KindNumber: 0.0, jsonscan.KindBool: false, jsonscan.KindArray: []any{},
					jsonscan.KindObject: map[string]any{},
				}[kindOf(inner)]
			}
		}
	}
	return v
}

func kindOf(v any) jsonscan.Kind {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON
	}
	return jsonscan.KindOf(raw)
}

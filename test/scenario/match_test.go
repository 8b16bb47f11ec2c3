package scenario

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPatternMatchesWhatItSays(t *testing.T) {
	for _, c := range []struct {
		name, pattern, value string
		ok                   bool
	}{
		{"a part of an object", `{"a":1}`, `{"a":1,"b":2}`, true},
		{"another value", `{"a":1}`, `{"a":2}`, false},
		{"a member that is missing", `{"a":1}`, `{"b":1}`, false},
		{"a number written another way", `{"a":1e1}`, `{"a":10}`, true},
		{"a number and a string", `{"a":1}`, `{"a":"1"}`, false},
		{"null", `{"a":null}`, `{"a":null}`, true},
		{"null and nothing", `{"a":null}`, `{}`, false},
		{"true", `{"a":true}`, `{"a":true}`, true},
		{"true and an object", `{"a":true}`, `{"a":{}}`, false},
		{"anything", `{"a":"*"}`, `{"a":{"b":[]}}`, true},
		{"anything, but nothing", `{"a":"*"}`, `{}`, false},
		{"nothing", `{"a":"<absent>"}`, `{}`, true},
		{"nothing, but null", `{"a":"<absent>"}`, `{"a":null}`, false},
		{"nothing, but an object", `{"a":"<absent>"}`, `{"a":{}}`, false},
		{"kinds", `{"a":"<string>","b":"<number>","c":"<bool>","d":"<object>","e":"<array>"}`, `{"a":"","b":0,"c":false,"d":{},"e":[]}`, true},
		{"another kind", `{"a":"<string>"}`, `{"a":1}`, false},
		{"an expression", `{"a":"~^x[0-9]+$$"}`, `{"a":"x12"}`, true},
		{"an expression that does not fit", `{"a":"~^x[0-9]+$$"}`, `{"a":"x12y"}`, false},
		{"an array", `[1,2]`, `[1,2]`, true},
		{"a longer array", `[1,2]`, `[1,2,3]`, false},
		{"the beginning of an array", `[1,"..."]`, `[1,2,3]`, true},
		{"more than the array has", `[1,2,"..."]`, `[1]`, false},
		{"a known name", `{"a":"$known"}`, `{"a":"value"}`, true},
		{"a known name with another value", `{"a":"$known"}`, `{"a":"other"}`, false},
		{"a name inside a text", `{"a":"user:$known:x"}`, `{"a":"user:value:x"}`, true},
		{"a name in a key", `{"${known}":1}`, `{"value":1}`, true},
		{"a new name twice", `["$new","$new"]`, `["b","b"]`, true},
		{"a new name with two values", `["$new","$new"]`, `["b","c"]`, false},
		{"a new name for nothing", `{"a":"$new"}`, `{}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pattern, err := decode([]byte(c.pattern))
			require.NoError(t, err)
			value, err := decode([]byte(c.value))
			require.NoError(t, err)
			err = vars{"known": "value"}.match(pattern, value, "$")
			require.Equal(t, c.ok, err == nil, "%v", err)
		})
	}
}

func TestNamesAreReplacedInTexts(t *testing.T) {
	v := vars{"a": "x", "n": json.Number("12"), "o": map[string]any{"k": "<&>"}}
	text, err := v.expand(`$a ${a}b $n $o $$ $ 5$`)
	require.NoError(t, err)
	require.Equal(t, `x xb 12 {"k":"<&>"} $ $ 5$`, text)
	_, err = v.expand("$missing")
	require.ErrorContains(t, err, "nothing is called $missing yet")
}

package auth

import (
	"encoding/json"
	"testing"
)

// FuzzMembersAgainstEncodingJSON: no text is taken that is not JSON, every member is seen with its value, and no two
// readers of an accepted text can disagree about what a name stands for.
func FuzzMembersAgainstEncodingJSON(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1}`, `{"a":[1,2,{"b":"\u00e9\n"}],"c":-0.1E+5,"d":true,"e":null}`, `{"a":1,"a":2}`,
		`{"a":1,"\u0061":2}`, `{"x":{"a":1,"a":2}}`, `{"a":01}`, `{"a":"\ud800"}`, `{"a" 1}`, `{"a":1,}`, `{"a":[[[]]]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := map[string]string{}
		seen := 0
		err := members(text, func(name, value []byte) error {
			got[string(name)] = string(value)
			seen++
			return nil
		})
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil || want == nil {
			t.Fatalf("accepted %q: %v", text, err)
		}
		if len(got) != len(want) || seen != len(want) {
			t.Fatalf("%q: %d members seen, %d of them different, not %d", text, seen, len(got), len(want))
		}
		for name, raw := range want {
			if got[name] != string(raw) {
				t.Fatalf("%q: member %q is %q, not %q", text, name, got[name], raw)
			}
		}
	})
}

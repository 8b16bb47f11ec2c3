package engine

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/wse-engine/wse/engine/message"
)

// FuzzRefreshTokenIn: no body is taken that is not a JSON object with one refresh_token, and what is read of it is what any
// other reader of JSON reads.
func FuzzRefreshTokenIn(f *testing.F) {
	for _, body := range []string{`{"refresh_token":"a.b.c"}`, ` {"x":[{}],"refresh_token":"\u0061\n"} `, `{"refresh_token":"a","refresh_token":"b"}`,
		`{"refresh_token":null}`, `{"refresh_token":{"refresh_token":"a"}}`, `{"refresh_token":"a"`, `[]`, ``, `{"\u0072efresh_token":"a"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		token, err := refreshTokenIn(body)
		if err != nil {
			var refused *message.Error
			if token != "" || !errors.As(err, &refused) || refused.Code == message.CodeInternal {
				t.Fatalf("%q: %q, %v", body, token, err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		var text string
		if err := json.Unmarshal(want["refresh_token"], &text); err != nil || text != token || token == "" {
			t.Fatalf("%q: %q, not %q: %v", body, token, text, err)
		}
	})
}

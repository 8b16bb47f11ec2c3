package wse_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
)

// FuzzDecode asserts what holds for any bytes: the error is one to be sent back and says why, what was accepted is what
// encoding/json reads too, and a client's own message comes out of the encoder as it went in.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		subscribe, `PING`, `PING:1700000000000`, `PONG:1`, `U{"t":"x"}`, `WSE{"t":"ping","p":{"timestamp":1.5e3}}`,
		`{"type":"subscription","payload":{"recover":true,"recovery":{"a":{"epoch":"0000beef","offset":3}},"event_types":{"a":["b"]}}}`,
		`{"t":"batch_message","p":{"messages":[{"t":"ping"}]}}`, `{"t":"chat","p":{"a":[1,2,{"b":"\ud83d\ude00"}]},"pri":3,"id":"i"}`,
		`{"t":"presence_update","p":{"topic":"public:room","data":{"a":[{}]}}}`, `{"t":"presence_request","p":{"topic":"a"}}`,
		`{"t":"sync_request","p":{"last_sequence":9}}`, `{"t":"x","p":{},"c":"S","trace_id":"t","event_version":1}`,
	} {
		f.Add([]byte(seed), false)
	}
	for _, pattern := range []string{"testdata/*.json", "testdata/spec/*.json"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(text, true)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, binary bool) {
		req, err := wse.Dialect{}.Decode(data, binary)
		require.NotNil(t, req)
		if err != nil {
			var e *message.Error
			require.True(t, errors.As(err, &e))
			require.Equal(t, message.CodeInvalidMessage, e.Code)
			require.NotEmpty(t, e.Message)
			require.Nil(t, req.Body)
			reply := wse.Dialect{}.AppendReply(nil, &message.Reply{CID: req.ReplyCID(), Body: &message.Failure{Err: e}})
			require.True(t, json.Valid(reply), "%s", reply)
			return
		}
		require.NotNil(t, req.Body)
		require.NotEmpty(t, req.Type)
		if own, ok := req.Body.(*message.Publish); ok {
			comesBack(t, req, own)
		}
	})
}

func comesBack(t *testing.T, req *message.Request, own *message.Publish) {
	env := &message.Envelope{Type: req.Type, Payload: own.Payload, ID: req.ID, Seq: 1, Category: req.Category,
		Priority: req.Priority, CID: req.CID, TraceID: own.TraceID, EventVersion: own.EventVersion, Encrypted: own.Encrypted}
	text := wse.Dialect{}.AppendPublication(nil, env)
	require.True(t, json.Valid(text), "%s", text)
	again, err := wse.Dialect{}.Decode(text, false)
	require.NoError(t, err)
	require.Equal(t, req, again)
}

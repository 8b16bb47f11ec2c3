package wse_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
)

// The files in testdata/spec are the example messages of the protocol's reference (WSE v2 §1 and §5–§9), verbatim.

func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "spec", name+".json"))
	require.NoError(t, err)
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, text))
	return compact.Bytes()
}

func moment(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at.UnixMilli()
}

// exampleFields are the members of an example as they stand.
type exampleFields struct {
	T       string           `json:"t"`
	P       json.RawMessage  `json:"p"`
	ID      string           `json:"id"`
	TS      string           `json:"ts"`
	Seq     uint64           `json:"seq"`
	Cat     string           `json:"_msg_cat"`
	Pri     message.Priority `json:"pri"`
	Version int              `json:"v"`
}

func TestTheExamplePublicationsAreWrittenToTheByte(t *testing.T) {
	for _, name := range []string{"envelope", "account_update", "account_snapshot", "order_update"} {
		t.Run(name, func(t *testing.T) {
			text := example(t, name)
			var e exampleFields
			require.NoError(t, json.Unmarshal(text, &e))
			env := &message.Envelope{Type: e.T, Payload: e.P, ID: e.ID, TimeMS: moment(t, e.TS), Seq: e.Seq,
				Category: message.CategoryOf(e.T), Priority: e.Pri}
			require.Equal(t, string(text), string(wse.Dialect{}.AppendPublication(nil, env)))
		})
	}
}

// TestTheExampleRepliesAreWrittenWithNothingMissing leaves room for what PROTOCOL adds to the examples: connection_id,
// recoverable and severity.
func TestTheExampleRepliesAreWrittenWithNothingMissing(t *testing.T) {
	details := map[string]string{"topic": "invalid-topic", "reason": "Topic must follow pattern user:{id}:{type}"}
	bodies := map[string]message.ReplyBody{
		"pong":  &message.Pong{ClientTimestamp: 1700000000000, ServerTimestamp: 1700000000050},
		"error": &message.Failure{Err: message.Errorf(message.CodeSubscriptionFailed, "Invalid topic format").WithDetails(details)},
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			text := example(t, name)
			var e exampleFields
			require.NoError(t, json.Unmarshal(text, &e))
			got := wse.Dialect{}.AppendReply(nil, &message.Reply{ID: e.ID, TimeMS: moment(t, e.TS), Body: body})
			var want, have map[string]any
			require.NoError(t, json.Unmarshal(text, &want))
			require.NoError(t, json.Unmarshal(got, &have))
			payload := have["p"].(map[string]any)
			for _, added := range []string{"connection_id", "recoverable", "severity"} {
				delete(payload, added)
			}
			require.Equal(t, want, have)
		})
	}
}

func TestTheExamplesAreReadFromAClient(t *testing.T) {
	for _, name := range []string{"envelope", "account_update", "account_snapshot", "order_update", "error", "priority", "transformed"} {
		t.Run(name, func(t *testing.T) {
			text := example(t, name)
			var e exampleFields
			require.NoError(t, json.Unmarshal(text, &e))
			req, err := wse.Dialect{}.Decode(text, false)
			require.NoError(t, err)
			require.Equal(t, &message.Request{Type: e.T, ID: e.ID, Category: message.CategoryOf(e.T), Priority: e.Pri,
				Body: &message.Publish{Payload: e.P}}, req)
		})
	}
}

func TestTheExamplePongIsASignOfLife(t *testing.T) {
	req, err := wse.Dialect{}.Decode(example(t, "pong"), false)
	require.NoError(t, err)
	require.Equal(t, &message.Heartbeat{}, req.Body)
}

// The original's sample is no zlib stream: its checksum is wrong (PROTOCOL §2.6).
func TestTheExampleWithACompressedPayloadIsRefusedWithAReason(t *testing.T) {
	_, err := wse.Dialect{}.Decode(example(t, "compressed"), false)
	require.EqualError(t, err, "p must be base64 of zlib data where cmp is true: it is not valid zlib data")
}

package wse_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
)

// batchOf is a batch_message of the given messages.
func batchOf(messages ...string) []byte {
	return []byte(`{"t":"batch_message","id":"b","p":{"messages":[` + strings.Join(messages, ",") + `]}}`)
}

// inBatch reads a batch.
func inBatch(t *testing.T, d wse.Dialect, data []byte) (*message.Request, []message.Batched) {
	t.Helper()
	req, err := d.Decode(data, false)
	require.NoError(t, err)
	require.Equal(t, "b", req.ID)
	b := req.Body.(*message.Batch)
	require.Zero(t, b.TooMany)
	return req, b.Messages
}

func TestABatchOfTooManyMessagesIsCountedAndNotKept(t *testing.T) {
	d := wse.New(wse.Config{BatchMessagesMax: 3})
	_, messages := inBatch(t, d, batchOf("{}", "{}", "{}"))
	require.Len(t, messages, 3)
	const many = 300_000
	huge := batchOf(strings.TrimSuffix(strings.Repeat("{},", many), ","))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	req, err := d.Decode(huge, false)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Equal(t, &message.Batch{TooMany: many}, req.Body)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<10))
}

func TestAMessageOfABatchThatCannotBeReadLeavesTheOthers(t *testing.T) {
	data := batchOf(`{"t":"x","id":"1"}`, `{"id":"2"}`, `{"t":"batch_message","id":"3","p":{"messages":[{"t":"x"}]}}`, `{"t":"y","id":"4","cid":"c"}`)
	req, messages := inBatch(t, wse.Dialect{}, data)
	copy(data, strings.Repeat("x", len(data))) // what came is the caller's
	require.Zero(t, req.Inflated)
	require.Len(t, messages, 4)
	for i, want := range []string{"", "t must be a string, the type of the message", "a batch_message may not hold another", ""} {
		require.Equal(t, fmt.Sprint(i+1), messages[i].Request.ID)
		if want == "" {
			require.NoError(t, messages[i].Err)
			require.NotNil(t, messages[i].Request.Body)
			continue
		}
		require.Equal(t, message.CodeInvalidMessage, message.AsError(messages[i].Err).Code)
		require.Equal(t, want, message.AsError(messages[i].Err).Message)
		require.Nil(t, messages[i].Request.Body)
	}
}

// compressed is a message whose payload of size bytes is compressed, and how many bytes that spares.
func compressed(id string, size int) (text string, spared int) {
	payload := []byte(`{"a":"` + strings.Repeat("a", size-8) + `"}`)
	p, _ := json.Marshal(zipped(payload)) // base64
	return `{"t":"x","id":"` + id + `","cmp":true,"p":` + string(p) + `}`, size - len(p)
}

func TestWhatInflatesInABatchCountsForTheBatch(t *testing.T) {
	a, more := compressed("1", 10_000)
	b, much := compressed("2", 60_000)
	req, messages := inBatch(t, wse.Dialect{}, batchOf(a, b, `{"t":"x","id":"3"}`))
	require.Len(t, messages, 3)
	require.Equal(t, more+much, req.Inflated)

	plain := batchOf(a, b)
	req, _ = inBatch(t, wse.Dialect{}, append([]byte("C:"), zipped(plain)...))
	require.Equal(t, more+much+len(plain)-len(zipped(plain)), req.Inflated, "compressed twice, it counts twice")

	req, err := wse.Dialect{}.Decode(batchOf(a, "1"), false)
	require.Error(t, err)
	require.Zero(t, req.Inflated, "nothing was inflated")
}

// Each of a hundred compressed payloads may be as long as a message; together they must not be.
func TestABatchInflatesNoMoreThanAMessageMayHave(t *testing.T) {
	d := wse.New(wse.Config{InflatedBytesMax: 100_000})
	var texts []string
	for i := range 4 {
		text, _ := compressed(fmt.Sprint(i), 60_000)
		texts = append(texts, text)
	}
	_, messages := inBatch(t, d, batchOf(texts...))
	require.NoError(t, messages[0].Err)
	require.NoError(t, messages[1].Err)
	for _, m := range messages[2:] {
		require.Equal(t, message.CodeMessageTooLarge, message.AsError(m.Err).Code)
	}
}

package wse

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// obedient does what the members of its document ask for, in their order.
func obedient(in *Reader, out *Writer) Result {
	code, result := int64(0), ""
	in.Object()
	for in.Member() {
		switch string(in.Key()) {
		case "text":
			in.String()
			out.PutText(in.Text())
		case "raw":
			in.String()
			out.Put(in.Raw())
		case "log":
			in.String()
			Log(LevelWarn, in.Text())
		case "metric":
			in.Skip()
			v, _ := in.Integer()
			Metric("calls", float64(v))
		case "integer":
			in.Skip()
			v, _ := in.Integer()
			out.PutInt(v)
		case "repeat":
			in.Skip()
			n, _ := in.Integer()
			for range n {
				out.PutString("xxxxxxxxxx")
			}
		case "code":
			in.Skip()
			code, _ = in.Integer()
		case "result":
			in.String()
			result = string(in.Raw()) // of which the test's answers are short enough to stay on the stack
		default:
			in.Skip()
		}
	}
	switch {
	case !in.Close():
		return out.Error("no document")
	case code > 0:
		return ErrorCode(uint32(code))
	case result == "no":
		return No
	case result == "failure":
		return out.Failure()
	case out.Mark() == 0 && !out.Overflowed():
		return Yes
	}
	return out.Result()
}

func TestAHooksResultIsWhatItWrote(t *testing.T) {
	tests := []struct {
		name, doc string
		want      Answer
	}{
		{"nothing written", `{}`, Answer{Kind: "yes"}},
		{"no", `{"text":"thrown away","result":"no"}`, Answer{Kind: "no"}},
		{"data", `{"text":"a\"\\\/\b\f\n\r\t\u0000\u001f\u007f\u00e9\ud83d\ude80\ud83d"}`, Answer{Kind: "data", Text: `a\"\\/\u0008\u000c\u000a\u000d\u0009\u0000\u001f` + "\x7fé🚀\uFFFD"}},
		{"raw", `{"raw":"\u0041\n"}`, Answer{Kind: "data", Text: `\u0041\n`}},
		{"an error text", `{"text":"why","result":"failure"}`, Answer{Kind: "error", Text: "why"}},
		{"an error text of its own", `{"text":"thrown away",}`, Answer{Kind: "error", Text: "no document"}},
		{"an error number", `{"code":4294967295}`, Answer{Kind: "error", Text: "error 4294967295"}},
		{"integers", `{"integer":0,"text":" ","integer":-9223372036854775808,"text":" ","integer":9223372036854775807}`, Answer{Kind: "data", Text: "0 -9223372036854775808 9223372036854775807"}},
		{"log and metric", `{"log":"h\u0065y","metric":2,"metric":3}`, Answer{Kind: "yes", Log: []string{"warn: hey"}, Metrics: map[string]float64{"calls": 5}}},
		{"longer than the first buffer", `{"repeat":20000}`, Answer{Kind: "data", Text: strings.Repeat("x", 200000)}},
		{"as long as may be", `{"repeat":419430,"raw":"1234"}`, Answer{Kind: "data", Text: strings.Repeat("x", 4194300) + "1234"}},
		{"longer than may be", `{"repeat":419430,"raw":"12345"}`, Answer{Kind: "error", Text: "error 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Try(obedient, tt.doc)) })
	}
}

func FuzzPutText(f *testing.F) {
	f.Add("a\"\\\x00\x1f\x7fé🚀")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var w Writer
		w.PutByte('"')
		w.PutText([]byte(text))
		w.PutByte('"')
		var back string
		require.NoError(t, json.Unmarshal(w.Written(0), &back))
		require.Equal(t, text, back)
	})
}

func FuzzPutInt(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(-1 << 63))
	f.Fuzz(func(t *testing.T, v int64) {
		var w Writer
		w.PutInt(v)
		require.Equal(t, strconv.FormatInt(v, 10), string(w.Written(0)))
	})
}

func TestABufferIsRefusedBeyondItsLimit(t *testing.T) {
	var s state
	require.False(t, s.buffer(-1))
	require.False(t, s.buffer(InputMax+1))
	require.False(t, s.buffer(0))
	require.True(t, s.buffer(65536))
	first := &s.input[0]
	require.True(t, s.buffer(100))
	require.Same(t, first, &s.input[0], "a smaller one is the same one")
	require.True(t, s.buffer(InputMax))
	require.Len(t, s.input, InputMax)
	require.Equal(t, ErrorCode(ErrorNoBuffer), s.call(-1, obedient))
	require.Equal(t, ErrorCode(ErrorNoBuffer), s.call(InputMax+1, obedient))
	require.Equal(t, ErrorCode(ErrorNoBuffer), s.batch(InputMax+1, obedient))
}

// batched runs a batch and takes its answers apart.
func batched(t *testing.T, batch []byte) (answers []Answer, whole Result) {
	t.Helper()
	var s state
	require.True(t, s.buffer(int32(max(len(batch), 1))))
	copy(s.input, batch)
	whole = s.batch(int32(len(batch)), obedient)
	if whole&errorBit != 0 {
		return nil, whole
	}
	data := s.out.buf[s.out.from:s.out.to]
	n := binary.LittleEndian.Uint32(data)
	data = data[4:]
	for range n {
		tag, size := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		answers = append(answers, Answer{Kind: []string{"no", "yes", "data", "error"}[tag], Text: string(data[8 : 8+size])})
		data = data[8+size:]
	}
	require.Empty(t, data)
	return answers, whole
}

func batchOf(docs ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(docs)))
	for _, doc := range docs {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(doc))), doc...)
	}
	return b
}

func TestABatchAnswersEachDocumentAsACallDoes(t *testing.T) {
	docs := []string{`{}`, `{"raw":"one"}`, `{"raw":"gone","result":"no"}`, `{"code":7}`, `{`, ``, `{"text":"why","result":"failure"}`,
		`{"repeat":20000}`, `{"raw":"last"}`}
	var want []Answer
	for _, doc := range docs {
		want = append(want, Try(obedient, doc))
	}
	got, _ := batched(t, batchOf(docs...))
	require.Equal(t, want, got)
	got, whole := batched(t, batchOf())
	require.Empty(t, got)
	require.Equal(t, pack(nil, 4), whole)
}

func TestABatchWhoseAnswersDoNotFitTogetherIsAnError(t *testing.T) {
	for _, docs := range [][]string{
		{`{"repeat":419400}`, `{"repeat":400}`, `{"raw":"short"}`}, // the second would fit alone
		{`{"repeat":419431}`, `{"raw":"short"}`},                   // the first does not
		{`{"repeat":419428}`, `{}`, `{}`},                          // 4194280 + 4 + 8, and 8 more, are too many
	} {
		_, whole := batched(t, batchOf(docs...))
		require.Equal(t, ErrorCode(ErrorTooLong), whole)
	}
}

func TestABatchThatIsCutShortServesNothing(t *testing.T) {
	served := 0
	count := func(*Reader, *Writer) Result { served++; return Yes }
	whole := batchOf(`{}`, `{"a":1}`)
	for _, batch := range [][]byte{nil, whole[:3], whole[:7], whole[:9], whole[:len(whole)-1], append(bytes.Clone(whole), 0), {255, 255, 255, 255}, {1, 0, 0, 0, 255, 255, 255, 255}} {
		var s state
		require.True(t, s.buffer(1024))
		copy(s.input, batch)
		r := s.batch(int32(len(batch)), count)
		tag, isText, _ := r.kind()
		require.True(t, tag == tagError && isText)
		require.Equal(t, "batch is cut short", string(s.out.Written(0)))
	}
	require.Zero(t, served)
}

func TestACallAllocatesNothing(t *testing.T) {
	var s state
	require.True(t, s.buffer(1<<20))
	doc := `{"text":"caf\u00e9 \"x\"","ra\u0077":"y","integer":-5,"repeat":100,"x":[1,{"y":null}]}`
	batch := batchOf(doc, doc, `{"code":5}`)
	for name, call := range map[string]func(){
		"call":  func() { s.call(int32(copy(s.input, doc)), obedient) },
		"batch": func() { s.batch(int32(copy(s.input, batch)), obedient) },
	} {
		call() // which may grow a buffer
		require.Zero(t, testing.AllocsPerRun(100, call), name)
	}
}

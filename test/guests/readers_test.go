//go:build !race

package guests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
)

// kit opens the compatibility kit's guest of a language.
func kit(t *testing.T, language string, module []byte, limits plugin.Limits) *plugin.Workpiece {
	t.Helper()
	p, err := plugin.NewWorkbench(t.TempDir()).Open(t.Context(), plugin.Specimen{Name: language, Limits: limits, Module: module})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// TestSDKs does with the guests of the compatibility kit what vectors cannot. It is not parallel, because the guests of
// TestSDKsPassTheCompatibilityKit are built in the same directories.
func TestSDKs(t *testing.T) {
	for _, language := range languages() {
		module := build(t, filepath.Join(root, "sdk", language, "tck"))
		t.Run(language+": the reader agrees with encoding/json on what is JSON", func(t *testing.T) {
			agreesOnJSON(t, kit(t, language, module, plugin.Limits{}))
		})
		t.Run(language+": texts are decoded as encoding/json does", func(t *testing.T) {
			agreesOnTexts(t, kit(t, language, module, plugin.Limits{}))
		})
		if language == "go" { // whose runtime takes memory as it sees fit
			continue
		}
		t.Run(language+": an answer that has no room is error 1", func(t *testing.T) {
			outgrows(t, kit(t, language, module, plugin.Limits{MemoryMiB: 1, Fuel: 1 << 30}))
		})
	}
}

func call(t *testing.T, p *plugin.Workpiece, hook string, doc []byte) plugin.Called {
	t.Helper()
	got, err := p.Call(hook, doc)
	require.NoError(t, err)
	return got
}

// jumble is what documents are made of: tokens, whole and broken.
var jumble = strings.Split("{ } [ ] , : \" \\ \"a\" \"\\u12aF\" \"\\ud83d\\ude00\" 0 - 1.5 e+1 true nul null false \n \x01 é 12 \"b\": [] {} 1E-2 -0 .5", " ")

// document is an event of one of the kit's types, whose payload may be anything at all.
func document(r *rand.Rand) (kind string, doc []byte) {
	kind = []string{"echo", "walk", "kinds"}[r.IntN(3)]
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":"%s","payload":{"x":`, kind)
	for range 1 + r.IntN(8) {
		b.WriteString(jumble[r.IntN(len(jumble))])
		b.WriteString([]string{"", "", "", " "}[r.IntN(4)])
	}
	b.WriteString("}}")
	return kind, []byte(b.String())
}

// disagreement says where a guest takes another view of a document than encoding/json.
func disagreement(kind string, doc []byte, got plugin.Called) string {
	switch valid := json.Valid(doc); {
	case !valid && got.Error != "not an event":
		return "no JSON, and taken"
	case valid && got.Said != vector.Data:
		return "JSON, and refused"
	case valid && kind == "echo":
		var event struct{ Payload json.RawMessage }
		if err := json.Unmarshal(doc, &event); err != nil {
			return err.Error()
		}
		if string(got.Data) != `{"t":"tck","topic":"public:tck","p":`+string(event.Payload)+`}` {
			return "another payload"
		}
	}
	return ""
}

func agreesOnJSON(t *testing.T, p *plugin.Workpiece) {
	r := rand.New(rand.NewPCG(3, 1))
	valid := 0
	for range 100_000 {
		kind, doc := document(r)
		got := call(t, p, vector.Transform, doc)
		if why := disagreement(kind, doc, got); why != "" {
			require.Fail(t, why, "%q: %s %s", doc, got, got.Data)
		}
		if got.Said == vector.Data {
			valid++
		}
	}
	require.Greater(t, valid, 3000, "too few of the documents were JSON to tell anything")
}

// written is a text as the kit writes it again.
func written(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func agreesOnTexts(t *testing.T, p *plugin.Workpiece) {
	pieces := []string{"a", "é", "😀", " ", "x1", "uDC00", `\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`, `\u0000`, `\u0041`, `\u00e9`, `\u20AC`,
		`\ud83d`, `\ude00`, `\ud83d\ude00`, `\uDBFF\uDFFF`, `\ud800\u0041`, `\uffff`, "a longer run of letters"}
	r := rand.New(rand.NewPCG(4, 1))
	for range 20_000 {
		var raw strings.Builder
		for range r.IntN(8) {
			raw.WriteString(pieces[r.IntN(len(pieces))])
		}
		var text string
		require.NoError(t, json.Unmarshal([]byte(`"`+raw.String()+`"`), &text))
		got := call(t, p, vector.Transform, []byte(`{"type":"text","payload":{"text":"`+raw.String()+`"}}`))
		want := fmt.Sprintf(`{"t":"tck","topic":"public:tck","p":{"text":"%s","bytes":%d}}`, written(text), len(text))
		if want != string(got.Data) {
			require.Equal(t, want, string(got.Data), raw.String())
		}
	}
}

// Answers of a little more than a million bytes, and of nearly none.
const (
	million = `{"type":"repeat","payload":{"n":1000000}}`
	none    = `{"type":"repeat","payload":{"n":0}}`
)

func batch(docs ...string) []byte {
	var raw [][]byte
	for _, doc := range docs {
		raw = append(raw, []byte(doc))
	}
	return vector.AppendBatch(nil, raw)
}

// outgrows writes what the memory has no room for. Whether that fails the batch or its event alone is the SDK's to choose.
func outgrows(t *testing.T, p *plugin.Workpiece) {
	require.Equal(t, "error 1", call(t, p, vector.Transform, []byte(million)).Error)
	require.Equal(t, vector.Data, call(t, p, vector.Transform, []byte(none)).Said, "the next call is served")
	if got := call(t, p, vector.TransformBatch, batch(none, million)); got.Said == vector.Data {
		answers, err := vector.SplitBatch(got.Data)
		require.NoError(t, err)
		require.Equal(t, []string{"", "error 1"}, []string{answers[0].Error, answers[1].Error})
	} else {
		require.Equal(t, "error 1", got.Error)
	}
	require.Equal(t, vector.Data, call(t, p, vector.TransformBatch, batch(none, none)).Said, "and the next batch")
}

// filled is the event of about 300 bytes that languages are compared by.
const filled = `{"type":"OrderFilled","payload":{"broker_id":"alpaca","order_id":"ord_1234567","symbol":"BTC_USDT","side":"buy",` +
	`"quantity":25,"price":"97123.50","filled_at":"2025-11-25T10:00:00.000Z","venue":"XNAS"},"user_id":"u1","id":"evt_ord_001",` +
	`"ts":"2025-11-25T10:00:00.000Z","cid":"req-77","event_version":2}`

// BenchmarkFills makes envelopes of one event in every language, metered: nanoseconds and fuel a call. Only the ratios within
// one run mean something.
func BenchmarkFills(b *testing.B) {
	for _, language := range languages() {
		b.Run(language, func(b *testing.B) {
			module := build(b, filepath.Join(root, "examples/plugins/fills", language))
			p, err := plugin.NewWorkbench(b.TempDir()).Open(b.Context(), plugin.Specimen{Name: language, Module: module})
			require.NoError(b, err)
			defer p.Close()
			doc := []byte(filled)
			var fuel int64
			for b.Loop() {
				_, fuel, err = p.Time(vector.Transform, doc, 1)
			}
			require.NoError(b, err)
			b.ReportMetric(float64(fuel), "fuel/op")
		})
	}
}

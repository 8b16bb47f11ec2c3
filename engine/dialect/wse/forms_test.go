package wse_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	library "github.com/vmihailenco/msgpack/v5"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/msgpack"
)

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func unzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := zlib.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	return out
}

// object reads a message as a client does that knows nothing but JSON and cmp.
func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out), "%s", text)
	if out["cmp"] == true {
		raw, err := base64.StdEncoding.DecodeString(out["p"].(string))
		require.NoError(t, err)
		delete(out, "cmp")
		var p any
		require.NoError(t, json.Unmarshal(unzipped(t, raw), &p))
		out["p"] = p
	}
	return out
}

// messages are replies and publications of all kinds, small ones and large.
func messages() map[string]func(d wse.Dialect, dst []byte) []byte {
	out := map[string]func(wse.Dialect, []byte) []byte{}
	for name, r := range replies() {
		out["reply "+name] = func(d wse.Dialect, dst []byte) []byte { return d.AppendReply(dst, r) }
	}
	topics := make([]message.Topic, 200)
	for i := range topics {
		topics[i] = message.Topic("user:u1:topic_" + strings.Repeat("x", i%10))
	}
	out["reply large"] = func(d wse.Dialect, dst []byte) []byte {
		return d.AppendReply(dst, &message.Reply{ID: "m", TimeMS: at, CID: "c", Body: &message.SnapshotComplete{Topics: topics}})
	}
	large := *benchEnvelope()
	large.Payload = []byte(`{"rows":[` + strings.TrimSuffix(strings.Repeat(`{"symbol":"AAPL","price":1.5,"n":-7,"\u00e9":null},`, 400), ",") + `]}`)
	large.TraceID, large.EventVersion = "tr", 2
	noise := *benchEnvelope()
	noise.Payload = []byte(`{"noise":"` + random(4000) + `"}`)
	for name, env := range map[string]*message.Envelope{"small": benchEnvelope(), "large": &large, "noise": &noise} {
		out["publication "+name] = func(d wse.Dialect, dst []byte) []byte { return d.AppendPublication(dst, env) }
	}
	return out
}

// random is text that base64 cannot carry in fewer bytes.
func random(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func TestEveryFormCarriesTheSameMessage(t *testing.T) {
	d := wse.New(wse.Config{CompressBytesMin: 1024})
	for name, write := range messages() {
		t.Run(name, func(t *testing.T) {
			plain := write(d, nil)
			require.Equal(t, string(write(wse.Dialect{}, nil)), string(plain))
			want := object(t, plain)

			packed := write(d.CompressPayloads(), []byte("before"))
			require.Equal(t, "before", string(packed[:6]))
			require.Equal(t, want, object(t, packed[6:]))
			require.True(t, bytes.HasPrefix(packed[6:], []byte(`{"t":"`)), "t is the first field")
			require.True(t, bytes.HasSuffix(packed, []byte(`,"v":2}`)), "v is the last")
			require.LessOrEqual(t, len(packed)-6, len(plain))

			zip, binary := d.Zlib().Wrap(append([]byte("before"), plain...), 6)
			require.Equal(t, "before", string(zip[:6]))
			if zip = zip[6:]; binary {
				require.Equal(t, "C:", string(zip[:2]))
				require.Less(t, len(zip), len(plain))
				require.Equal(t, string(plain), string(unzipped(t, zip[2:])))
			} else {
				require.Equal(t, string(plain), string(zip))
			}

			msg, binary := d.MessagePack().Wrap(append([]byte("before"), plain...), 6)
			require.True(t, binary)
			require.Equal(t, "before", string(msg[:6]))
			require.True(t, msgpack.IsMap(msg[6:]))
			var v any
			require.NoError(t, library.Unmarshal(msg[6:], &v))
			text, err := json.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, want, object(t, text))
		})
	}
}

func TestOnlyWhatIsLargeAndGainsIsCompressed(t *testing.T) {
	d := wse.New(wse.Config{CompressBytesMin: 1024})
	for name, want := range map[string]bool{
		"publication large": true, "reply large": true, "publication small": false, "publication noise": false, "reply pong": false,
	} {
		write := messages()[name]
		require.Equal(t, want, bytes.Contains(write(d.CompressPayloads(), nil), []byte(`,"cmp":true,`)), "cmp, %s", name)
		_, binary := d.Zlib().Wrap(write(d, nil), 0)
		require.Equal(t, want, binary, "C:, %s", name)
	}
	exactly := func(n int) *message.Envelope {
		return &message.Envelope{Type: "x", ID: "i", Payload: []byte(`{"a":"` + strings.Repeat("x", n-8) + `"}`)}
	}
	require.NotContains(t, string(d.CompressPayloads().AppendPublication(nil, exactly(1023))), `"cmp"`)
	require.Contains(t, string(d.CompressPayloads().AppendPublication(nil, exactly(1024))), `"cmp":true`)
}

func TestWhatIsNoJSONIsNotWrapped(t *testing.T) {
	out, binary := wse.Dialect{}.MessagePack().Wrap([]byte("before{"), 6)
	require.False(t, binary)
	require.Equal(t, "before{", string(out))
}

// compressPayload makes the form cmp of a message, where it has a payload that is an object.
func compressPayload(text []byte) []byte {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	for _, key := range []string{"p", "payload"} {
		if p := bytes.TrimSpace(m[key]); len(p) > 0 && p[0] == '{' && m["cmp"] == nil && m["compressed"] == nil {
			m[key], _ = json.Marshal(zipped(p))
			m["cmp"] = json.RawMessage("true")
			out, _ := json.Marshal(m)
			return out
		}
	}
	return nil
}

func TestARequestIsTheSameInEveryForm(t *testing.T) {
	d := wse.New(wse.Config{})
	for _, text := range []string{
		subscribe, `{"t":"chat","p":{"a":[1,2.5,{"b":"\ud83d\ude00"}],"n":18446744073709551615},"pri":3,"id":"i","trace_id":"t"}`,
		`{"type":"subscription","payload":{"action":"subscribe","recover":true,"recovery":{"a":{"epoch":"0000beef","offset":3}},"event_types":{"a":["b"]}}}`,
		`{"t":"sync_request","p":{"last_sequence":9}}`, `{"t":"ping","p":{"timestamp":1700000000000},"id":"p"}`,
		`{"t":"batch_message","p":{"messages":[{"t":"ping"},{"t":"x"}]}}`, `{"t":"heartbeat"}`,
	} {
		want, err := d.Decode([]byte(text), false)
		require.NoError(t, err, text)
		packed, err := msgpack.AppendPacked(nil, []byte(text))
		require.NoError(t, err)
		forms := map[string][]byte{
			"C:": append([]byte("C:"), zipped([]byte(text))...), "MessagePack": packed, "M:": append([]byte("M:"), packed...),
			"C: of MessagePack": append([]byte("C:"), zipped(packed)...),
		}
		if cmp := compressPayload([]byte(text)); cmp != nil {
			packed, err := msgpack.AppendPacked(nil, cmp)
			require.NoError(t, err)
			forms["cmp"], forms["cmp in MessagePack"], forms["C: of cmp"] = cmp, packed, append([]byte("C:"), zipped(cmp)...)
		}
		for form, data := range forms {
			for _, d := range []wse.Dialect{d, {}, d.CompressPayloads()} {
				got, err := d.Decode(data, true)
				require.NoError(t, err, "%s: %s", form, text)
				if own, ok := got.Body.(*message.Publish); ok { // encoding/json sorts nothing here, but writes its own way
					require.JSONEq(t, string(want.Body.(*message.Publish).Payload), string(own.Payload))
					own.Payload = want.Body.(*message.Publish).Payload
				}
				got.Inflated = 0 // TestARequestTellsHowMuchInflatingMadeOfIt
				require.Equal(t, want, got, "%s: %s", form, text)
			}
		}
	}
}

func TestTheCategoryInFrontIsReadBelowCompression(t *testing.T) {
	req, err := wse.Dialect{}.Decode(append([]byte("C:"), zipped([]byte(`S{"t":"x"}`))...), true)
	require.NoError(t, err)
	require.Equal(t, message.Snapshot, req.Category)
	req, err = wse.Dialect{}.Decode(append([]byte("C:"), zipped([]byte("PING:7"))...), true)
	require.NoError(t, err)
	require.Equal(t, &message.Ping{ClientTimestamp: 7}, req.Body)
}

func cmp(payload []byte) []byte {
	p, _ := json.Marshal(payload) // base64
	return []byte(`{"t":"x","id":"i","cmp":true,"p":` + string(p) + `}`)
}

func TestCompressedMessagesThatAreBadAreRefusedWithAReason(t *testing.T) {
	sound := zipped([]byte(`{"t":"x"}`))
	damaged := bytes.Clone(sound)
	damaged[len(damaged)-1] ^= 1
	deep := []byte(strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64))
	c := func(b []byte) []byte { return append([]byte("C:"), b...) }
	for name, bad := range map[string]struct {
		data   []byte
		reason string
	}{
		"C: and nothing":           {c(nil), "what follows C: is not valid zlib data"},
		"C: and JSON":              {c([]byte(`{"t":"x"}`)), "what follows C: is not valid zlib data"},
		"C: cut short":             {c(sound[:len(sound)-5]), "what follows C: is not valid zlib data"},
		"C: without its checksum":  {c(sound[:len(sound)-4]), "what follows C: is not valid zlib data"},
		"C: damaged":               {c(damaged), "what follows C: is not valid zlib data"},
		"C: with a rest":           {c(append(bytes.Clone(sound), 'x')), "what follows C: goes on after its end"},
		"C: in C:":                 {c(zipped(c(sound))), "a message must be one JSON object"},
		"C: of no object":          {c(zipped([]byte("[1]"))), "a message must be one JSON object"},
		"C: with a dictionary":     {c([]byte{0x78, 0xbb, 0, 0, 0, 1, 3, 0}), "what follows C: is not valid zlib data"},
		"cmp and an object":        {[]byte(`{"t":"x","id":"i","cmp":true,"p":{}}`), "p must be base64 of zlib data where cmp is true, not an object"},
		"cmp and null":             {[]byte(`{"t":"x","id":"i","cmp":true,"p":null}`), "p must be base64 of zlib data where cmp is true, not absent"},
		"cmp without base64":       {[]byte(`{"t":"x","id":"i","cmp":true,"p":"%%"}`), "p must be base64 of zlib data where cmp is true: it is no base64"},
		"cmp without zlib":         {cmp([]byte("hello")), "p must be base64 of zlib data where cmp is true: it is not valid zlib data"},
		"cmp of an array":          {cmp(zipped([]byte("[1]"))), "p must hold an object, compressed where cmp is true"},
		"cmp of no JSON":           {cmp(zipped([]byte(`{"a":}`))), "p must hold an object, compressed where cmp is true"},
		"cmp of invalid UTF-8":     {cmp(zipped([]byte("{\"a\":\"\xff\"}"))), "p must hold an object, compressed where cmp is true"},
		"cmp of a deep object":     {cmp(zipped(deep)), "p must hold an object, compressed where cmp is true"},
		"MessagePack of no map":    {[]byte("M:\x93\x01\x02\x03"), "a message must be one JSON object: an object is missing at byte 0"},
		"MessagePack cut short":    {[]byte{0x81, 0xa1, 't'}, "a message in MessagePack must be one map: unexpected end, a value is missing at byte 3"},
		"MessagePack nested deep":  {bytes.Repeat([]byte{0x81, 0xa1, 'p'}, 100), "a message in MessagePack must be one map: nested too deep at byte 193"},
		"MessagePack with NaN":     {[]byte("\x82\xa1t\xa1x\xa1p\x81\xa1n\xca\x7f\xc0\x00\x00"), "a message in MessagePack must be one map: NaN and infinities are no numbers of JSON at byte 10"},
		"MessagePack, length bomb": {[]byte("\xdf\xff\xff\xff\xff\xa1t"), "a message in MessagePack must be one map: a map is longer than what is there at byte 5"},
	} {
		req, err := wse.Dialect{}.Decode(bad.data, true)
		var e *message.Error
		require.True(t, errors.As(err, &e), "%s: %v", name, err)
		require.Equal(t, message.CodeInvalidMessage, e.Code, name)
		require.True(t, strings.HasPrefix(e.Message, bad.reason), "%s: %s", name, e.Message)
		require.NotNil(t, req)
		require.Nil(t, req.Body)
		if strings.HasPrefix(name, "cmp") {
			require.Equal(t, "i", req.ID, "an error can be correlated: %s", name)
		}
	}
}

func TestABombIsNotInflated(t *testing.T) {
	const limit = 256 << 10
	zeros := zipped(make([]byte, 64<<20))
	spaces := zipped([]byte(`{"t":"x"` + strings.Repeat(" ", limit-10) + "}"))
	d := wse.New(wse.Config{InflatedBytesMax: limit, InflateRatioMax: 100})
	generous := wse.New(wse.Config{InflatedBytesMax: limit, InflateRatioMax: 1100})
	for name, data := range map[string][]byte{
		"C:":            append([]byte("C:"), zeros...),
		"cmp":           cmp(zeros),
		"C: with a cmp": append([]byte("C:"), zipped(cmp(zeros))...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := d.Decode(data, true)
		runtime.ReadMemStats(&after)
		require.ErrorContains(t, err, "inflates to more than the", name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*limit), name)
	}
	require.Less(t, len(spaces), limit/100)
	_, err := d.Decode(append([]byte("C:"), spaces...), true)
	require.ErrorContains(t, err, "inflates to more than the", "shorter than the limit, but a hundred times longer than it came")
	_, err = generous.Decode(append([]byte("C:"), spaces...), true)
	require.NoError(t, err)
	_, err = d.Decode(append([]byte("C:"), zipped([]byte(`{"t":"x"`+strings.Repeat(" ", 50<<10)+"}"))...), true)
	require.NoError(t, err, "the first 64 KiB are free")
}

func TestATextThatMessagePackMakesTooLongIsRefused(t *testing.T) {
	d := wse.New(wse.Config{InflatedBytesMax: 1 << 10})
	packed := append([]byte{0x81, 0xa1, 't', 0xda, 1, 0}, make([]byte, 256)...)
	_, err := d.Decode(packed, true)
	require.ErrorContains(t, err, "more than the 1024 bytes allowed")
}

// FuzzInflate asserts that what follows C: is read exactly where the standard library reads it, and then as if it had come
// plain.
func FuzzInflate(f *testing.F) {
	f.Add(zipped([]byte(`{"t":"ping"}`)), false)
	f.Add(zipped([]byte(`U{"t":"x"}`))[2:], false)
	f.Add([]byte(`{"t":"x","p":{"a":1}}`), true)
	f.Add([]byte("\x81\xa1t\xa1x"), true)
	f.Add([]byte("M:\x81\xa1t\xa1x"), true)
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress {
			data = zipped(data)
		}
		got, gotErr := wse.Dialect{}.Decode(append([]byte("C:"), data...), true)
		require.NotNil(t, got)
		in := bytes.NewReader(data)
		var inner []byte
		r, err := zlib.NewReader(in)
		if err == nil {
			inner, err = io.ReadAll(io.LimitReader(r, 1<<20+1))
		}
		if err != nil || in.Len() > 0 || len(inner) > max(64<<10, 100*len(data)) {
			require.ErrorContains(t, gotErr, "what follows C: ")
			return
		}
		if len(inner) > 1 && inner[1] == ':' {
			require.Error(t, gotErr, "one layer only")
			return
		}
		want, wantErr := wse.Dialect{}.Decode(inner, true)
		require.Equal(t, want, got)
		require.Equal(t, wantErr, gotErr)
	})
}

// FuzzCompressedPayload asserts that a compressed payload is read as if it had come plain.
func FuzzCompressedPayload(f *testing.F) {
	f.Add([]byte(`{"t":"x","p":{"a":1}}`))
	f.Add([]byte(subscribe))
	f.Fuzz(func(t *testing.T, text []byte) {
		data := compressPayload(text)
		want, err := wse.Dialect{}.Decode(text, false)
		if data == nil || err != nil {
			return
		}
		got, err := wse.Dialect{}.Decode(data, false)
		if err != nil {
			return // encoding/json knows one key of several that are alike, and writes characters of its own for bad ones
		}
		require.IsType(t, want.Body, got.Body)
		if own, ok := want.Body.(*message.Publish); ok {
			require.Equal(t, string(own.Payload), string(got.Body.(*message.Publish).Payload))
		}
	})
}

func TestFormsAllocateNothingWhereThereIsRoom(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector pools lose things on purpose")
	}
	d := wse.New(wse.Config{CompressBytesMin: 1024})
	write := messages()["publication large"]
	buf, plain := make([]byte, 0, 64<<10), write(d, nil)
	text := append([]byte("C:"), zipped([]byte(`{"t":"heartbeat"}`))...)
	for name, f := range map[string]func(){
		"cmp":         func() { _ = write(d.CompressPayloads(), buf) },
		"C:":          func() { _, _ = d.Zlib().Wrap(append(buf, plain...), 0) },
		"MessagePack": func() { _, _ = d.MessagePack().Wrap(append(buf, plain...), 0) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	// The request and its body are kept.
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = d.Decode(text, true) }), 2.0)
}

// BenchmarkCompressed writes a publication of 20 KB in each form.
func BenchmarkCompressed(b *testing.B) {
	d := wse.New(wse.Config{CompressBytesMin: 1024})
	write := messages()["publication large"]
	buf := make([]byte, 0, 64<<10)
	for _, c := range []struct {
		name    string
		dialect wse.Dialect
		wrapper dialect.Wrapper
	}{{"plain", d, nil}, {"cmp", d.CompressPayloads(), nil}, {"zlib", d, d.Zlib()}, {"MessagePack", d, d.MessagePack()}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			enc := dialect.Encoding{Dialect: c.dialect, Wrapper: c.wrapper}
			for b.Loop() {
				_, _ = enc.Wrap(write(c.dialect, buf), 0)
			}
		})
	}
}

// A compressed payload in a compressed message is no way round the ratio: what counts is how long the message came.
func TestWhatIsCompressedTwiceInflatesNoMoreThanWhatIsCompressedOnce(t *testing.T) {
	d := wse.New(wse.Config{InflatedBytesMax: 1 << 20, InflateRatioMax: 100})
	payload := []byte(`{"text":"` + strings.Repeat("a", 900<<10) + `"}`)
	text := `{"t":"x_y","cmp":true,"p":"` + base64.StdEncoding.EncodeToString(zipped(payload)) + `"}`
	for range 3 { // there is little in it that a second compression finds
		text = strings.TrimSuffix(text, "}") + `,"pad":"` + strings.Repeat("b", 20<<10) + `"}`
	}
	bomb := append([]byte("C:"), zipped([]byte(text))...)
	require.Less(t, len(bomb), 2<<10)
	_, err := d.Decode(bomb, true)
	require.ErrorContains(t, err, "bytes allowed for its length")
}

func TestARequestTellsHowMuchInflatingMadeOfIt(t *testing.T) {
	d := wse.New(wse.Config{InflatedBytesMax: 1 << 20, InflateRatioMax: 100})
	text := []byte(`{"t":"x_y","p":{"text":"` + strings.Repeat("a", 30_000) + `"}}`)
	req, err := d.Decode(text, false)
	require.NoError(t, err)
	require.Zero(t, req.Inflated)
	packed := zipped(text)
	req, err = d.Decode(append([]byte("C:"), packed...), true)
	require.NoError(t, err)
	require.Equal(t, len(text)-len(packed), req.Inflated)
	payload := base64.StdEncoding.EncodeToString(zipped([]byte(`{"text":"` + strings.Repeat("a", 30_000) + `"}`)))
	req, err = d.Decode([]byte(`{"t":"x_y","cmp":true,"p":"`+payload+`"}`), false)
	require.NoError(t, err)
	require.Equal(t, 30_011-len(payload)-2, req.Inflated)
	bomb := zipped([]byte(strings.Repeat("a", 10<<20)))
	req, err = d.Decode(append([]byte("C:"), bomb...), true)
	require.Error(t, err)
	require.Greater(t, req.Inflated, 900_000, "what was refused was inflated too")
}

package scenario

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// encoding is one way a client exchanges messages: what it asks for at the upgrade, and the forms it may then get.
type encoding struct {
	name      string
	query     string
	extension string   // of WebSocket, offered
	forms     []string // of what comes
	encrypted bool     // and sealed
	sealed    string   // the encoding it comes to where it is encrypted: permessage-deflate is declined then (PROTOCOL §2.6)
}

// The forms that a message comes in.
const (
	formText    = "text"
	formCmp     = "cmp"  // JSON whose payload is base64 of zlib
	formZlib    = "zlib" // C: and zlib in a binary frame
	formDeflate = "deflate"
	formMsgpack = "msgpack"
)

// Encodings are the names that the encoding option of connect, and [Runner.Use], know.
func Encodings() []string {
	names := make([]string, len(encodings))
	for i := range encodings {
		names[i] = encodings[i].name
	}
	return names
}

// encodings is read-only.
var encodings = []encoding{
	{name: "plain", query: "compression=false", forms: []string{formText}},
	{name: "cmp", forms: []string{formText, formCmp}},
	{name: "zlib", query: "compression=true", forms: []string{formText, formZlib}},
	{name: "deflate", extension: "permessage-deflate", forms: []string{formText, formDeflate}, sealed: "cmp"},
	{name: "msgpack", query: "format=msgpack", forms: []string{formMsgpack}},
	{name: "encrypted", forms: []string{formText, formCmp}, encrypted: true},
	{name: "msgpack+deflate", query: "format=msgpack", extension: "permessage-deflate", forms: []string{formMsgpack, formDeflate},
		sealed: "msgpack"},
}

func encodingOf(name string) (*encoding, error) {
	for i := range encodings {
		if encodings[i].name == name {
			return &encodings[i], nil
		}
	}
	return nil, fmt.Errorf("no encoding is called %q; there are %s", name, strings.Join(Encodings(), ", "))
}

// unpackForm turns a message as its frame carried it into JSON, and says what form it had. What has none of the forms stays
// as it is.
func unpackForm(data []byte, binary, deflated bool) (text []byte, form string, err error) {
	form = formText
	switch {
	case binary && bytes.HasPrefix(data, []byte("C:")):
		form = formZlib
		if data, err = inflate(data[2:]); err != nil {
			return nil, form, fmt.Errorf("what follows C: %w", err)
		}
	case binary && len(data) > 0 && (data[0]&0xf0 == 0x80 || data[0] == 0xde || data[0] == 0xdf):
		form = formMsgpack
		if data, err = fromMsgpack(data); err != nil {
			return nil, form, fmt.Errorf("a message in MessagePack: %w", err)
		}
	case binary:
		return data, "", nil
	}
	if deflated {
		form = formDeflate
	}
	data, compressed, err := inflatePayload(data)
	if compressed {
		form = formCmp
	}
	return data, form, err
}

func inflate(data []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// inflatePayload puts a payload that was compressed by itself back where it stood, and takes the mark away.
func inflatePayload(text []byte) (_ []byte, compressed bool, err error) {
	var m struct {
		Cmp bool            `json:"cmp"`
		P   json.RawMessage `json:"p"`
	}
	if !bytes.Contains(text, []byte(`"cmp":true`)) || json.Unmarshal(text, &m) != nil || !m.Cmp {
		return text, false, nil
	}
	var packed []byte
	if err := json.Unmarshal(m.P, &packed); err != nil {
		return nil, true, fmt.Errorf("cmp is true and p is not base64: %w", err)
	}
	payload, err := inflate(packed)
	if err != nil {
		return nil, true, fmt.Errorf("cmp is true and p %w", err)
	}
	text = bytes.Replace(text, append([]byte(`"p":`), m.P...), append([]byte(`"p":`), payload...), 1)
	return bytes.Replace(text, []byte(`,"cmp":true`), nil, 1), true, nil
}

// fromMsgpack writes MessagePack as JSON, keeping the order of members.
func fromMsgpack(data []byte) ([]byte, error) {
	in := bytes.NewReader(data)
	var out bytes.Buffer
	if err := valueFromMsgpack(msgpack.NewDecoder(in), &out); err != nil {
		return nil, err
	}
	if in.Len() > 0 {
		return nil, fmt.Errorf("%d bytes follow its end", in.Len())
	}
	return out.Bytes(), nil
}

func valueFromMsgpack(d *msgpack.Decoder, out *bytes.Buffer) error {
	code, err := d.PeekCode()
	if err != nil {
		return err
	}
	opening, closing, n := byte('['), byte(']'), 0
	isMap := msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32
	switch {
	case isMap:
		opening, closing = '{', '}'
		n, err = d.DecodeMapLen()
	case msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32:
		n, err = d.DecodeArrayLen()
	default:
		v, err := d.DecodeInterface()
		out.WriteString(asJSON(v))
		return err
	}
	out.WriteByte(opening)
	for i := 0; err == nil && i < n; i++ {
		if i > 0 {
			out.WriteByte(',')
		}
		if isMap {
			var key string
			key, err = d.DecodeString()
			out.WriteString(asJSON(key) + ":")
		}
		if err == nil {
			err = valueFromMsgpack(d, out)
		}
	}
	out.WriteByte(closing)
	return err
}

func asJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what MessagePack has and JSON has not shows as nothing, which no pattern fits
	return strings.TrimSpace(b.String())
}

// errNotPackable says that a text has no other form: it is no JSON object, or not one that every reader reads alike.
var errNotPackable = errors.New("it is no JSON object")

// pack turns a text to be sent into its form in an encoding. Texts that are no JSON objects, PING and whatever a scenario
// sends to be refused, have no other form and are sent as they are.
func (e *encoding) pack(text []byte) (data []byte, form string) {
	form = e.forms[len(e.forms)-1]
	if e.name == "msgpack+deflate" {
		form = formMsgpack
	}
	data, err := packForm(form, text)
	if err != nil {
		return text, formText
	}
	return data, form
}

// packForm turns a JSON object into a form. Text may be anything.
func packForm(form string, text []byte) ([]byte, error) {
	if form == formText {
		return text, nil
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(text) || !utf8.Valid(text) {
		return nil, errNotPackable
	}
	switch form {
	case formZlib:
		return append([]byte("C:"), deflate(text)...), nil
	case formCmp:
		return compressPayload(text)
	case formMsgpack:
		return toMsgpack(text)
	}
	return text, nil
}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(data) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// compressPayload compresses the payload of a message that has an object for one and says nothing of it.
func compressPayload(text []byte) ([]byte, error) {
	var m struct {
		P               json.RawMessage `json:"p"`
		Cmp, Compressed json.RawMessage
	}
	if err := json.Unmarshal(text, &m); err != nil || len(m.P) == 0 || m.P[0] != '{' || m.Cmp != nil || m.Compressed != nil {
		return nil, errNotPackable
	}
	packed := `"` + base64.StdEncoding.EncodeToString(deflate(m.P)) + `","cmp":true`
	out := bytes.Replace(text, m.P, []byte(packed), 1)
	var again struct{ P json.RawMessage }
	if err := json.Unmarshal(out, &again); err != nil || !slices.Equal(again.P, []byte(packed[:len(packed)-len(`,"cmp":true`)])) {
		return nil, errNotPackable // the same object stands somewhere else first
	}
	return out, nil
}

// toMsgpack writes a JSON text as MessagePack, keeping the order of members and those that come twice.
func toMsgpack(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out bytes.Buffer
	if err := valueToMsgpack(d, &out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func valueToMsgpack(d *json.Decoder, out *bytes.Buffer) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	e := msgpack.NewEncoder(out)
	e.UseCompactInts(true)
	switch v := token.(type) {
	case json.Delim:
		return containerToMsgpack(d, out, v == '{')
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return e.EncodeInt(n)
		}
		f, err := v.Float64()
		if err != nil || strings.Trim(v.String(), "-0123456789") == "" {
			return errNotPackable // too large for a float64, or a whole number that a float64 would round
		}
		return e.EncodeFloat64(f)
	default:
		return e.Encode(v)
	}
}

func containerToMsgpack(d *json.Decoder, out *bytes.Buffer, object bool) error {
	var inner bytes.Buffer
	n := 0
	for ; d.More(); n++ {
		if object {
			if err := valueToMsgpack(d, &inner); err != nil {
				return err
			}
		}
		if err := valueToMsgpack(d, &inner); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	e := msgpack.NewEncoder(out)
	length := e.EncodeArrayLen
	if object {
		length = e.EncodeMapLen
	}
	if err := length(n); err != nil {
		return err
	}
	out.Write(inner.Bytes())
	return nil
}

package conformance

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func validText(b []byte) bool { return utf8.Valid(b) }

// A sequence is some bytes in hex and what they are called.
type sequence struct{ name, bytes string }

func (q sequence) decode() []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(q.bytes, " ", ""))
	if err != nil {
		panic(err) // a mistyped table
	}
	return b
}

// soundTexts are sequences of RFC 3629 that have to be accepted.
func soundTexts() []sequence {
	return []sequence{
		{"the word kosme", "ceba e1bdb9 cf83 cebc ceb5"}, {"Hello-µ@ßöäüàá-UTF-8!!", hex.EncodeToString([]byte("Hello-µ@ßöäüàá-UTF-8!!"))},
		{"the first of one byte", "00"}, {"the first of two bytes", "c280"}, {"the first of three bytes", "e0a080"}, {"the first of four bytes", "f0908080"},
		{"the last of one byte", "7f"}, {"the last of two bytes", "dfbf"}, {"the last of three bytes", "efbfbf"}, {"the last of four bytes", "f48fbfbf"},
		{"the last before the surrogates", "ed9fbf"}, {"the first behind the surrogates", "ee8080"}, {"the replacement character", "efbfbd"},
		{"the noncharacter U+FFFE", "efbfbe"}, {"the noncharacters of planes 1 to 4", "f09fbfbe f09fbfbf f0afbfbe f0afbfbf f0bfbfbe f0bfbfbf f18fbfbe f18fbfbf"},
		{"the noncharacters of planes 15 and 16", "f3bfbfbe f3bfbfbf f48fbfbe f48fbfbf"}, {"the noncharacters U+FDD0 to U+FDD3", "efb790 efb791 efb792 efb793"},
		{"the specials", "efbfb9 efbfba efbfbb efbfbc"}, {"a byte order mark", "efbbbf"}, {"controls", "0001021f7f c285"},
	}
}

// faultyTexts are the classics: what no UTF-8 decoder may accept (RFC 3629 §3, §4, §10).
func faultyTexts() []sequence {
	return []sequence{
		{"the first of five bytes", "f888808080"}, {"the first of six bytes", "fc8480808080"},
		{"the last of 21 bits", "f7bfbfbf"}, {"the last of five bytes", "fbbfbfbfbf"}, {"the last of six bytes", "fdbfbfbfbfbf"},
		{"one over U+10FFFF", "f4908080"},
		{"a lone 80", "80"}, {"a lone bf", "bf"}, {"two continuation bytes", "80bf"}, {"three", "80bf80"}, {"four", "80bf80bf"}, {"five", "80bf80bf80"},
		{"six", "80bf80bf80bf"}, {"all sixty-four continuation bytes", all(0x80, 0xbf, "")},
		{"all first bytes of two, each before a space", all(0xc0, 0xdf, "20")}, {"all first bytes of three, each before a space", all(0xe0, 0xef, "20")},
		{"all first bytes of four, each before a space", all(0xf0, 0xf7, "20")}, {"all first bytes of five, each before a space", all(0xf8, 0xfb, "20")},
		{"all first bytes of six, each before a space", all(0xfc, 0xfd, "20")},
		{"c0 alone", "c0"}, {"e0 80 cut short", "e080"}, {"f0 80 80 cut short", "f08080"}, {"f8 cut short", "f8808080"}, {"fc cut short", "fc80808080"},
		{"df alone", "df"}, {"ef bf cut short", "efbf"}, {"f7 bf bf cut short", "f7bfbf"}, {"fb cut short", "fbbfbfbf"}, {"fd cut short", "fdbfbfbfbf"},
		{"all of these cut short, one behind another", "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf"},
		{"fe", "fe"}, {"ff", "ff"}, {"fe fe ff ff", "fefeffff"},
		{"the slash in two bytes", "c0af"}, {"the slash in three", "e080af"}, {"the slash in four", "f08080af"}, {"the slash in five", "f8808080af"}, {"the slash in six", "fc80808080af"},
		{"the largest overlong of two", "c1bf"}, {"the largest overlong of three", "e09fbf"}, {"the largest overlong of four", "f08fbfbf"},
		{"the largest overlong of five", "f887bfbfbf"}, {"the largest overlong of six", "fc83bfbfbfbf"},
		{"NUL in two bytes", "c080"}, {"NUL in three", "e08080"}, {"NUL in four", "f0808080"}, {"NUL in five", "f880808080"}, {"NUL in six", "fc8080808080"},
		{"surrogate D800", "eda080"}, {"surrogate DB7F", "edadbf"}, {"surrogate DB80", "edae80"}, {"surrogate DBFF", "edafbf"}, {"surrogate DC00", "edb080"},
		{"surrogate DF80", "edbe80"}, {"surrogate DFFF", "edbfbf"},
		{"the pair D800 DC00", "eda080edb080"}, {"the pair D800 DFFF", "eda080edbfbf"}, {"the pair DB7F DC00", "edadbfedb080"}, {"the pair DBFF DFFF", "edafbfedbfbf"},
		{"a surrogate in a word", "cebae1bdb9cf83cebcceb5 eda080 656469746564"}, {"ff in the middle of ASCII", "61626364ff65666768"},
	}
}

// all writes the bytes from first to last, each followed by what behind says.
func all(first, last int, behind string) string {
	var b strings.Builder
	for c := first; c <= last; c++ {
		fmt.Fprintf(&b, "%02x%s", c, behind)
	}
	return b.String()
}

// textsByTable sends each sequence alone, split everywhere, an octet at a time and behind good text.
func textsByTable() []scenario {
	var list []exchange
	for _, q := range soundTexts() {
		b := q.decode()
		list = append(list,
			exchange{name: "RFC 3629 §3: " + q.name + " is text", send: []frame{textBytes(b)}, want: []frame{textBytes(b)}},
			exchange{name: "RFC 3629 §3: " + q.name + " is text an octet at a time", send: []frame{textBytes(b)}, chunk: 1, want: []frame{textBytes(b)}},
			exchange{name: "RFC 6455 §5.6: " + q.name + " in fragments of one byte is text", send: fragments(b), want: []frame{textBytes(b)}},
		)
	}
	for _, q := range faultyTexts() {
		b := q.decode()
		list = append(list,
			exchange{name: "RFC 6455 §8.1: " + q.name + " is no text", send: []frame{textBytes(b)}, code: 1007},
			exchange{name: "RFC 6455 §8.1: " + q.name + " in fragments of one byte is no text", send: fragments(b), after: []byte{}, code: 1007},
			exchange{name: "RFC 6455 §8.1: " + q.name + " behind good text is no text", chunk: 3,
				send: []frame{textBytes(append([]byte(repeat(300)), b...))}, code: 1007},
			exchange{name: "RFC 6455 §5.6: " + q.name + " in a binary message is nobody's business", send: []frame{binaryFrame(b)}, want: []frame{binaryFrame(b)}},
		)
	}
	return scenarios(list)
}

// fragments splits a text message into frames of one byte.
func fragments(b []byte) []frame {
	list := []frame{text("").more()}
	for _, c := range b {
		list = append(list, frame{op: opContinuation, payload: []byte{c}, notFinal: true})
	}
	return append(list, continuation(""))
}

// texts are prefixes, splits and the demand to fail at once.
func texts() []scenario {
	word := []byte("κόσμε")
	var list []exchange
	for n := 1; n < len(word); n++ {
		e := exchange{name: fmt.Sprintf("RFC 6455 §8.1: the first %d bytes of a Greek word", n), send: []frame{textBytes(word[:n])}}
		if utf8.Valid(word[:n]) {
			e.want = e.send
			e.name += " are text"
		} else {
			e.code = 1007
			e.name += " are cut inside a character"
		}
		list = append(list, e)
	}
	greeting := []byte("Hello-µ@ßöäüàá-UTF-8!! 🐢")
	for n := range greeting {
		list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.6: a text split into frames behind byte %d is one text", n),
			send: []frame{textBytes(greeting[:n]).more(), {op: opContinuation, payload: greeting[n:]}}, want: []frame{textBytes(greeting)}})
	}
	out := scenarios(list)
	for _, q := range []sequence{{"f4 90 80 80", "f4908080"}, {"a surrogate", "eda080"}, {"an overlong slash", "c0af"}, {"ff", "ff"}} {
		b := append([]byte("κόσμε"), q.decode()...)
		out = append(out,
			scenario{"RFC 6455 §8.1: " + q.name + " fails the connection before its fragment's message ends", failsEarly(textBytes(b).more().bytes())},
			scenario{"RFC 6455 §8.1: " + q.name + " in a later fragment fails the connection before the message ends",
				failsEarly(wire(text("good").more(), ping(""), frame{op: opContinuation, payload: b, notFinal: true}))},
			scenario{"RFC 6455 §8.1: " + q.name + " fails the connection though most of its frame is yet to come",
				failsEarly(textBytes(b).announcing(1 << 20).bytes())},
			scenario{"RFC 6455 §8.1: " + q.name + " across two fragments fails the connection at once",
				failsEarly(wire(textBytes(b[:len(b)-1]).more(), frame{op: opContinuation, payload: b[len(b)-1:], notFinal: true}))},
		)
	}
	return out
}

// failsEarly sends the beginning of a message and waits for 1007 without sending the rest.
func failsEarly(beginning []byte) func(t *testing.T, s *server) {
	return func(t *testing.T, s *server) {
		for _, chunk := range []int{0, 1} {
			p := s.connect(t)
			p.begin(beginning, chunk)
			f, err := p.next()
			for err == nil && f.op == opPong {
				f, err = p.next()
			}
			require.NoError(t, err, "the server waits for the rest of what cannot become text")
			require.Equal(t, byte(opClose), f.op)
			p.requireCode(1007, f)
			p.expectGone()
			if err := p.finish(); err != nil {
				require.True(t, reset(err), "%v", err)
			}
		}
	}
}

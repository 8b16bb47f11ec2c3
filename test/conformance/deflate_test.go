package conformance

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// offer is a case of negotiation (RFC 7692 §5, §7.1).
type offer struct {
	offered string // header values, one per line
	taken   bool
	needs   string // a parameter that the answer has to hold
}

// offerTable lists offers that have to be accepted and declined.
func offerTable() []offer {
	return []offer{
		{offered: "permessage-deflate", taken: true},
		{offered: "permessage-deflate; client_max_window_bits", taken: true},
		{offered: "permessage-deflate; client_max_window_bits=15", taken: true},
		{offered: "permessage-deflate; client_max_window_bits=8", taken: true},
		{offered: `permessage-deflate; client_max_window_bits="10"`, taken: true},
		{offered: "permessage-deflate; server_no_context_takeover", taken: true, needs: "server_no_context_takeover"},
		{offered: "permessage-deflate; client_no_context_takeover", taken: true},
		{offered: "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits", taken: true, needs: "server_no_context_takeover"},
		{offered: "permessage-deflate; server_max_window_bits=15", taken: true},
		{offered: "permessage-deflate ; client_max_window_bits ;server_no_context_takeover", taken: true, needs: "server_no_context_takeover"},
		{offered: "x-unheard-of, permessage-deflate", taken: true},
		{offered: "x-unheard-of; a=b; c=\"d\"\npermessage-deflate", taken: true},
		{offered: "permessage-deflate; unheard_of, permessage-deflate; client_max_window_bits", taken: true},
		{offered: "permessage-deflate; server_max_window_bits=10, permessage-deflate", taken: true},
		{offered: "permessage-deflate; server_max_window_bits=10"},
		{offered: "permessage-deflate; server_max_window_bits"},
		{offered: "permessage-deflate; server_max_window_bits=7"},
		{offered: "permessage-deflate; server_max_window_bits=16"},
		{offered: "permessage-deflate; server_max_window_bits=015"},
		{offered: "permessage-deflate; server_max_window_bits=abc"},
		{offered: "permessage-deflate; client_max_window_bits=7"},
		{offered: "permessage-deflate; client_max_window_bits=16"},
		{offered: "permessage-deflate; client_max_window_bits=08"},
		{offered: "permessage-deflate; client_max_window_bits=-9"},
		{offered: "permessage-deflate; client_max_window_bits=99999999999999999999"},
		{offered: "permessage-deflate; client_max_window_bits; client_max_window_bits"},
		{offered: "permessage-deflate; server_no_context_takeover; server_no_context_takeover"},
		{offered: "permessage-deflate; server_no_context_takeover=1"},
		{offered: "permessage-deflate; client_no_context_takeover=true"},
		{offered: "permessage-deflate; unheard_of"},
		{offered: "permessage-deflate; unheard_of=1"},
		{offered: "permessage-bzip2"},
		{offered: "x-webkit-deflate-frame"},
		{offered: "permessage-deflate; ="},
		{offered: ";;;,,,"},
		{offered: `permessage-deflate; client_max_window_bits="10`},
		{offered: "permessage-deflate; żółw"},
		{offered: strings.Repeat("permessage-deflate; unheard_of, ", 100) + "x"},
	}
}

func offers() []scenario {
	var out []scenario
	for _, o := range offerTable() {
		verb := "declined"
		if o.taken {
			verb = "accepted"
		}
		shown := o.offered
		if len(shown) > 150 {
			shown = shown[:60] + "…"
		}
		out = append(out, scenario{fmt.Sprintf("RFC 7692 §7.1: %q is %s", shown, verb), o.run})
	}
	return out
}

func (o offer) run(t *testing.T, s *server) {
	var lines []string
	for line := range strings.SplitSeq(o.offered, "\n") {
		lines = append(lines, "Sec-WebSocket-Extensions: "+line)
	}
	p := s.dial(t)
	p.write([]byte(upgradeRequest("/echo", lines...)), 0)
	resp := p.response()
	requireUpgraded(t, resp)
	answer := resp.Header["Sec-Websocket-Extensions"]
	if !o.taken {
		require.Empty(t, answer)
		exchange{send: []frame{text("plain")}, want: []frame{text("plain")}}.play(p)
		return
	}
	require.Len(t, answer, 1)
	requireSoundAnswer(t, o.offered, answer[0])
	require.Contains(t, answer[0], o.needs)
	p.compressed = true
	hello := []byte("Hello, compressed world")
	exchange{send: []frame{textBytes(deflate(hello, 9)).with(rsv1)}, want: []frame{textBytes(hello)}}.play(p)
}

// requireSoundAnswer checks the server's answer by the client's rules (RFC 7692 §7.1).
func requireSoundAnswer(t *testing.T, offered, answer string) {
	t.Helper()
	params := strings.Split(answer, ";")
	require.Equal(t, "permessage-deflate", strings.TrimSpace(params[0]))
	seen := make(map[string]bool)
	for _, param := range params[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		require.False(t, seen[name], "%s stands twice in %q", name, answer)
		seen[name] = true
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			require.Empty(t, value)
		case "server_max_window_bits":
			require.Equal(t, "15", value)
		case "client_max_window_bits":
			require.Contains(t, offered, name, "it was not offered (§7.1.2.2)")
			require.Regexp(t, `^([89]|1[0-5])$`, value)
		default:
			require.Fail(t, "an unknown parameter", "%q in %q", name, answer)
		}
	}
}

// compressedConnection does what a client does that offers everything.
func (s *server) compressedConnection(t *testing.T) *peer {
	t.Helper()
	p := s.connect(t, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	require.True(t, p.compressed, "permessage-deflate was not agreed on")
	return p
}

// compressedScenarios runs exchanges over connections with permessage-deflate.
func compressedScenarios(list []exchange) []scenario {
	out := make([]scenario, len(list))
	for i, e := range list {
		out[i] = scenario{e.name, func(t *testing.T, s *server) { e.play(s.compressedConnection(t)) }}
	}
	return out
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err) // a mistyped table
	}
	return b
}

// deflated are sound compressed messages (RFC 7692 §7.2, with its own samples).
func deflated() []scenario {
	hello := []frame{text("Hello")}
	list := []exchange{
		{name: "RFC 7692 §7.2.3.1: the sample of one compressed frame", send: []frame{textBytes(unhex("f248cdc9c90700")).with(rsv1)}, want: hello},
		{name: "RFC 7692 §7.2.3.1: the sample of two fragments", want: hello,
			send: []frame{textBytes(unhex("f248cd")).with(rsv1).more(), {op: opContinuation, payload: unhex("c9c90700")}}},
		{name: "RFC 7692 §7.2.3.3: the sample of a block without compression", send: []frame{textBytes(unhex("000500faff48656c6c6f00")).with(rsv1)}, want: hello},
		{name: "RFC 7692 §7.2.3.4: the sample of a final block", send: []frame{textBytes(unhex("f348cdc9c9070000")).with(rsv1)}, want: hello},
		{name: "RFC 7692 §7.2.3.5: the sample of two blocks", send: []frame{textBytes(unhex("f248050000 00ffff cac9c90700")).with(rsv1)}, want: hello},
		{name: "RFC 7692 §7.2.3.6: an empty message is a single zero byte", send: []frame{text("\x00").with(rsv1)}, want: []frame{text("")}},
		{name: "RFC 7692 §6.1: a message without RSV1 is not compressed", send: []frame{text("plain"), binaryFrame(octets(300))},
			want: []frame{text("plain"), binaryFrame(octets(300))}},
		{name: "RFC 7692 §6.1: compressed and plain messages mixed",
			send: []frame{text("plain"), textBytes(deflate([]byte("squeezed"), 9)).with(rsv1), text("plain again"), binaryFrame(deflate(octets(1000), 1)).with(rsv1)},
			want: []frame{text("plain"), text("squeezed"), text("plain again"), binaryFrame(octets(1000))}},
		{name: "RFC 7692 §6.1: a ping between compressed fragments is answered", want: []frame{pong("now"), text("Hello")},
			send: []frame{textBytes(unhex("f248cd")).with(rsv1).more(), ping("now"), {op: opContinuation, payload: unhex("c9c90700")}}},
		{name: "RFC 7692 §7.2.1: a compressed message of fragments of one byte", want: []frame{text(repeat(200))}, send: compressedFragments([]byte(repeat(200)))},
		{name: "RFC 7692 §7.2.1: a compressed message that comes an octet at a time", chunk: 1, want: []frame{text(repeat(500))},
			send: []frame{textBytes(deflate([]byte(repeat(500)), 9)).with(rsv1)}},
	}
	noise := make([]byte, 100_000)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise) // never fails
	for _, b := range [][]byte{{}, []byte(repeat(1)), []byte(repeat(125)), []byte(repeat(126)), []byte(repeat(1024)), []byte(repeat(65_535)), []byte(repeat(65_536)),
		[]byte(repeat(1 << 20)), noise} {
		for _, level := range []int{flate.NoCompression, flate.HuffmanOnly, flate.BestSpeed, flate.BestCompression} {
			kind := "text"
			if len(b) == len(noise) {
				kind = "noise"
			}
			list = append(list, exchange{name: fmt.Sprintf("RFC 7692 §7.2.2: %d bytes of %s deflated at level %d are inflated and echoed", len(b), kind, level),
				send: []frame{binaryFrame(deflate(b, level)).with(rsv1)}, want: []frame{binaryFrame(b)}})
		}
	}
	whole := []byte(repeat(16 << 20))
	list = append(list, exchange{name: "RFC 7692 §7.2.2: 16 MiB deflated are inflated and echoed",
		send: []frame{textBytes(deflate(whole, flate.BestSpeed)).with(rsv1)}, want: []frame{textBytes(whole)}})
	many := slices.Repeat([]frame{textBytes(deflate([]byte(repeat(2000)), 6)).with(rsv1)}, 500)
	list = append(list, exchange{name: "RFC 7692 §7.2.2: 500 compressed messages are echoed in order", send: many,
		want: slices.Repeat([]frame{text(repeat(2000))}, 500)})
	return compressedScenarios(list)
}

func compressedFragments(b []byte) []frame {
	list := []frame{text("").with(rsv1).more()}
	for _, c := range deflate(b, 9) {
		list = append(list, frame{op: opContinuation, payload: []byte{c}, notFinal: true})
	}
	return append(list, continuation(""))
}

// deflateFaults are what an endpoint has to refuse (RFC 7692 §6, §7.2; RFC 6455 §8.1).
func deflateFaults() []scenario {
	squeezed := textBytes(deflate([]byte("squeezed"), 9)).with(rsv1)
	large := bomb(64 << 20)
	list := []exchange{
		{name: "RFC 7692 §6.1: RSV1 on a continuation is refused", send: []frame{squeezed.more(), continuation("x").with(rsv1)}, code: 1002},
		{name: "RFC 7692 §6.1: RSV1 on a continuation of a plain message is refused", send: []frame{text("a").more(), continuation("b").with(rsv1)}, code: 1002},
		{name: "RFC 7692 §6.1: RSV1 on a ping is refused", send: []frame{ping("x").with(rsv1)}, code: 1002},
		{name: "RFC 7692 §6.1: RSV1 on a pong is refused", send: []frame{pong("x").with(rsv1)}, code: 1002},
		{name: "RFC 7692 §6.1: RSV1 on a close is refused", send: []frame{closeWith(1000, "").with(rsv1)}, code: 1002},
		{name: "RFC 7692 §6.1: RSV2 is refused with the extension too", send: []frame{squeezed.with(rsv2)}, code: 1002},
		{name: "RFC 7692 §6.1: RSV3 is refused with the extension too", send: []frame{text("x").with(rsv3)}, code: 1002},
		{name: "RFC 7692 §7.2.2: bytes that are no DEFLATE data are refused", send: []frame{text("no deflate at all").with(rsv1)}, code: 1007},
		{name: "RFC 7692 §7.2.2: a reserved block type is refused", send: []frame{textBytes(unhex("ff ff ff ff")).with(rsv1)}, code: 1007},
		{name: "RFC 7692 §7.2.2: a stored block with a wrong length is refused", send: []frame{textBytes(unhex("000500ffff48656c6c6f00")).with(rsv1)}, code: 1007},
		{name: "RFC 7692 §7.2.2: data cut inside a stored block is refused", send: []frame{textBytes(unhex("00ff0000ff48656c6c6f")).with(rsv1)}, code: 1007},
		{name: "RFC 7692 §7.1.1.2: the sample that refers to the message before is refused, no context being kept", want: []frame{text("Hello")},
			send: []frame{textBytes(unhex("f248cdc9c90700")).with(rsv1), textBytes(unhex("f200110000")).with(rsv1)}, code: 1007},
		{name: "RFC 6455 §8.1: a compressed text that is not UTF-8 is refused", send: []frame{textBytes(deflate([]byte("a\xffb"), 9)).with(rsv1)}, code: 1007},
		{name: "RFC 6455 §8.1: a compressed text cut inside a character is refused", send: []frame{textBytes(deflate([]byte("caf\xc3"), 9)).with(rsv1)}, code: 1007},
		{name: "RFC 6455 §10.4: 64 MiB in 64 KiB are refused", send: []frame{binaryFrame(large).with(rsv1)}, code: 1009},
		{name: "RFC 6455 §10.4: one byte over 16 MiB after inflation is refused", send: []frame{binaryFrame(bomb(16<<20 + 1)).with(rsv1)}, code: 1009},
		{name: "RFC 6455 §10.4: 16 MiB of zeros after inflation are echoed", send: []frame{binaryFrame(bomb(16 << 20)).with(rsv1)},
			want: []frame{binaryFrame(make([]byte, 16<<20))}},
	}
	fragments := split(large, 1000)
	fragments[0] = fragments[0].with(rsv1)
	list = append(list, exchange{name: "RFC 6455 §10.4: a bomb in fragments is refused", send: fragments, after: []byte{}, code: 1009})
	return append(compressedScenarios(list), scenario{"RFC 7692 §7.1.1.1: what the server compresses stands on its own", standsAlone})
}

// bomb returns n zeros, deflated.
func bomb(n int) []byte { return deflate(make([]byte, n), flate.BestCompression) }

// standsAlone relies on peer.next, which inflates every message with a fresh window, and checks that the server's answer
// promised that.
func standsAlone(t *testing.T, s *server) {
	p := s.dial(t)
	p.write([]byte(upgradeRequest("/echo", "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover")), 0)
	resp := p.response()
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Sec-WebSocket-Extensions"), "server_no_context_takeover")
	p.compressed = true
	b := bytes.Repeat([]byte("the same words again and again "), 1000)
	for range 20 {
		p.send(textBytes(deflate(b, 6)).with(rsv1))
		p.expect(textBytes(b))
	}
	p.closeNormally()
}

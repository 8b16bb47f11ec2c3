package conformance

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The lines of a sound handshake, so that cases can leave out or replace one.
const (
	lineGet        = "GET /echo HTTP/1.1"
	lineHost       = "Host: 127.0.0.1"
	lineUpgrade    = "Upgrade: websocket"
	lineConnection = "Connection: Upgrade"
	lineKey        = "Sec-WebSocket-Key: " + sampleKey
	lineVersion    = "Sec-WebSocket-Version: 13"
)

// head joins lines to an HTTP head.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// handshake is a case of one HTTP head.
type handshake struct {
	name   string
	head   string
	chunk  int
	status []int // any of these; none: 101, and the connection has to echo
	check  func(t *testing.T, resp *http.Response)
}

func (h handshake) run(t *testing.T, s *server) {
	p := s.dial(t)
	p.begin([]byte(h.head), h.chunk)
	resp := p.response()
	if h.status == nil {
		h.status = []int{http.StatusSwitchingProtocols}
	}
	require.Contains(t, h.status, resp.StatusCode)
	if h.check != nil {
		h.check(t, resp)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		require.NoError(t, p.finish())
		requireUpgraded(t, resp)
		p.send(text("after the handshake"))
		p.expect(text("after the handshake"))
		p.closeNormally()
		return
	}
	require.Less(t, resp.StatusCode, 500, "a faulty request is the client's fault")
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err, "the refusal's body is cut short")
	s.connect(t).closeNormally()
}

func handshakes(list []handshake) []scenario {
	out := make([]scenario, len(list))
	for i, h := range list {
		out[i] = scenario{h.name, h.run}
	}
	return out
}

// upgrades are the requests that have to be accepted.
func upgrades() []scenario {
	accept := func(want string) func(*testing.T, *http.Response) {
		return func(t *testing.T, resp *http.Response) {
			require.Equal(t, []string{want}, resp.Header["Sec-Websocket-Accept"])
			require.Empty(t, resp.Header["Sec-Websocket-Extensions"], "none was offered")
			require.Empty(t, resp.Header["Sec-Websocket-Protocol"], "none was offered")
		}
	}
	otherKey := base64.StdEncoding.EncodeToString(octets(16))
	return append(handshakes([]handshake{
		{name: "RFC 6455 §4.2.2: the smallest request is accepted, with the sample's Sec-WebSocket-Accept", head: upgradeRequest("/echo"), check: accept(sampleAccept)},
		{name: "RFC 6455 §4.2.2: Sec-WebSocket-Accept depends on the key", check: accept(acceptOf(otherKey)),
			head: head(lineGet, lineHost, lineUpgrade, lineConnection, "Sec-WebSocket-Key: "+otherKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: a request that comes an octet at a time is accepted", head: upgradeRequest("/echo"), chunk: 1, check: accept(sampleAccept)},
		{name: "RFC 6455 §4.2.1: a request that comes seven octets at a time is accepted", head: upgradeRequest("/echo"), chunk: 7, check: accept(sampleAccept)},
		{name: "RFC 9112 §5.1: names of header fields are read in any case",
			head: head(lineGet, "HOST: 127.0.0.1", "UPGRADE: websocket", "connection: Upgrade", "sec-websocket-KEY: "+sampleKey, "SEC-WEBSOCKET-VERSION: 13")},
		{name: "RFC 6455 §4.2.1: websocket and Upgrade are read in any case", head: head(lineGet, lineHost, "Upgrade: WebSocket", "Connection: UPGRADE", lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: Connection may be a list", head: head(lineGet, lineHost, lineUpgrade, "Connection: keep-alive, Upgrade", lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: Connection may be a list without spaces", head: head(lineGet, lineHost, lineUpgrade, "Connection: keep-alive,upgrade,x", lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: Connection may stand on two lines",
			head: head(lineGet, lineHost, lineUpgrade, "Connection: keep-alive", lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: Upgrade may be a list", head: head(lineGet, lineHost, "Upgrade: h2c, websocket", lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: the order of header fields does not matter", head: head(lineGet, lineVersion, lineKey, "X-Between: y", lineConnection, lineUpgrade, lineHost)},
		{name: "RFC 6455 §4.1: unknown header fields are ignored", head: upgradeRequest("/echo", "X-One: 1", "X-Two: a, b; c=\"d\"", "User-Agent: żółw", "X-Empty:")},
		{name: "RFC 9112 §5: a value needs no space before it and may have more round it",
			head: head(lineGet, "Host:127.0.0.1", "Upgrade:websocket", "Connection: \t Upgrade \t ", "Sec-WebSocket-Key:"+sampleKey, "Sec-WebSocket-Version:  13 ")},
		{name: "RFC 6455 §4.1: the resource may be an absolute URI", head: head("GET http://127.0.0.1/echo HTTP/1.1", lineHost, lineUpgrade, lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.1: the resource may have a query", head: upgradeRequest("/echo?a=b&c=%20d")},
		{name: "RFC 6455 §4.2.2: a subprotocol that the server does not know is not answered", head: upgradeRequest("/echo", "Sec-WebSocket-Protocol: unheard-of"),
			check: func(t *testing.T, resp *http.Response) { require.Empty(t, resp.Header["Sec-Websocket-Protocol"]) }},
		{name: "RFC 6455 §9.1: an extension that the server does not know is not answered", head: upgradeRequest("/echo", "Sec-WebSocket-Extensions: x-unheard-of; a=1"),
			check: func(t *testing.T, resp *http.Response) { require.Empty(t, resp.Header["Sec-Websocket-Extensions"]) }},
		{name: "RFC 6455 §4.1: a request with cookies and an origin of the same host is accepted", head: upgradeRequest("/echo", "Origin: http://127.0.0.1", "Cookie: a=b; c=d")},
	}), scenario{"RFC 6455 §4.1: frames behind the handshake in the same packet are read", pipelined})
}

func pipelined(t *testing.T, s *server) {
	for _, chunk := range []int{0, 1, 13} {
		p := s.dial(t)
		p.write(append([]byte(upgradeRequest("/echo")), wire(text("eager"), ping("beaver"))...), chunk)
		requireUpgraded(t, p.response())
		p.expect(text("eager"), pong("beaver"))
		p.closeNormally()
	}
}

// refusal are the statuses for a request that is no sound handshake.
func refusal() []int {
	return []int{http.StatusBadRequest, http.StatusUpgradeRequired, http.StatusNotFound, http.StatusMethodNotAllowed}
}

// badUpgrades are requests that must not be accepted.
func badUpgrades() []scenario {
	list := []handshake{
		{name: "RFC 6455 §4.2.1: no Upgrade", head: head(lineGet, lineHost, lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: an empty Upgrade", head: head(lineGet, lineHost, "Upgrade:", lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: another Upgrade", head: head(lineGet, lineHost, "Upgrade: h2c", lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: an Upgrade that only begins with websocket", head: head(lineGet, lineHost, "Upgrade: websockets", lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: no Connection", head: head(lineGet, lineHost, lineUpgrade, lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: another Connection", head: head(lineGet, lineHost, lineUpgrade, "Connection: keep-alive", lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: a Connection that only contains the word", head: head(lineGet, lineHost, lineUpgrade, "Connection: no-upgrade", lineKey, lineVersion)},
		{name: "RFC 6455 §4.2.1: no key", head: head(lineGet, lineHost, lineUpgrade, lineConnection, lineVersion)},
		{name: "RFC 6455 §4.2.1: no Host", head: head(lineGet, lineUpgrade, lineConnection, lineKey, lineVersion)},
		{name: "RFC 9112 §3.2: two Hosts", head: head(lineGet, lineHost, "Host: other", lineUpgrade, lineConnection, lineKey, lineVersion)},
		{name: "RFC 6455 §11.3.1: two keys", head: upgradeRequest("/echo", lineKey)},
		{name: "RFC 6455 §4.2.1: nothing of a handshake", head: head(lineGet, lineHost)},
	}
	for _, key := range []string{"", "x", sampleKey[:22], sampleKey[1:], sampleKey + sampleKey, strings.Repeat("=", 24), "dGhlIHNhbXBsZSBub25jZQ!!",
		base64.StdEncoding.EncodeToString(octets(15)), base64.StdEncoding.EncodeToString(octets(17)), base64.StdEncoding.EncodeToString(octets(18))} {
		list = append(list, handshake{name: fmt.Sprintf("RFC 6455 §4.2.1: the key %q is not 16 octets in base64", key),
			head: head(lineGet, lineHost, lineUpgrade, lineConnection, "Sec-WebSocket-Key: "+key, lineVersion)})
	}
	for _, method := range []string{"POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "get", "GETT"} {
		list = append(list, handshake{name: "RFC 6455 §4.2.1: the method " + method,
			head: strings.Replace(upgradeRequest("/echo"), "GET", method, 1)})
	}
	for i := range list {
		list[i].name += " is refused"
		list[i].status = refusal()
	}
	list = append(list, handshake{name: "RFC 6455 §4.2.2: an unknown resource is not found", head: upgradeRequest("/nowhere"), status: []int{http.StatusNotFound}},
		handshake{name: "RFC 6455 §10.2: a foreign origin is refused", head: upgradeRequest("/echo", "Origin: http://evil.example"), status: []int{http.StatusForbidden}})
	return handshakes(list)
}

// versions are RFC 6455 §4.4.
func versions() []scenario {
	says13 := func(t *testing.T, resp *http.Response) {
		require.Contains(t, strings.Join(resp.Header["Sec-Websocket-Version"], ", "), "13")
	}
	var list []handshake
	for _, v := range []string{"8", "12", "14", "7", "0", "013", "13.0", "-13", "256", "99999999999999999999", "thirteen", ""} {
		list = append(list, handshake{name: fmt.Sprintf("RFC 6455 §4.4: version %q is answered by 426 and the version to use", v),
			head:   head(lineGet, lineHost, lineUpgrade, lineConnection, lineKey, "Sec-WebSocket-Version: "+v),
			status: []int{http.StatusUpgradeRequired}, check: says13})
	}
	return handshakes(append(list,
		handshake{name: "RFC 6455 §4.2.1: a request without a version is refused",
			head: head(lineGet, lineHost, lineUpgrade, lineConnection, lineKey), status: []int{http.StatusUpgradeRequired, http.StatusBadRequest}},
		handshake{name: "RFC 6455 §11.3.5: two versions are refused", head: upgradeRequest("/echo", "Sec-WebSocket-Version: 8"),
			status: []int{http.StatusUpgradeRequired, http.StatusBadRequest}},
	))
}

// heads are what no HTTP parser should take (RFC 9112).
func heads() []scenario {
	sound := upgradeRequest("/echo")
	bad := []int{http.StatusBadRequest}
	list := []handshake{
		{name: "RFC 9112 §5.1: a line without a colon is refused", head: upgradeRequest("/echo", "no colon here"), status: bad},
		{name: "RFC 9112 §5.1: a space before the colon is refused", head: upgradeRequest("/echo", "X-Space : x"), status: bad},
		{name: "RFC 9112 §5.1: an empty name is refused", head: upgradeRequest("/echo", ": x"), status: bad},
		{name: "RFC 9112 §5.1: a name with a space is refused", head: upgradeRequest("/echo", "X Space: x"), status: bad},
		{name: "RFC 9112 §5.5: a NUL in a value is refused", head: upgradeRequest("/echo", "X-Nul: a\x00b"), status: bad},
		{name: "RFC 9112 §2.2: a bare carriage return in a value is refused", head: upgradeRequest("/echo", "X-Cr: a\rX-Smuggled: b"), status: bad},
		{name: "RFC 9112 §5.2: a folded line is refused", head: upgradeRequest("/echo", "X-Fold: a", " b"), status: bad},
		{name: "RFC 9112 §3: a request line without a version is refused", head: strings.Replace(sound, " HTTP/1.1", "", 1), status: bad},
		{name: "RFC 9112 §3: a request line of one word is refused", head: strings.Replace(sound, lineGet, "GET", 1), status: bad},
		{name: "RFC 9112 §3: an empty target is refused", head: strings.Replace(sound, "/echo", "", 1), status: bad},
		{name: "RFC 9112 §3: a target with a space is refused", head: strings.Replace(sound, "/echo", "/ec ho", 1), status: bad},
		{name: "RFC 9112 §3: a target that is no path is refused", head: strings.Replace(sound, "/echo", "echo", 1), status: []int{400, 404}},
		{name: "RFC 9112 §2.3: random bytes are refused", head: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", status: bad},
		{name: "RFC 6455 §10.3: a head of 64 KiB is refused", head: upgradeRequest("/echo", "X-Long: "+repeat(64<<10)), status: []int{400, 431}},
		{name: "RFC 6455 §10.3: a target of 64 KiB is refused", head: upgradeRequest("/echo?" + repeat(64<<10)), status: []int{400, 414, 431}},
		{name: "RFC 6455 §10.3: a head of 5,000 lines is refused", status: []int{400, 431},
			head: upgradeRequest("/echo", slices.Repeat([]string{"X-Many: of them"}, 5000)...)},
	}
	out := handshakes(list)
	for _, version := range []string{"HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.", "HTTP/11", "http/1.1", "HTTX/1.1", "HTTP/1.1 x"} {
		out = append(out, scenario{"RFC 6455 §4.2.1: " + version + " is refused", func(t *testing.T, s *server) {
			p := s.dial(t)
			p.write([]byte(strings.Replace(sound, "HTTP/1.1", version, 1)), 0)
			resp := p.response()
			require.Contains(t, []int{400, 426, 505}, resp.StatusCode)
		}})
	}
	return out
}

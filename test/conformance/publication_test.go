package conformance

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// publications are the frames that subscribers of protocol v2 get.
func publications() []scenario {
	return []scenario{
		{"PROTOCOL §2.6: a publication over 1,024 bytes comes compressed where that was agreed on, a small one does not", compressedPublication},
		{"PROTOCOL §2.6: without permessage-deflate and with compression=false a large publication comes in one text frame", plainPublication},
		{"PROTOCOL §2.6: without permessage-deflate and with compression=true it comes as C: and zlib in one binary frame", zlibPublication},
		{"PROTOCOL §2.6: where nothing is said of compression it comes with its payload compressed in one text frame", cmpPublication},
		{"PROTOCOL §2.1: what the server sends is text, and t is the first key", firstKey},
		{"PROTOCOL §2.2: server_ready is the first frame, though requests came behind the handshake in the same packet", readyFirst},
	}
}

// subscriber opens a v2 connection for a user of its own, subscribed to order_events.
func (s *server) subscriber(t *testing.T, user string, lines ...string) *peer {
	t.Helper()
	return s.subscriberOf(t, user, "", lines...)
}

// subscriberOf does the same with more in the query.
func (s *server) subscriberOf(t *testing.T, user, query string, lines ...string) *peer {
	t.Helper()
	token, err := exec.Command(program, "token", "--sub", user, "--set", "data_dir="+s.data).Output()
	require.NoError(t, err)
	p := s.dial(t)
	p.write([]byte(upgradeRequest("/wse?topics=order_events"+query+"&token="+strings.TrimSpace(string(token)), lines...)), 0)
	resp := p.response()
	requireUpgraded(t, resp)
	p.compressed = resp.Header.Get("Sec-WebSocket-Extensions") != ""
	p.envelope("server_ready")
	p.envelope("subscription_update")
	return p
}

// envelope reads up to an envelope of type t.
func (p *peer) envelope(t string) []byte {
	p.t.Helper()
	for {
		f, err := p.next()
		require.NoError(p.t, err, "waiting for %s", t)
		require.Equal(p.t, byte(opText), f.op, "%s", f)
		require.True(p.t, strings.HasPrefix(string(f.payload), `{"t":"`), "%s", f)
		if strings.HasPrefix(string(f.payload), `{"t":"`+t+`"`) {
			return f.payload
		}
	}
}

// order hands in an order event with a note of n bytes.
func (s *server) order(t *testing.T, user string, n int) {
	t.Helper()
	body := fmt.Sprintf(`{"type":"OrderPlacedEvent","user_id":%q,"payload":{"note":%q}}`, user, repeat(n))
	resp, err := http.Post("http://"+s.admin+"/api/v1/events", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func compressedPublication(t *testing.T, s *server) {
	p := s.subscriber(t, "squeezed", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	require.True(t, p.compressed)
	for _, tc := range []struct{ bytes, compressed int }{{100, 0}, {4000, 1}, {200, 0}, {100_000, 1}} {
		before := p.rsv1Seen
		s.order(t, "squeezed", tc.bytes)
		require.Equal(t, repeat(tc.bytes), noteOf(t, p.envelope("order_update")))
		require.Equal(t, tc.compressed, p.rsv1Seen-before, "compressed frames for %d bytes", tc.bytes)
	}
	p.closeNormally()
}

func plainPublication(t *testing.T, s *server) {
	p := s.subscriberOf(t, "plain", "&compression=false")
	s.order(t, "plain", 4000)
	require.Equal(t, repeat(4000), noteOf(t, p.envelope("order_update")))
	p.closeNormally()
}

func zlibPublication(t *testing.T, s *server) {
	p := s.subscriberOf(t, "zlib", "&compression=true")
	p.envelope("snapshot_complete")
	s.order(t, "zlib", 4000)
	f, err := p.next()
	require.NoError(t, err)
	require.Equal(t, byte(opBinary), f.op, "%s", f)
	packed, ok := strings.CutPrefix(string(f.payload), "C:")
	require.True(t, ok, "%s", f)
	require.Equal(t, repeat(4000), noteOf(t, unzipped(t, []byte(packed))))
	s.order(t, "zlib", 100)
	require.Equal(t, repeat(100), noteOf(t, p.envelope("order_update")))
	p.closeNormally()
}

func cmpPublication(t *testing.T, s *server) {
	p := s.subscriber(t, "cmp")
	s.order(t, "cmp", 4000)
	var e struct {
		P   []byte // base64
		Cmp bool
	}
	require.NoError(t, json.Unmarshal(p.envelope("order_update"), &e))
	require.True(t, e.Cmp)
	require.Equal(t, repeat(4000), noteOf(t, fmt.Appendf(nil, `{"p":%s}`, unzipped(t, e.P))))
	s.order(t, "cmp", 100)
	small := p.envelope("order_update")
	require.Equal(t, repeat(100), noteOf(t, small))
	require.NotContains(t, string(small), `"cmp"`)
	p.closeNormally()
}

func unzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := zlib.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	return out
}

func noteOf(t *testing.T, envelope []byte) string {
	t.Helper()
	var e struct{ P struct{ Note string } }
	require.NoError(t, json.Unmarshal(envelope, &e))
	return e.P.Note
}

func firstKey(t *testing.T, s *server) {
	p := s.subscriber(t, "first_key")
	for _, request := range []string{`{"t":"ping","p":{"timestamp":1}}`, `{"t":"client_hello","p":{}}`, `{"t":"health_check"}`, `not json`, `{"t":"PING"}`} {
		p.send(text(request))
	}
	p.all("PONG", "server_hello", "health_check_response", "error", "PONG")
	p.closeNormally()
}

// all reads until each of these has come, an answer as often as it stands there. Their order is not promised: more urgent
// ones overtake others that wait.
func (p *peer) all(want ...string) {
	p.t.Helper()
	for len(want) > 0 {
		f, err := p.next()
		require.NoError(p.t, err, "waiting for %s", want)
		kind := "pong"
		if f.op != opPong {
			require.Equal(p.t, byte(opText), f.op, "%s", f)
			rest, first := strings.CutPrefix(string(f.payload), `{"t":"`)
			require.True(p.t, first, "t is not the first key: %s", f)
			kind, _, _ = strings.Cut(rest, `"`)
		}
		if i := slices.Index(want, kind); i >= 0 {
			want = slices.Delete(want, i, i+1)
		}
	}
}

func readyFirst(t *testing.T, s *server) {
	token, err := exec.Command(program, "token", "--sub", "eager", "--set", "data_dir="+s.data).Output()
	require.NoError(t, err)
	p := s.dial(t)
	p.write(append([]byte(upgradeRequest("/wse?token="+strings.TrimSpace(string(token)))), wire(text(`{"t":"ping","p":{"timestamp":1}}`), ping("eager"))...), 0)
	requireUpgraded(t, p.response())
	f, err := p.next()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(f.payload), `{"t":"server_ready"`), "%s", f)
	p.all("PONG", "pong")
	p.closeNormally()
}

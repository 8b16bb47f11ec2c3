package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/message"
)

// TestAReplayLargerThanTheQueueReachesAClientThatReadsSlowly asks for three megabytes of history over a connection whose
// queue ends at one, and reads it in its own time.
func TestAReplayLargerThanTheQueueReachesAClientThatReadsSlowly(t *testing.T) {
	r := start(t, func(cfg *engine.Config) {
		for i := range cfg.Topics {
			cfg.Topics[i].HistoryKiBMax = 16 << 10
		}
	})
	payload := []byte(`{"x":"` + string(bytes.Repeat([]byte("y"), 3000)) + `"}`)
	first, err := r.Publish(t.Context(), &message.Envelope{Topic: "user:u1:events", Type: "n", Payload: payload})
	require.NoError(t, err)
	for range 999 {
		_, err := r.Publish(t.Context(), &message.Envelope{Topic: "user:u1:events", Type: "n", Payload: payload})
		require.NoError(t, err)
	}

	dialer := ws.Dialer{
		Header:  ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + r.token(t, "u1")}}),
		NetDial: (&net.Dialer{}).DialContext,
	}
	c, br, _, err := dialer.Dial(t.Context(), "ws://"+r.Addr().String()+"/wse?compression=false")
	require.NoError(t, err)
	if br != nil { // what came in the same segment as the answer
		defer ws.PutReader(br)
	}
	defer func() { _ = c.Close() }()
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(64<<10))
	require.NoError(t, c.SetDeadline(time.Now().Add(2*soon)))
	subscribe := fmt.Sprintf(`{"t":"subscription_update","p":{"action":"subscribe","topics":["events"],"recover":true,"recovery":{"events":{"epoch":"%08x","offset":%d}}}}`,
		uint32(first.Epoch), first.Seq)
	require.NoError(t, wsutil.WriteClientText(c, []byte(subscribe)))
	var in io.ReadWriter = c
	if br != nil {
		in = struct {
			io.Reader
			io.Writer
		}{br, c}
	}
	want := uint64(2)
	for {
		raw, err := wsutil.ReadServerText(in)
		if err != nil {
			t.Fatalf("after %d: %v", want-1, err)
		}
		var m struct {
			T string `json:"t"`
			O uint64 `json:"o"`
			P struct {
				NewState string `json:"new_state"`
			} `json:"p"`
		}
		require.NoError(t, json.Unmarshal(raw, &m))
		require.Empty(t, m.P.NewState, "a replay is not a reason to be degraded")
		if m.T == "snapshot_complete" {
			break
		}
		if m.T == "n" {
			require.Equal(t, want, m.O)
			want++
		}
	}
	require.EqualValues(t, 1001, want)
}

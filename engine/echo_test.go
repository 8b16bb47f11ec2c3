package engine_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
)

func TestTheEchoEndpointReturnsMessagesOfUpTo16MiBOnEitherPoller(t *testing.T) {
	for _, poller := range []string{engine.PollerAuto, engine.PollerGoroutine} {
		t.Run(poller, func(t *testing.T) {
			r := start(t, func(cfg *engine.Config) { cfg.Debug.Echo, cfg.Debug.Poller = true, poller })
			c, _, _, err := ws.Dial(t.Context(), "ws://"+r.Addr().String()+"/echo")
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			require.NoError(t, c.SetDeadline(time.Now().Add(2*soon)))
			for _, size := range []int{0, 1, 125, 126, 65536, 1 << 20, 16 << 20} {
				sent := bytes.Repeat([]byte{'x'}, size)
				written := make(chan error, 1)
				go func() { written <- wsutil.WriteClientBinary(c, sent) }()
				got, err := wsutil.ReadServerBinary(c)
				require.NoError(t, err)
				require.NoError(t, <-written)
				require.True(t, bytes.Equal(sent, got), "%d bytes went, %d came back", size, len(got))
			}
			// The announcement alone is enough to be refused.
			require.NoError(t, ws.WriteHeader(c, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Length: 16<<20 + 1}))
			h, err := ws.ReadHeader(c)
			require.NoError(t, err)
			require.Equal(t, ws.OpClose, h.OpCode)
			payload := make([]byte, h.Length)
			_, err = io.ReadFull(c, payload)
			require.NoError(t, err)
			code, _ := ws.ParseCloseFrameData(payload)
			require.Equal(t, ws.StatusMessageTooBig, code)
		})
	}
}

package conn_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUpgradeAndConnectionMayBeLists(t *testing.T) {
	cases := []struct{ name, old, new string }{
		{"Connection on two lines", "Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"},
		{"Connection on two lines, the other way round", "Connection: Upgrade", "Connection: Upgrade\r\nConnection: keep-alive"},
		{"Connection as a list", "Connection: Upgrade", "Connection: keep-alive, upgrade"},
		{"Upgrade as a list", "Upgrade: websocket", "Upgrade: h2c, WebSocket"},
		{"Upgrade on two lines", "Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"},
	}
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				c := srv.dial(t)
				resp := c.request(strings.Replace(upgradeRequest("/"), tc.old, tc.new, 1))
				require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
				c.sendText("hello")
				c.expect(healthText("hello"))
			})
		}
	})
}

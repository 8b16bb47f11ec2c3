package conn_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARequestIsAnswered(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		srv := s.start(t)
		c := srv.open(t)
		for _, text := range []string{"hello", "again"} {
			c.sendText(text)
			c.expect(healthText(text))
		}
		sc := <-srv.app.opened
		require.Equal(t, "connected", sc.State())
		require.Len(t, sc.ID(), 16)
		require.NoError(t, c.Close())
		require.Equal(t, sc, <-srv.app.closed)
		require.Equal(t, "closed", sc.State())
	})
}

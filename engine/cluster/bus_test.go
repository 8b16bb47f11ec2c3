package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheBusIsHeardAgainASecondLaterAtMostHoweverLongRedisIsAway(t *testing.T) {
	wait := time.Duration(0)
	for range 3600 {
		next := hearWait(wait, 0)
		require.GreaterOrEqual(t, next, max(wait, hearAgain), "it is not tried more and more often")
		require.LessOrEqual(t, next, hearAtMost)
		wait = next
	}
	require.Equal(t, hearAgain, hearWait(wait, pingAfter+1), "it was heard in between")
}

package conn

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

func TestFailuresToAcceptAreLoggedOnceAMinuteWithTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := &acceptFaults{log: hclog.New(&hclog.LoggerOptions{Output: &out})}
		every := time.NewTicker(250 * time.Millisecond)
		defer every.Stop()
		for range 3 * 60 * 4 {
			f.failed(errors.New("too many open files"))
			<-every.C
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, 3, out.String())
		require.Contains(t, lines[0], `error="too many open files" failures=1`)
		require.Contains(t, lines[1], "failures=240")
		<-time.After(time.Hour)
		f.failed(errors.New("again"))
		require.Contains(t, out.String(), "error=again")
	})
}

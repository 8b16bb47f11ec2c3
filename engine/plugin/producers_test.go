package plugin

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzProducers reads what any module may hold in a section that nobody checks.
func FuzzProducers(f *testing.F) {
	f.Add([]byte("\x02\x08language\x01\x02Go\x001\x0cprocessed-by\x01\x0bGo cmd/comp\x041.26"))
	f.Add([]byte("\x01\x08language\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01a\x01b"))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, content []byte) {
		list := producers(content)
		require.LessOrEqual(t, len(list), producersMax)
		for _, text := range list {
			require.LessOrEqual(t, len(text), 3*producerBytesMax*3+4)
			require.False(t, strings.ContainsAny(text, "\n\x1b\x00"))
		}
	})
}

func TestProducersAreReadUpToTheFirstFault(t *testing.T) {
	require.Equal(t, []string{"language: C11", "processed-by: clang 19"},
		producers([]byte("\x03\x08language\x01\x03C11\x00\x0cprocessed-by\x01\x05clang\x0219\x03sdk\x01\x40x")))
	require.Len(t, producers(append([]byte("\x01\x01f\x7f"), strings.Repeat("\x01a\x01b", 127)...)), producersMax)
}

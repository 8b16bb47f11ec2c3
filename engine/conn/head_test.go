package conn

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzHead checks that a head never panics, that its end does not depend on how it is cut, and that what is accepted means
// the same to net/http, which reads it after us.
func FuzzHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 3)
	f.Add([]byte("GET / HTTP/1.1\nHost: a\n\nrest"), 20)
	f.Add([]byte("POST /x?y HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), 0)
	f.Add([]byte("GET ws://a/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"), 50)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n\r\n"), 17)
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: -1\r\n\r\n"), 30)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		end := endOfHead(data, 0)
		if cut >= 0 && cut <= len(data) && endOfHead(data[:cut], 0) < 0 {
			require.Equal(t, end, endOfHead(data, cut), "what was looked at need not be looked at again")
		}
		if end < 0 {
			return
		}
		require.Equal(t, end, endOfHead(data[:end], 0))
		h, err := parseHead(data[:end])
		if err != nil {
			var refusal *httpError
			require.True(t, errors.As(err, &refusal))
			require.GreaterOrEqual(t, refusal.status, 400)
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(h.text)))
		if err != nil {
			return // it is refused there
		}
		require.Equal(t, req.Method, h.method)
		require.Equal(t, req.RequestURI, h.target)
		if !h.transferEncoding && h.contentLength >= 0 && req.ContentLength >= 0 {
			require.EqualValues(t, req.ContentLength, h.contentLength)
		}
	})
}

package clients

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// closed is the end of a connection as a library reports it.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %s", c.code, c.reason) }

// socket is what the libraries have in common. read fails with a *closed once the server has closed; leave does the close
// handshake and fails if the server does not answer it.
type socket interface {
	read() ([]byte, error)
	write(binary bool, b []byte) error
	leave(code int) error
}

// dialer opens a connection with a library, offering subprotocols, and returns the handshake's answer.
type dialer func(url string, protocols ...string) (socket, *http.Response, error)

// subprotocol is v2's.
const subprotocol = "wse.v2"

// libraries are the Go libraries, each with and without permessage-deflate.
func libraries() map[string]dialer {
	return map[string]dialer{
		"gorilla":                         dialGorilla(false),
		"gorilla with permessage-deflate": dialGorilla(true),
		"coder":                           dialCoder(coder.CompressionDisabled),
		"coder with permessage-deflate":   dialCoder(coder.CompressionNoContextTakeover),
		"coder with permessage-deflate in context": dialCoder(coder.CompressionContextTakeover),
	}
}

type gorillaSocket struct{ c *gorilla.Conn }

func dialGorilla(compress bool) dialer {
	return func(url string, protocols ...string) (socket, *http.Response, error) {
		d := gorilla.Dialer{Subprotocols: protocols, EnableCompression: compress, HandshakeTimeout: patience}
		c, resp, err := d.Dial(url, nil)
		if err != nil {
			return nil, resp, err
		}
		return gorillaSocket{c}, resp, c.SetReadDeadline(time.Now().Add(patience))
	}
}

func (s gorillaSocket) read() ([]byte, error) {
	_, b, err := s.c.ReadMessage()
	var end *gorilla.CloseError
	if errors.As(err, &end) {
		return nil, &closed{end.Code, end.Text}
	}
	return b, err
}

func (s gorillaSocket) write(binary bool, b []byte) error {
	if binary {
		return s.c.WriteMessage(gorilla.BinaryMessage, b)
	}
	return s.c.WriteMessage(gorilla.TextMessage, b)
}

func (s gorillaSocket) leave(code int) error {
	if err := s.c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, "")); err != nil {
		return err
	}
	for {
		_, err := s.read()
		var end *closed
		if errors.As(err, &end) && end.code == code {
			return s.c.Close()
		}
		if err != nil {
			return err
		}
	}
}

type coderSocket struct{ c *coder.Conn }

func dialCoder(mode coder.CompressionMode) dialer {
	return func(url string, protocols ...string) (socket, *http.Response, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, resp, err := coder.Dial(ctx, url, &coder.DialOptions{
			Subprotocols: protocols, CompressionMode: mode, CompressionThreshold: 64,
		})
		if err != nil {
			return nil, resp, err
		}
		c.SetReadLimit(16 << 20)
		return coderSocket{c}, resp, nil
	}
}

func (s coderSocket) read() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := s.c.Read(ctx)
	var end coder.CloseError
	if errors.As(err, &end) {
		return nil, &closed{int(end.Code), end.Reason}
	}
	return b, err
}

func (s coderSocket) write(binary bool, b []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if binary {
		return s.c.Write(ctx, coder.MessageBinary, b)
	}
	return s.c.Write(ctx, coder.MessageText, b)
}

func (s coderSocket) leave(code int) error { return s.c.Close(coder.StatusCode(code), "") }

// envelope is what the tests look at of a v2 message.
type envelope struct {
	T   string         `json:"t"`
	P   map[string]any `json:"-"`
	ID  string         `json:"id"`
	CID string         `json:"cid"`
	Seq uint64         `json:"seq"`
	TP  string         `json:"tp"`
	E   string         `json:"e"`
	O   uint64         `json:"o"`
	V   int            `json:"v"`
	raw string
}

// next reads an envelope; heartbeats are passed over.
func next(t *testing.T, s socket) envelope {
	t.Helper()
	for {
		b, err := s.read()
		require.NoError(t, err)
		e := envelope{raw: string(b)}
		require.NoError(t, json.Unmarshal(b, &e), "%s", b)
		e.P = payload(t, b)
		require.Equal(t, 2, e.V, "%s", b)
		require.True(t, strings.HasPrefix(e.raw, `{"t":`), "t is the first key (PROTOCOL §2.1): %s", b)
		if e.T != "heartbeat" {
			return e
		}
	}
}

// payload reads p, which is compressed where cmp is true (PROTOCOL §2.6).
func payload(t *testing.T, b []byte) (p map[string]any) {
	t.Helper()
	var m struct {
		P   json.RawMessage `json:"p"`
		Cmp bool            `json:"cmp"`
	}
	require.NoError(t, json.Unmarshal(b, &m))
	if m.Cmp {
		var packed []byte
		require.NoError(t, json.Unmarshal(m.P, &packed))
		r, err := zlib.NewReader(bytes.NewReader(packed))
		require.NoError(t, err)
		m.P, err = io.ReadAll(r)
		require.NoError(t, err)
	}
	require.NoError(t, json.Unmarshal(m.P, &p))
	return p
}

// until reads up to the first envelope of a type.
func until(t *testing.T, s socket, kind string) envelope {
	t.Helper()
	for {
		if e := next(t, s); e.T == kind {
			return e
		}
	}
}

// send sends a v2 request.
func send(t *testing.T, s socket, kind, id string, p any) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"t": kind, "id": id, "p": p})
	require.NoError(t, err)
	require.NoError(t, s.write(false, b))
}

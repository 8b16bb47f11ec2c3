package engine

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/msgpack"
)

// told is what a client needs of a message, of either protocol.
type told struct {
	T string          `json:"t"`
	P json.RawMessage `json:"p"`
	O uint64          `json:"o"`
	E string          `json:"e"`

	Type, Status string
	Streams      []string
	Cmp          bool
}

// String is type and position, or what a system message says.
func (m *told) String() string {
	switch {
	case m.O > 0:
		return fmt.Sprintf("%s %s/%d", m.T, m.E, m.O)
	case m.T == "subscription_update":
		var p struct {
			Action   string
			Success  bool
			Recovery map[string]struct {
				Epoch  string
				Offset uint64
			}
		}
		_ = json.Unmarshal(m.P, &p)
		return fmt.Sprint(p.Action, " ", p.Success, " ", p.Recovery)
	case m.Type != "":
		return strings.TrimSpace(m.Type + " " + m.Status)
	}
	return m.T
}

// form is one way that a client of a test talks.
type form struct {
	name, query string
	deflate     bool
	v1          bool
	gcm         cipher.AEAD // once there is a key
}

// formed is a connection in a form.
type formed struct {
	t *testing.T
	*form
	conn io.ReadWriter
}

// formsTime is how long clients in forms may take from their connection to the last that they read.
const formsTime = 5 * time.Minute

// dial connects to the engine in a form.
func (e *Engine) dialForm(t *testing.T, f *form, token string) *formed {
	t.Helper()
	path, dialer := "/wse", ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})}
	if f.v1 {
		path = "/ws"
	}
	if f.deflate {
		dialer.Extensions = append(dialer.Extensions, wsflate.DefaultParameters.Option())
	}
	conn, early, hs, err := dialer.Dial(t.Context(), "ws://"+e.Addr().String()+path+"?"+f.query)
	require.NoError(t, err)
	require.Equal(t, f.deflate, len(hs.Extensions) > 0)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetDeadline(time.Now().Add(formsTime)))
	c := &formed{t: t, form: f, conn: conn}
	if early != nil {
		c.conn = struct {
			io.Reader
			io.Writer
		}{early, conn}
	}
	return c
}

// next returns the next message, opened, inflated and as JSON.
func (c *formed) next() *told {
	c.t.Helper()
	header, err := ws.ReadHeader(c.conn)
	require.NoError(c.t, err)
	body := make([]byte, header.Length)
	_, err = io.ReadFull(c.conn, body)
	require.NoError(c.t, err)
	if header.OpCode.IsControl() {
		return c.next()
	}
	if c.gcm != nil {
		require.Equal(c.t, "E:", string(body[:2]))
		body, err = c.gcm.Open(nil, body[2:14], body[14:], nil)
		require.NoError(c.t, err)
	}
	if header.Rsv1() {
		body, err = wsflate.DefaultHelper.Decompress(body)
		require.NoError(c.t, err)
	}
	if rest, ok := bytes.CutPrefix(body, []byte("C:")); ok {
		body = c.inflate(rest)
	}
	if msgpack.IsMap(body) {
		body, err = msgpack.AppendJSON(nil, body, 1<<20)
		require.NoError(c.t, err)
	}
	m := &told{}
	require.NoError(c.t, json.Unmarshal(body, m), "%q", body)
	if m.Cmp {
		var packed []byte
		require.NoError(c.t, json.Unmarshal(m.P, &packed))
		m.P = c.inflate(packed)
	}
	return m
}

func (c *formed) inflate(packed []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(packed))
	require.NoError(c.t, err)
	plain, err := io.ReadAll(r)
	require.NoError(c.t, err)
	return plain
}

// until reads up to a message of a type and returns it.
func (c *formed) until(kind string) *told {
	c.t.Helper()
	for {
		if m := c.next(); m.T == kind || m.Status == kind {
			return m
		}
	}
}

// agree agrees on a key (PROTOCOL §2.6).
func (c *formed) agree() {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(c.t, err)
	c.send(fmt.Sprintf(`{"t":"client_hello","p":{"encryption_public_key":%q}}`, base64.StdEncoding.EncodeToString(own.PublicKey().Bytes())))
	var hello struct {
		Key []byte `json:"encryption_public_key"`
	}
	require.NoError(c.t, json.Unmarshal(c.until("server_hello").P, &hello))
	theirs, err := ecdh.P256().NewPublicKey(hello.Key)
	require.NoError(c.t, err)
	secret, err := own.ECDH(theirs)
	require.NoError(c.t, err)
	key, err := hkdf.Key(sha256.New, secret, nil, "wse-encryption/aes-gcm-key", 32)
	require.NoError(c.t, err)
	block, err := aes.NewCipher(key)
	require.NoError(c.t, err)
	c.gcm, err = cipher.NewGCM(block)
	require.NoError(c.t, err)
}

func (c *formed) send(text string) {
	c.t.Helper()
	if c.gcm == nil {
		require.NoError(c.t, wsutil.WriteClientText(c.conn, []byte(text)))
		return
	}
	iv := make([]byte, 12)
	_, _ = rand.Read(iv)
	sealed := append([]byte("E:"), iv...)
	require.NoError(c.t, wsutil.WriteClientBinary(c.conn, c.gcm.Seal(sealed, iv, []byte(text), nil)))
}

// follows subscribes to the order events of the client's user, and reads up to where live publications begin.
func (c *formed) follows() *formed {
	switch {
	case c.v1:
		c.send(`{"type":"subscribe","stream":"orders"}`)
		c.until("subscribed")
		for range 5 {
			c.next() // seeds
		}
		return c
	case c.name == "encrypted":
		c.until("server_ready")
		c.agree()
	}
	if c.name != "by a pattern" {
		c.send(`{"t":"subscription_update","p":{"action":"subscribe","topics":["order_events"]}}`)
	}
	c.until("snapshot_complete")
	return c
}

// restarted reads a restart that brings a snapshot and an update, each with a payload, and then an update.
func (c *formed) restarted(payload []byte) {
	c.t.Helper()
	if c.v1 {
		m := c.next()
		require.Equal(c.t, "status stream_interrupted", m.String())
		require.Equal(c.t, []string{"orders"}, m.Streams)
		require.Equal(c.t, "data", c.next().String())
		return
	}
	require.Equal(c.t, "recover true map[user:u1:order_events:{0000beef 41}]", c.next().String())
	for _, want := range []string{"order_snapshot 0000beef/40", "order_update 0000beef/41"} {
		m := c.next()
		require.Equal(c.t, want, m.String())
		require.JSONEq(c.t, string(payload), string(m.P))
	}
	m := c.next()
	require.Equal(c.t, "snapshot_complete", m.T)
	require.Contains(c.t, string(m.P), "user:u1:order_events")
	require.Equal(c.t, "order_update 0000beef/42", c.next().String())
}

// TestARestartIsReadInEveryForm has clients in every form there is follow a topic that does not go on.
func TestARestartIsReadInEveryForm(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	cfg.Limits.DrainJitter = 0
	// What is read is read in this order, without a heartbeat in between, by clients that do not answer pings.
	cfg.Heartbeat.Interval, cfg.Heartbeat.IdleTimeout = formsTime, 2*formsTime
	e, err := New(cfg, Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	token, err := e.auth.Issue(auth.Spec{UserID: "u1", Level: "premium"})
	require.NoError(t, err)
	var clients []*formed
	for _, f := range []*form{
		{name: "plain", query: "compression=false"}, {name: "deflate", deflate: true}, {name: "cmp"}, {name: "zlib", query: "compression=true"},
		{name: "msgpack", query: "format=msgpack"}, {name: "msgpack and deflate", query: "format=msgpack", deflate: true},
		{name: "encrypted", query: "encryption=true&compression=true"},
		{name: "by a pattern", query: "topics=user:u1:*"}, {name: "v1", v1: true}, {name: "v1 and deflate", v1: true, deflate: true},
	} {
		clients = append(clients, e.dialForm(t, f, token).follows())
	}

	const topic = message.Topic("user:u1:order_events")
	large := []byte(`{"orders":"` + strings.Repeat("all of them, ", 500) + `"}`)
	env := func(kind string, seq uint64, payload []byte) *message.Envelope {
		return &message.Envelope{
			Type: kind, Topic: topic, Seq: seq, Epoch: 0xbeef, ID: fmt.Sprint(kind, seq), TimeMS: 1, Payload: payload,
			Category: message.CategoryOf(kind), Level: e.classes.For(topic).Level,
		}
	}
	e.listeners.Restart(topic, broker.History{
		Position:  broker.Position{Epoch: 0xbeef, Offset: 41},
		Snapshots: []*message.Envelope{env("order_snapshot", 40, large)}, Publications: []*message.Envelope{env("order_update", 41, large)},
	})
	e.listeners.Deliver(env("order_update", 42, []byte(`{}`)))
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			c.t = t
			c.restarted(large)
		})
	}
}

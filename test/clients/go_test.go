package clients

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bench is what a scenario in Go works with: a server, a library and a user of its own.
type bench struct {
	*server
	dial     dialer
	user     string
	token    string
	compress bool
}

func TestGoLibraries(t *testing.T) {
	s := start(t)
	scenarios := []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"messages of every kind and size are echoed", echoes},
		{"the subprotocol and the extension are agreed on", agrees},
		{"server_ready is the first message", ready},
		{"a domain event arrives mapped by the stock plugin", mapped},
		{"a large publication arrives whole", large},
		{"another user's topic is refused", foreignTopic},
		{"a bad token is told and closed with 4401", badToken},
		{"no token is told and closed with 4401", noToken},
		{"a malformed message is answered and the connection kept", malformed},
		{"the client's close is answered", leaves},
		{"what was missed after a drop is replayed without gap or duplicate", recovers},
	}
	for name, dial := range libraries() {
		user := strings.NewReplacer(" ", "_", "-", "_").Replace(name)
		b := &bench{server: s, dial: dial, user: user, token: s.token(t, user), compress: strings.Contains(name, "deflate")}
		t.Run(name, func(t *testing.T) {
			for _, sc := range scenarios {
				t.Run(sc.name, func(t *testing.T) { sc.run(t, b) })
			}
		})
	}
}

// connect opens a v2 connection and returns it with its server_ready.
func (b *bench) connect(t *testing.T) (socket, envelope) {
	t.Helper()
	s, resp, err := b.dial("ws://"+b.addr+"/wse?token="+b.token, subprotocol)
	require.NoError(t, err)
	require.Equal(t, subprotocol, resp.Header.Get("Sec-WebSocket-Protocol"))
	first := next(t, s)
	require.Equal(t, "server_ready", first.T, "%s", first.raw)
	return s, first
}

// subscribed opens a v2 connection and subscribes.
func (b *bench) subscribed(t *testing.T, topic string) (socket, envelope) {
	t.Helper()
	s, first := b.connect(t)
	send(t, s, "subscription_update", "sub", map[string]any{"action": "subscribe", "topics": []string{topic}})
	answer := until(t, s, "subscription_update")
	require.Equal(t, true, answer.P["success"], "%s", answer.raw)
	require.Equal(t, "sub", answer.CID)
	return s, first
}

func echoes(t *testing.T, b *bench) {
	s, _, err := b.dial("ws://" + b.addr + "/echo")
	require.NoError(t, err)
	for _, message := range [][]byte{{}, []byte("hello"), []byte("żółw 🐢"), bytes.Repeat([]byte("0123456789abcdef"), 100), bytes.Repeat([]byte("x"), 1<<20)} {
		for _, binary := range []bool{false, true} {
			require.NoError(t, s.write(binary, message))
			got, err := s.read()
			require.NoError(t, err)
			require.True(t, bytes.Equal(message, got), "%d bytes came back as %d", len(message), len(got))
		}
	}
	require.NoError(t, s.leave(1000))
}

func agrees(t *testing.T, b *bench) {
	s, resp, err := b.dial("ws://"+b.addr+"/wse?token="+b.token, subprotocol)
	require.NoError(t, err)
	require.Equal(t, subprotocol, resp.Header.Get("Sec-WebSocket-Protocol"))
	if b.compress {
		require.Contains(t, resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	} else {
		require.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"))
	}
	require.NoError(t, s.leave(1000))
}

func ready(t *testing.T, b *bench) {
	s, first := b.connect(t)
	details, ok := first.P["details"].(map[string]any)
	require.True(t, ok, "%s", first.raw)
	require.InDelta(t, 2, details["version"], 0)
	require.Equal(t, b.user, details["user_id"])
	require.NotEmpty(t, details["connection_id"])
	require.NotEmpty(t, details["server_time"])
	require.Contains(t, details, "features")
	require.Contains(t, details, "endpoints")
	require.NoError(t, s.leave(1000))
}

func mapped(t *testing.T, b *bench) {
	s, _ := b.subscribed(t, "broker_account_events")
	b.event(t, "BrokerAccountLinked", b.user, map[string]string{"broker_account_id": "acc_123", "status": "linked"})
	got := until(t, s, "broker_account_update")
	require.Equal(t, map[string]any{"original_event_type": "BrokerAccountLinked", "broker_account_id": "acc_123", "status": "linked"}, got.P)
	require.Equal(t, "user:"+b.user+":broker_account_events", got.TP)
	require.Equal(t, uint64(1), got.Seq)
	require.NotEmpty(t, got.E)
	require.NoError(t, s.leave(1000))
}

func large(t *testing.T, b *bench) {
	s, _ := b.subscribed(t, "position_events")
	note := strings.Repeat("a position of some size; ", 2000)
	b.event(t, "PositionOpenedEvent", b.user, map[string]string{"note": note})
	require.Equal(t, note, until(t, s, "position_update").P["note"])
	require.NoError(t, s.leave(1000))
}

func foreignTopic(t *testing.T, b *bench) {
	s, _ := b.connect(t)
	send(t, s, "subscription_update", "sub", map[string]any{"action": "subscribe", "topics": []string{"user:somebody_else:order_events"}})
	answer := until(t, s, "subscription_update")
	require.Equal(t, false, answer.P["success"], "%s", answer.raw)
	failed, ok := answer.P["failed_topics"].([]any)
	require.True(t, ok, "%s", answer.raw)
	require.Len(t, failed, 1)
	b.event(t, "OrderFilledEvent", "somebody_else", map[string]string{"order_id": "secret"})
	send(t, s, "ping", "after", map[string]int{"timestamp": 1})
	for e := next(t, s); e.T != "PONG"; e = next(t, s) {
		require.NotEqual(t, "order_update", e.T, "%s", e.raw)
	}
	require.NoError(t, s.leave(1000))
}

// refused connects and expects to be told why not.
func refused(t *testing.T, b *bench, query, code string) {
	s, _, err := b.dial("ws://"+b.addr+"/wse"+query, subprotocol)
	require.NoError(t, err, "the upgrade succeeds, since browsers see no HTTP status (PROTOCOL §2.2)")
	told := next(t, s)
	require.Equal(t, "error", told.T, "%s", told.raw)
	require.Equal(t, code, told.P["code"])
	require.Equal(t, false, told.P["recoverable"])
	_, err = s.read()
	var end *closed
	require.True(t, errors.As(err, &end), "%v", err)
	require.Equal(t, 4401, end.code)
}

func badToken(t *testing.T, b *bench) {
	refused(t, b, "?token="+b.token[:len(b.token)-4]+"AAAA", "AUTH_FAILED")
}

func noToken(t *testing.T, b *bench) { refused(t, b, "", "AUTH_REQUIRED") }

func malformed(t *testing.T, b *bench) {
	s, _ := b.connect(t)
	require.NoError(t, s.write(false, []byte("{not json")))
	told := until(t, s, "error")
	require.Equal(t, "INVALID_MESSAGE", told.P["code"], "%s", told.raw)
	send(t, s, "ping", "still", map[string]int{"timestamp": 1})
	require.Equal(t, "still", until(t, s, "PONG").CID)
	require.NoError(t, s.leave(1000))
}

func leaves(t *testing.T, b *bench) {
	for _, code := range []int{1000, 1001, 4000} {
		s, _ := b.connect(t)
		require.NoError(t, s.leave(code))
	}
}

func recovers(t *testing.T, b *bench) {
	s, first := b.subscribed(t, "order_events")
	place := func(id string) {
		b.event(t, "OrderPlacedEvent", b.user, map[string]string{"order_id": id})
	}
	place("1")
	seen := until(t, s, "order_update")
	b.disconnect(t, first.P["details"].(map[string]any)["connection_id"].(string))
	for {
		if _, err := s.read(); err != nil {
			var end *closed
			require.True(t, errors.As(err, &end), "%v", err)
			break
		}
	}
	for _, id := range []string{"2", "3", "4"} {
		place(id)
	}
	s, _ = b.connect(t)
	send(t, s, "subscription_update", "again", map[string]any{
		"action": "subscribe", "topics": []string{seen.TP}, "recover": true,
		"recovery": map[string]any{seen.TP: map[string]any{"epoch": seen.E, "offset": seen.O}},
	})
	answer := until(t, s, "subscription_update")
	recovery, ok := answer.P["recovery"].(map[string]any)[seen.TP].(map[string]any)
	require.True(t, ok, "%s", answer.raw)
	require.Equal(t, true, recovery["recovered"], "%s", answer.raw)
	require.InDelta(t, 3, recovery["count"], 0)
	place("5")
	for i, id := range []string{"2", "3", "4", "5"} {
		got := until(t, s, "order_update")
		require.Equal(t, id, got.P["order_id"])
		require.Equal(t, seen.O+uint64(i)+1, got.O)
		require.Equal(t, seen.E, got.E)
	}
	require.NoError(t, s.leave(1000))
}

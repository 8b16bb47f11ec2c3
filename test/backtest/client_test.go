package backtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/scenario"
)

// user is somebody's connection, by protocol v1.
type user struct {
	t    *testing.T
	conn net.Conn
	asks int
}

// patience is how long anything may take.
const patience = 2 * time.Minute

// connect connects somebody of the level trader.
func connect(t *testing.T, e *scenario.Engine, name string) *user {
	t.Helper()
	token, said, code, err := e.Command("token", "--sub", name, "--permission", "trader")
	require.NoError(t, err)
	require.Zero(t, code, said)
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + strings.TrimSpace(token)}}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, rest, _, err := dialer.Dial(ctx, "ws://"+e.Public+"/ws")
	require.NoError(t, err)
	u := &user{t: t, conn: conn}
	if rest != nil { // the greeting came with the upgrade's answer
		u.conn = &both{conn, io.MultiReader(io.LimitReader(rest, int64(rest.Buffered())), conn)}
	}
	t.Cleanup(func() { _ = conn.Close() }) // the engine may have been killed
	return u
}

// both reads what was read too early first.
type both struct {
	net.Conn
	reader io.Reader
}

// Read implements io.Reader.
func (b *both) Read(p []byte) (int, error) { return b.reader.Read(p) }

// answer asks and returns the answer, whatever it is.
func (u *user) answer(kind string, fields map[string]any) map[string]any {
	u.t.Helper()
	u.asks++
	request := map[string]any{"type": kind, "id": strconv.Itoa(u.asks)}
	for name, value := range fields {
		request[name] = value
	}
	text, err := json.Marshal(request)
	require.NoError(u.t, err)
	require.NoError(u.t, u.conn.SetDeadline(time.Now().Add(patience)))
	require.NoError(u.t, wsutil.WriteClientText(u.conn, text))
	for {
		got, err := wsutil.ReadServerText(u.conn)
		require.NoError(u.t, err, kind)
		if m := decoded(u.t, got).(map[string]any); m["id"] == request["id"] {
			return m
		}
	}
}

// ask asks for what is to be granted.
func (u *user) ask(kind string, fields map[string]any) map[string]any {
	u.t.Helper()
	answer := u.answer(kind, fields)
	require.Equal(u.t, "response", answer["type"], "%v", answer)
	return answer
}

// results asks for all that a session came to.
func (u *user) results(session string) map[string]any {
	u.t.Helper()
	return u.ask("results_request", map[string]any{"request_type": "session_results", "session_id": session})["data"].(map[string]any)
}

// session asks how a session is doing.
func (u *user) session(id string) map[string]any {
	u.t.Helper()
	return u.ask("session_status", map[string]any{"session_id": id})["data"].(map[string]any)
}

// count is a number of an answer.
func count(t *testing.T, of any) int {
	t.Helper()
	n, err := of.(json.Number).Int64()
	require.NoError(t, err)
	return int(n)
}

// publish publishes ticks through the admin API; they are taken when it returns without an error.
func publish(ctx context.Context, e *scenario.Engine, ticks ...map[string]any) error {
	items := make([]map[string]any, 0, len(ticks))
	for _, tick := range ticks {
		items = append(items, map[string]any{"topic": "stream:market_data:" + tick["symbol"].(string), "t": "market_data_update", "p": tick})
	}
	text, err := json.Marshal(items)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.Admin+"/api/v1/publish", bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if said, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || bytes.Contains(said, []byte(`"error"`)) {
		return fmt.Errorf("%s: %s: %w", response.Status, said, err)
	}
	return nil
}

package engine_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// node starts an engine that shares a Redis, and everything that users and operators set, with others. It is ready, and the others
// know of it, when node returns.
func node(t *testing.T, server *redistest.Server, strategies string) *running {
	t.Helper()
	r := start(t, func(c *engine.Config) {
		c.Broker.Redis.Addrs = []string{server.Addr()}
		c.Cluster.NodeTimeout, c.Cluster.AskTimeout = soon, soon // one that is not heard of has left
		c.Auth.Secret = auth.Secret(strings.Repeat("s", 32))
		c.Trading.StrategiesDir = strategies
	})
	require.Eventually(t, func() bool {
		status, _ := r.admin(t, "GET", "/readyz")
		_, answer := r.admin(t, "GET", "/api/v1/nodes")
		return status == http.StatusOK && slices.ContainsFunc(ids(answer), func(id string) bool { return id == answer["this"] })
	}, soon, 10*time.Millisecond)
	return r
}

func TestNodesThatAreNotConfiguredAlikeAreTold(t *testing.T) {
	server := redistest.Single(t)
	a := node(t, server, "")
	start(t, func(c *engine.Config) {
		c.Broker.Redis.Addrs = []string{server.Addr()}
		c.Auth.Secret = auth.Secret(strings.Repeat("S", 32))
		c.Topics[0].HistorySize++
	})
	require.Eventually(t, func() bool {
		_, answer := a.admin(t, "GET", "/api/v1/nodes")
		differences, _ := answer["differences"].(map[string]any)
		return len(differences) == 2 && differences["config:auth"] != nil && differences["config:topics"] != nil
	}, soon, 10*time.Millisecond)
}

// strategy returns a directory with one strategy, trend.
func strategy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	raw, err := os.ReadFile("../examples/backtest/strategies/trend.json")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "trend.json"), raw, 0o600))
	return dir
}

// ids returns what nodes an answer of the admin API names.
func ids(answer map[string]any) (out []string) {
	nodes, _ := answer["nodes"].([]any)
	for _, n := range nodes {
		out = append(out, n.(map[string]any)["id"].(string))
	}
	return out
}

func TestWhatAnOperatorTellsOneNodeAllDo(t *testing.T) {
	server := redistest.Single(t)
	a, b := node(t, server, ""), node(t, server, "")
	var known []string
	require.Eventually(t, func() bool {
		_, answer := a.admin(t, "GET", "/api/v1/nodes")
		known = ids(answer)
		return len(known) == 2
	}, soon, 10*time.Millisecond)
	for _, r := range []*running{a, b} {
		r.tail(t, "u1", "events")
		r.tail(t, "u2", "events")
	}
	status, answer := b.admin(t, "DELETE", "/api/v1/connections?user=u1")
	require.Equal(t, http.StatusOK, status, "%v", answer)
	require.Equal(t, 2.0, answer["done"])
	require.Equal(t, known, ids(answer))
	for _, r := range []*running{a, b} {
		require.Eventually(t, func() bool {
			_, left := r.admin(t, "GET", "/api/v1/connections")
			return left["total"] == 1.0
		}, soon, 5*time.Millisecond)
	}
	_, list := a.admin(t, "GET", "/api/v1/connections")
	id := list["connections"].([]any)[0].(map[string]any)["id"].(string)
	status, _ = b.admin(t, "DELETE", "/api/v1/connections/"+id)
	require.Equal(t, http.StatusNoContent, status, "it is on the other node")
	status, answer = b.admin(t, "DELETE", "/api/v1/connections/0000000000000000")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, answer["detail"], "any of the 2 nodes")
}

func TestARefreshTokenIsSpentOnceByAllNodes(t *testing.T) {
	server := redistest.Single(t)
	a, b := node(t, server, ""), node(t, server, "")
	keys, err := auth.New(a.cfg.Auth, a.cfg.DataDir)
	require.NoError(t, err)
	issue := func(user string) string {
		token, err := keys.Issue(auth.Spec{UserID: user, Refresh: true})
		require.NoError(t, err)
		return token
	}
	first := issue("u1")
	second := a.refresh(t, first).pair().RefreshToken
	third := b.refresh(t, second).pair().RefreshToken
	b.refresh(t, first).problem(http.StatusUnauthorized, "invalid_token")
	a.refresh(t, third).problem(http.StatusUnauthorized, "invalid_token")

	token := issue("u2")
	status, answer := a.admin(t, "DELETE", "/api/v1/refresh-tokens?user=u2")
	require.Equal(t, http.StatusOK, status, "%v", answer)
	require.Equal(t, 2.0, answer["done"])
	b.refresh(t, token).problem(http.StatusUnauthorized, "invalid_token")
}

// logged takes lines of a log.
type logged chan string

// Write implements io.Writer.
func (l logged) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default: // nobody reads so many
	}
	return len(line), nil
}

func TestEachTopicWhoseMembersCannotBeKeptIsNamedInTheLog(t *testing.T) {
	server := redistest.Single(t)
	topics := map[string]bool{"public:a": true, "public:b": true, "public:c": true}
	for topic := range topics {
		require.NoError(t, server.Client().Set(t.Context(), "{wse:"+topic+"}:p", "another program's", 0).Err())
	}
	log := make(logged, 1000)
	r := startLogging(t, log, func(c *engine.Config) {
		c.Broker.Redis.Addrs = []string{server.Addr()}
		at := slices.IndexFunc(c.Topics, func(class broker.Class) bool { return class.Pattern == "public:*" })
		c.Topics[at].Presence = true
	})
	// All are asked about with one call.
	ended := server.DebugSleep(300 * time.Millisecond)
	var all sync.WaitGroup
	for topic := range topics {
		all.Go(func() { r.tail(t, "u1", topic) })
	}
	<-ended
	all.Wait()
	late := time.After(soon)
	for len(topics) > 0 {
		select {
		case line := <-log:
			for topic := range topics {
				if strings.Contains(line, "topic="+topic+" ") && strings.Contains(line, "another program; delete it there") {
					delete(topics, topic)
				}
			}
		case <-late:
			require.Empty(t, topics, "these are not named")
		}
	}
}

// desk is somebody's connection by protocol v1.
type desk struct {
	t    *testing.T
	conn net.Conn
	from io.Reader
}

func (r *running) desk(t *testing.T, user string) *desk {
	t.Helper()
	keys, err := auth.New(r.cfg.Auth, r.cfg.DataDir)
	require.NoError(t, err)
	token, err := keys.Issue(auth.Spec{UserID: user, Level: "premium"})
	require.NoError(t, err)
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}}}
	conn, rest, _, err := dialer.Dial(t.Context(), "ws://"+r.Addr().String()+"/ws")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	d := &desk{t: t, conn: conn, from: conn}
	if rest != nil {
		early, err := io.ReadAll(io.LimitReader(rest, int64(rest.Buffered())))
		require.NoError(t, err)
		d.from = io.MultiReader(bytes.NewReader(early), conn)
	}
	return d
}

// ask sends a request and returns its answer.
func (d *desk) ask(request string) (answer map[string]any) {
	d.t.Helper()
	require.NoError(d.t, d.conn.SetDeadline(time.Now().Add(soon)))
	require.NoError(d.t, wsutil.WriteClientText(d.conn, []byte(request)))
	var asked map[string]any
	require.NoError(d.t, json.Unmarshal([]byte(request), &asked))
	for {
		raw, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{d.from, d.conn})
		require.NoError(d.t, err)
		answer = nil
		require.NoError(d.t, json.Unmarshal(raw, &answer))
		if answer["id"] == asked["id"] {
			return answer
		}
	}
}

func TestASessionIsItsOwnersOnAllNodes(t *testing.T) {
	server, dir := redistest.Single(t), strategy(t)
	a, b := node(t, server, dir), node(t, server, dir)
	here, there := a.desk(t, "u1"), b.desk(t, "u1")
	const request = `{"type":"session_start","id":"1","session_type":"live","strategy_config":{"trend":["SP500"]}}`
	started := here.ask(request)
	require.Equal(t, "response", started["type"], "%v", started)
	id := started["session_id"].(string)
	again := there.ask(request)
	require.Equal(t, id, again["session_id"], "%v", again)
	require.Equal(t, true, again["reused"])
	other := b.desk(t, "u2").ask(request)
	require.Equal(t, "session_conflict", other["error_code"], "%v", other)
	status := there.ask(`{"type":"session_status","id":"2"}`)
	require.Equal(t, id, status["session_id"], "%v", status)
	require.Eventually(t, func() bool { // the others are told beside the answer
		_, list := b.admin(t, "GET", "/api/v1/sessions?user=u1")
		sessions, _ := list["sessions"].([]any)
		return len(sessions) == 1
	}, soon, 10*time.Millisecond)

	require.NoError(t, a.stop())
	status = there.ask(`{"type":"session_status","id":"3","session_id":"` + id + `"}`)
	require.Equal(t, "stopped", status["data"].(map[string]any)["status"], "%v", status)
	require.Equal(t, "engine_restarted", status["data"].(map[string]any)["reason"], "%v", status)
	results := there.ask(`{"type":"results_request","id":"4","request_type":"session_results","session_id":"` + id + `"}`)
	require.Equal(t, "command_failed", results["error_code"], "%v", results)
	require.Contains(t, results["error_message"], "node_lost")
	anew := there.ask(request)
	require.Equal(t, "response", anew["type"], "%v", anew)
	require.NotEqual(t, id, anew["session_id"])
}

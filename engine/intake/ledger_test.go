package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// ledger is a broker that writes down in Redis what is published, in order, once for each id, and knows fences. Before and after
// each publication it calls hooks that a test may set.
type ledger struct {
	client goredis.UniversalClient
	ids    *message.IDSource
	before func(env *message.Envelope) error
	calls  atomic.Int64
}

var _ Fenced = (*ledger)(nil)

func newLedger(client goredis.UniversalClient) *ledger {
	return &ledger{client: client, ids: message.NewIDSource("own")}
}

// One server has all keys, so that the script may name them itself.
const ledgerLua = `
local topic, id, fence = ARGV[1], ARGV[2], tonumber(ARGV[3])
local last = redis.call('HGET', 'ledger:fences', topic)
if fence > 0 and last and tonumber(last) > fence then return redis.error_reply('FENCED') end
if fence > 0 then redis.call('HSET', 'ledger:fences', topic, ARGV[3]) end
local seq = redis.call('HGET', 'ledger:ids:' .. topic, id)
if seq then return {tonumber(seq), 1} end
local n = redis.call('RPUSH', 'ledger:' .. topic, id)
redis.call('HSET', 'ledger:ids:' .. topic, id, n)
redis.call('PUBLISH', 'wse:' .. topic, '{"v":2,"seq":' .. n .. ',"epoch":"00000001","id":"' .. id .. '"}')
return {n, 0}`

func (l *ledger) Publish(ctx context.Context, env *message.Envelope) (broker.Published, error) {
	return l.PublishFenced(ctx, env, 0)
}

func (l *ledger) PublishFenced(ctx context.Context, env *message.Envelope, fence uint64) (broker.Published, error) {
	l.calls.Add(1)
	if l.before != nil {
		if err := l.before(env); err != nil {
			return broker.Published{}, err
		}
	}
	if env.ID == "" {
		env.ID = l.ids.Next()
	}
	answer, err := goredis.NewScript(ledgerLua).Run(ctx, l.client, nil, string(env.Topic), env.ID, fence).Int64Slice()
	switch {
	case err != nil && strings.Contains(err.Error(), "FENCED"):
		return broker.Published{}, broker.ErrFenced
	case err != nil:
		return broker.Published{}, fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	return broker.Published{Position: broker.Position{Offset: uint64(answer[0])}, ID: env.ID, Duplicate: answer[1] == 1}, nil
}

// ledgerOf returns the ids that were published to topic, in order.
func ledgerOf(t testing.TB, client goredis.UniversalClient, topic string) []string {
	ids, err := client.LRange(t.Context(), "ledger:"+topic, 0, -1).Result()
	require.NoError(t, err)
	return ids
}

// node is one Intake and what it needs.
type node struct {
	t       testing.TB
	server  *redistest.Server
	client  goredis.UniversalClient // of the test
	ledger  *ledger
	ingest  *ingest.Ingest
	letters *Letters
	intake  *Intake
	logged  *logged
	stop    func()
}

// logged keeps log lines.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) log(msg string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, msg+" "+fmt.Sprint(args...))
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.lines, "\n"), text)
}

// calm is the configuration of nodes whose turns outlast their test: what a node heard, and could not publish while its turn lasted,
// is lost by design. Tests of turns that another node takes, or that begin again, have turns of their own length.
func calm() Config {
	cfg := DefaultConfig()
	cfg.LeaseTTL = leaseTTLMax
	return cfg
}

func connect(t testing.TB, server *redistest.Server) *redis.Client {
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{server.Addr()}
	client, err := redis.Open(cfg, "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// open makes a node; it does not run.
func open(t testing.TB, server *redistest.Server, name string, cfg Config, transformer ingest.Transformer) *node {
	client := connect(t, server)
	n := &node{t: t, server: server, client: server.Client(), ledger: newLedger(client.Do()), logged: new(logged), stop: func() {}}
	var err error
	n.letters, err = NewLetters(cfg, client)
	require.NoError(t, err)
	n.ingest, err = ingest.New(ingest.DefaultConfig(), transformer, n.ledger, ingest.WithKeeper(n.letters))
	require.NoError(t, err)
	n.intake, err = New(cfg, client, n.ingest, n.letters, n.ledger, Options{Node: name, Log: n.logged.log})
	require.NoError(t, err)
	return n
}

// run runs a node until the test ends or stop is called.
func (n *node) run() *node {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.intake.Run(ctx)
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	n.t.Cleanup(n.stop)
	return n
}

// add adds an event to the stream wse:events and returns the entry's id.
func (n *node) add(values ...string) string {
	n.t.Helper()
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	id, err := n.client.XAdd(n.t.Context(), &goredis.XAddArgs{Stream: StreamEvents, Values: list}).Result()
	require.NoError(n.t, err)
	return id
}

// event adds an event of a user with an id.
func (n *node) event(user, id string) string {
	n.t.Helper()
	return n.add("event", fmt.Sprintf(`{"type":"Thing","user_id":%q,"id":%q,"payload":{}}`, user, id))
}

// patience is how long a test waits for what is to come.
const patience = time.Minute

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

// pending returns how many entries are read and not done.
func (n *node) pending() int64 {
	p, err := n.client.XPending(n.t.Context(), StreamEvents, group).Result()
	if err != nil {
		return -1
	}
	return p.Count
}

// list lists dead letters.
func (n *node) list(q ingest.LetterQuery) []ingest.DeadLetter {
	n.t.Helper()
	list, total, err := n.intake.DeadLetters(n.t.Context(), q, 100)
	require.NoError(n.t, err)
	require.Len(n.t, list, min(total, 100))
	return list
}

// guest is a transform plugin: it fails on events of type Fail as long as it is broken, drops those of type Drop, and makes two
// envelopes of those of type Two.
type guest struct{ broken atomic.Bool }

var _ ingest.Transformer = (*guest)(nil)

func (g *guest) Transform(_ context.Context, kind string, _ []byte, answer *ingest.Answer) (ingest.Decision, error) {
	d := ingest.Decision{Plugin: "guest", Version: "abc"}
	switch kind {
	case "Fail":
		if g.broken.Load() {
			return d, errors.New("plugin/guest@abc: trap: unreachable")
		}
	case "Deny":
		d.OnError = ingest.OnErrorDeny
		return d, errors.New("plugin/guest@abc: trap: unreachable")
	case "Drop":
		d.Verdict = ingest.Drop
	case "Two":
		d.Verdict = ingest.Data
		return d, answer.Read([]byte(`[{"t":"a","topic":"user:two:events","p":{}},{"t":"b","topic":"user:two:events","p":{}}]`))
	case "Closed":
		return ingest.Decision{}, io.EOF
	}
	return d, nil
}

func (g *guest) TransformAll(ctx context.Context, questions []ingest.Question) {
	for i := range questions {
		q := &questions[i]
		q.Decision, q.Err = g.Transform(ctx, q.Type, q.Doc, q.Answer)
	}
}

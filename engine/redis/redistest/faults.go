package redistest

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// do runs commands of the test and fails it when one fails.
func (s *Server) do(f func(ctx context.Context, c *goredis.Client) error) {
	s.t.Helper()
	require.NoError(s.t, s.once(f), "%s", s.Addr())
}

// FlushAll removes every key, as an operator's mistake does. The replication id stays what it was.
func (s *Server) FlushAll() {
	s.t.Helper()
	s.do(func(ctx context.Context, c *goredis.Client) error { return c.FlushAll(ctx).Err() })
}

// KillClients ends all connections of a kind but the test's own: normal, pubsub, replica or master. It returns how many there were.
func (s *Server) KillClients(kind string) int {
	s.t.Helper()
	killed := 0
	s.do(func(ctx context.Context, c *goredis.Client) error {
		n, err := c.ClientKillByFilter(ctx, "TYPE", kind, "SKIPME", "yes").Result()
		killed = int(n)
		return err
	})
	return killed
}

// DebugSleep has the server do nothing at all for d. It returns when the server has begun to, and the channel is closed when
// it answers again.
func (s *Server) DebugSleep(d time.Duration) <-chan struct{} {
	s.t.Helper()
	return s.busy(func(ctx context.Context, c *goredis.Client) error {
		return c.Do(ctx, "DEBUG", "SLEEP", d.Seconds()).Err()
	})
}

// SlowScript has the server run a script for about d. Others wait, and are told BUSY once it lasted longer than the configured
// lua-time-limit, 5 s. It returns when the script has begun, and the channel is closed when it ended.
func (s *Server) SlowScript(d time.Duration) <-chan struct{} {
	s.t.Helper()
	const script = `for i = 1, tonumber(ARGV[1]) do end return 1` // scripts have no clock that all versions let run
	const few, rounds = 2_000_000, 3
	var took time.Duration
	for round := range rounds { // the shortest counts, since others may have had the processor
		began := time.Now()
		s.do(func(ctx context.Context, c *goredis.Client) error { return c.Eval(ctx, script, nil, few).Err() })
		if lasted := time.Since(began); round == 0 || lasted < took {
			took = lasted
		}
	}
	turns := int64(few * d.Seconds() / took.Seconds())
	return s.busy(func(ctx context.Context, c *goredis.Client) error { return c.Eval(ctx, script, nil, turns).Err() })
}

// busy runs a command that lasts. It has begun when it was sent, so that the server comes to it before what is sent later, and another
// connection is not answered, which alone may mean that the machine is busy.
func (s *Server) busy(f func(ctx context.Context, c *goredis.Client) error) <-chan struct{} {
	s.t.Helper()
	o := s.options()
	o.ReadTimeout = -1
	sent := make(chan struct{})
	line := &line{sent: sync.OnceFunc(func() { close(sent) })}
	dial := goredis.NewDialer(o)
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &writer{conn, line}, nil
	}
	client := goredis.NewClient(o)
	require.NoError(s.t, client.Ping(context.Background()).Err(), "%s", s.Addr()) // the connection is there then
	line.watched.Store(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer client.Close()
		_ = f(context.Background(), client) // a server that is killed meanwhile is the test's business
	}()
	select {
	case <-sent:
	case <-ended:
		return ended
	}
	o = s.options()
	o.ReadTimeout = 20 * time.Millisecond
	probe := goredis.NewClient(o)
	defer probe.Close()
	for probe.Ping(context.Background()).Err() == nil {
		select {
		case <-ended:
			return ended
		case <-time.After(time.Millisecond):
		}
	}
	return ended
}

// line tells of the first thing that is written once it is watched.
type line struct {
	watched atomic.Bool
	sent    func()
}

// writer is a connection of a line.
type writer struct {
	net.Conn
	line *line
}

// Write implements [net.Conn].
func (w *writer) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if w.line.watched.Load() {
		w.line.sent()
	}
	return n, err
}

// LimitMemory has the server refuse with OOM whatever would need memory (true), or no longer.
func (s *Server) LimitMemory(full bool) {
	s.t.Helper()
	limit := "0"
	if full {
		limit = "1"
	}
	s.do(func(ctx context.Context, c *goredis.Client) error {
		if err := c.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err(); err != nil {
			return err
		}
		return c.ConfigSet(ctx, "maxmemory", limit).Err()
	})
}

// RequireReplicas has the server refuse with NOREPLICAS what is written while fewer than n replicas are connected.
func (s *Server) RequireReplicas(n int) {
	s.t.Helper()
	s.do(func(ctx context.Context, c *goredis.Client) error {
		return c.ConfigSet(ctx, "min-replicas-to-write", strconv.Itoa(n)).Err()
	})
}

// Demote makes a replica of the server whose primary cannot be reached: it answers READONLY to what is written. Connections stay.
func (s *Server) Demote() {
	s.t.Helper()
	s.do(func(ctx context.Context, c *goredis.Client) error { return c.ReplicaOf(ctx, "127.0.0.1", "1").Err() })
}

// Promote makes a primary of the server, of what it has. It has a new replication id then, if it was a replica.
func (s *Server) Promote() {
	s.t.Helper()
	s.do(func(ctx context.Context, c *goredis.Client) error { return c.ReplicaOf(ctx, "NO", "ONE").Err() })
}

package redistest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
)

// Watched is a primary with two replicas that three Sentinels watch.
type Watched struct {
	Servers   []*Server // the first was the primary at the start
	Sentinels []*Server

	t      testing.TB
	access *access
}

// MasterName is what the Sentinels call the primary.
const MasterName = "wse"

// Sentinel starts a primary, two replicas and three Sentinels, and waits until a failover would succeed.
//
// The Sentinels are as quick as they can be made: a primary that does not answer for 0.6 s is down, and another one takes over within
// a second or two; somewhat later where the first Sentinel is not there.
func Sentinel(t testing.TB, o Options) *Watched {
	t.Helper()
	w := &Watched{t: t, access: newAccess(t, o)}
	w.Servers = append(w.Servers, newServer(t, w.access, w.access.args()))
	for range 2 {
		w.Servers = append(w.Servers, newServer(t, w.access, append(w.access.args(), "--replicaof", "127.0.0.1", strconv.Itoa(w.Servers[0].Port))))
	}
	ids := []string{}
	for range 3 {
		s := newServer(t, w.access, nil)
		s.sentinel = true
		w.Sentinels, ids = append(w.Sentinels, s), append(ids, newID())
	}
	for i, s := range w.Sentinels {
		path := filepath.Join(s.Dir, "sentinel.conf")
		require.NoError(t, os.WriteFile(path, []byte(w.configuration(i, ids)), 0o600))
		s.args = []string{path}
	}
	all(t, append(append([]*Server{}, w.Servers...), w.Sentinels...))
	for _, s := range w.Sentinels {
		s.do(hurry)
	}
	w.AwaitReady()
	return w
}

func newID() string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// configuration is the file of the i-th Sentinel. It names the replicas and the other Sentinels as if they had been found
// already, since to find them takes seconds.
func (w *Watched) configuration(i int, ids []string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	self := w.Sentinels[i]
	line("bind 127.0.0.1")
	line("dir %q", self.Dir)
	if c := w.access.certificates; c != nil {
		line("port 0\ntls-port %d", self.Port)
		for args := c.args(); len(args) > 0; args = args[2:] {
			line("%s %q", strings.TrimPrefix(args[0], "--"), args[1])
		}
	} else {
		line("port %d", self.Port)
	}
	line("sentinel myid %s", ids[i])
	// Sentinels that find out in the same moment share the votes, and then nothing happens for seconds. So the first one is
	// ahead of the others and asks nobody whether it is right; it still needs a second vote.
	line("sentinel monitor %s 127.0.0.1 %d %d", MasterName, w.Servers[0].Port, min(i+1, 2))
	line("sentinel down-after-milliseconds %s %d", MasterName, downAfter(i).Milliseconds())
	line("sentinel failover-timeout %s 1500", MasterName)
	line("sentinel parallel-syncs %s 2", MasterName)
	if w.access.Username != "" {
		line("requirepass %s\nsentinel sentinel-pass %s", sentinelPassword, sentinelPassword)
		line("sentinel auth-user %s %s\nsentinel auth-pass %s %s", MasterName, operatorName, MasterName, operatorPassword)
	}
	for _, replica := range w.Servers[1:] {
		line("sentinel known-replica %s 127.0.0.1 %d", MasterName, replica.Port)
	}
	for j, other := range w.Sentinels {
		if j != i {
			line("sentinel known-sentinel %s 127.0.0.1 %d %s", MasterName, other.Port, ids[j])
		}
	}
	return b.String()
}

// downAfter is how long a primary does not answer the i-th Sentinel until that says it is down.
func downAfter(i int) time.Duration { return time.Duration(600+900*i) * time.Millisecond }

// SetPatience has the Sentinels that run wait for an answer as long as d before they say that a server is down, or as long as at the
// start where d is 0. A test that needs none of them to be replaced needs a machine that never keeps one waiting as long as that.
func (w *Watched) SetPatience(d time.Duration) {
	w.t.Helper()
	for i, s := range w.Sentinels {
		if s.Running() {
			s.do(func(ctx context.Context, c *goredis.Client) error {
				return c.Do(ctx, "SENTINEL", "SET", MasterName, "down-after-milliseconds", cmp.Or(d, downAfter(i)).Milliseconds()).Err()
			})
		}
	}
}

// hurry sets what Sentinels have no configuration for. TILT, in which they do nothing, would last 30 s on a machine that was
// busy for 2. A replica whose last INFO is older than five ping periods is not made a primary, and there is one every second.
func hurry(ctx context.Context, c *goredis.Client) error {
	return c.Do(ctx, "SENTINEL", "DEBUG", "info-period", 200, "ping-period", 400, "ask-period", 100, "publish-period", 300,
		"election-timeout", 1000, "tilt-period", 500, "slave-reconf-timeout", 1000).Err()
}

// Config returns what an engine needs to find the primary.
func (w *Watched) Config() redis.Config {
	addrs := []string{}
	for _, s := range w.Sentinels {
		addrs = append(addrs, s.Addr())
	}
	cfg := w.access.config(addrs...)
	cfg.MasterName = MasterName
	if w.access.Username != "" {
		cfg.SentinelPassword = sentinelPassword
	}
	return cfg
}

// Primary returns the server that most Sentinels call the primary, or nil where they do not agree.
func (w *Watched) Primary() *Server {
	votes := map[string]int{}
	for _, s := range w.Sentinels {
		var addr []string
		err := s.once(func(ctx context.Context, c *goredis.Client) (err error) {
			addr, err = c.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).StringSlice()
			return err
		})
		if err == nil && len(addr) == 2 {
			votes[addr[1]]++
		}
	}
	for _, s := range w.Servers {
		if 2*votes[strconv.Itoa(s.Port)] > len(w.Sentinels) {
			return s
		}
	}
	return nil
}

// AwaitPrimary waits until the Sentinels agree on a primary other than not, which may be nil, and it takes writes. It returns it.
func (w *Watched) AwaitPrimary(not *Server) (primary *Server) {
	w.t.Helper()
	await(w.t, "no primary", func() error {
		primary = w.Primary()
		if primary == nil || primary == not {
			return fmt.Errorf("the Sentinels do not agree on another primary")
		}
		info, err := primary.info()
		if err == nil && info["role"] != "master" {
			err = fmt.Errorf("%s is %s", primary.Addr(), info["role"])
		}
		return err
	})
	return primary
}

// AwaitReady waits until all servers run, follow the one primary, and every Sentinel knows that: a failover would succeed.
func (w *Watched) AwaitReady() {
	w.t.Helper()
	await(w.t, "not ready for a failover", func() error {
		primary := w.Primary()
		if primary == nil {
			return fmt.Errorf("the Sentinels do not agree on a primary")
		}
		info, err := primary.info()
		if err != nil {
			return err
		}
		if n := strings.Count(info["slave0"]+info["slave1"], "state=online"); info["role"] != "master" || n != len(w.Servers)-1 {
			return fmt.Errorf("%s is %s with %d replicas", primary.Addr(), info["role"], n)
		}
		for _, s := range w.Sentinels {
			if err := s.once(knowsReplicas); err != nil {
				return err
			}
		}
		return nil
	})
}

// knowsReplicas asks a Sentinel whether it could make a primary of both replicas.
func knowsReplicas(ctx context.Context, c *goredis.Client) error {
	if err := c.Do(ctx, "SENTINEL", "CKQUORUM", MasterName).Err(); err != nil {
		return err
	}
	replicas, err := c.Do(ctx, "SENTINEL", "REPLICAS", MasterName).Slice()
	if err != nil {
		return err
	}
	for _, r := range replicas {
		fields, ok := r.([]any)
		for i := 0; ok && i+1 < len(fields); i += 2 {
			if fields[i] == "flags" && fields[i+1] != "slave" || fields[i] == "master-link-status" && fields[i+1] != "ok" {
				return fmt.Errorf("a Sentinel says that a replica's %v are %v", fields[i], fields[i+1])
			}
		}
	}
	if len(replicas) != 2 {
		return fmt.Errorf("a Sentinel knows %d replicas", len(replicas))
	}
	return nil
}

// Failover has the Sentinels make another server the primary while the old one is well, and returns the new one.
func (w *Watched) Failover() *Server {
	w.t.Helper()
	w.AwaitReady()
	old := w.AwaitPrimary(nil)
	failover := again(func() error {
		return w.Sentinels[0].once(func(ctx context.Context, c *goredis.Client) error {
			return c.Do(ctx, "SENTINEL", "FAILOVER", MasterName).Err()
		})
	})
	await(w.t, "SENTINEL FAILOVER", func() error {
		if is := w.Primary(); is != nil && is != old {
			return nil
		}
		return failover()
	})
	return w.AwaitPrimary(old)
}

// info returns the fields of INFO replication.
func (s *Server) info() (map[string]string, error) {
	fields := map[string]string{}
	err := s.once(func(ctx context.Context, c *goredis.Client) error {
		text, err := c.Info(ctx, "replication").Result()
		for line := range strings.Lines(text) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				fields[name] = value
			}
		}
		return err
	})
	return fields, err
}

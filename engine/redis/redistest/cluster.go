package redistest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
)

// Sharded is a Redis Cluster of three primaries.
type Sharded struct {
	Nodes []*Server // three primaries at the start; then, where asked for, the replica of each

	t      testing.TB
	access *access
	ids    []string // as Nodes
}

// Slots is how many slots keys lie in.
const Slots = 16384

const shards = 3

// nodeTimeout is how long a node does not answer until others say that it is down.
const nodeTimeout = 1500 * time.Millisecond

// Cluster starts three primaries, with o.Replicas each with a replica, and waits until every node says that all slots are
// served. That takes two seconds, since a node of a Cluster takes no writes earlier.
//
// A node that does not answer for a second and a half is down, and its replica takes over about a second later.
func Cluster(t testing.TB, o Options) *Sharded {
	t.Helper()
	c := &Sharded{t: t, access: newAccess(t, o)}
	nodes := shards
	if o.Replicas {
		nodes *= 2
	}
	bus := []int{}
	for range nodes {
		port := FreePort(t)
		c.Nodes = append(c.Nodes, newServer(t, c.access, append(c.access.args(), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port),
			"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10), "--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no",
			"--repl-ping-replica-period", "1")))
		c.ids, bus = append(c.ids, newID()), append(bus, port)
	}
	for i, s := range c.Nodes {
		require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "nodes.conf"), []byte(c.configuration(i, bus)), 0o600))
	}
	all(t, c.Nodes)
	c.AwaitReady()
	return c
}

// configuration is what the i-th node would have written of a Cluster that is complete: to make one by CLUSTER MEET takes
// seconds more.
func (c *Sharded) configuration(i int, bus []int) string {
	var b strings.Builder
	for j, s := range c.Nodes {
		flags, of, slots := "master", "-", fmt.Sprintf(" %d-%d", j%shards*Slots/shards, (j%shards+1)*Slots/shards-1)
		if j >= shards {
			flags, of, slots = "slave", c.ids[j-shards], ""
		}
		if j == i {
			flags = "myself," + flags
		}
		fmt.Fprintf(&b, "%s %s@%d %s %s 0 0 %d connected%s\n", c.ids[j], s.Addr(), bus[j], flags, of, j%shards+1, slots)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", shards)
	return b.String()
}

// Config returns what an engine needs to use the Cluster.
func (c *Sharded) Config() redis.Config {
	addrs := []string{}
	for _, s := range c.Nodes {
		addrs = append(addrs, s.Addr())
	}
	cfg := c.access.config(addrs...)
	cfg.Cluster = true
	return cfg
}

// AwaitReady waits until every node that runs says that all slots are served, and every replica that runs follows its primary.
func (c *Sharded) AwaitReady() {
	c.t.Helper()
	await(c.t, "the Cluster is not whole", func() error {
		for _, s := range c.Nodes {
			if !s.Running() {
				continue
			}
			if err := s.once(serves); err != nil {
				return fmt.Errorf("%s: %w", s.Addr(), err)
			}
		}
		return nil
	})
}

// SetPatience has the nodes that run wait for an answer as long as d before they say that one is down, or as long as at the start where
// d is 0. A test that needs none of them to be replaced needs a machine that never keeps one waiting as long as that.
func (c *Sharded) SetPatience(d time.Duration) {
	c.t.Helper()
	for _, s := range c.Nodes {
		if s.Running() {
			s.do(func(ctx context.Context, client *goredis.Client) error {
				return client.ConfigSet(ctx, "cluster-node-timeout", strconv.FormatInt(cmp.Or(d, nodeTimeout).Milliseconds(), 10)).Err()
			})
		}
	}
}

// serves asks a node whether it knows the Cluster to be whole.
func serves(ctx context.Context, c *goredis.Client) error {
	state, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if !strings.Contains(state, "cluster_state:ok") || !strings.Contains(state, "cluster_slots_ok:"+strconv.Itoa(Slots)) {
		return fmt.Errorf("it says %.80q", state)
	}
	replication, err := c.Info(ctx, "replication").Result()
	if err == nil && strings.Contains(replication, "master_link_status:down") {
		err = fmt.Errorf("its primary is not there")
	}
	return err
}

// Slot returns the slot that a key or a sharded channel lies in.
func (c *Sharded) Slot(key string) (slot int) {
	c.t.Helper()
	c.ask(func(ctx context.Context, client *goredis.Client) error {
		n, err := client.ClusterKeySlot(ctx, key).Result()
		slot = int(n)
		return err
	})
	return slot
}

// ask runs a command on any node that runs.
func (c *Sharded) ask(f func(ctx context.Context, client *goredis.Client) error) {
	c.t.Helper()
	i := slices.IndexFunc(c.Nodes, (*Server).Running)
	require.GreaterOrEqual(c.t, i, 0, "no node runs")
	c.Nodes[i].do(f)
}

// Owner returns the primary of a slot as the nodes that run see it, or nil where they do not agree.
func (c *Sharded) Owner(slot int) (owner *Server) {
	for _, s := range c.Nodes {
		if !s.Running() {
			continue
		}
		var is *Server
		_ = s.once(func(ctx context.Context, client *goredis.Client) error {
			shards, err := client.ClusterShards(ctx).Result()
			for _, shard := range shards {
				for _, r := range shard.Slots {
					if int(r.Start) <= slot && slot <= int(r.End) {
						is = c.primary(shard.Nodes)
					}
				}
			}
			return err
		})
		if is == nil || owner != nil && is != owner {
			return nil
		}
		owner = is
	}
	return owner
}

// primary returns the server that is the primary among the nodes of a shard.
func (c *Sharded) primary(nodes []goredis.Node) *Server {
	for _, n := range nodes {
		for _, s := range c.Nodes {
			if n.Role == "master" && n.Health == "online" && (int(n.Port) == s.Port || int(n.TLSPort) == s.Port) {
				return s
			}
		}
	}
	return nil
}

// AwaitOwner waits until the nodes that run agree on an owner of a slot other than not, which may be nil, and the Cluster is
// whole. It returns it.
func (c *Sharded) AwaitOwner(slot int, not *Server) (owner *Server) {
	c.t.Helper()
	await(c.t, "no owner of the slot", func() error {
		if owner = c.Owner(slot); owner == nil || owner == not {
			return fmt.Errorf("the nodes do not agree on another owner of slot %d", slot)
		}
		return nil
	})
	c.AwaitReady()
	return owner
}

// Failover has the replica of a slot's owner take over while the owner is well, and returns it. It needs o.Replicas.
func (c *Sharded) Failover(slot int) *Server {
	c.t.Helper()
	old := c.AwaitOwner(slot, nil)
	i := slices.Index(c.Nodes, old)
	other := c.Nodes[(i+shards)%len(c.Nodes)]
	require.NotEqual(c.t, old, other, "the Cluster has no replicas")
	failover := again(func() error {
		return other.once(func(ctx context.Context, client *goredis.Client) error { return client.ClusterFailover(ctx).Err() })
	})
	await(c.t, "CLUSTER FAILOVER", func() error {
		if is := c.Owner(slot); is != nil && is != old {
			return nil
		}
		return failover()
	})
	return c.AwaitOwner(slot, old)
}

// Move gives a slot with its keys from its owner to another primary, as resharding does.
func (c *Sharded) Move(slot int, to *Server) {
	c.t.Helper()
	from := c.AwaitOwner(slot, nil)
	if from == to {
		return
	}
	fromID, toID := c.ids[slices.Index(c.Nodes, from)], c.ids[slices.Index(c.Nodes, to)]
	to.do(setSlot(slot, "IMPORTING", fromID))
	from.do(setSlot(slot, "MIGRATING", toID))
	from.do(func(ctx context.Context, client *goredis.Client) error {
		keys, err := client.ClusterGetKeysInSlot(ctx, slot, 1<<20).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		args := []any{"MIGRATE", "127.0.0.1", to.Port, "", 0, startMax.Milliseconds()}
		if c.access.Username != "" {
			args = append(args, "AUTH2", operatorName, operatorPassword)
		}
		args = append(args, "KEYS")
		for _, key := range keys {
			args = append(args, key)
		}
		return client.Do(ctx, args...).Err()
	})
	for _, s := range append([]*Server{to, from}, c.Nodes...) {
		if s.Running() {
			_ = s.once(setSlot(slot, "NODE", toID)) // a replica refuses that, and learns it from its primary
		}
	}
	c.AwaitOwner(slot, from)
}

func setSlot(slot int, args ...any) func(ctx context.Context, client *goredis.Client) error {
	return func(ctx context.Context, client *goredis.Client) error {
		return client.Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err()
	}
}

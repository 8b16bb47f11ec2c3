package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// topology is a way of running Redis.
type topology struct {
	name    string
	variant bool // of another one: what differs is how connections are made
	start   func(t testing.TB) *redisServers
}

// topologies are the ways that are tested.
func topologies() []topology {
	return []topology{
		{"single", false, startSingle},
		{"sentinel", false, startSentinel},
		{"cluster", false, func(t testing.TB) *redisServers { return startCluster(t, redistest.Options{Replicas: true}) }},
		{"cluster-sharded", true, func(t testing.TB) *redisServers {
			r := startCluster(t, redistest.Options{Replicas: true})
			r.more = "    sharded: true\n    plain_copy: true\n"
			return r
		}},
		{"single-tls-acl", true, func(t testing.TB) *redisServers {
			return single(redistest.SingleWith(t, redistest.Options{TLS: true, Username: "wse"}))
		}},
	}
}

// redisServers are the servers of a world. One of the three is set.
type redisServers struct {
	single  *redistest.Server
	watched *redistest.Watched
	sharded *redistest.Sharded

	servers, sentinels []*redistest.Server
	config             redis.Config
	more               string // of the configuration of nodes
}

func single(s *redistest.Server) *redisServers {
	return &redisServers{single: s, servers: []*redistest.Server{s}, config: s.Config()}
}

func startSingle(t testing.TB) *redisServers { return single(redistest.Single(t)) }

func startSentinel(t testing.TB) *redisServers {
	w := redistest.Sentinel(t, redistest.Options{})
	return &redisServers{watched: w, servers: w.Servers, sentinels: w.Sentinels, config: w.Config()}
}

func startCluster(t testing.TB, o redistest.Options) *redisServers {
	c := redistest.Cluster(t, o)
	return &redisServers{sharded: c, servers: c.Nodes, config: c.Config()}
}

// survives reports whether what is written is on a replica too.
func (r *redisServers) survives() bool { return r.single == nil }

// primaries returns the servers that take writes now.
func (r *redisServers) primaries() []*redistest.Server {
	switch {
	case r.single != nil:
		return r.servers
	case r.watched != nil:
		return []*redistest.Server{r.watched.AwaitPrimary(nil)}
	}
	var all []*redistest.Server
	for slot := 0; slot < redistest.Slots; slot += redistest.Slots/3 + 1 {
		all = append(all, r.sharded.AwaitOwner(slot, nil))
	}
	return all
}

// of returns the primary that has a topic.
func (r *redisServers) of(topic string) *redistest.Server {
	if r.sharded != nil {
		return r.sharded.AwaitOwner(r.sharded.Slot("wse:"+topic), nil)
	}
	return r.primaries()[0]
}

// whole waits until all servers are what they should be.
func (r *redisServers) whole() {
	switch {
	case r.watched != nil:
		r.watched.AwaitReady()
	case r.sharded != nil:
		r.sharded.AwaitReady()
	}
}

// patient has servers wait long before they replace one that does not answer, or as short as they can. A machine that keeps a server
// waiting for longer than those are patient has another one take over, and then topics begin anew, though nothing happened. So they are
// quick only while one is to be replaced.
func (r *redisServers) patient(yes bool) {
	r.whole()
	patience := time.Duration(0)
	if yes {
		patience = time.Minute
	}
	switch {
	case r.watched != nil:
		r.watched.SetPatience(patience)
	case r.sharded != nil:
		r.sharded.SetPatience(patience)
	}
}

func ports(servers []*redistest.Server) (all []int) {
	for _, s := range servers {
		all = append(all, s.Port)
	}
	return all
}

// section is the part of a node's configuration that says where Redis is: at the node's own proxies.
func (r *redisServers) section(n *network) string {
	first := r.servers
	if r.watched != nil {
		first = r.sentinels
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	line("addrs: [%s]", strings.Join(n.addrs(ports(first)), ", "))
	line("cluster: %v", r.config.Cluster)
	line("master_name: %q", r.config.MasterName)
	line("username: %q", r.config.Username)
	line("password: %q", r.config.Password)
	line("tls: {enabled: %v, ca_file: %q}", r.config.TLS.Enabled, r.config.TLS.CAFile)
	return "broker:\n  redis:\n" + b.String() + r.more
}

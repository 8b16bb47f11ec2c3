package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis/redistest"
)

// disruption is something that lasts: it begins, and it ends with what begin returns.
type disruption struct {
	name  string
	where func(r *redisServers) bool // nil: everywhere
	begin func(c *chaos) (end func())
}

// chaos has things happen at random, some at a time, and then all of them end and everything has to be well.
type chaos struct {
	*world
	rng  *rand.Rand
	down bool // nobody can reach what keeps topics
}

// ofServers is what happens to servers, one at a time.
func ofServers() []disruption {
	return []disruption{
		{"a primary is killed", nil, (*chaos).killPrimary},
		{"a primary is stopped", nil, (*chaos).stopPrimary},
		{"a server is emptied", nil, func(c *chaos) func() { c.anyPrimary().FlushAll(); return nothing }},
		{"clients are killed", nil, func(c *chaos) func() { clientsKilled(c.world); return nothing }},
		{"a server sleeps", nil, func(c *chaos) func() {
			ended := c.anyPrimary().DebugSleep(time.Duration(100+c.rng.IntN(1500)) * time.Millisecond)
			return func() { <-ended }
		}},
		{"a server is full", nil, func(c *chaos) func() {
			s := c.anyPrimary()
			s.LimitMemory(true)
			return func() { s.LimitMemory(false) }
		}},
		{"a primary becomes read-only", onSingle, func(c *chaos) func() {
			c.redis.single.Demote()
			return c.redis.single.Promote
		}},
		{"an orderly failover", onReplicas, func(c *chaos) func() { failover(c.world); return nothing }},
		{"a slot moves", onSharded, func(c *chaos) func() {
			slot := c.redis.sharded.Slot("wse:" + keys()[c.rng.IntN(len(keys()))])
			all := c.redis.primaries()
			c.redis.sharded.Move(slot, all[c.rng.IntN(len(all))])
			return nothing
		}},
		{"a Sentinel is killed", func(r *redisServers) bool { return r.watched != nil }, func(c *chaos) func() {
			s := c.redis.sentinels[c.rng.IntN(len(c.redis.sentinels))]
			s.Kill()
			return s.Start
		}},
	}
}

func nothing() {}

func (c *chaos) anyPrimary() *redistest.Server {
	all := c.redis.primaries()
	return all[c.rng.IntN(len(all))]
}

func (c *chaos) killPrimary() func() {
	s := c.anyPrimary()
	s.Kill()
	c.down = !c.redis.survives()
	return s.Start
}

func (c *chaos) stopPrimary() func() {
	s := c.anyPrimary()
	s.Pause()
	c.down = !c.redis.survives()
	return s.Resume
}

// ofNodes is what happens to a node, or between it and the servers.
func ofNodes() map[string]func(n *node) (end func()) {
	poisoned := func(what toxin) func(n *node) func() {
		return func(n *node) func() {
			n.net.poison(what)
			return n.net.cure
		}
	}
	return map[string]func(n *node) func(){
		"a node is cut off": func(n *node) func() {
			n.net.cut()
			n.claim(truth{bound: true, ready: false, from: time.Now()})
			return func() {
				n.claim(truth{})
				n.net.mend()
			}
		},
		"a node hears nothing":      poisoned(toxin{"timeout", "downstream", map[string]int{"timeout": 0}}),
		"a node is not heard":       poisoned(toxin{"timeout", "upstream", map[string]int{"timeout": 0}}),
		"answers end in the middle": poisoned(toxin{"limit_data", "downstream", map[string]int{"bytes": 5000}}),
		"requests end midway":       poisoned(toxin{"limit_data", "upstream", map[string]int{"bytes": 5000}}),
		"the network is slow":       poisoned(toxin{"latency", "downstream", map[string]int{"latency": 100, "jitter": 100}}),
		"the network is narrow":     poisoned(toxin{"bandwidth", "downstream", map[string]int{"rate": 20}}),
		"a node is stopped": func(n *node) func() {
			n.signal(syscall.SIGSTOP)
			return n.resume
		},
		"a node is killed": func(n *node) func() {
			n.kill()
			return func() { require.NoError(n.world.t, n.start()) }
		},
	}
}

// TestChaos kills, stops, cuts off and empties at random under steady traffic, and wants after each round that every accepted
// publication was received once and in order, or was told to be missing; and that the readiness pages told the truth. WSE_CHAOS_FOR is
// how long it lasts on each topology.
func TestChaos(t *testing.T) {
	for _, how := range topologies() {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			until := time.Now().Add(howLong(t, "WSE_CHAOS_FOR", 12*time.Second))
			w := newWorld(t, how)
			c := &chaos{world: w, rng: w.rng("chaos", 0)}
			happened := make(map[string]int)
			rounds := 0
			for ; time.Now().Before(until) || rounds == 0; rounds++ {
				c.round(happened)
			}
			var b strings.Builder
			for _, name := range slices.Sorted(maps.Keys(happened)) {
				fmt.Fprintf(&b, "\n  %4d %s", happened[name], name)
			}
			t.Logf("seed %d, %d rounds: %d publications accepted, %d refused, %d times told, the machine did not keep up %d times%s",
				w.seed, rounds, w.accepted.Load(), w.refused.Load(), w.totalTold(topics()...), w.machine.lags(), b.String())
		})
	}
}

// round has one thing happen to the servers at most, and one to some of the nodes, for up to eight seconds. Then all of it ends.
func (c *chaos) round(happened map[string]int) {
	var ends []func()
	var names []string
	for _, n := range c.nodes {
		n.claim(truth{})
	}
	c.down = false
	ways := ofNodes()
	all := slices.Sorted(maps.Keys(ways))
	touched := 0
	servers := slices.DeleteFunc(ofServers(), func(d disruption) bool { return d.where != nil && !d.where(c.redis) })
	if d := servers[c.rng.IntN(len(servers))]; c.rng.IntN(3) > 0 {
		c.redis.patient(false)
		names = append(names, d.name)
		ends = append(ends, d.begin(c))
	}
	alone := len(ends) == 0
	for _, i := range c.rng.Perm(len(c.nodes)) {
		if n := c.nodes[i]; touched < 2 && c.rng.IntN(2) == 0 || alone && touched == 0 {
			touched++
			name := all[c.rng.IntN(len(all))]
			names = append(names, name)
			ends = append(ends, ways[name](n))
		} else if alone {
			n.claimReady()
		} else if c.down {
			n.claim(truth{bound: true, ready: false, from: time.Now()})
		}
	}
	for _, name := range names {
		happened[name]++
	}
	c.t.Log(strings.Join(names, ", "))
	lasts := time.NewTimer(time.Duration(c.rng.IntN(8000)) * time.Millisecond)
	defer lasts.Stop()
	<-lasts.C
	for _, n := range c.nodes {
		if c.down {
			n.claim(truth{})
		}
	}
	for _, end := range ends { // of servers first: nodes wait for them
		end()
	}
	c.redis.patient(true)
	c.settle()
	c.awaitAccepted(20)
}

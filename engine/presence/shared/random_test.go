package shared_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence/presencetest"
)

// crowd are connections to several nodes, and the oracle of who is there.
type crowd struct {
	t     *testing.T
	dice  *rand.Rand
	nodes []*node
	conns map[string]int // the node of a connection that entered
}

func userOf(conn string) string { return conn[:strings.IndexByte(conn, '-')] }

// step has a connection enter, leave or say something.
func (c *crowd) step(n int) {
	conn := fmt.Sprintf("u%d-%d", c.dice.IntN(8), c.dice.IntN(4))
	at, in := c.conns[conn]
	if !in {
		at = c.dice.IntN(len(c.nodes))
		require.NoError(c.t, c.nodes[at].Enter(c.t.Context(), room, userOf(conn), conn))
		c.conns[conn] = at
		return
	}
	switch c.dice.IntN(3) {
	case 0:
		err := c.nodes[at].Update(c.t.Context(), room, userOf(conn), conn, fmt.Appendf(nil, `{"n":%d}`, n))
		var refused *message.Error
		require.True(c.t, err == nil || errors.As(err, &refused) && refused.Code == message.CodeUnavailable, "%v", err)
	case 1:
		require.NoError(c.t, c.nodes[at].Leave(c.t.Context(), room, conn, false))
		delete(c.conns, conn)
	default:
		require.NoError(c.t, c.nodes[at].Leave(c.t.Context(), room, conn, true))
		delete(c.conns, conn)
	}
}

// want returns the members without what they say.
func (c *crowd) want() (out []string) {
	counts := make(map[string]int)
	for conn := range c.conns {
		counts[userOf(conn)]++
	}
	for _, user := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s %d", user, counts[user]))
	}
	return out
}

// agreed returns why a node does not list the members, or its subscribers do not believe what it lists; empty if all is well.
func (c *crowd) agreed(n *node) (problem string) {
	err := n.Members(c.t.Context(), room, func(m *message.Members) {
		var got []string
		for _, member := range m.Members {
			got = append(got, fmt.Sprintf("%s %d", member.UserID, member.Connections))
		}
		if want := c.want(); !slices.Equal(got, want) {
			problem = fmt.Sprintf("lists %v instead of %v", got, want)
		} else if believed := n.believed(); !maps.Equal(believed, presencetest.Table(m)) {
			problem = fmt.Sprintf("its subscribers believe %v instead of %v", believed, presencetest.Table(m))
		}
	})
	if err != nil {
		return err.Error()
	}
	return problem
}

// TestWhateverHappensNodesAgreeInTheEnd has connections come and go on three nodes while Redis is killed, paused, emptied and cut
// off, nodes are deaf, and nodes are taken for dead.
func TestWhateverHappensNodesAgreeInTheEnd(t *testing.T) {
	t.Parallel() // most of it is waiting
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cfg.Wait, r.cfg.CheckInterval, r.limits.Grace = 100*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
			c := &crowd{t: t, dice: rand.New(rand.NewPCG(seed, 1)), conns: make(map[string]int)}
			for i := range 3 {
				c.nodes = append(c.nodes, r.start(t, fmt.Sprintf("n%d", i)))
			}
			for i, n := range c.nodes {
				conn := fmt.Sprintf("anchor%d-0", i) // somebody follows the topic here all the time
				require.NoError(t, n.Enter(t.Context(), room, userOf(conn), conn))
				c.conns[conn] = i
			}
			for _, n := range c.nodes {
				n.Until(func() bool { return len(n.believed()) == 3 }, func() string { return fmt.Sprint(n.believed()) })
			}
			for n := range 400 {
				if c.dice.IntN(25) == 0 {
					c.harm(r)
				}
				c.step(n)
			}
			for _, n := range c.nodes {
				n.setDeaf(false)
			}
			r.server.Resume()
			for _, n := range c.nodes {
				n.Until(func() bool { return c.agreed(n) == "" }, func() string { return c.agreed(n) })
				n.rising(t)
			}
		})
	}
}

// harm does something that a deployment has to live with.
func (c *crowd) harm(r *rig) {
	n := c.nodes[c.dice.IntN(len(c.nodes))]
	switch c.dice.IntN(6) {
	case 0:
		r.server.Kill()
		c.step(1000)
		r.server.Start()
	case 1:
		r.server.Pause()
		c.step(1001)
		c.step(1002)
		r.server.Resume()
	case 2:
		require.NoError(c.t, r.server.Client().FlushAll(c.t.Context()).Err())
	case 3:
		require.NoError(c.t, r.server.Client().Do(c.t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err())
		require.NoError(c.t, r.server.Client().Do(c.t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	case 4:
		n.setDeaf(true)
		for i := range 10 {
			c.step(2000 + i)
		}
		n.setDeaf(false)
	default:
		n.Dead(c.nodes[c.dice.IntN(len(c.nodes))].name) // it is not
	}
}

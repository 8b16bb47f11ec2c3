// Package clients does to clients what an operator asks for, wherever they are connected: on this node and, where there are others,
// on each of them.
//
// Ownership: a [Clients] may be used by any number of goroutines and starts none.
package clients

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/wse-engine/wse/engine/cluster"
)

// Local acts on what this node has. Disconnect closes a connection for good and reports whether there was one; DisconnectUser
// returns how many of a user's it closed; neither waits. RevokeUser makes a user's refresh tokens worthless.
type Local interface {
	Disconnect(id string) bool
	DisconnectUser(user string) int
	RevokeUser(ctx context.Context, user string) error
}

// The subjects of what nodes ask each other.
const (
	subjectDisconnect = "clients.disconnect"
	subjectRevoke     = "clients.revoke"
)

// order is what a node is asked.
type order struct {
	Nonce string `json:"nonce"` // one for each command, however often it is sent
	ID    string `json:"id,omitempty"`
	User  string `json:"user,omitempty"`
}

// Clients are the clients of all nodes.
type Clients struct {
	local Local
	node  *cluster.Node // nil: there is this node only

	mu     sync.Mutex
	done   map[string]int // what was done for the latest orders, by nonce; guarded by mu
	latest []string       // their nonces, the oldest first; guarded by mu
}

// remembered is how many orders are remembered: one whose answer was lost comes again, and then there is nothing left to do.
const remembered = 1024

// New returns the clients of this node and, where node is not nil, of all. Before node.Run.
func New(local Local, node *cluster.Node) *Clients {
	c := &Clients{local: local, node: node, done: make(map[string]int)}
	if node != nil {
		node.Handle(subjectDisconnect, c.disconnectHere)
		node.Handle(subjectRevoke, c.revokeHere)
	}
	return c
}

// Disconnect closes the connection with an id, for good. Done is 1 where there was one. It asks other nodes only where this one
// has none of that id.
func (c *Clients) Disconnect(ctx context.Context, id string) cluster.Report {
	if c.local.Disconnect(id) {
		return cluster.Report{Done: 1}
	}
	if c.node == nil {
		return cluster.Report{}
	}
	return c.everywhere(ctx, subjectDisconnect, order{ID: id})
}

// DisconnectUser closes all connections of a user, for good.
func (c *Clients) DisconnectUser(ctx context.Context, user string) cluster.Report {
	if c.node == nil {
		return cluster.Report{Done: c.local.DisconnectUser(user)}
	}
	return c.everywhere(ctx, subjectDisconnect, order{User: user})
}

// RevokeUser makes all refresh tokens worthless that a user was issued so far. Every node does it, for its own clock. Done is how
// many did.
func (c *Clients) RevokeUser(ctx context.Context, user string) cluster.Report {
	if c.node == nil {
		if err := c.local.RevokeUser(ctx, user); err != nil {
			return cluster.Report{Err: err}
		}
		return cluster.Report{Done: 1}
	}
	return c.everywhere(ctx, subjectRevoke, order{User: user})
}

// everywhere gives an order to all nodes.
func (c *Clients) everywhere(ctx context.Context, subject string, o order) cluster.Report {
	o.Nonce = rand.Text()
	body, err := json.Marshal(&o)
	if err != nil {
		return cluster.Report{Err: err}
	}
	answers, err := c.node.Ask(ctx, subject, body)
	return cluster.Reported(answers, err, func(body []byte) (n int, err error) {
		if err = json.Unmarshal(body, &n); err != nil {
			err = fmt.Errorf("clients: the answer %.32q is no number", body)
		}
		return n, err
	})
}

// disconnectHere handles an order from a node to close connections.
func (c *Clients) disconnectHere(_ context.Context, _ string, body []byte) ([]byte, error) {
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("clients: the order is no JSON: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, again := c.done[o.Nonce]
	switch {
	case again:
	case o.ID != "" && c.local.Disconnect(o.ID):
		n = 1
	case o.User != "":
		n = c.local.DisconnectUser(o.User)
	}
	if !again {
		if len(c.latest) == remembered {
			delete(c.done, c.latest[0])
			c.latest = c.latest[1:]
		}
		c.done[o.Nonce] = n
		c.latest = append(c.latest, o.Nonce)
	}
	return json.Marshal(n)
}

// revokeHere handles an order from a node to revoke a user's tokens. It is the same when it is done again.
func (c *Clients) revokeHere(ctx context.Context, _ string, body []byte) ([]byte, error) {
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("clients: the order is no JSON: %w", err)
	}
	if err := c.local.RevokeUser(ctx, o.User); err != nil {
		return nil, err
	}
	return json.Marshal(1)
}

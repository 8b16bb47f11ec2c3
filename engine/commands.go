package engine

import (
	"context"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/cluster/clients"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/dialect"
)

var (
	_ clients.Local   = here{}
	_ admin.Commander = (*clients.Clients)(nil)
	_ admin.Nodes     = others{}
)

// commander is who does to clients what an operator asks for, on node and the others that it knows; nil: there is none. Before
// node.Run.
func (e *Engine) commander(node *cluster.Node) *clients.Clients { return clients.New(here{e}, node) }

// here are the clients of this engine.
type here struct{ engine *Engine }

// closeByOperator closes a connection. Clients take 1000 as "do not come back", which is what an operator means.
func closeByOperator(cn *conn.Conn) { cn.Close(dialect.CloseNormal, "closed by the operator") }

// Disconnect implements [clients.Local].
func (h here) Disconnect(id string) (found bool) {
	h.engine.conns.Each(func(cn *conn.Conn) bool {
		if found = cn.ID() == id; found {
			closeByOperator(cn)
		}
		return !found
	})
	return found
}

// DisconnectUser implements [clients.Local].
func (h here) DisconnectUser(user string) (n int) {
	h.engine.conns.Each(func(cn *conn.Conn) bool {
		c, ok := cn.Handler().(*client)
		if !ok {
			return true
		}
		if identity := c.protocol.Identity(); identity != nil && identity.UserID == user { // nil: it is just being opened
			closeByOperator(cn)
			n++
		}
		return true
	})
	return n
}

// RevokeUser implements [clients.Local].
func (h here) RevokeUser(ctx context.Context, user string) error {
	return h.engine.auth.RevokeUser(ctx, user)
}

// others are the engines that serve together with this one.
type others struct{ node *cluster.Node } // nil: there are none

// Nodes implements [admin.Nodes].
func (o others) Nodes(ctx context.Context) (this string, list []cluster.Info, err error) {
	if o.node == nil {
		return "", nil, nil
	}
	list, err = o.node.Alive(ctx)
	return o.node.ID(), list, err
}

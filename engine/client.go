package engine

import (
	"net/netip"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/quota"
	"github.com/wse-engine/wse/engine/router"
)

var _ conn.Handler = (*client)(nil)

// client joins a connection to what it is to the protocol: what the network core tells goes to the router, what the
// router sends goes to the connection. There is one for each connection, so its size counts.
type client struct {
	engine   *Engine
	protocol router.Client
	admitted *admitted // nil once the connection is open
	meter    quota.Meter
}

// admitted is what the upgrade request said.
type admitted struct {
	identity *auth.Identity
	topics   []string // to subscribe to at once
	near     [2]quota.Limit
	addr     netip.Addr
	encrypt  bool // a key is to be agreed on
}

// Event implements [conn.Handler].
func (c *client) Event(cn *conn.Conn, ev conn.Event) {
	switch ev {
	case conn.Opened:
		c.open(cn)
	case conn.Deadline:
		c.protocol.Deadline()
	case conn.Closed:
		if c.admitted != nil { // the client was gone before it was told that it is in
			c.engine.quota.Leave(c.admitted.identity.UserID, c.admitted.addr)
			return
		}
		c.protocol.Closed() // from here on nobody logs in any more
		c.engine.quota.Leave(c.protocol.Identity().UserID, cn.Remote().Addr())
	}
}

// Request implements [conn.Handler].
func (c *client) Request(_ *conn.Conn, r *message.Request, err error) {
	if !c.takeInflated(r) || err == nil && (!c.takeBatch(r) || !c.takeKeys(r)) {
		return
	}
	c.protocol.Handle(r, err)
}

func (c *client) open(cn *conn.Conn) {
	e := c.engine
	from := c.admitted
	c.admitted = nil
	c.protocol.Encryption = from.encrypt
	e.router.Open(&c.protocol, peer{cn}, e.hub.Member(cn), from.identity)
	if from.identity.Anonymous() {
		cn.SetDeadline(time.Now().Add(e.cfg.Auth.LoginTimeout))
	}
	cn.Send(&message.Reply{Body: c.protocol.Ready(e.cfg.Heartbeat.Interval, e.cfg.Heartbeat.IdleTimeout, e.cfg.Limits.DrainJitter)})
	for _, limit := range from.near {
		c.warn(limit)
	}
	for _, assigned := range e.feed.Assigned(from.identity) {
		c.protocol.Assign(assigned)
	}
	if len(from.topics) > 0 {
		c.protocol.Assign(&message.Subscribe{Action: "subscribe", Topics: from.topics})
	}
}

// peer is a connection in the router's words.
type peer struct{ *conn.Conn }

var _ router.Connection = peer{}

// Describe implements [router.Describer].
func (p peer) Describe() router.Description {
	return router.Description{
		ID: p.ID(), Remote: p.Remote(), State: p.State(), Since: p.Since(), Counters: p.Counters(),
		Dialect:    p.DialectName(),
		Compressed: compresses(p.Encoding()), MessagePack: packs(p.Encoding()),
	}
}

// SetDeadline implements [router.Peer].
func (p peer) SetDeadline(t time.Time) { p.Conn.SetDeadline(t) }

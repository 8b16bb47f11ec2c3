package engine

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/quota"
)

// Subprotocols and paths of the two protocols (PROTOCOL §1). A subprotocol that is offered wins over the path.
const (
	subprotocolV2 = "wse.v2"
	subprotocolV1 = "wsapi.v1"
	pathV2        = "/wse"
	pathEcho      = "/echo"
)

var _ conn.Gate = (*gate)(nil)

// gate decides on upgrade requests. It runs on the network core's handshake workers.
type gate struct {
	engine *Engine
	echo   bool
}

// Admit implements [conn.Gate]. A client of protocol v2 that may not enter is let in to be told why and closed, since a
// browser shows a script neither the status nor the body of a refused upgrade.
func (g *gate) Admit(ctx context.Context, up *conn.Upgrade) conn.Admission {
	protocol := chooseSubprotocol(up.Protocols)
	if limit := g.engine.quota.Upgrade(up.Remote.Addr()); limit != quota.None {
		return g.tooMany(limit)
	}
	switch {
	case protocol == subprotocolV1:
		return g.admitV1(ctx, up, protocol)
	case protocol == subprotocolV2 || up.Path == pathV2:
		return g.admitV2(ctx, up, protocol)
	case up.Path == pathEcho && g.echo:
		return conn.Admission{Echo: true, Encoding: encodingWSE, EncodingDeflate: encodingWSEDeflate}
	case up.Path == "/" || up.Path == "/ws":
		return g.admitV1(ctx, up, protocol)
	}
	g.engine.refusals.add(refusedPath)
	return conn.Admission{Status: http.StatusNotFound, Body: "no WebSocket endpoint here; protocol v2 is at /wse, protocol v1 at /ws"}
}

func chooseSubprotocol(offered []string) string {
	for _, p := range offered {
		if p == subprotocolV2 || p == subprotocolV1 {
			return p
		}
	}
	return ""
}

// admitV2 reads what a v2 client says in its upgrade request, and who it is.
func (g *gate) admitV2(ctx context.Context, up *conn.Upgrade, protocol string) conn.Admission {
	query, err := url.ParseQuery(up.RawQuery)
	if err != nil {
		return malformedQuery()
	}
	a := conn.Admission{Protocol: protocol}
	if a.Encoding, a.EncodingDeflate, err = chooseEncoding(query); err != nil {
		return conn.Admission{Status: http.StatusBadRequest, Body: err.Error()}
	}
	from := &admitted{topics: splitTopics(query.Get("topics")), encrypt: encrypts(query)}
	if from.encrypt { // permessage-deflate would come after it; cmp and C: come before
		a.EncodingDeflate = -1
	}
	if a.Reject = g.refuseOrigin(up); a.Reject != nil {
		return a
	}
	from.identity, err = g.engine.login.Verify(ctx, up.Remote.Addr(), auth.TokenFrom(query.Get("token"), up.Authorization, up.Cookie))
	if refused := message.AsError(err); err != nil {
		if refused.Code == message.CodeAuthExpired { // nothing to renew yet: to this client it is simply a bad token
			refused = message.Errorf(message.CodeAuthFailed, "%s", refused.Message)
		}
		a.Reject = g.refuseToken(refused)
		return a
	}
	return g.enter(a, from, up)
}

// admitV1 reads what a v1 client says in its upgrade request. Without a token it is nobody's until it sends one.
func (g *gate) admitV1(ctx context.Context, up *conn.Upgrade, protocol string) conn.Admission {
	if g.engine.trading == nil {
		g.engine.refusals.add(refusedPath)
		return conn.Admission{Status: http.StatusNotFound, Body: "protocol v1 (WebSocket API) is switched off here (trading.enabled); protocol v2 is at /wse"}
	}
	query, err := url.ParseQuery(up.RawQuery)
	if err != nil {
		return malformedQuery()
	}
	a := conn.Admission{Protocol: protocol, Encoding: encodingAPI, EncodingDeflate: encodingAPIDeflate}
	if a.Reject = g.refuseOrigin(up); a.Reject != nil {
		return a
	}
	from := &admitted{identity: auth.Anonymous()}
	if token := auth.TokenFrom(query.Get("token"), up.Authorization, up.Cookie); token != "" {
		if from.identity, err = g.engine.login.Verify(ctx, up.Remote.Addr(), token); err != nil {
			a.Reject = g.refuseToken(message.AsError(err))
			return a
		}
	}
	return g.enter(a, from, up)
}

func malformedQuery() conn.Admission {
	return conn.Admission{Status: http.StatusBadRequest, Body: "the query string is malformed"}
}

// refuseOrigin refuses a page from elsewhere; nil: it may connect.
func (g *gate) refuseOrigin(up *conn.Upgrade) *conn.Rejection {
	if up.OriginAllowed {
		return nil
	}
	g.engine.refusals.add(refusedOrigin)
	return rejection(dialect.CloseOrigin, message.Errorf(message.CodeOriginNotAllowed,
		"pages from %s may not connect; the operator lists allowed origins under origins", cut(up.Origin)))
}

// enter counts a connection that may be had, and makes its client.
func (g *gate) enter(a conn.Admission, from *admitted, up *conn.Upgrade) conn.Admission {
	e := g.engine
	from.addr = up.Remote.Addr()
	near, refused := e.quota.Enter(from.identity.UserID, from.addr)
	switch refused {
	case quota.None:
	case quota.UserConnections:
		e.refusals.add(refusedQuota)
		a.Reject = rejection(dialect.CloseRateLimited, e.quota.Refusal(refused, 1))
		return a
	default:
		return g.tooMany(refused)
	}
	from.near = near
	a.Handler = &client{engine: e, admitted: from}
	return a
}

// refuseToken counts a token that proves no identity, and says why it is refused.
func (g *gate) refuseToken(refused *message.Error) *conn.Rejection {
	reason, code := refusedToken, uint16(dialect.CloseUnauthorized)
	switch refused.Code {
	case message.CodeAuthRequired:
		reason = refusedNoToken
	case message.CodeUnavailable: // its key is not known yet: another attempt may succeed
		code = dialect.CloseOverloaded
	case message.CodeRateLimited: // it was not looked at
		reason, code = refusedQuota, dialect.CloseRateLimited
	}
	g.engine.refusals.add(reason)
	return rejection(code, refused)
}

// tooMany refuses before anybody knows who it is.
func (g *gate) tooMany(limit quota.Limit) conn.Admission {
	g.engine.refusals.add(refusedQuota)
	return conn.Admission{Status: http.StatusTooManyRequests, Body: g.engine.quota.Refusal(limit, 1).Message}
}

func rejection(code uint16, err *message.Error) *conn.Rejection {
	return &conn.Rejection{Reply: &message.Reply{Body: &message.Failure{Err: err}}, Code: code, Reason: err.Message}
}

// splitTopics reads the topics parameter: names with commas between.
func splitTopics(list string) []string {
	var topics []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			topics = append(topics, name)
		}
	}
	return topics
}

// cut keeps a client's own words in an error short.
func cut(text string) string { return message.Cut(text, 128) }

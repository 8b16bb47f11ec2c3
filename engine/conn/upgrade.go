package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gobwas/ws"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// memory is what the upgrader reads from and writes to: the head and nothing else, so that it cannot take what follows.
type memory struct {
	in  strings.Reader
	out bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error)  { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error) { return m.out.Write(p) }

// upgrade answers a WebSocket handshake. It runs on a worker.
func (c *Conn) upgrade(ctx context.Context, hs *handshake) {
	h := hs.head
	var adm Admission
	var deflate bool
	mem := &memory{}
	mem.in.Reset(h.canonical())
	u := ws.Upgrader{OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
		up, err := c.upgradeOf(h)
		if err != nil {
			return nil, err
		}
		if adm = c.ask(ctx, up); adm.Status != 0 {
			return nil, &httpError{adm.Status, adm.Body}
		}
		var header ws.HandshakeHeaderString
		header, deflate = c.agree(h, up, &adm)
		return header, nil
	}}
	if _, err := u.Upgrade(mem); err != nil {
		c.refuse(refusalOf(err))
		hs.settle(c)
		return
	}
	c.open(hs, &adm, deflate, mem.out.Bytes())
}

// refusalOf returns the status and text for an error of the upgrader or of its callback.
func refusalOf(err error) (int, string) {
	var own *httpError
	var rejected *ws.ConnectionRejectedError
	switch {
	case errors.As(err, &own):
		return own.status, own.text
	case errors.As(err, &rejected) && rejected.StatusCode() != 0:
		return rejected.StatusCode(), rejected.Error()
	}
	return http.StatusBadRequest, "the handshake is malformed"
}

// upgradeOf makes what the Gate is asked about.
func (c *Conn) upgradeOf(h *head) (*Upgrade, error) {
	u, err := url.ParseRequestURI(h.target)
	if err != nil {
		return nil, badRequest("the request's target is malformed")
	}
	protocols, err := h.offered()
	if err != nil {
		return nil, err
	}
	return &Upgrade{
		ConnID: c.ID(), Remote: c.remote, Secure: c.secure, Path: u.Path, RawQuery: u.RawQuery,
		Host: h.host, Origin: h.origin, OriginAllowed: c.lane.srv.origins.allowed(h.origin, h.host),
		Authorization: h.authorization, Cookie: h.cookie, UserAgent: h.userAgent, Protocols: protocols,
	}, nil
}

// ask asks the Gate. A Gate that panics refuses.
func (c *Conn) ask(ctx context.Context, up *Upgrade) (adm Admission) {
	defer func() {
		if p := recover(); p != nil {
			c.lane.srv.log.Error("panic at the gate", "connection", up.ConnID, "panic", p, "stack", string(debug.Stack()))
			adm = Admission{Status: http.StatusInternalServerError, Body: "internal error"}
		}
	}()
	if ctx.Err() != nil {
		return Admission{Status: http.StatusServiceUnavailable, Body: "the server has too much to do"}
	}
	adm = c.lane.srv.opts.Gate.Admit(ctx, up)
	if err := c.lane.srv.check(&adm); err != nil {
		c.lane.srv.log.Error("the gate's admission makes no sense", "connection", up.ConnID, "error", err)
		return Admission{Status: http.StatusInternalServerError, Body: "internal error"}
	}
	if !up.OriginAllowed && adm.Status == 0 && adm.Reject == nil {
		return Admission{Status: http.StatusForbidden, Body: "the origin is not allowed"}
	}
	return adm
}

// check finds faults that would show up later and elsewhere.
func (s *Server) check(adm *Admission) error {
	n := len(s.opts.Encodings)
	switch {
	case adm.Status != 0 || adm.Echo:
		return nil
	case adm.Encoding < 0 || adm.Encoding >= n || adm.EncodingDeflate >= n:
		return fmt.Errorf("conn: encoding %d or %d is not one of %d", adm.Encoding, adm.EncodingDeflate, n)
	case adm.Handler == nil && adm.Reject == nil:
		return errors.New("conn: neither a handler nor a rejection")
	}
	return nil
}

// agree returns the header lines that the response gets for what was negotiated.
func (c *Conn) agree(h *head, up *Upgrade, adm *Admission) (header ws.HandshakeHeaderString, deflate bool) {
	if adm.Protocol != "" && slices.Contains(up.Protocols, adm.Protocol) {
		header += ws.HandshakeHeaderString("Sec-WebSocket-Protocol: " + adm.Protocol + "\r\n")
	}
	if !c.lane.srv.cfg.Deflate || adm.EncodingDeflate < 0 || len(h.extensions) == 0 {
		return header, false
	}
	answer, ok := frame.NegotiateDeflate(h.extensions...)
	if ok {
		header += ws.HandshakeHeaderString("Sec-WebSocket-Extensions: " + answer + "\r\n")
	}
	return header, ok
}

// open sends the response of a successful upgrade and begins the connection's life.
func (c *Conn) open(hs *handshake, adm *Admission, deflate bool, response []byte) {
	l := c.lane
	c.inflate = deflate
	if adm.Reject == nil {
		c.handler = adm.Handler
	}
	l.mu.Lock()
	alive := c.out == outOpen
	if alive {
		l.srv.upgraded.Add(1)
		l.endHandshake(c)
		hs.answered = true
		c.echo = adm.Echo
		if c.encoding = int16(adm.Encoding); deflate {
			c.encoding = int16(adm.EncodingDeflate)
		}
		// Not marked, so that what the handler sends now leaves in the same write.
		c.pending = &message.Outgoing{Frames: cloneBytes(response), Level: message.Critical, Exempt: true}
		tick := l.now.Load()
		c.seen.Store(tick)
		// Connections that came at once are not pinged at once.
		c.nextPing = tick + l.srv.beatTicks - uint32(c.id%uint64(l.srv.beatTicks/4+1))
	}
	l.mu.Unlock()
	switch {
	case !alive:
	case adm.Reject != nil:
		c.CloseWith(adm.Reject.Reply, adm.Reject.Code, adm.Reject.Reason)
	case c.handler != nil:
		c.event(Opened)
	}
	l.mu.Lock()
	l.flush(c)
	hs.opened = true
	leave := hs.leave
	l.mu.Unlock()
	if leave != nil {
		leave()
	}
	hs.settle(c)
	l.mu.Lock()
	l.rearm(c)
	l.mu.Unlock()
}

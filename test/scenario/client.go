package scenario

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// patience bounds every wait. It is long because a machine may be busy; a scenario that passes never waits for it.
const patience = time.Minute

// received is what a client's reader hands over: a message, a close frame, or the end of the stream.
type received struct {
	text []byte // JSON, whatever form it came in
	form string // which that was; empty: none that is known

	binary, deflated bool // the frame was
	close            bool
	code             ws.StatusCode
	reason           string
	err              error // the stream ended
}

// client is one WebSocket connection, RFC 6455 from the client's side.
type client struct {
	name     string
	conn     net.Conn
	inbox    chan received
	done     chan struct{} // closed when the reader ends
	mute     atomic.Bool   // pings are not answered
	lag      atomic.Int64  // how late pings are answered, a time.Duration
	gate     sync.Mutex    // held while the client is stalled: nothing is read
	deflated atomic.Bool   // permessage-deflate was negotiated
	encoding *encoding     // nil: whatever the upgrade's query says
	crypto   *crypto       // nil: nothing is encrypted
	verbatim bool          // messages are handed over as they come
	v1       bool          // it speaks protocol v1
	kept     []received    // what came while an answer was waited for
	room     int           // messages that may wait to be taken; 0: as many as a scenario may leave
	stalled  bool          // the gate is held
	ping     int64         // the last timestamp used by no-more
	asked    int           // requests that got their id from ask
}

// dial connects c and upgrades. With status other than 101 it expects to be refused and returns no client.
func dial(e *Engine, c *client, path string, header http.Header, status int) (*client, error) {
	conn, err := net.DialTimeout("tcp", e.Public, patience)
	if err != nil {
		return nil, err
	}
	if e.trust != nil {
		conn = tls.Client(conn, &tls.Config{RootCAs: e.trust, ServerName: "localhost"})
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "GET %s HTTP/1.1\r\n", path)
	if err := header.Write(&head); err != nil {
		return nil, err
	}
	head.WriteString("\r\n")
	if _, err := conn.Write(head.Bytes()); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the answer to the upgrade: %w", err), conn.Close())
	}
	if response.StatusCode != status {
		return nil, errors.Join(fmt.Errorf("the upgrade was answered with %s, not %d", response.Status, status), conn.Close())
	}
	if status != http.StatusSwitchingProtocols {
		return nil, conn.Close()
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if c.room == 0 {
		c.room = 1 << 14
	}
	c.conn, c.inbox, c.done = conn, make(chan received, c.room), make(chan struct{})
	c.deflated.Store(response.Header.Get("Sec-WebSocket-Extensions") != "")
	if c.encoding != nil && c.deflated.Load() != (c.encoding.extension != "") {
		return nil, errors.Join(fmt.Errorf("as extensions the server agreed to %q, and %s has %q",
			response.Header.Get("Sec-WebSocket-Extensions"), c.encoding.name, c.encoding.extension), conn.Close())
	}
	go c.read(in)
	if c.crypto != nil && !c.crypto.later {
		return c, c.encrypt()
	}
	return c, nil
}

// read hands over what comes until the stream ends. It answers pings.
func (c *client) read(in io.Reader) {
	defer close(c.done)
	var message []byte
	var first ws.Header
	for {
		c.gate.Lock()
		c.gate.Unlock() //lint:ignore SA2001 a gate: the reader passes while nobody holds it
		h, err := ws.ReadHeader(in)
		if err != nil {
			c.inbox <- received{err: err}
			return
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			c.inbox <- received{err: err}
			return
		}
		switch {
		case h.Masked:
			c.inbox <- received{err: errors.New("the server masked a frame")}
			return
		case h.OpCode == ws.OpPing:
			c.pong(payload)
			continue
		case h.OpCode == ws.OpPong:
			continue
		case h.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			if len(payload) == 0 {
				code = ws.StatusNoStatusRcvd // RFC 6455 §7.1.5
			}
			c.inbox <- received{close: true, code: code, reason: reason}
			continue
		case h.OpCode != ws.OpContinuation:
			message, first = nil, h
		}
		message = append(message, payload...)
		if h.Fin {
			c.deliver(first, message)
		}
	}
}

// pong answers a ping, if the client does, and as late as it does.
func (c *client) pong(payload []byte) {
	answer := func() { _ = c.frame(ws.Header{Fin: true, OpCode: ws.OpPong, Masked: true}, payload) }
	switch late := time.Duration(c.lag.Load()); {
	case c.mute.Load():
	case late > 0:
		time.AfterFunc(late, answer)
	default:
		answer()
	}
}

func (c *client) deliver(first ws.Header, message []byte) {
	if first.Rsv1() {
		inflated, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(message),
			bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}))))
		if err != nil {
			c.inbox <- received{err: fmt.Errorf("a message does not inflate: %w", err)}
			return
		}
		message = inflated
	}
	r := received{text: message, binary: first.OpCode == ws.OpBinary, deflated: first.Rsv1()}
	if c.crypto != nil {
		hidden := false
		r.text, hidden, r.err = c.crypto.take(message)
		if hidden && r.err == nil {
			return
		}
		r.binary = len(r.text) > 0 && r.text[0] != '{'
	}
	c.inbox <- r
}

// unpack reads the form that a message came in. The reader leaves it to whoever wants the message, so that a client is no
// slower for it.
func (c *client) unpack(r received) received {
	r.form = formText
	switch {
	case r.err != nil || r.close:
	case c.verbatim && r.binary:
		r.form = ""
	case !c.verbatim:
		r.text, r.form, r.err = unpackForm(r.text, r.binary, r.deflated)
		if e := c.encoding; r.err == nil && e != nil && !slices.Contains(e.forms, r.form) {
			r.err = fmt.Errorf("a message came in the form %q, which %s has not: %q", r.form, e.name, r.text)
		}
	}
	return r
}

// frame sends one frame as h says, except for its length where that is set already.
func (c *client) frame(h ws.Header, payload []byte) error {
	if h.Length == 0 {
		h.Length = int64(len(payload))
	}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		return err
	}
	if h.Masked {
		payload = bytes.Clone(payload)
		ws.Cipher(payload, h.Mask, 0)
	}
	b.Write(payload)
	return c.raw(b.Bytes())
}

func (c *client) raw(data []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(data)
	return err
}

func (c *client) send(op ws.OpCode, payload []byte) error {
	return c.frame(ws.Header{Fin: true, OpCode: op, Masked: true, Mask: [4]byte{1, 2, 3, 4}}, payload)
}

// sendDeflated sends a message compressed (RFC 7692 §7.2.1).
func (c *client) sendDeflated(payload []byte) error {
	if !c.deflated.Load() {
		return errors.New("permessage-deflate was not negotiated")
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := w.Write(payload); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	deflated := bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
	return c.frame(ws.Header{Fin: true, Rsv: ws.Rsv(true, false, false), OpCode: ws.OpText, Masked: true}, deflated)
}

// request sends a message in the form of the client's encoding.
func (c *client) request(text []byte) error {
	data, form := text, formText
	if c.encoding != nil {
		data, form = c.encoding.pack(text)
	}
	if c.crypto != nil && c.crypto.started {
		return c.sendSealed(data)
	}
	switch form {
	case formDeflate:
		return c.sendDeflated(data)
	case formZlib, formMsgpack:
		return c.send(ws.OpBinary, data)
	}
	return c.send(ws.OpText, data)
}

func (c *client) close(code uint16) error {
	return c.send(ws.OpClose, binary.BigEndian.AppendUint16(nil, code))
}

// next returns what came next, before the deadline.
func (c *client) next(deadline time.Time) (received, error) {
	if len(c.kept) > 0 {
		first := c.kept[0]
		c.kept = c.kept[1:]
		return first, nil
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case r := <-c.inbox:
		return c.unpack(r), nil
	case <-timeout.C:
		return received{}, fmt.Errorf("nothing came for %s", patience)
	}
}

// message returns the next message; heartbeats, which come when they come, are passed over unless wanted.
func (c *client) message(heartbeats bool) (text []byte, value map[string]any, err error) {
	r, value, err := c.received(heartbeats)
	return r.text, value, err
}

// received is message, with the form that it came in.
func (c *client) received(heartbeats bool) (r received, value map[string]any, err error) {
	deadline := time.Now().Add(patience)
	for {
		r, err := c.next(deadline)
		switch {
		case err != nil:
			return r, nil, err
		case r.err != nil:
			return r, nil, fmt.Errorf("the connection ended: %w", r.err)
		case r.close:
			return r, nil, fmt.Errorf("the server closed with %d %q", r.code, r.reason)
		case r.form == "":
			return r, nil, fmt.Errorf("a binary frame came: %q", r.text)
		}
		value, err := decode(r.text)
		if err != nil {
			return r, nil, fmt.Errorf("what came is no JSON: %w: %q", err, r.text)
		}
		object, ok := value.(map[string]any)
		if !ok {
			return r, nil, fmt.Errorf("what came is no object: %q", r.text)
		}
		if heartbeats || !isHeartbeat(object) {
			return r, object, nil
		}
	}
}

// isHeartbeat reports whether a message, or a pattern of one, is a heartbeat of either protocol.
func isHeartbeat(object map[string]any) bool {
	return object["t"] == "heartbeat" || object["type"] == "status" && object["status"] == "heartbeat"
}

// stall makes the client read nothing any more, so that the server's queue for it fills once the kernel's buffers, some
// 200 KB, are full.
func (c *client) stall() {
	if !c.stalled {
		c.gate.Lock()
		c.stalled = true
	}
}

func (c *client) resume() {
	if c.stalled {
		c.stalled = false
		c.gate.Unlock()
	}
}

// shut closes the socket and waits for the reader.
func (c *client) shut() {
	c.resume()
	_ = c.conn.Close()
	for {
		select {
		case <-c.inbox: // the reader may be waiting for room
		case <-c.done:
			return
		}
	}
}

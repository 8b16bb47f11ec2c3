package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// What a connection ends with that the engine's end took along, or the network's.
var (
	errEnded = errors.New("the engine was ended")
	errCut   = errors.New("the network was cut")
)

// said is a message of the engine, as far as the clients under fire read it.
type said struct {
	T   string          `json:"t"`
	P   json.RawMessage `json:"p"`
	ID  string          `json:"id"`
	CID string          `json:"cid"`
	Tp  string          `json:"tp"`
	E   string          `json:"e"`
	O   uint64          `json:"o"`
	Seq uint64          `json:"seq"`
}

// firePatience bounds every wait for a message, on a machine that may have much else to do.
const firePatience = 3 * patience

// closedWith is the code of a close frame that ended a connection.
type closedWith ws.StatusCode

// Error implements error.
func (c closedWith) Error() string { return fmt.Sprintf("the engine closed the connection with %d", c) }

// session is one connection under fire.
type session struct {
	c     *client
	run   *engineRun
	id    int             // of the last request
	cut   <-chan struct{} // closed when the network fails; nil: it does not
	told  bool            // that the engine is about to end
	keyed <-chan struct{} // closed when a key is agreed on, while that is waited for
	came  []string        // what was sent and what came last, for whoever has to find out why
}

// trail keeps what happened last.
func (x *session) trail(kind, id, topic string, seq uint64) {
	if len(x.came) == 20 {
		x.came = append(x.came[:0], x.came[1:]...)
	}
	x.came = append(x.came, fmt.Sprintf("%s %s %s %d", kind, id, topic, seq))
}

// dialUnderFire connects as user in a form, and takes the greeting.
func dialUnderFire(run *engineRun, user, form, query string) (*session, error) {
	x, err := openUnderFire(run, user, form, query)
	if err != nil {
		if run.over() {
			return nil, errEnded
		}
		return nil, err
	}
	m, err := x.next()
	switch {
	case err != nil:
		x.c.shut()
		return nil, err
	case m.T != "server_ready":
		x.c.shut()
		return nil, fmt.Errorf("the first message is %q: %s", m.T, m.P)
	}
	if x.c.crypto != nil { // what is sent is sealed, once a key is agreed on
		x.keyed = x.c.crypto.agreed
		for m != nil && err == nil { // the end of the engine may be told before
			m, err = x.next()
		}
		if x.keyed = nil; err != nil {
			x.c.shut()
			return nil, err
		}
	}
	return x, nil
}

func openUnderFire(run *engineRun, user, form, query string) (*session, error) {
	token, err := mint(user, time.Hour, map[string]string{"claims": `{"permission_level":"basic"}`})
	if err != nil {
		return nil, err
	}
	enc, err := encodingOf(form)
	if err != nil {
		return nil, err
	}
	c := &client{name: user, encoding: enc, room: 64}
	o := map[string]string{"token": token, "query": strings.Trim(query+"&"+enc.query, "&")}
	if err := c.encryption(o); err != nil {
		return nil, err
	}
	var extra []string
	if enc.extension != "" {
		extra = []string{"Sec-WebSocket-Extensions: " + enc.extension}
	}
	path, header, err := (&Runner{engine: run.Engine}).upgrade(user, o, extra)
	if err != nil {
		return nil, err
	}
	if c, err = dial(run.Engine, c, path, header, http.StatusSwitchingProtocols); err != nil {
		return nil, err
	}
	return &session{c: c, run: run}, nil
}

// next returns the next message, heartbeats left out, or nil where a key is waited for and agreed on. The connection must not end unless the engine is ended: then the
// client is told, and the code is one that known clients come back from. One that is killed says nothing.
func (x *session) next() (*said, error) {
	timeout := time.NewTimer(firePatience)
	defer timeout.Stop()
	for {
		var r received
		select {
		case r = <-x.c.inbox:
		case <-x.cut:
			return nil, errCut
		case <-x.keyed:
			return nil, nil
		case <-timeout.C:
			return nil, fmt.Errorf("nothing came for %s", firePatience)
		}
		switch r = x.c.unpack(r); {
		case r.close && r.code == 1012 && x.run.over() && x.told:
			_ = x.c.close(1012)
			return nil, errEnded
		case r.close:
			return nil, closedWith(r.code)
		case r.err != nil && x.run.over():
			return nil, errEnded
		case r.err != nil:
			return nil, fmt.Errorf("the connection was lost: %w", r.err)
		}
		m := &said{}
		if err := json.Unmarshal(r.text, m); err != nil {
			return nil, fmt.Errorf("%w: %q", err, r.text)
		}
		x.told = x.told || m.T == "connection_state_change" && bytes.Contains(m.P, []byte(`"new_state":"reconnecting"`)) &&
			bytes.Contains(m.P, []byte(`"retry_after_ms":100`))
		if m.T != "heartbeat" {
			x.trail(m.T, m.CID, m.Tp, m.Seq)
			return m, nil
		}
	}
}

// send sends a request and returns the id that its answer will have.
func (x *session) send(kind string, p any) (id string, err error) {
	x.id++
	id = "q" + strconv.Itoa(x.id)
	x.trail("sent: "+kind, id, "", 0)
	text, err := json.Marshal(map[string]any{"t": kind, "id": id, "p": p})
	if err == nil {
		err = x.c.request(text)
	}
	if err != nil && x.run.over() {
		err = errEnded
	}
	return id, err
}

// reset ends the connection as a network does that fails.
func (x *session) reset() {
	_ = x.c.conn.(*net.TCPConn).SetLinger(0)
	x.c.shut()
}

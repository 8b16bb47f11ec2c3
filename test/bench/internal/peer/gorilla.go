package peer

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// The times of gorilla's chat example.
const (
	writeWait  = 10 * time.Second
	pongWait   = 60 * time.Second
	pingPeriod = pongWait * 9 / 10
	sendQueue  = 256
)

// gorilla is a broadcaster on gorilla/websocket with its default buffers.
type gorilla struct {
	direct   bool
	upgrader websocket.Upgrader

	mu     sync.Mutex
	topics map[string]map[*gorillaConn]struct{} // guarded by mu
}

type gorillaConn struct {
	ws   *websocket.Conn
	send chan []byte
}

func newGorilla(direct bool) *gorilla {
	return &gorilla{direct: direct, topics: make(map[string]map[*gorillaConn]struct{})}
}

func (g *gorilla) listen() (*net.TCPAddr, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = http.Serve(ln, http.HandlerFunc(g.serve)) }() // ends with the process
	return ln.Addr().(*net.TCPAddr), nil
}

func (g *gorilla) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := g.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &gorillaConn{ws: ws}
	if !g.direct {
		c.send = make(chan []byte, sendQueue)
		go c.write()
	}
	topic := r.URL.Query().Get("topics")
	g.mu.Lock()
	if g.topics[topic] == nil {
		g.topics[topic] = make(map[*gorillaConn]struct{})
	}
	g.topics[topic][c] = struct{}{}
	g.mu.Unlock()
	// Upgrade hijacked the connection, so returning leaves it open and frees what net/http holds for the request; the
	// chat example does the same.
	go g.read(c, topic)
}

// read throws away what a client sends and notices when it leaves.
func (g *gorilla) read(c *gorillaConn, topic string) {
	if !g.direct { // which sends no pings
		_ = c.ws.SetReadDeadline(time.Now().Add(pongWait))
		c.ws.SetPongHandler(func(string) error { return c.ws.SetReadDeadline(time.Now().Add(pongWait)) })
	}
	for {
		if _, _, err := c.ws.ReadMessage(); err != nil {
			break
		}
	}
	g.mu.Lock()
	g.remove(c, topic)
	g.mu.Unlock()
	_ = c.ws.Close()
}

// remove forgets a connection. mu is held.
func (g *gorilla) remove(c *gorillaConn, topic string) {
	if _, ok := g.topics[topic][c]; ok {
		delete(g.topics[topic], c)
		if c.send != nil {
			close(c.send)
		}
	}
}

// write is the writing goroutine of the chat example, without its joining of messages, which would change what clients
// receive.
func (c *gorillaConn) write() {
	ticker := time.NewTicker(pingPeriod)
	defer ticker.Stop()
	for {
		select {
		case body, ok := <-c.send:
			_ = c.ws.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok || c.ws.WriteMessage(websocket.TextMessage, body) != nil {
				_ = c.ws.Close()
				return
			}
		case <-ticker.C:
			_ = c.ws.SetWriteDeadline(time.Now().Add(writeWait))
			if c.ws.WriteMessage(websocket.PingMessage, nil) != nil {
				_ = c.ws.Close()
				return
			}
		}
	}
}

func (g *gorilla) publish(topic string, body []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.topics[topic] {
		if g.direct {
			if c.ws.WriteMessage(websocket.TextMessage, body) != nil {
				g.remove(c, topic)
			}
			continue
		}
		select {
		case c.send <- body:
		default:
			g.remove(c, topic)
		}
	}
}
